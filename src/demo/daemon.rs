//! The daemon itself, run in this process with the config that the demo wrote.

use std::path::Path;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::app;
use crate::aws::AwsAccess;
use crate::config::{Config, Overrides};

/// Runs the daemon until `shutdown`; `ready` is told when it listens.
pub(super) async fn run(
    config: &Path,
    endpoint_url: &str,
    shutdown: CancellationToken,
    ready: oneshot::Sender<()>,
) -> Result<(), String> {
    let read = Config::load(Some(config), std::iter::empty(), &Overrides::default());
    let config = read.map_err(|problems| app::AppError::Problems(problems).to_string())?;
    let aws = AwsAccess::with_static_credentials(endpoint_url, "AKIADEMODEMODEMODEMO", "demo").await;
    let (listening, listens) = oneshot::channel();
    let mut daemon = Box::pin(app::run(config, aws, shutdown, listening));
    tokio::select! {
        ended = &mut daemon => return ended.map_err(|error| error.to_string()),
        listens = listens => if listens.is_ok() {
            // Whoever waits for it may have left.
            let _nobody = ready.send(());
        },
    }
    daemon.await.map_err(|error| error.to_string())
}
