//! Which event of ours is which class and activity of the schema. `docs/sinks.md` has the table.

use super::super::record::Record;

/// A class of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Authentication,
    SshActivity,
    FileActivity,
    /// What no class is about: drawbridge's own affairs.
    Base,
}

impl Class {
    pub(super) fn uid(self) -> u64 {
        match self {
            Self::Authentication => 3002,
            Self::SshActivity => 4007,
            Self::FileActivity => 1001,
            Self::Base => 0,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Authentication => "Authentication",
            Self::SshActivity => "SSH Activity",
            Self::FileActivity => "File System Activity",
            Self::Base => "Base Event",
        }
    }

    pub(super) fn category(self) -> (u64, &'static str) {
        match self {
            Self::Authentication => (3, "Identity & Access Management"),
            Self::SshActivity => (4, "Network Activity"),
            Self::FileActivity => (1, "System Activity"),
            Self::Base => (0, "Uncategorized"),
        }
    }
}

/// Whether it worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Success,
    Failure,
}

impl Status {
    pub(super) fn id(self) -> u64 {
        match self {
            Self::Success => 1,
            Self::Failure => 2,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Success => "Success",
            Self::Failure => "Failure",
        }
    }
}

/// What an event is in the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Activity {
    pub(super) class: Class,
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: Status,
}

/// Activities of SSH Activity.
const OPEN: (u64, &str) = (1, "Open");
const CLOSE: (u64, &str) = (2, "Close");
const FAIL: (u64, &str) = (4, "Fail");
const REFUSE: (u64, &str) = (5, "Refuse");
const LISTEN: (u64, &str) = (7, "Listen");
/// In every class: see the activity's name.
const OTHER: u64 = 99;

impl Activity {
    /// What a line is in the schema.
    pub(super) fn of(record: &Record<'_>) -> Self {
        use Class::{Authentication, SshActivity};
        use Status::{Failure, Success};
        let outcome = if record.text_of("outcome") == Some("permit") { Success } else { Failure };
        match record.event.as_str() {
            "authentication-succeeded" => Self::new(Authentication, (1, "Logon"), Success),
            "authentication-failed" => Self::new(Authentication, (1, "Logon"), Failure),
            "connection-opened" | "upstream-connected" | "session-started" | "channel-started"
            | "forward-started" => Self::new(SshActivity, OPEN, Success),
            "connection-ended" | "session-ended" | "channel-ended" | "forward-ended" => {
                Self::new(SshActivity, CLOSE, of_ending(record))
            }
            "connection-interrupted" | "session-interrupted" => Self::new(SshActivity, CLOSE, Failure),
            "connection-refused" | "channel-refused" => Self::new(SshActivity, REFUSE, Failure),
            "target-not-resolved" | "key-push-failed" | "upstream-failed" => {
                Self::new(SshActivity, FAIL, Failure)
            }
            "forward-listening" if record.fields.get("listening") == Some(&false.into()) => {
                Self::new(SshActivity, CLOSE, Success)
            }
            "forward-listening" => Self::new(SshActivity, LISTEN, Success),
            "decision" if outcome == Failure => Self::new(SshActivity, REFUSE, Failure),
            "recording-failed" => Self::other(SshActivity, record, Failure),
            "decision" | "client-identified" | "target-requested" | "key-pushed" | "console-command"
            | "diagnosed" | "session-watched" | "kill-ordered" | "recording-salvaged" => {
                Self::other(SshActivity, record, Success)
            }
            "file-operation" => super::file::what(record),
            "reload-refused" | "store-unavailable" | "sink-overflowed" | super::super::record::UNREADABLE => {
                Self::other(Class::Base, record, Failure)
            }
            _other => Self::other(Class::Base, record, Success),
        }
    }

    pub(super) fn new(class: Class, (id, name): (u64, &str), status: Status) -> Self {
        Self { class, id, name: name.to_owned(), status }
    }

    fn other(class: Class, record: &Record<'_>, status: Status) -> Self {
        Self::new(class, (OTHER, &record.event), status)
    }
}

/// Endings that are nobody's fault.
fn of_ending(record: &Record<'_>) -> Status {
    match record.text_of("ending") {
        Some(
            "finished" | "client-left" | "target-left" | "max-session" | "idle" | "shutting-down" | "killed"
            | "permission-ended" | "target-replaced",
        ) => Status::Success,
        _other => Status::Failure,
    }
}
