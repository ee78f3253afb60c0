//! The transport layer (RFC 4253) without IO: identification, key exchange, re-exchange.
//!
//! What always holds here: nothing but key exchange goes out between our KEXINIT and our NEWKEYS;
//! the first exchange admits nothing but its own messages when both sides are strict (Terrapin);
//! the session id is that of the first exchange; a client sees the same host key in every exchange.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::algorithms::{self, Choice, KexInit, Role};
use super::cipher::{Opener, Sealer, Suite};
use super::data::Data;
use super::error::{CloseReason, ProtocolError};
use super::hostkeys::HostKey;
use super::kex::{self, ClientShare, DirectionKeys, Method, Secret, Transcript};
use super::numbers;
use super::offer::{HOST_KEYS_LEGACY, Lists, USER_SIGNATURES};
use super::packet::{PacketReader, PacketWriter};
use super::wire::{Put, Reader, message};
use crate::signature::{self, SignatureError};

/// What a server proves itself with.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// The host key.
    pub key: Arc<HostKey>,
    /// A host certificate for it, where there is one.
    pub certificate: Option<HostCertificate>,
}

/// A host certificate, in wire form.
#[derive(Debug, Clone)]
pub struct HostCertificate {
    /// For every client.
    pub usual: Vec<u8>,
    /// For OpenSSH before 10.3, and for PuTTY, instead: it takes `*` in a host certificate for a plain character, and a
    /// certificate without names for any name; from 10.3 on it is the other way round.
    pub before_openssh_10_3: Option<Vec<u8>>,
}

impl HostCertificate {
    fn for_client(&self, ident: &str) -> &[u8] {
        match &self.before_openssh_10_3 {
            Some(certificate) if takes_a_pattern_for_a_name(ident) => certificate,
            Some(_) | None => &self.usual,
        }
    }
}

/// Clients to which `*` in a host certificate is a plain character, and a certificate without names one for any:
/// OpenSSH before 10.3, and PuTTY, which knows certificates from 0.78 on.
fn takes_a_pattern_for_a_name(ident: &str) -> bool {
    let version = || {
        let (_, rest) = ident.split_once("OpenSSH_")?;
        let rest = rest.strip_prefix("for_Windows_").unwrap_or(rest);
        let (major, rest) = rest.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    ident.contains("PuTTY") || version().is_some_and(|version| version < (10, 3))
}

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

/// The names both sides agreed on, for the audit and for explaining.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Negotiated {
    /// Key exchange.
    pub kex: String,
    /// Host key algorithm.
    pub host_key: String,
    /// Cipher from client to server.
    pub cipher_to_server: String,
    /// Cipher from server to client.
    pub cipher_to_client: String,
    /// MAC from client to server; nothing where the cipher authenticates by itself.
    pub mac_to_server: Option<String>,
    /// MAC from server to client; nothing where the cipher authenticates by itself.
    pub mac_to_client: Option<String>,
}

impl Negotiated {
    /// Whether something was chosen that only targets are offered that are listed as legacy.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        let macs = [self.mac_to_server.as_deref(), self.mac_to_client.as_deref()];
        algorithms::is_legacy(&self.kex, &self.host_key, macs)
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

#[derive(Debug)]
struct Run {
    method: Method,
    choice: Choice,
    our_kexinit: Vec<u8>,
    peer_kexinit: Bytes,
    skip: bool,
}

#[derive(Debug)]
enum Exchange {
    Idle,
    /// Our KEXINIT is out, theirs is awaited.
    Offered(Vec<u8>),
    /// Server: the client's share is awaited.
    AwaitShare(Box<Run>),
    /// Client: the server's answer is awaited.
    AwaitReply(Box<Run>, Box<ClientShare>),
    /// The peer's NEWKEYS is awaited; then it speaks under this opener.
    AwaitNewKeys(Box<Opener>),
}

/// Messages of upper layers that wait for an exchange to end. Replies and window adjustments only,
/// since data waits with its sender; a peer that provokes more is cut off.
const HELD_MAX: usize = 8192;
/// And in bytes: a pong is as long as its ping.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;
const IDENT_MAX: usize = 255;
/// RFC 4253 §4.2 lets a server send lines before its identification.
const PREAMBLE_MAX: usize = 8 * 1024;

/// What a peer has said of itself before keys were exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Not a byte.
    Nothing,
    /// Something, and no identification line of SSH 2.0 in it: its first line, shortened.
    Other(String),
    /// Its identification line (RFC 4253 §4.2).
    Identification,
}

