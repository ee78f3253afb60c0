//! SHA-256 of what passes, beside the connection that it passes on.
//!
//! What is added is gathered into pieces, and whole pieces are handed to a thread. Whoever needs room or the value does
//! what is left to do on the spot: nobody waits for a thread longer than for the piece that it is at, and where all
//! threads are busy a connection hashes by itself. A thread that has a piece may have lost its core to somebody, so it
//! is waited for only where there is no room for more.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZero;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};

use super::error::RecordError;
use super::spool::digest;

/// More threads than this only take time from connections.
const THREADS_MAX: usize = 4;
/// The bytes of a piece.
const PIECE: usize = 128 * 1024;
/// The pieces of one sum that wait for a thread, at most.
const PIECES_MAX: usize = 16;
/// From so many on, whoever adds takes one in by itself, unless a thread is at it.
const PIECES_MANY: usize = 8;
/// The sums that wait for a thread, at most.
const SUMS_MAX: usize = 1024;

/// The threads that hash. Clones are of the same ones, which end with the last clone.
#[derive(Clone, Default)]
pub struct Hashers(Option<Arc<Office>>);

/// Closes the queue when the last one who may hand something in is gone.
struct Office(Arc<Queue>);

#[derive(Default)]
struct Queue {
    state: Mutex<QueueState>,
    bell: Condvar,
}

#[derive(Default)]
struct QueueState {
    /// Each sum is here once at most.
    sums: VecDeque<Arc<Shared>>,
    closed: bool,
}

impl Hashers {
    /// Starts the threads: one a core, and no more than four.
    ///
    /// # Errors
    /// When one cannot be started.
    pub(super) fn start() -> Result<Self, RecordError> {
        let queue = Arc::new(Queue::default());
        let office = Office(Arc::clone(&queue));
        let count = std::thread::available_parallelism().map_or(1, NonZero::get).clamp(1, THREADS_MAX);
        for number in 1..=count {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name(format!("hash-{number}"));
            let started = thread.spawn(move || queue.work());
            started.map_err(|error| RecordError::Thread(error.to_string()))?;
        }
        Ok(Self(Some(Arc::new(office))))
    }

    /// Whether a thread will take in what waits there.
    fn enlist(&self, sum: &Arc<Shared>) -> bool {
        let Some(office) = &self.0 else { return false };
        let mut state = lock(&office.0.state);
        if state.sums.len() >= SUMS_MAX {
            return false;
        }
        state.sums.push_back(Arc::clone(sum));
        drop(state);
        office.0.bell.notify_one();
        true
    }
}

impl fmt::Debug for Hashers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashers").field("threads", &self.0.is_some()).finish()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        lock(&self.0.state).closed = true;
        self.0.bell.notify_all();
    }
}

impl Queue {
    fn work(&self) {
        while let Some(sum) = self.next() {
            sum.take_in_what_waits();
            if sum.is_left_with_more() {
                // Others come first; there is room, for it has just been taken out.
                lock(&self.state).sums.push_back(sum);
            }
        }
    }

