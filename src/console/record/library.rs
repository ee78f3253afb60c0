//! The recordings, read.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::play::{FRAMES_AHEAD, Film, Frame, Reel, Sight};
use super::trouble::Trouble;
use crate::domain::RecordingId;
use crate::record::player::{Header, PlayError, Player, What};
use crate::record::vault::Vault;
use crate::record::{Follow, Format, Spool};

/// Where recordings are.
#[derive(Debug, Clone)]
pub struct Library {
    spool: Option<Spool>,
    vault: Vault,
}

/// Frames that are read together, and bytes in them.
const TOGETHER: (usize, usize) = (64, 256 * 1024);
/// What of an exported recording is read together.
const CHUNK: usize = 64 * 1024;

impl Library {
    /// The recordings of this node's spool, where it has one, and of the vault.
    #[must_use]
    pub fn new(spool: Option<Spool>, vault: Vault) -> Self {
        Self { spool, vault }
    }

    fn spool(&self) -> Result<&Spool, Trouble> {
        self.spool.as_ref().ok_or_else(|| {
            Trouble::say(
                "there are no recordings on this machine: the directory `recording.dir` is not there.",
            )
        })
    }

    /// Opens a recording, to be played again and again.
    pub(super) async fn film(&self, id: RecordingId) -> Result<(Header, Film), Trouble> {
        let file = Arc::new(self.open(id).await?);
        let from_start = Arc::clone(&file);
        let header = tokio::task::spawn_blocking(move || {
            Player::open(At { file: from_start, offset: 0 }).map(|player| player.header().clone())
        });
        let header =
            header.await.map_err(|fault| unreadable(id, &fault))?.map_err(|error| unreadable(id, &error))?;
        Ok((header, Arc::new(move || played(Arc::clone(&file)))))
    }

