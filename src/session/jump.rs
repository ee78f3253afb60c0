//! `ssh -J bastion login@target`: an SSH server of our own at the other end of the jump, so that policy and
//! audit see the session. It lets the already authenticated guest in and takes the login from the name.

use std::sync::Arc;

use super::Services;
use super::entrance::Guest;
use super::program;
use super::resolve;
use super::sentences;
use super::story::Story;
use super::visit::{Errand, Visit};
use crate::audit::Way;
use crate::domain::Target;
use crate::ssh::{
    self, AuthAttempt, ChannelKind, ChannelOpen, ChannelStream, Closed, Connection, ConnectionEvent,
    HostCertificate, Proof, RefusalCode, ServerConfig, ServerIdentity, Unauthenticated,
};

/// A certificate without any name would be for every name; this one is for none that is in use.
const NOBODY: &str = "name.invalid";
/// The port people mean when they name none.
const SSH_PORT: u32 = 22;

/// Serves one jump until it is over.
///
/// Whoever may not go on still gets an SSH server, one that says why: a refused channel would leave the user
/// with "stdio forwarding failed" and, at `LogLevel ERROR`, without the reason.
pub(super) async fn serve(
    services: Arc<Services>,
    story: Story,
    guest: Arc<Guest>,
    open: ChannelOpen,
    host: String,
    port: u32,
) {
    let found = resolve::resolve(&services, &story, &guest, &host, Way::Jump).await;
    if !is_ssh(port, found.as_deref().ok()) {
        let sentence = found.map_or_else(|sentence| sentence, |target| sentences::wrong_port(&target, port));
        return open.refuse(RefusalCode::AdministrativelyProhibited, &sentence);
    }
    let config = match inner_config(&services, &host, found.as_deref().ok()) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "the certificate of an inner server could not be made");
            return open.refuse(RefusalCode::ConnectFailed, sentences::OUT_OF_ORDER);
        }
    };
    let stream = ChannelStream::new(Arc::new(open.accept()));
    let entered = async {
        let inner = ssh::accept(stream, &config).await?;
        let_in(inner).await
    };
    let grace = services.settings.handshake_timeout + services.settings.login_grace;
    let (login, connection) = match tokio::time::timeout(grace, entered).await {
        Ok(Ok(entered)) => entered,
        Ok(Err(closed)) => return tracing::debug!(%closed, "a jump ended before its login"),
        Err(_) => return tracing::debug!("a jump took too long to log in"),
    };
    let visit = found.and_then(|target| {
        let login = resolve::login(&services, &guest, &target, Some(&login))?;
        let client = connection.opener();
        Ok(Visit::new(&services, Errand { story, guest, target, login, way: Way::Jump, client }))
    });
    match visit {
        Ok(visit) => visit.serve(&connection).await,
        Err(sentence) => tokio::select! {
            () = turn_away(&services, &connection, &sentence) => {}
            () = services.tasks.token().cancelled() => connection.disconnect(sentences::SHUTTING_DOWN),
        },
    }
}

/// Whether the jump is to where SSH is spoken: the usual port, or the target's own.
fn is_ssh(port: u32, target: Option<&Target>) -> bool {
    port == SSH_PORT || target.is_some_and(|target| port == u32::from(target.port))
}

/// Answers everything with the same sentence.
async fn turn_away(services: &Services, connection: &Connection, sentence: &str) {
    while let Ok(event) = connection.next().await {
        match event {
            ConnectionEvent::Open(open) if open.kind == ChannelKind::Session => {
                program::turn_away(services, open.accept(), sentence).await;
            }
            ConnectionEvent::Open(open) => open.refuse(RefusalCode::AdministrativelyProhibited, sentence),
            ConnectionEvent::Global(request) => request.fail(),
        }
    }
}

/// A certificate for every name the client may check: what was typed, and what the machine is called.
fn inner_config(
    services: &Services,
    host: &str,
    target: Option<&Target>,
) -> Result<ServerConfig, ssh::HostKeyError> {
    let mut names = vec![host.to_owned()];
    if let Some(target) = target {
        names.extend(target.name.clone());
        names.push(target.id.to_string());
        names.push(target.private_ip.to_string());
        names.extend(target.private_dns.clone());
    }
    // Patterns would vouch for more than was asked for.
    names.retain(|name| !name.is_empty() && !name.contains(['*', '?', '!', ',']));
    names.dedup();
    if names.is_empty() {
        names.push(NOBODY.to_owned());
    }
    let usual = services.host_ca.certify(&services.host_key, &names, services.clock.now())?;
    Ok(ServerConfig {
        identity: ServerIdentity {
            key: Arc::clone(&services.host_key),
            certificate: Some(HostCertificate { usual, before_openssh_10_3: None }),
        },
        offer: services.settings.offer,
        rekey: services.settings.rekey,
        limits: services.settings.limits,
    })
}

/// The guest has proved who they are to the outer server: whatever they offer here will do, but a signature
/// that does not verify is still refused.
async fn let_in(inner: Unauthenticated) -> Result<(String, Connection), Closed> {
    loop {
        let request = inner.next().await?;
        match request.attempt {
            AuthAttempt::None | AuthAttempt::PublicKey { proof: Proof::Valid { .. }, .. } => {
                return Ok((request.user, inner.succeed()));
            }
            AuthAttempt::PublicKey { proof: Proof::Asked, algorithm, key_blob } => {
                inner.key_would_do(&algorithm, &key_blob);
            }
            AuthAttempt::PublicKey { proof: Proof::Invalid, .. } | AuthAttempt::Other(_) => inner.refuse(),
        }
    }
}
