//! Checks a trail: that no record of it was changed, removed, put elsewhere, added or cut off since it was written.
//!
//! What always holds here:
//! - Lines stream through: what is remembered is where each node's chain breaks, its heads, and the hashes of the lines
//!   since the last head; all of it is bounded but for 40 bytes a head.
//! - Nothing is believed because it says so. A head counts when one of the keys given has signed it; without keys, the
//!   report says that no signature was checked.
//! - The first record that is not what it was is named, and what befell it as far as can be told: what a line says
//!   of the one before it, and what the next ones say, is the evidence. `docs/audit.md` has the rules.
//!
//! What it deliberately does not do: trust the database's or a file's order, repair, or guess what a removed record said.

mod chain;
mod claims;
mod files;
mod judge;
mod report;
mod seals;
#[cfg(test)]
mod tests;
mod trail;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::chain::{At, Chain};
use self::judge::Unreadable;
use self::seals::{Quote, Seals, Witness};
use self::wire::Wire;
use super::chain::{LineHash, Placed};
use super::json::misleads;
use super::{AuditKeys, NodeHead, PruneRecord};

pub use claims::{RecordingClaim, RecordingState};
pub use files::verify_files;
pub use report::{Break, Finding, NodeReport, Report};
pub use trail::{Account, Trail, verify_trail};

/// What is asked of a trail.
#[derive(Debug, Clone, Default)]
pub struct Demands {
    /// The keys whose signatures count.
    pub keys: AuditKeys,
    /// What is known from elsewhere, as from the operator's log: these lines must be there, with these hashes.
    pub heads: Vec<NodeHead>,
    /// The lines are a part of a trail: what comes before the first line of each node is not asked for.
    pub part: bool,
    /// The lines are all there is: a node that another one's head names must be among them.
    pub whole: bool,
    /// The longest time between the last signed record and the last one, as the records tell the time; no matter where
    /// there are no keys.
    pub unsigned_max: Option<Duration>,
}

/// The most findings that are kept; more are counted.
const FINDINGS_MAX: usize = 100;

/// Takes lines and says in the end what is wrong with them. Lines of several nodes may be mixed; those of
/// one node come in their order.
#[derive(Debug)]
pub struct Verifier {
    demands: Demands,
    nodes: BTreeMap<String, Node>,
    sources: Vec<String>,
    at: At,
    unreadable: Unreadable,
    prunings: Vec<PruneRecord>,
    quotes: Vec<Quote>,
    /// What is known of lines from elsewhere.
    known: Vec<Quote>,
    /// Nodes of which a row held another's line.
    misplaced: BTreeSet<String>,
    findings: Vec<Finding>,
    more: u64,
}

/// What is known of one node.
#[derive(Debug, Default)]
struct Node {
    chain: Chain,
    seals: Seals,
    lines: u64,
}

impl Verifier {
    /// Begins.
    #[must_use]
    pub fn new(demands: Demands) -> Self {
        let known = demands.heads.iter().map(|head| Quote::by(Witness::Given, head)).collect();
        Self {
            demands,
            known,
            misplaced: BTreeSet::new(),
            nodes: BTreeMap::new(),
            sources: Vec::new(),
            at: At::default(),
            unreadable: Unreadable::default(),
            prunings: Vec::new(),
            quotes: Vec::new(),
            findings: Vec::new(),
            more: 0,
        }
    }

    /// The lines that follow are from there; their number is told beside the name.
    pub fn source(&mut self, name: &str) {
        self.sources.push(name.to_owned());
        self.at.source = self.sources.len();
        self.at.line = 0;
    }

    /// Takes a prune record: a chain that begins behind it is sound.
    pub fn pruning(&mut self, record: PruneRecord) {
        if !self.demands.keys.is_empty()
            && let Err(distrust) = record.verify(&self.demands.keys)
        {
            let text = format!(
                "the proof that records up to {} were pruned is not believed: {distrust}",
                record.through
            );
            let node = record.node.to_string();
            self.found(
                Finding::of_node(Break::BadPruneRecord, &node, record.through)
                    .saying(text)
                    .at(self.at.position),
            );
            return;
        }
        self.prunings.push(record);
    }

    /// Takes a line that somebody else knows of a node, such as the store's own account of how far it is; and who, as a
    /// sentence begins with it.
    pub fn account(&mut self, whose: &'static str, head: &NodeHead) {
        self.known.push(Quote::by(Witness::Other(whose), head));
    }

