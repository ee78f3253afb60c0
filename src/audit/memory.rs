//! A log in memory, for tests of whoever records.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::Sink;

/// Keeps lines, or fails where it was told to.
#[derive(Debug, Clone, Default)]
pub(super) struct MemorySink(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<Value>,
    /// How many lines fit.
    room: Option<usize>,
}

impl MemorySink {
    pub(super) fn collected(&self) -> Collected {
        Collected(self.clone())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for MemorySink {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut kept = self.kept();
        if kept.room.is_some_and(|room| kept.lines.len() >= room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        kept.lines.push(serde_json::from_slice(lines)?);
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a log in memory has collected.
#[derive(Debug, Clone)]
pub struct Collected(MemorySink);

impl Collected {
    /// Every line so far, as JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        self.0.kept().lines.clone()
    }

    /// The events' names so far, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let name = |line: &Value| line.get("event").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.0.kept().lines.iter().map(name).collect()
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
