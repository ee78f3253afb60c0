//! What is recorded of one channel: the witness of its relay.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cast::Format;
use super::error::RecordError;
use super::files::{Files, Operations};
use super::hashing::{Hashers, Sum};
use super::recorders::{Program, Subject};
use super::tape::{Kind, Tape};
use crate::domain::{Ending, RecordMode, RecordingId};
use crate::relay::Witness;
use crate::tasks::BoxFuture;

/// The first output of a program that is kept, in bytes, where policy asks for it.
const OUTPUT_KEPT: usize = 64 * 1024;
/// What the composition of a recorder came to.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) mode: RecordMode,
    pub(super) keyboard: bool,
    pub(super) recording: Option<(RecordingId, Format, Arc<Tape>)>,
    pub(super) failure: Option<Arc<RecordError>>,
}

/// Records one channel. Dropping it leaves a recording without ending.
#[derive(Debug)]
pub struct Recorder {
    mode: RecordMode,
    /// What the user is told where a recording breaks that has to be.
    farewell: &'static str,
    keyboard: bool,
    recording: Option<(RecordingId, Format, Arc<Tape>)>,
    /// Why there is no recording, where one was wanted.
    failure: Option<Arc<RecordError>>,
    /// How much of a program's output may still be kept.
    output_left: AtomicUsize,
    /// Output was not kept.
    cut: AtomicBool,
    sums: Option<Sums>,
    files: Option<Arc<Files>>,
}

/// What a channel came to, for the line about its ending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Finished {
    /// What went each way, where it was hashed.
    pub sums: Option<SumFacts>,
    /// The recording, where there is one.
    pub recording: Option<FinishedRecording>,
}

/// SHA-256 of each direction's bytes, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SumFacts {
    /// Standard input.
    pub to_target: [u8; 32],
    /// Standard output.
    pub to_client: [u8; 32],
    /// Standard error.
    pub stderr: [u8; 32],
    /// Bytes of standard error.
    pub bytes_stderr: u64,
}

/// A recording that is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedRecording {
    /// Which.
    pub id: RecordingId,
    /// What is in it.
    pub format: Format,
    /// Bytes of text.
    pub bytes: u64,
    /// SHA-256 of the file as it is stored.
    pub sha256: [u8; 32],
    /// Bytes of that file.
    pub compressed_bytes: u64,
    /// Whether it has everything, to the ending.
    pub complete: bool,
}

impl Recorder {
    pub(super) fn new(parts: Parts, subject: &Subject<'_>, hashers: &Hashers) -> Self {
        let Parts { mode, keyboard, recording, failure } = parts;
        let plain = mode != RecordMode::Off && subject.terminal.is_none();
        let files = plain.then(|| Files::of(subject.program, hashers)).flatten().map(Arc::new);
        let sums = (plain && subject.program != Program::Sftp).then(Sums::new);
        let output_left = AtomicUsize::new(OUTPUT_KEPT);
        let farewell = subject.farewell;
        Self {
            mode,
            farewell,
            keyboard,
            recording,
            failure,
            output_left,
            cut: AtomicBool::new(false),
            sums,
            files,
        }
    }

    /// What holds for this channel.
    #[must_use]
    pub fn mode(&self) -> RecordMode {
        self.mode
    }

    /// The recording, where there is one.
    #[must_use]
    pub fn id(&self) -> Option<RecordingId> {
        self.recording.as_ref().map(|(id, ..)| *id)
    }

    /// Who watches the relay; nobody where nothing is recorded.
    #[must_use]
    pub fn witness(&self) -> Option<&dyn Witness> {
        let something = self.recording.is_some() || self.sums.is_some() || self.files.is_some();
        something.then_some(self as &dyn Witness)
    }

    /// What is done to files, to be put on record as it comes; none where no file transfer is followed. They end
    /// after [`Self::end_operations`].
    #[must_use]
    pub fn operations(&self) -> Option<Operations> {
        self.files.as_ref().map(|files| Operations::new(Arc::clone(files)))
    }

    /// No more data comes: what was under way is told as unfinished.
    pub fn end_operations(&self) {
        if let Some(files) = &self.files {
            files.end();
        }
    }

    /// Why nothing is recorded any more; waits for ever where nothing is amiss.
    pub async fn failure(&self) -> Arc<RecordError> {
        if let Some(error) = &self.failure {
            return Arc::clone(error);
        }
        match &self.recording {
            Some((.., tape)) => tape.broken().await,
            None => std::future::pending().await,
        }
    }

    /// Ends the recording; waits until its file is whole. `marker` says how the program ended.
    pub async fn finish(&self, marker: &str) -> Finished {
        let recording = match &self.recording {
            None => None,
            Some((id, format, tape)) => {
                tape.push(Kind::Marker, marker.as_bytes());
                tape.end(true);
                let written = tape.closed().await;
                written.map(|written| FinishedRecording {
                    id: *id,
                    format: *format,
                    bytes: written.bytes,
                    sha256: written.sha256,
                    compressed_bytes: written.compressed_bytes,
                    complete: written.complete && !self.cut.load(Ordering::Relaxed),
                })
            }
        };
        Finished { sums: self.sums.as_ref().map(Sums::facts), recording }
    }

