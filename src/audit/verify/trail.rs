//! Verification of a store: every node's lines, the recordings that they tell of, and what was derived from them.

use super::report::{Break, Finding};
use super::{Demands, RecordingClaim, RecordingState, Report, Verifier};
use crate::audit::{JournalLine, PruneRecord};
use crate::credential::BoxFuture;
use crate::domain::NodeName;

/// What verification asks of a store. Errors are sentences without the full stop.
pub trait Trail: Send + Sync {
    /// Every node that has lines.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeName>, String>>;
    /// Some of a node's lines after a number, in order; none where there are no more.
    fn lines<'a>(&'a self, node: &'a NodeName, after: u64)
    -> BoxFuture<'a, Result<Vec<JournalLine>, String>>;
    /// Every prune record.
    fn prunings(&self) -> BoxFuture<'_, Result<Vec<PruneRecord>, String>>;
    /// Looks at a recording.
    fn recording<'a>(&'a self, claim: &'a RecordingClaim) -> BoxFuture<'a, RecordingState>;
    /// What of the derived rows does not follow from the lines, a sentence without the full stop each.
    fn derived(&self) -> BoxFuture<'_, Result<Vec<String>, String>>;
}

/// How often lines that came meanwhile are asked for, where heads name them.
const ROUNDS_MAX: usize = 5;

/// Checks a store.
///
/// # Errors
/// What the store says where it does not answer.
pub async fn verify_trail(trail: &dyn Trail, demands: Demands) -> Result<Report, String> {
    let mut check =
        Check { trail, verifier: Verifier::new(Demands { whole: true, ..demands }), unknown: Vec::new() };
    for record in trail.prunings().await? {
        check.verifier.pruning(record);
    }
    for node in trail.nodes().await? {
        check.node(&node, 0).await?;
    }
    // A daemon that runs goes on writing, and a head that was read late may name lines that came after theirs.
    for _ in 0..ROUNDS_MAX {
        let wanted = check.verifier.wants();
        let mut more = false;
        for (node, after) in wanted {
            if let Some(node) = NodeName::parse(&node) {
                more |= check.node(&node, after).await?;
            }
        }
        if !more {
            break;
        }
    }
    for text in trail.derived().await? {
        check.verifier.found(Finding::new(Break::Derived).saying(super::shown(&text)));
    }
    let mut report = check.verifier.finish();
    report.notes.extend(check.unknown);
    Ok(report)
}

struct Check<'a> {
    trail: &'a dyn Trail,
    verifier: Verifier,
    /// What could not be looked at.
    unknown: Vec<String>,
}

/// The most recordings that could not be looked at that are told of one by one.
const UNKNOWN_MAX: usize = 20;

impl Check<'_> {
    /// Takes all lines of a node after a number; whether there were any.
    async fn node(&mut self, node: &NodeName, mut after: u64) -> Result<bool, String> {
        let mut any = false;
        loop {
            let lines = self.trail.lines(node, after).await?;
            let Some(last) = lines.last() else { return Ok(any) };
            if last.seq <= after {
                return Err(format!("the store gives lines of the node {node} that were not asked for"));
            }
            after = last.seq;
            any = true;
            for line in &lines {
                if let Some(claim) = self.verifier.row(node.as_str(), line.seq, &line.text) {
                    self.recording(&claim).await;
                }
            }
        }
    }

    async fn recording(&mut self, claim: &RecordingClaim) {
        match self.trail.recording(claim).await {
            RecordingState::Sound | RecordingState::Pruned => {}
            RecordingState::Broken(why) => self.verifier.found(claim.broken(&why)),
            RecordingState::Unknown(why) if self.unknown.len() < UNKNOWN_MAX => {
                let (id, why) = (super::shown(&claim.id), super::shown(&why));
                self.unknown.push(format!("The recording {id} was not checked: {why}."));
            }
            RecordingState::Unknown(_) => {}
        }
    }
}
