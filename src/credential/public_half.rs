//! What is pushed: the public half of a key, whoever has the private one.

use data_encoding::BASE64;

use crate::domain::Fingerprint;
use crate::signature::{KeyKind, PublicKey, SignatureError};

/// The RSA keys that Instance Connect takes, in bits (EC2 User Guide, "Connect using EC2 Instance Connect").
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A public key as a line of `authorized_keys`, of a kind that Instance Connect takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicHalf {
    line: String,
    fingerprint: Fingerprint,
}

/// Why a client's key cannot be pushed. The texts complete "the key that you logged in with …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPushable {
    /// It came as a certificate, which only its CA's believers take.
    #[error("is a certificate")]
    Certificate,
    /// A security key (`sk-…`).
    #[error("is held by a security key (FIDO)")]
    SecurityKey,
    /// ECDSA.
    #[error("is an ECDSA key")]
    Ecdsa,
    /// An RSA key of another length than Instance Connect takes.
    #[error("is an RSA key of {bits} bits")]
    RsaLength {
        /// The length of its modulus.
        bits: usize,
    },
    /// The blob is no key; whoever logged in with it did not log in.
    #[error("cannot be read")]
    Unreadable,
}

impl From<SignatureError> for NotPushable {
    fn from(_: SignatureError) -> Self {
        Self::Unreadable
    }
}

impl PublicHalf {
    /// A key in wire form that is known to be of a kind that can be pushed.
    pub(super) fn of_blob(algorithm: &str, blob: &[u8]) -> Self {
        Self {
            line: format!("{algorithm} {} drawbridge", BASE64.encode(blob)),
            fingerprint: Fingerprint::of_blob(blob),
        }
    }

    /// The key that a client logged in with, in wire form (RFC 4253 §6.6).
    ///
    /// # Errors
    /// When it is of a kind that Instance Connect does not take: it knows RSA and Ed25519, and the agent on
    /// the instance passes over every line that does not begin with `ssh-`.
    pub fn of_client(key_blob: &[u8]) -> Result<Self, NotPushable> {
        if crate::signature::key_type(key_blob).and_then(KeyKind::from_certificate_name).is_some() {
            return Err(NotPushable::Certificate);
        }
        let key = PublicKey::parse(key_blob)?;
        match key.kind() {
            KeyKind::Ed25519 => Ok(Self::of_blob("ssh-ed25519", key_blob)),
            KeyKind::Rsa if RSA_BITS.contains(&key.bits()) => Ok(Self::of_blob("ssh-rsa", key_blob)),
            KeyKind::Rsa => Err(NotPushable::RsaLength { bits: key.bits() }),
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => Err(NotPushable::Ecdsa),
            KeyKind::SkEd25519 | KeyKind::SkEcdsaP256 => Err(NotPushable::SecurityKey),
        }
    }

    /// A line of `authorized_keys`, without a line feed.
    ///
    /// Instance Connect takes 80 characters at least, which is exactly an ed25519 key without a
    /// comment: it must never be shortened.
    #[must_use]
    pub fn openssh(&self) -> &str {
        &self.line
    }

    /// Its fingerprint, as OpenSSH prints it.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::keygen::Workshop;

    #[test]
    fn keys_that_instance_connect_takes_are_lines_that_openssh_reads() {
        let workshop = Workshop::new();
        for (name, kind, bits) in [("ed", "ed25519", "256"), ("rsa2", "rsa", "2048"), ("rsa4", "rsa", "4096")]
        {
            let key = workshop.key(name, kind, bits);
            let half = PublicHalf::of_client(&key.blob).expect(name);
            assert!((80..=4096).contains(&half.openssh().len()), "{}", half.openssh());
            let parsed = ssh_key::PublicKey::from_openssh(half.openssh()).expect("an OpenSSH key");
            assert_eq!(parsed.to_bytes().expect("wire form"), key.blob);
            assert_eq!(*half.fingerprint(), Fingerprint::of_blob(&key.blob));
        }
    }

    #[test]
    fn other_keys_are_refused_by_their_kind() {
        let workshop = Workshop::new();
        let of = |name, kind, bits| PublicHalf::of_client(&workshop.key(name, kind, bits).blob);
        assert_eq!(of("p256", "ecdsa", "256"), Err(NotPushable::Ecdsa));
        assert_eq!(of("p521", "ecdsa", "521"), Err(NotPushable::Ecdsa));
        assert_eq!(of("rsa5", "rsa", "5120"), Err(NotPushable::RsaLength { bits: 5120 }));
        assert_eq!(PublicHalf::of_client(b"nonsense"), Err(NotPushable::Unreadable));
        let mut sk = Vec::new();
        for part in [&b"sk-ssh-ed25519@openssh.com"[..], &[7; 32], b"ssh:"] {
            sk.extend_from_slice(&u32::try_from(part.len()).expect("short").to_be_bytes());
            sk.extend_from_slice(part);
        }
        assert_eq!(PublicHalf::of_client(&sk), Err(NotPushable::SecurityKey));
        let ca = workshop.key("ca", "ed25519", "256");
        let user = workshop.key("user", "ed25519", "256");
        let (ca, public) = (ca.path.display().to_string(), format!("{}.pub", user.path.display()));
        workshop.ssh_keygen(&["-q", "-s", &ca, "-I", "id", "-n", "alice", &public]);
        let line = std::fs::read_to_string(workshop.path("user-cert.pub")).expect("a certificate");
        let blob = data_encoding::BASE64.decode(line.split(' ').nth(1).expect("base64").as_bytes());
        assert_eq!(PublicHalf::of_client(&blob.expect("base64")), Err(NotPushable::Certificate));
    }
}
