//! Public keys in their wire form (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4, OpenSSH
//! PROTOCOL.u2f and PROTOCOL.certkeys): which kind, how strong, and the bytes that verify.

use super::wire::Reader;
use super::{RSA_BITS_MAX, RSA_BITS_MIN, SignatureError};

/// The kinds of key that drawbridge knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// `ssh-ed25519`.
    Ed25519,
    /// `ecdsa-sha2-nistp256`.
    EcdsaP256,
    /// `ecdsa-sha2-nistp384`.
    EcdsaP384,
    /// `ecdsa-sha2-nistp521`.
    EcdsaP521,
    /// `ssh-rsa` (the key; its signatures are `rsa-sha2-256` or `rsa-sha2-512`).
    Rsa,
    /// `sk-ssh-ed25519@openssh.com`, on a FIDO token.
    SkEd25519,
    /// `sk-ecdsa-sha2-nistp256@openssh.com`, on a FIDO token.
    SkEcdsaP256,
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa,
        Self::SkEd25519,
        Self::SkEcdsaP256,
    ];

    /// The name at the start of a plain key's blob.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521",
            Self::Rsa => "ssh-rsa",
            Self::SkEd25519 => "sk-ssh-ed25519@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// The name at the start of a certificate's blob.
    #[must_use]
    pub fn certificate_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh-ed25519-cert-v01@openssh.com",
            Self::EcdsaP256 => "ecdsa-sha2-nistp256-cert-v01@openssh.com",
            Self::EcdsaP384 => "ecdsa-sha2-nistp384-cert-v01@openssh.com",
            Self::EcdsaP521 => "ecdsa-sha2-nistp521-cert-v01@openssh.com",
            Self::Rsa => "ssh-rsa-cert-v01@openssh.com",
            Self::SkEd25519 => "sk-ssh-ed25519-cert-v01@openssh.com",
            Self::SkEcdsaP256 => "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
        }
    }

    /// The kind of a plain key's blob by the name at its start.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind of the key in a certificate's blob by the name at its start.
    #[must_use]
    pub fn from_certificate_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.certificate_name() == name)
    }

    /// Whether the key lives on a FIDO token, so that its signatures carry flags and a counter.
    #[must_use]
    pub fn is_security_key(self) -> bool {
        match self {
            Self::SkEd25519 | Self::SkEcdsaP256 => true,
            Self::Ed25519 | Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521 | Self::Rsa => false,
        }
    }

    /// The curve's name in the blob and the length of an uncompressed point, for ECDSA kinds.
    fn curve(self) -> Option<(&'static str, usize)> {
        match self {
            Self::EcdsaP256 | Self::SkEcdsaP256 => Some(("nistp256", 65)),
            Self::EcdsaP384 => Some(("nistp384", 97)),
            Self::EcdsaP521 => Some(("nistp521", 133)),
            Self::Ed25519 | Self::Rsa | Self::SkEd25519 => None,
        }
    }
}

/// The key itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Material<'a> {
    /// An encoded curve point: 32 bytes for Ed25519, uncompressed for ECDSA.
    Point(&'a [u8]),
    /// An RSA modulus and exponent, big-endian without leading zeros.
    Rsa { modulus: &'a [u8], exponent: &'a [u8] },
}

/// A well-formed public key of a kind and strength that drawbridge accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey<'a> {
    kind: KeyKind,
    pub(crate) material: Material<'a>,
    /// The FIDO application (`ssh:…`), for security keys.
    pub(crate) application: Option<&'a [u8]>,
}

impl<'a> PublicKey<'a> {
    /// Reads a plain key's blob; nothing may follow it.
    ///
    /// # Errors
    /// When it is malformed, of an unknown kind, or too weak.
    pub fn parse(key_blob: &'a [u8]) -> Result<Self, SignatureError> {
        let mut reader = Reader::new(key_blob);
        let name = reader.text().map_err(|_| SignatureError::MalformedKey)?;
        let kind = KeyKind::from_name(name).ok_or(SignatureError::UnsupportedKey)?;
        let key = Self::read_fields(kind, &mut reader)?;
        reader.finish().map_err(|_| SignatureError::MalformedKey)?;
        Ok(key)
    }

    /// Reads a plain key's blob, or the key that a certificate's blob certifies. The certificate
    /// is not judged.
    ///
    /// # Errors
    /// As [`PublicKey::parse`].
    pub fn parse_plain_or_certified(blob: &'a [u8]) -> Result<Self, SignatureError> {
        let mut reader = Reader::new(blob);
        let name = reader.text().map_err(|_| SignatureError::MalformedKey)?;
        let Some(kind) = KeyKind::from_certificate_name(name) else {
            return Self::parse(blob);
        };
        reader.string().map_err(|_| SignatureError::MalformedKey)?; // the nonce
        Self::read_fields(kind, &mut reader)
    }