    /// Why the recording broke, where it did; for what only shows at its end.
    #[must_use]
    pub fn failed(&self) -> Option<Arc<RecordError>> {
        let tape = self.recording.as_ref().and_then(|(.., tape)| tape.failure());
        self.failure.clone().or(tape)
    }

    fn output(&self, kind: Kind, data: &[u8]) {
        let Some((_, format, tape)) = &self.recording else { return };
        match format {
            // A terminal shows both alike.
            Format::Asciicast => tape.push(Kind::Output, data),
            Format::Output => {
                let left = self.output_left.load(Ordering::Relaxed);
                let kept = data.get(..left).unwrap_or(data);
                self.output_left.store(left - kept.len(), Ordering::Relaxed);
                tape.push(kind, kept);
                if kept.len() < data.len() && !self.cut.swap(true, Ordering::Relaxed) {
                    tape.push(Kind::Marker, b"the rest of the output was not kept");
                }
            }
        }
    }

    fn is_tape_ready(&self) -> bool {
        self.recording.as_ref().is_none_or(|(.., tape)| tape.is_ready())
    }

    async fn tape_ready(&self) {
        if let Some((.., tape)) = &self.recording {
            tape.ready().await;
        }
    }
}

impl Witness for Recorder {
    fn to_target(&self, data: &[u8]) {
        if let Some(sums) = &self.sums {
            lock(&sums.to_target).add(data);
        }
        if let Some(files) = &self.files {
            files.to_target(data);
        }
        if let (true, Some((_, Format::Asciicast, tape))) = (self.keyboard, &self.recording) {
            tape.push(Kind::Input, data);
        }
    }

    fn to_client(&self, data: &[u8]) {
        if let Some(sums) = &self.sums {
            lock(&sums.to_client).add(data);
        }
        if let Some(files) = &self.files {
            files.to_client(data);
        }
        self.output(Kind::Output, data);
    }

    fn stderr_to_client(&self, data: &[u8]) {
        if let Some(sums) = &self.sums {
            lock(&sums.stderr).add(data);
        }
        self.output(Kind::Error, data);
    }

    fn window(&self, columns: u32, rows: u32) {
        if let Some((_, Format::Asciicast, tape)) = &self.recording {
            tape.push(Kind::Resize, format!("{columns}x{rows}").as_bytes());
        }
    }

    fn target_ready(&self) -> bool {
        (!self.keyboard || self.is_tape_ready())
            && self.files.as_ref().is_none_or(|files| files.target_ready())
    }

    fn client_ready(&self) -> bool {
        self.is_tape_ready() && self.files.as_ref().is_none_or(|files| files.client_ready())
    }

    fn wait_target(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.keyboard {
                self.tape_ready().await;
            }
            if let Some(files) = &self.files {
                files.wait_target().await;
            }
        })
    }

    fn wait_client(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.tape_ready().await;
            if let Some(files) = &self.files {
                files.wait_client().await;
            }
        })
    }

    fn broken(&self) -> BoxFuture<'_, (Ending, &'static str)> {
        Box::pin(async {
            match self.mode {
                RecordMode::Required => {
                    let files = async {
                        match &self.files {
                            Some(files) => files.broken().await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        _ = self.failure() => {}
                        () = files => {}
                    }
                    (Ending::RecordingFailed, self.farewell)
                }
                RecordMode::BestEffort | RecordMode::Off => std::future::pending().await,
            }
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some((.., tape)) = &self.recording {
            tape.end(false);
        }
        self.end_operations();
    }
}

/// The hashes of what went through.
#[derive(Debug)]
struct Sums {
    to_target: Mutex<Sum>,
    to_client: Mutex<Sum>,
    stderr: Mutex<Sum>,
}

impl Sums {
    /// Where a stream passes, its bytes are in the cache already, and nobody waits for an answer to each piece of them, as
    /// clients of SFTP do: another thread would cost more than it gains.
    fn new() -> Self {
        let sum = || Mutex::new(Sum::new(&Hashers::default()));
        Self { to_target: sum(), to_client: sum(), stderr: sum() }
    }

    fn facts(&self) -> SumFacts {
        let value = |sum: &Mutex<Sum>| {
            let mut sum = lock(sum);
            (sum.value(), sum.bytes())
        };
        let (stderr, bytes_stderr) = value(&self.stderr);
        SumFacts {
            to_target: value(&self.to_target).0,
            to_client: value(&self.to_client).0,
            stderr,
            bytes_stderr,
        }
    }
}

fn lock(sum: &Mutex<Sum>) -> MutexGuard<'_, Sum> {
    sum.lock().unwrap_or_else(PoisonError::into_inner)
}
