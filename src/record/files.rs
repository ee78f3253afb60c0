//! File transfers as they go past: read by the parsers of their protocols, handed on as operations in order.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::hashing::Hashers;
use super::recorders::Program;
use super::scp::ScpReader;
use super::sftp::SftpReader;
use crate::audit::FileFacts;

/// Operations that may wait to be put on record before the relay does.
const WAITING_MAX: usize = 256;
/// Writes that a target has not answered are held back beyond this many bytes. OpenSSH's sftp-server copies all of its
/// input whenever that grows, and does not catch up with a client that never waits for an answer.
const UNANSWERED_MAX: u64 = 3 * 512 * 1024;
/// A target that answers nothing for this long may be waiting for the rest of a request.
const HELD_BACK: Duration = Duration::from_secs(1);

/// A file transfer that is followed.
#[derive(Debug)]
pub(super) struct Files {
    state: Mutex<State>,
    /// Operations wait, or none will come any more.
    news: Notify,
    /// What waits has become less, or a target has answered.
    room: Notify,
    full: AtomicBool,
    unanswered: AtomicU64,
    /// What is done is not all on record any more.
    incomplete: watch::Sender<bool>,
}

#[derive(Debug)]
struct State {
    reader: Box<dyn Following>,
    waiting: VecDeque<FileFacts>,
    ended: bool,
}

/// Reads a protocol by which files are moved, as it goes past.
pub trait Following: Send + std::fmt::Debug {
    /// Bytes of the client, in order, in any pieces.
    fn to_target(&mut self, data: &[u8]);
    /// Bytes of the target, likewise.
    fn to_client(&mut self, data: &[u8]);
    /// No more comes: what is under way is told as unfinished.
    fn end(&mut self);
    /// The next operation that is complete, in order.
    fn take(&mut self) -> Option<FileFacts>;
    /// Bytes of data that were sent to the target and that it has not answered.
    fn unanswered_write_bytes(&self) -> u64;
    /// Whether what comes next is not told any more.
    fn lost_track(&self) -> bool;
}

macro_rules! follow {
    ($($reader:ident, $unanswered:expr;)*) => { $(
        impl Following for $reader {
            fn to_target(&mut self, data: &[u8]) {
                self.to_target(data);
            }

            fn to_client(&mut self, data: &[u8]) {
                self.to_client(data);
            }

            fn end(&mut self) {
                self.end();
            }

            fn take(&mut self) -> Option<FileFacts> {
                self.take().map(FileFacts::from)
            }

            fn unanswered_write_bytes(&self) -> u64 {
                ($unanswered)(self)
            }

            fn lost_track(&self) -> bool {
                self.lost_track()
            }
        }
    )* };
}

follow! {
    SftpReader, SftpReader::unanswered_write_bytes;
    ScpReader, |_: &ScpReader| 0; // each file waits for its answer
}

impl Files {
    /// Follows a program that moves files in a way that is known here.
    pub(super) fn of(program: Program<'_>, hashers: &Hashers) -> Option<Self> {
        let reader: Box<dyn Following> = match program {
            Program::Sftp => Box::new(SftpReader::beside(hashers)),
            Program::Exec(line) => Box::new(ScpReader::from_command(line, hashers)?),
            Program::Shell | Program::Subsystem(_) => return None,
        };
        Some(Self::with(reader))
    }

    pub(super) fn with(reader: Box<dyn Following>) -> Self {
        Self {
            state: Mutex::new(State { reader, waiting: VecDeque::new(), ended: false }),
            news: Notify::new(),
            room: Notify::new(),
            full: AtomicBool::new(false),
            unanswered: AtomicU64::new(0),
            incomplete: watch::Sender::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn to_target(&self, data: &[u8]) {
        let mut state = self.state();
        state.reader.to_target(data);
        self.collect(state);
    }

    pub(super) fn to_client(&self, data: &[u8]) {
        let mut state = self.state();
        state.reader.to_client(data);
        self.collect(state);
        self.room.notify_waiters();
    }

    /// No more data comes.
    pub(super) fn end(&self) {
        let mut state = self.state();
        if !state.ended {
            state.reader.end();
            state.ended = true;
        }
        self.collect(state);
        self.news.notify_one();
    }

    fn collect(&self, mut state: MutexGuard<'_, State>) {
        let before = state.waiting.len();
        while let Some(operation) = state.reader.take() {
            state.waiting.push_back(operation);
        }
        self.unanswered.store(state.reader.unanswered_write_bytes(), Ordering::Relaxed);
        self.full.store(state.waiting.len() >= WAITING_MAX, Ordering::Relaxed);
        if state.reader.lost_track() {
            self.incomplete.send_if_modified(|incomplete| !std::mem::replace(incomplete, true));
        }
        if state.waiting.len() > before {
            self.news.notify_one();
        }
    }

    pub(super) fn client_ready(&self) -> bool {
        !self.full.load(Ordering::Relaxed)
    }

    pub(super) fn target_ready(&self) -> bool {
        self.client_ready() && self.unanswered.load(Ordering::Relaxed) <= UNANSWERED_MAX
    }

    pub(super) async fn wait_client(&self) {
        loop {
            let room = self.room.notified();
            if self.client_ready() {
                return;
            }
            room.await;
        }
    }

    pub(super) async fn wait_target(&self) {
        self.wait_client().await;
        let answered = async {
            loop {
                let room = self.room.notified();
                if self.target_ready() {
                    return;
                }
                room.await;
            }
        };
        // Held back for ever, a single request that is larger than the bound would never be whole.
        let _in_time = tokio::time::timeout(HELD_BACK, answered).await;
    }

    /// An operation could not be put on record.
    pub(super) fn give_up(&self) {
        self.incomplete.send_replace(true);
        self.state().waiting.clear();
        self.full.store(false, Ordering::Relaxed);
        self.room.notify_waiters();
    }

    pub(super) async fn broken(&self) {
        let mut incomplete = self.incomplete.subscribe();
        if incomplete.wait_for(|incomplete| *incomplete).await.is_err() {
            std::future::pending().await
        }
    }
}

/// The operations of one transfer, in order.
#[derive(Debug)]
pub struct Operations(Arc<Files>);

impl Operations {
    pub(super) fn new(files: Arc<Files>) -> Self {
        Self(files)
    }

    /// The next one; nothing when there are no more.
    pub async fn next(&mut self) -> Option<FileFacts> {
        loop {
            let news = self.0.news.notified();
            {
                let mut state = self.0.state();
                if let Some(operation) = state.waiting.pop_front() {
                    self.0.full.store(state.waiting.len() >= WAITING_MAX, Ordering::Relaxed);
                    self.0.room.notify_waiters();
                    return Some(operation);
                }
                if state.ended {
                    return None;
                }
            }
            news.await;
        }
    }

    /// The last one could not be put on record: a recording that has to be is broken.
    pub fn unposted(&self) {
        self.0.give_up();
    }
}
