//! `ssh -J bastion login@target`: an SSH server of our own at the other end of the jump, so that policy and
//! audit see the session. It lets the already authenticated guest in and takes the login from the name. Where policy
//! wants it, the jump is passed through and there is no such server.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::entrance::Guest;
use super::passthrough::{self, Plan};
use super::story::Story;
use super::visit::{Errand, Visit};
use super::{Services, program, resolve, sentences};
use crate::audit::Way;
use crate::domain::Target;
use crate::ssh::{
    self, AuthAttempt, ChannelKind, ChannelOpen, ChannelStream, Closed, Connection, ConnectionEvent,
    HostCertificate, Proof, RefusalCode, ServerConfig, ServerIdentity, Unauthenticated,
};

/// A certificate without any name would be for every name; this one is for none that is in use.
const NOBODY: &str = "name.invalid";

/// A client that opens no channel for so long (`ssh -N`) will never be answered, and so has to be told otherwise that it
/// may not go where it wants to. Scripts that log in first and ask later ask sooner than this.
pub(super) const ASKS_NOTHING: Duration = Duration::from_secs(5);

/// Serves one jump to a target that the guest may enter, until it is over.
pub(super) async fn serve(
    services: Arc<Services>,
    story: Story,
    guest: Arc<Guest>,
    open: ChannelOpen,
    host: String,
    target: Arc<Target>,
) {
    let open = match passthrough::plan(&services, &guest, &target) {
        Plan::Visit => open,
        Plan::Tell(sentence) => return turn_away(&services, open, &host, Some(&target), &sentence).await,
        Plan::Tunnel(login) => {
            let wanted = passthrough::Wanted { story: &story, guest: &guest, target: &target, login };
            let passing = Box::pin(passthrough::serve(&services, wanted, open));
            let Err((open, sentence)) = passing.await else { return };
            return turn_away(&services, open, &host, Some(&target), &sentence).await;
        }
    };
    let Some((login, connection)) = enter(&services, open, &host, Some(&target)).await else { return };
    match resolve::login(&services, &guest, &target, Some(&login)) {
        Ok(login) => {
            let client = connection.opener();
            let found_at = services.clock.now();
            let errand = Errand { story, guest, target, login, way: Way::Jump, client, found_at };
            Visit::new(&services, errand).serve(&connection).await;
        }
        Err(sentence) => say_goodbye(&services, &connection, &sentence).await,
    }
}

/// An SSH server that says why not.
///
/// A refused channel would leave the user with "stdio forwarding failed" and, at `LogLevel ERROR`, without the reason.
pub(super) async fn turn_away(
    services: &Services,
    open: ChannelOpen,
    host: &str,
    target: Option<&Target>,
    sentence: &str,
) {
    if let Some((_, connection)) = enter(services, open, host, target).await {
        say_goodbye(services, &connection, sentence).await;
    }
}

/// The inner key exchange and login; nothing where it does not come to that.
async fn enter(
    services: &Services,
    open: ChannelOpen,
    host: &str,
    target: Option<&Target>,
) -> Option<(String, Connection)> {
    let config = match inner_config(services, host, target) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "the certificate of an inner server could not be made");
            open.refuse(RefusalCode::ConnectFailed, sentences::OUT_OF_ORDER);
            return None;
        }
    };
    let stream = ChannelStream::new(Arc::new(open.accept()));
    let entered = async {
        let inner = ssh::accept(stream, &config).await?;
        let_in(inner).await
    };
    let grace = services.settings.handshake_timeout + services.settings.login_grace;
    match tokio::time::timeout(grace, entered).await {
        Ok(Ok(entered)) => return Some(entered),
        Ok(Err(closed)) => tracing::debug!(%closed, "a jump ended before its login"),
        Err(_) => tracing::debug!("a jump took too long to log in"),
    }
    None
}

async fn say_goodbye(services: &Services, connection: &Connection, sentence: &str) {
    tokio::select! {
        () = answer_all(services, connection, sentence) => {}
        () = services.tasks.token().cancelled() => connection.disconnect(sentences::SHUTTING_DOWN),
    }
}

/// Answers everything with the same sentence, and says it as a goodbye where no channel is opened.
async fn answer_all(services: &Services, connection: &Connection, sentence: &str) {
    let mut nothing_opened = pin!(tokio::time::sleep(ASKS_NOTHING));
    let mut opened = false;
    loop {
        let event = tokio::select! {
            event = connection.next() => event,
            () = &mut nothing_opened, if !opened => return connection.disconnect(sentence),
        };
        let Ok(event) = event else { return };
        opened |= matches!(event, ConnectionEvent::Open(_));
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
