//! Public halves of audit keys, by which heads and prune records are believed.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ssh_key::PublicKey;

use crate::domain::Fingerprint;

/// The keys that are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditKeys(Vec<AuditPublicKey>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct AuditPublicKey {
    fingerprint: Fingerprint,
    point: [u8; 32],
}

/// A line that is no audit key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} is no Ed25519 public key: write what `drawbridge audit key` prints, `ssh-ed25519 AAAA…`"
)]
pub struct KeyLineError {
    /// Which line, from 1.
    pub line: usize,
}

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The key that it names is none of those that are believed.
    #[error("the key that it names is none of those given")]
    UnknownKey,
    /// It is no signature of that key over this.
    #[error("the signature is not that key's")]
    BadSignature,
}

impl AuditKeys {
    /// Reads lines as `drawbridge audit key` prints them, and as they stand in `authorized_keys`. Empty lines and
    /// comments are passed over.
    ///
    /// # Errors
    /// The first line that is something else.
    pub fn parse(text: &str) -> Result<Self, KeyLineError> {
        let mut keys = Self::default();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = PublicKey::from_openssh(line).ok();
            let blob = key.as_ref().and_then(|key| key.to_bytes().ok());
            let point = key.as_ref().and_then(|key| key.key_data().ed25519());
            let (Some(blob), Some(point)) = (blob, point) else {
                return Err(KeyLineError { line: at.saturating_add(1) });
            };
            keys.0.push(AuditPublicKey { fingerprint: Fingerprint::of_blob(&blob), point: point.0 });
        }
        Ok(keys)
    }

    /// Believes the keys of `more` as well.
    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Whether no key is believed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks a signature in base64 over a message.
    ///
    /// # Errors
    /// When the key is not believed or the signature is not its own.
    pub fn check(&self, key: &str, message: &str, signature: &str) -> Result<(), Distrust> {
        let mut named = self.0.iter().filter(|known| known.fingerprint.as_str() == key).peekable();
        if named.peek().is_none() {
            return Err(Distrust::UnknownKey);
        }
        let bytes = data_encoding::BASE64.decode(signature.as_bytes()).map_err(|_| Distrust::BadSignature)?;
        let signed = |known: &AuditPublicKey| {
            UnparsedPublicKey::new(&ED25519, known.point).verify(message.as_bytes(), &bytes).is_ok()
        };
        if named.any(signed) { Ok(()) } else { Err(Distrust::BadSignature) }
    }
}
