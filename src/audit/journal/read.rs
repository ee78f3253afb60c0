//! Reads the journal from any line on. Whoever goes on where they left off pays for what is new only.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Follower;
use super::book::{Book, Segment, Source};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalLine {
    /// Its number.
    pub seq: u64,
    /// The line, without its line feed.
    pub text: String,
}

/// Reads what is durable. Each clone has a place of its own where it goes on reading.
#[derive(Debug)]
pub struct JournalReader {
    book: Arc<Book>,
    place: Mutex<Option<Place>>,
}

impl Clone for JournalReader {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.book))
    }
}

/// Where reading goes on.
#[derive(Debug)]
struct Place {
    /// The segment's first line.
    first: u64,
    source: Source,
    /// The number of the line that begins at `offset`.
    next: u64,
    offset: u64,
}

/// What is read of a file at a time, at least and at most.
const WINDOW: std::ops::RangeInclusive<usize> = 16 * 1024..=1024 * 1024;

impl JournalReader {
    pub(in crate::audit) fn new(book: Arc<Book>) -> Self {
        Self { book, place: Mutex::new(None) }
    }

    /// The number of the last durable line, as it grows; 0 where there is none.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<u64> {
        self.book.watch()
    }

    /// Up to `lines_max` durable lines after the line `after`, in order; about `bytes_max` bytes of them, and at least
    /// one line where there is one. Where lines have been removed, those behind the gap. Blocks on the disk.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn read(&self, after: u64, lines_max: usize, bytes_max: usize) -> io::Result<Vec<JournalLine>> {
        let mut place = self.place();
        let mut lines = Vec::new();
        let mut room = bytes_max.max(1);
        let mut wanted = after.saturating_add(1);
        while lines.len() < lines_max && room > 0 {
            let Some(segment) = self.book.segment_with(wanted) else { break };
            let known = place.as_ref().is_some_and(|at| at.first == segment.first && at.next == wanted);
            if !known {
                *place = self.find(segment, wanted)?;
            }
            // Where there is no place, the segment was removed in between.
            let Some(at) = place.as_mut() else { continue };
            if at.offset >= segment.bytes {
                // It ends before the next one begins: lines were lost between them that the store had.
                wanted = segment.last.saturating_add(1);
                continue;
            }
            let some = at.read(segment.bytes, room, lines_max.saturating_sub(lines.len()))?;
            let bytes: usize = some.iter().map(|line| line.text.len().saturating_add(1)).sum();
            room = room.saturating_sub(bytes);
            lines.extend(some);
            wanted = at.next;
        }
        Ok(lines)
    }

    /// About how many bytes come after a line.
    #[must_use]
    pub fn bytes_after(&self, seq: u64) -> u64 {
        self.book.bytes_after(seq)
    }

    /// How many bytes the journal has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.book.bytes()
    }

    /// Follows the journal under a name, from after the line `position` on: what comes after is kept until it is
    /// passed. A name that follows already has the new position from here on.
    #[must_use]
    pub fn follow(&self, name: &str, position: u64) -> Follower {
        self.book.follow(name, position);
        Follower { book: Arc::clone(&self.book), name: name.to_owned() }
    }

    /// Removes the segments that all who follow have passed. To be called from time to time, once everybody who is to
    /// follow does; where nobody follows, nothing is removed. [`super::super::Heads::run`] does so.
    pub fn remove_passed(&self) {
        self.book.remove_passed();
    }

    fn place(&self) -> MutexGuard<'_, Option<Place>> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes through a segment from its start; nothing where it has been removed.
    fn find(&self, segment: Segment, wanted: u64) -> io::Result<Option<Place>> {
        let source = match self.book.open(segment) {
            Err(_) if self.book.bytes_of(segment.first).is_none() => return Ok(None),
            opened => opened?,
        };
        let mut place = Place { first: segment.first, source, next: segment.first, offset: 0 };
        while place.next < wanted && place.offset < segment.bytes {
            let skip = usize::try_from(wanted.saturating_sub(place.next)).unwrap_or(usize::MAX);
            place.read(segment.bytes, *WINDOW.end(), skip)?;
        }
        Ok(Some(place))
    }
}

impl Place {
    /// At least one line and at most `lines_max`, from about `room` bytes before `end`.
    fn read(&mut self, end: u64, room: usize, lines_max: usize) -> io::Result<Vec<JournalLine>> {
        let mut window = room.clamp(*WINDOW.start(), *WINDOW.end());
        loop {
            let left = usize::try_from(end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
            let mut bytes = vec![0; window.min(left)];
            self.source.read_at(&mut bytes, self.offset)?;
            let lines = self.take_lines(&bytes, room, lines_max)?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            if window >= left {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the journal ends within a line"));
            }
            window = window.saturating_mul(2);
        }
    }

    fn take_lines(&mut self, bytes: &[u8], room: usize, lines_max: usize) -> io::Result<Vec<JournalLine>> {
        let mut lines = Vec::new();
        let mut taken = 0_usize;
        for line in bytes.split_inclusive(|byte| *byte == b'\n').take(lines_max) {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let length = line.len().saturating_add(1);
            if !lines.is_empty() && taken.saturating_add(length) > room {
                break;
            }
            let text = String::from_utf8(line.to_vec()).map_err(|_| {
                io::Error::new(io::ErrorKind::InvalidData, "a line of the journal is no text")
            })?;
            lines.push(JournalLine { seq: self.next, text });
            self.next = self.next.saturating_add(1);
            taken = taken.saturating_add(length);
        }
        self.offset = self.offset.saturating_add(u64::try_from(taken).unwrap_or(u64::MAX));
        Ok(lines)
    }
}
