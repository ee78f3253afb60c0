//! The server's end: from an accepted stream to an open connection.

use std::sync::Arc;

use super::algorithms::Role;
use super::auth::AuthRequest;
use super::connection::{Connection, Limits, Shared};
use super::driver::{Stream, drive};
use super::error::{CloseReason, Closed};
use super::numbers;
use super::offer::{Lists, Offer};
use super::packet::PacketWriter;
use super::transport::{Negotiated, RekeyPolicy, ServerIdentity, Setup, Transport};
use super::wire::{Put, message};

/// How we present ourselves to clients.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// What we prove ourselves with.
    pub identity: ServerIdentity,
    /// The algorithms that clients may choose from.
    pub offer: Offer,
    /// When keys are renewed.
    pub rekey: RekeyPolicy,
    /// What a client may make us remember.
    pub limits: Limits,
}

/// The line we open with (RFC 4253 §4.2). OpenSSH sends `eow@openssh.com` ("my reader has left") only to
/// names that begin with its own; without it `ssh HOST yes | head -1` never ends. No version: it would only
/// help who looks for old ones.
pub(super) const IDENT: &str = "SSH-2.0-OpenSSH_compatible drawbridge";

/// What a server says that has no place for a client: its identification, and a goodbye in the clear (RFC 4253
/// §11.1), which clients show. There is no secret in it, and nothing is kept for it.
#[must_use]
pub fn goodbye_in_the_clear(sentence: &str) -> Vec<u8> {
    let mut writer = PacketWriter::new();
    writer.put_raw(IDENT.as_bytes());
    writer.put_raw(b"\r\n");
    let mut out = message(numbers::DISCONNECT);
    out.uint32(numbers::disconnect::TOO_MANY_CONNECTIONS).string(sentence.as_bytes()).string(b"");
    if let Err(error) = writer.put(&out, &[]) {
        tracing::debug!(%error, "the goodbye could not be written");
    }
    writer.pending().to_vec()
}

/// A client that has exchanged keys with us and has yet to say who it is.
#[derive(Debug)]
pub struct Unauthenticated {
    connection: Connection,
}

/// Exchanges keys with a client. Bound it with a deadline: a client that stalls stalls this.
///
/// # Errors
/// When the client leaves, is not SSH, or has nothing in common with us.
pub async fn accept<S: Stream>(stream: S, config: &ServerConfig) -> Result<Unauthenticated, Closed> {
    let transport = Transport::new(Setup {
        role: Role::Server,
        ident: IDENT.to_owned(),
        offer: Lists::for_client(config.offer, &config.identity),
        identity: Some(config.identity.clone()),
        rekey: config.rekey,
    })
    .map_err(|reason: CloseReason| Closed(Arc::new(reason)))?;
    let shared = Shared::new(transport, config.limits);
    tokio::spawn(drive(Arc::clone(&shared), stream));
    let connection = Connection { shared };
    connection.shared.wait_for(|inner| inner.past_exchange().then_some(())).await?;
    Ok(Unauthenticated { connection })
}

impl Unauthenticated {
    #[cfg(test)]
    pub(super) fn dangerous_inner(&self) -> &Shared {
        &self.connection.shared
    }

    /// The next attempt of the client to authenticate. Each is to be answered before the next is asked for.
    ///
    /// # Errors
    /// When the client leaves or breaks the protocol.
    pub async fn next(&self) -> Result<AuthRequest, Closed> {
        self.connection.shared.wait_for(super::connection::Inner::next_auth_request).await
    }

    /// Tells the client that this key would do, if it can prove possession (SSH_MSG_USERAUTH_PK_OK).
    pub fn key_would_do(&self, algorithm: &str, key_blob: &[u8]) {
        let mut out = message(numbers::USERAUTH_PK_OK);
        out.string(algorithm.as_bytes()).string(key_blob);
        self.connection.shared.lock().send(&out, &[]);
    }

    /// Refuses the attempt; only public keys are ever worth another.
    pub fn refuse(&self) {
        let mut out = message(numbers::USERAUTH_FAILURE);
        out.name_list(&["publickey"]).boolean(false);
        self.connection.shared.lock().send(&out, &[]);
    }

    /// Shows the client a text before it is let in (RFC 4252 §5.4).
    pub fn banner(&self, text: &str) {
        let mut out = message(numbers::USERAUTH_BANNER);
        out.string(text.as_bytes()).string(b"en");
        self.connection.shared.lock().send(&out, &[]);
    }

    /// Ends the connection: too many attempts, or the time is up.
    pub fn disconnect(self, sentence: &str) {
        self.connection.shared.lock().disconnect(numbers::disconnect::NO_MORE_AUTH_METHODS, sentence);
    }

    /// Lets the client in.
    #[must_use]
    pub fn succeed(self) -> Connection {
        self.connection.shared.lock().auth_succeed();
        self.connection
    }

    /// What the client calls itself, such as `SSH-2.0-OpenSSH_9.2`.
    #[must_use]
    pub fn client_ident(&self) -> String {
        self.connection.shared.lock().transport.peer_ident().unwrap_or_default().to_owned()
    }

    /// What was agreed on.
    #[must_use]
    pub fn negotiated(&self) -> Option<Negotiated> {
        self.connection.shared.lock().transport.negotiated().cloned()
    }
}
