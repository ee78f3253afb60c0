//! A pseudo-terminal with a program on it.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use pty_process::{OwnedReadPty, OwnedWritePty, Pts};
use rustix::termios::Winsize;
use tokio::io::{AsyncRead, ReadBuf};

use super::modes;
use super::program::PtyRequest;

/// A fresh terminal, ready for a program.
pub(super) struct Terminal {
    pub(super) reader: HangUpIsEnd,
    pub(super) writer: OwnedWritePty,
    pub(super) far_end: Pts,
    pub(super) size: TerminalSize,
}

/// Changes a terminal's size.
#[derive(Debug)]
pub(super) struct TerminalSize(OwnedFd);

impl Terminal {
    pub(super) fn open(request: &PtyRequest) -> io::Result<Self> {
        let (pty, far_end) = pty_process::open().map_err(io::Error::other)?;
        modes::apply(&far_end, &request.modes)?;
        let size = TerminalSize(rustix::io::fcntl_dupfd_cloexec(&pty, 0)?);
        size.set(request.columns, request.rows)?;
        let (reader, writer) = pty.into_split();
        Ok(Self { reader: HangUpIsEnd(reader), writer, far_end, size })
    }
}

impl TerminalSize {
    pub(super) fn set(&self, columns: u32, rows: u32) -> io::Result<()> {
        let clamp = |cells: u32| u16::try_from(cells).unwrap_or(u16::MAX);
        let (ws_col, ws_row) = (clamp(columns), clamp(rows));
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(&self.0, size)?)
    }
}

/// Reads what programs write to the terminal. Linux reports a terminal whose programs are gone
/// as EIO; that is its end of file.
pub(super) struct HangUpIsEnd(OwnedReadPty);

impl AsyncRead for HangUpIsEnd {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.0).poll_read(cx, buf);
        let hang_up = Some(rustix::io::Errno::IO.raw_os_error());
        read.map(|read| {
            read.or_else(|error| if error.raw_os_error() == hang_up { Ok(()) } else { Err(error) })
        })
    }
}
