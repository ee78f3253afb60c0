//! The requests that are not answered yet, by their ids.
//!
//! A client may have a hundred thousand reads under way: paramiko asks for a whole file before it takes the
//! first answer. Their ids and offsets count up, so a run of them is one entry here.

use std::collections::BTreeMap;

use super::super::operation::FileOperation;
use super::files::{OpenedFile, Slot};

/// The most entries. psftp sends 4 KiB at a time without waiting, as much as the target takes: up to 128 MiB.
const RUNS_MAX: usize = 64 * 1024;
/// The most requests that hold names.
const NAMED_MAX: usize = 4096;
/// The most bytes of names that requests hold.
const NAMES_MAX: usize = 1024 * 1024;

/// What a request asked for, as far as its answer matters.
#[derive(Debug)]
pub(super) enum Asked {
    /// To move a piece of an open file.
    Piece(PieceOf),
    /// The next names of an open directory.
    Names(Slot),
    /// To close something.
    Close(Slot),
    /// To open something.
    Open(Box<OpenedFile>),
    /// Something that its status ends.
    Operation(Box<FileOperation>),
    /// Another version of the protocol.
    Version(u32),
    /// Nothing that is told.
    Quiet,
    /// Two things at once, with the same id: that many answers are due, and it is not known to what.
    Doubtful(u32),
}

/// A piece of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PieceOf {
    pub(super) write: bool,
    pub(super) slot: Slot,
    pub(super) offset: u64,
    pub(super) length: u32,
}

impl PieceOf {
    /// The piece that comes that many pieces later.
    fn later(self, count: u32) -> Self {
        Self { offset: self.offset.wrapping_add(u64::from(self.length) * u64::from(count)), ..self }
    }
}

impl Asked {
    fn names_len(&self) -> Option<usize> {
        match self {
            Self::Open(opened) => Some(opened.names_len()),
            Self::Operation(operation) => Some(operation.names_len()),
            Self::Piece(_)
            | Self::Names(_)
            | Self::Close(_)
            | Self::Version(_)
            | Self::Quiet
            | Self::Doubtful(_) => None,
        }
    }
}

/// Requests with ids that count up.
#[derive(Debug)]
struct Run {
    count: u32,
    asked: Asked,
}

/// There are more than can be kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    runs: BTreeMap<u32, Run>,
    /// The id after the last one that was put.
    next: Option<u32>,
    named: usize,
    names: usize,
}

impl Outstanding {
    /// Notes a request. Its id must be free.
    pub(super) fn put(&mut self, id: u32, asked: Asked) -> Result<(), TooMany> {
        let goes_on = self.next == Some(id) && self.extend(id, &asked);
        self.next = id.checked_add(1);
        if goes_on {
            return Ok(());
        }
        if let Some(names) = asked.names_len() {
            self.named += 1;
            self.names += names;
        }
        self.runs.insert(id, Run { count: 1, asked });
        if self.runs.len() > RUNS_MAX || self.named > NAMED_MAX || self.names > NAMES_MAX {
            return Err(TooMany);
        }
        Ok(())
    }

    fn extend(&mut self, id: u32, asked: &Asked) -> bool {
        let Some((first, run)) = self.runs.range_mut(..id).next_back() else { return false };
        if id.checked_sub(*first) != Some(run.count) {
            return false;
        }
        let fits = match (&run.asked, asked) {
            (Asked::Piece(before), Asked::Piece(piece)) => before.later(run.count) == *piece,
            (Asked::Quiet, Asked::Quiet) => true,
            (_, _) => false,
        };
        run.count += u32::from(fits);
        fits
    }

