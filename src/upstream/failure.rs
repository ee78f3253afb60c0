//! Why a target could not be reached: a class for metrics, a story for the operator, a sentence for the user.

use std::io;
use std::time::Duration;

use crate::credential::{InjectError, InjectErrorKind};
use crate::domain::{FailureClass, Fingerprint, Target};
use crate::ssh::{CloseReason, Heard, NoExchange};
use crate::vouch::{Contradicts, PinError, Unvouched};

/// What sshd says, in place of its identification, to connections that it will not have: too many at a time
/// (`MaxStartups`), or from an address that it has penalised (`PerSourcePenalties`, OpenSSH 9.8).
const TURNED_AWAY: [&str; 2] = ["Exceeded MaxStartups", "Not allowed at this time"];

/// A target could not be reached, is not the one we know, or did not let us in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The one-session key was not pushed.
    #[error("the key was not pushed: {0}")]
    Push(InjectError),
    /// No randomness for a key.
    #[error("no key could be made")]
    Key,
    /// Nothing listens on the port.
    #[error("the target refused the TCP connection")]
    ConnectionRefused,
    /// No answer to the TCP connection.
    #[error("no answer to the TCP connection within {0:?}")]
    ConnectTimeout(Duration),
    /// No way there.
    #[error("the TCP connection failed: {0}")]
    Unreachable(io::ErrorKind),
    /// It takes connections and says nothing.
    #[error("no SSH identification within {0:?}")]
    Silent(Duration),
    /// It takes connections and closes them without a word.
    #[error("the connection was closed before an SSH identification: {0}")]
    NoBanner(CloseReason),
    /// It says something else than SSH.
    #[error("what answers does not speak SSH; it says \"{said}\"")]
    NotSsh {
        /// Its first line, shortened.
        said: String,
    },
    /// An sshd that has too many connections, or none to spare for us.
    #[error("sshd turned the connection away: \"{said}\"")]
    TurnedAway {
        /// What it said.
        said: String,
    },
    /// It speaks SSH and does not complete a key exchange in time.
    #[error("no SSH key exchange within {0:?}")]
    HandshakeTimeout(Duration),
    /// The SSH connection ended while it was set up.
    #[error("the SSH connection failed: {0}")]
    Ssh(CloseReason),
    /// The host key is not the one that is known.
    #[error("the host key changed: {pinned} is known ({}), {shown} was shown", origin(.by))]
    HostKeyChanged {
        /// What we know.
        pinned: Fingerprint,
        /// What was shown.
        shown: Fingerprint,
        /// Where we know it from.
        by: Contradicts,
    },
    /// Nobody vouches for the host key.
    #[error("nothing vouches for the host key {shown}: {why}")]
    HostKeyUnknown {
        /// What was shown.
        shown: Fingerprint,
        /// Why nobody does.
        why: Unvouched,
    },
    /// The pins cannot be used.
    #[error(transparent)]
    Pins(PinError),
    /// The push was confirmed and the target did not take the key.
    #[error("the target did not accept the pushed key; it offers: {offers}")]
    LoginRejected {
        /// What else it would take.
        offers: String,
    },
    /// The push was confirmed, and the target closed the connection at the login.
    #[error("the target ended the connection at the login: {0}")]
    LoginClosed(CloseReason),
    /// No answer to the login.
    #[error("no answer to the login within {0:?}")]
    LoginTimeout(Duration),
}

impl UpstreamError {
    /// Keys were not exchanged with a target that took the TCP connection.
    pub(super) fn of_exchange(failed: NoExchange, patience: Duration) -> Self {
        let reason = failed.closed.map(|closed| closed.0.as_ref().clone());
        match (failed.heard, reason) {
            (Heard::Nothing, None) => Self::Silent(patience),
            (Heard::Nothing, Some(reason)) => Self::NoBanner(reason),
            (Heard::Other(said), _) if TURNED_AWAY.contains(&said.trim_end()) => Self::TurnedAway { said },
            (Heard::Other(said), _) => Self::NotSsh { said },
            (Heard::Identification, None) => Self::HandshakeTimeout(patience),
            (Heard::Identification, Some(reason)) => Self::Ssh(reason),
        }
    }

