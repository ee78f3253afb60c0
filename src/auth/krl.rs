//! OpenSSH's binary Key Revocation List (PROTOCOL.krl).
//!
//! Whatever the file says is honoured or the file is refused: a section of an unknown type, an
//! unknown critical extension or a signature (which nothing here could check) refuses it.

use thiserror::Error;

use super::revocation::RevokedKeys;
use crate::signature::wire::{Reader, WireError};

/// The eight bytes a KRL begins with.
pub(crate) const KRL_MAGIC: &[u8; 8] = b"SSHKRL\n\0";

const SECTION_CERTIFICATES: u8 = 1;
const SECTION_EXPLICIT_KEY: u8 = 2;
const SECTION_FINGERPRINT_SHA1: u8 = 3;
const SECTION_SIGNATURE: u8 = 4;
const SECTION_FINGERPRINT_SHA256: u8 = 5;
const SECTION_EXTENSION: u8 = 255;

const CERTIFICATES_SERIAL_LIST: u8 = 0x20;
const CERTIFICATES_SERIAL_RANGE: u8 = 0x21;
const CERTIFICATES_SERIAL_BITMAP: u8 = 0x22;
const CERTIFICATES_KEY_ID: u8 = 0x23;
const CERTIFICATES_EXTENSION: u8 = 0x39;

/// Why a file is not a KRL that can be honoured.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum KrlError {
    #[error("the KRL is damaged: {0}")]
    Wire(#[from] WireError),
    #[error("the KRL has format version {0}; only version 1 is known")]
    Version(u32),
    #[error("the KRL is damaged: a serial number or range is not possible")]
    Serial,
    #[error("the KRL is damaged: a fingerprint has the wrong length")]
    Fingerprint,
    #[error("the KRL has a section of the unknown type {0}")]
    UnknownSection(u8),
    #[error("the KRL has the critical extension {0:?}, which is not known here")]
    CriticalExtension(String),
    #[error("the KRL is signed, and signatures of KRLs cannot be checked here")]
    Signed,
}

/// A KRL as a set of keys and, per CA, certificates.
#[derive(Debug, Default)]
pub(crate) struct Krl {
    pub(super) keys: RevokedKeys,
    certificates: Vec<RevokedCertificates>,
}

/// The certificates of one CA that are revoked.
#[derive(Debug, Default)]
pub(super) struct RevokedCertificates {
    /// The CA's key blob; nothing stands for every CA.
    pub(super) ca: Option<Vec<u8>>,
    /// First and last serial.
    pub(super) serials: Vec<(u64, u64)>,
    pub(super) bitmaps: Vec<SerialBitmap>,
    pub(super) key_ids: std::collections::HashSet<Vec<u8>>,
}

/// Serials as the bits of a big-endian number, counted from `offset` at its last bit.
#[derive(Debug)]
pub(super) struct SerialBitmap {
    offset: u64,
    magnitude: Vec<u8>,
}

impl SerialBitmap {
    fn contains(&self, serial: u64) -> bool {
        let Some(bit) = serial.checked_sub(self.offset).and_then(|bit| usize::try_from(bit).ok()) else {
            return false;
        };
        self.magnitude.iter().rev().nth(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }
}

impl RevokedCertificates {
    /// Whether it names the certificate. Serial 0 means that the CA gave none, so it names nobody
    /// (as in OpenSSH's `krl.c`).
    pub(super) fn contains(&self, ca_blob: &[u8], serial: u64, key_id: &[u8]) -> bool {
        if self.ca.as_deref().is_some_and(|ca| ca != ca_blob) {
            return false;
        }
        let by_serial = || {
            self.serials.iter().any(|(first, last)| (*first..=*last).contains(&serial))
                || self.bitmaps.iter().any(|bitmap| bitmap.contains(serial))
        };
        self.key_ids.contains(key_id) || (serial != 0 && by_serial())
    }
}

impl Krl {
    /// Reads a whole file.
    ///
    /// # Errors
    /// When it is damaged or says something that cannot be honoured.
    pub(crate) fn parse(data: &[u8]) -> Result<Self, KrlError> {
        let mut reader = Reader::new(data);
        reader.take(KRL_MAGIC.len())?;
        let version = reader.u32()?;
        if version != 1 {
            return Err(KrlError::Version(version));
        }
        for _ in ["krl_version", "generated_date", "flags"] {
            reader.u64()?;
        }
        for _ in ["reserved", "comment"] {
            reader.string()?;
        }
        let mut krl = Self::default();
        while !reader.is_empty() {
            let section = reader.u8()?;
            krl.read_section(section, Reader::new(reader.string()?))?;
        }
        Ok(krl)
    }

