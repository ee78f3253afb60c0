//! What a sink delivers to.

use std::future::{Future, ready};
use std::time::Duration;

use crate::audit::JournalLine;

/// Where lines are delivered. A call that is dropped half-way may have delivered some of its lines.
pub(super) trait Destination: Send + 'static {
    /// The last line of this node that the destination itself has, where it can tell.
    fn reached(&mut self) -> impl Future<Output = Option<u64>> + Send {
        ready(None)
    }

    /// Whether [`Destination::recall`] wants the lines before the first that is delivered.
    fn wants_the_past(&self) -> bool {
        false
    }

    /// A line that was delivered in an earlier run.
    fn recall(&mut self, _line: &JournalLine) {}

    /// Delivers lines, in order.
    fn deliver(&mut self, lines: &[JournalLine]) -> impl Future<Output = Result<Delivered, Failure>> + Send;

    /// The last line, `sent` or before, that would survive the end of this process and of the receiver.
    fn settled(&mut self, sent: u64) -> impl Future<Output = Result<u64, Failure>> + Send {
        ready(Ok(sent))
    }

    /// Looks whether a file was rotated away.
    fn reopen(&mut self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Says goodbye. What was sent is as settled as it can be afterwards.
    fn close(&mut self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// All lines were dealt with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Delivered {
    /// How many of them the receiver refused for good.
    pub(super) refused: u64,
    /// What it said about that.
    pub(super) why: Option<String>,
}

/// Some lines were not delivered and are to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(super) struct Failure {
    /// What went wrong, for the operator.
    pub(super) detail: String,
    /// The line after which to go on; none for where this attempt began. It may be an earlier one, where lines
    /// were on their way when a connection broke.
    pub(super) resume_after: Option<u64>,
    /// How long the receiver asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// A failure of the whole attempt.
    pub(super) fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), resume_after: None, retry_after: None }
    }

    /// Where to go on.
    pub(super) fn resuming_after(self, seq: u64) -> Self {
        Self { resume_after: Some(seq), ..self }
    }
}
