//! How an SSH connection can fail, typed for the operator; the peer is told little.

use std::sync::Arc;

/// The peer broke the protocol or a limit; the text says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub &'static str);

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The peer closed the stream.
    #[error("the peer closed the connection")]
    Eof,
    /// The peer said goodbye (RFC 4253 §11.1).
    #[error("the peer disconnected: {text} (code {code})")]
    PeerDisconnected {
        /// The reason code.
        code: u32,
        /// The peer's words, shortened and without control characters.
        text: String,
    },
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(std::io::ErrorKind),
    /// The peer broke the protocol or a limit.
    #[error("protocol error: {0}")]
    Protocol(ProtocolError),
    /// The two sides have no algorithm in common.
    #[error("no common {kind}: the peer offers {offered}")]
    NoCommonAlgorithm {
        /// Which kind: `key exchange`, `cipher`, …
        kind: &'static str,
        /// What the peer offers, shortened.
        offered: String,
        /// Whether the peer has one that only targets are offered that are listed as legacy.
        legacy: bool,
    },
    /// What the peer sent first is not SSH.
    #[error("the peer does not speak SSH 2.0")]
    NotSsh,
    /// The peer left keepalives unanswered.
    #[error("the peer stopped answering keepalives")]
    KeepaliveTimeout,
    /// The peer presented another host key while renewing keys.
    #[error("the host key changed during the connection")]
    HostKeyChanged,
    /// This side ended it.
    #[error("ended by this side")]
    Local,
}

impl From<ProtocolError> for CloseReason {
    fn from(error: ProtocolError) -> Self {
        Self::Protocol(error)
    }
}

/// The connection is over; the reason is shared by all who hold a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Closed(pub Arc<CloseReason>);
