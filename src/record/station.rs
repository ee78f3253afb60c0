//! The threads that write recordings down: they encode, compress, hash and write, and nobody waits for them unless
//! a tape is full. Each has another beside it, which sees what has ended onto the disk: that can take seconds where the disk
//! is busy, and what still runs must be written meanwhile.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cast::Scribe;
use super::error::RecordError;
use super::frame::Press;
use super::spool::SpoolFile;
use super::tape::{Batch, Taken, Tape, Written};

/// What is new is on the disk after this long, and a little more for the writing itself.
const TICK: Duration = Duration::from_millis(250);
/// Memory that a thread keeps for the next piece of text.
const KEPT: usize = 1024 * 1024;

/// Recordings that have ended and may wait for the disk before writing does.
pub(super) const ENDED_MAX: usize = 1024;

/// Where tapes wait for their thread.
#[derive(Debug, Default)]
pub(super) struct Station {
    queue: Mutex<Queue>,
    bell: Condvar,
}

/// Each tape is at most once in each of the two.
#[derive(Debug, Default)]
struct Queue {
    /// Those that have much, or have ended.
    urgent: VecDeque<Arc<Tape>>,
    /// Those that have something, and since when.
    noted: VecDeque<(Instant, Arc<Tape>)>,
    /// Files for tapes that are new here.
    files: Vec<(Arc<Tape>, SpoolFile)>,
    closed: bool,
}

impl Station {
    /// A tape has something; `urgent` where that is much, or all.
    pub(super) fn note(&self, tape: Arc<Tape>, urgent: bool) {
        let mut queue = self.lock();
        let idle = queue.urgent.is_empty() && queue.noted.is_empty();
        if urgent {
            queue.urgent.push_back(tape);
        } else {
            queue.noted.push_back((Instant::now(), tape));
        }
        drop(queue);
        if urgent || idle {
            self.bell.notify_one();
        }
    }

    /// The file that a tape is to be written to.
    pub(super) fn enlist(&self, tape: &Arc<Tape>, file: SpoolFile) {
        self.lock().files.push((Arc::clone(tape), file));
    }

    /// The thread ends when nothing is left to write.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.bell.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; nothing once the station is closed and idle.
    fn next(&self) -> Option<Work> {
        let mut queue = self.lock();
        loop {
            let now = Instant::now();
            let mut due: Vec<Arc<Tape>> = queue.urgent.drain(..).collect();
            while queue.noted.front().is_some_and(|(since, _)| now.duration_since(*since) >= TICK) {
                due.extend(queue.noted.pop_front().map(|(_, tape)| tape));
            }
            if !due.is_empty() {
                return Some(Work { due, new: std::mem::take(&mut queue.files) });
            }
            queue = match queue.noted.front() {
                Some((since, _)) => {
                    let left = TICK.saturating_sub(now.duration_since(*since));
                    self.bell.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None if queue.closed => return None,
                None => self.bell.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// What there is to do.
struct Work {
    due: Vec<Arc<Tape>>,
    new: Vec<(Arc<Tape>, SpoolFile)>,
}

/// What a thread has for each of its recordings.
#[derive(Debug)]
struct Reel {
    tape: Arc<Tape>,
    file: SpoolFile,
    scribe: Scribe,
    /// Since when the beginning of a character waits for its end.
    waiting: Option<Instant>,
}

/// A recording of which everything has been written.
#[derive(Debug)]
pub(super) struct Ended {
    tape: Arc<Tape>,
    file: SpoolFile,
    properly: bool,
}

/// Writes down what comes to a station, until it is closed and nothing is left; what has ended goes on to [`see_off`].
pub(super) fn run(station: &Station, ended: &SyncSender<Ended>) {
    let mut desk = Desk::default();
    let mut reels: Vec<Reel> = Vec::new();
    while let Some(Work { due, new }) = station.next() {
        let reel = |(tape, file)| Reel { tape, file, scribe: Scribe::default(), waiting: None };
        reels.extend(new.into_iter().map(reel));
        for tape in due {
            // One that is not there has ended already: it was in both queues.
            let Some(at) = reels.iter().position(|reel| Arc::ptr_eq(&reel.tape, &tape)) else { continue };
            let Some(reel) = reels.get_mut(at) else { continue };
            let taken = desk.serve(reel);
            if let Taken::Ended { properly } = taken {
                let Reel { tape, file, .. } = reels.swap_remove(at);
                if let Err(left) = ended.send(Ended { tape, file, properly }) {
                    left.0.close();
                }
            } else if reel.scribe.is_waiting() {
                // Should the rest of the character not come, there is still this much to write.
                station.note(tape, false);
            }
        }
    }
}

/// Sees recordings that have ended onto the disk, until no more can come.
pub(super) fn see_off(ended: &Receiver<Ended>, finished: &(dyn Fn() + Send + Sync)) {
    for one in ended {
        one.close();
        finished();
    }
}

impl Ended {
    fn close(self) {
        let Self { tape, file, properly } = self;
        let complete = properly && !tape.is_broken();
        let (bytes, compressed_bytes) = (file.text(), file.length());
        let sha256 = match file.finish() {
            Ok(sha256) => sha256,
            Err((error, sha256)) => {
                tape.break_off(error);
                sha256
            }
        };
        let complete = complete && !tape.is_broken();
        tape.close(Written { bytes, compressed_bytes, sha256, complete });
    }
}

/// What a thread works with, for one recording after the other.
#[derive(Debug, Default)]
struct Desk {
    press: Press,
    spare: Batch,
    text: Vec<u8>,
}

impl Desk {
    fn serve(&mut self, reel: &mut Reel) -> Taken {
        let (mut batch, taken) = reel.tape.take(&mut self.spare);
        if !reel.tape.is_broken()
            && let Err(error) = self.write(reel, &batch, taken)
        {
            reel.tape.break_off(error);
        }
        self.text.clear();
        self.text.shrink_to(KEPT);
        if batch.bytes.capacity() > self.spare.bytes.capacity() {
            batch.reuse();
            self.spare = batch;
        }
        taken
    }

    fn write(&mut self, reel: &mut Reel, batch: &Batch, taken: Taken) -> Result<(), RecordError> {
        let Self { press, text, .. } = self;
        let Reel { tape, file, scribe, waiting } = reel;
        let mut print = |text: &mut Vec<u8>| -> Result<(), RecordError> {
            if !text.is_empty() {
                file.append(press.frame(text)?, text.len() as u64)?;
                text.clear();
            }
            Ok(())
        };
        scribe.write(batch, text, &mut print)?;
        // What has begun and not gone on for a while is no character.
        let long = batch.is_empty() && waiting.is_some_and(|since| since.elapsed() >= TICK);
        if long || matches!(taken, Taken::Ended { .. }) {
            scribe.give_up_waiting(tape.now_us(), text);
        }
        *waiting = match *waiting {
            _ if !scribe.is_waiting() => None,
            Some(since) if batch.is_empty() => Some(since),
            Some(_) | None => Some(Instant::now()),
        };
        print(text)
    }
}
