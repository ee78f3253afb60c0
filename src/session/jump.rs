//! `ssh -J bastion login@target`: an SSH server of our own at the other end of the jump, so that policy and
//! audit see the session. It lets the already authenticated guest in and takes the login from the name.

use std::sync::Arc;

use super::Services;
use super::entrance::Guest;
use super::resolve;
use super::sentences;
use super::story::Story;
use super::visit::{Errand, Visit};
use crate::audit::Way;
use crate::domain::Target;
use crate::ssh::{
    self, AuthAttempt, ChannelOpen, ChannelStream, Closed, Connection, HostCertificate, Proof, RefusalCode,
    ServerConfig, ServerIdentity, Unauthenticated,
};

/// The port people mean when they name none.
const SSH_PORT: u32 = 22;

/// Serves one jump until it is over.
pub(super) async fn serve(
    services: Arc<Services>,
    story: Story,
    guest: Arc<Guest>,
    open: ChannelOpen,
    host: String,
    port: u32,
) {
    let target = match resolve::resolve(&services, &story, &guest, &host, Way::Jump).await {
        Ok(target) => target,
        Err(sentence) => return open.refuse(RefusalCode::AdministrativelyProhibited, &sentence),
    };
    if port != SSH_PORT && port != u32::from(target.port) {
        let sentence = sentences::wrong_port(&target, port);
        return open.refuse(RefusalCode::AdministrativelyProhibited, &sentence);
    }
    let config = match inner_config(&services, &host, &target) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "the certificate of an inner server could not be made");
            return open.refuse(RefusalCode::ConnectFailed, sentences::INVENTORY_UNAVAILABLE);
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
    match resolve::login(&services, &guest, &target, Some(&login)) {
        Ok(login) => {
            let visit = Visit::new(&services, Errand { story, guest, target, login, way: Way::Jump });
            visit.serve(&connection).await;
        }
        Err(sentence) => connection.disconnect(&sentence),
    }
}

/// A certificate for every name the client may check: what was typed, and what the machine is called.
fn inner_config(services: &Services, host: &str, target: &Target) -> Result<ServerConfig, ssh::HostKeyError> {
    let mut names = vec![host.to_owned()];
    names.extend(target.name.clone());
    names.push(target.id.to_string());
    names.push(target.private_ip.to_string());
    names.extend(target.private_dns.clone());
    names.retain(|name| !name.is_empty() && !name.contains([',', ' ', '*', '?', '!']));
    names.dedup();
    let usual = services.host_ca.certify(&services.host_key, &names, services.clock.now())?;
    let certificate = HostCertificate { usual, before_openssh_10_3: None };
    Ok(ServerConfig {
        identity: ServerIdentity { key: Arc::clone(&services.host_key), certificate: Some(certificate) },
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
