//! Verifies SSH signatures with keys in their wire form.
//!
//! Used for the client's proof of possession (RFC 4252 §7), for the target's host key (RFC 4253
//! §8) and for the CA's signature on a certificate. What always holds: SHA-1 verifies nothing, but for
//! whoever calls it by its dangerous name, RSA has 2048 to 8192 bits, ECDSA uses the hash of its curve
//! (RFC 5656 §6.2.1), the algorithm in the signature is the one that was announced, and hostile bytes
//! give an error, never a panic. It decides nothing about whose key it is.

mod certificate;
mod public_key;
pub mod wire;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};
use thiserror::Error;

pub(crate) use certificate::{Certificate, CertificateType};
pub(crate) use public_key::Material;
pub use public_key::{KeyKind, PublicKey};
use wire::{Reader, WireError};

/// The smallest RSA modulus, in bits.
pub const RSA_BITS_MIN: usize = 2048;
/// The largest RSA modulus, in bits; more costs time that a stranger should not have.
pub const RSA_BITS_MAX: usize = 8192;
/// The FIDO flag that says a person touched the token (user presence).
pub const SK_FLAG_USER_PRESENT: u8 = 0x01;
/// The FIDO flag that says the token knows the person, by PIN or biometrics (user verification).
pub const SK_FLAG_USER_VERIFIED: u8 = 0x04;

/// Why a key or a signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SignatureError {
    /// The key's bytes are not a key.
    #[error("the public key is malformed")]
    MalformedKey,
    /// A kind of key, or parameters, that drawbridge does not know.
    #[error("the kind of public key is not supported")]
    UnsupportedKey,
    /// An RSA key that is too short.
    #[error("the RSA key has {bits} bits; at least {RSA_BITS_MIN} are needed")]
    WeakKey {
        /// The length of its modulus.
        bits: usize,
    },
    /// An algorithm that this key cannot sign with, that is unknown, or that uses SHA-1.
    #[error("the signature algorithm is not supported for this key")]
    UnsupportedAlgorithm,
    /// The signature names another algorithm than was announced.
    #[error("the signature was made with another algorithm than was announced")]
    WrongAlgorithm,
    /// The signature's bytes are not a signature.
    #[error("the signature is malformed")]
    MalformedSignature,
    /// It is a signature, but not by this key over this message.
    #[error("the signature does not verify")]
    BadSignature,
}

/// What a valid signature says beyond being valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Verified {
    /// The flags that a FIDO token signed (PROTOCOL.u2f), for sk keys.
    pub sk_flags: Option<u8>,
    /// The counter that a FIDO token signed, for sk keys.
    pub sk_counter: Option<u32>,
}

/// The name at the start of a key's or certificate's blob, such as `ssh-ed25519`; nothing when
/// there is none that could be one. It need not be supported.
#[must_use]
pub fn key_type(key_blob: &[u8]) -> Option<&str> {
    leading_name(key_blob)
}

/// The algorithm that a signature's blob says it was made with.
#[must_use]
pub fn algorithm_of(signature_blob: &[u8]) -> Option<&str> {
    leading_name(signature_blob)
}

/// Whether an algorithm that was announced for a public key request (RFC 4252 §7) belongs to a key
/// of that kind, which came plain or as a certificate. `ssh-rsa` belongs to none: it means SHA-1.
#[must_use]
pub fn algorithm_suits(algorithm: &str, kind: KeyKind, certificate: bool) -> bool {
    algorithm.contains("-cert-v01@") == certificate
        && SignatureAlgorithm::from_announced(algorithm).is_some_and(|algorithm| algorithm.suits(kind))
}

/// Names have at most 64 characters, all printable ASCII (RFC 4251 §6).
fn leading_name(blob: &[u8]) -> Option<&str> {
    let name = Reader::new(blob).text().ok()?;
    let plain = !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_graphic());
    plain.then_some(name)
}

