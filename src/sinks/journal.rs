//! What a sink follows.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::sync::watch;

use crate::audit::{Follower, JournalLine, JournalReader};

/// The journal of this node, as one sink sees it. What the sink has not passed stays there.
pub(super) trait Journal: Send + Sync + 'static {
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

/// The journal on the disk, followed by one sink.
#[derive(Debug)]
pub(super) struct Followed {
    reader: Arc<JournalReader>,
    follower: Follower,
}

impl Followed {
    /// Follows the journal under a sink's name, from after a line on. Sinks and the store have different names.
    pub(super) fn new(reader: &JournalReader, sink: &str, position: u64) -> Self {
        let follower = reader.follow(&format!("sink {sink}"), position);
        // A clone: each follower reads on where it left off.
        Self { reader: Arc::new(reader.clone()), follower }
    }
}

impl Journal for Followed {
    fn committed(&self) -> watch::Receiver<u64> {
        self.reader.committed()
    }

    async fn read(&self, after: u64, lines_max: usize, bytes_max: usize) -> io::Result<Vec<JournalLine>> {
        let reader = Arc::clone(&self.reader);
        let read = move || reader.read(after, lines_max, bytes_max);
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }

    fn bytes_after(&self, seq: u64) -> u64 {
        self.reader.bytes_after(seq)
    }

    fn passed(&self, seq: u64) {
        self.follower.passed(seq);
    }
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
