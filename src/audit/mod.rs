//! The auditor's record: one typed [`Event`] for each thing that happened, one JSON line for
//! each event.
//!
//! What always holds here:
//! - [`Log::record`] resolves only when the line is on the disk (synced, unless the operator
//!   chose otherwise) and on standard output where that was asked for. If the line cannot be
//!   written, the caller gets an error, and the thing must not happen.
//! - A line is whole or absent: a failed write is cut back, and where even that fails the next
//!   line starts afresh.
//! - Every text in a line is bounded, and no character in it can steer a terminal.
//! - The wire form is versioned ([`json::VERSION`]) and held by snapshots; `docs/audit.md`
//!   documents every field, and a test holds it to that.
//!
//! What it deliberately does not do: decide what is worth an event (`session` and `listener`
//! narrate), drop events when it is slow (callers wait), or keep an index. Lines meet in one
//! writer thread in the order in which they are stored, which is where a chained hash belongs.

mod event;
#[cfg(test)]
mod examples;
mod facts;
mod file;
pub mod json;
mod log;
mod memory;
mod record_facts;
mod text;
mod writer;

use std::io;
use std::sync::Arc;

pub use event::Event;
pub use facts::{
    ActionFacts, Algorithms, AuthProof, CertificateProof, Content, DecisionOutcome, EarlyRefusal, ExitFacts,
    LimitFacts, PtyFacts, Reloadable, TargetFacts, Unresolved, VouchedBy, Way,
};
pub use log::{Log, Posted, Settings};
pub use memory::Collected;
pub use record_facts::{
    ContentFacts, FileAct, FileFacts, FileProtocol, HeadFacts, OtherHead, PathFacts, RecordFacts,
    RecordingFacts, RecordingFormat,
};
pub use text::{CommandLine, SshUser, Text};

use crate::domain::{ConnectionId, SessionId};

/// One event and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The client's connection, where the event belongs to one.
    pub connection: Option<ConnectionId>,
    /// The session, where the event belongs to one.
    pub session: Option<SessionId>,
    /// What happened.
    pub event: Event,
}

impl Entry {
    /// An event of the daemon itself.
    #[must_use]
    pub fn of_daemon(event: Event) -> Self {
        Self { connection: None, session: None, event }
    }

    /// An event of a client's connection.
    #[must_use]
    pub fn of_connection(connection: ConnectionId, event: Event) -> Self {
        Self { connection: Some(connection), session: None, event }
    }

    /// An event of a session on a client's connection.
    #[must_use]
    pub fn of_session(connection: ConnectionId, session: SessionId, event: Event) -> Self {
        Self { connection: Some(connection), session: Some(session), event }
    }
}

/// Where lines end up.
pub trait Sink: Send {
    /// Appends `lines` (whole lines, each with its line feed) and returns when they are durable.
    ///
    /// # Errors
    /// When they are not; then none of them may be left behind, as far as the medium allows.
    fn append(&mut self, lines: &[u8]) -> io::Result<()>;

    /// Lets go of what was opened and opens it again, as log rotation asks for.
    ///
    /// # Errors
    /// When it cannot be opened again; the sink keeps what it has.
    fn reopen(&mut self) -> io::Result<()>;
}

/// Why an event is not on record. Whatever it was about must not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The file could not be opened.
    #[error(
        "the audit file {path} cannot be opened: {source}; check that its directory exists, that \
         drawbridge may write there and that no other drawbridge uses it"
    )]
    Open {
        /// The file, as configured.
        path: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The writer thread could not be started.
    #[error("the audit writer cannot be started: {0}; the system may be out of threads or memory")]
    Start(Arc<io::Error>),
    /// The line could not be written or made durable.
    #[error(
        "the audit line could not be written: {0}; check the disk that holds the audit file for \
         space and errors"
    )]
    Write(Arc<io::Error>),
    /// The line could not be put into words. A mistake in drawbridge.
    #[error("the audit line could not be encoded: {0}; it is a mistake in drawbridge, please report it")]
    Encode(Arc<serde_json::Error>),
    /// The disk did not answer in time; the line may still be written.
    #[error(
        "the audit line was not on disk after {} seconds; check the audit file's disk",
        Log::RECORD_DEADLINE.as_secs()
    )]
    TooSlow,
    /// The log is closed.
    #[error("the audit log is closed; drawbridge is shutting down")]
    Closed,
}
