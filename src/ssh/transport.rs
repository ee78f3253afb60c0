//! The transport layer (RFC 4253) without IO: identification, key exchange, re-exchange.
//!
//! What always holds here: nothing but key exchange goes out between our KEXINIT and our NEWKEYS;
//! the first exchange admits nothing but its own messages when both sides are strict (Terrapin);
//! the session id is that of the first exchange; a client sees the same host key in every exchange.
//! Data goes from packet to packet without a copy of ours ([`PacketWriter::put_part`], [`Data`]).
//!
//! What is not here: reading and writing a stream (`driver`), packets (`packet`), which methods there are (`kex`,
//! `algorithms`), what upper layers' messages mean (`connection`).

mod exchange;
mod held;
mod host_identity;
mod identification;

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::algorithms::Role;
use super::data::Data;
use super::error::{CloseReason, ProtocolError};
use super::numbers;
use super::offer::Lists;
use super::packet::{PacketReader, PacketWriter};
use super::wire::{Put, Reader, message};

pub use exchange::Negotiated;
pub use host_identity::{HostCertificate, ServerIdentity};
pub use identification::Heard;

use exchange::Exchange;
use held::Held;
use identification::{Identification, printable};

/// When keys are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RekeyPolicy {
    /// After so many bytes in one direction.
    pub bytes: u64,
    /// After so long.
    pub interval: Duration,
}

impl Default for RekeyPolicy {
    fn default() -> Self {
        Self { bytes: 1 << 30, interval: Duration::from_secs(3600) }
    }
}

/// What a received packet means to the layers above.
#[derive(Debug)]
pub(super) enum Received {
    /// A message of the transport layer, dealt with here.
    Nothing,
    /// A message of authentication or connection.
    Upper(Data),
    /// The first key exchange is complete.
    Ready,
}

/// One side's transport.
pub(super) struct Transport {
    pub(super) role: Role,
    pub(super) reader: PacketReader,
    pub(super) writer: PacketWriter,
    our_ident: String,
    peer_ident: Identification,
    identity: Option<ServerIdentity>,
    offer: Lists,
    exchange: Exchange,
    held: Held,
    strict: bool,
    session_id: Option<Vec<u8>>,
    peer_host_key: Option<Bytes>,
    negotiated: Option<Negotiated>,
    rekey: RekeyPolicy,
    exchanged_at: Instant,
    /// Of the packet that was received last.
    last_sequence: u32,
    /// Key exchanges so far.
    exchanges: u64,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport").field("role", &self.role).field("exchange", &self.exchange).finish()
    }
}

/// What one side brings to its transport.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) role: Role,
    pub(super) ident: String,
    pub(super) identity: Option<ServerIdentity>,
    pub(super) offer: Lists,
    pub(super) rekey: RekeyPolicy,
}

