//! Reads recordings back: frames with the very bytes, whatever the file holds. A file that was cut off plays to its
//! last whole frame; one that is not ours, or damaged, is an error; and neither takes more memory than a frame.

use std::io::{self, Read};
use std::time::Duration;

use data_encoding::BASE64;
use serde::Deserialize;

use super::cast::{BYTES, Format, Origin};
use super::frame::{Front, Unpress, front};
use crate::domain::{ChannelNumber, ConnectionId, RecordingId, SessionId};

/// What is read from the file at a time.
const CHUNK: usize = 64 * 1024;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// When, since the recording began. Never before the frame before it.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The terminal showed this, or the program wrote it to standard output.
    Output(Vec<u8>),
    /// The program wrote this to standard error, and there was no terminal.
    Error(Vec<u8>),
    /// The client typed this.
    Input(Vec<u8>),
    /// The terminal had another size from here on.
    Resize {
        /// Characters in a line.
        columns: u32,
        /// Lines.
        rows: u32,
    },
    /// A place to remember: the start, the command, the ending. Text from outside is in it.
    Marker(String),
}

impl What {
    /// Bytes of data or text in it.
    #[must_use]
    pub fn length(&self) -> usize {
        match self {
            Self::Output(data) | Self::Error(data) | Self::Input(data) => data.len(),
            Self::Marker(text) => text.len(),
            Self::Resize { .. } => 0,
        }
    }
}

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Characters in a line at the start.
    pub columns: u32,
    /// Lines at the start.
    pub rows: u32,
    /// When it began, in seconds since 1970.
    pub timestamp: i64,
    /// Who, where. Text from outside is in it.
    pub title: String,
    /// What terminal it was, where there was one. Text from outside.
    pub term: Option<String>,
    /// The recording, and what it belongs to.
    pub origin: Origin,
}

/// Why a recording cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// It cannot be read.
    #[error("the recording cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It is not a recording of drawbridge's.
    #[error("this is not a recording that drawbridge wrote")]
    Foreign,
    /// It has nothing yet, or was cut off before it had anything.
    #[error("the recording is empty")]
    Empty,
    /// It has been damaged, or changed.
    #[error("the recording is damaged after {after:?} of playing time")]
    Damaged {
        /// Up to here it plays.
        after: Duration,
    },
}

/// Plays one recording, frame by frame.
#[derive(Debug)]
pub struct Player<R> {
    source: Source<R>,
    script: Script,
    header: Header,
}

impl<R: Read> Player<R> {
    /// Reads the header. Reading blocks, here and in [`Self::next_frame`].
    ///
    /// # Errors
    /// When there is none, or it is not one of ours.
    pub fn open(reader: R) -> Result<Self, PlayError> {
        let mut source = Source::new(reader)?;
        let text = source.next_text()?.ok_or(PlayError::Empty)?;
        let header = read_header(&text).ok_or(PlayError::Foreign)?;
        let mut script = Script::default();
        script.load(text, true);
        Ok(Self { source, script, header })
    }

    /// What it is of.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next frame; nothing at the end of what there is.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, PlayError> {
        loop {
            if let Some(frame) = self.script.next_frame()? {
                return Ok(Some(frame));
            }
            let after = self.script.last;
            match self.source.next_text() {
                Ok(Some(text)) => self.script.load(text, false),
                Ok(None) => return Ok(None),
                Err(PlayError::Foreign) => return Err(PlayError::Damaged { after }),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether the file ends in the middle of a frame: its writer was stopped. Known at the end only.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        !self.source.waiting.is_empty()
    }
}

/// Whole frames from a file.
#[derive(Debug)]
struct Source<R> {
    reader: R,
    unpress: Unpress,
    waiting: Vec<u8>,
    chunk: Vec<u8>,
}

impl<R: Read> Source<R> {
    fn new(reader: R) -> io::Result<Self> {
        Ok(Self { reader, unpress: Unpress::new()?, waiting: Vec::new(), chunk: vec![0; CHUNK] })
    }

