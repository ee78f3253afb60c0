//! What befell a chain that is in pieces, told from how the pieces fit.

use super::chain::{At, Chain, Run, Seen};
use super::report::{Break, Finding};
use super::seals::Seals;
use crate::audit::chain::{LineHash, Placed};
use crate::audit::prune::PruneRecord;

/// What is known of the record before the next piece.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Its number.
    seq: u64,
    /// Its hash; nothing where it is not what it was, so that any may follow.
    hash: Option<LineHash>,
    /// The record; nothing before the first.
    seen: Option<&'a Seen>,
}

impl<'a> Known<'a> {
    fn after(run: &'a Run) -> Self {
        Self { seq: run.last.seq, hash: Some(run.last.hash), seen: Some(&run.last) }
    }
}

/// What must come before the chain's first record.
pub(super) fn start_of<'a>(
    chain: &Chain,
    part: bool,
    prunings: impl Iterator<Item = &'a PruneRecord>,
) -> Known<'static> {
    let from_the_start = Known { seq: 0, hash: Some(LineHash::NONE), seen: None };
    let Some(first) = chain.first() else { return from_the_start };
    let before = first.seq.saturating_sub(1);
    let mut pruned = Vec::new();
    for pruning in prunings {
        if pruning.through == before {
            return Known { seq: before, hash: Some(pruning.hash), seen: None };
        }
        // What is pruned goes bit by bit, the first ones first.
        if pruning.through > before && before > 0 {
            return Known { seq: before, hash: None, seen: None };
        }
        if pruning.through < before {
            pruned.push(pruning);
        }
    }
    if part {
        return Known { seq: before, hash: None, seen: None };
    }
    let last = pruned.into_iter().max_by_key(|pruning| pruning.through);
    last.map_or(from_the_start, |last| Known { seq: last.through, hash: Some(last.hash), seen: None })
}

/// Everything that is wrong with a chain.
pub(super) fn judge(
    node: &str,
    runs: &[Run],
    start: Known<'_>,
    seals: &Seals,
    unreadable: &mut Unreadable,
) -> Vec<Finding> {
    if let Some(finding) = reordered(node, runs, start) {
        return vec![finding];
    }
    let mut judge = Judge { node, seals, unreadable, findings: Vec::new() };
    let mut known = start;
    for (at, run) in runs.iter().enumerate() {
        known = judge.next(known, run, runs.get(at.saturating_add(1)));
    }
    judge.findings
}

/// Where the pieces make a whole chain in another order, nothing but the order is wrong.
fn reordered(node: &str, runs: &[Run], start: Known<'_>) -> Option<Finding> {
    let mut sorted: Vec<&Run> = runs.iter().collect();
    sorted.sort_by_key(|run| run.first.seq);
    let mut known = start;
    for run in &sorted {
        if !follows(known, &run.first) {
            return None;
        }
        known = Known::after(run);
    }
    let (expected, found) = sorted.into_iter().zip(runs).find(|(a, b)| a.first.seq != b.first.seq)?;
    let text = format!(
        "record {} stands in its place: the order is not the one in which they were written",
        found.first.seq
    );
    Some(Finding::of(Break::Reordered, node, &expected.first).saying(text).at(found.first.at.position))
}

fn follows(known: Known<'_>, seen: &Seen) -> bool {
    known.seq.checked_add(1) == Some(seen.seq) && known.hash.is_none_or(|hash| hash == seen.prev)
}

struct Judge<'a> {
    node: &'a str,
    seals: &'a Seals,
    unreadable: &'a mut Unreadable,
    findings: Vec<Finding>,
}

