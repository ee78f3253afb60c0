//! The daemon itself, run in this process with the config that the demo wrote.
//!
//! SEAM: the calls into `crate::app` and `crate::ssh::hostkeys` stand here alone.

use std::path::Path;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::keys;

/// The daemon's public keys, as OpenSSH writes them.
#[derive(Debug)]
pub(super) struct PublicKeys {
    pub(super) host_ca: String,
    pub(super) host_key: String,
}

/// The daemon's keys in its data directory, made as it would make them itself.
pub(super) fn public_keys(data: &Path) -> std::io::Result<PublicKeys> {
    Ok(PublicKeys {
        host_ca: keys::load_or_create(&data.join("host_ca_ed25519"), "drawbridge host CA")?,
        host_key: keys::load_or_create(&data.join("host_ed25519"), "drawbridge")?,
    })
}

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
