//! What someone wants to do on a target.

use std::fmt;

use serde::Serialize;

/// One thing someone wants to do on a target, with what the decision needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// An interactive login shell (RFC 4254 §6.5 `shell`).
    Shell,
    /// One command (RFC 4254 §6.5 `exec`); not always valid UTF-8 on the wire, lossy here.
    Exec {
        /// The command line as the client sent it.
        command: String,
    },
    /// The `sftp` subsystem, also used by `scp`.
    Sftp,
    /// Any other subsystem.
    Subsystem {
        /// Its name.
        name: String,
    },
}

/// An action without its particulars: what policies name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActionKind {
    /// An interactive shell.
    Shell,
    /// One command.
    Exec,
    /// File transfer.
    Sftp,
    /// Any other subsystem.
    Subsystem,
}

impl ActionKind {
    /// Every kind, in the order in which lists show them.
    pub const ALL: [Self; 4] = [Self::Shell, Self::Exec, Self::Sftp, Self::Subsystem];

    /// The name in policies and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Exec => "exec",
            Self::Sftp => "sftp",
            Self::Subsystem => "subsystem",
        }
    }

    /// Reads a name, or nothing when there is no such action.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Action {
    /// The action without its particulars.
    #[must_use]
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Shell => ActionKind::Shell,
            Self::Exec { .. } => ActionKind::Exec,
            Self::Sftp => ActionKind::Sftp,
            Self::Subsystem { .. } => ActionKind::Subsystem,
        }
    }
}