impl Transport {
    pub(super) fn new(setup: Setup) -> Result<Self, CloseReason> {
        let mut transport = Self {
            role: setup.role,
            reader: PacketReader::new(),
            writer: PacketWriter::new(),
            our_ident: setup.ident,
            peer_ident: Identification::default(),
            identity: setup.identity,
            offer: setup.offer,
            exchange: Exchange::Idle,
            held: Held::default(),
            strict: false,
            session_id: None,
            peer_host_key: None,
            negotiated: None,
            rekey: setup.rekey,
            exchanged_at: Instant::now(),
            last_sequence: 0,
            exchanges: 0,
        };
        transport.writer.put_raw(transport.our_ident.as_bytes());
        transport.writer.put_raw(b"\r\n");
        transport.start_exchange()?;
        Ok(transport)
    }

    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        self.held.footprint() + self.writer.waiting() + self.reader.buffer.capacity()
    }

    /// Key exchanges that the peer has taken part in.
    pub(super) fn exchanges(&self) -> u64 {
        self.exchanges
    }

    pub(super) fn session_id(&self) -> &[u8] {
        self.session_id.as_deref().unwrap_or_default()
    }

    pub(super) fn peer_ident(&self) -> Option<&str> {
        self.peer_ident.line()
    }

    /// What the peer has said of itself so far.
    pub(super) fn heard(&self) -> Heard {
        self.peer_ident.heard(&self.reader.buffer)
    }

    pub(super) fn peer_host_key(&self) -> Option<&Bytes> {
        self.peer_host_key.as_ref()
    }

    pub(super) fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// Whether bulk data must wait: keys are being exchanged.
    pub(super) fn holds_outgoing(&self) -> bool {
        self.held.is_holding()
    }

    /// Sends a message of an upper layer: `head` and the first `length` bytes of `body`, as
    /// [`PacketWriter::put_part`]. It waits here while keys are exchanged.
    pub(super) fn send(&mut self, head: &[u8], body: &[u8], length: usize) -> Result<(), ProtocolError> {
        if self.held.is_holding() {
            return self.held.keep(head, body.get(..length).unwrap_or(body));
        }
        self.writer.put_part(head, body, length)
    }

    /// Says that the packet received last means nothing to us (RFC 4253 §11.4).
    pub(super) fn unimplemented(&self) -> Vec<u8> {
        let mut out = message(numbers::UNIMPLEMENTED);
        out.uint32(self.last_sequence);
        out
    }

    /// Says goodbye; the caller flushes and closes.
    pub(super) fn disconnect(&mut self, code: u32, text: &str) {
        let mut out = message(numbers::DISCONNECT);
        out.uint32(code).string(text.as_bytes()).string(b"");
        if let Err(error) = self.writer.put(&out, &[]) {
            tracing::debug!(%error, "the goodbye could not be written");
        }
    }

    /// Starts a key exchange when the present keys are spent.
    pub(super) fn rekey_if_due(&mut self) -> Result<(), ProtocolError> {
        let spent = self.writer.bytes().max(self.reader.bytes()) >= self.rekey.bytes;
        if self.session_id.is_some() && (spent || self.exchanged_at.elapsed() >= self.rekey.interval) {
            self.start_exchange()?;
        }
        Ok(())
    }

    /// Takes the next message out of what was received; nothing when more bytes are needed.
    pub(super) fn receive(&mut self) -> Result<Option<Received>, CloseReason> {
        if self.peer_ident.line().is_none() && !self.peer_ident.read(&mut self.reader.buffer, self.role)? {
            return Ok(None);
        }
        match self.reader.next()? {
            Some((sequence, payload)) => {
                self.last_sequence = sequence;
                self.dispatch(sequence, payload).map(Some)
            }
            None => Ok(None),
        }
    }

    fn dispatch(&mut self, sequence: u32, payload: Data) -> Result<Received, CloseReason> {
        let number = payload.first().copied().unwrap_or_default();
        let first = !self.reader.is_protected();
        match number {
            numbers::DISCONNECT => Err(read_disconnect(&payload)),
            numbers::KEXINIT => self.on_kexinit(sequence, payload.into_bytes()).map(|()| Received::Nothing),
            numbers::NEWKEYS => self.on_newkeys(&payload),
            30..=49 => self.on_share(&payload).map(|()| Received::Nothing),
            _ if first && self.strict => {
                Err(ProtocolError("a stray message during the first key exchange").into())
            }
            numbers::IGNORE | numbers::DEBUG | numbers::UNIMPLEMENTED => Ok(Received::Nothing),
            _ if first || self.peer_is_exchanging() => {
                Err(ProtocolError("a message that may not stand within a key exchange").into())
            }
            _ => Ok(Received::Upper(payload)),
        }
    }
}

fn read_disconnect(payload: &[u8]) -> CloseReason {
    let mut fields = Reader::new(payload);
    let read = |fields: &mut Reader<'_>| -> Result<(u32, String), ProtocolError> {
        fields.u8()?;
        let code = fields.u32()?;
        Ok((code, printable(fields.string()?)))
    };
    let (code, text) = read(&mut fields).unwrap_or_default();
    CloseReason::PeerDisconnected { code, text }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ssh::hostkeys::HostKey;
    use crate::ssh::offer::Offer;

    fn side(role: Role) -> Transport {
        let key = Arc::new(HostKey::generate("test").expect("key"));
        let identity = ServerIdentity { key, certificate: None };
        let setup = Setup {
            role,
            ident: "SSH-2.0-test".to_owned(),
            offer: Lists::for_client(Offer::default(), &identity),
            identity: (role == Role::Server).then_some(identity),
            rekey: RekeyPolicy::default(),
        };
        Transport::new(setup).expect("set up")
    }

    /// Terrapin, CVE-2023-48795: a message slipped in before encryption starts would shift every number after it.
    #[test]
    fn terrapin_a_stray_message_in_the_first_key_exchange_ends_the_connection() {
        for (us, them) in [(Role::Server, Role::Client), (Role::Client, Role::Server)] {
            for stray in [numbers::IGNORE, numbers::DEBUG, numbers::UNIMPLEMENTED] {
                let (mut ours, theirs) = (side(us), side(them));
                ours.reader.buffer.extend_from_slice(theirs.writer.pending());
                let mut slipped_in = PacketWriter::new();
                slipped_in.put(&[stray, 0, 0, 0, 0], &[]).expect("fits");
                ours.reader.buffer.extend_from_slice(slipped_in.pending());
                let error = std::iter::repeat_with(|| ours.receive()).find_map(Result::err).expect("refused");
                assert!(error.to_string().contains("stray message"), "{us:?} {stray}: {error}");
            }
        }
    }
}