    /// The text of the next whole frame; nothing where there is none, yet.
    fn next_text(&mut self) -> Result<Option<Vec<u8>>, PlayError> {
        loop {
            match front(&self.waiting) {
                Front::Whole(size) => {
                    let frame = self.waiting.get(..size).unwrap_or_default();
                    let text = self.unpress.text(frame).map_err(|_| PlayError::Foreign)?;
                    self.waiting.drain(..size);
                    return Ok(Some(text));
                }
                Front::Foreign => return Err(PlayError::Foreign),
                Front::Begun => {}
            }
            let count = match self.reader.read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.waiting.extend_from_slice(self.chunk.get(..count).unwrap_or_default());
        }
    }
}

/// The events in a piece of text.
#[derive(Debug, Default)]
struct Script {
    text: Vec<u8>,
    at: usize,
    last: Duration,
    /// The very bytes of the next event.
    exact: Option<Vec<u8>>,
}

impl Script {
    fn load(&mut self, text: Vec<u8>, with_header: bool) {
        self.at = if with_header { line(&text, 0).map_or(text.len(), |(_, next)| next) } else { 0 };
        self.text = text;
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, PlayError> {
        while let Some((line, next)) = line(&self.text, self.at) {
            self.at = next;
            let damaged = PlayError::Damaged { after: self.last };
            let Ok((at, code, data)) = serde_json::from_slice::<(f64, String, String)>(line) else {
                return Err(damaged);
            };
            let Ok(at) = Duration::try_from_secs_f64(at) else { return Err(damaged) };
            self.last = self.last.max(at);
            if code == BYTES {
                self.exact = Some(BASE64.decode(data.as_bytes()).map_err(|_| damaged)?);
                continue;
            }
            if let Some(what) = self.what(&code, data) {
                return Ok(Some(Frame { at: self.last, what }));
            }
        }
        Ok(None)
    }

    /// Nothing for what a later drawbridge may write, and for a resize that is none.
    fn what(&mut self, code: &str, data: String) -> Option<What> {
        match code {
            "o" => Some(What::Output(self.bytes(data))),
            "e" => Some(What::Error(self.bytes(data))),
            "i" => Some(What::Input(self.bytes(data))),
            "m" => Some(What::Marker(data)),
            "r" => {
                let (columns, rows) = data.split_once('x')?;
                Some(What::Resize { columns: columns.parse().ok()?, rows: rows.parse().ok()? })
            }
            _ => None,
        }
    }

    fn bytes(&mut self, shown: String) -> Vec<u8> {
        self.exact.take().unwrap_or_else(|| shown.into_bytes())
    }
}

/// The line that begins at `at`, and where the next one does.
fn line(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    Some((rest.get(..length)?, at + length + 1))
}

/// Reads the first line of a recording; nothing where it is not one of ours.
pub(super) fn read_header(text: &[u8]) -> Option<Header> {
    #[derive(Deserialize)]
    struct Raw {
        version: u8,
        width: u32,
        height: u32,
        timestamp: i64,
        title: String,
        env: Option<Env>,
        drawbridge: Ours,
    }
    #[derive(Deserialize)]
    struct Env {
        #[serde(rename = "TERM")]
        term: String,
    }
    #[derive(Deserialize)]
    struct Ours {
        recording: String,
        connection: String,
        session: String,
        channel: u32,
        format: String,
    }
    let raw: Raw = serde_json::from_slice(line(text, 0)?.0).ok()?;
    let origin = Origin {
        recording: RecordingId::parse(&raw.drawbridge.recording)?,
        connection: ConnectionId::parse(&raw.drawbridge.connection)?,
        session: SessionId::parse(&raw.drawbridge.session)?,
        channel: ChannelNumber(raw.drawbridge.channel),
        format: Format::parse(&raw.drawbridge.format)?,
    };
    (raw.version == 2).then(|| Header {
        columns: raw.width,
        rows: raw.height,
        timestamp: raw.timestamp,
        title: raw.title,
        term: raw.env.map(|env| env.term),
        origin,
    })
}
