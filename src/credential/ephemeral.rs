//! The key pair of one upstream connection.

use std::fmt;

use super::PublicHalf;
use crate::domain::Fingerprint;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

/// SSH's name of the algorithm (RFC 8709 §4).
const ALGORITHM: &str = "ssh-ed25519";

/// A fresh ed25519 key pair that lives as long as this value.
///
/// The private half exists only inside AWS-LC's `EVP_PKEY`: generated there, used there, and
/// overwritten there, because `OPENSSL_free` cleanses every block before it returns it
/// (`crypto/mem.c`) and key generation cleanses its seed (`curve25519.c`). This is why the key is
/// not an `ssh_key::PrivateKey`, which moves the seed through Rust values that the compiler may copy.
/// It cannot be cloned or printed.
pub struct EphemeralKey {
    pair: Ed25519KeyPair,
    public: PublicHalf,
}

/// A key could not be made or used: AWS-LC says no more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library could not {doing}")]
pub struct KeyError {
    doing: &'static str,
}

impl EphemeralKey {
    /// Makes a key pair.
    ///
    /// # Errors
    /// When the machine gives no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| KeyError { doing: "generate a key" })?;
        let public = PublicHalf::of_blob(ALGORITHM, &blob(&pair));
        Ok(Self { pair, public })
    }

    /// The public half, which is all that is ever pushed.
    #[must_use]
    pub fn public_half(&self) -> &PublicHalf {
        &self.public
    }

    /// The public half in wire form (RFC 8709 §4).
    #[must_use]
    pub fn public_blob(&self) -> Vec<u8> {
        blob(&self.pair)
    }

    /// The public half's fingerprint, as OpenSSH prints it.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        self.public.fingerprint()
    }

    /// Signs a message; the raw signature (RFC 8032), to be wrapped by the caller (RFC 8709 §6).
    ///
    /// # Errors
    /// Never with a working library: ed25519 signatures are always 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeyError> {
        self.pair.sign(message).as_ref().try_into().map_err(|_| KeyError { doing: "sign" })
    }
}

/// Two strings, each after its length (RFC 4251 §5).
fn blob(pair: &Ed25519KeyPair) -> Vec<u8> {
    let key = pair.public_key().as_ref();
    let mut blob = Vec::with_capacity(51);
    for part in [ALGORITHM.as_bytes(), key] {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        blob.extend_from_slice(&length.to_be_bytes());
        blob.extend_from_slice(part);
    }
    blob
}

impl fmt::Debug for EphemeralKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EphemeralKey").field("fingerprint", self.public.fingerprint()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_half_is_what_openssh_reads() {
        let key = EphemeralKey::generate().expect("a key");
        let line = key.public_half().openssh();
        assert!((80..=4096).contains(&line.len()) && !line.contains('\n'), "{line}");
        let parsed = ssh_key::PublicKey::from_openssh(line).expect("an OpenSSH key");
        assert_eq!(parsed.algorithm(), ssh_key::Algorithm::Ed25519);
        assert_eq!(parsed.comment(), "drawbridge");
        assert_eq!(parsed.to_bytes().expect("wire form"), key.public_blob());
        let theirs = parsed.fingerprint(ssh_key::HashAlg::Sha256).to_string();
        assert_eq!(theirs, key.fingerprint().as_str());
    }

    #[test]
    fn it_signs_and_every_key_is_another() {
        let (key, other) =
            (EphemeralKey::generate().expect("a key"), EphemeralKey::generate().expect("a key"));
        let signature = key.sign(b"session").expect("a signature");
        let verify = |key: &EphemeralKey, message: &[u8]| {
            let public = key.pair.public_key().as_ref().to_vec();
            aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, public)
                .verify(message, &signature)
        };
        assert!(verify(&key, b"session").is_ok());
        assert!(verify(&key, b"another").is_err());
        assert!(verify(&other, b"session").is_err());
        assert_ne!(key.fingerprint(), other.fingerprint());
    }

    #[test]
    fn nothing_but_the_fingerprint_is_printed() {
        let key = EphemeralKey::generate().expect("a key");
        assert_eq!(format!("{key:?}"), format!("EphemeralKey {{ fingerprint: {}, .. }}", key.fingerprint()));
    }
}
