//! Who someone is, and how they proved it.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

/// The name of a user of local policy: 1 to 64 characters of `[A-Za-z0-9._-]`, starting with a
/// letter, a digit or `_`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UserName(String);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a name may not be empty")]
    Empty,
    /// More characters than fit.
    #[error("a name may have at most {max} characters")]
    TooLong {
        /// The limit, in characters.
        max: usize,
    },
    /// A character that has no place in a name.
    #[error("{character:?} may not stand in a name; use letters, digits, '.', '_' and '-'")]
    Character {
        /// The first offending character.
        character: char,
    },
}

impl UserName {
    /// The longest name, in characters.
    pub const LENGTH_MAX: usize = 64;

    /// Reads a name.
    ///
    /// # Errors
    /// When the name is empty, too long or has a character that may not stand in one.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_name(text, Self::LENGTH_MAX, |_| false)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rule shared by user names and logins; `also` admits further characters after the first.
pub(super) fn check_name(text: &str, max: usize, also: fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max {
        return Err(NameError::TooLong { max });
    }
    for (at, character) in text.char_indices() {
        let plain = character.is_ascii_alphanumeric() || character == '_';
        if !(plain || (at > 0 && (matches!(character, '.' | '-') || also(character)))) {
            return Err(NameError::Character { character });
        }
    }
    Ok(())
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// A public key's fingerprint as OpenSSH prints it: `SHA256:` and unpadded base64.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Computes the fingerprint of a public key in its wire form (RFC 4253 §6.6).
    #[must_use]
    pub fn of_blob(public_key_blob: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, public_key_blob);
        let text = data_encoding::BASE64_NOPAD.encode(digest.as_ref());
        Self(format!("SHA256:{text}"))
    }

    /// Takes a fingerprint that is already in OpenSSH's form, or nothing when it is not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix("SHA256:")?;
        let digest = data_encoding::BASE64_NOPAD.decode(encoded.trim_end_matches('=').as_bytes()).ok()?;
        (digest.len() == 32).then(|| Self(format!("SHA256:{}", data_encoding::BASE64_NOPAD.encode(&digest))))
    }

    /// The fingerprint as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a certificate said about its holder, for the audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateFacts {
    /// The key id that the CA wrote into it.
    pub key_id: String,
    /// The serial number that the CA gave it.
    pub serial: u64,
    /// The CA that signed it.
    pub ca: Fingerprint,
}

/// How an identity was proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum AuthMethod {
    /// A public key of the users file.
    PublicKey {
        /// The key that signed.
        fingerprint: Fingerprint,
        /// Its algorithm, as SSH names it.
        algorithm: String,
    },
    /// An OpenSSH user certificate from a trusted CA.
    Certificate {
        /// The certified key that signed.
        fingerprint: Fingerprint,
        /// Its algorithm, as SSH names it.
        algorithm: String,
        /// What the certificate says.
        certificate: CertificateFacts,
    },
}

impl AuthMethod {
    /// The name that policies and audit readers see: `publickey` or `certificate`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PublicKey { .. } => "publickey",
            Self::Certificate { .. } => "certificate",
        }
    }

    /// The fingerprint of the key that signed.
    #[must_use]
    pub fn fingerprint(&self) -> &Fingerprint {
        match self {
            Self::PublicKey { fingerprint, .. } | Self::Certificate { fingerprint, .. } => fingerprint,
        }
    }
}

/// A user plus how they proved it and from where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// The user of local policy.
    pub user: UserName,
    /// The groups the user is in, sorted.
    pub groups: Vec<String>,
    /// How the user proved it.
    pub auth: AuthMethod,
    /// The address the client came from.
    pub client_addr: IpAddr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_bounded() {
        assert!(UserName::parse("alice").is_ok());
        assert!(UserName::parse("_svc.deploy-2").is_ok());
        assert_eq!(UserName::parse(""), Err(NameError::Empty));
        assert_eq!(UserName::parse("../../etc"), Err(NameError::Character { character: '.' }));
        assert_eq!(UserName::parse(&"a".repeat(10_000_000)), Err(NameError::TooLong { max: 64 }));
        assert_eq!(UserName::parse("a\nb"), Err(NameError::Character { character: '\n' }));
    }

    #[test]
    fn a_fingerprint_reads_what_openssh_prints() {
        let ours = Fingerprint::of_blob(b"");
        assert_eq!(ours.as_str(), "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU");
        assert_eq!(Fingerprint::parse(ours.as_str()), Some(ours));
        assert_eq!(Fingerprint::parse("MD5:aa:bb"), None);
    }
}