    /// Follows a recording of this node that grows.
    pub(super) async fn follow(&self, id: RecordingId) -> Result<Reel, Trouble> {
        let mut follow = Follow::open(self.spool()?, id).await.map_err(|error| unreadable(id, &error))?;
        let (frames, reel) = mpsc::channel(FRAMES_AHEAD);
        tokio::spawn(async move {
            let header = follow.header().clone();
            if frames.send(Ok(first(&header))).await.is_err() {
                return;
            }
            loop {
                // A program may print nothing for long; whoever looked on may have left meanwhile.
                let next = tokio::select! {
                    next = follow.next() => next,
                    () = frames.closed() => return,
                };
                let batch = match next {
                    Ok(Some(batch)) => batch
                        .into_iter()
                        .filter_map(|frame| sight(frame.at, frame.what, header.origin.format))
                        .collect(),
                    Ok(None) => return,
                    Err(error) => vec![Err(error.to_string())],
                };
                for frame in batch {
                    if frames.send(frame).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(reel)
    }

    /// The text of a recording, as any player of asciicasts reads it, piece by piece; an error is a sentence, and the last.
    pub(super) async fn text(
        &self,
        id: RecordingId,
    ) -> Result<mpsc::Receiver<Result<Bytes, String>>, Trouble> {
        let file = Arc::new(self.open(id).await?);
        let (pieces, text) = mpsc::channel(2);
        tokio::spawn(async move {
            let mut reader = None;
            loop {
                let file = Arc::clone(&file);
                let taken = reader.take();
                let read = tokio::task::spawn_blocking(move || {
                    let mut reader = match taken {
                        Some(reader) => reader,
                        None => zstd::stream::read::Decoder::new(At { file, offset: 0 })?,
                    };
                    let mut chunk = vec![0; CHUNK];
                    let length = reader.read(&mut chunk)?;
                    chunk.truncate(length);
                    Ok::<_, io::Error>((reader, chunk))
                });
                let piece = match read.await.map_err(io::Error::other).flatten() {
                    Ok((_, chunk)) if chunk.is_empty() => return,
                    Ok((next, chunk)) => {
                        reader = Some(next);
                        Ok(Bytes::from(chunk))
                    }
                    // What a crash cut off; all that was whole has been read.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return,
                    Err(error) => Err(error.to_string()),
                };
                let last = piece.is_err();
                if pieces.send(piece).await.is_err() || last {
                    return;
                }
            }
        });
        Ok(text)
    }

    async fn open(&self, id: RecordingId) -> Result<File, Trouble> {
        self.vault.open_recording(self.spool()?, id).await.map_err(|error| unreadable(id, &error))
    }
}

fn unreadable(id: RecordingId, error: &dyn std::fmt::Display) -> Trouble {
    tracing::warn!(recording = %id, %error, "a recording could not be read");
    Trouble::say(format!(
        "the recording {id} cannot be read from here; it may be on another bastion, or have been removed. The operator's \
         log says more."
    ))
}

/// A file that is read from a place of its own, whoever else reads it.
#[derive(Debug)]
struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(u64::try_from(length).unwrap_or(0));
        Ok(length)
    }
}

/// Plays a file from its beginning, as far ahead as there is room.
fn played(file: Arc<File>) -> Reel {
    let (frames, reel) = mpsc::channel(FRAMES_AHEAD);
    tokio::spawn(async move {
        let mut player = None;
        loop {
            let file = Arc::clone(&file);
            let taken = player.take();
            let read = tokio::task::spawn_blocking(move || batch(taken, file));
            let (batch, next) = match read.await {
                Ok(Ok((batch, next))) => (batch, next),
                Ok(Err(error)) => (vec![Err(error.to_string())], None),
                Err(fault) => (vec![Err(fault.to_string())], None),
            };
            for frame in batch {
                if frames.send(frame).await.is_err() {
                    return;
                }
            }
            if next.is_none() {
                return;
            }
            player = next;
        }
    });
    reel
}

type Batch = Vec<Result<Frame, String>>;

/// The next frames; the player, where there are more.
fn batch(player: Option<Player<At>>, file: Arc<File>) -> Result<(Batch, Option<Player<At>>), PlayError> {
    let mut batch = Vec::new();
    let mut player = match player {
        Some(player) => player,
        None => {
            let player = Player::open(At { file, offset: 0 })?;
            batch.push(Ok(first(player.header())));
            player
        }
    };
    let format = player.header().origin.format;
    let mut bytes = 0;
    while batch.len() < TOGETHER.0 && bytes < TOGETHER.1 {
        match player.next_frame() {
            Ok(Some(frame)) => {
                bytes += frame.what.length();
                batch.extend(sight(frame.at, frame.what, format));
            }
            Ok(None) => return Ok((batch, None)),
            Err(error) => {
                batch.push(Err(error.to_string()));
                return Ok((batch, None));
            }
        }
    }
    Ok((batch, Some(player)))
}

/// The size at the start.
fn first(header: &Header) -> Frame {
    Frame { at: Duration::ZERO, what: Sight::Resized { columns: header.columns, rows: header.rows } }
}

/// What a frame shows; nothing of what was typed, which the terminal showed itself where it was to be seen.
fn sight(at: Duration, what: What, format: Format) -> Option<Result<Frame, String>> {
    let what = match what {
        What::Output(data) | What::Error(data) => Sight::Output(match format {
            Format::Asciicast => Bytes::from(data),
            // There was no terminal, which would have made whole line ends of them.
            Format::Output => with_whole_line_ends(&data),
        }),
        What::Resize { columns, rows } => Sight::Resized { columns, rows },
        What::Marker(_) => Sight::Marker,
        What::Input(_) => return None,
    };
    Some(Ok(Frame { at, what }))
}

fn with_whole_line_ends(data: &[u8]) -> Bytes {
    let mut whole = Vec::with_capacity(data.len());
    for byte in data {
        if *byte == b'\n' {
            whole.push(b'\r');
        }
        whole.push(*byte);
    }
    Bytes::from(whole)
}
