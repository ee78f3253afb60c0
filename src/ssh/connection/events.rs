//! What happens on a connection outside its channels, and how it is answered.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::channel::{Channel, PACKET_DATA_MAX, Phase, WINDOW_START};
use super::super::error::ProtocolError;
use super::super::numbers;
use super::super::wire::{Put, Reader, message};
use super::Shared;

/// What may be remembered for a peer, and for how long it may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Channels open at once.
    pub channels_max: usize,
    /// After so long without a sign of life, ask for one; nothing: never ask.
    pub keepalive_interval: Option<Duration>,
    /// After so many unanswered questions, give up.
    pub keepalive_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channels_max: 64, keepalive_interval: Some(Duration::from_secs(60)), keepalive_max: 3 }
    }
}

/// The kinds of channel (RFC 4254 §6.1, §7.2; OpenSSH PROTOCOL §2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelKind {
    /// A session: shell, command or subsystem.
    Session,
    /// A connection to a host and port on the other side's network.
    DirectTcpip {
        /// The host as it was named.
        host: String,
        /// The port; the wire allows any 32-bit number.
        port: u32,
        /// Where the connection came from.
        originator: String,
        /// And its port.
        originator_port: u32,
    },
    /// Any other kind, by name, with its own fields as they came.
    Other {
        /// The name.
        name: String,
        /// The fields.
        payload: Bytes,
    },
}

impl ChannelKind {
    pub(in crate::ssh) fn read(name: &str, fields: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        Ok(match name {
            "session" => Self::Session,
            "direct-tcpip" => Self::DirectTcpip {
                host: fields.utf8()?.to_owned(),
                port: fields.u32()?,
                originator: fields.utf8()?.to_owned(),
                originator_port: fields.u32()?,
            },
            other => Self::Other { name: other.to_owned(), payload: Bytes::copy_from_slice(fields.rest()) },
        })
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Session => "session",
            Self::DirectTcpip { .. } => "direct-tcpip",
            Self::Other { name, .. } => name,
        }
    }

    pub(in crate::ssh) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Session => {}
            Self::DirectTcpip { host, port, originator, originator_port } => {
                out.string(host.as_bytes()).uint32(*port);
                out.string(originator.as_bytes()).uint32(*originator_port);
            }
            Self::Other { payload, .. } => out.extend_from_slice(payload),
        }
    }
}

/// Why we refuse to open a channel (RFC 4254 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// Not allowed.
    AdministrativelyProhibited = 1,
    /// The other end could not be reached.
    ConnectFailed = 2,
    /// We do not know this kind.
    UnknownKind = 3,
    /// Too many.
    ResourceShortage = 4,
}

/// A channel that the peer wants to open. Dropping it refuses.
#[derive(Debug)]
pub struct ChannelOpen {
    /// What kind of channel.
    pub kind: ChannelKind,
    pub(super) shared: Arc<Shared>,
    pub(super) id: Option<u32>,
}

impl ChannelOpen {
    /// Opens it.
    #[must_use]
    pub fn accept(mut self) -> Channel {
        let id = self.id.take().unwrap_or_default();
        let mut inner = self.shared.lock();
        if let Some(channel) = inner.channels.get_mut(&id) {
            channel.phase = Phase::Open;
            let mut out = message(numbers::CHANNEL_OPEN_CONFIRMATION);
            out.uint32(channel.remote_id).uint32(id).uint32(WINDOW_START).uint32(PACKET_DATA_MAX);
            inner.send(&out, &[]);
        }
        drop(inner);
        Channel::new(Arc::clone(&self.shared), id)
    }

    /// Refuses it, with a sentence that OpenSSH clients show.
    pub fn refuse(mut self, code: RefusalCode, sentence: &str) {
        self.refuse_once(code, sentence);
    }

    pub(in crate::ssh) fn refuse_once(&mut self, code: RefusalCode, sentence: &str) {
        let Some(id) = self.id.take() else { return };
        let mut inner = self.shared.lock();
        if let Some(channel) = inner.channels.remove(&id) {
            inner.refuse_channel(channel.remote_id, code, sentence);
        }
    }
}

impl Drop for ChannelOpen {
    fn drop(&mut self) {
        self.refuse_once(RefusalCode::AdministrativelyProhibited, "not available");
    }
}

/// A global request (RFC 4254 §4). Dropping it answers with a failure.
#[derive(Debug)]
pub struct GlobalRequest {
    /// Its name, such as `tcpip-forward`.
    pub name: String,
    /// Its fields.
    pub payload: Bytes,
    pub(super) shared: Arc<Shared>,
    pub(super) ticket: Option<u64>,
}

impl GlobalRequest {
    /// Answers with success and the fields that belong to it.
    pub fn succeed(mut self, payload: &[u8]) {
        self.answer(Some(payload.to_vec()));
    }

    /// Answers with a failure.
    pub fn fail(mut self) {
        self.answer(None);
    }

    fn answer(&mut self, answer: Option<Vec<u8>>) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.lock().answer_global(ticket, answer);
        }
    }
}

impl Drop for GlobalRequest {
    fn drop(&mut self) {
        self.answer(None);
    }
}

/// What happens on a connection outside its channels.
#[derive(Debug)]
pub enum ConnectionEvent {
    /// The peer wants to open a channel.
    Open(ChannelOpen),
    /// The peer asks something of the connection as a whole.
    Global(GlobalRequest),
}

#[derive(Debug)]
pub(in crate::ssh) enum Event {
    Open { id: u32, kind: ChannelKind },
    Global { name: String, payload: Bytes, ticket: Option<u64> },
}
