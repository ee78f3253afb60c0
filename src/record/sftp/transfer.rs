//! What is moved through one open file in one direction: how much, from where, and its SHA-256.

use std::collections::BTreeMap;

use super::super::hashing::{Hashers, Sum};
use super::super::operation::Sha256;

/// The most bytes that one transfer keeps of pieces that come before their turn: what a client sends that
/// writes with 64 requests of 32 KiB side by side.
const AHEAD_MAX: usize = 2 * 1024 * 1024;
/// A piece that is kept costs this much beside its bytes.
const PIECE_COST: usize = 64;

/// The bytes that all transfers of one reader may keep together.
#[derive(Debug)]
pub(super) struct Room(usize);

impl Room {
    const BYTES_MAX: usize = 2 * AHEAD_MAX;

    pub(super) const fn new() -> Self {
        Self(Self::BYTES_MAX)
    }

    fn take(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    fn give_back(&mut self, bytes: usize) {
        self.0 += bytes;
    }

    #[cfg(test)]
    pub(super) fn is_whole(&self) -> bool {
        self.0 == Self::BYTES_MAX
    }
}

/// What is done with the piece that is passing.
#[derive(Debug)]
enum Lane {
    /// Its turn is now.
    Hash,
    /// It comes before its turn.
    Keep { offset: u64, bytes: Vec<u8> },
    /// Nothing can be made of it any more.
    Pass,
}

/// What has become of a transfer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    /// Where the first byte belongs.
    pub(super) from: Option<u64>,
    /// Where the bytes were one piece: its length and its hash.
    pub(super) hashed: Option<(u64, Sha256)>,
}

/// A transfer.
///
/// Bytes are hashed as they pass, in the order of their offsets. A piece before its turn is kept, within
/// bounds. While nothing has come for offset 0, the first piece may not be the first of the file, so the
/// beginning is settled only when the window is full: a transfer that goes on at an offset begins there.
pub(super) struct Transfer {
    sum: Sum,
    lane: Lane,
    /// Where the next byte belongs, once the beginning is settled.
    next: Option<u64>,
    /// How much is hashed.
    length: u64,
    ahead: BTreeMap<u64, Vec<u8>>,
    kept: usize,
    lowest: Option<u64>,
    /// Whether the target, and not the offset, says where bytes go.
    appends: bool,
    broken: bool,
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfer")
            .field("next", &self.next)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Transfer {
    pub(super) fn new(appends: bool, hashers: &Hashers) -> Self {
        Self {
            sum: Sum::new(hashers),
            lane: Lane::Pass,
            next: appends.then_some(0),
            length: 0,
            ahead: BTreeMap::new(),
            kept: 0,
            lowest: None,
            appends,
            broken: false,
        }
    }

    /// A piece of that many bytes for that offset begins to pass.
    pub(super) fn begin(&mut self, offset: u64, length: u32, room: &mut Room) {
        self.lane = Lane::Pass;
        if length == 0 {
            return;
        }
        self.lowest = Some(self.lowest.map_or(offset, |lowest| lowest.min(offset)));
        if self.broken {
            return;
        }
        if self.next.is_none() && offset == 0 {
            self.next = Some(0);
        }
        let cost = cost(usize::try_from(length).unwrap_or(usize::MAX));
        if self.next.is_none() && !self.has_room(cost, room) {
            self.settle(Some(offset), room);
        }
        if self.broken {
            return;
        }
        match self.next {
            Some(next) if self.appends || next == offset => self.lane = Lane::Hash,
            Some(next) if offset < next => self.break_off(room),
            Some(_) | None if self.has_room(cost, room) && room.take(cost) => {
                self.kept += cost;
                self.lane = Lane::Keep { offset, bytes: Vec::new() };
            }
            Some(_) | None => self.break_off(room),
        }
    }

    /// Some of the piece passes.
    pub(super) fn pass(&mut self, data: &[u8]) {
        match &mut self.lane {
            Lane::Hash => self.hash_on(data),
            Lane::Keep { bytes, .. } => bytes.extend_from_slice(data),
            Lane::Pass => {}
        }
    }

    /// The piece has passed, or will not go on.
    pub(super) fn end(&mut self, room: &mut Room) {
        match std::mem::replace(&mut self.lane, Lane::Pass) {
            Lane::Hash => self.catch_up(room),
            Lane::Keep { offset, bytes } => {
                if self.ahead.insert(offset, bytes).is_some() {
                    self.break_off(room);
                }
            }
            Lane::Pass => {}
        }
    }

    /// What has become of it. Nothing comes after that.
    pub(super) fn finish(mut self, room: &mut Room) -> Moved {
        self.end(room);
        self.settle(None, room);
        let whole = !self.broken && self.ahead.is_empty();
        self.let_go(room);
        let from = if self.appends { None } else { self.lowest };
        let hashed = whole.then(|| (self.length, Sha256::new(self.sum.value())));
        Moved { from, hashed }
    }

    fn has_room(&self, cost: usize, room: &Room) -> bool {
        self.kept.saturating_add(cost) <= AHEAD_MAX && cost <= room.0
    }

    fn hash_on(&mut self, data: &[u8]) {
        self.sum.add(data);
        let count = data.len() as u64;
        self.length = self.length.saturating_add(count);
        self.next = self.next.map(|next| next.saturating_add(count));
    }

    /// The file's first byte will not come: the lowest that came is the beginning.
    fn settle(&mut self, coming: Option<u64>, room: &mut Room) {
        if self.next.is_none() {
            let lowest = self.ahead.keys().next().copied();
            self.next = lowest.into_iter().chain(coming).min();
            self.catch_up(room);
        }
    }

    /// Hashes what was kept and has its turn.
    fn catch_up(&mut self, room: &mut Room) {
        while let (Some(entry), Some(next)) = (self.ahead.first_entry(), self.next) {
            if *entry.key() > next {
                return;
            }
            if *entry.key() < next {
                return self.break_off(room);
            }
            let bytes = entry.remove();
            let cost = cost(bytes.len());
            self.kept = self.kept.saturating_sub(cost);
            room.give_back(cost);
            self.hash_on(&bytes);
        }
    }

    /// Bytes came twice, or too far from their turn.
    fn break_off(&mut self, room: &mut Room) {
        self.broken = true;
        self.let_go(room);
    }

    fn let_go(&mut self, room: &mut Room) {
        self.ahead.clear();
        room.give_back(std::mem::take(&mut self.kept));
    }
}

fn cost(bytes: usize) -> usize {
    bytes.saturating_add(PIECE_COST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The file that is transferred, as far as it is needed.
    fn file(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).expect("below 256")).collect()
    }

