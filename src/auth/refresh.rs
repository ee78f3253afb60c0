//! Whether somebody who is in would still be known, after the files changed.

use super::authorized_key::{AuthorizedKey, Restrictions, Role};
use super::directory::{Directory, User};
use super::failure::AuthFailure;
use crate::domain::{AuthMethod, Fingerprint, Identity};
use crate::signature::Certificate;

impl Directory {
    /// The identity as it is by these files: with the user's present groups, so that policy can be
    /// asked again for live sessions. `key_blob` is the key or certificate of the login, in wire form.
    ///
    /// Windows are about logging in: neither a passed `expiry-time` nor a certificate that has
    /// expired since refuses here, which is what `@max_session` is for.
    ///
    /// # Errors
    /// When the user, their key or its CA is gone, something of it is revoked, no principal of the certificate
    /// is theirs any more, or the client's address is not allowed any more.
    pub fn refresh(&self, identity: &Identity, key_blob: &[u8]) -> Result<Identity, AuthFailure> {
        let user = self.user(&identity.user).ok_or(AuthFailure::UnknownKey)?;
        match &identity.auth {
            AuthMethod::PublicKey { fingerprint, .. } => self.refresh_key(user, fingerprint, identity)?,
            AuthMethod::Certificate { .. } => self.refresh_certificate(user, key_blob, identity)?,
        }
        Ok(Identity { groups: user.groups.clone(), ..identity.clone() })
    }

    fn refresh_key(&self, user: &User, key: &Fingerprint, identity: &Identity) -> Result<(), AuthFailure> {
        let line = line_of(user, key).ok_or(AuthFailure::UnknownKey)?;
        if self.revocations.revoke_key(&line.key_blob) {
            return Err(AuthFailure::Revoked);
        }
        check_address(Some(&line.restrictions), identity)
    }

    /// The same questions as at the login, but for the windows, and what only a login says.
    fn refresh_certificate(
        &self,
        user: &User,
        key_blob: &[u8],
        identity: &Identity,
    ) -> Result<(), AuthFailure> {
        let certificate = Certificate::parse(key_blob)?;
        if !self.knows_ca(certificate.ca_blob) {
            return Err(AuthFailure::UntrustedCa);
        }
        if self.is_revoked(&certificate) {
            return Err(AuthFailure::Revoked);
        }
        let mut reason = AuthFailure::Principals;
        for grant in self.certificate_grants(&certificate) {
            if grant.user.name != user.name {
                continue;
            }
            match check_address(grant.restrictions, identity) {
                Ok(()) => return Ok(()),
                Err(failure) => reason = failure,
            }
        }
        Err(reason)
    }
}

fn line_of<'u>(user: &'u User, key: &Fingerprint) -> Option<&'u AuthorizedKey> {
    user.keys.iter().map(AsRef::as_ref).find(|line| line.fingerprint == *key && line.role == Role::Login)
}

fn check_address(line: Option<&Restrictions>, identity: &Identity) -> Result<(), AuthFailure> {
    match line.and_then(|line| line.from.as_ref()) {
        Some(from) if !from.allow(identity.client_addr) => Err(AuthFailure::SourceAddress),
        Some(_) | None => Ok(()),
    }
}
