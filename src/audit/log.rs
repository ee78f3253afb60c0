//! The handle through which everyone records.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::chain::{Chain, LineHash, Tip};
use super::journal::{Book, Journal, JournalError, JournalReader};
use super::memory::{Collected, MemoryJournal};
use super::writer::{self, Append, Command, Waiting};
use super::{AuditError, Entry, Observer, json};
use crate::clock::SharedClock;
use crate::domain::NodeName;

/// Where the record of this node is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The journal's directory; made with mode 0700 where it is missing. The directory above it must exist.
    pub journal: PathBuf,
    /// What this node is called: every line says so.
    pub node: NodeName,
    /// Whether a line counts only when the disk has it (`fdatasync`). Without it, a power cut
    /// loses the last lines.
    pub sync: bool,
    /// The last line that the store has of this node, and its hash: the chain goes on from there where the journal
    /// does not reach as far, because its directory is a new one or lines were lost that were not synced.
    pub resume: Option<(u64, LineHash)>,
}

/// How much of the journal the store has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Every line up to this number.
    UpTo(u64),
    /// It does not answer.
    Down,
}

/// The audit log. Clones write to the same place.
#[derive(Clone)]
pub struct Log {
    way: Way,
    clock: SharedClock,
    node: NodeName,
    book: Arc<Book>,
    stored: Option<watch::Receiver<Stored>>,
    observer: Option<Arc<dyn Observer>>,
}

#[derive(Clone)]
enum Way {
    /// To the writer thread.
    Thread(mpsc::Sender<Command>),
    /// To memory, at once.
    Memory(MemoryJournal),
}

impl Log {
    /// The longest that [`Log::record`] waits for the disk.
    pub const RECORD_DEADLINE: Duration = Duration::from_secs(10);
    /// The longest that [`Log::in_store`] waits for the store.
    pub const STORE_DEADLINE: Duration = Duration::from_secs(5);

    /// Opens the journal that the settings describe, and writes to it from a thread of its own.
    ///
    /// # Errors
    /// When the journal cannot be opened, is damaged, belongs to a node of another name or is written to by another
    /// process, or the writer thread cannot be started.
    pub fn open(settings: &Settings, clock: SharedClock) -> Result<Self, AuditError> {
        let path = || settings.journal.display().to_string();
        let (journal, chain) = Journal::open(settings).map_err(|error| match error {
            JournalError::Io(error) => AuditError::Open { path: path(), source: Arc::new(error) },
            error @ (JournalError::OtherNode { .. } | JournalError::Damaged { .. }) => {
                AuditError::Unsound { path: path(), why: error.to_string() }
            }
        })?;
        let book = journal.book();
        Self::writing(Box::new(journal), chain, book, clock)
    }

