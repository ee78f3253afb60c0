//! What of the journal is durable: which segments there are, how far they go, and who follows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::audit::chain::Tip;

/// One file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    /// The number of its first line.
    pub(super) first: u64,
    /// The number of its last durable line; one less than the first where there is none.
    pub(super) last: u64,
    /// How many of its bytes are durable.
    pub(super) bytes: u64,
}

/// A segment's name: the number of its first line.
pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}.jsonl")
}

/// The number in a segment's name; nothing where it is another file's.
pub(super) fn number_in(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
}

/// Shared by the writer and all readers.
#[derive(Debug)]
pub(in crate::audit) struct Book {
    medium: Medium,
    state: Mutex<State>,
    committed: watch::Sender<u64>,
}

#[derive(Debug)]
enum Medium {
    Directory(PathBuf),
    Memory(Arc<Mutex<Vec<u8>>>),
}

#[derive(Debug)]
struct State {
    /// In the order of their numbers.
    segments: Vec<Segment>,
    tip: Tip,
    /// The last number that each follower has passed.
    followers: BTreeMap<String, u64>,
}

impl Segment {
    /// One without lines.
    pub(super) fn begun(first: u64) -> Self {
        Self { first, last: first.saturating_sub(1), bytes: 0 }
    }
}

/// Bytes to read lines from.
#[derive(Debug)]
pub(super) enum Source {
    File(File),
    Memory(Arc<Mutex<Vec<u8>>>),
}

impl Source {
    /// Fills the buffer from there.
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::File(file) => file.read_exact_at(buffer, at),
            Self::Memory(bytes) => {
                let bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
                let at = usize::try_from(at).map_err(io::Error::other)?;
                let wanted = bytes.get(at..at.saturating_add(buffer.len()));
                buffer.copy_from_slice(wanted.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }
}

impl Book {
    pub(super) fn on_disk(directory: PathBuf, segments: Vec<Segment>, tip: Tip) -> Self {
        Self::new(Medium::Directory(directory), segments, tip)
    }

    /// One that has no files.
    pub(in crate::audit) fn in_memory() -> Self {
        Self::new(Medium::Memory(Arc::default()), vec![Segment::begun(1)], Tip::START)
    }

