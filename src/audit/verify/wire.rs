//! What verification reads of a line.

use std::borrow::Cow;

use serde::Deserialize;

use super::chain::{At, Seen};
use crate::audit::chain::LineHash;
use crate::domain::NodeName;

/// The fields that every line has.
#[derive(Debug, Deserialize)]
pub(super) struct Wire<'a> {
    #[serde(borrow)]
    pub(super) node: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    prev: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) time: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) event: Cow<'a, str>,
    pub(super) session: Option<String>,
}

impl<'a> Wire<'a> {
    /// Reads a line; nothing where it is no record.
    pub(super) fn read(line: &'a str) -> Option<Self> {
        let wire: Self = serde_json::from_str(line).ok()?;
        (NodeName::parse(&wire.node).is_some() && LineHash::parse(&wire.prev).is_some()).then_some(wire)
    }

    pub(super) fn seen(&self, hash: LineHash, at: At) -> Seen {
        let prev = LineHash::parse(&self.prev).unwrap_or(LineHash::NONE);
        Seen { seq: self.seq, prev, hash, time: self.time.to_string(), event: self.event.to_string(), at }
    }
}

/// The fields of a head.
#[derive(Debug, Deserialize)]
pub(super) struct HeadWire {
    pub(super) through: u64,
    pub(super) hash: String,
    pub(super) key: String,
    pub(super) signature: String,
    #[serde(default)]
    pub(super) others: Vec<OtherWire>,
}

/// Another node's head in a head.
#[derive(Debug, Deserialize)]
pub(super) struct OtherWire {
    pub(super) node: String,
    pub(super) through: u64,
    pub(super) hash: String,
}

impl HeadWire {
    /// Reads a head; nothing where it is malformed.
    pub(super) fn read(line: &str) -> Option<Self> {
        let head: Self = serde_json::from_str(line).ok()?;
        LineHash::parse(&head.hash)?;
        let sound = |o: &OtherWire| NodeName::parse(&o.node).is_some() && LineHash::parse(&o.hash).is_some();
        head.others.iter().all(sound).then_some(head)
    }
}