    fn writing(
        journal: Box<dyn Append>,
        chain: Chain,
        book: Arc<Book>,
        clock: SharedClock,
    ) -> Result<Self, AuditError> {
        let (sender, commands) = mpsc::channel(writer::WAITING_MAX);
        let node = chain.node.clone();
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer::run(commands, journal, chain))
            .map_err(|error| AuditError::Start(Arc::new(error)))?;
        Ok(Self { way: Way::Thread(sender), clock, node, book, stored: None, observer: None })
    }

    /// A log in memory and what it collects, for tests. It has no thread, so it works with
    /// tokio's paused time.
    #[must_use]
    pub fn in_memory(clock: SharedClock) -> (Self, Collected) {
        Self::in_memory_of(NodeName::default(), clock)
    }

    /// A log of a node in memory, as [`Log::in_memory`].
    #[must_use]
    pub fn in_memory_of(node: NodeName, clock: SharedClock) -> (Self, Collected) {
        let journal = MemoryJournal::new(node.clone());
        let (book, collected) = (journal.book(), journal.collected());
        (Self { way: Way::Memory(journal), clock, node, book, stored: None, observer: None }, collected)
    }

    /// The same log; what the store has of it is told by `stored`.
    #[must_use]
    pub fn stored_by(mut self, stored: watch::Receiver<Stored>) -> Self {
        self.stored = Some(stored);
        self
    }

    /// What the store has, or that it is down; nothing without [`Log::stored_by`].
    #[must_use]
    pub fn stored(&self) -> Option<Stored> {
        self.stored.as_ref().map(|stored| *stored.borrow())
    }

    /// The same log; `observer` is told of each line that this handle and its clones record.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// What is on record, to be read.
    #[must_use]
    pub fn journal(&self) -> JournalReader {
        JournalReader::new(Arc::clone(&self.book))
    }

    /// What this node is called.
    #[must_use]
    pub fn node(&self) -> &NodeName {
        &self.node
    }

    /// The last line on record.
    #[must_use]
    pub fn tip(&self) -> Tip {
        self.book.tip()
    }

    /// A log in memory at a fixed time.
    #[cfg(test)]
    pub(crate) fn for_test() -> (Self, Collected) {
        Self::in_memory(crate::clock::HandSetClock::at("2026-01-02T03:04:05.678Z"))
    }

    /// Records what happened, or is about to. Resolves when the line is durable.
    ///
    /// A caller that stops waiting does not take its line back.
    ///
    /// # Errors
    /// When the line is not on record; then the thing must not happen. A later call may succeed:
    /// every line is tried anew.
    pub async fn record(&self, entry: Entry) -> Result<(), AuditError> {
        self.post(entry).await?.durable().await
    }

    /// Hands a line over without waiting for the disk. Lines are written in the order of the calls;
    /// whoever lets something happen because of this line must wait for [`Posted::durable`] first.
    ///
    /// # Errors
    /// When the line cannot be handed over.
    pub async fn post(&self, entry: Entry) -> Result<Posted, AuditError> {
        let line =
            json::line(self.clock.now(), &entry).map_err(|error| AuditError::Encode(Arc::new(error)))?;
        match &self.way {
            Way::Memory(journal) => {
                if let Err(error) = journal.append(&line) {
                    return Err(self.lost(&entry, AuditError::Write(Arc::new(error))));
                }
                if let Some(observer) = &self.observer {
                    observer.recorded(&entry);
                }
                Ok(Posted(None))
            }
            Way::Thread(sender) => {
                let place = match tokio::time::timeout(Self::RECORD_DEADLINE, sender.reserve()).await {
                    Ok(Ok(place)) => place,
                    Ok(Err(_)) => return Err(self.lost(&entry, AuditError::Closed)),
                    Err(_) => return Err(self.lost(&entry, AuditError::TooSlow)),
                };
                let (answer, answered) = oneshot::channel();
                let told = self.observer.clone().map(|observer| Box::new((observer, entry)));
                place.send(Command::Append(Waiting { line, answer, told }));
                Ok(Posted(Some(answered)))
            }
        }
    }

    /// Tells the observer that an entry is not on record.
    fn lost(&self, entry: &Entry, error: AuditError) -> AuditError {
        if let Some(observer) = &self.observer {
            observer.lost(entry, &error);
        }
        error
    }

    /// Resolves when the store has every line that is on record at this moment. Without [`Log::stored_by`], at once.
    ///
    /// # Errors
    /// When the store is down, or takes longer than [`Log::STORE_DEADLINE`]; then nothing new may begin.
    pub async fn in_store(&self) -> Result<(), AuditError> {
        let Some(stored) = &self.stored else { return Ok(()) };
        let wanted = self.tip().seq;
        let mut stored = stored.clone();
        let there = stored.wait_for(|stored| match stored {
            Stored::UpTo(seq) => *seq >= wanted,
            Stored::Down => true,
        });
        match tokio::time::timeout(Self::STORE_DEADLINE, there).await {
            Ok(Ok(stored)) if matches!(*stored, Stored::UpTo(_)) => Ok(()),
            // Whoever fills the store has gone, or says that it is down.
            Ok(_) => Err(AuditError::StoreDown),
            Err(_) => Err(AuditError::StoreSlow),
        }
    }

    /// Writes what waits and lets go of the journal. Later records fail with [`AuditError::Closed`].
    ///
    /// # Errors
    /// When the log was closed before.
    pub async fn close(&self) -> Result<(), AuditError> {
        match &self.way {
            Way::Memory(_) => Ok(()),
            Way::Thread(sender) => {
                let (answer, answered) = oneshot::channel();
                sender.send(Command::Close(answer)).await.map_err(|_| AuditError::Closed)?;
                answered.await.unwrap_or(Err(AuditError::Closed))
            }
        }
    }
}

/// A line that was handed over and may not be durable yet.
#[derive(Debug)]
#[must_use]
pub struct Posted(Option<oneshot::Receiver<Result<(), AuditError>>>);

impl Posted {
    /// Waits until the line is durable.
    ///
    /// # Errors
    /// When the line is not on record; then the thing must not happen.
    pub async fn durable(self) -> Result<(), AuditError> {
        match self.0 {
            None => Ok(()),
            Some(answered) => match tokio::time::timeout(Log::RECORD_DEADLINE, answered).await {
                Ok(answer) => answer.unwrap_or(Err(AuditError::Closed)),
                Err(_) => Err(AuditError::TooSlow),
            },
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
