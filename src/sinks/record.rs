//! A line of the journal, taken apart for the receivers that want more than the line.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::audit::JournalLine;

/// The name under which a line goes that cannot be taken apart. The journal was damaged, then.
pub(super) const UNREADABLE: &str = "unreadable";

/// A line, taken apart.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// The whole line.
    pub(super) text: &'a str,
    /// The number of the line.
    pub(super) seq: u64,
    /// The node that wrote it; empty where it does not say.
    pub(super) node: String,
    /// When it happened.
    pub(super) time: Option<Timestamp>,
    /// What happened.
    pub(super) event: String,
    /// Everything else that is said about it.
    pub(super) fields: Map<String, Value>,
}

/// How much an event should trouble its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Severity {
    /// The ordinary course of things.
    Info,
    /// Ordinary, and worth knowing of.
    Notice,
    /// Someone was refused, or something did not work for one user.
    Warning,
    /// The record or a target is not what it should be.
    Error,
}

impl<'a> Record<'a> {
    /// Takes a line apart; never fails.
    pub(super) fn of(line: &'a JournalLine) -> Self {
        let said = serde_json::from_str::<Map<String, Value>>(&line.text).unwrap_or_default();
        let mut record = Self {
            text: &line.text,
            seq: line.seq,
            node: String::new(),
            time: None,
            event: UNREADABLE.to_owned(),
            fields: Map::new(),
        };
        for (name, value) in said {
            match (name.as_str(), value) {
                ("v" | "seq" | "prev", _) => {}
                ("node", Value::String(node)) => record.node = node,
                ("time", Value::String(time)) => record.time = time.parse().ok(),
                ("event", Value::String(event)) => record.event = event,
                (_, value) => drop(record.fields.insert(name, value)),
            }
        }
        record
    }

    /// A text of the event.
    pub(super) fn text_of(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }

    /// A whole number of the event.
    pub(super) fn number_of(&self, field: &str) -> Option<u64> {
        self.fields.get(field).and_then(Value::as_u64)
    }

    /// A text of an object of the event.
    pub(super) fn text_in(&self, object: &str, field: &str) -> Option<&str> {
        self.fields.get(object)?.get(field)?.as_str()
    }

    /// How much the event should trouble its reader.
    pub(super) fn severity(&self) -> Severity {
        match (self.event.as_str(), self.text_of("reason"), self.text_of("outcome")) {
            ("authentication-failed", Some("method-not-offered"), _) | ("decision", _, Some("permit")) => {
                Severity::Info
            }
            ("upstream-failed", Some("host-key-changed"), _)
            | (
                "recording-failed"
                | "store-unavailable"
                | "sink-overflowed"
                | "session-interrupted"
                | "connection-interrupted"
                | UNREADABLE,
                ..,
            ) => Severity::Error,
            (
                "authentication-failed"
                | "connection-refused"
                | "target-not-resolved"
                | "channel-refused"
                | "reload-refused"
                | "decision"
                | "key-push-failed"
                | "upstream-failed",
                ..,
            ) => Severity::Warning,
            (
                "daemon-started" | "daemon-stopped" | "reloaded" | "store-recovered" | "session-watched"
                | "kill-ordered" | "recording-salvaged",
                ..,
            ) => Severity::Notice,
            _other => Severity::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> JournalLine {
        JournalLine { seq: 7, text: text.to_owned() }
    }

    #[test]
    fn a_line_is_taken_apart() {
        let line = line(
            r#"{"v":1,"node":"b1","seq":7,"prev":"00","time":"2026-01-02T03:04:05.678Z","event":"decision","outcome":"refuse","target":{"id":"i-1"},"n":3}"#,
        );
        let record = Record::of(&line);
        assert_eq!((record.seq, record.node.as_str(), record.event.as_str()), (7, "b1", "decision"));
        assert_eq!(record.time.map(Timestamp::as_millisecond), Some(1_767_323_045_678));
        assert_eq!(record.text_in("target", "id"), Some("i-1"));
        assert_eq!(record.number_of("n"), Some(3));
        assert_eq!(record.severity(), Severity::Warning);
        let names: std::collections::BTreeSet<_> = record.fields.keys().map(String::as_str).collect();
        assert_eq!(names, ["n", "outcome", "target"].into());
    }

    #[test]
    fn any_line_can_be_taken_apart() {
        for text in ["", "null", "[1]", "{", r#"{"event":7,"time":"yesterday"}"#, "\u{0}\u{1b}[2J"] {
            let line = line(text);
            let record = Record::of(&line);
            assert_eq!((record.event.as_str(), record.time), (UNREADABLE, None), "{text}");
            assert_eq!(record.severity(), Severity::Error);
        }
    }
}
