//! Answers that come about while they are given, on the operator's own terminal.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;

use bytes::Bytes;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::console::{Audience, Input, Live, Piece, Size, Stage, Verdict};

/// Gives an answer to its end; says how it went.
///
/// # Errors
/// When the answer cannot be written or the terminal cannot be used.
pub(super) async fn perform(live: Live, out: &mut impl Write, err: &mut impl Write) -> io::Result<Verdict> {
    let terminal = size();
    let keyboard = (live.takes_keys() && terminal.is_some() && io::stdin().is_terminal())
        .then(Keyboard::take)
        .transpose()?;
    let (stage, Audience { out: mut pieces, input }) = Stage::new(terminal);
    let playing = tokio::spawn(live.begin(stage));
    if keyboard.is_some() {
        read_keys(input.clone())?;
        tokio::spawn(tell_sizes(input));
    } else {
        drop(input);
    }
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let piece = tokio::select! {
            piece = pieces.recv() => piece,
            _ = terminate.recv() => return Ok(Verdict::No),
        };
        match piece {
            Some(piece) => write(piece, keyboard.is_some(), out, err)?,
            None => break,
        }
    }
    playing.await.map_err(io::Error::other)
}

fn write(piece: Piece, raw: bool, out: &mut impl Write, err: &mut impl Write) -> io::Result<()> {
    // A terminal in raw mode goes straight down at a line feed alone.
    let lines = |text: String| if raw { text.replace('\n', "\r\n") } else { text };
    match piece {
        Piece::Text(text) => out.write_all(lines(text).as_bytes())?,
        Piece::Raw(bytes) => out.write_all(&bytes)?,
        Piece::Complaint(text) => {
            out.flush()?;
            return err.write_all(lines(text).as_bytes());
        }
    }
    out.flush()
}

/// The size of the terminal on standard output, where there is one.
fn size() -> Option<Size> {
    let size = io::stdout().is_terminal().then(|| tcgetwinsize(io::stdout()))?.ok()?;
    Some(Size { columns: size.ws_col.into(), rows: size.ws_row.into() })
}

/// The terminal on standard input in raw mode: each key comes as it is pressed. It is given back when this is dropped;
/// what was typed or answered by then and not read is forgotten, or the shell would take it for commands.
struct Keyboard(Termios);

impl Keyboard {
    fn take() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // A terminal that is gone needs no order.
        let _restored = tcsetattr(io::stdin().as_fd(), OptionalActions::Flush, &self.0).is_ok();
    }
}

/// Reads keys on a thread of its own: it waits in the system's call for a key until the process ends.
fn read_keys(input: mpsc::Sender<Input>) -> io::Result<()> {
    let read = move || {
        let mut keys = [0; 256];
        while let Ok(length) = io::stdin().read(&mut keys) {
            let typed = keys.get(..length).filter(|typed| !typed.is_empty()).map(Bytes::copy_from_slice);
            let Some(typed) = typed else { break };
            if input.blocking_send(Input::Keys(typed)).is_err() {
                break;
            }
        }
    };
    std::thread::Builder::new().name("keyboard".to_owned()).spawn(read).map(drop)
}

/// Tells of new sizes of the terminal.
async fn tell_sizes(input: mpsc::Sender<Input>) {
    let Ok(mut changes) = signal(SignalKind::window_change()) else { return };
    while changes.recv().await.is_some() {
        let Some(size) = size() else { continue };
        if input.send(Input::Resized(size)).await.is_err() {
            return;
        }
    }
}
