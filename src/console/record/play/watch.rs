//! `watch`: a recording that grows, as it comes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep_until};

use super::keys::{Key, Keys};
use super::{BATCH, Frame, ORDER, Over, Reel, Sight};
use crate::console::stage::{Input, Left, Stage};

/// How much of what was printed before is shown at first: full-screen programs draw their screen in far less.
const PAST_MAX: usize = 256 * 1024;
/// Nothing more for so long, and the past is over.
const QUIET: Duration = Duration::from_millis(150);
/// The past is over after that in any case.
const PAST_PATIENCE: Duration = Duration::from_secs(10);

/// Shows the latest that was printed, and from there on everything as it comes. Leaves the terminal in order.
pub(in super::super) async fn watch(stage: &mut Stage, reel: Reel) -> Result<Over, Left> {
    let mut watcher = Watcher { stage, reel, keys: Keys::default() };
    let over = match watcher.catch_up().await? {
        Some(over) => over,
        None => watcher.follow().await?,
    };
    stage.show(Bytes::from_static(ORDER)).await?;
    Ok(over)
}

struct Watcher<'s> {
    stage: &'s mut Stage,
    reel: Reel,
    keys: Keys,
}

enum Next {
    Frame(Frame),
    Quiet,
    Over(Over),
}

impl Watcher<'_> {
    /// The next frame, or nothing by that moment, or the wish to leave.
    async fn next(&mut self, until: Option<Instant>) -> Next {
        let quiet = async {
            match until {
                Some(moment) => sleep_until(moment).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(quiet);
        loop {
            tokio::select! {
                biased;
                input = self.stage.input() => if self.wants_to_leave(input) { return Next::Over(Over::Enough) },
                frame = self.reel.recv() => return match frame {
                    Some(Ok(frame)) => Next::Frame(frame),
                    Some(Err(sentence)) => Next::Over(Over::Broken(sentence)),
                    None => Next::Over(Over::Shown),
                },
                () = &mut quiet => return Next::Quiet,
            }
        }
    }

    fn wants_to_leave(&mut self, input: Input) -> bool {
        match input {
            Input::Keys(typed) => typed.into_iter().any(|byte| self.keys.take(byte) == Some(Key::Quit)),
            Input::Resized(_) => false,
        }
    }

    /// Reads up to the present; of what was printed the latest is kept and shown.
    async fn catch_up(&mut self) -> Result<Option<Over>, Left> {
        let mut past = Past::default();
        let patience = Instant::now() + PAST_PATIENCE;
        let over = loop {
            match self.next(Some((Instant::now() + QUIET).min(patience))).await {
                Next::Frame(frame) => past.take(frame),
                Next::Quiet => break None,
                Next::Over(over) => break Some(over),
            }
            if Instant::now() >= patience {
                break None;
            }
        };
        if let Some((columns, rows)) = past.size {
            self.stage
                .say(size(columns, rows, self.stage.terminal().map(|own| (own.columns, own.rows))))
                .await?;
        }
        for piece in past.pieces {
            self.stage.show(piece).await?;
        }
        Ok(over)
    }

    async fn follow(&mut self) -> Result<Over, Left> {
        loop {
            let mut batch = BytesMut::new();
            let mut next = self.next(None).await;
            // What is there already is written at once.
            let over = loop {
                match next {
                    Next::Frame(frame) => print(&mut batch, frame),
                    Next::Quiet => break None,
                    Next::Over(over) => break Some(over),
                }
                next = match self.reel.try_recv() {
                    Ok(Ok(frame)) if batch.len() < BATCH => Next::Frame(frame),
                    Ok(Ok(frame)) => {
                        print(&mut batch, frame);
                        Next::Quiet
                    }
                    Ok(Err(sentence)) => Next::Over(Over::Broken(sentence)),
                    Err(_nothing) => Next::Quiet,
                };
            };
            self.stage.show(batch.freeze()).await?;
            if let Some(over) = over {
                return Ok(over);
            }
        }
    }
}

fn print(batch: &mut BytesMut, frame: Frame) {
    match frame.what {
        Sight::Output(bytes) => batch.extend_from_slice(&bytes),
        // The reader's terminal keeps its size.
        Sight::Resized { .. } | Sight::Marker => {}
    }
}

/// The latest of what was printed, and the size of the terminal.
#[derive(Debug, Default)]
struct Past {
    pieces: VecDeque<Bytes>,
    length: usize,
    size: Option<(u32, u32)>,
}

impl Past {
    fn take(&mut self, frame: Frame) {
        match frame.what {
            Sight::Output(bytes) => {
                self.length += bytes.len();
                self.pieces.push_back(bytes);
                while self.length > PAST_MAX && self.pieces.len() > 1 {
                    self.length -= self.pieces.pop_front().map_or(0, |piece| piece.len());
                }
            }
            Sight::Resized { columns, rows } => self.size = Some((columns, rows)),
            Sight::Marker => {}
        }
    }
}

/// What is said about the two terminals.
pub(in super::super) fn size(columns: u32, rows: u32, own: Option<(u32, u32)>) -> String {
    // Zero is a size that is not known (RFC 4254 §6.2).
    let known = own.filter(|(width, height)| *width > 0 && *height > 0);
    let smaller = known.filter(|(width, height)| *width < columns || *height < rows);
    match smaller {
        Some((width, height)) => format!(
            "That terminal has {columns}x{rows} characters and yours {width}x{height}: make yours larger, or lines will break elsewhere.\n"
        ),
        None => format!("That terminal has {columns}x{rows} characters.\n"),
    }
}
