//! Trying a target's port without going in: does it take a TCP connection, and are keys exchanged?

use std::net::SocketAddr;
use std::time::Duration;

use super::connect::{HostKeys, dial};
use super::failure::UpstreamError;
use super::{Connector, Settings};
use crate::domain::Target;
use crate::policy::Permit;

impl Connector {
    /// Tries the port of the permit's target: connects, exchanges keys and leaves. Nothing is pushed, no key of ours
    /// is offered, and no host key is believed or remembered. `patience` is for connecting and for the exchange, each.
    ///
    /// # Errors
    /// How far it did not come.
    pub async fn probe(&self, permit: &Permit, patience: Duration) -> Result<(), UpstreamError> {
        probe(permit.target(), &self.settings, patience).await
    }
}

/// The same for whoever runs drawbridge, on its own machine, where there is nobody to ask policy about.
///
/// # Errors
/// How far it did not come.
pub async fn probe_for_operator(
    target: &Target,
    settings: &Settings,
    patience: Duration,
) -> Result<(), UpstreamError> {
    probe(target, settings, patience).await
}

async fn probe(target: &Target, settings: &Settings, patience: Duration) -> Result<(), UpstreamError> {
    let settings = Settings {
        connect_timeout: settings.connect_timeout.min(patience),
        handshake_timeout: settings.handshake_timeout.min(patience),
        ..settings.clone()
    };
    dial(target, SocketAddr::new(target.private_ip, target.port), &settings, HostKeys::default())
        .await
        .map(drop)
}
