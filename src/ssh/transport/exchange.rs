//! Key exchange and re-exchange (RFC 4253 §7 and §8), either side.

use std::time::Instant;

use bytes::Bytes;

use super::{Received, Transport};
use crate::signature::{self, SignatureError};
use crate::ssh::algorithms::{self, Choice, KexInit, Role};
use crate::ssh::cipher::{Opener, Sealer, Suite};
use crate::ssh::error::{CloseReason, ProtocolError};
use crate::ssh::kex::{self, ClientShare, DirectionKeys, Method, Secret, Transcript};
use crate::ssh::numbers;
use crate::ssh::offer::{HOST_KEYS_LEGACY, USER_SIGNATURES};
use crate::ssh::wire::{Put, Reader, message};

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
    fn of(choice: &Choice) -> Self {
        Self {
            kex: choice.kex.clone(),
            host_key: choice.host_key.clone(),
            cipher_to_server: choice.cipher_to_server.clone(),
            cipher_to_client: choice.cipher_to_client.clone(),
            mac_to_server: choice.mac_to_server.clone(),
            mac_to_client: choice.mac_to_client.clone(),
        }
    }

    /// Whether something was chosen that only targets are offered that are listed as legacy.
    #[must_use]
    pub fn is_legacy(&self) -> bool {
        let macs = [self.mac_to_server.as_deref(), self.mac_to_client.as_deref()];
        algorithms::is_legacy(&self.kex, &self.host_key, macs)
    }
}

/// What both sides have agreed to exchange keys by.
#[derive(Debug)]
pub(super) struct Run {
    method: Method,
    choice: Choice,
    our_kexinit: Vec<u8>,
    peer_kexinit: Bytes,
    /// The peer's next message is a wrong guess, and is passed over.
    skip: bool,
}

/// How far the key exchange under way has come.
#[derive(Debug)]
pub(super) enum Exchange {
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

impl Transport {
    /// Starts a key exchange unless one is under way.
    pub(in crate::ssh) fn start_exchange(&mut self) -> Result<(), ProtocolError> {
        if !matches!(self.exchange, Exchange::Idle) {
            return Ok(());
        }
        let init = self.offer()?;
        self.exchange = Exchange::Offered(init);
        Ok(())
    }

    fn offer(&mut self) -> Result<Vec<u8>, ProtocolError> {
        let init = algorithms::our_kexinit(self.role, &self.offer)?;
        self.writer.put(&init, &[])?;
        self.held.begin();
        Ok(init)
    }

    /// Between the peer's KEXINIT and its NEWKEYS it may send nothing else (RFC 4253 §7.1).
    pub(super) fn peer_is_exchanging(&self) -> bool {
        match self.exchange {
            Exchange::Idle | Exchange::Offered(_) => false,
            Exchange::AwaitShare(_) | Exchange::AwaitReply(..) | Exchange::AwaitNewKeys(_) => true,
        }
    }

    pub(super) fn on_kexinit(&mut self, sequence: u32, payload: Bytes) -> Result<(), CloseReason> {
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
            self.held.keep_first(ext_info());
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

    pub(super) fn on_share(&mut self, payload: &[u8]) -> Result<(), CloseReason> {
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
                certificate.for_client(self.peer_ident.line().unwrap_or_default())
            }
            Some(_) | None => identity.key.blob(),
        };
        let transcript = Transcript {
            client_ident: self.peer_ident.line().unwrap_or_default(),
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
            server_ident: self.peer_ident.line().unwrap_or_default(),
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
        self.negotiated = Some(Negotiated::of(&run.choice));
        self.exchanged_at = Instant::now();
        self.session_id = Some(session_id);
        // Nothing of an upper layer exists before the first exchange ends, so only EXT_INFO is held then.
        for message in self.held.release() {
            self.writer.put(&message, &[])?;
        }
        Ok(())
    }

    pub(super) fn on_newkeys(&mut self, payload: &[u8]) -> Result<Received, CloseReason> {
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
