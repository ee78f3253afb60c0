//! What sinks do, by their names in the configuration.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Metrics;
use crate::sinks::Observer;

/// A sink, as the operator named it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSink {
    sink: String,
}

/// One series for each sink that is configured.
#[derive(Debug, Default)]
pub(super) struct SinkCounters {
    up: Family<OfSink, Gauge>,
    lag_lines: Family<OfSink, Gauge>,
    lag_bytes: Family<OfSink, Gauge>,
    delivered: Family<OfSink, Counter>,
    overflowed: Family<OfSink, Counter>,
    refused: Family<OfSink, Counter>,
    failures: Family<OfSink, Counter>,
}

impl SinkCounters {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("sink_up", "Whether the last delivery to a sink arrived: 1 or 0", self.up.clone());
        registry.register("sink_lag_lines", "Lines that wait for a sink", self.lag_lines.clone());
        registry.register("sink_lag_bytes", "About how many bytes wait for a sink", self.lag_bytes.clone());
        registry.register("sink_delivered_lines", "Lines delivered to a sink", self.delivered.clone());
        let overflowed = "Lines given up because too many waited for a sink";
        registry.register("sink_overflowed_lines", overflowed, self.overflowed.clone());
        registry.register(
            "sink_refused_lines",
            "Lines that the receiver refused for good",
            self.refused.clone(),
        );
        registry.register(
            "sink_failures",
            "Attempts to deliver that failed; each is repeated",
            self.failures.clone(),
        );
    }
}

fn of(sink: &str) -> OfSink {
    OfSink { sink: sink.to_owned() }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Observer for Metrics {
    fn delivered(&self, sink: &str, lines: u64) {
        self.sinks.up.get_or_create(&of(sink)).set(1);
        self.sinks.delivered.get_or_create(&of(sink)).inc_by(lines);
    }

    fn given_up(&self, sink: &str, lines: u64) {
        self.sinks.overflowed.get_or_create(&of(sink)).inc_by(lines);
    }

    fn refused(&self, sink: &str, lines: u64) {
        self.sinks.refused.get_or_create(&of(sink)).inc_by(lines);
    }

    fn failed(&self, sink: &str) {
        self.sinks.up.get_or_create(&of(sink)).set(0);
        self.sinks.failures.get_or_create(&of(sink)).inc();
    }

    fn waiting(&self, sink: &str, lines: u64, bytes: u64) {
        // The first word about a sink: its counters begin here, at zero.
        self.sinks.overflowed.get_or_create(&of(sink)).inc_by(0);
        self.sinks.lag_lines.get_or_create(&of(sink)).set(whole(lines));
        self.sinks.lag_bytes.get_or_create(&of(sink)).set(whole(bytes));
    }
}
