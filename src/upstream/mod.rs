//! Permit → [`Upstream`]: our SSH connection to the target; or [`Tunnel`]: the way for the client's own.
//!
//! The key push runs beside dialling and key exchange. What always holds here: the address dialled is
//! the permit's target's; nothing is sent to a machine whose host key nobody in the chain of vouchers has vouched for
//! ([`crate::vouch`]); exactly one key is offered, signed at once; for a machine that is pinned no console is read.
//!
//! What is not here: whether it may be done (the permit says so), and telling the audit (the session does).

mod connect;
mod failure;
mod host_key;
mod probe;
mod tunnel;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::credential::Injector;
use crate::domain::{HostKeyVoucher, InstanceId, Target};
use crate::vouch::{Chain, ConsoleReader, HostCas, NoConsoles, PinBoard};

pub use connect::{Attempt, Facts, Pushed, Upstream};
pub use failure::UpstreamError;
pub use probe::probe_for_operator;
pub use tunnel::Tunnel;

/// How targets are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For the TCP connection.
    pub connect_timeout: Duration,
    /// For key exchange and login, each.
    pub handshake_timeout: Duration,
    /// Nothing: no keepalives are sent.
    pub keepalive_interval: Option<Duration>,
    /// How many may go unanswered.
    pub keepalive_max: u32,
    /// The targets that are also offered what only very old SSH servers need.
    pub legacy_targets: BTreeSet<InstanceId>,
}

/// Makes upstream connections.
#[derive(Debug, Clone)]
pub struct Connector {
    injector: Arc<dyn Injector>,
    pins: Arc<dyn PinBoard>,
    chain: Chain,
    consoles: Arc<dyn ConsoleReader>,
    settings: Settings,
    clock: SharedClock,
}

impl Connector {
    /// A connector that pushes keys with `injector` and believes `pins`, and nothing else: see
    /// [`Self::believing`].
    #[must_use]
    pub fn new(
        injector: Arc<dyn Injector>,
        pins: Arc<dyn PinBoard>,
        settings: Settings,
        clock: SharedClock,
    ) -> Self {
        let chain = Chain { order: vec![HostKeyVoucher::Pins], ..Chain::default() };
        Self { injector, pins, chain, consoles: Arc::new(NoConsoles), settings, clock }
    }

    /// The same, with others who vouch for host keys.
    #[must_use]
    pub fn believing(self, chain: Chain, consoles: Arc<dyn ConsoleReader>) -> Self {
        Self { chain, consoles, ..self }
    }

    /// Whose host certificates are believed.
    #[must_use]
    pub fn host_cas(&self) -> &HostCas {
        &self.chain.cas
    }

    /// Notes that a target was reached and proved to be itself. Best effort: nothing rests on it.
    pub async fn note_seen(&self, target: &Target) {
        if let Err(error) = self.pins.seen(target, self.clock.now()).await {
            tracing::warn!(%error, target = %target.id, "when the target was last seen could not be noted");
        }
    }
}
