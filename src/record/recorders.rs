//! The one who makes recorders: the spool, and the threads that write.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::Notify;

use super::cast::{Environment, Format, HeaderLine, Origin};
use super::error::RecordError;
use super::frame::Press;
use super::hashing::Hashers;
use super::recorder::{Parts, Recorder};
use super::spool::{Spool, SpoolFile};
use super::station::{self, Station};
use super::tape::{Kind, Tape};
use crate::domain::{ChannelNumber, ConnectionId, RecordMode, RecordingId, SessionId};
use crate::policy::Limits;

/// More threads than this would only wait for the same disk.
const THREADS_MAX: usize = 4;
/// A terminal that says it is larger, or nothing, is taken for one of the usual size.
const SIDE_MAX: u32 = 9_999;
/// The usual size.
const USUAL: (u32, u32) = (80, 24);

/// What is recorded, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory that recordings are written to.
    pub spool: PathBuf,
    /// What holds where no rule says.
    pub default_mode: RecordMode,
}

/// What a channel is, for its recorder.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The client's connection.
    pub connection: ConnectionId,
    /// The session.
    pub session: SessionId,
    /// The channel within it.
    pub channel: ChannelNumber,
    /// When it begins.
    pub now: Timestamp,
    /// Who, where: `alice → ec2-user@web-1`.
    pub title: &'a str,
    /// The terminal that was asked for.
    pub terminal: Option<Terminal<'a>>,
    /// What runs.
    pub program: Program<'a>,
    /// What the user is told where a recording breaks that has to be.
    pub farewell: &'static str,
}

/// A terminal, as it was asked for (RFC 4254 §6.2).
#[derive(Debug, Clone, Copy)]
pub struct Terminal<'a> {
    /// The value of `TERM`.
    pub term: &'a str,
    /// Characters in a line.
    pub columns: u32,
    /// Lines.
    pub rows: u32,
}

