//! The journal: what this node recorded, on its own disk, in files of some size each. It is the one truth of the node;
//! the store and the sinks follow it at their own pace.
//!
//! What always holds here:
//! - Lines are whole, in order, and no number is there twice or missing, whatever failed and whenever the power went. What
//!   a reader sees is durable and never changes.
//! - A segment is a file named after the number of its first line. It is removed when everybody who follows has
//!   passed its last line, and the last line of all is never removed: the chain goes on from it.
//! - The directory is locked, so that a second daemon cannot write into it. It and its files are for their owner alone.
//!
//! What it deliberately does not do: repair. A torn end, which nobody was promised, is cut off; a journal that is damaged
//! in any other way is left as it is and not written to.

mod book;
mod follow;
mod known;
mod read;
mod recover;
mod tail;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(super) use book::Book;
pub use follow::Follower;
pub use known::known_to_journal;
pub use read::{JournalLine, JournalReader};
pub(super) use recover::JournalError;

use self::book::Segment;
use self::tail::Tail;
use super::Settings;
use super::chain::{Batch, Chain, Tip};
use super::writer::Append;

/// A segment gets no more lines when the next would make it longer, in bytes.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// The journal as its writer has it.
#[derive(Debug)]
pub(super) struct Journal {
    book: Arc<Book>,
    /// The segment that is written to; none until there is a line for it.
    tail: Option<Tail<File>>,
    directory: File,
    sync: bool,
    segment_bytes: u64,
}

impl Journal {
    /// Opens the journal, and says where its chain goes on.
    pub(super) fn open(settings: &Settings) -> Result<(Self, Chain), JournalError> {
        Self::open_with(settings, SEGMENT_BYTES)
    }

    fn open_with(settings: &Settings, segment_bytes: u64) -> Result<(Self, Chain), JournalError> {
        let path = &settings.journal;
        let directory = locked(path)?;
        let found = recover::recover(path, &settings.node, settings.sync)?;
        if settings.sync {
            directory.sync_all()?;
        }
        let tail = match found.segments.last() {
            Some(last) => Some(Tail::new(open_segment(path, last.first, false)?, last.bytes)),
            None => None,
        };
        let stored = settings.resume.map_or(Tip::START, |(seq, hash)| Tip { seq, hash });
        // The store can be ahead where lines were not synced, or the directory is a new one.
        let ahead = stored.seq > found.tip.seq;
        let tip = if ahead { stored } else { found.tip };
        let book = Book::on_disk(path.clone(), found.segments, tip);
        let tail = if ahead { None } else { tail };
        let journal = Self { book: Arc::new(book), tail, directory, sync: settings.sync, segment_bytes };
        Ok((journal, Chain { node: settings.node.clone(), tip }))
    }

    /// What readers see of it.
    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }

    /// The segment that takes these lines: the present one, or a new one where that is full.
    fn tail_for(&mut self, batch: &Batch) -> io::Result<&mut Tail<File>> {
        let length = u64::try_from(batch.bytes.len()).unwrap_or(u64::MAX);
        let full = |tail: &Tail<File>| {
            tail.length() > 0 && tail.length().saturating_add(length) > self.segment_bytes
        };
        match self.tail.take_if(|tail| full(tail)) {
            None if self.tail.is_some() => {}
            full => match self.begin_segment(batch.first) {
                Ok(()) => {}
                Err(error) => {
                    // The full one is still the last.
                    self.tail = full;
                    return Err(error);
                }
            },
        }
        self.tail.as_mut().ok_or_else(|| io::Error::other("the journal has no segment"))
    }

    fn begin_segment(&mut self, first: u64) -> io::Result<()> {
        let file = open_segment(self.book.directory(), first, true)?;
        if self.sync {
            // A new file's name is durable only when its directory is.
            self.directory.sync_all()?;
        }
        self.tail = Some(Tail::new(file, 0));
        self.book.add(Segment::begun(first));
        Ok(())
    }
}

impl Append for Journal {
    fn append(&mut self, batch: &Batch) -> io::Result<()> {
        let sync = self.sync;
        let tail = self.tail_for(batch)?;
        tail.append(&batch.bytes, sync)?;
        let length = tail.length();
        self.book.committed(length, batch.tip);
        Ok(())
    }
}

/// The directory, which is made where it is missing, and kept from others while it is open.
fn locked(path: &Path) -> Result<File, JournalError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
        Ok(()) | Err(_) => {}
    }
    if !fs::metadata(path)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
    }
    let directory = File::open(path)?;
    lock(&directory)?;
    Ok(directory)
}

/// How often the lock is asked for, and how long it is waited in between.
const LOCK_ATTEMPTS: u32 = 40;
const LOCK_PAUSE: Duration = Duration::from_millis(25);

/// Takes the lock. A child that is being started has what its parent had open until it becomes another program, so
/// that a lock can outlive who let go of it by a moment.
fn lock(directory: &File) -> io::Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        match directory.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another process writes to it"))
}

fn open_segment(directory: &Path, first: u64, create: bool) -> io::Result<File> {
    let path = directory.join(book::file_name(first));
    OpenOptions::new().read(true).write(true).create(create).truncate(create).mode(0o600).open(path)
}
