//! Why there is no recording, for the operator.

use std::io;
use std::path::{Path, PathBuf};

/// Why something could not be recorded, or a recording not be read. The path is the one the operator configured.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A file or directory could not be used.
    #[error("{path}: cannot {what}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The file of a running recording has been removed.
    #[error("{path} was removed while it was written")]
    Removed {
        /// Which one.
        path: PathBuf,
    },
    /// The disk did not take what was waiting.
    #[error("the disk took nothing for {seconds} seconds")]
    Stalled {
        /// How long that was waited for.
        seconds: u64,
    },
    /// A thread could not be started, or has ended.
    #[error("the recording thread is not there: {0}")]
    Thread(String),
    /// What was done to files could not be put on record.
    #[error("the file operations of the session could not be put on record")]
    Unposted,
    /// What was transferred could not be understood.
    #[error("the file transfer could not be followed: {0}")]
    Unreadable(String),
    /// zstd did not do its work.
    #[error("compression failed: {0}")]
    Compression(io::Error),
}

impl RecordError {
    pub(crate) fn file<'p>(path: &'p Path, what: &'static str) -> impl FnOnce(io::Error) -> Self + 'p {
        move |source| Self::File { path: path.to_owned(), what, source }
    }
}
