//! Who counts what sinks do.

/// Is told what sinks do, for metrics. Every call is quick; `sink` is one of the names in the config.
pub trait Observer: Send + Sync {
    /// Lines were delivered.
    fn delivered(&self, sink: &str, lines: u64);
    /// Lines were given up because too many waited.
    fn given_up(&self, sink: &str, lines: u64);
    /// Lines were refused by the receiver for good.
    fn refused(&self, sink: &str, lines: u64);
    /// An attempt to deliver failed.
    fn failed(&self, sink: &str);
    /// How much waits for this sink: lines, and about how many bytes.
    fn waiting(&self, sink: &str, lines: u64, bytes: u64);
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn delivered(&self, _sink: &str, _lines: u64) {}
    fn given_up(&self, _sink: &str, _lines: u64) {}
    fn refused(&self, _sink: &str, _lines: u64) {}
    fn failed(&self, _sink: &str) {}
    fn waiting(&self, _sink: &str, _lines: u64, _bytes: u64) {}
}
