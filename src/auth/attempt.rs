//! What somebody tries, what a key is, and what comes of it when it succeeds.

use std::net::IpAddr;

use super::certificate::Extensions;
use crate::domain::{Fingerprint, Identity};
use crate::signature::{KeyKind, PublicKey, SignatureError, algorithm_suits, key_type};

/// The longest key or certificate that is looked at, in bytes.
pub const KEY_BLOB_BYTES_MAX: usize = 16 * 1024;

/// One publickey request (RFC 4252 §7), as the engine received it.
#[derive(Debug, Clone, Copy)]
pub struct KeyAttempt<'a> {
    /// The SSH user name: anything, of any length.
    pub ssh_user: &'a str,
    /// The announced public key algorithm, such as `rsa-sha2-512` or a certificate's.
    pub algorithm: &'a str,
    /// The key or certificate.
    pub key_blob: &'a [u8],
    /// Where the client comes from.
    pub client_addr: IpAddr,
    /// The FIDO flags that the verified signature carried; nothing for other keys and for queries.
    pub sk_flags: Option<u8>,
}

/// Who was let in, and what their certificate lets them do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Who.
    pub identity: Identity,
    /// What the certificate permits, to be enforced next to policy; everything for a plain key.
    pub extensions: Extensions,
}

/// What a key is, for the audit of attempts that come to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyInfo {
    /// The fingerprint of the key, or of the key that the certificate certifies.
    pub fingerprint: Fingerprint,
    /// The kind of key.
    pub kind: KeyKind,
    /// Its strength, in bits.
    pub bits: usize,
    /// Whether it came as a certificate.
    pub certificate: bool,
}

/// Reads a key or certificate and checks that the announced algorithm belongs to it. Says nothing
/// about whose it is.
///
/// # Errors
/// When the key is malformed, weak or unknown, or the algorithm is not its.
pub fn parse_public_key(algorithm: &str, key_blob: &[u8]) -> Result<PublicKeyInfo, SignatureError> {
    if key_blob.len() > KEY_BLOB_BYTES_MAX {
        return Err(SignatureError::MalformedKey);
    }
    let key = PublicKey::parse_plain_or_certified(key_blob)?;
    let certificate = is_certificate(key_blob);
    if !algorithm_suits(algorithm, key.kind(), certificate) {
        return Err(SignatureError::UnsupportedAlgorithm);
    }
    let fingerprint = Fingerprint::of_blob(&key.to_blob());
    Ok(PublicKeyInfo { fingerprint, kind: key.kind(), bits: key.bits(), certificate })
}

fn is_certificate(key_blob: &[u8]) -> bool {
    key_type(key_blob).and_then(KeyKind::from_certificate_name).is_some()
}
