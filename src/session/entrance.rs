//! Accepted → [`Guest`]: who is it?
//!
//! Every refusal looks the same outside, in words and in time; the audit has the true reason.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::story::{Story, Unrecorded};
use super::{Peer, Services, sentences};
use crate::audit::{AuthProof, CertificateProof, Event, SshUser, Text};
use crate::auth::{Accepted, AuthFailure, Extensions, KeyAttempt, certificate_claims, parse_public_key};
use crate::domain::Identity;
use crate::ssh::{AuthAttempt, AuthRequest, Closed, Connection, Proof, Unauthenticated};

/// A refused signature is answered this long after it came, whatever was wrong with it.
const REFUSAL_AFTER: Duration = Duration::from_millis(20);
/// Requests of any kind on one connection, those that cost nothing included: the question which methods
/// there are, and whether a key would do. Agents with many keys ask many.
const REQUESTS_MAX: u32 = 64;

/// An authenticated client.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) identity: Arc<Identity>,
    pub(super) extensions: Extensions,
    /// The key or certificate of that login, in wire form; its algorithm is in the identity.
    pub(super) key_blob: Vec<u8>,
    /// The user name of the outer SSH login, as it came.
    pub(super) ssh_user: String,
    pub(super) peer: Peer,
    /// Their access was withdrawn, and the connection ends: whatever goes on without a permit of its own says goodbye.
    pub(super) withdrawn: CancellationToken,
}

impl Guest {
    /// The identity with the groups of this moment.
    ///
    /// # Errors
    /// When the user, their key or its CA is gone or revoked since they logged in, or another's.
    pub(super) fn as_of_now(&self, services: &Services) -> Result<Arc<Identity>, AuthFailure> {
        let refreshed = services.directory.current().refresh(&self.identity, &self.key_blob);
        refreshed.map(Arc::new).inspect_err(|why| {
            tracing::warn!(user = %self.identity.user, %why, "access was withdrawn since the login");
        })
    }
}

/// Puts on record that a guest's access is gone, whatever they asked for; answers what they are told.
pub(super) async fn withdrawn(story: &Story, requested: &str) -> String {
    let (requested, reason) = (Text::from(requested), Text::from("access-withdrawn"));
    // It does not happen in any case.
    let _on_record = story.tell(Event::ChannelRefused { requested, reason }).await;
    sentences::WITHDRAWN.to_owned()
}

/// Why nobody was let in.
#[derive(Debug)]
pub(super) enum NotLetIn {
    Closed(Closed),
    TooManyAttempts,
    /// Somebody from elsewhere has their place.
    MadeWay,
    Unrecorded,
}

impl From<Closed> for NotLetIn {
    fn from(closed: Closed) -> Self {
        Self::Closed(closed)
    }
}

impl From<Unrecorded> for NotLetIn {
    fn from(_: Unrecorded) -> Self {
        Self::Unrecorded
    }
}