    /// Reads the fields that follow the name (and, in a certificate, the nonce).
    ///
    /// # Errors
    /// As [`PublicKey::parse`].
    pub(crate) fn read_fields(kind: KeyKind, reader: &mut Reader<'a>) -> Result<Self, SignatureError> {
        let material = match kind {
            KeyKind::Rsa => read_rsa(reader)?,
            KeyKind::Ed25519 | KeyKind::SkEd25519 => read_point(reader, 32)?,
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 | KeyKind::SkEcdsaP256 => {
                read_ecdsa(kind, reader)?
            }
        };
        let application = if kind.is_security_key() {
            Some(reader.string().map_err(|_| SignatureError::MalformedKey)?)
        } else {
            None
        };
        Ok(Self { kind, material, application })
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Its strength as `ssh-keygen -l` prints it, in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match (self.kind, self.material) {
            (_, Material::Rsa { modulus, .. }) => bit_length(modulus),
            (KeyKind::EcdsaP384, Material::Point(_)) => 384,
            (KeyKind::EcdsaP521, Material::Point(_)) => 521,
            (
                KeyKind::Ed25519
                | KeyKind::SkEd25519
                | KeyKind::EcdsaP256
                | KeyKind::SkEcdsaP256
                | KeyKind::Rsa,
                Material::Point(_),
            ) => 256,
        }
    }

    /// The key as a plain blob, which is what fingerprints and comparisons are about.
    #[must_use]
    pub fn to_blob(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        put_string(&mut blob, self.kind.name().as_bytes());
        if let Some((curve, _)) = self.kind.curve() {
            put_string(&mut blob, curve.as_bytes());
        }
        match self.material {
            Material::Point(point) => put_string(&mut blob, point),
            Material::Rsa { modulus, exponent } => {
                put_mpint(&mut blob, exponent);
                put_mpint(&mut blob, modulus);
            }
        }
        if let Some(application) = self.application {
            put_string(&mut blob, application);
        }
        blob
    }
}

fn read_point<'a>(reader: &mut Reader<'a>, length: usize) -> Result<Material<'a>, SignatureError> {
    let point = reader.string().map_err(|_| SignatureError::MalformedKey)?;
    if point.len() == length { Ok(Material::Point(point)) } else { Err(SignatureError::MalformedKey) }
}

fn read_ecdsa<'a>(kind: KeyKind, reader: &mut Reader<'a>) -> Result<Material<'a>, SignatureError> {
    let (curve, length) = kind.curve().ok_or(SignatureError::UnsupportedKey)?;
    let named = reader.string().map_err(|_| SignatureError::MalformedKey)?;
    if named != curve.as_bytes() {
        return Err(SignatureError::MalformedKey);
    }
    match read_point(reader, length)? {
        // RFC 5656 §3.1 lets points be compressed; OpenSSH does not, and two forms of one key
        // would be two fingerprints.
        Material::Point(point) if point.first() == Some(&4) => Ok(Material::Point(point)),
        Material::Point(_) | Material::Rsa { .. } => Err(SignatureError::MalformedKey),
    }
}

fn read_rsa<'a>(reader: &mut Reader<'a>) -> Result<Material<'a>, SignatureError> {
    let exponent = reader.canonical_mpint().map_err(|_| SignatureError::MalformedKey)?;
    let modulus = reader.canonical_mpint().map_err(|_| SignatureError::MalformedKey)?;
    let bits = bit_length(modulus);
    if bits < RSA_BITS_MIN {
        return Err(SignatureError::WeakKey { bits });
    }
    let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
    // A huge exponent makes verification slow, and 1 makes every signature valid.
    let exponent_is_sane = exponent.len() <= 4 && odd(exponent) && exponent != [1];
    if bits > RSA_BITS_MAX || !exponent_is_sane || !odd(modulus) {
        return Err(SignatureError::UnsupportedKey);
    }
    Ok(Material::Rsa { modulus, exponent })
}

fn bit_length(magnitude: &[u8]) -> usize {
    let leading = magnitude.first().map_or(0, |first| first.leading_zeros());
    (magnitude.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0))
}

/// Appends an SSH `string`. Everything written here was read from a bounded blob.
pub(crate) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(bytes);
}

fn put_mpint(out: &mut Vec<u8>, magnitude: &[u8]) {
    if magnitude.first().is_some_and(|first| first & 0x80 != 0) {
        let mut padded = Vec::with_capacity(magnitude.len() + 1);
        padded.push(0);
        padded.extend_from_slice(magnitude);
        put_string(out, &padded);
    } else {
        put_string(out, magnitude);
    }
}
