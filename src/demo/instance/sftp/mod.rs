//! The `sftp` subsystem: SFTP version 3 over the machine's own files, as the demo's user.
//!
//! What always holds here: open handles are bounded, and an answer is never larger than what
//! clients take. What it deliberately does not do: names that are not UTF-8 are shown with
//! replacement characters, because the protocol library reads names as text.

mod answers;
mod files;
mod handler;
mod listing;

use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use self::handler::SftpHandler;
use crate::domain::Exit;

/// Serves one client until its stream ends, and reports that end to `ended`.
pub(super) fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    home: PathBuf,
    ended: watch::Sender<Option<Exit>>,
) {
    let handler = SftpHandler::new(home, ended);
    tokio::spawn(russh_sftp::server::run(stream, handler));
}
