//! Why a target could not be reached: the class from which label, sentence and diagnosis are derived.

use serde::Serialize;

/// What kind of failure kept a session from coming about, once policy had permitted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// IAM does not allow the push.
    PushDenied,
    /// The daemon has no credentials that work there.
    PushNoCredentials,
    /// Too many pushes.
    PushThrottled,
    /// Instance Connect does not take this login or key.
    PushInvalid,
    /// Instance Connect does not answer, or has a fault.
    PushFailed,
    /// There is no such instance (any more).
    InstanceGone,
    /// The instance is stopped, stopping or terminated.
    InstanceNotRunning,
    /// The instance is starting, or its host has a problem.
    InstanceUnavailable,
    /// The machine answers, and nothing listens on the port.
    ConnectionRefused,
    /// No answer to the TCP connection.
    ConnectTimeout,
    /// The network says that there is no way.
    Unreachable,
    /// A TCP connection, and no SSH identification line in time.
    NoBanner,
    /// What answers does not speak SSH.
    NotSsh,
    /// No algorithm in common.
    NoCommonAlgorithm,
    /// The SSH connection broke while it was set up.
    HandshakeFailed,
    /// Nothing vouches for the host key.
    HostKeyUnknown,
    /// The host key is another than the one that is known.
    HostKeyChanged,
    /// The push was confirmed, and the target does not take the key.
    LoginRejected,
    /// The push was confirmed, and the target does not answer the login.
    LoginTimeout,
    /// A fault of drawbridge's own.
    OwnFault,
}

impl FailureClass {
    /// Every class, in the order in which the documentation lists them.
    pub const ALL: [Self; 20] = [
        Self::PushDenied,
        Self::PushNoCredentials,
        Self::PushThrottled,
        Self::PushInvalid,
        Self::PushFailed,
        Self::InstanceGone,
        Self::InstanceNotRunning,
        Self::InstanceUnavailable,
        Self::ConnectionRefused,
        Self::ConnectTimeout,
        Self::Unreachable,
        Self::NoBanner,
        Self::NotSsh,
        Self::NoCommonAlgorithm,
        Self::HandshakeFailed,
        Self::HostKeyUnknown,
        Self::HostKeyChanged,
        Self::LoginRejected,
        Self::LoginTimeout,
        Self::OwnFault,
    ];

    /// The label in metrics and audit.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::PushDenied => "push-denied",
            Self::PushNoCredentials => "push-no-credentials",
            Self::PushThrottled => "push-throttled",
            Self::PushInvalid => "push-invalid",
            Self::PushFailed => "push-failed",
            Self::InstanceGone => "instance-gone",
            Self::InstanceNotRunning => "instance-not-running",
            Self::InstanceUnavailable => "instance-unavailable",
            Self::ConnectionRefused => "connection-refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::Unreachable => "unreachable",
            Self::NoBanner => "no-banner",
            Self::NotSsh => "not-ssh",
            Self::NoCommonAlgorithm => "no-common-algorithm",
            Self::HandshakeFailed => "handshake-failed",
            Self::HostKeyUnknown => "host-key-unknown",
            Self::HostKeyChanged => "host-key-changed",
            Self::LoginRejected => "login-rejected",
            Self::LoginTimeout => "login-timeout",
            Self::OwnFault => "own-fault",
        }
    }
}