    fn moved(appends: bool, file: &[u8], pieces: &[(usize, usize)]) -> Moved {
        let mut room = Room::new();
        let mut transfer = Transfer::new(appends, &Hashers::default());
        for &(offset, length) in pieces {
            transfer.begin(offset as u64, u32::try_from(length).expect("short"), &mut room);
            file[offset..offset + length].chunks(1000).for_each(|data| transfer.pass(data));
            transfer.end(&mut room);
        }
        let moved = transfer.finish(&mut room);
        assert!(room.is_whole(), "what was kept is given back");
        moved
    }

    fn whole(from: u64, bytes: &[u8]) -> Moved {
        Moved { from: Some(from), hashed: Some((bytes.len() as u64, Sha256::of(bytes))) }
    }

    const K: usize = 1024;

    #[test]
    fn pieces_in_order_are_one_piece() {
        let file = file(10 * K);
        assert_eq!(moved(false, &file, &[(0, 4 * K), (4 * K, 4 * K), (8 * K, 2 * K)]), whole(0, &file));
    }

    #[test]
    fn pieces_before_their_turn_wait() {
        let file = file(10 * K);
        assert_eq!(moved(false, &file, &[(8 * K, 2 * K), (4 * K, 4 * K), (0, 4 * K)]), whole(0, &file));
        let resumed = [(5 * K, K), (7 * K, 3 * K), (6 * K, K)];
        assert_eq!(moved(false, &file, &resumed), whole(5 * K as u64, &file[5 * K..]));
    }

    #[test]
    fn a_long_transfer_that_goes_on_at_an_offset_begins_there() {
        let file = file(6 * K * K);
        let pieces: Vec<_> = (K * K..6 * K * K).step_by(32 * K).map(|at| (at, 32 * K)).collect();
        assert_eq!(moved(false, &file, &pieces), whole(1024 * 1024, &file[K * K..]));
    }

    #[test]
    fn a_hole_an_overlap_and_a_repetition_are_not_one_piece() {
        let file = file(10 * K);
        let none = |from| Moved { from: Some(from), hashed: None };
        assert_eq!(moved(false, &file, &[(0, K), (2 * K, K)]), none(0));
        assert_eq!(moved(false, &file, &[(0, 2 * K), (K, 2 * K)]), none(0));
        assert_eq!(moved(false, &file, &[(K, K), (K, K)]), none(K as u64));
        assert_eq!(moved(false, &file, &[(0, K), (0, K)]), none(0));
        assert_eq!(moved(false, &file, &[(2 * K, 2 * K), (3 * K, K), (0, 2 * K)]), none(0));
    }

    #[test]
    fn what_is_too_far_ahead_is_given_up_and_let_go() {
        let file = file(5 * K * K);
        let mut pieces: Vec<_> = (K..4 * K).map(|at| (at * K, K)).collect();
        pieces.insert(0, (0, K / 2));
        assert_eq!(moved(false, &file, &pieces), Moved { from: Some(0), hashed: None });
    }

    #[test]
    fn appended_bytes_are_one_piece_wherever_the_client_says_they_belong() {
        let file = file(4 * K);
        let appended = moved(true, &file, &[(2 * K, K), (2 * K, K)]);
        let twice = [&file[2 * K..3 * K], &file[2 * K..3 * K]].concat();
        assert_eq!(appended, Moved { from: None, ..whole(0, &twice) });
    }

    #[test]
    fn nothing_is_an_empty_piece() {
        assert_eq!(moved(false, &[], &[(0, 0)]), Moved { from: None, ..whole(0, b"") });
    }

    proptest! {
        #[test]
        fn any_order_within_the_window_has_the_file_s_hash(
            order in Just((0..40_usize).collect::<Vec<_>>()).prop_shuffle(),
            start in 0..3_usize,
        ) {
            let file = file(43 * K);
            let pieces: Vec<_> = order.iter().map(|at| ((at + start) * K, K)).collect();
            prop_assert_eq!(moved(false, &file, &pieces), whole((start * K) as u64, &file[start * K..][..40 * K]));
        }
    }
}