/// Verifies `signature_blob` (`string` algorithm, `string` signature and, for sk keys, flags and
/// counter) over `message`.
///
/// `key_blob` is a plain key or a certificate, of which only the certified key is looked at.
/// `algorithm` is what was announced for the exchange: a signature algorithm such as
/// `rsa-sha2-512`, or a certificate algorithm such as `rsa-sha2-512-cert-v01@openssh.com`, which
/// stands for the former. The signature must have been made with exactly that one.
///
/// # Errors
/// When the key is malformed, unknown or weak; the algorithm unknown, not the key's or not the
/// signature's; the signature malformed or not valid.
pub fn verify(
    key_blob: &[u8],
    algorithm: &str,
    message: &[u8],
    signature_blob: &[u8],
) -> Result<Verified, SignatureError> {
    let key = PublicKey::parse_plain_or_certified(key_blob)?;
    let algorithm =
        SignatureAlgorithm::from_announced(algorithm).ok_or(SignatureError::UnsupportedAlgorithm)?;
    if !algorithm.suits(key.kind()) {
        return Err(SignatureError::UnsupportedAlgorithm);
    }
    let signature = ParsedSignature::parse(key.kind(), signature_blob)?;
    if signature.algorithm != algorithm.name() {
        return Err(SignatureError::WrongAlgorithm);
    }
    signature.check(&key, algorithm, message)
}

/// Verifies an `ssh-rsa` signature (RFC 4253 §6.6), which is RSA over SHA-1. Only for the host key of a
/// target that the operator lists as legacy: whoever makes SHA-1 collide can forge one.
///
/// # Errors
/// When the key is malformed, weak or no plain RSA key; the signature malformed, made with another algorithm
/// or not valid.
pub fn dangerous_verify_sha1(
    key_blob: &[u8],
    message: &[u8],
    signature_blob: &[u8],
) -> Result<(), SignatureError> {
    let key = PublicKey::parse(key_blob)?;
    let Material::Rsa { modulus, exponent } = key.material else {
        return Err(SignatureError::UnsupportedAlgorithm);
    };
    let signature = ParsedSignature::parse(key.kind(), signature_blob)?;
    if signature.algorithm != "ssh-rsa" {
        return Err(SignatureError::WrongAlgorithm);
    }
    let parameters = &lc::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
    check_rsa(parameters, modulus, exponent, message, signature.bytes)
}

/// What signatures are made with; names as in the registry of RFC 8332 and OpenSSH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SignatureAlgorithm {
    /// The one algorithm of a kind that is not RSA.
    Own(KeyKind),
    RsaSha256,
    RsaSha512,
}

impl SignatureAlgorithm {
    fn from_announced(name: &str) -> Option<Self> {
        match name {
            "rsa-sha2-256" | "rsa-sha2-256-cert-v01@openssh.com" => Some(Self::RsaSha256),
            "rsa-sha2-512" | "rsa-sha2-512-cert-v01@openssh.com" => Some(Self::RsaSha512),
            // As a signature algorithm, `ssh-rsa` means SHA-1.
            other => KeyKind::from_name(other)
                .or_else(|| KeyKind::from_certificate_name(other))
                .filter(|kind| *kind != KeyKind::Rsa)
                .map(Self::Own),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Own(kind) => kind.name(),
            Self::RsaSha256 => "rsa-sha2-256",
            Self::RsaSha512 => "rsa-sha2-512",
        }
    }

    fn suits(self, key: KeyKind) -> bool {
        match self {
            Self::Own(kind) => kind == key,
            Self::RsaSha256 | Self::RsaSha512 => key == KeyKind::Rsa,
        }
    }
}

struct ParsedSignature<'a> {
    algorithm: &'a str,
    bytes: &'a [u8],
    /// Flags and counter of a FIDO token.
    token: Option<(u8, u32)>,
}

impl<'a> ParsedSignature<'a> {
    fn parse(key: KeyKind, blob: &'a [u8]) -> Result<Self, SignatureError> {
        let read = || -> Result<Self, WireError> {
            let mut reader = Reader::new(blob);
            let algorithm = reader.text()?;
            let bytes = reader.string()?;
            let token = if key.is_security_key() { Some((reader.u8()?, reader.u32()?)) } else { None };
            reader.finish()?;
            Ok(Self { algorithm, bytes, token })
        };
        read().map_err(|_| SignatureError::MalformedSignature)
    }

    fn check(
        &self,
        key: &PublicKey<'_>,
        algorithm: SignatureAlgorithm,
        message: &[u8],
    ) -> Result<Verified, SignatureError> {
        match (key.application, self.token) {
            (Some(application), Some((flags, counter))) => {
                let signed = token_message(application, flags, counter, message);
                check_raw(key, algorithm, &signed, self.bytes)?;
                Ok(Verified { sk_flags: Some(flags), sk_counter: Some(counter) })
            }
            (None, None) => {
                check_raw(key, algorithm, message, self.bytes)?;
                Ok(Verified { sk_flags: None, sk_counter: None })
            }
            (Some(_), None) | (None, Some(_)) => Err(SignatureError::MalformedSignature),
        }
    }
}