impl<'a> Judge<'a> {
    /// Says what is wrong between what is known and a piece, and what is known behind the piece.
    fn next<'b>(&mut self, known: Known<'b>, run: &'b Run, after: Option<&'b Run>) -> Known<'b> {
        let first = &run.first;
        let expected = known.seq.saturating_add(1);
        if follows(known, first) {
            return Known::after(run);
        }
        if after.is_some_and(|after| follows(known, &after.first)) {
            self.inserted(first, run.count);
            return known;
        }
        let alone = run.count == 1;
        let leaves_a_place = after.is_some_and(|after| Some(after.first.seq) == expected.checked_add(1));
        if alone && (leaves_a_place || (first.seq != expected && known.hash == Some(first.prev))) {
            self.changed_in_place(expected, first);
            return Known { seq: expected, hash: None, seen: Some(first) };
        }
        if first.seq == expected {
            self.changed_before(known, first);
        } else if let Some(twin) = known.seen.filter(|seen| (seen.seq, seen.prev) == (first.seq, first.prev))
        {
            // The chain goes on from the later of the two.
            self.inserted(twin, 1);
        } else if first.seq > expected {
            self.missing(known, first);
        } else {
            self.inserted(first, run.count);
            if run.last.seq <= known.seq {
                return known;
            }
        }
        Known::after(run)
    }

    fn inserted(&mut self, seen: &Seen, count: u64) {
        let text = match count {
            1 => "it is not part of the chain: somebody added it, or put it here from elsewhere".to_owned(),
            many => format!(
                "it and the {} after it are not part of the chain: somebody added them, or put them here from elsewhere",
                many.saturating_sub(1)
            ),
        };
        self.findings.push(Finding::of(Break::Inserted, self.node, seen).saying(text).at(seen.at.position));
    }

    fn changed_in_place(&mut self, expected: u64, seen: &Seen) {
        let text = if seen.seq == expected {
            "it does not name the record before it, and the next one does not name it".to_owned()
        } else {
            format!("what stands in its place says that it is record {}", seen.seq)
        };
        let mut finding = Finding::of(Break::Changed, self.node, seen);
        finding.seq = Some(expected);
        self.findings.push(finding.saying(text).at(seen.at.position));
    }

    /// The numbers follow and the hash does not: the record before is not what it was, unless a head vouches for it.
    fn changed_before(&mut self, known: Known<'_>, first: &Seen) {
        let before = known.seen.filter(|seen| self.seals.signed_hash(seen.seq) != Some(seen.hash));
        let (seen, text) = match before {
            Some(seen) => (seen, "the next record names another hash than it has"),
            None => (first, "it does not name the record before it"),
        };
        self.findings.push(Finding::of(Break::Changed, self.node, seen).saying(text).at(seen.at.position));
    }

    fn missing(&mut self, known: Known<'_>, first: &Seen) {
        let from = known.seq.saturating_add(1);
        let count = first.seq.saturating_sub(from);
        let since = known.seen.map_or(0, |seen| seen.at.position);
        if let Some(at) = self.unreadable.take_between(since, first.at.position, count) {
            let mut finding = Finding::of_node(Break::Changed, self.node, from);
            finding.where_at = Some(at);
            self.findings.push(finding.saying("what stands in its place is no record").at(at.position));
            return;
        }
        let between = match known.seen {
            Some(seen) => format!("between {} and {}", super::shown(&seen.time), super::shown(&first.time)),
            None => format!("before {}", super::shown(&first.time)),
        };
        let text = match count {
            1 => format!("it is missing; it was written {between}"),
            _ => format!(
                "it and all up to record {} are missing; they were written {between}",
                first.seq.saturating_sub(1)
            ),
        };
        let mut finding =
            Finding::of_node(Break::Removed, self.node, from).saying(text).at(first.at.position);
        finding.where_at = Some(first.at);
        self.findings.push(finding);
    }
}

/// Lines that are no records.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    lines: Vec<(At, String)>,
    more: u64,
    fragments: u64,
}

/// The most such lines that are kept.
const UNREADABLE_MAX: usize = 100;
/// How much of each is kept, in bytes, to be compared with the lines that follow.
const UNREADABLE_BYTES_MAX: usize = 64 * 1024;

impl Unreadable {
    pub(super) fn add(&mut self, text: &str, at: At) {
        if self.lines.len() < UNREADABLE_MAX && text.len() <= UNREADABLE_BYTES_MAX {
            self.lines.push((at, text.to_owned()));
        } else if self.lines.len() < UNREADABLE_MAX {
            self.lines.push((at, String::new()));
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// A sink that was interrupted within a line sends it again: then the first attempt is its beginning, and no break.
    pub(super) fn settle(&mut self, line: &str) {
        if !self.lines.is_empty() {
            let before = self.lines.len();
            self.lines.retain(|(_, text)| text.is_empty() || !line.starts_with(text.as_str()));
            let settled = u64::try_from(before.saturating_sub(self.lines.len())).unwrap_or_default();
            self.fragments = self.fragments.saturating_add(settled);
        }
    }

    /// Where as many of them as records are missing stand between two places, they are those records.
    fn take_between(&mut self, after: u64, before: u64, count: u64) -> Option<At> {
        let within = |at: &At| at.position > after && at.position < before;
        let there = self.lines.iter().filter(|(at, _)| within(at)).count();
        if there == 0 || u64::try_from(there) != Ok(count) {
            return None;
        }
        let first = self.lines.iter().map(|(at, _)| *at).find(within);
        self.lines.retain(|(at, _)| !within(at));
        first
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        let of = |(at, text): (At, String)| {
            let mut finding = match Placed::read_number(&text) {
                Some((node, seq, _)) => Finding::of_node(Break::Unreadable, node, seq),
                None => Finding::new(Break::Unreadable),
            };
            finding.where_at = Some(at);
            finding
                .saying("this line is no record: somebody added it, or it is what is left of one")
                .at(at.position)
        };
        self.lines.into_iter().map(of).collect()
    }
}
