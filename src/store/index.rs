//! Follows a node's journal and puts its lines into the database.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::line::Said;
use super::{JournalLine, LineHash, Store, StoreError, Stored};
use crate::domain::NodeName;

/// The journal, as far as it is followed.
pub trait Lines: Send + Sync + 'static {
    /// The number of the last line that is durable there.
    fn committed(&self) -> watch::Receiver<u64>;

    /// Whole lines after that number, in order; blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&self, after: u64, lines_max: usize, bytes_max: usize) -> io::Result<Vec<JournalLine>>;

    /// The lines up to this one are not needed any more.
    fn passed(&self, seq: u64);
}

/// What the operator should be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The database does not answer. Told once, until it has recovered.
    Unavailable {
        /// What went wrong.
        detail: String,
    },
    /// It answers again and has everything that waited.
    Recovered {
        /// How many lines had waited.
        lines: u64,
        /// For how long it had not answered.
        duration: Duration,
    },
}

/// Follows the journal.
pub struct Indexer {
    store: Store,
    node: NodeName,
    lines: Arc<dyn Lines>,
    tell: Box<dyn Fn(News) + Send + Sync>,
    stored: watch::Sender<Stored>,
    /// The last line that is stored.
    position: u64,
    /// The last line that the journal need not keep.
    durable: u64,
    durable_at: Instant,
    down: Option<Down>,
}

impl fmt::Debug for Indexer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexer")
            .field("node", &self.node)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// Since when, and from where, there is no database.
struct Down {
    since: Instant,
    position: u64,
    tries: u32,
}

impl Indexer {
    /// The most lines in one transaction.
    const LINES_MAX: usize = 500;
    /// The most bytes of lines in one transaction.
    const BYTES_MAX: usize = 1024 * 1024;
    /// How often the journal may forget what is stored, and how many lines may wait for that.
    const DURABLE_EVERY: Duration = Duration::from_secs(1);
    const DURABLE_LINES: u64 = 5_000;
    /// How often an idle database is asked whether it is there.
    const PING_EVERY: Duration = Duration::from_secs(5);
    /// The longest between two attempts.
    const WAIT_MAX: Duration = Duration::from_secs(5);
    /// How long it goes on after it was told to stop.
    const LAST: Duration = Duration::from_secs(5);

    /// Makes sure that the store has this very journal, and says how far it is from then on. `tell`
    /// must not block.
    ///
    /// # Errors
    /// When the store has another chain under the node's name, or does not answer.
    pub async fn start(
        store: Store,
        node: NodeName,
        lines: Arc<dyn Lines>,
        tell: impl Fn(News) + Send + Sync + 'static,
    ) -> Result<(Self, watch::Receiver<Stored>), StoreError> {
        let position = match store.position(&node).await? {
            None => 0,
            Some((seq, hash)) => {
                same_journal(&node, &lines, seq, hash).await?;
                seq
            }
        };
        let (stored, published) = watch::channel(Stored::UpTo(position));
        let tell = Box::new(tell);
        let durable_at = Instant::now();
        let indexer = Self { store, node, lines, tell, stored, position, durable: 0, durable_at, down: None };
        Ok((indexer, published))
    }

