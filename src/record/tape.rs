//! What waits between a relay and the thread that writes it down. Bounded: a relay waits where it is full.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

use super::error::RecordError;
use super::station::Station;

/// Bytes that may wait before the relay does. A packet more may be put on top.
const ROOM: usize = 256 * 1024;
/// As many events.
const SPANS_MAX: usize = 8 * 1024;
/// With this much, the thread is woken at once.
const EAGER: usize = 64 * 1024;
/// What came within this many microseconds of an event of the same kind is part of it.
const TOGETHER_US: u64 = 1_000;
/// The most bytes of one event.
const SPAN_MAX: usize = 64 * 1024;
/// How long a disk may take before a recording is given up.
const STALLED: Duration = Duration::from_secs(30);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The target wrote to the terminal, or to standard output.
    Output,
    /// The target wrote to standard error, and there is no terminal.
    Error,
    /// The client typed.
    Input,
    /// The terminal has another size.
    Resize,
    /// A place to remember.
    Marker,
}

impl Kind {
    /// The code in an asciicast.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Output => "o",
            Self::Error => "e",
            Self::Input => "i",
            Self::Resize => "r",
            Self::Marker => "m",
        }
    }

    fn is_data(self) -> bool {
        matches!(self, Self::Output | Self::Error | Self::Input)
    }
}

/// One event; its bytes are the next `length` of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// Since the recording began.
    pub(super) at_us: u64,
    pub(super) kind: Kind,
    pub(super) length: usize,
}

/// Events in order, and all their bytes one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) spans: Vec<Span>,
    pub(super) bytes: Vec<u8>,
}

