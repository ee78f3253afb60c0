//! What went, or would go, in words and in JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::{Order, Removal};
use crate::domain::NodeName;
use crate::store::{Discarded, PrunePlan, Pruned};

/// How many files that stay are told one by one.
const TOLD_MAX: usize = 20;

/// What a run did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    dry_run: bool,
    #[serde(serialize_with = "as_text")]
    before: jiff::Timestamp,
    nodes: Vec<Node>,
    files: Files,
}

/// One node's part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Node {
    node: NodeName,
    /// The last line that goes; 0 where none does.
    through: u64,
    events: u64,
    sessions: u64,
    recordings: u64,
    /// About: of a dry run the size of the lines and files that would go.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Held {
    id: String,
    since: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Files {
    removed: u64,
    absent: u64,
    locked: u64,
    failed: u64,
    elsewhere: BTreeMap<NodeName, u64>,
    /// The first few that stay, and why.
    stay: Vec<String>,
}

fn as_text<S: serde::Serializer>(time: &jiff::Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

impl Report {
    pub(super) fn new(order: Order) -> Self {
        Self { dry_run: order.dry_run, before: order.before, nodes: Vec::new(), files: Files::default() }
    }

    pub(super) fn node(&mut self, plan: PrunePlan, gone: Pruned) {
        let counts = if self.dry_run {
            Pruned { events: plan.events, sessions: plan.sessions, recordings: plan.recordings }
        } else {
            gone
        };
        self.nodes.push(Node {
            node: plan.node,
            through: plan.through,
            events: counts.events,
            sessions: counts.sessions,
            recordings: counts.recordings,
            bytes: plan.characters.saturating_add(plan.recorded_bytes),
            oldest: plan.oldest.map(|time| time.to_string()),
            newest: plan.newest.map(|time| time.to_string()),
            held_by: plan.held_by.map(|(id, since)| Held { id, since: since.to_string() }),
        });
    }

    pub(super) fn file(&mut self, recording: &Discarded, removal: Removal) {
        let stays = match removal {
            Removal::Removed => return self.files.removed += 1,
            Removal::Absent => return self.files.absent += 1,
            Removal::Elsewhere(node) => return *self.files.elsewhere.entry(node).or_default() += 1,
            Removal::Locked(until) => {
                self.files.locked += 1;
                format!("{} is locked until {until}", recording.id)
            }
            Removal::Failed(why) => {
                self.files.failed += 1;
                format!("{} could not be removed: {why}", recording.id)
            }
        };
        if self.files.stay.len() < TOLD_MAX {
            self.files.stay.push(stays);
        }
    }

    /// How many lines went, or would go, of all nodes.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.nodes.iter().map(|node| node.events).sum()
    }

    /// Whether everything that was to go is gone; files that are locked or on other nodes are no failure.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.files.failed == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = if self.dry_run { "Older than" } else { "Removed what is older than" };
        writeln!(f, "{heading} {}:", self.before)?;
        if self.nodes.is_empty() {
            writeln!(f, "  nothing: the store has no events")?;
        }
        for node in &self.nodes {
            node.show(f, self.dry_run)?;
        }
        if self.dry_run {
            return writeln!(f, "This was a dry run: nothing was removed.");
        }
        self.files.show(f)
    }
}

impl Node {
    fn show(&self, f: &mut fmt::Formatter<'_>, dry_run: bool) -> fmt::Result {
        let Self { node, through, events, sessions, recordings, .. } = self;
        if *events == 0 {
            writeln!(f, "  {node}: nothing")?;
        } else {
            writeln!(
                f,
                "  {node}: {events} events, {sessions} sessions, {recordings} recordings, through {through}"
            )?;
        }
        if let (Some(oldest), Some(newest)) = (&self.oldest, &self.newest) {
            writeln!(f, "    from {oldest} to {newest}")?;
        }
        if dry_run && *events > 0 {
            writeln!(f, "    about {} bytes", self.bytes)?;
        }
        if let Some(Held { id, since }) = &self.held_by {
            writeln!(f, "    the rest stays because of {id}, which was open at that time (since {since})")?;
        }
        Ok(())
    }
}

impl Files {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { removed, absent, locked, failed, elsewhere, stay } = self;
        writeln!(
            f,
            "Files of recordings: {removed} removed, {absent} were gone, {locked} locked, {failed} failed."
        )?;
        for (node, count) in elsewhere {
            writeln!(f, "  {count} are on {node}'s disk: run drawbridge prune there, too")?;
        }
        for why in stay {
            writeln!(f, "  {}", plain(why))?;
        }
        let told = u64::try_from(stay.len()).unwrap_or(u64::MAX);
        match locked.saturating_add(*failed).saturating_sub(told) {
            0 => Ok(()),
            more => writeln!(f, "  and {more} more"),
        }
    }
}

/// What a bucket says is text of others.
fn plain(text: &str) -> String {
    text.chars().map(|c| if crate::audit::json::misleads(c) { ' ' } else { c }).collect()
}