    /// Follows the journal until it is told to stop, and then as far as it gets in 5 seconds.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut committed = self.lines.committed();
        while !stop.is_cancelled() {
            let until = *committed.borrow_and_update();
            let step = if self.position < until { self.advance().await } else { self.rest().await };
            let wait = match step {
                Ok(()) => {
                    self.recovered(until);
                    if self.position < until {
                        continue;
                    }
                    self.quiet()
                }
                Err(error) => self.failed(&error),
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                changed = committed.changed(), if self.down.is_none() => {
                    if changed.is_err() {
                        break; // the journal is closed
                    }
                }
            }
        }
        let until = *committed.borrow();
        if tokio::time::timeout(Self::LAST, self.finish(until)).await.is_err() {
            tracing::warn!(node = %self.node, "the store did not take the last events in time; it gets them at the next start");
        }
    }

    /// Stores the next lines.
    async fn advance(&mut self) -> Result<(), StoreError> {
        let (lines, after) = (Arc::clone(&self.lines), self.position);
        let reading =
            tokio::task::spawn_blocking(move || lines.read(after, Self::LINES_MAX, Self::BYTES_MAX));
        let read = reading.await.map_err(io::Error::other).flatten().map_err(StoreError::Journal)?;
        if read.is_empty() {
            return Err(StoreError::Journal(io::Error::other(format!(
                "it has no line after number {after}, though there should be more"
            ))));
        }
        self.position = match self.store.append(&self.node, &read).await {
            Err(error @ StoreError::Gap { .. }) => return Err(self.taken_back(error)),
            appended => appended?,
        };
        self.stored.send_replace(Stored::UpTo(self.position));
        let far = self.position.saturating_sub(self.durable) >= Self::DURABLE_LINES;
        if far || self.durable_at.elapsed() >= Self::DURABLE_EVERY { self.settle().await } else { Ok(()) }
    }

    /// The store has less than it had: a server that took another's place without its last transactions, or a backup. What
    /// the journal still has is put in again at the next attempt; the error is told all the same, because lines were lost.
    fn taken_back(&mut self, error: StoreError) -> StoreError {
        if let StoreError::Gap { stored, .. } = error
            && stored < self.position
        {
            self.position = stored;
            self.durable = self.durable.min(stored);
        }
        error
    }

    /// What there is to do while nothing new is in the journal.
    async fn rest(&mut self) -> Result<(), StoreError> {
        if self.position > self.durable {
            // A database that was down is not taken to have recovered before it did something.
            let due = self.down.is_some() || self.durable_at.elapsed() >= Self::DURABLE_EVERY;
            if due { self.settle().await } else { Ok(()) }
        } else {
            self.store.ping().await
        }
    }

    /// Lets the journal forget what is stored for good.
    async fn settle(&mut self) -> Result<(), StoreError> {
        self.store.make_durable(&self.node, self.position).await?;
        self.durable = self.position;
        self.durable_at = Instant::now();
        self.lines.passed(self.durable);
        Ok(())
    }

    /// Until when nothing needs to be done unless something new comes.
    fn quiet(&self) -> Duration {
        if self.position > self.durable {
            Self::DURABLE_EVERY.saturating_sub(self.durable_at.elapsed()).max(Duration::from_millis(10))
        } else {
            Self::PING_EVERY
        }
    }

    /// Notes a failure; says how long to wait before the next attempt.
    fn failed(&mut self, error: &StoreError) -> Duration {
        self.stored.send_replace(Stored::Down);
        if self.down.is_none() {
            tracing::error!(node = %self.node, %error, "the store is unavailable; no new session starts until it recovers");
            (self.tell)(News::Unavailable { detail: error.to_string() });
        }
        let (since, position) = (Instant::now(), self.position);
        let down = self.down.get_or_insert(Down { since, position, tries: 0 });
        down.tries = down.tries.saturating_add(1);
        let doubled = Duration::from_millis(100).saturating_mul(1 << down.tries.min(10));
        doubled.min(Self::WAIT_MAX)
    }

    /// Notes a success; a database that was down has recovered when it has everything up to `until`.
    fn recovered(&mut self, until: u64) {
        if let Some(down) = self.down.take_if(|_| self.position >= until) {
            let (lines, duration) = (self.position.saturating_sub(down.position), down.since.elapsed());
            self.stored.send_replace(Stored::UpTo(self.position));
            tracing::info!(node = %self.node, lines, "the store has recovered");
            (self.tell)(News::Recovered { lines, duration });
        }
    }

    /// Stores what is there when it is told to stop.
    async fn finish(&mut self, until: u64) {
        let mut result = Ok(());
        while self.position < until && result.is_ok() {
            result = self.advance().await;
        }
        if result.is_ok() {
            result = self.settle().await;
        }
        if let Err(error) = result {
            tracing::warn!(node = %self.node, %error, "the store did not take the last events; it gets them at the next start");
        }
    }
}

/// The last stored line must be the journal's, or be what the journal goes on from.
async fn same_journal(
    node: &NodeName,
    lines: &Arc<dyn Lines>,
    seq: u64,
    hash: LineHash,
) -> Result<(), StoreError> {
    let journal = *lines.committed().borrow();
    if journal < seq {
        return Err(StoreError::JournalBehind { node: node.clone(), stored: seq, journal });
    }
    let of_disk = Arc::clone(lines);
    let reading = tokio::task::spawn_blocking(move || of_disk.read(seq.saturating_sub(1), 2, usize::MAX));
    let read = reading.await.map_err(io::Error::other).flatten().map_err(StoreError::Journal)?;
    let same = read.iter().all(|line| {
        let prev = || Said::read(&line.text).ok().and_then(|said| said.prev().and_then(LineHash::parse));
        if line.seq == seq {
            LineHash::of(&line.text) == hash
        } else {
            line.seq != seq.saturating_add(1) || prev().is_none_or(|prev| prev == hash)
        }
    });
    if same { Ok(()) } else { Err(StoreError::OtherChain { node: node.clone(), seq }) }
}
