//! A log in memory, for tests of whoever records.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::chain::{Chain, Tip};
use super::journal::Book;
use crate::domain::NodeName;

/// Keeps lines, or fails where it was told to.
#[derive(Debug, Clone)]
pub(super) struct MemoryJournal {
    book: Arc<Book>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug)]
struct Kept {
    chain: Chain,
    lines: Vec<String>,
    /// How many lines fit.
    room: Option<usize>,
}

impl MemoryJournal {
    pub(super) fn new(node: NodeName) -> Self {
        let kept = Kept { chain: Chain { node, tip: Tip::START }, lines: Vec::new(), room: None };
        Self { book: Arc::new(Book::in_memory()), kept: Arc::new(Mutex::new(kept)) }
    }

    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book)
    }

    pub(super) fn collected(&self) -> Collected {
        Collected(self.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut kept = self.kept();
        if kept.room.is_some_and(|room| kept.lines.len() >= room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let batch = kept.chain.place(std::iter::once(line));
        let text = std::str::from_utf8(&batch.bytes).map_err(io::Error::other)?;
        kept.lines.push(text.trim_end().to_owned());
        kept.chain.tip = batch.tip;
        self.book.add_in_memory(&batch.bytes, batch.tip);
        Ok(())
    }
}

/// What a log in memory has collected.
#[derive(Debug, Clone)]
pub struct Collected(MemoryJournal);

impl Collected {
    /// Every line so far, as it is written, without its line feed.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.kept().lines.clone()
    }

    /// Every line so far, as JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        let value = |text: &String| serde_json::from_str(text).unwrap_or_default();
        self.0.kept().lines.iter().map(value).collect()
    }

    /// The events' names so far, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let name = |line: &Value| line.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.lines().iter().map(name).collect()
    }

    /// The lines of one event.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<Value> {
        let is_it = |line: &Value| line.get("event").and_then(Value::as_str) == Some(name);
        self.lines().into_iter().filter(is_it).collect()
    }

    /// From here on lines fail as on a full disk, once `lines` lines are kept.
    pub fn fail_from(&self, lines: usize) {
        self.0.kept().room = Some(lines);
    }

    /// From here on there is room again.
    pub fn recover(&self) {
        self.0.kept().room = None;
    }
}