impl Batch {
    pub(super) fn push(&mut self, at_us: u64, kind: Kind, data: &[u8]) {
        for piece in data.chunks(SPAN_MAX) {
            self.bytes.extend_from_slice(piece);
            match self.spans.last_mut() {
                Some(last)
                    if kind.is_data()
                        && last.kind == kind
                        && at_us.saturating_sub(last.at_us) < TOGETHER_US
                        && last.length + piece.len() <= SPAN_MAX =>
                {
                    last.length += piece.len();
                }
                Some(_) | None => self.spans.push(Span { at_us, kind, length: piece.len() }),
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Empty again; memory is kept for the next use, unless it was unusually much.
    pub(super) fn reuse(&mut self) {
        self.spans.clear();
        self.bytes.clear();
        self.bytes.shrink_to(2 * ROOM);
    }
}

/// What a recording came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// Bytes of text.
    pub(super) bytes: u64,
    /// Bytes of the file.
    pub(super) compressed_bytes: u64,
    /// SHA-256 of the file.
    pub(super) sha256: [u8; 32],
    /// Whether it has everything, to the ending.
    pub(super) complete: bool,
}

/// One recording on its way to the disk.
#[derive(Debug)]
pub(super) struct Tape {
    begun: Instant,
    station: Arc<Station>,
    state: Mutex<State>,
    /// The relay has to wait. What it reads in passing; the truth is in `state`.
    full: AtomicBool,
    room: Notify,
    /// Why it broke, once it has.
    broken: watch::Sender<Option<Arc<RecordError>>>,
    /// What it came to, once the file is closed.
    closed: watch::Sender<Option<Written>>,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    /// The thread knows that there is something.
    noted: bool,
    /// And that it is much.
    urgent: bool,
    /// Nothing more will come; whether that was said by an ending.
    ended: Option<bool>,
}

/// What a thread takes from a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// More may come.
    Running,
    /// That was all; whether the recording has its ending.
    Ended { properly: bool },
}

impl Tape {
    pub(super) fn new(station: &Arc<Station>) -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            station: Arc::clone(station),
            state: Mutex::default(),
            full: AtomicBool::new(false),
            room: Notify::new(),
            broken: watch::Sender::new(None),
            closed: watch::Sender::new(None),
        })
    }

    /// Microseconds since the recording began.
    pub(super) fn now_us(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event on the tape. Nothing is kept of it once the recording has broken or ended.
    pub(super) fn push(self: &Arc<Self>, kind: Kind, data: &[u8]) {
        if self.is_broken() {
            return;
        }
        let at_us = self.now_us();
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        state.batch.push(at_us, kind, data);
        let much = state.batch.bytes.len() >= EAGER;
        if state.batch.bytes.len() >= ROOM || state.batch.spans.len() >= SPANS_MAX {
            self.full.store(true, Ordering::Release);
        }
        self.note(state, much);
    }

    /// Nothing more comes; the thread closes the file.
    pub(super) fn end(self: &Arc<Self>, properly: bool) {
        let mut state = self.state();
        if state.ended.is_none() {
            state.ended = Some(properly);
            self.note(state, true);
        }
    }

    fn note(self: &Arc<Self>, mut state: MutexGuard<'_, State>, urgent: bool) {
        let tell = if urgent { !state.urgent } else { !state.noted };
        state.noted = true;
        state.urgent |= urgent;
        drop(state);
        if tell {
            self.station.note(Arc::clone(self), urgent);
        }
    }

    /// Takes what waits. Where it is much, `spare` is left in its place, so that a busy recording uses the same memory
    /// again; an idle one holds none.
    pub(super) fn take(&self, spare: &mut Batch) -> (Batch, Taken) {
        let mut state = self.state();
        let left = if state.batch.bytes.len() >= EAGER { std::mem::take(spare) } else { Batch::default() };
        let batch = std::mem::replace(&mut state.batch, left);
        state.noted = false;
        state.urgent = false;
        self.full.store(false, Ordering::Release);
        let taken = state.ended.map_or(Taken::Running, |properly| Taken::Ended { properly });
        drop(state);
        self.room.notify_waiters();
        (batch, taken)
    }

    /// Whether there is room.
    pub(super) fn is_ready(&self) -> bool {
        !self.full.load(Ordering::Acquire)
    }

    /// Waits until there is room, or the recording has broken. A disk that makes none for long breaks it.
    pub(super) async fn ready(&self) {
        let wait = async {
            loop {
                let room = self.room.notified();
                if self.is_ready() {
                    return;
                }
                room.await;
            }
        };
        if tokio::time::timeout(STALLED, wait).await.is_err() {
            self.break_off(RecordError::Stalled { seconds: STALLED.as_secs() });
        }
    }

    /// The recording cannot go on. The first reason is the one that counts.
    pub(super) fn break_off(&self, error: RecordError) {
        self.broken.send_if_modified(|broken| {
            let first = broken.is_none();
            if first {
                *broken = Some(Arc::new(error));
            }
            first
        });
        let mut state = self.state();
        state.batch = Batch::default();
        self.full.store(false, Ordering::Release);
        drop(state);
        self.room.notify_waiters();
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.borrow().is_some()
    }

    /// Waits until the recording breaks; for ever where it does not.
    pub(super) async fn broken(&self) -> Arc<RecordError> {
        let mut broken = self.broken.subscribe();
        match broken.wait_for(Option::is_some).await.map(|error| error.clone()) {
            Ok(Some(error)) => error,
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Why it broke, if it has.
    pub(super) fn failure(&self) -> Option<Arc<RecordError>> {
        self.broken.borrow().clone()
    }

    /// The file is closed.
    pub(super) fn close(&self, written: Written) {
        self.closed.send_replace(Some(written));
    }

    /// Waits until the file is closed. A disk that does not let it be for long breaks the recording.
    pub(super) async fn closed(&self) -> Option<Written> {
        let mut closed = self.closed.subscribe();
        let waiting = closed.wait_for(Option::is_some);
        match tokio::time::timeout(STALLED, waiting).await {
            Ok(closed) => closed.ok()?.clone(),
            Err(_) => {
                self.break_off(RecordError::Stalled { seconds: STALLED.as_secs() });
                None
            }
        }
    }
}
