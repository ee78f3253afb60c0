//! How things end: the one value from which exit code, user text, audit event and metric label
//! are derived.

use serde::Serialize;

/// How a remote program ended, as the target reported it (RFC 4254 §6.10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Exit {
    /// It returned a status.
    Status {
        /// The status, 0 to 255 in practice.
        code: u32,
    },
    /// A signal ended it.
    Signal {
        /// The signal's name without `SIG`.
        name: String,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
}

/// Why a session or a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The remote program ended and said how.
    Finished,
    /// The client closed or went away.
    ClientLeft,
    /// The target closed or went away.
    TargetLeft,
    /// The permit's longest time is over (`@max_session`).
    MaxSession,
    /// Nothing was said for the permit's idle time (`@idle`).
    Idle,
    /// Policy refused.
    Refused,
    /// The target could not be reached or let in.
    UpstreamFailed,
    /// The audit line could not be written.
    AuditUnavailable,
    /// drawbridge is shutting down.
    ShuttingDown,
    /// Somebody who may do so ended it (`drawbridge sessions kill`).
    Killed,
    /// Policy does not permit it any longer: users, rules, revocations, tags or the time changed.
    PermissionEnded,
    /// The instance is another one than the permit was for, or is gone.
    TargetReplaced,
    /// It was to be recorded, and the recording broke.
    RecordingFailed,
    /// The daemon ended before it could say how: it was killed, or its machine went down.
    Interrupted,
    /// The peer broke the protocol or a limit.
    ProtocolError,
    /// A fault of drawbridge's own.
    InternalFault,
}

impl Ending {
    /// The label in metrics and audit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::ClientLeft => "client-left",
            Self::TargetLeft => "target-left",
            Self::MaxSession => "max-session",
            Self::Idle => "idle",
            Self::Refused => "refused",
            Self::UpstreamFailed => "upstream-failed",
            Self::AuditUnavailable => "audit-unavailable",
            Self::ShuttingDown => "shutting-down",
            Self::Killed => "killed",
            Self::PermissionEnded => "permission-ended",
            Self::TargetReplaced => "target-replaced",
            Self::RecordingFailed => "recording-failed",
            Self::Interrupted => "interrupted",
            Self::ProtocolError => "protocol-error",
            Self::InternalFault => "internal-fault",
        }
    }
}
