//! OpenSSH user certificates (PROTOCOL.certkeys): reading one, and judging all of it that does not
//! depend on who its holder is.

use std::net::IpAddr;

use jiff::Timestamp;

use super::address::source_address_allows;
use super::failure::AuthFailure;
use crate::domain::{ActionKind, CertificateFacts, Fingerprint};
use crate::signature::wire::{Reader, WireError};
use crate::signature::{KeyKind, PublicKey, algorithm_of, verify};

/// The type of certificate that lets a user in.
const TYPE_USER: u32 = 1;
/// The most principals that a certificate may have, as in OpenSSH.
const PRINCIPALS_MAX: usize = 256;
/// How much of a critical option's name is reported, in characters.
const OPTION_NAME_MAX: usize = 64;

/// What a certificate lets its holder do; a plain key lets everything be decided by policy alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions {
    /// `permit-pty`: may have a terminal.
    pub permit_pty: bool,
    /// `permit-port-forwarding`: may forward, either way.
    pub permit_port_forwarding: bool,
    /// `permit-agent-forwarding`: may forward the agent.
    pub permit_agent_forwarding: bool,
    /// `permit-X11-forwarding`: may forward X11.
    pub permit_x11_forwarding: bool,
    /// `no-touch-required`: the security key need not be touched.
    pub(crate) no_touch_required: bool,
}

impl Extensions {
    /// What holds for somebody who came with a plain key.
    pub(crate) const WITHOUT_CERTIFICATE: Self = Self {
        permit_pty: true,
        permit_port_forwarding: true,
        permit_agent_forwarding: true,
        permit_x11_forwarding: true,
        no_touch_required: false,
    };

    /// Whether the certificate, where there is one, lets this be done at all.
    pub(crate) fn permit(self, kind: ActionKind) -> bool {
        match kind {
            ActionKind::Shell
            | ActionKind::Exec
            | ActionKind::Sftp
            | ActionKind::Subsystem
            | ActionKind::Tunnel
            | ActionKind::Watch
            | ActionKind::Kill
            | ActionKind::Diagnose
            | ActionKind::Audit => true,
            ActionKind::LocalForward
            | ActionKind::RemoteForward
            | ActionKind::LocalSocket
            | ActionKind::RemoteSocket
            | ActionKind::Connect => self.permit_port_forwarding,
            ActionKind::Agent => self.permit_agent_forwarding,
            ActionKind::X11 => self.permit_x11_forwarding,
        }
    }
}

/// What a certificate says of itself, for the audit of attempts that come to nothing: none of it is believed.
/// Nothing when it is no certificate, or malformed.
#[must_use]
pub fn certificate_claims(blob: &[u8]) -> Option<CertificateFacts> {
    let certificate = Certificate::parse(blob).ok()?;
    Some(CertificateFacts {
        key_id: String::from_utf8_lossy(certificate.key_id).into_owned(),
        serial: certificate.serial,
        ca: Fingerprint::of_blob(certificate.ca_blob),
    })
}

/// A well-formed certificate; nothing in it has been believed.
#[derive(Debug)]
pub(crate) struct Certificate<'a> {
    pub(crate) key: PublicKey<'a>,
    pub(crate) serial: u64,
    certificate_type: u32,
    pub(crate) key_id: &'a [u8],
    pub(crate) principals: Vec<&'a str>,
    valid_after: u64,
    valid_before: u64,
    critical_options: Vec<(&'a str, &'a [u8])>,
    extensions: Vec<(&'a str, &'a [u8])>,
    pub(crate) ca_blob: &'a [u8],
    /// Everything that the CA signed: the blob up to the signature.
    signed: &'a [u8],
    ca_signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads a certificate's blob.
    pub(crate) fn parse(blob: &'a [u8]) -> Result<Self, AuthFailure> {
        let mut reader = Reader::new(blob);
        let name = reader.text().map_err(malformed)?;
        let kind = KeyKind::from_certificate_name(name).ok_or(AuthFailure::UnsupportedAlgorithm)?;
        reader.string().map_err(malformed)?; // the nonce
        let key = PublicKey::read_fields(kind, &mut reader)?;
        let certificate = Self::read_rest(key, blob, reader).map_err(malformed)?;
        if certificate.principals.len() > PRINCIPALS_MAX || has_duplicates(&certificate.critical_options) {
            return Err(AuthFailure::Malformed);
        }
        Ok(certificate)
    }

    fn read_rest(key: PublicKey<'a>, blob: &'a [u8], mut reader: Reader<'a>) -> Result<Self, WireError> {
        let serial = reader.u64()?;
        let certificate_type = reader.u32()?;
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

    /// Verifies the CA's signature, whether or not the CA is trusted. The CA's key must be a plain
    /// key and as strong as a user's.
    pub(crate) fn verify_ca_signature(&self) -> Result<(), AuthFailure> {
        PublicKey::parse(self.ca_blob)?;
        let algorithm = algorithm_of(self.ca_signature).ok_or(AuthFailure::CaSignature)?;
        match verify(self.ca_blob, algorithm, self.signed, self.ca_signature) {
            Ok(_) => Ok(()),
            Err(_) => Err(AuthFailure::CaSignature),
        }
    }

    /// Whether it is a user's, and within its window.
    pub(crate) fn check_type_and_window(&self, now: Timestamp) -> Result<(), AuthFailure> {
        if self.certificate_type != TYPE_USER {
            return Err(AuthFailure::WrongCertificateType);
        }
        let now = u64::try_from(now.as_second()).unwrap_or(0);
        if now < self.valid_after {
            return Err(AuthFailure::CertificateNotYetValid);
        }
        if now >= self.valid_before {
            return Err(AuthFailure::CertificateExpired);
        }
        Ok(())
    }

    /// Enforces every critical option, or refuses. Says whether `verify-required` is among them.
    pub(crate) fn check_critical_options(&self, client_addr: IpAddr) -> Result<bool, AuthFailure> {
        let mut verify_required = false;
        for (name, data) in &self.critical_options {
            match *name {
                "source-address" => check_source_address(data, client_addr)?,
                "verify-required" if data.is_empty() => verify_required = true,
                "verify-required" => return Err(AuthFailure::Malformed),
                other => {
                    let name = other.chars().take(OPTION_NAME_MAX).collect();
                    return Err(AuthFailure::CriticalOption(name));
                }
            }
        }
        Ok(verify_required)
    }

    /// The extensions; unknown ones are meant to be passed over.
    pub(crate) fn extensions(&self) -> Extensions {
        let has = |wanted: &str| self.extensions.iter().any(|(name, _)| *name == wanted);
        Extensions {
            permit_pty: has("permit-pty"),
            permit_port_forwarding: has("permit-port-forwarding"),
            permit_agent_forwarding: has("permit-agent-forwarding"),
            permit_x11_forwarding: has("permit-X11-forwarding"),
            no_touch_required: has("no-touch-required"),
        }
    }
}

fn malformed(_: WireError) -> AuthFailure {
    AuthFailure::Malformed
}

fn check_source_address(data: &[u8], client_addr: IpAddr) -> Result<(), AuthFailure> {
    let mut reader = Reader::new(data);
    let list = reader.text().map_err(malformed)?;
    reader.finish().map_err(malformed)?;
    match source_address_allows(list, client_addr) {
        Some(true) => Ok(()),
        Some(false) => Err(AuthFailure::SourceAddress),
        None => Err(AuthFailure::Malformed),
    }
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
