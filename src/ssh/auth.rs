//! User authentication (RFC 4252), both ends. The engine checks possession; who may come in is decided
//! by whoever takes the requests out.

use std::collections::VecDeque;

use bytes::Bytes;

use super::connection::{Inner, Stage};
use super::data::Data;
use super::error::{Closed, ProtocolError};
use super::numbers;
use super::wire::{Put, Reader, message};
use crate::signature;

/// Requests a client may send ahead of our answers.
const QUEUE_MAX: usize = 16;
/// And in bytes; one may be longer when none waits.
const QUEUE_BYTES_MAX: usize = 64 * 1024;
/// The longest user name that is handed on, in bytes; more names nobody.
pub const USER_NAME_MAX: usize = 1024;

/// One attempt of a client to authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthRequest {
    /// The user name in the request; cut at [`USER_NAME_MAX`] bytes, lossy where it is not UTF-8.
    pub user: String,
    /// How it wants to.
    pub attempt: AuthAttempt,
}

impl AuthRequest {
    /// What it holds in memory.
    fn size(&self) -> usize {
        let attempt = match &self.attempt {
            AuthAttempt::None => 0,
            AuthAttempt::PublicKey { algorithm, key_blob, .. } => algorithm.len() + key_blob.len(),
            AuthAttempt::Other(name) => name.len(),
        };
        self.user.len() + attempt
    }
}

/// How a client wants to authenticate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthAttempt {
    /// It asks what there is (RFC 4252 §5.2).
    None,
    /// With a key or a certificate (RFC 4252 §7).
    PublicKey {
        /// The algorithm it names.
        algorithm: String,
        /// The key or certificate in wire form.
        key_blob: Bytes,
        /// Whether it proved possession.
        proof: Proof,
    },
    /// Some other method, by name.
    Other(String),
}

/// Whether a client holds the private half of a key that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It only asks whether the key would do.
    Asked,
    /// It signed, and the signature verifies.
    Valid {
        /// What a FIDO token says about touch and PIN (PROTOCOL.u2f).
        sk_flags: Option<u8>,
    },
    /// It signed, and the signature does not verify.
    Invalid,
}

#[derive(Debug, Default)]
pub(super) struct ServerAuth {
    service_accepted: bool,
    queue: VecDeque<AuthRequest>,
}

impl ServerAuth {
    pub(super) fn next(&mut self) -> Option<AuthRequest> {
        self.queue.pop_front()
    }
}

/// What the server said to us.
#[derive(Debug, Default)]
pub(super) struct ClientAuth {
    /// Whether we have asked to be let in: before that, nobody can answer.
    pub(super) asked: bool,
    pub(super) refused: Option<Vec<String>>,
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(USER_NAME_MAX)).unwrap_or_default()).into_owned()
}

impl Inner {
    pub(super) fn on_server_auth(&mut self, payload: &Data) -> Result<(), ProtocolError> {
        let mut fields = Reader::new(payload);
        let number = fields.u8()?;
        let session_id = self.transport.session_id().to_vec();
        let Stage::ServerAuth(auth) = &mut self.stage else { return Ok(()) };
        match number {
            numbers::SERVICE_REQUEST => {
                if fields.string()? != b"ssh-userauth" {
                    return Err(ProtocolError("a service other than ssh-userauth was asked for"));
                }
                auth.service_accepted = true;
                self.send(message(numbers::SERVICE_ACCEPT).string(b"ssh-userauth"), &[]);
                Ok(())
            }
            numbers::USERAUTH_REQUEST if auth.service_accepted => {
                let waiting: usize = auth.queue.iter().map(AuthRequest::size).sum();
                let too_long = waiting > 0 && waiting + payload.len() > QUEUE_BYTES_MAX;
                if too_long || auth.queue.len() >= QUEUE_MAX {
                    return Err(ProtocolError("too many authentication requests wait"));
                }
                let request = read_request(payload, fields, &session_id)?;
                auth.queue.push_back(request);
                self.waiters.wake();
                Ok(())
            }
            _ => Err(ProtocolError("an authentication message out of turn")),
        }
    }