    /// What that id asked for; it is free from here on.
    pub(super) fn take(&mut self, id: u32) -> Option<Asked> {
        let (first, run) = self.runs.range(..=id).next_back()?;
        let (first, before) = (*first, id - *first);
        let after = run.count.checked_sub(before.checked_add(1)?)?;
        let Run { asked, .. } = self.runs.remove(&first)?;
        if let Some(names) = asked.names_len() {
            self.named = self.named.saturating_sub(1);
            self.names = self.names.saturating_sub(names);
        }
        // Nothing else comes in runs.
        let part = |asked: &Asked, skipped| {
            if let Asked::Piece(piece) = asked { Asked::Piece(piece.later(skipped)) } else { Asked::Quiet }
        };
        if before > 0 {
            self.runs.insert(first, Run { count: before, asked: part(&asked, 0) });
        }
        if after > 0 {
            self.runs.insert(id + 1, Run { count: after, asked: part(&asked, before + 1) });
        }
        if before == 0 { Some(asked) } else { Some(part(&asked, before)) }
    }

    /// Everything that is not answered, by id.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Asked> {
        let all = std::mem::take(self);
        all.runs.into_values().map(|run| run.asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{FileAct, FileProtocol};
    use crate::record::operation::PathName;

    fn piece(slot: u64, offset: u64) -> PieceOf {
        PieceOf { write: false, slot: Slot(slot), offset, length: 10 }
    }

    fn taken(outstanding: &mut Outstanding, id: u32) -> Option<PieceOf> {
        if let Asked::Piece(piece) = outstanding.take(id)? { Some(piece) } else { None }
    }

    #[test]
    fn a_run_is_one_entry_and_is_answered_in_any_order() {
        let mut outstanding = Outstanding::default();
        for at in 0..1_000_000_u32 {
            outstanding.put(at, Asked::Piece(piece(1, u64::from(at) * 10))).expect("room");
        }
        assert_eq!(outstanding.runs.len(), 1);
        for id in [0, 1, 999_999, 500, 501, 499] {
            assert_eq!(taken(&mut outstanding, id), Some(piece(1, u64::from(id) * 10)));
            assert!(outstanding.take(id).is_none(), "{id} is answered");
        }
        assert_eq!(outstanding.runs.len(), 2);
        outstanding.put(1_000_000, Asked::Piece(piece(1, 10_000_000))).expect("room");
        assert_eq!(taken(&mut outstanding, 1_000_000), Some(piece(1, 10_000_000)));
    }

    #[test]
    fn other_files_and_offsets_make_other_runs() {
        let mut outstanding = Outstanding::default();
        for (id, piece) in [(7, piece(1, 0)), (8, piece(2, 10)), (9, piece(2, 30)), (10, piece(2, 40))] {
            outstanding.put(id, Asked::Piece(piece)).expect("room");
        }
        assert_eq!(outstanding.runs.len(), 3);
        assert_eq!(taken(&mut outstanding, 10), Some(piece(2, 40)));
        assert_eq!(taken(&mut outstanding, 7), Some(piece(1, 0)));
        assert!(outstanding.take(6).is_none() && outstanding.take(11).is_none());
    }

    #[test]
    fn the_last_id_is_followed_by_none() {
        let mut outstanding = Outstanding::default();
        outstanding.put(u32::MAX, Asked::Quiet).expect("room");
        outstanding.put(0, Asked::Quiet).expect("room");
        assert!(outstanding.take(u32::MAX).is_some() && outstanding.take(0).is_some());
    }

    #[test]
    fn there_are_bounds() {
        let mut scattered = Outstanding::default();
        let put = |at: u32, outstanding: &mut Outstanding| outstanding.put(at * 2, Asked::Quiet);
        assert!((0..65_536).all(|at| put(at, &mut scattered).is_ok()));
        assert_eq!(put(65_536, &mut scattered), Err(TooMany));

        let named = |length: usize| {
            let mut operation = FileOperation::new(FileProtocol::Sftp, FileAct::Remove);
            operation.path = Some(PathName::new(&vec![b'x'; length]));
            Asked::Operation(Box::new(operation))
        };
        let mut long = Outstanding::default();
        assert!((0..256).all(|id| long.put(id, named(4096)).is_ok()));
        assert!(long.take(3).is_some());
        assert_eq!(long.put(1000, named(4096)), Ok(()));
        assert_eq!(long.put(1001, named(4096)), Err(TooMany));
        let mut short = Outstanding::default();
        assert!((0..4096).all(|id| short.put(id, named(1)).is_ok()));
        assert_eq!(short.put(5000, named(1)), Err(TooMany));
    }
}
