//! Whether somebody who is in would still be known, after the files changed.

use super::authorized_key::{AuthorizedKey, Role};
use super::directory::{Directory, User};
use super::failure::AuthFailure;
use crate::domain::{AuthMethod, CertificateFacts, Fingerprint, Identity};

impl Directory {
    /// The identity as it is by these files: with the user's present groups, so that policy can be
    /// asked again for live sessions.
    ///
    /// Windows are about logging in: neither a passed `expiry-time` nor a certificate that has
    /// expired since refuses here, which is what `@max_session` is for. Not known any more are a
    /// certificate's principals (an alias taken from the user is not noticed), and the key itself
    /// where a KRL names a certified key by its SHA-1 only.
    ///
    /// # Errors
    /// When the user, their key or its CA is gone, something of it is revoked, or the client's
    /// address is not allowed any more.
    pub fn refresh(&self, identity: &Identity) -> Result<Identity, AuthFailure> {
        let user = self.user(&identity.user).ok_or(AuthFailure::UnknownKey)?;
        match &identity.auth {
            AuthMethod::PublicKey { fingerprint, .. } => self.refresh_key(user, fingerprint, identity)?,
            AuthMethod::Certificate { fingerprint, certificate, .. } => {
                self.refresh_certificate(user, fingerprint, certificate, identity)?;
            }
        }
        Ok(Identity { groups: user.groups.clone(), ..identity.clone() })
    }

    fn refresh_key(&self, user: &User, key: &Fingerprint, identity: &Identity) -> Result<(), AuthFailure> {
        let line = line_of(user, key, |role| *role == Role::Login).ok_or(AuthFailure::UnknownKey)?;
        if self.revocations.revoke_key(&line.key_blob) {
            return Err(AuthFailure::Revoked);
        }
        check_address(line, identity)
    }

    fn refresh_certificate(
        &self,
        user: &User,
        key: &Fingerprint,
        facts: &CertificateFacts,
        identity: &Identity,
    ) -> Result<(), AuthFailure> {
        let global = self.trusted_cas.iter().find(|ca| Fingerprint::of_blob(ca) == facts.ca);
        let line = line_of(user, &facts.ca, |role| *role != Role::Login);
        let ca_blob = global.or(line.map(|line| &line.key_blob)).ok_or(AuthFailure::UntrustedCa)?;
        let revoked = self.revocations.revoke_fingerprint(key)
            || self.revocations.revoke_key(ca_blob)
            || self.revocations.revoke_certificate(ca_blob, facts.serial, facts.key_id.as_bytes());
        match (revoked, global, line) {
            (true, _, _) => Err(AuthFailure::Revoked),
            (false, None, Some(line)) => check_address(line, identity),
            (false, _, _) => Ok(()),
        }
    }
}

fn line_of<'u>(user: &'u User, key: &Fingerprint, role: impl Fn(&Role) -> bool) -> Option<&'u AuthorizedKey> {
    user.keys.iter().map(AsRef::as_ref).find(|line| line.fingerprint == *key && role(&line.role))
}

fn check_address(line: &AuthorizedKey, identity: &Identity) -> Result<(), AuthFailure> {
    match &line.restrictions.from {
        Some(from) if !from.allow(identity.client_addr) => Err(AuthFailure::SourceAddress),
        Some(_) | None => Ok(()),
    }
}