    /// What kind of failure it is, for people, metrics and the diagnosis; [`Self::label`] is finer.
    #[must_use]
    pub fn class(&self) -> FailureClass {
        match self {
            Self::Push(error) => class_of_push(error.kind),
            Self::Key | Self::Pins(_) => FailureClass::OwnFault,
            Self::ConnectionRefused => FailureClass::ConnectionRefused,
            Self::ConnectTimeout(_) => FailureClass::ConnectTimeout,
            Self::Unreachable(_) => FailureClass::Unreachable,
            Self::Silent(_) | Self::NoBanner(_) => FailureClass::NoBanner,
            Self::NotSsh { .. } | Self::Ssh(CloseReason::NotSsh) => FailureClass::NotSsh,
            Self::Ssh(CloseReason::NoCommonAlgorithm { .. }) => FailureClass::NoCommonAlgorithm,
            Self::TurnedAway { .. } | Self::HandshakeTimeout(_) | Self::Ssh(_) => {
                FailureClass::HandshakeFailed
            }
            Self::HostKeyChanged { .. } => FailureClass::HostKeyChanged,
            Self::HostKeyUnknown { .. } => FailureClass::HostKeyUnknown,
            Self::LoginRejected { .. } | Self::LoginClosed(_) => FailureClass::LoginRejected,
            Self::LoginTimeout(_) => FailureClass::LoginTimeout,
        }
    }

    /// The label in metrics and audit.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Push(error) => error.kind.label(),
            Self::Key => "no-key",
            Self::ConnectionRefused => "connection-refused",
            Self::ConnectTimeout(_) => "connect-timeout",
            Self::Unreachable(_) => "unreachable",
            Self::Silent(_) => "silent",
            Self::NoBanner(_) => "no-banner",
            Self::NotSsh { .. } | Self::Ssh(CloseReason::NotSsh) => "not-ssh",
            Self::TurnedAway { .. } => "turned-away",
            Self::HandshakeTimeout(_) => "handshake-timeout",
            Self::Ssh(CloseReason::NoCommonAlgorithm { .. }) => "no-common-algorithm",
            Self::Ssh(_) => "ssh-failed",
            Self::HostKeyChanged { .. } => "host-key-changed",
            Self::HostKeyUnknown { .. } => "host-key-unknown",
            Self::Pins(_) => "pins-unavailable",
            Self::LoginRejected { .. } => "login-rejected",
            Self::LoginClosed(_) => "login-closed",
            Self::LoginTimeout(_) => "login-timeout",
        }
    }

    /// The host key that was shown and the one that was expected, where it is about those.
    #[must_use]
    pub fn host_keys(&self) -> (Option<&Fingerprint>, Option<&Fingerprint>) {
        if let Self::HostKeyChanged { pinned, shown, .. } = self {
            (Some(shown), Some(pinned))
        } else if let Self::HostKeyUnknown { shown, .. } = self {
            (Some(shown), None)
        } else {
            (None, None)
        }
    }

    /// One sentence for the permitted user: what happened, and what to do.
    #[must_use]
    pub fn sentence(&self, target: &Target, login: &str) -> String {
        let name = target.display_name();
        let port = target.port;
        match self {
            Self::Push(error) => error.user.clone(),
            Self::Key | Self::Pins(_) => {
                "drawbridge has a problem of its own and cannot open sessions; please tell your drawbridge operator."
                    .to_owned()
            }
            Self::ConnectionRefused => format!(
                "{name} is up but nothing answers on its port {port}; check that sshd runs there and listens on that port."
            ),
            Self::ConnectTimeout(_) => format!(
                "{name} did not answer on port {port}; check that its security group and network ACL let drawbridge in."
            ),
            // A router seldom says so; a firewall on the machine does that rejects instead of dropping (firewalld).
            Self::Unreachable(io::ErrorKind::HostUnreachable) => format!(
                "{name} cannot be reached on port {port} (\"no route to host\"); check the firewall on {name} itself \
                 (firewalld, nftables), that the machine is up, and the routes between the two."
            ),
            Self::Unreachable(_) => format!(
                "drawbridge has no network route to {name}; check the route tables and the VPC peering between the two."
            ),
            Self::Silent(_) => format!(
                "{name} takes connections on port {port} and then says nothing; check that sshd is healthy there, and that \
                 the machine is not out of memory."
            ),
            Self::NoBanner(_) => format!(
                "{name} takes connections on port {port} and closes them without a word; check the sshd log there, and \
                 which addresses it lets in."
            ),
            Self::TurnedAway { .. } => format!(
                "sshd on {name} is turning drawbridge away: too many connections, or a penalty; wait a minute, and see \
                 MaxStartups and PerSourcePenaltyExemptList in its sshd_config."
            ),
            Self::HandshakeTimeout(_) => format!(
                "{name} speaks SSH on port {port} but did not complete a key exchange; check that sshd is healthy there."
            ),
            Self::NotSsh { .. } | Self::Ssh(CloseReason::NotSsh) => {
                format!("what answers on port {port} of {name} does not speak SSH; check which service listens there.")
            }
            Self::Ssh(CloseReason::NoCommonAlgorithm { kind, legacy: true, .. }) => format!(
                "{name} offers no {kind} that is sound today; update the SSH server there, or ask your drawbridge \
                 operator to list {id} under `upstream.legacy_targets`.",
                id = target.id
            ),
            Self::Ssh(CloseReason::NoCommonAlgorithm { kind, .. }) => format!(
                "{name} and drawbridge have no {kind} in common; update the SSH server on {name}."
            ),
            Self::LoginClosed(_) => format!(
                "{name} closed the connection when \"{login}\" logged in, although the key was pushed; check AllowUsers and \
                 LoginGraceTime in its sshd_config, and the sshd log there."
            ),
            Self::LoginTimeout(_) => format!(
                "{name} has not answered the login of \"{login}\" in time, although the key was pushed; check that its \
                 AuthorizedKeysCommand (the EC2 Instance Connect agent) is not stuck."
            ),
            Self::Ssh(_) => format!(
                "{name} broke off the SSH connection while it was set up; check the sshd log there and try again."
            ),
            Self::HostKeyChanged { pinned, shown, by } => changed(name, target, pinned, shown, by),
            Self::HostKeyUnknown { shown, why } => unvouched(name, shown, why),
            Self::LoginRejected { .. } => format!(
                "{name} did not let \"{login}\" in although the key was pushed; check that this login exists there \
                 and that the EC2 Instance Connect agent is installed."
            ),
        }
    }
}

