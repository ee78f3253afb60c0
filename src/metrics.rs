//! Metrics for Prometheus, as OpenMetrics text.
//!
//! Counters come from the audit's entries as they become durable ([`Observer`]), so that what is counted is what
//! is on record; gauges are asked of their rooms when somebody looks ([`Metrics::watch_store`] and its siblings).
//!
//! What always holds: a label's value comes from a closed list of ours, or was chosen by the operator in the
//! configuration (an account's alias, a region, a sink's name). No address, user name, target or text from outside
//! is ever a label, so the number of series is bounded whatever strangers do
//! (`hostile_entries_add_no_series_and_no_text`).
//!
//! What this room does not do: serve HTTP (`health` does), decide what is worth an alert
//! (`deploy/prometheus-rules.yml` proposes), or keep anything over a restart.

mod counters;
mod events;
mod labels;
mod open;
mod process;
mod rooms;
mod sinks;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::audit::{AuditError, Entry, Observer};
use crate::clock::Clock;
use counters::Counters;
use open::Open;
use process::Process;
pub use rooms::{JournalState, PlaceState, SpoolState, StoreState};
use rooms::{Rooms, Watched};
use sinks::SinkCounters;

/// What [`Metrics::text`] is (the media type of OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name of ours begins with.
const PREFIX: &str = "drawbridge";

/// All metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    counters: Counters,
    sinks: SinkCounters,
    open: Mutex<Open>,
    rooms: Arc<Rooms>,
}

impl Metrics {
    /// Everything at zero. `clock` says when the process began, as far as the metrics go.
    #[must_use]
    pub fn new(version: &'static str, clock: &dyn Clock) -> Arc<Self> {
        let mut registry = Registry::default();
        let counters = Counters::default();
        let rooms = Arc::<Rooms>::default();
        let ours = registry.sub_registry_with_prefix(PREFIX);
        ours.register("build", "The version that runs", Info::new([("version", version)]));
        counters.register(ours);
        let sinks = SinkCounters::default();
        sinks.register(ours);
        ours.register_collector(Box::new(Arc::clone(&rooms)));
        registry.register_collector(Box::new(Process::started(clock.now())));
        Arc::new(Self { registry, counters, sinks, open: Mutex::default(), rooms })
    }

    /// The metrics of this moment, as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(64 * 1024);
        self.counters.show_open(&self.open.lock().unwrap_or_else(PoisonError::into_inner));
        // Writing to a string does not fail; a collector that did would cut the text short of its `# EOF`, which
        // Prometheus refuses as a whole.
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "the metrics could not be put into text");
        }
        text
    }

    /// Says how the store is asked about itself. The closure is called at each scrape, on a
    /// thread that may look at a disk but must not wait for a network.
    pub fn watch_store(&self, read: impl Fn() -> StoreState + Send + Sync + 'static) {
        self.rooms.store.set(read);
    }

    /// The same for the journal.
    pub fn watch_journal(&self, read: impl Fn() -> JournalState + Send + Sync + 'static) {
        self.rooms.journal.set(read);
    }

    /// The same for the recordings that wait to be stored.
    pub fn watch_spool(&self, read: impl Fn() -> SpoolState + Send + Sync + 'static) {
        self.rooms.spool.set(read);
    }

    /// The same for the inventory, one state for each account and region.
    pub fn watch_inventory(&self, read: impl Fn() -> Vec<PlaceState> + Send + Sync + 'static) {
        self.rooms.inventory.set(read);
    }

    /// The same for the worker threads: how many connections each carries.
    pub fn watch_workers(&self, read: impl Fn() -> Vec<usize> + Send + Sync + 'static) {
        self.rooms.workers.set(read);
    }

    /// A recording could not be moved to where it is to be kept; it is tried again.
    pub fn upload_failed(&self) {
        self.counters.upload_failures.inc();
    }

    fn with_open(&self, act: impl FnOnce(&mut Open)) {
        act(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Observer for Metrics {
    fn recorded(&self, entry: &Entry) {
        self.counters.line(entry.event.name());
        self.with_open(|open| {
            open.begin(entry);
            events::count(&self.counters, open, entry);
            open.end(entry);
        });
    }

    fn lost(&self, entry: &Entry, error: &AuditError) {
        self.counters.lost(error);
        self.with_open(|open| {
            if events::is_ending(&entry.event) {
                events::count(&self.counters, open, entry);
            }
            open.end(entry);
        });
    }
}
