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
    /// Pass-through: the SSH connection to the target is the client's own, end to end.
    Tunnel,
    /// The target connects somewhere for the client (RFC 4254 §7.2 `direct-tcpip`): `ssh -L`, `-D`, `-W`.
    LocalForward {
        /// The host, as the target is to understand it.
        host: String,
        /// The port.
        port: u16,
    },
    /// The target listens for the client (RFC 4254 §7.1 `tcpip-forward`): `ssh -R`.
    RemoteForward {
        /// The address to listen on, as the client sent it; empty for every address.
        host: String,
        /// The port; 0 lets the target choose one.
        port: u16,
    },
    /// The target connects to one of its Unix sockets (OpenSSH PROTOCOL §2.4 `direct-streamlocal`).
    LocalSocket {
        /// The socket's path on the target.
        path: String,
    },
    /// The target listens on a Unix socket (OpenSSH PROTOCOL §2.4 `streamlocal-forward`).
    RemoteSocket {
        /// The socket's path on the target.
        path: String,
    },
    /// Programs on the target use the client's key agent: `ssh -A`.
    Agent,
    /// Programs on the target show their windows on the client's display (RFC 4254 §6.3): `ssh -X`.
    X11,
    /// See somebody's session there as it goes on.
    Watch,
    /// End somebody's session there.
    Kill,
    /// Be told why the machine cannot be reached: what AWS knows of it and of the network between.
    Diagnose,
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
    /// Pass-through.
    Tunnel,
    /// The target connects somewhere.
    LocalForward,
    /// The target listens.
    RemoteForward,
    /// The target connects to a Unix socket.
    LocalSocket,
    /// The target listens on a Unix socket.
    RemoteSocket,
    /// The client's key agent.
    Agent,
    /// The client's display.
    X11,
    /// The bastion itself connects, with no session: the one kind that has no [`Action`], because it is about
    /// a [`Destination`](super::Destination) and no login.
    Connect,
    /// See somebody's session as it goes on.
    Watch,
    /// End somebody's session.
    Kill,
    /// Be told why a machine cannot be reached.
    Diagnose,
    /// Read the record. It has no [`Action`] either, because it is about the bastion and no machine.
    Audit,
}

impl ActionKind {
    /// Every kind of work on a machine, in the order in which lists show them.
    pub const WORK: [Self; 12] = [
        Self::Shell,
        Self::Exec,
        Self::Sftp,
        Self::Subsystem,
        Self::Tunnel,
        Self::LocalForward,
        Self::RemoteForward,
        Self::LocalSocket,
        Self::RemoteSocket,
        Self::Agent,
        Self::X11,
        Self::Connect,
    ];

    /// What concerns other people's sessions, and machines from outside. Whoever may do that cannot reach a machine by it.
    pub const OVERSIGHT: [Self; 4] = [Self::Watch, Self::Kill, Self::Diagnose, Self::Audit];

    /// Every kind: work, then oversight.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        Self::WORK.into_iter().chain(Self::OVERSIGHT)
    }

    /// Every name, for people: `shell, exec, …`.
    #[must_use]
    pub fn names() -> String {
        Self::all().map(Self::name).collect::<Vec<_>>().join(", ")
    }

    /// The name in policies and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Exec => "exec",
            Self::Sftp => "sftp",
            Self::Subsystem => "subsystem",
            Self::Tunnel => "tunnel",
            Self::LocalForward => "local-forward",
            Self::RemoteForward => "remote-forward",
            Self::LocalSocket => "local-socket",
            Self::RemoteSocket => "remote-socket",
            Self::Agent => "agent",
            Self::X11 => "x11",
            Self::Connect => "connect",
            Self::Watch => "watch",
            Self::Kill => "kill",
            Self::Diagnose => "diagnose",
            Self::Audit => "audit",
        }
    }

    /// Reads a name, or nothing when there is no such action.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|kind| kind.name() == text)
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
            Self::Tunnel => ActionKind::Tunnel,
            Self::LocalForward { .. } => ActionKind::LocalForward,
            Self::RemoteForward { .. } => ActionKind::RemoteForward,
            Self::LocalSocket { .. } => ActionKind::LocalSocket,
            Self::RemoteSocket { .. } => ActionKind::RemoteSocket,
            Self::Agent => ActionKind::Agent,
            Self::X11 => ActionKind::X11,
            Self::Watch => ActionKind::Watch,
            Self::Kill => ActionKind::Kill,
            Self::Diagnose => ActionKind::Diagnose,
        }
    }
}