fn class_of_push(kind: InjectErrorKind) -> FailureClass {
    match kind {
        InjectErrorKind::Denied => FailureClass::PushDenied,
        InjectErrorKind::NoCredentials => FailureClass::PushNoCredentials,
        InjectErrorKind::InvalidRequest => FailureClass::PushInvalid,
        InjectErrorKind::NotFound => FailureClass::InstanceGone,
        InjectErrorKind::NotRunning => FailureClass::InstanceNotRunning,
        InjectErrorKind::TargetUnavailable => FailureClass::InstanceUnavailable,
        InjectErrorKind::Throttled | InjectErrorKind::Busy => FailureClass::PushThrottled,
        InjectErrorKind::ServiceFailing
        | InjectErrorKind::Timeout
        | InjectErrorKind::Unreachable
        | InjectErrorKind::BadAnswer => FailureClass::PushFailed,
        // Only the operator can change that.
        InjectErrorKind::NotConfigured => FailureClass::OwnFault,
    }
}

/// Where a key is known from, for the operator.
fn origin(by: &Contradicts) -> String {
    match by {
        Contradicts::Pin(change) => match change.since() {
            Some(since) => format!("{}; the instance {since}", change.origin()),
            None => change.origin(),
        },
        Contradicts::Tag(tag) => format!("its tag {tag}"),
        Contradicts::Console => "its console output".to_owned(),
    }
}

fn changed(
    name: &str,
    target: &Target,
    known: &Fingerprint,
    shown: &Fingerprint,
    by: &Contradicts,
) -> String {
    match by {
        Contradicts::Pin(change) => {
            let since = change.since().map(|since| format!(" {} {since};", target.id)).unwrap_or_default();
            format!(
                "the host key of {name} has changed: drawbridge knows {known} ({}), {name} shows {shown};{since} if \
                 its key was replaced on purpose, ask your drawbridge operator to forget the old one.",
                change.origin()
            )
        }
        Contradicts::Tag(tag) => format!(
            "the host key of {name} is not the one that its tag {tag} names: the tag says {known}, {name} shows \
             {shown}; if its key was replaced on purpose, ask whoever runs {name} to correct the tag."
        ),
        Contradicts::Console => format!(
            "the host key of {name} is not the one that it wrote on its console when it first started: that was \
             {known}, {name} shows {shown}; if its key was replaced on purpose, ask your drawbridge operator to pin \
             the new one."
        ),
    }
}

fn unvouched(name: &str, shown: &Fingerprint, why: &Unvouched) -> String {
    match why {
        Unvouched::Silence(_) => format!(
            "drawbridge does not know the host key of {name} ({shown}) and nothing vouches for it; ask your \
             drawbridge operator to pin it."
        ),
        Unvouched::Tag { tag, why } => format!(
            "drawbridge cannot verify the host key of {name} ({shown}), because the tag {tag} of the instance {why}; \
             ask whoever runs {name} to correct the tag."
        ),
        Unvouched::Console(_) => format!(
            "drawbridge cannot verify the host key of {name} ({shown}), because its console output names two \
             different keys; ask your drawbridge operator to pin the right one."
        ),
    }
}

#[cfg(test)]
mod tests;
