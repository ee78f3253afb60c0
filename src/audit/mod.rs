//! The auditor's record: one typed [`Event`] for each thing that happened, one JSON line for
//! each event.
//!
//! What always holds here:
//! - [`Log::record`] resolves only when the line is in the [`journal`] on the disk (synced, unless the operator chose
//!   otherwise). If the line cannot be written, the caller gets an error, and the thing must not happen.
//! - A line is whole or absent, and each carries its node, its number and the hash of the one before it. One thread
//!   gives lines their place; a number is used once and none is missing.
//! - At intervals a [`Heads`] signs where the chain has got to, and says where other nodes' had. [`verify`] checks all of it.
//! - Every text in a line is bounded, and no character in it can steer a terminal.
//! - The wire form is versioned ([`json::VERSION`]) and held by snapshots; `docs/audit.md`
//!   documents every field, and a test holds it to that.
//!
//! What it deliberately does not do: decide what is worth an event (`session` and `listener`
//! narrate), drop events when it is slow (callers wait), or keep an index. The store and the sinks follow the
//! journal, each at its own pace; what befalls them is no matter of who records.

mod chain;
mod event;
#[cfg(test)]
pub(crate) mod examples;
mod facts;
mod head;
mod journal;
pub mod json;
mod keys;
mod lines;
mod log;
mod memory;
mod observer;
mod prune;
mod record_facts;
mod text;
pub mod verify;
mod writer;

use std::io;
use std::sync::Arc;

pub use chain::{LineHash, Placed, Tip};
pub use event::Event;
pub use facts::{
    ActionFacts, Algorithms, AuthProof, CertificateProof, Content, DecisionOutcome, EarlyRefusal, ExitFacts,
    LimitFacts, PtyFacts, Reloadable, TargetFacts, Unresolved, VouchedBy, Way,
};
pub use head::{AuditKey, HeadBoard, Heads, NoOthers, NodeHead, Statement};
pub use journal::{Follower, JournalLine, JournalReader, known_to_journal};
pub use keys::{AuditKeys, Distrust, KeyLineError};
pub use log::{Log, Posted, Settings, Stored};
pub use memory::Collected;
pub use observer::Observer;
pub use prune::PruneRecord;
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

/// Why an event is not on record. Whatever it was about must not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The journal could not be opened.
    #[error(
        "the journal {path} cannot be opened: {source}; check that the directory above it exists, that \
         drawbridge may write there and that no other drawbridge uses it"
    )]
    Open {
        /// The directory, as configured.
        path: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The journal is damaged, or another node's.
    #[error(
        "the journal {path} is not gone on with: {why}; look at it with `drawbridge audit verify --file`, and to start \
         all the same, move the directory away and keep it: the chain then goes on from what the store has"
    )]
    Unsound {
        /// The directory, as configured.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// The writer thread could not be started.
    #[error("the audit writer cannot be started: {0}; the system may be out of threads or memory")]
    Start(Arc<io::Error>),
    /// The line could not be written or made durable.
    #[error(
        "the audit line could not be written: {0}; check the disk that holds the journal for \
         space and errors"
    )]
    Write(Arc<io::Error>),
    /// The line could not be put into words. A mistake in drawbridge.
    #[error("the audit line could not be encoded: {0}; it is a mistake in drawbridge, please report it")]
    Encode(Arc<serde_json::Error>),
    /// The disk did not answer in time; the line may still be written.
    #[error(
        "the audit line was not on disk after {} seconds; check the journal's disk",
        Log::RECORD_DEADLINE.as_secs()
    )]
    TooSlow,
    /// The store is down, so that nothing new may begin.
    #[error("the store does not answer; check the database and the network to it")]
    StoreDown,
    /// The store does not have the lines in time.
    #[error(
        "the store did not have the last audit lines after {} seconds; check the database's load",
        Log::STORE_DEADLINE.as_secs()
    )]
    StoreSlow,
    /// The log is closed.
    #[error("the audit log is closed; drawbridge is shutting down")]
    Closed,
}