    /// Whether it names the certificate.
    pub(crate) fn revokes_certificate(&self, ca_blob: &[u8], serial: u64, key_id: &[u8]) -> bool {
        self.certificates.iter().any(|section| section.contains(ca_blob, serial, key_id))
    }

    fn read_section(&mut self, section: u8, mut data: Reader<'_>) -> Result<(), KrlError> {
        match section {
            SECTION_CERTIFICATES => self.certificates.push(read_certificates(data)?),
            SECTION_EXPLICIT_KEY => {
                while !data.is_empty() {
                    self.keys.insert_blob(data.string()?);
                }
            }
            SECTION_FINGERPRINT_SHA1 => {
                while !data.is_empty() {
                    self.keys.insert_sha1(fingerprint(data.string()?)?);
                }
            }
            SECTION_FINGERPRINT_SHA256 => {
                while !data.is_empty() {
                    self.keys.insert_sha256(fingerprint(data.string()?)?);
                }
            }
            SECTION_SIGNATURE => return Err(KrlError::Signed),
            SECTION_EXTENSION => read_extension(data)?,
            other => return Err(KrlError::UnknownSection(other)),
        }
        Ok(())
    }
}

fn fingerprint<const N: usize>(bytes: &[u8]) -> Result<[u8; N], KrlError> {
    <[u8; N]>::try_from(bytes).map_err(|_| KrlError::Fingerprint)
}

fn read_certificates(mut data: Reader<'_>) -> Result<RevokedCertificates, KrlError> {
    let ca = data.string()?;
    data.string()?; // reserved
    let ca = (!ca.is_empty()).then(|| ca.to_vec());
    let mut revoked = RevokedCertificates { ca, ..RevokedCertificates::default() };
    while !data.is_empty() {
        let subsection = data.u8()?;
        read_certificates_subsection(&mut revoked, subsection, Reader::new(data.string()?))?;
    }
    Ok(revoked)
}

fn read_certificates_subsection(
    revoked: &mut RevokedCertificates,
    subsection: u8,
    mut data: Reader<'_>,
) -> Result<(), KrlError> {
    match subsection {
        CERTIFICATES_SERIAL_LIST => {
            while !data.is_empty() {
                let serial = data.u64()?;
                revoked.serials.push(serial_range(serial, serial)?);
            }
        }
        CERTIFICATES_SERIAL_RANGE => {
            revoked.serials.push(serial_range(data.u64()?, data.u64()?)?);
            data.finish()?;
        }
        CERTIFICATES_SERIAL_BITMAP => {
            let bitmap = SerialBitmap { offset: data.u64()?, magnitude: data.mpint()?.to_vec() };
            data.finish()?;
            revoked.bitmaps.push(bitmap);
        }
        CERTIFICATES_KEY_ID => {
            while !data.is_empty() {
                revoked.key_ids.insert(data.string()?.to_vec());
            }
        }
        CERTIFICATES_EXTENSION => read_extension(data)?,
        other => return Err(KrlError::UnknownSection(other)),
    }
    Ok(())
}

/// First and last serial of a range that can exist: serial 0 is "no serial".
pub(super) fn serial_range(first: u64, last: u64) -> Result<(u64, u64), KrlError> {
    if first == 0 || first > last { Err(KrlError::Serial) } else { Ok((first, last)) }
}

/// An extension that is not critical may be passed over (PROTOCOL.krl §5); the operator is told.
fn read_extension(mut data: Reader<'_>) -> Result<(), KrlError> {
    let name = String::from_utf8_lossy(data.string()?).chars().take(64).collect::<String>();
    let critical = data.u8()? != 0;
    data.string()?;
    data.finish()?;
    if critical {
        return Err(KrlError::CriticalExtension(name));
    }
    tracing::warn!(
        extension = name,
        "a KRL has an extension that is not known here and says it may be ignored"
    );
    Ok(())
}