/// What runs on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program<'a> {
    /// The login shell.
    Shell,
    /// One command.
    Exec(&'a [u8]),
    /// The subsystem `sftp`.
    Sftp,
    /// Another subsystem.
    Subsystem(&'a str),
}

/// Makes recorders. Clones share everything.
#[derive(Debug, Clone)]
pub struct Recorders(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    settings: Settings,
    spool: Option<Spool>,
    stations: Vec<Arc<Station>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicUsize,
    hashers: Hashers,
    /// A recording is whole.
    finished: Arc<Notify>,
}

impl Recorders {
    /// Opens the spool and starts the threads.
    ///
    /// # Errors
    /// When the spool cannot be made, or a thread not started.
    pub fn start(settings: Settings) -> Result<Self, RecordError> {
        let spool = Spool::open(&settings.spool)?;
        let finished = Arc::new(Notify::new());
        let count = std::thread::available_parallelism().map_or(1, NonZero::get).clamp(1, THREADS_MAX);
        let (mut stations, mut threads) = (Vec::new(), Vec::new());
        for number in 1..=count {
            let station = Arc::new(Station::default());
            stations.push(Arc::clone(&station));
            let finished = Arc::clone(&finished);
            let (ended, leaving) = mpsc::sync_channel(station::ENDED_MAX);
            threads.push(thread(format!("record-{number}"), move || station::run(&station, &ended))?);
            let see_off = move || station::see_off(&leaving, &|| finished.notify_one());
            threads.push(thread(format!("record-end-{number}"), see_off)?);
        }
        Ok(Self(Arc::new(Inner {
            settings,
            spool: Some(spool),
            stations,
            threads: Mutex::new(threads),
            next: AtomicUsize::new(0),
            hashers: Hashers::start()?,
            finished,
        })))
    }

    /// Recorders that record nothing, for tests of what is around them.
    #[must_use]
    pub fn none() -> Self {
        let settings = Settings { spool: PathBuf::new(), default_mode: RecordMode::Off };
        Self(Arc::new(Inner {
            settings,
            spool: None,
            stations: Vec::new(),
            threads: Mutex::default(),
            next: AtomicUsize::new(0),
            hashers: Hashers::default(),
            finished: Arc::default(),
        }))
    }

    /// Where recordings are written; none where nothing is recorded.
    #[must_use]
    pub fn spool(&self) -> Option<&Spool> {
        self.0.spool.as_ref()
    }

    /// Wakes whoever moves whole recordings elsewhere.
    pub(super) fn finished(&self) -> Arc<Notify> {
        Arc::clone(&self.0.finished)
    }

    /// What holds for a channel under these limits.
    #[must_use]
    pub fn mode(&self, limits: &Limits) -> RecordMode {
        limits.record.unwrap_or(self.0.settings.default_mode)
    }

    /// Begins to record a channel, as its limits say. A file that cannot be begun is an error where the recording is
    /// required, and told by [`Recorder::failure`] where it is not.
    ///
    /// # Errors
    /// When there has to be a recording and there cannot be one.
    pub async fn begin(&self, subject: &Subject<'_>, limits: &Limits) -> Result<Recorder, RecordError> {
        let mode = self.mode(limits);
        let format = match (mode, subject.terminal, subject.program) {
            (RecordMode::Off, ..) | (_, None, Program::Sftp) => None,
            (RecordMode::Required | RecordMode::BestEffort, Some(_), _) => Some(Format::Asciicast),
            (_, None, Program::Exec(_) | Program::Shell | Program::Subsystem(_)) => {
                limits.keep_output.then_some(Format::Output)
            }
        };
        let mut parts = Parts { mode, keyboard: limits.keyboard, recording: None, failure: None };
        if let Some(format) = format {
            let id = RecordingId::fresh();
            match self.tape(subject, id, format).await {
                Ok(tape) => parts.recording = Some((id, format, tape)),
                Err(error) if mode == RecordMode::Required => return Err(error),
                Err(error) => parts.failure = Some(Arc::new(error)),
            }
        }
        Ok(Recorder::new(parts, subject, &self.0.hashers))
    }

    async fn tape(
        &self,
        subject: &Subject<'_>,
        id: RecordingId,
        format: Format,
    ) -> Result<Arc<Tape>, RecordError> {
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed);
        let station = turn.checked_rem(self.0.stations.len()).and_then(|at| self.0.stations.get(at));
        let (Some(station), Some(spool)) = (station, self.0.spool.clone()) else {
            return Err(RecordError::Thread("recordings are not kept here".to_owned()));
        };
        let header = header(subject, id, format);
        let file = begin_file(spool, id, header).await?;
        let tape = Tape::new(station);
        station.enlist(&tape, file);
        tape.push(Kind::Marker, start_marker(subject.program).as_bytes());
        Ok(tape)
    }

    /// Ends the threads when they have written what there is. What is still recorded then stays unfinished. Blocks.
    pub fn close(&self) {
        self.0.stations.iter().for_each(|station| station.close());
        let mut threads = self.0.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a recording thread panicked; please report this");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stations.iter().for_each(|station| station.close());
    }
}

fn thread(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, RecordError> {
    let started = std::thread::Builder::new().name(name).spawn(work);
    started.map_err(|error| RecordError::Thread(error.to_string()))
}

async fn begin_file(spool: Spool, id: RecordingId, header: Vec<u8>) -> Result<SpoolFile, RecordError> {
    let begun = tokio::task::spawn_blocking(move || {
        let frame = Press::default().frame(&header)?.to_vec();
        spool.begin(id, &frame, header.len() as u64)
    });
    begun.await.map_err(|error| RecordError::Thread(error.to_string()))?
}

fn header(subject: &Subject<'_>, id: RecordingId, format: Format) -> Vec<u8> {
    let sane = |terminal: &Terminal<'_>| {
        let side = 1..=SIDE_MAX;
        side.contains(&terminal.columns) && side.contains(&terminal.rows)
    };
    let (width, height) =
        subject.terminal.filter(sane).map_or(USUAL, |terminal| (terminal.columns, terminal.rows));
    let line = HeaderLine {
        version: 2,
        width,
        height,
        timestamp: subject.now.as_second(),
        title: subject.title,
        env: subject.terminal.map(|terminal| Environment { term: terminal.term }),
        drawbridge: Origin {
            recording: id,
            connection: subject.connection,
            session: subject.session,
            channel: subject.channel,
            format,
        },
    };
    // What is written is text, numbers and ids.
    let mut text = serde_json::to_vec(&line).unwrap_or_default();
    text.push(b'\n');
    text
}

fn start_marker(program: Program<'_>) -> String {
    match program {
        Program::Shell => "start: shell".to_owned(),
        Program::Exec(line) => format!("start: {}", String::from_utf8_lossy(line)),
        Program::Sftp => "start: sftp".to_owned(),
        Program::Subsystem(name) => format!("start: subsystem {name}"),
    }
}
