//! The client's end: from a stream to a target's sshd to an open connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::algorithms::Role;
use super::auth::{ClientAuthError, Signer, signed_request};
use super::connection::{Connection, Limits, Shared, Stage};
use super::driver::{Stream, drive};
use super::error::Closed;
use super::offer::Lists;
use super::transport::{Heard, Negotiated, RekeyPolicy, Setup, Transport};

/// How we present ourselves to targets.
#[derive(Debug, Clone, Default)]
pub struct ClientConfig {
    /// The kind of host key we know of this target, such as `ssh-ed25519`, to be asked for first.
    pub known_host_key: Option<String>,
    /// Whether to ask for a host certificate before a plain key.
    pub host_certificates: bool,
    /// Ciphers to offer, best first; empty for the usual ones.
    pub ciphers: Vec<String>,
    /// Key exchanges to offer, best first; empty for the usual ones.
    pub kex: Vec<String>,
    /// Whether to offer, last, what only very old servers need: SHA-1 and finite-field Diffie-Hellman.
    pub legacy: bool,
    /// When keys are renewed.
    pub rekey: RekeyPolicy,
    /// What a target may make us remember.
    pub limits: Limits,
}

/// A server that has proved possession of its host key. Nobody has said yet that it is the right one.
#[derive(Debug)]
pub struct Unverified {
    connection: Connection,
}

/// Keys were not exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoExchange {
    /// What the server had said by then.
    pub heard: Heard,
    /// How the connection ended; nothing where it was the time that was over.
    pub closed: Option<Closed>,
}

/// Exchanges keys with a server. Bound it with a deadline: a server that stalls stalls this.
///
/// # Errors
/// When the server leaves, is not SSH, or has nothing in common with us.
pub async fn connect<S: Stream>(stream: S, config: &ClientConfig) -> Result<Unverified, Closed> {
    let connection = begin(stream, config)?;
    connection.shared.wait_for(|inner| inner.past_exchange().then_some(())).await?;
    Ok(Unverified { connection })
}

/// As [`connect`], within so much time; tells what the server said where that was not enough.
///
/// # Errors
/// When the server leaves, is not SSH, has nothing in common with us, or is not done in time.
pub async fn connect_within<S: Stream>(
    stream: S,
    config: &ClientConfig,
    patience: Duration,
) -> Result<Unverified, NoExchange> {
    let connection =
        begin(stream, config).map_err(|closed| NoExchange { heard: Heard::Nothing, closed: Some(closed) })?;
    let exchange = connection.shared.wait_for(|inner| inner.past_exchange().then_some(()));
    let closed = match tokio::time::timeout(patience, exchange).await {
        Ok(Ok(())) => return Ok(Unverified { connection }),
        Ok(Err(closed)) => Some(closed),
        Err(_too_slow) => None,
    };
    let heard = connection.shared.lock().transport.heard();
    Err(NoExchange { heard, closed })
}

fn begin<S: Stream>(stream: S, config: &ClientConfig) -> Result<Connection, Closed> {
    let transport = Transport::new(Setup {
        role: Role::Client,
        ident: super::server::IDENT.to_owned(),
        identity: None,
        offer: Lists::for_target(config),
        rekey: config.rekey,
    })
    .map_err(|reason| Closed(Arc::new(reason)))?;
    let shared = Shared::new(transport, config.limits);
    tokio::spawn(drive(Arc::clone(&shared), stream));
    Ok(Connection { shared })
}

impl Unverified {
    /// The host key, in wire form, whose possession the server proved; a host certificate for it where one was asked
    /// for and shown. Nothing in a certificate has been believed.
    #[must_use]
    pub fn host_key(&self) -> Bytes {
        self.connection.shared.lock().transport.peer_host_key().cloned().unwrap_or_default()
    }

    /// What the server calls itself, such as `SSH-2.0-OpenSSH_9.2`.
    #[must_use]
    pub fn server_ident(&self) -> String {
        self.connection.shared.lock().transport.peer_ident().unwrap_or_default().to_owned()
    }

    #[cfg(test)]
    pub(super) fn dangerous_inner(&self) -> &Shared {
        &self.connection.shared
    }

    /// Sends a message, whatever the state.
    #[cfg(test)]
    pub(crate) fn dangerous_say(&self, message: &[u8]) {
        self.connection.shared.lock().send(message, &[]);
    }

    /// Asks to be let in by a method that drawbridge never uses.
    #[cfg(test)]
    pub(crate) fn dangerous_ask(&self, user: &str, method: &str) {
        use super::numbers::USERAUTH_REQUEST;
        use super::wire::{Put, message};
        let mut inner = self.connection.shared.lock();
        if let Stage::ClientAuth(auth) = &mut inner.stage {
            auth.asked = true;
        }
        let mut out = message(USERAUTH_REQUEST);
        out.string(user.as_bytes()).string(b"ssh-connection").string(method.as_bytes());
        inner.send(&out, &[]);
    }

    /// What was agreed on.
    #[must_use]
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.connection.shared.lock().transport.negotiated().cloned()
    }

    /// The caller has verified the host key: logs in with exactly one key, signed at once.
    ///
    /// # Errors
    /// When the server does not accept the key, or the connection ends.
    pub async fn authenticate(
        self,
        login: &str,
        key: &(dyn Signer + Sync),
    ) -> Result<Connection, ClientAuthError> {
        {
            let mut inner = self.connection.shared.lock();
            if let Stage::ClientAuth(auth) = &mut inner.stage {
                auth.asked = true;
            }
            let request = signed_request(inner.transport.session_id(), login, key);
            inner.send(&request, &[]);
        }
        let answer = self.connection.shared.wait_for(|inner| match &inner.stage {
            Stage::Open => Some(Ok(())),
            Stage::ClientAuth(auth) => auth.refused.clone().map(Err),
            Stage::Exchange | Stage::ServerAuth(_) => None,
        });
        match answer.await? {
            Ok(()) => Ok(self.connection),
            Err(offers) => Err(ClientAuthError::Refused { offers }),
        }
    }
}