/// Authenticates the client, who makes way when told to. Bound it with the login grace time.
pub(super) async fn authenticate(
    services: &Services,
    story: &Story,
    peer: Peer,
    client: Unauthenticated,
    displaced: &CancellationToken,
) -> Result<(Guest, Connection), NotLetIn> {
    let (mut failures, mut requests) = (0, 0);
    loop {
        let request = tokio::select! {
            biased;
            request = client.next() => request?,
            () = displaced.cancelled() => {
                client.disconnect(sentences::MADE_WAY);
                return Err(NotLetIn::MadeWay);
            }
        };
        let answer_at = Instant::now() + REFUSAL_AFTER;
        requests += 1;
        if requests > REQUESTS_MAX {
            client.disconnect(sentences::TOO_MANY_ATTEMPTS);
            return Err(NotLetIn::TooManyAttempts);
        }
        let Some((algorithm, key_blob, proof)) = key_of(&request) else {
            if let AuthAttempt::Other(method) = &request.attempt {
                story.tell(not_offered(&request, method)).await?;
            }
            client.refuse();
            continue;
        };
        let attempt = KeyAttempt {
            ssh_user: &request.user,
            algorithm,
            key_blob,
            client_addr: peer.client.ip().to_canonical(),
            sk_flags: match proof {
                Proof::Valid { sk_flags } => sk_flags,
                Proof::Asked | Proof::Invalid => None,
            },
        };
        match judge(services, &attempt, proof) {
            Verdict::WouldDo => client.key_would_do(algorithm, key_blob),
            Verdict::LetIn(accepted) => {
                story.record(succeeded(&request, &accepted)).await?;
                let identity = Arc::new(accepted.identity);
                let key_blob = key_blob.to_vec();
                let extensions = accepted.extensions;
                let (ssh_user, withdrawn) = (request.user, CancellationToken::new());
                let guest = Guest { identity, extensions, key_blob, ssh_user, peer, withdrawn };
                return Ok((guest, client.succeed()));
            }
            Verdict::Refused { label, detail } => {
                story.tell(failed(&attempt, label, detail)).await?;
                // A key that is only asked about costs nothing; signing with a wrong one does.
                failures += u32::from(proof != Proof::Asked);
                if failures >= services.settings.auth_attempts_max {
                    client.disconnect(sentences::TOO_MANY_ATTEMPTS);
                    return Err(NotLetIn::TooManyAttempts);
                }
                sleep_until(answer_at).await;
                client.refuse();
            }
        }
    }
}

fn key_of(request: &AuthRequest) -> Option<(&str, &[u8], Proof)> {
    match &request.attempt {
        AuthAttempt::PublicKey { algorithm, key_blob, proof } => Some((algorithm, key_blob, *proof)),
        AuthAttempt::None | AuthAttempt::Other(_) => None,
    }
}

enum Verdict {
    WouldDo,
    LetIn(Accepted),
    Refused { label: &'static str, detail: String },
}

fn judge(services: &Services, attempt: &KeyAttempt<'_>, proof: Proof) -> Verdict {
    let directory = services.directory.current();
    let now = services.clock.now();
    let judged = match proof {
        Proof::Asked => directory.query(attempt, now).map(|()| Verdict::WouldDo),
        Proof::Valid { .. } => directory.authenticate(attempt, now).map(Verdict::LetIn),
        Proof::Invalid => {
            let detail = "the signature does not verify with the key that was named".to_owned();
            return Verdict::Refused { label: "bad-signature", detail };
        }
    };
    judged.unwrap_or_else(|why| Verdict::Refused { label: why.label(), detail: why.to_string() })
}

fn succeeded(request: &AuthRequest, accepted: &Accepted) -> Event {
    Event::AuthenticationSucceeded {
        ssh_user: SshUser::from(request.user.as_str()),
        user: accepted.identity.user.clone(),
        groups: accepted.identity.groups.clone(),
        proof: AuthProof::from(&accepted.identity.auth),
    }
}

fn not_offered(request: &AuthRequest, method: &str) -> Event {
    Event::AuthenticationFailed {
        ssh_user: SshUser::from(request.user.as_str()),
        method: Text::from(method),
        algorithm: None,
        fingerprint: None,
        certificate: None,
        reason: Text::from("method-not-offered"),
        detail: Text::from("only public keys and certificates let anyone in"),
    }
}

fn failed(attempt: &KeyAttempt<'_>, label: &'static str, detail: String) -> Event {
    let key = parse_public_key(attempt.algorithm, attempt.key_blob).ok();
    let certificate = key.as_ref().is_some_and(|key| key.certificate);
    Event::AuthenticationFailed {
        ssh_user: SshUser::from(attempt.ssh_user),
        method: Text::from(if certificate { "certificate" } else { "publickey" }),
        algorithm: Some(Text::from(attempt.algorithm)),
        fingerprint: key.map(|key| key.fingerprint),
        certificate: claimed(attempt.key_blob).filter(|_| certificate),
        reason: Text::from(label),
        detail: Text::from(detail),
    }
}

/// What a certificate says of itself, believed or not.
fn claimed(key_blob: &[u8]) -> Option<CertificateProof> {
    certificate_claims(key_blob).as_ref().map(CertificateProof::from)
}
