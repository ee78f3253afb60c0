//! Metrics and health: who is asked what, and where it is told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::VERSION;
use super::workers::Workers;
use crate::audit::{Log, Stored};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::health::{self, HealthError, Readiness, Server};
use crate::metrics::{JournalState, Metrics, PlaceState, SpoolState, StoreState};
use crate::record::Spool;
use crate::session::Services;

/// What an operator's machines ask. It is told as long as this lives: last of all, so that they see sessions end.
#[derive(Debug)]
pub(super) struct Operating {
    pub(super) metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    server: Option<Server>,
}

impl Operating {
    /// Listens, where the config says so. Nobody is answered before [`Self::serve`].
    pub(super) async fn bind(config: &Config) -> Result<Self, HealthError> {
        let (metrics, readiness) = (Metrics::new(VERSION, &SystemClock), Readiness::new());
        let server = match config.metrics.listen {
            Some(address) => Some(Server::bind(address, Arc::clone(&metrics), Arc::clone(&readiness)).await?),
            None => None,
        };
        Ok(Self { metrics, readiness, server })
    }

    /// Begins to answer, until the guard is dropped.
    pub(super) fn serve(&mut self) -> DropGuard {
        let over = CancellationToken::new();
        if let Some(server) = self.server.take() {
            let address: SocketAddr = server.address();
            tracing::info!(%address, "metrics and health are told");
            tokio::spawn(server.serve(over.clone()));
        }
        over.drop_guard()
    }

    /// From here on this node is not ready.
    pub(super) fn drain(&self) {
        self.readiness.drain();
    }

    /// Connects the parts.
    pub(super) fn watch(&self, config: &Config, services: &Arc<Services>, workers: &Workers) {
        let workers = workers.clone();
        self.metrics.watch_workers(move || workers.loads());
        self.policy_and_inventory(services);
        self.journal(config, &services.log);
        self.store(&services.log);
        if let (Some(spool), true) = (services.recorders.spool(), config.recording.upload_to.is_some()) {
            let spool = spool.clone();
            self.metrics.watch_spool(move || spooled(&spool));
        }
    }

    fn policy_and_inventory(&self, services: &Services) {
        // The daemon does not start without a policy, and a broken one does not take its place.
        self.readiness.needs("policy", || async { Ok(()) });
        let inventory = services.inventory.clone();
        self.metrics.watch_inventory(move || {
            let copies = inventory.copies().into_iter();
            let state = |(place, instances, age): (crate::target::Place, _, _)| PlaceState {
                account: place.account_alias,
                region: place.region,
                instances,
                age,
            };
            copies.map(state).collect()
        });
        let inventory = services.inventory.clone();
        self.readiness.needs("inventory", move || {
            let ages = inventory.ages();
            let listed = ages.is_empty() || ages.iter().any(|(_, age)| age.is_some());
            let verdict = if listed { Ok(()) } else { Err(NEVER_LISTED.to_owned()) };
            std::future::ready(verdict)
        });
    }

    fn journal(&self, config: &Config, log: &Log) {
        let (reader, tip) = (log.journal(), log.clone());
        self.metrics.watch_journal(move || JournalState { bytes: reader.bytes(), seq: tip.tip().seq });
        let directory = config.audit.journal.clone();
        self.readiness.needs("journal", move || health::can_write(directory.clone()));
    }

    fn store(&self, log: &Log) {
        if log.stored().is_none() {
            return;
        }
        let asked = log.clone();
        let last_known = AtomicU64::new(0);
        self.metrics.watch_store(move || {
            let up = if let Some(Stored::UpTo(seq)) = asked.stored() {
                last_known.store(seq, Ordering::Relaxed);
                true
            } else {
                false
            };
            // What it had before it went away, where it is away.
            let lag_lines = asked.tip().seq.saturating_sub(last_known.load(Ordering::Relaxed));
            StoreState { up, lag_lines }
        });
        let asked = log.clone();
        self.readiness.needs("store", move || {
            let down = matches!(asked.stored(), Some(Stored::Down));
            std::future::ready(if down { Err(STORE_DOWN.to_owned()) } else { Ok(()) })
        });
    }
}

const NEVER_LISTED: &str = "no account's instances have been listed yet; check IAM and the network to AWS";
const STORE_DOWN: &str = "the store does not take lines; check the database and the network to it";

/// What still waits to be moved.
fn spooled(spool: &Spool) -> SpoolState {
    let whole = spool.whole().unwrap_or_default();
    let length = |id| std::fs::metadata(spool.path(id)).map_or(0, |file| file.len());
    let bytes = whole.iter().map(|id| length(*id)).sum();
    SpoolState { files: u64::try_from(whole.len()).unwrap_or(u64::MAX), bytes }
}