    pub(super) fn on_client_auth(&mut self, payload: &Data) -> Result<(), ProtocolError> {
        let mut fields = Reader::new(payload);
        let number = fields.u8()?;
        let Stage::ClientAuth(auth) = &mut self.stage else { return Ok(()) };
        match number {
            numbers::SERVICE_ACCEPT | numbers::USERAUTH_BANNER => {}
            numbers::USERAUTH_SUCCESS if auth.asked => self.stage = Stage::Open,
            numbers::USERAUTH_FAILURE if auth.asked => auth.refused = Some(fields.name_list()?),
            _ => return Err(ProtocolError("an authentication message out of turn")),
        }
        self.waiters.wake();
        Ok(())
    }

    pub(super) fn auth_succeed(&mut self) {
        self.send(&message(numbers::USERAUTH_SUCCESS), &[]);
        self.stage = Stage::Open;
    }
}

fn read_request(
    payload: &Data,
    mut fields: Reader<'_>,
    session_id: &[u8],
) -> Result<AuthRequest, ProtocolError> {
    let user = lossy(fields.string()?);
    if fields.string()? != b"ssh-connection" {
        return Err(ProtocolError("a service other than ssh-connection was asked for"));
    }
    let attempt = match fields.string()? {
        b"none" => AuthAttempt::None,
        b"publickey" => {
            let signed = fields.boolean()?;
            let algorithm = fields.utf8()?;
            let key_blob = fields.string()?;
            let proof = if signed {
                let covered = payload.len() - fields.rest().len();
                let signature_blob = fields.string()?;
                check(
                    session_id,
                    payload.get(..covered).unwrap_or_default(),
                    algorithm,
                    key_blob,
                    signature_blob,
                )
            } else {
                Proof::Asked
            };
            AuthAttempt::PublicKey {
                algorithm: lossy(algorithm.as_bytes()),
                // A copy: a slice would keep the whole receive buffer of a stranger.
                key_blob: Bytes::copy_from_slice(key_blob),
                proof,
            }
        }
        other => AuthAttempt::Other(lossy(other)),
    };
    Ok(AuthRequest { user, attempt })
}

/// RFC 4252 §7: the signature covers the session id and the request up to the signature.
fn check(
    session_id: &[u8],
    request: &[u8],
    algorithm: &str,
    key_blob: &[u8],
    signature_blob: &[u8],
) -> Proof {
    match signature::verify(key_blob, algorithm, &signed_text(session_id, request), signature_blob) {
        Ok(verified) => Proof::Valid { sk_flags: verified.sk_flags },
        Err(_) => Proof::Invalid,
    }
}

fn signed_text(session_id: &[u8], request: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(session_id.len() + request.len() + 4);
    text.string(session_id);
    text.extend_from_slice(request);
    text
}

/// Something that can sign for one key: the one-session key of a connection to a target.
pub trait Signer {
    /// The public half in wire form.
    fn public_blob(&self) -> Vec<u8>;
    /// An Ed25519 signature (64 bytes) over a message.
    fn sign(&self, message: &[u8]) -> Vec<u8>;
}

/// The signed request for an Ed25519 key, at once and without a query: each query would make the
/// target's Instance Connect agent run once more.
pub(super) fn signed_request(session_id: &[u8], login: &str, key: &(dyn Signer + Sync)) -> Vec<u8> {
    let mut request = message(numbers::USERAUTH_REQUEST);
    request.string(login.as_bytes()).string(b"ssh-connection").string(b"publickey");
    request.boolean(true).string(b"ssh-ed25519").string(&key.public_blob());
    let mut signature_blob = Vec::with_capacity(83);
    signature_blob.string(b"ssh-ed25519").string(&key.sign(&signed_text(session_id, &request)));
    request.string(&signature_blob);
    request
}

/// A target's answer to our key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientAuthError {
    /// It does not let us in.
    #[error("the target did not accept the key; it offers: {}", offers.join(", "))]
    Refused {
        /// What else it would take.
        offers: Vec<String>,
    },
    /// The connection ended before an answer.
    #[error(transparent)]
    Closed(#[from] Closed),
}