    /// Takes a line as a row of a table has it: beside the line stand its node and number. Of each node, the first row
    /// with another's line is told: all behind it may be moved.
    pub fn row(&mut self, node: &str, seq: u64, text: &str) -> Option<RecordingClaim> {
        let claim = self.line(text);
        let other = Placed::read(text).filter(|placed| (placed.node, placed.seq) != (node, seq));
        if let Some(placed) = other
            && self.misplaced.insert(node.to_owned())
        {
            let text =
                format!("the row holds record {} of the node {} instead", placed.seq, shown(placed.node));
            let finding = Finding::of_node(Break::Changed, node, seq).saying(text);
            self.found(finding.at(self.at.position));
        }
        claim
    }

    /// Takes a line, without its line feed. Where it tells of a recording, what it says of it.
    pub fn line(&mut self, text: &str) -> Option<RecordingClaim> {
        self.at.position = self.at.position.saturating_add(1);
        self.at.line = self.at.line.saturating_add(1);
        if let Some(record) = PruneRecord::from_line(text) {
            self.pruning(record);
            return None;
        }
        self.unreadable.settle(text);
        let Some(wire) = Wire::read(text) else {
            self.unreadable.add(text, self.at);
            return None;
        };
        let seen = wire.seen(LineHash::of(text), self.at);
        let claim = claims::of(&wire, text);
        let node = self.nodes.entry(wire.node.to_string()).or_default();
        node.lines = node.lines.saturating_add(1);
        let mut findings = Vec::new();
        let known = self.known.iter().filter(|known| known.node == wire.node);
        findings.extend(known.filter_map(|known| known.differs(&seen)));
        self.prunings.iter().filter(|record| record.node.as_str() == wire.node).for_each(|record| {
            findings.extend(seals::differs(
                record.through,
                record.hash,
                "the prune record",
                &wire.node,
                &seen,
            ));
        });
        if wire.event == "head" {
            findings.extend(node.seals.head(&wire.node, &seen, text, &self.demands.keys, &mut self.quotes));
        }
        node.seals.line(&seen);
        node.chain.add(seen);
        findings.into_iter().for_each(|finding| self.found(finding));
        claim
    }

    /// Takes the end of a file that has no line feed: a line, or what is left of one.
    pub fn last(&mut self, text: &str) -> Option<RecordingClaim> {
        if Wire::read(text).is_some() || PruneRecord::from_line(text).is_some() {
            return self.line(text);
        }
        self.at.position = self.at.position.saturating_add(1);
        self.at.line = self.at.line.saturating_add(1);
        let mut finding = match Placed::read_number(text) {
            Some((node, seq, _)) => Finding::of_node(Break::CutOff, node, seq),
            None => Finding::new(Break::CutOff),
        };
        finding = finding.saying("the file ends within this record").at(self.at.position);
        finding.place = self.place(self.at);
        self.found(finding);
        None
    }

    /// Takes a line that is too long for one of ours.
    pub fn too_long(&mut self) {
        self.no_text("");
    }

    /// Takes a line that is not UTF-8 and so none of ours, in whatever form it can be shown. As text it could have the
    /// very hash of the line that it stands for.
    pub fn no_text(&mut self, shown: &str) {
        self.at.position = self.at.position.saturating_add(1);
        self.at.line = self.at.line.saturating_add(1);
        self.unreadable.add(shown, self.at);
    }

