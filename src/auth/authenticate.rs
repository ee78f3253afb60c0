//! From an attempt to an identity, or to the one reason why not.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::attempt::{Accepted, KeyAttempt, PublicKeyInfo, parse_public_key};
use super::authorized_key::{Restrictions, Role};
use super::certificate::Extensions;
use super::directory::{Directory, User};
use super::failure::AuthFailure;
use crate::domain::{AuthMethod, CertificateFacts, Fingerprint, Identity};
use crate::signature::{Certificate, KeyKind, SK_FLAG_USER_PRESENT, SK_FLAG_USER_VERIFIED};

/// Whether the client has proved that it holds the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// It only asks whether the key would do.
    Query,
    /// The engine verified its signature.
    Signed,
}

/// One way in that a key or certificate opens, before restrictions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant<'d> {
    pub(super) user: &'d Arc<User>,
    /// Those of the line that grants; none for a CA that is trusted for all.
    pub(super) restrictions: Option<&'d Restrictions>,
}

impl Directory {
    /// Judges a request whose signature the engine has verified.
    ///
    /// # Errors
    /// The true reason, for the audit. The client is told the same in every case.
    pub fn authenticate(&self, attempt: &KeyAttempt<'_>, now: Timestamp) -> Result<Accepted, AuthFailure> {
        self.judge(attempt, now, Proof::Signed)
    }

    /// Judges a request without signature by the same rules, except for what only a signature says, and without the
    /// SSH user name: whoever only asks has proved nothing, and a public key is no secret. Were a name that is another
    /// user's refused here, anybody who knows one key could find out which names there are.
    ///
    /// # Errors
    /// As [`Directory::authenticate`].
    pub fn query(&self, attempt: &KeyAttempt<'_>, now: Timestamp) -> Result<(), AuthFailure> {
        self.judge(attempt, now, Proof::Query).map(|_| ())
    }

    fn judge(&self, attempt: &KeyAttempt<'_>, now: Timestamp, proof: Proof) -> Result<Accepted, AuthFailure> {
        let info = parse_public_key(attempt.algorithm, attempt.key_blob)?;
        if info.certificate {
            self.judge_certificate(attempt, &info, now, proof)
        } else {
            self.judge_key(attempt, info, now, proof)
        }
    }

    fn judge_key(
        &self,
        attempt: &KeyAttempt<'_>,
        info: PublicKeyInfo,
        now: Timestamp,
        proof: Proof,
    ) -> Result<Accepted, AuthFailure> {
        let revoked = self.revocations.revoke_key(attempt.key_blob);
        let entries = self.login_keys.get(attempt.key_blob).map(Vec::as_slice).unwrap_or_default();
        let grants: Vec<Grant<'_>> = entries
            .iter()
            .map(|entry| Grant { user: &entry.user, restrictions: Some(&entry.key.restrictions) })
            .collect();
        if revoked {
            return Err(AuthFailure::Revoked);
        }
        let whose = self.choose_user(attempt.ssh_user, &grants, AuthFailure::UnknownKey, proof)?;
        let token = Token { kind: info.kind, flags: attempt.sk_flags, proof };
        let user = first_open(&grants, whose, |grant| {
            let restrictions = grant.restrictions.ok_or(AuthFailure::UnknownKey)?;
            check_restrictions(restrictions, attempt.client_addr, now)?;
            token.check(!restrictions.no_touch_required, restrictions.verify_required)
        })?;
        let auth =
            AuthMethod::PublicKey { fingerprint: info.fingerprint, algorithm: attempt.algorithm.to_owned() };
        Ok(accept(user, auth, attempt.client_addr, Extensions::WITHOUT_CERTIFICATE))
    }

    fn judge_certificate(
        &self,
        attempt: &KeyAttempt<'_>,
        info: &PublicKeyInfo,
        now: Timestamp,
        proof: Proof,
    ) -> Result<Accepted, AuthFailure> {
        let certificate = Certificate::parse(attempt.key_blob)?;
        // The one costly step is taken for every certificate that can be read, so that the time
        // taken does not tell which of the reasons below it was.
        let signature = certificate.verify_ca_signature();
        if !self.knows_ca(certificate.ca_blob) {
            return Err(AuthFailure::UntrustedCa);
        }
        signature?;
        if self.is_revoked(&certificate) {
            return Err(AuthFailure::Revoked);
        }
        certificate.check_type_and_window(now)?;
        let grants = self.certificate_grants(&certificate);
        let whose = self.choose_user(attempt.ssh_user, &grants, AuthFailure::Principals, proof)?;
        let verify_required = certificate.check_critical_options(attempt.client_addr)?;
        let extensions = certificate.extensions();
        let token = Token { kind: info.kind, flags: attempt.sk_flags, proof };
        let user = first_open(&grants, whose, |grant| {
            let line = grant.restrictions;
            line.map_or(Ok(()), |line| check_restrictions(line, attempt.client_addr, now))?;
            // As in OpenSSH, line and certificate must agree to do without a touch, and either may
            // ask for the PIN.
            let untouched = extensions.no_touch_required && line.is_none_or(|line| line.no_touch_required);
            token.check(!untouched, verify_required || line.is_some_and(|line| line.verify_required))
        })?;
        let auth = AuthMethod::Certificate {
            fingerprint: info.fingerprint.clone(),
            algorithm: attempt.algorithm.to_owned(),
            certificate: facts(&certificate),
        };
        Ok(accept(user, auth, attempt.client_addr, extensions))
    }

