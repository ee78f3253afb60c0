//! What a sink follows.

use std::future::Future;
use std::io;

use tokio::sync::watch;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalLine {
    /// Its number on this node.
    pub seq: u64,
    /// The line, without its line feed.
    pub text: String,
}

/// The journal of this node, as one sink sees it. What the sink has not passed stays there.
pub trait Journal: Send + Sync + 'static {
    /// The last durable line, and whenever there is a later one.
    fn committed(&self) -> watch::Receiver<u64>;

    /// The lines after one, in order: at most so many, and so many bytes beyond the first.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(
        &self,
        after: u64,
        lines_max: usize,
        bytes_max: usize,
    ) -> impl Future<Output = io::Result<Vec<JournalLine>>> + Send;

    /// About how many bytes come after a line.
    fn bytes_after(&self, seq: u64) -> u64;

    /// The sink is done with every line through this one.
    fn passed(&self, seq: u64);
}

/// The first line from `low` on behind which at most `bytes_max` come, `high` at the latest.
pub(super) fn first_within(journal: &impl Journal, low: u64, high: u64, bytes_max: u64) -> u64 {
    if journal.bytes_after(low) <= bytes_max {
        return low;
    }
    let (mut too_early, mut fits) = (low, high.max(low));
    while fits.saturating_sub(too_early) > 1 {
        let middle = u64::midpoint(too_early, fits);
        if journal.bytes_after(middle) <= bytes_max { fits = middle } else { too_early = middle }
    }
    fits
}
