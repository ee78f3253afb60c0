//! OpenSSH certificates (PROTOCOL.certkeys): reading one. What it is good for depends on whose it is, and is judged
//! where that is known.

use super::wire::{Reader, WireError};
use super::{KeyKind, PublicKey, SignatureError, algorithm_of, verify};

/// The most principals that a certificate may have, as in OpenSSH.
const PRINCIPALS_MAX: usize = 256;

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CertificateType {
    /// It lets a user in.
    User,
    /// It vouches for a host.
    Host,
}

/// A well-formed certificate; nothing in it has been believed.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    pub(crate) key: PublicKey<'a>,
    pub(crate) serial: u64,
    /// Nothing when it is neither a user's nor a host's.
    pub(crate) certificate_type: Option<CertificateType>,
    pub(crate) key_id: &'a [u8],
    pub(crate) principals: Vec<&'a str>,
    /// In seconds since 1970.
    pub(crate) valid_after: u64,
    /// In seconds since 1970; the first one in which it does not hold.
    pub(crate) valid_before: u64,
    pub(crate) critical_options: Vec<(&'a str, &'a [u8])>,
    pub(crate) extensions: Vec<(&'a str, &'a [u8])>,
    pub(crate) ca_blob: &'a [u8],
    /// Everything that the CA signed: the blob up to the signature.
    signed: &'a [u8],
    ca_signature: &'a [u8],
}

impl CertificateType {
    fn of(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::User),
            2 => Some(Self::Host),
            _ => None,
        }
    }
}

impl<'a> Certificate<'a> {
    /// Reads a certificate's blob.
    pub(crate) fn parse(blob: &'a [u8]) -> Result<Self, SignatureError> {
        let mut reader = Reader::new(blob);
        let name = reader.text().map_err(malformed)?;
        let kind = KeyKind::from_certificate_name(name).ok_or(SignatureError::UnsupportedKey)?;
        reader.string().map_err(malformed)?; // the nonce
        let key = PublicKey::read_fields(kind, &mut reader)?;
        let certificate = Self::read_rest(key, blob, reader).map_err(malformed)?;
        if certificate.principals.len() > PRINCIPALS_MAX || has_duplicates(&certificate.critical_options) {
            return Err(SignatureError::MalformedKey);
        }
        Ok(certificate)
    }

    fn read_rest(key: PublicKey<'a>, blob: &'a [u8], mut reader: Reader<'a>) -> Result<Self, WireError> {
        let serial = reader.u64()?;
        let certificate_type = CertificateType::of(reader.u32()?);
        let key_id = reader.string()?;
        let principals = read_principals(reader.string()?)?;
        let valid_after = reader.u64()?;
        let valid_before = reader.u64()?;
        let critical_options = read_options(reader.string()?)?;
        let extensions = read_options(reader.string()?)?;
        reader.string()?; // reserved
        let ca_blob = reader.string()?;
        let signed_length = blob.len() - reader.rest().len();
        let signed = Reader::new(blob).take(signed_length)?;
        let ca_signature = reader.string()?;
        reader.finish()?;
        Ok(Self {
            key,
            serial,
            certificate_type,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical_options,
            extensions,
            ca_blob,
            signed,
            ca_signature,
        })
    }

    /// Verifies the CA's signature, whether or not the CA is trusted. The CA's key must be a plain key and as strong
    /// as a user's.
    pub(crate) fn verify_signature(&self) -> Result<(), SignatureError> {
        PublicKey::parse(self.ca_blob)?;
        let algorithm = algorithm_of(self.ca_signature).ok_or(SignatureError::MalformedSignature)?;
        // What a security key says beyond that the signature is valid is of no use here.
        verify(self.ca_blob, algorithm, self.signed, self.ca_signature).map(|_verified| ())
    }
}

fn malformed(_: WireError) -> SignatureError {
    SignatureError::MalformedKey
}

fn read_principals(data: &[u8]) -> Result<Vec<&str>, WireError> {
    let mut reader = Reader::new(data);
    let mut principals = Vec::new();
    while !reader.is_empty() {
        principals.push(reader.text()?);
    }
    Ok(principals)
}

/// Pairs of name and data; the data of an option with a value holds that value as a `string`.
fn read_options(data: &[u8]) -> Result<Vec<(&str, &[u8])>, WireError> {
    let mut reader = Reader::new(data);
    let mut options = Vec::new();
    while !reader.is_empty() {
        options.push((reader.text()?, reader.string()?));
    }
    Ok(options)
}

/// Each critical option may appear once (PROTOCOL.certkeys, "Critical options").
fn has_duplicates(options: &[(&str, &[u8])]) -> bool {
    let mut names: Vec<&str> = options.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.windows(2).any(|pair| pair.first() == pair.last())
}
