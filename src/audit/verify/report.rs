//! What verification says.

use std::fmt;

use serde::Serialize;

use super::chain::{At, Seen};
use super::{Node, shown};

/// What befell a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Break {
    /// It is not what was written.
    Changed,
    /// It is gone, and later ones are there.
    Removed,
    /// It stands elsewhere.
    Reordered,
    /// It was not written by the node, or not there.
    Inserted,
    /// It and all later ones are gone.
    CutOff,
    /// It is no record at all.
    Unreadable,
    /// The chain is whole, but not the one that others have known.
    Rewritten,
    /// A head whose signature is not its key's.
    BadSignature,
    /// A head whose key is none of those given.
    UnknownKey,
    /// A head that makes no sense.
    BadHead,
    /// A prune record that is not believed.
    BadPruneRecord,
    /// No head vouches for it although one should.
    Unsigned,
    /// A recording is not the one that the record tells of, or is missing.
    Recording,
    /// What the store derived from the records does not follow from them.
    Derived,
}

impl Break {
    /// The label.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
            Self::Inserted => "inserted",
            Self::CutOff => "cut off",
            Self::Unreadable => "unreadable",
            Self::Rewritten => "rewritten",
            Self::BadSignature => "bad signature",
            Self::UnknownKey => "unknown key",
            Self::BadHead => "bad head",
            Self::BadPruneRecord => "bad prune record",
            Self::Unsigned => "unsigned",
            Self::Recording => "recording",
            Self::Derived => "derived",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// What befell the record.
    pub what: Break,
    /// Whose record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The time that it tells, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Its event, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The file and line, where it came from a file; of a record that is missing, of the one behind it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// How it shows, as a sentence without the full stop.
    pub text: String,
    #[serde(skip)]
    pub(super) where_at: Option<At>,
    /// Among all lines; what is missing at the end comes last.
    #[serde(skip)]
    position: u64,
}

impl Finding {
    /// Something about no record in particular.
    #[must_use]
    pub fn new(what: Break) -> Self {
        Self {
            what,
            node: None,
            seq: None,
            time: None,
            event: None,
            place: None,
            text: String::new(),
            where_at: None,
            position: u64::MAX,
        }
    }

    /// Something about a record of which no more is known than where it belongs.
    #[must_use]
    pub fn of_node(what: Break, node: &str, seq: u64) -> Self {
        Self { node: Some(shown(node)), seq: Some(seq), ..Self::new(what) }
    }

    pub(super) fn of(what: Break, node: &str, seen: &Seen) -> Self {
        Self {
            time: Some(shown(&seen.time)),
            event: Some(shown(&seen.event)),
            where_at: Some(seen.at),
            ..Self::of_node(what, node, seen.seq)
        }
    }

    /// How it shows.
    #[must_use]
    pub fn saying(mut self, text: impl Into<String>) -> Self {
        self.text = text.into();
        self
    }

    pub(super) fn at(mut self, position: u64) -> Self {
        self.position = position;
        self
    }

    /// By which findings are sorted: as the lines came.
    pub(super) fn order(&self) -> u64 {
        self.position
    }

    /// The record; findings about one record are one.
    pub(super) fn key(&self) -> Option<(String, u64, bool)> {
        let aside = matches!(self.what, Break::Recording | Break::Derived);
        Some((self.node.clone()?, self.seq?, aside))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.what.label())?;
        match (&self.node, self.seq) {
            (Some(node), Some(seq)) => write!(f, " record {seq} of the node {node}")?,
            (Some(node), None) => write!(f, " the node {node}")?,
            (None, _) => write!(f, " a line")?,
        }
        match (&self.time, &self.event) {
            (Some(time), Some(event)) => write!(f, " ({event}, {time})")?,
            (Some(one), None) | (None, Some(one)) => write!(f, " ({one})")?,
            (None, None) => {}
        }
        if let Some(place) = &self.place {
            write!(f, " at {place}")?;
        }
        write!(f, ": {}.", self.text)
    }
}

/// What there is of one node.
#[derive(Debug, Clone, Serialize)]
pub struct NodeReport {
    /// The node.
    pub node: String,
    /// How many lines were given, repeated ones included.
    pub lines: u64,
    /// The lowest number.
    pub from: u64,
    /// The highest number.
    pub through: u64,
    /// The time that the last record tells.
    pub until: String,
    /// How many heads there are.
    pub heads: u64,
    /// The last record that a head vouches for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_through: Option<u64>,
    /// The time of that head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_at: Option<String>,
    /// Lines that came twice, unchanged, as sinks do after an interruption.
    pub repeats: u64,
}

impl NodeReport {
    pub(super) fn of(name: &str, node: &Node) -> Option<Self> {
        let signed = node.seals.through();
        Some(Self {
            node: shown(name),
            lines: node.lines,
            from: node.chain.first()?.seq,
            through: node.chain.last()?.seq,
            until: shown(&node.chain.last()?.time),
            heads: node.seals.heads(),
            signed_through: signed.map(|(seq, _)| seq),
            signed_at: signed.map(|(_, time)| shown(time)),
            repeats: node.chain.repeats(),
        })
    }
}

impl fmt::Display for NodeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}: records {} to {}, until {}", self.node, self.from, self.through, self.until)?;
        match (self.signed_through, &self.signed_at) {
            (Some(through), Some(at)) => {
                write!(f, "; signed up to record {through} at {at}")?;
                let behind = self.through.saturating_sub(through);
                if behind > 0 {
                    write!(f, ", {behind} behind it are not signed yet")?;
                }
            }
            (Some(_), None) | (None, _) => write!(f, "; none is signed")?,
        }
        if self.repeats > 0 {
            write!(f, "; {} came twice", self.repeats)?;
        }
        write!(f, ".")
    }
}

/// What verification says of a trail.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What there is, by node.
    pub nodes: Vec<NodeReport>,
    /// What is wrong, in the order of the lines; the first is the first record that is not what it was.
    pub findings: Vec<Finding>,
    /// How many findings there are beyond those.
    pub more: u64,
    /// What was not checked, as sentences.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.findings.is_empty() && self.more == 0
    }

    /// The first record that is not what it was.
    #[must_use]
    pub fn first(&self) -> Option<&Finding> {
        self.findings.first()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            writeln!(f, "{node}")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        if self.nodes.is_empty() && self.passed() {
            return writeln!(f, "There are no records.");
        }
        if self.passed() {
            return writeln!(f, "The trail is as it was written.");
        }
        writeln!(f, "The trail is NOT as it was written:")?;
        for finding in &self.findings {
            writeln!(f, "  {finding}")?;
        }
        if self.more > 0 {
            writeln!(f, "  and {} more.", self.more)?;
        }
        Ok(())
    }
}