    /// Takes what somebody else found.
    pub fn found(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// The nodes of whom more lines are needed than were given, because a head names later ones; and the last number
    /// that was given of them.
    #[must_use]
    pub fn wants(&self) -> Vec<(String, u64)> {
        let missing = self.quotes.iter().filter(|quote| !self.confirms(quote));
        let of = |quote: &Quote| (quote.node.clone(), self.last_of(&quote.node));
        let mut wanted: Vec<(String, u64)> = missing.map(of).collect();
        wanted.sort();
        wanted.dedup();
        wanted
    }

    fn last_of(&self, node: &str) -> u64 {
        self.nodes.get(node).and_then(|node| node.chain.last()).map_or(0, |last| last.seq)
    }

    fn confirms(&self, quote: &Quote) -> bool {
        self.nodes
            .get(&quote.node)
            .is_some_and(|node| node.seals.signed_hash(quote.through) == Some(quote.hash))
    }

    fn place(&self, at: At) -> Option<String> {
        let source = self.sources.get(at.source.checked_sub(1)?)?;
        Some(format!("{}:{}", shown(source), at.line))
    }

    /// What is wrong, in the order of the lines.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let nodes = std::mem::take(&mut self.nodes);
        for (name, node) in &nodes {
            let start = judge::start_of(
                &node.chain,
                self.demands.part,
                self.prunings.iter().filter(|p| p.node.as_str() == name),
            );
            let broken = judge::judge(name, node.chain.runs(), start, &node.seals, &mut self.unreadable);
            let sound = broken.is_empty();
            broken.into_iter().for_each(|finding| self.found(finding));
            if sound {
                node.seals.unplaced(&node.chain).into_iter().for_each(|finding| self.found(finding));
            }
            let unsigned = self.demands.unsigned_max.filter(|_| !self.demands.keys.is_empty());
            if let Some(finding) = unsigned.and_then(|max| node.seals.too_long_unsigned(name, max)) {
                self.found(finding);
            }
            self.more = self.more.saturating_add(node.chain.dropped());
        }
        let unread = std::mem::take(&mut self.unreadable).into_findings();
        unread.into_iter().for_each(|finding| self.found(finding));
        self.nodes = nodes;
        let (mut notes, quoted) = self.judge_quotes();
        quoted.into_iter().for_each(|finding| self.found(finding));
        if self.demands.keys.is_empty() {
            notes.push("No key was given, so no signature was checked: give the output of `drawbridge audit key` with --key.".to_owned());
        }
        self.report(notes)
    }

    /// What heads, here and elsewhere, say of nodes' chains, against what these have.
    fn judge_quotes(&self) -> (Vec<String>, Vec<Finding>) {
        let mut notes = Vec::new();
        let mut findings = Vec::new();
        let known = self.known.iter().cloned();
        let quotes = self.quotes.iter().filter(|quote| !self.confirms(quote)).cloned().chain(known);
        for quote in quotes {
            let pruned = self.pruned_through(&quote.node);
            if quote.through <= pruned {
                continue;
            }
            let node = self.nodes.get(&quote.node);
            let whole = self.demands.whole || quote.is_of_a_line();
            match node.and_then(|node| Some((node, node.chain.first()?, node.chain.last()?))) {
                None if whole => findings.push(quote.cut_off(pruned, None)),
                None => notes.push(format!(
                    "No line of the node {} was given, so what other heads say of it was not checked.",
                    shown(&quote.node)
                )),
                Some((_, first, _)) if quote.through < first.seq => {}
                Some((_, _, last)) if quote.through > last.seq => {
                    findings.push(quote.cut_off(pruned, Some(last)))
                }
                // It was held against the line when that came.
                Some(_) if quote.is_of_a_line() => {}
                // Where its own lines show what befell it, what others say adds nothing.
                Some((node, _, last)) if self.is_sound(&quote.node) => {
                    findings.extend(quote.against(&node.seals, last));
                }
                Some(_) => {}
            }
        }
        notes.dedup();
        (notes, findings)
    }

    /// The last record of a node that was removed on purpose; 0 where there is none.
    fn pruned_through(&self, node: &str) -> u64 {
        let its = self.prunings.iter().filter(|pruning| pruning.node.as_str() == node);
        its.map(|pruning| pruning.through).max().unwrap_or_default()
    }

    /// Whether nothing was found in a node's own lines.
    fn is_sound(&self, node: &str) -> bool {
        !self.findings.iter().any(|finding| finding.node.as_deref() == Some(node))
    }

    fn report(mut self, notes: Vec<String>) -> Report {
        let mut findings = std::mem::take(&mut self.findings);
        findings.sort_by_key(Finding::order);
        // What is told of one record in several ways is told in the first.
        let mut told = std::collections::BTreeSet::new();
        findings.retain(|finding| finding.key().is_none_or(|key| told.insert(key)));
        for finding in &mut findings {
            finding.place = finding.place.take().or_else(|| self.place(finding.where_at?));
        }
        let nodes = self.nodes.iter().filter_map(|(name, node)| NodeReport::of(name, node)).collect();
        Report { nodes, findings, more: self.more, notes }
    }
}

/// A text from the trail as it may go to a terminal.
fn shown(text: &str) -> String {
    text.chars().take(100).map(|c| if misleads(c) { '\u{fffd}' } else { c }).collect()
}