    fn new(medium: Medium, segments: Vec<Segment>, tip: Tip) -> Self {
        let state = State { segments, tip, followers: BTreeMap::new() };
        Self { medium, state: Mutex::new(state), committed: watch::Sender::new(tip.seq) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the files are.
    pub(super) fn directory(&self) -> &Path {
        match &self.medium {
            Medium::Directory(path) => path,
            Medium::Memory(_) => Path::new(""),
        }
    }

    /// The last durable line.
    pub(in crate::audit) fn tip(&self) -> Tip {
        self.state().tip
    }

    /// The number of the last durable line, as it grows.
    pub(in crate::audit) fn watch(&self) -> watch::Receiver<u64> {
        self.committed.subscribe()
    }

    pub(super) fn add(&self, segment: Segment) {
        let mut state = self.state();
        // An earlier attempt may have begun it.
        state.segments.retain(|known| known.first < segment.first);
        state.segments.push(segment);
    }

    /// The last segment has `bytes` durable bytes from here on, up to this line.
    pub(super) fn committed(&self, bytes: u64, tip: Tip) {
        {
            let mut state = self.state();
            if let Some(last) = state.segments.last_mut() {
                (last.bytes, last.last) = (bytes, tip.seq);
            }
            state.tip = tip;
        }
        self.committed.send_replace(tip.seq);
    }

    /// Adds lines to memory.
    pub(in crate::audit) fn add_in_memory(&self, lines: &[u8], tip: Tip) {
        if let Medium::Memory(bytes) = &self.medium {
            let mut bytes = bytes.lock().unwrap_or_else(PoisonError::into_inner);
            bytes.extend_from_slice(lines);
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            drop(bytes);
            self.committed(length, tip);
        }
    }

    /// The segment that has this line, else the first one with a later line.
    pub(super) fn segment_with(&self, seq: u64) -> Option<Segment> {
        let state = self.state();
        let after = state.segments.partition_point(|segment| segment.first <= seq);
        let before = after.checked_sub(1).and_then(|at| state.segments.get(at));
        let it = before.filter(|segment| segment.last >= seq).or_else(|| state.segments.get(after));
        it.copied().filter(|segment| segment.bytes > 0)
    }

    /// The durable bytes of a segment; nothing where it has been removed.
    pub(super) fn bytes_of(&self, first: u64) -> Option<u64> {
        let state = self.state();
        state.segments.iter().rev().find(|segment| segment.first == first).map(|segment| segment.bytes)
    }

    pub(super) fn open(&self, segment: Segment) -> io::Result<Source> {
        match &self.medium {
            Medium::Directory(path) => Ok(Source::File(File::open(path.join(file_name(segment.first)))?)),
            Medium::Memory(bytes) => Ok(Source::Memory(Arc::clone(bytes))),
        }
    }

    /// About how many bytes come after a line, as if the lines of a segment were of one length.
    pub(super) fn bytes_after(&self, seq: u64) -> u64 {
        let state = self.state();
        let mut sum = 0_u64;
        for segment in &state.segments {
            let lines = segment.last.saturating_add(1).saturating_sub(segment.first).max(1);
            let ahead = segment.last.saturating_sub(seq).min(lines);
            let part = u128::from(segment.bytes) * u128::from(ahead) / u128::from(lines);
            sum = sum.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
        }
        sum
    }

    /// All durable bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.state().segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(super) fn follow(&self, name: &str, position: u64) {
        self.state().followers.insert(name.to_owned(), position);
    }

    pub(super) fn passed(&self, name: &str, seq: u64) {
        if let Some(position) = self.state().followers.get_mut(name) {
            *position = seq.max(*position);
        }
    }

    /// Removes the segments that every follower has passed, but never the last line.
    pub(super) fn remove_passed(&self) {
        let Medium::Directory(path) = &self.medium else { return };
        for segment in self.take_passed() {
            match fs::remove_file(path.join(file_name(segment.first))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    // It is listed again at the next start.
                    tracing::warn!(%error, first = segment.first, "a segment of the journal cannot be removed");
                }
                Ok(()) | Err(_) => {
                    tracing::debug!(first = segment.first, "a segment of the journal is removed")
                }
            }
        }
    }

    fn take_passed(&self) -> Vec<Segment> {
        let mut state = self.state();
        let Some(slowest) = state.followers.values().min().copied() else { return Vec::new() };
        let with_lines = state.segments.iter().rposition(|segment| segment.bytes > 0).unwrap_or_default();
        let may_go = state.segments.iter().take(with_lines);
        let passed = may_go.take_while(|segment| segment.last <= slowest).count();
        state.segments.drain(..passed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_numbers() {
        assert_eq!(file_name(42), "00000000000000000042.jsonl");
        assert_eq!(number_in(&file_name(u64::MAX)), Some(u64::MAX));
        for other in ["42.jsonl", "lock", "0000000000000000004x.jsonl", "99999999999999999999.jsonl"] {
            assert_eq!(number_in(other), None, "{other}");
        }
    }

    #[test]
    fn what_lies_ahead_is_estimated() {
        let segments =
            vec![Segment { first: 1, last: 10, bytes: 1000 }, Segment { first: 11, last: 15, bytes: 500 }];
        let book = Book::on_disk(PathBuf::new(), segments, Tip { seq: 15, ..Tip::START });
        let ahead: Vec<u64> = [0, 5, 10, 13, 15, 99].map(|seq| book.bytes_after(seq)).to_vec();
        assert_eq!(ahead, [1500, 1000, 500, 200, 0, 0]);
        assert_eq!(book.bytes(), 1500);
    }
}
