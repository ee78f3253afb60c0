//! A recorded terminal on the terminal of whoever asked: at its own pace (`replay`), or as it comes (`watch`).
//!
//! What a recorded program printed reaches the reader's terminal as it was: that is what a recording is. Everything
//! else that is said here is plain text, and the terminal is put in order afterwards.
//! What it does not do: find the recording, or ask whether its reader may see it.

mod keys;
mod pace;
mod replay;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub(super) use replay::{Options, replay};
pub(super) use watch::{size, watch};

/// What the keys of `replay` do, for its help.
pub(crate) const KEYS_HELP: &str = "\
Keys: space pauses and goes on, . shows the next piece while paused, ] goes on to the
next marker, right and left go 5 seconds on and back, 0 to the start, + and - change the
speed, q leaves.";

/// Something in a recording, and when it was, from the beginning of the recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) at: Duration,
    pub(super) what: Sight,
}

/// What a frame shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sight {
    /// What the program printed, to the byte.
    Output(Bytes),
    /// The recorded terminal has this size from here on.
    Resized { columns: u32, rows: u32 },
    /// A place with a name.
    Marker,
}

/// Frames as they are read; an error is a sentence, and the last.
pub(super) type Reel = mpsc::Receiver<Result<Frame, String>>;

/// How many frames are read ahead.
pub(super) const FRAMES_AHEAD: usize = 16;

/// Reads a recording from its beginning, again and again.
pub(super) type Film = Arc<dyn Fn() -> Reel + Send + Sync>;

/// How much is written at a time where there is much.
const BATCH: usize = 32 * 1024;

/// Puts a terminal in order on which anything at all may have been printed: ends what was cut off (CAN, ST), then
/// character set, reports of mouse and focus, marked pastes, alternate screen, scrolling region, origin, insert,
/// keys, colours, wrapping, cursor; and goes to the last line.
pub(crate) const ORDER: &[u8] = b"\x18\x1b\\\x0f\x1b(B\
    \x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[?1049l\
    \x1b[r\x1b[?6l\x1b[4l\x1b[?1l\x1b>\x1b[>4m\x1b[?5l\x1b[0m\x1b[?7h\x1b[?25h\x1b[999;1H\r\n";

/// An empty screen, for what is shown from its beginning again.
const CLEAR: &[u8] =
    b"\x18\x1b\\\x0f\x1b(B\x1b[?1049l\x1b[r\x1b[?6l\x1b[4l\x1b[0m\x1b[?7h\x1b[?25h\x1b[2J\x1b[H";

/// How showing ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    /// Everything was shown.
    Shown,
    /// Whoever looked on had seen enough.
    Enough,
    /// The recording cannot be read further, for this reason.
    Broken(String),
}

#[cfg(test)]
mod tests;