pub(super) struct Transport {
    pub(super) role: Role,
    pub(super) reader: PacketReader,
    pub(super) writer: PacketWriter,
    our_ident: String,
    peer_ident: Option<String>,
    /// The first line that the peer said, whatever it is; shortened.
    first_line: Option<String>,
    preamble: usize,
    identity: Option<ServerIdentity>,
    offer: Lists,
    exchange: Exchange,
    outgoing_held: bool,
    held: VecDeque<Vec<u8>>,
    held_bytes: usize,
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
            peer_ident: None,
            first_line: None,
            preamble: 0,
            identity: setup.identity,
            offer: setup.offer,
            exchange: Exchange::Idle,
            outgoing_held: false,
            held: VecDeque::new(),
            held_bytes: 0,
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
        let held: usize = self.held.iter().map(|message| message.capacity() + 24).sum();
        held + self.writer.waiting() + self.reader.buffer.capacity()
    }

    /// Key exchanges that the peer has taken part in.
    pub(super) fn exchanges(&self) -> u64 {
        self.exchanges
    }

    pub(super) fn session_id(&self) -> &[u8] {
        self.session_id.as_deref().unwrap_or_default()
    }

    pub(super) fn peer_ident(&self) -> Option<&str> {
        self.peer_ident.as_deref()
    }

    /// What the peer has said of itself so far.
    pub(super) fn heard(&self) -> Heard {
        match (&self.peer_ident, &self.first_line) {
            (Some(_), _) => Heard::Identification,
            (None, Some(line)) => Heard::Other(line.clone()),
            (None, None) if self.reader.buffer.is_empty() => Heard::Nothing,
            (None, None) => Heard::Other(printable(&self.reader.buffer)),
        }
    }

    pub(super) fn peer_host_key(&self) -> Option<&Bytes> {
        self.peer_host_key.as_ref()
    }

    pub(super) fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// Whether bulk data must wait: keys are being exchanged.
    pub(super) fn holds_outgoing(&self) -> bool {
        self.outgoing_held
    }

    /// Sends a message of an upper layer: `head` and the first `length` bytes of `body`, as
    /// [`PacketWriter::put_part`]. It waits here while keys are exchanged.
    pub(super) fn send(&mut self, head: &[u8], body: &[u8], length: usize) -> Result<(), ProtocolError> {
        if !self.outgoing_held {
            return self.writer.put_part(head, body, length);
        }
        let body = body.get(..length).unwrap_or(body);
        self.held_bytes += head.len() + body.len();
        if self.held.len() >= HELD_MAX || self.held_bytes > HELD_BYTES_MAX {
            return Err(ProtocolError("too much was asked for during a key exchange"));
        }
        self.held.push_back([head, body].concat());
        Ok(())
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

    /// Starts a key exchange unless one is under way.
    pub(super) fn start_exchange(&mut self) -> Result<(), ProtocolError> {
        if !matches!(self.exchange, Exchange::Idle) {
            return Ok(());
        }
        let init = self.offer()?;
        self.exchange = Exchange::Offered(init);
        Ok(())
    }

    /// Starts a key exchange when the present keys are spent.
    pub(super) fn rekey_if_due(&mut self) -> Result<(), ProtocolError> {
        let spent = self.writer.bytes().max(self.reader.bytes()) >= self.rekey.bytes;
        if self.session_id.is_some() && (spent || self.exchanged_at.elapsed() >= self.rekey.interval) {
            self.start_exchange()?;
        }
        Ok(())
    }

    fn offer(&mut self) -> Result<Vec<u8>, ProtocolError> {
        let init = algorithms::our_kexinit(self.role, &self.offer)?;
        self.writer.put(&init, &[])?;
        self.outgoing_held = true;
        Ok(init)
    }

    /// Takes the next message out of what was received; nothing when more bytes are needed.
    pub(super) fn receive(&mut self) -> Result<Option<Received>, CloseReason> {
        if self.peer_ident.is_none() && !self.read_ident()? {
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

    /// RFC 4253 §4.2. Answers whether the line is complete.
    fn read_ident(&mut self) -> Result<bool, CloseReason> {
        loop {
            let buffer = &mut self.reader.buffer;
            let Some(end) = buffer.iter().take(IDENT_MAX + 1).position(|byte| *byte == b'\n') else {
                return if buffer.len() > IDENT_MAX { Err(CloseReason::NotSsh) } else { Ok(false) };
            };
            let line = buffer.split_to(end + 1);
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.first_line.get_or_insert_with(|| printable(line));
            if line.starts_with(b"SSH-") {
                let text = std::str::from_utf8(line).map_err(|_| CloseReason::NotSsh)?;
                if !(text.starts_with("SSH-2.0-") || text.starts_with("SSH-1.99-")) {
                    return Err(CloseReason::NotSsh);
                }
                self.peer_ident = Some(text.to_owned());
                return Ok(true);
            }
            self.preamble += end + 1;
            if self.role == Role::Server || self.preamble > PREAMBLE_MAX {
                return Err(CloseReason::NotSsh);
            }
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

    /// Between the peer's KEXINIT and its NEWKEYS it may send nothing else (RFC 4253 §7.1).
    fn peer_is_exchanging(&self) -> bool {
        match self.exchange {
            Exchange::Idle | Exchange::Offered(_) => false,
            Exchange::AwaitShare(_) | Exchange::AwaitReply(..) | Exchange::AwaitNewKeys(_) => true,
        }
    }

    fn on_kexinit(&mut self, sequence: u32, payload: Bytes) -> Result<(), CloseReason> {
        let theirs = KexInit::parse(&payload)?;
        self.exchanges += 1;
        let our_kexinit = match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::Idle => self.offer()?,
            Exchange::Offered(init) => init,
            Exchange::AwaitShare(_) | Exchange::AwaitReply(..) | Exchange::AwaitNewKeys(_) => {
                return Err(ProtocolError("a key exchange within a key exchange").into());
            }
        };
        let first = self.session_id.is_none();
        if first {
            self.strict = theirs.is_strict();
            if self.strict && sequence != 0 {
                return Err(ProtocolError("something came before the first key exchange").into());
            }
        }
        let ours = KexInit::parse(&our_kexinit)?;
        let choice = match self.role {
            Role::Server => algorithms::negotiate(&theirs, &ours, Role::Client)?,
            Role::Client => algorithms::negotiate(&ours, &theirs, Role::Server)?,
        };
        let method =
            Method::of(&choice.kex).ok_or(ProtocolError("a key exchange was chosen that we lack"))?;
        if first && self.role == Role::Server && theirs.wants_ext_info() {
            self.held.push_front(ext_info());
        }
        let skip = choice.ignore_guess;
        let run = Box::new(Run { method, choice, our_kexinit, peer_kexinit: payload, skip });
        self.exchange = match self.role {
            Role::Server => Exchange::AwaitShare(run),
            Role::Client => {
                let share = Box::new(ClientShare::start(method)?);
                let mut out = message(numbers::KEX_ECDH_INIT);
                out.string(&share.public);
                self.writer.put(&out, &[])?;
                Exchange::AwaitReply(run, share)
            }
        };
        Ok(())
    }

    fn on_share(&mut self, payload: &[u8]) -> Result<(), CloseReason> {
        let mut fields = Reader::new(payload);
        let number = fields.u8()?;
        match (std::mem::replace(&mut self.exchange, Exchange::Idle), number) {
            (Exchange::AwaitShare(mut run), _) if run.skip => {
                run.skip = false;
                self.exchange = Exchange::AwaitShare(run);
                Ok(())
            }
            (Exchange::AwaitReply(mut run, share), _) if run.skip => {
                run.skip = false;
                self.exchange = Exchange::AwaitReply(run, share);
                Ok(())
            }
            (Exchange::AwaitShare(run), numbers::KEX_ECDH_INIT) => self.answer(&run, fields.string()?),
            (Exchange::AwaitReply(run, share), numbers::KEX_ECDH_REPLY) => {
                self.conclude(&run, *share, payload, fields)
            }
            _ => Err(ProtocolError("a key exchange message out of turn").into()),
        }
    }

    /// Server: answers the client's share.
    fn answer(&mut self, run: &Run, client_share: &[u8]) -> Result<(), CloseReason> {
        let identity = self.identity.clone().ok_or(ProtocolError("no host key"))?;
        let (server_share, secret) = kex::respond(run.method, client_share)?;
        let host_key = match &identity.certificate {
            Some(certificate) if run.choice.host_key.contains("-cert-v01@") => {
                certificate.for_client(self.peer_ident.as_deref().unwrap_or_default())
            }
            Some(_) | None => identity.key.blob(),
        };
        let transcript = Transcript {
            client_ident: self.peer_ident.as_deref().unwrap_or_default(),
            server_ident: &self.our_ident,
            client_kexinit: &run.peer_kexinit,
            server_kexinit: &run.our_kexinit,
            host_key,
            client_share,
            server_share: &server_share,
        };
        let hash = kex::exchange_hash(run.method, &transcript, &secret);
        let mut out = message(numbers::KEX_ECDH_REPLY);
        out.string(host_key).string(&server_share).string(&identity.key.sign(hash.as_ref()));
        self.writer.put(&out, &[])?;
        self.new_keys(run, &secret, hash.as_ref())
    }

    /// Client: checks the server's answer.
    fn conclude(
        &mut self,
        run: &Run,
        share: ClientShare,
        payload: &[u8],
        mut fields: Reader<'_>,
    ) -> Result<(), CloseReason> {
        let (host_key, server_share) = (fields.string()?, fields.string()?);
        let signature_blob = fields.string()?;
        let client_share = share.public.clone();
        let secret = share.finish(server_share)?;
        let transcript = Transcript {
            client_ident: &self.our_ident,
            server_ident: self.peer_ident.as_deref().unwrap_or_default(),
            client_kexinit: &run.our_kexinit,
            server_kexinit: &run.peer_kexinit,
            host_key,
            client_share: &client_share,
            server_share,
        };
        let hash = kex::exchange_hash(run.method, &transcript, &secret);
        check_host_key(host_key, &run.choice.host_key, hash.as_ref(), signature_blob)
            .map_err(|_| ProtocolError("the host key's signature is not valid"))?;
        match &self.peer_host_key {
            Some(known) if known != host_key => return Err(CloseReason::HostKeyChanged),
            Some(_) => {}
            None => self.peer_host_key = Some(Bytes::copy_from_slice(host_key)),
        }
        tracing::trace!(bytes = payload.len(), "key exchange answered");
        self.new_keys(run, &secret, hash.as_ref())
    }

    /// Sends NEWKEYS, speaks under the new keys from here on, and keeps the peer's until its NEWKEYS.
    fn new_keys(&mut self, run: &Run, secret: &Secret, hash: &[u8]) -> Result<(), CloseReason> {
        let session_id = self.session_id.clone().unwrap_or_else(|| hash.to_vec());
        let keys = |suite: Suite, letters| {
            kex::derive(run.method, secret, hash, &session_id, letters, suite.material())
        };
        let to_server = (run.choice.to_server, keys(run.choice.to_server, *b"ACE"));
        let to_client = (run.choice.to_client, keys(run.choice.to_client, *b"BDF"));
        let (incoming, outgoing) = match self.role {
            Role::Server => (to_server, to_client),
            Role::Client => (to_client, to_server),
        };
        self.writer.put(&[numbers::NEWKEYS], &[])?;
        let (suite, DirectionKeys { iv, key, mac }) = outgoing;
        self.writer.rekey(Sealer::new(suite, &iv, &key, &mac)?, self.strict);
        let (suite, DirectionKeys { iv, key, mac }) = incoming;
        self.exchange = Exchange::AwaitNewKeys(Box::new(Opener::new(suite, &iv, &key, &mac)?));
        self.negotiated = Some(Negotiated {
            kex: run.choice.kex.clone(),
            host_key: run.choice.host_key.clone(),
            cipher_to_server: run.choice.cipher_to_server.clone(),
            cipher_to_client: run.choice.cipher_to_client.clone(),
            mac_to_server: run.choice.mac_to_server.clone(),
            mac_to_client: run.choice.mac_to_client.clone(),
        });
        self.outgoing_held = false;
        self.exchanged_at = Instant::now();
        self.session_id = Some(session_id);
        self.held_bytes = 0;
        // Nothing of an upper layer exists before the first exchange ends, so only EXT_INFO is held then.
        while let Some(payload) = self.held.pop_front() {
            self.writer.put(&payload, &[])?;
        }
        Ok(())
    }

    fn on_newkeys(&mut self, payload: &[u8]) -> Result<Received, CloseReason> {
        match std::mem::replace(&mut self.exchange, Exchange::Idle) {
            Exchange::AwaitNewKeys(opener) if payload.len() == 1 => {
                let first = !self.reader.is_protected();
                self.reader.rekey(*opener, self.strict);
                Ok(if first { Received::Ready } else { Received::Nothing })
            }
            Exchange::Idle
            | Exchange::Offered(_)
            | Exchange::AwaitShare(_)
            | Exchange::AwaitReply(..)
            | Exchange::AwaitNewKeys(_) => Err(ProtocolError("new keys out of turn").into()),
        }
    }
}

/// A certificate is only taken where one was agreed on, and a plain key where that was.
/// `ssh-rsa`, which means SHA-1, can only have been chosen where the target is listed as legacy.
fn check_host_key(
    host_key: &[u8],
    algorithm: &str,
    hash: &[u8],
    signature_blob: &[u8],
) -> Result<(), SignatureError> {
    let is_certificate = |name: &str| name.contains("-cert-v01@");
    if signature::key_type(host_key).is_some_and(is_certificate) != is_certificate(algorithm) {
        return Err(SignatureError::UnsupportedAlgorithm);
    }
    if HOST_KEYS_LEGACY.contains(&algorithm) {
        return signature::dangerous_verify_sha1(host_key, hash, signature_blob);
    }
    let _flags_of_tokens_mean_nothing_here = signature::verify(host_key, algorithm, hash, signature_blob)?;
    Ok(())
}

/// RFC 8308 §3.1, and OpenSSH's ping (PROTOCOL §1.9).
fn ext_info() -> Vec<u8> {
    let mut out = message(numbers::EXT_INFO);
    out.uint32(2).string(b"server-sig-algs").name_list(USER_SIGNATURES);
    out.string(b"ping@openssh.com").string(b"0");
    out
}

/// What a peer says, shortened and without control characters.
fn printable(said: &[u8]) -> String {
    String::from_utf8_lossy(said).chars().filter(|c| !c.is_control()).take(200).collect()
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
    use super::super::offer::Offer;
    use super::*;

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

    #[test]
    fn clients_that_take_a_star_for_a_character_are_recognised() {
        for old in [
            "SSH-2.0-OpenSSH_9.2p1 Debian-2",
            "SSH-2.0-OpenSSH_for_Windows_8.1",
            "SSH-2.0-OpenSSH_10.2",
            "SSH-2.0-PuTTY_Release_0.83",
        ] {
            assert!(takes_a_pattern_for_a_name(old), "{old}");
        }
        for other in ["SSH-2.0-OpenSSH_10.3", "SSH-2.0-OpenSSH_11.0p1", "SSH-2.0-paramiko_5.1.0", ""] {
            assert!(!takes_a_pattern_for_a_name(other), "{other}");
        }
    }
}
