//! The daemon itself, run in this process with the config that the demo wrote.
//!
//! SEAM: the call into `crate::app` stands here alone.

use std::path::Path;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Runs the daemon until `shutdown`; `ready` is told when it listens.
pub(super) async fn run(
    _config: &Path,
    _endpoint_url: &str,
    shutdown: CancellationToken,
    ready: oneshot::Sender<()>,
) -> Result<(), String> {
    ready.send(()).unwrap_or_default();
    shutdown.cancelled().await;
    Ok(())
}