    /// The next sum; nothing once nobody can hand anything in.
    fn next(&self) -> Option<Arc<Shared>> {
        let mut state = lock(&self.state);
        loop {
            if let Some(sum) = state.sums.pop_front() {
                return Some(sum);
            }
            if state.closed {
                return None;
            }
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a sum and a thread share.
struct Shared {
    hash: Mutex<Context>,
    pieces: Mutex<Pieces>,
}

#[derive(Default)]
struct Pieces {
    waiting: VecDeque<Vec<u8>>,
    /// Memory of pieces that are taken in.
    spare: Vec<Vec<u8>>,
    /// It waits for a thread, or has one.
    enlisted: bool,
}

impl Shared {
    /// Takes in the oldest piece; false where none waits.
    fn take_in_one(&self) -> bool {
        // Held before the piece is taken: two takers could else change places.
        self.take_in(lock(&self.hash))
    }

    /// The same, unless somebody is at it.
    fn take_in_one_if_idle(&self) {
        if let Ok(hash) = self.hash.try_lock() {
            self.take_in(hash);
        }
    }

    fn take_in(&self, mut hash: MutexGuard<'_, Context>) -> bool {
        let Some(mut piece) = lock(&self.pieces).waiting.pop_front() else { return false };
        hash.update(&piece);
        drop(hash);
        piece.clear();
        let mut pieces = lock(&self.pieces);
        if pieces.spare.len() < PIECES_MAX {
            pieces.spare.push(piece);
        }
        true
    }

    /// Takes in as many pieces as there can be at a time.
    fn take_in_what_waits(&self) {
        for _ in 0..PIECES_MAX {
            if !self.take_in_one() {
                return;
            }
        }
    }

    /// Whether a thread is to come back; if not, it counts as without one.
    fn is_left_with_more(&self) -> bool {
        let mut pieces = lock(&self.pieces);
        pieces.enlisted = !pieces.waiting.is_empty();
        pieces.enlisted
    }
}

/// A SHA-256 that grows.
pub(super) struct Sum {
    hashers: Hashers,
    shared: Arc<Shared>,
    /// The next piece.
    filling: Vec<u8>,
    bytes: u64,
}

impl fmt::Debug for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sum").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl Sum {
    /// Of nothing yet.
    pub(super) fn new(hashers: &Hashers) -> Self {
        let (hash, pieces) = (Mutex::new(Context::new(&SHA256)), Mutex::default());
        let shared = Arc::new(Shared { hash, pieces });
        Self { hashers: hashers.clone(), shared, filling: Vec::new(), bytes: 0 }
    }

    /// Adds bytes.
    pub(super) fn add(&mut self, mut data: &[u8]) {
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        if self.hashers.0.is_none() {
            return lock(&self.shared.hash).update(data);
        }
        while !data.is_empty() {
            let room = PIECE.saturating_sub(self.filling.len());
            let (now, later) = data.split_at(room.min(data.len()));
            self.filling.extend_from_slice(now);
            data = later;
            if self.filling.len() >= PIECE {
                self.hand_over();
            }
        }
    }

    fn hand_over(&mut self) {
        let waiting = lock(&self.shared.pieces).waiting.len();
        if waiting >= PIECES_MAX {
            self.shared.take_in_one();
        } else if waiting >= PIECES_MANY {
            self.shared.take_in_one_if_idle();
        }
        let mut pieces = lock(&self.shared.pieces);
        let spare = pieces.spare.pop().unwrap_or_else(|| Vec::with_capacity(PIECE));
        pieces.waiting.push_back(std::mem::replace(&mut self.filling, spare));
        let enlist = !std::mem::replace(&mut pieces.enlisted, true);
        drop(pieces);
        if enlist && !self.hashers.enlist(&self.shared) {
            self.shared.take_in_what_waits();
            lock(&self.shared.pieces).enlisted = false;
        }
    }

    /// How many bytes were added.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Of what was added so far.
    pub(super) fn value(&mut self) -> [u8; 32] {
        while self.shared.take_in_one() {}
        let mut hash = lock(&self.shared.hash);
        hash.update(&self.filling);
        self.filling.clear();
        digest(hash.clone())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::operation::Sha256;
    use super::*;

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|at| u8::try_from(at * 7 % 251).expect("below 256")).collect()
    }

    fn of(hashers: &Hashers, data: &[u8], pieces: impl IntoIterator<Item = usize>) -> [u8; 32] {
        let mut sum = Sum::new(hashers);
        let mut rest = data;
        for length in pieces {
            let (now, later) = rest.split_at(length.min(rest.len()));
            sum.add(now);
            rest = later;
        }
        sum.add(rest);
        assert_eq!(sum.bytes(), data.len() as u64);
        sum.value()
    }

    /// A queue that nobody works at.
    fn nobody() -> Hashers {
        Hashers(Some(Arc::new(Office(Arc::default()))))
    }

    #[test]
    fn with_threads_without_and_with_none_that_works_the_sum_is_the_same() {
        let data = bytes(5 * 1024 * 1024 + 17);
        let expected = *Sha256::of(&data).as_bytes();
        let threads = Hashers::start().expect("threads");
        for hashers in [threads, Hashers::default(), nobody()] {
            assert_eq!(of(&hashers, &data, std::iter::repeat_n(32 * 1024, 200)), expected, "{hashers:?}");
            assert_eq!(of(&hashers, b"", []), *Sha256::of(b"").as_bytes());
        }
    }

    #[test]
    fn what_waits_for_a_thread_is_bounded() {
        let hashers = nobody();
        let mut sum = Sum::new(&hashers);
        for _ in 0..1000 {
            sum.add(&[7; 100_000]);
            let pieces = lock(&sum.shared.pieces);
            assert!(pieces.waiting.len() <= PIECES_MAX && pieces.spare.len() <= PIECES_MAX);
            assert!(sum.filling.len() < PIECE);
        }
        assert_eq!(sum.value(), *Sha256::of(&vec![7; 100_000_000]).as_bytes());
    }

    #[test]
    fn where_too_many_wait_each_hashes_by_itself() {
        let hashers = nobody();
        let data = bytes(PIECE);
        let mut sums: Vec<Sum> = (0..SUMS_MAX + 3).map(|_| Sum::new(&hashers)).collect();
        sums.iter_mut().for_each(|sum| sum.add(&data));
        let unserved = |sum: &&Sum| lock(&sum.shared.pieces).waiting.is_empty();
        assert_eq!(sums.iter().filter(unserved).count(), 3);
        let expected = *Sha256::of(&data).as_bytes();
        assert!(sums.iter_mut().all(|sum| sum.value() == expected));
    }

    #[test]
    fn a_value_does_not_end_a_sum() {
        let hashers = Hashers::start().expect("threads");
        let data = bytes(3 * PIECE);
        let mut sum = Sum::new(&hashers);
        let (first, second) = data.split_at(PIECE + 5);
        sum.add(first);
        assert_eq!(sum.value(), *Sha256::of(first).as_bytes());
        sum.add(second);
        assert_eq!(sum.value(), *Sha256::of(&data).as_bytes());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn however_it_is_cut_the_sum_is_that_of_the_whole(
            cuts in prop::collection::vec(0..700_000_usize, 0..12),
            length in 0..3_000_000_usize,
        ) {
            let hashers = Hashers::start().expect("threads");
            let data = bytes(length);
            prop_assert_eq!(of(&hashers, &data, cuts), *Sha256::of(&data).as_bytes());
        }
    }
}
