//! Verification of a store: every node's lines, the recordings that they tell of, and what was derived from them.

use super::report::{Break, Finding};
use super::{Demands, RecordingClaim, RecordingState, Report, Verifier};
use crate::audit::{JournalLine, NodeHead, PruneRecord};
use crate::domain::NodeName;
use crate::tasks::BoxFuture;

/// What verification asks of a store. Errors are sentences without the full stop.
pub trait Trail: Send + Sync {
    /// Every node that has lines.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeName>, String>>;
    /// Some of a node's lines after a number, in order; none where there are no more.
    fn lines<'a>(&'a self, node: &'a NodeName, after: u64)
    -> BoxFuture<'a, Result<Vec<JournalLine>, String>>;
    /// Lines of a node that must be there, and who knows them: the store's own account of how far it is, the journal.
    fn accounts<'a>(&'a self, node: &'a NodeName) -> BoxFuture<'a, Result<Vec<Account>, String>>;
    /// Every prune record, in JSON.
    fn prunings(&self) -> BoxFuture<'_, Result<Vec<String>, String>>;
    /// Looks at a recording.
    fn recording<'a>(&'a self, claim: &'a RecordingClaim) -> BoxFuture<'a, RecordingState>;
    /// What of the derived rows does not follow from the lines, a sentence without the full stop each.
    fn derived(&self) -> BoxFuture<'_, Result<Vec<String>, String>>;
}

/// Who knows a line, as a sentence begins with it, and the line.
pub type Account = (&'static str, NodeHead);

/// How often lines that came meanwhile are asked for, where heads name them.
const ROUNDS_MAX: usize = 5;

/// How often a store is checked anew because records were pruned meanwhile.
const TURNS_MAX: usize = 3;

/// Checks a store. Where records are pruned meanwhile and something is missing, it is checked again.
///
/// # Errors
/// What the store says where it does not answer.
pub async fn verify_trail(trail: &dyn Trail, demands: Demands) -> Result<Report, String> {
    let mut turn = 1;
    loop {
        let prunings = trail.prunings().await?;
        let mut report = check(trail, demands.clone(), &prunings).await?;
        if report.passed() || trail.prunings().await? == prunings {
            return Ok(report);
        }
        if turn >= TURNS_MAX {
            let note = "Records were pruned while they were checked, and what is missing may be those: check again when `drawbridge prune` has ended.";
            report.notes.push(note.to_owned());
            return Ok(report);
        }
        turn = turn.saturating_add(1);
    }
}

async fn check(trail: &dyn Trail, demands: Demands, prunings: &[String]) -> Result<Report, String> {
    let verifier = Verifier::new(Demands { whole: true, ..demands });
    let mut check = Check { trail, verifier, unknown: Vec::new(), unknown_more: 0 };
    prunings.iter().for_each(|json| check.pruning(json));
    let nodes = trail.nodes().await?;
    // Before any line is read, so that a daemon that runs cannot have written what is behind.
    for node in &nodes {
        match trail.accounts(node).await {
            Ok(accounts) => {
                accounts.iter().for_each(|(whose, head)| check.verifier.account(whose, head));
            }
            Err(why) => {
                let text = format!("what is known of the node {node} cannot be read: {}", super::shown(&why));
                check.verifier.found(Finding::new(Break::Derived).saying(text));
            }
        }
    }
    for node in &nodes {
        check.node(node, 0).await;
    }
    // A daemon that runs goes on writing, and a head that was read late may name lines that came after theirs.
    for _ in 0..ROUNDS_MAX {
        let wanted = check.verifier.wants();
        let mut more = false;
        for (node, after) in wanted {
            if let Some(node) = NodeName::parse(&node) {
                more |= check.node(&node, after).await;
            }
        }
        if !more {
            break;
        }
    }
    let derived = trail.derived().await;
    for text in derived.unwrap_or_else(|why| vec![format!("what is derived cannot be compared: {why}")]) {
        check.verifier.found(Finding::new(Break::Derived).saying(super::shown(&text)));
    }
    let mut report = check.verifier.finish();
    report.notes.extend(check.unknown);
    if check.unknown_more > 0 {
        report.notes.push(format!("{} recordings more were not checked.", check.unknown_more));
    }
    Ok(report)
}

struct Check<'a> {
    trail: &'a dyn Trail,
    verifier: Verifier,
    /// What could not be looked at.
    unknown: Vec<String>,
    /// How many more.
    unknown_more: u64,
}

/// The most recordings that could not be looked at that are told of one by one.
const UNKNOWN_MAX: usize = 20;

impl Check<'_> {
    fn pruning(&mut self, json: &str) {
        match PruneRecord::from_json(json).or_else(|| PruneRecord::from_line(json)) {
            Some(record) => self.verifier.pruning(record),
            None => {
                let text = "a prune record of the store is no such thing";
                self.verifier.found(Finding::new(Break::BadPruneRecord).saying(text));
            }
        }
    }

    /// Takes all lines of a node after a number; whether there were any. Where they cannot be read, that is a finding,
    /// so that what was found before is told too.
    async fn node(&mut self, node: &NodeName, mut after: u64) -> bool {
        let mut any = false;
        loop {
            let lines = match self.trail.lines(node, after).await {
                Ok(lines) => lines,
                Err(why) => {
                    self.verifier.found(unreadable(node, after, &why));
                    return any;
                }
            };
            let Some(last) = lines.last() else { return any };
            if last.seq <= after {
                self.verifier.found(unreadable(node, after, "the store gives others than were asked for"));
                return any;
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
            RecordingState::Unknown(_) => self.unknown_more = self.unknown_more.saturating_add(1),
        }
    }
}

fn unreadable(node: &NodeName, after: u64, why: &str) -> Finding {
    let text = format!("it and what follows cannot be read: {}", super::shown(why));
    Finding::of_node(Break::Unreadable, node.as_str(), after.saturating_add(1)).saying(text)
}