/// What a FIDO token signs (PROTOCOL.u2f, "SSH U2F signatures").
fn token_message(application: &[u8], flags: u8, counter: u32, message: &[u8]) -> Vec<u8> {
    let mut signed = digest(&SHA256, application).as_ref().to_vec();
    signed.push(flags);
    signed.extend_from_slice(&counter.to_be_bytes());
    signed.extend_from_slice(digest(&SHA256, message).as_ref());
    signed
}

fn check_raw(
    key: &PublicKey<'_>,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    match (algorithm, key.material) {
        (SignatureAlgorithm::RsaSha256, Material::Rsa { modulus, exponent }) => {
            check_rsa(&lc::RSA_PKCS1_2048_8192_SHA256, modulus, exponent, message, signature)
        }
        (SignatureAlgorithm::RsaSha512, Material::Rsa { modulus, exponent }) => {
            check_rsa(&lc::RSA_PKCS1_2048_8192_SHA512, modulus, exponent, message, signature)
        }
        (SignatureAlgorithm::Own(kind), Material::Point(point)) => {
            check_point(kind, point, message, signature)
        }
        (SignatureAlgorithm::Own(_), Material::Rsa { .. })
        | (SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaSha512, Material::Point(_)) => {
            Err(SignatureError::UnsupportedAlgorithm)
        }
    }
}

fn check_point(kind: KeyKind, point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let (algorithm, scalar): (&'static dyn VerificationAlgorithm, usize) = match kind {
        KeyKind::Ed25519 | KeyKind::SkEd25519 => {
            return check_unparsed(&lc::ED25519, point, message, signature);
        }
        KeyKind::EcdsaP256 | KeyKind::SkEcdsaP256 => (&lc::ECDSA_P256_SHA256_FIXED, 32),
        KeyKind::EcdsaP384 => (&lc::ECDSA_P384_SHA384_FIXED, 48),
        KeyKind::EcdsaP521 => (&lc::ECDSA_P521_SHA512_FIXED, 66),
        KeyKind::Rsa => return Err(SignatureError::UnsupportedAlgorithm),
    };
    check_unparsed(algorithm, point, message, &fixed_ecdsa(signature, scalar)?)
}

fn check_unparsed(
    algorithm: &'static dyn VerificationAlgorithm,
    point: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let key = UnparsedPublicKey::new(algorithm, point);
    key.verify(message, signature).map_err(|_| SignatureError::BadSignature)
}

/// RFC 5656 §3.1.2 (`mpint` r, `mpint` s) as the two numbers side by side at the curve's width.
fn fixed_ecdsa(signature: &[u8], scalar: usize) -> Result<Vec<u8>, SignatureError> {
    let mut reader = Reader::new(signature);
    let mut fixed = Vec::with_capacity(scalar * 2);
    for _ in ["r", "s"] {
        let number = reader.mpint().map_err(|_| SignatureError::MalformedSignature)?;
        pad_left(&mut fixed, number, scalar)?;
    }
    reader.finish().map_err(|_| SignatureError::MalformedSignature)?;
    Ok(fixed)
}

fn check_rsa(
    parameters: &'static lc::RsaParameters,
    modulus: &[u8],
    exponent: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    // Some clients leave leading zeros out, although RFC 8332 §3 keeps them.
    let mut padded = Vec::with_capacity(modulus.len());
    pad_left(&mut padded, signature, modulus.len())?;
    let key = PublicKeyComponents { n: modulus, e: exponent };
    key.verify(parameters, message, &padded).map_err(|_| SignatureError::BadSignature)
}

fn pad_left(out: &mut Vec<u8>, number: &[u8], width: usize) -> Result<(), SignatureError> {
    let zeros = width.checked_sub(number.len()).ok_or(SignatureError::MalformedSignature)?;
    out.resize(out.len() + zeros, 0);
    out.extend_from_slice(number);
    Ok(())
}

#[cfg(test)]
pub(crate) mod keygen;
#[cfg(test)]
mod tests;
