//! One node's lines as they come: runs of lines that follow each other, and where they do not.

use crate::audit::chain::LineHash;

/// Where a line stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct At {
    /// Among all lines, from 1.
    pub(super) position: u64,
    /// In which source, from 1; 0 where none was named.
    pub(super) source: usize,
    /// In that source, from 1.
    pub(super) line: u64,
}

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) seq: u64,
    pub(super) prev: LineHash,
    pub(super) hash: LineHash,
    pub(super) time: String,
    pub(super) event: String,
    pub(super) at: At,
}

/// Records of which each follows the one before it, by number and by hash.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) first: Seen,
    pub(super) last: Seen,
    pub(super) count: u64,
}

/// The most runs that are kept: a chain in more pieces is told of by its first ones.
const RUNS_MAX: usize = 1000;

/// The runs of one node, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Chain {
    runs: Vec<Run>,
    repeats: u64,
    dropped: u64,
}

impl Chain {
    pub(super) fn add(&mut self, seen: Seen) {
        let full = self.runs.len() >= RUNS_MAX;
        match self.runs.last_mut() {
            Some(run) if run.last.seq.checked_add(1) == Some(seen.seq) && run.last.hash == seen.prev => {
                run.last = seen;
                run.count = run.count.saturating_add(1);
            }
            Some(run) if full => {
                *run = Run { first: seen.clone(), last: seen, count: 1 };
                self.dropped = self.dropped.saturating_add(1);
            }
            Some(_) | None => self.runs.push(Run { first: seen.clone(), last: seen, count: 1 }),
        }
        self.fold_repeat();
    }

    /// A sink that was interrupted sends its last lines again: the same ones, up to where it had come. That is no break.
    fn fold_repeat(&mut self) {
        if let [.., before, run] = self.runs.as_slice()
            && (run.last.seq, run.last.hash) == (before.last.seq, before.last.hash)
            && run.first.seq >= before.first.seq
        {
            self.repeats = self.repeats.saturating_add(run.count);
            self.runs.pop();
        }
    }

    pub(super) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// How many lines came again.
    pub(super) fn repeats(&self) -> u64 {
        self.repeats
    }

    /// How many breaks were not kept.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The record with the lowest number.
    pub(super) fn first(&self) -> Option<&Seen> {
        self.runs.iter().map(|run| &run.first).min_by_key(|seen| seen.seq)
    }

    /// The record with the highest number.
    pub(super) fn last(&self) -> Option<&Seen> {
        self.runs.iter().map(|run| &run.last).max_by_key(|seen| seen.seq)
    }
}
