//! What other rooms say of themselves when the metrics are read.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, GaugeValueEncoder};
use prometheus_client::metrics::MetricType;

/// The store, as the indexer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreState {
    /// Whether it took what it was given last.
    pub up: bool,
    /// How many lines of the journal it does not have yet.
    pub lag_lines: u64,
}

/// The journal on this node's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalState {
    /// What it takes on the disk.
    pub bytes: u64,
    /// The number of the last durable line.
    pub seq: u64,
}

/// Recordings that are on this node's disk and not yet where they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolState {
    /// How many files.
    pub files: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// The copy of one account's instances in one region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceState {
    /// The account's alias, as the operator chose it.
    pub account: String,
    /// The region.
    pub region: String,
    /// How many instances it lists.
    pub instances: usize,
    /// How old it is; none where there is none yet.
    pub age: Option<Duration>,
}

/// Something that may be asked, once somebody has said how.
pub(super) trait Watched<T> {
    fn set(&self, read: impl Fn() -> T + Send + Sync + 'static);
    fn read(&self) -> Option<T>;
}

type Read<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Where the way to ask is kept.
pub(super) struct Slot<T>(Mutex<Option<Read<T>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl<T> Watched<T> for Slot<T> {
    fn set(&self, read: impl Fn() -> T + Send + Sync + 'static) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(read));
    }

    fn read(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(|read| read())
    }
}

/// All rooms that can be asked. What nobody has connected is absent from the text.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    pub(super) store: Slot<StoreState>,
    pub(super) journal: Slot<JournalState>,
    pub(super) spool: Slot<SpoolState>,
    pub(super) inventory: Slot<Vec<PlaceState>>,
    pub(super) workers: Slot<Vec<usize>>,
}

impl Collector for Rooms {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        if let Some(store) = self.store.read() {
            page.gauge("store_up", "Whether the store took what it was given last: 1 or 0.", store.up)?;
            page.gauge(
                "store_lag_lines",
                "Lines of the journal that the store does not have yet.",
                store.lag_lines,
            )?;
        }
        if let Some(journal) = self.journal.read() {
            page.gauge("journal_bytes", "The size of the journal on this node's disk.", journal.bytes)?;
            page.counter("journal_lines", "The number of this node's last durable line.", journal.seq)?;
        }
        if let Some(spool) = self.spool.read() {
            let files = "Recordings on this node's disk that are not yet where they are kept.";
            page.gauge("recording_spool_files", files, spool.files)?;
            page.gauge("recording_spool_bytes", "The size of those recordings.", spool.bytes)?;
        }
        if let Some(places) = self.inventory.read() {
            self::inventory(&mut page, &places)?;
        }
        if let Some(workers) = self.workers.read() {
            let rows = workers.iter().enumerate();
            let rows = rows.map(|(number, load)| (vec![("worker", number.to_string())], Value::from(*load)));
            page.gauges("worker_connections", "Connections that each worker thread carries.", rows)?;
        }
        Ok(())
    }
}

fn inventory(page: &mut Page<'_>, places: &[PlaceState]) -> fmt::Result {
    let labels =
        |place: &PlaceState| vec![("account", place.account.clone()), ("region", place.region.clone())];
    let sizes = places.iter().map(|place| (labels(place), place.instances.into()));
    page.gauges("inventory_instances", "Instances in the copy of an account's region.", sizes)?;
    // A place that was never listed has no age: an alert on it asks for the size's absence of an age.
    let ages = places.iter().filter_map(|place| Some((labels(place), place.age?.into())));
    page.gauges("inventory_age_seconds", "How old the copy of an account's region is.", ages)?;
    let there = places.iter().map(|place| (labels(place), place.age.is_some().into()));
    page.gauges("inventory_listed", "Whether an account's region was ever listed: 1 or 0.", there)
}

/// The labels of one series.
pub(super) type Labels = Vec<(&'static str, String)>;

/// What a gauge can show.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Whole(u64),
    Seconds(f64),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Whole(count)
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Whole(u64::try_from(count).unwrap_or(u64::MAX))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Whole(u64::from(yes))
    }
}

impl From<Duration> for Value {
    fn from(duration: Duration) -> Self {
        Self::Seconds(duration.as_secs_f64())
    }
}

impl EncodeGaugeValue for Value {
    fn encode(&self, encoder: &mut GaugeValueEncoder<'_>) -> fmt::Result {
        match self {
            // Encoding refuses what a signed number cannot hold, and with it the whole page.
            Self::Whole(count) => i64::try_from(*count).unwrap_or(i64::MAX).encode(encoder),
            Self::Seconds(seconds) => seconds.encode(encoder),
        }
    }
}

/// Writes families one after the other.
#[derive(Debug)]
pub(super) struct Page<'a>(pub(super) DescriptorEncoder<'a>);

impl Page<'_> {
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Into<Value>) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value.into())
    }

    pub(super) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        rows: impl Iterator<Item = (Labels, Value)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in rows {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// The name gets its `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<Labels, _, u64>(&count, None)
    }

    /// A counter with a fraction.
    pub(super) fn seconds_counter(&mut self, name: &str, help: &str, seconds: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<Labels, _, f64>(&seconds, None)
    }
}
