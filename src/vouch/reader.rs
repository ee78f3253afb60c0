//! How a console is come by.

use thiserror::Error;

use super::console::{ConsoleError, read_console};
use super::known::KnownKeys;
use crate::domain::Target;
use crate::tasks::BoxFuture;

/// Which copy of a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsoleCopy {
    /// As it is at this moment. Only instances on Nitro have that.
    Latest,
    /// As EC2 kept it some minutes after the last start, stop or reboot.
    Kept,
}

/// Reads consoles.
pub trait ConsoleReader: Send + Sync + std::fmt::Debug {
    /// What stands on the console of a machine: 64 KB at most; nothing where there is no such copy.
    ///
    /// # Errors
    /// When it cannot be had. The wait is bounded.
    fn read<'a>(
        &'a self,
        target: &'a Target,
        copy: ConsoleCopy,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ConsoleFault>>;
}

/// Why a console cannot be read. Its text is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConsoleFault {
    /// Not permitted, or the daemon's credentials do not work.
    #[error("{action} is denied: {text}")]
    Denied {
        /// The IAM action that was refused.
        action: &'static str,
        /// What AWS said.
        text: String,
    },
    /// Asked too often.
    #[error("AWS is asked too often: {0}")]
    Throttled(String),
    /// No answer, or none that can be understood.
    #[error("{0}")]
    Unavailable(String),
}

/// Why a console says nothing although it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unread {
    /// It cannot be had.
    #[error("the console output cannot be read: {0}")]
    Fault(#[from] ConsoleFault),
    /// It contradicts itself.
    #[error("the console output {0}")]
    Contents(#[from] ConsoleError),
}

/// No console can be read.
#[derive(Debug, Clone, Copy)]
pub struct NoConsoles;

impl ConsoleReader for NoConsoles {
    fn read<'a>(
        &'a self,
        _target: &'a Target,
        _copy: ConsoleCopy,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, ConsoleFault>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// The keys on the console of a machine: of its latest copy, else of the one that was kept. Nothing where neither
/// has a complete block.
///
/// # Errors
/// When a copy cannot be had, or contradicts itself.
pub async fn ask_console(reader: &dyn ConsoleReader, target: &Target) -> Result<Option<KnownKeys>, Unread> {
    for copy in [ConsoleCopy::Latest, ConsoleCopy::Kept] {
        let text = reader.read(target, copy).await?;
        let known = text.map(|text| read_console(&text)).transpose()?.flatten();
        if known.is_some() {
            return Ok(known);
        }
    }
    Ok(None)
}