    pub(super) fn knows_ca(&self, ca_blob: &[u8]) -> bool {
        self.trusted_cas.contains(ca_blob) || self.user_cas.contains_key(ca_blob)
    }

    /// By its own key, by its CA's key, or by serial or key id.
    pub(super) fn is_revoked(&self, certificate: &Certificate<'_>) -> bool {
        let (ca, serial, key_id) = (certificate.ca_blob, certificate.serial, certificate.key_id);
        self.revocations.revoke_key(&certificate.key.to_blob())
            || self.revocations.revoke_key(ca)
            || self.revocations.revoke_certificate(ca, serial, key_id)
    }

    pub(super) fn certificate_grants<'d>(&'d self, certificate: &Certificate<'_>) -> Vec<Grant<'d>> {
        let principals = certificate.principals.as_slice();
        let mut grants = Vec::new();
        if self.trusted_cas.contains(certificate.ca_blob) {
            let users = self.users_with_principal(principals).into_iter();
            grants.extend(users.map(|user| Grant { user, restrictions: None }));
        }
        for entry in self.user_cas.get(certificate.ca_blob).into_iter().flatten() {
            let Role::CertAuthority { principals: wanted } = &entry.key.role else { continue };
            let named = match wanted {
                Some(wanted) => wanted.iter().any(|wanted| principals.contains(&wanted.as_str())),
                None => self.is_principal_of(&entry.user, principals),
            };
            if named {
                grants.push(Grant { user: &entry.user, restrictions: Some(&entry.key.restrictions) });
            }
        }
        grants
    }

    /// The one user whom the grants are for: the named one where the name is a user's, else the
    /// only one there is. A name that is nobody's (a client's local login, a target) says nothing. Whoever only asks
    /// may be any of them.
    fn choose_user<'d>(
        &'d self,
        ssh_user: &str,
        grants: &[Grant<'d>],
        none: AuthFailure,
        proof: Proof,
    ) -> Result<Whose<'d>, AuthFailure> {
        let first = grants.first().ok_or(none)?.user;
        if proof == Proof::Query {
            return Ok(Whose::Anybodys);
        }
        if let Some(named) = self.user_named(ssh_user) {
            let granted = grants.iter().any(|grant| grant.user.name == named.name);
            return if granted { Ok(Whose::Of(named)) } else { Err(AuthFailure::WrongUser) };
        }
        let only = grants.iter().all(|grant| grant.user.name == first.name);
        if only { Ok(Whose::Of(first)) } else { Err(AuthFailure::AmbiguousUser) }
    }
}

/// Whose grants count.
#[derive(Debug, Clone, Copy)]
enum Whose<'d> {
    Of(&'d User),
    Anybodys,
}

impl Whose<'_> {
    fn take_in(self, grant: &Grant<'_>) -> bool {
        match self {
            Self::Of(user) => grant.user.name == user.name,
            Self::Anybodys => true,
        }
    }
}

/// The user of the first grant that stands the check, else the first one's reason.
fn first_open<'d>(
    grants: &[Grant<'d>],
    whose: Whose<'_>,
    check: impl Fn(&Grant<'_>) -> Result<(), AuthFailure>,
) -> Result<&'d User, AuthFailure> {
    let mut reason = AuthFailure::UnknownKey;
    for grant in grants.iter().filter(|grant| whose.take_in(grant)).rev() {
        match check(grant) {
            Ok(()) => return Ok(grant.user),
            Err(failure) => reason = failure,
        }
    }
    Err(reason)
}

fn check_restrictions(line: &Restrictions, client_addr: IpAddr, now: Timestamp) -> Result<(), AuthFailure> {
    // OpenSSH lets the whole second of the expiry pass.
    if line.expiry.is_some_and(|expiry| expiry.as_second() < now.as_second()) {
        return Err(AuthFailure::KeyExpired);
    }
    match &line.from {
        Some(from) if !from.allow(client_addr) => Err(AuthFailure::SourceAddress),
        Some(_) | None => Ok(()),
    }
}

/// What a signature says about the FIDO token that made it, if one did.
#[derive(Debug, Clone, Copy)]
struct Token {
    kind: KeyKind,
    flags: Option<u8>,
    proof: Proof,
}

impl Token {
    fn check(self, touch_required: bool, verify_required: bool) -> Result<(), AuthFailure> {
        if !self.kind.is_security_key() {
            return if verify_required { Err(AuthFailure::VerificationMissing) } else { Ok(()) };
        }
        if self.proof == Proof::Query {
            return Ok(());
        }
        let flags = self.flags.unwrap_or(0);
        if touch_required && flags & SK_FLAG_USER_PRESENT == 0 {
            return Err(AuthFailure::TouchMissing);
        }
        if verify_required && flags & SK_FLAG_USER_VERIFIED == 0 {
            return Err(AuthFailure::VerificationMissing);
        }
        Ok(())
    }
}

fn facts(certificate: &Certificate<'_>) -> CertificateFacts {
    CertificateFacts {
        key_id: String::from_utf8_lossy(certificate.key_id).into_owned(),
        serial: certificate.serial,
        ca: Fingerprint::of_blob(certificate.ca_blob),
    }
}

fn accept(user: &User, auth: AuthMethod, client_addr: IpAddr, extensions: Extensions) -> Accepted {
    let identity = Identity { user: user.name.clone(), groups: user.groups.clone(), auth, client_addr };
    Accepted { identity, extensions }
}
