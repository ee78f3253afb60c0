//! The daemon itself, run in this process with the config that the demo wrote.

use std::net::SocketAddr;
use std::path::Path;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::DemoError;
use crate::app;
use crate::aws::AwsAccess;
use crate::config::{Config, Overrides};

/// The credentials that the look-alike is shown; it checks none, so they are no secret.
pub(super) const ACCESS_KEY_ID: &str = "AKIADRAWBRIDGEDEMO00";
pub(super) const SECRET_ACCESS_KEY: &str = "the-look-alike-checks-no-signatures";

/// Runs the daemon until `stop`; `ready` is told when it serves. Variables of the environment do
/// not count here: a demo is the same everywhere.
pub(super) async fn run(
    config_file: &Path,
    endpoint_url: &str,
    stop: CancellationToken,
    ready: oneshot::Sender<Vec<SocketAddr>>,
) -> Result<(), DemoError> {
    let config = Config::load(Some(config_file), std::iter::empty(), &Overrides::default())
        .map_err(DemoError::Config)?;
    let aws = AwsAccess::with_static_credentials(endpoint_url, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
    Box::pin(app::run(config, aws, stop, ready)).await?;
    Ok(())
}
