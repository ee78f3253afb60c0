//! OpenSSH user certificates (PROTOCOL.certkeys): judging all of one that does not depend on who its holder is.

use std::net::IpAddr;

use jiff::Timestamp;

use super::address::source_address_allows;
use super::failure::AuthFailure;
use crate::domain::{ActionKind, CertificateFacts, Fingerprint};
use crate::signature::wire::{Reader, WireError};
use crate::signature::{Certificate, CertificateType, PublicKey};

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

impl Certificate<'_> {
    /// Verifies the CA's signature, whether or not the CA is trusted.
    pub(crate) fn verify_ca_signature(&self) -> Result<(), AuthFailure> {
        PublicKey::parse(self.ca_blob)?;
        self.verify_signature().map_err(|_| AuthFailure::CaSignature)
    }

    /// Whether it is a user's, and within its window.
    pub(crate) fn check_type_and_window(&self, now: Timestamp) -> Result<(), AuthFailure> {
        if self.certificate_type != Some(CertificateType::User) {
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
