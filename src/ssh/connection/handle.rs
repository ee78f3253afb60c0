//! The handle through which a connection is used.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::auth::AuthRequest;
use super::super::channel::{Channel, ChannelState, OpenRefused, PACKET_DATA_MAX, Phase, WINDOW_START};
use super::super::error::{CloseReason, Closed};
use super::super::numbers;
use super::super::wire::{Put, message};
use super::events::{ChannelKind, ChannelOpen, ConnectionEvent, Event, GlobalRequest};
use super::{Inner, Shared, Stage};

/// An open connection. Dropping it ends the connection and every channel on it.
#[derive(Debug)]
pub struct Connection {
    pub(in crate::ssh) shared: Arc<Shared>,
}

impl Connection {
    /// The next thing that happens outside the channels.
    ///
    /// # Errors
    /// When the connection is over; the error says why.
    pub async fn next(&self) -> Result<ConnectionEvent, Closed> {
        let event = self.shared.wait_for(|inner| inner.events.pop_front()).await?;
        let shared = Arc::clone(&self.shared);
        Ok(match event {
            Event::Open { id, kind } => ConnectionEvent::Open(ChannelOpen { kind, shared, id: Some(id) }),
            Event::Global { name, payload, ticket } => {
                ConnectionEvent::Global(GlobalRequest { name, payload, shared, ticket })
            }
        })
    }

    /// Opens a channel towards the peer.
    ///
    /// # Errors
    /// When the connection is over, or the peer refuses.
    pub async fn open(&self, kind: &ChannelKind) -> Result<Channel, OpenError> {
        open(&self.shared, kind).await
    }

    /// A handle for somebody who opens channels on this connection, and does not keep it alive.
    #[must_use]
    pub fn opener(&self) -> Opener {
        Opener(Arc::downgrade(&self.shared))
    }

    /// Asks the peer something as a whole and waits for yes or no. Bounded: one question at a time.
    ///
    /// # Errors
    /// When the connection ends before the answer.
    pub async fn ask(&self, name: &str, payload: &[u8]) -> Result<bool, Closed> {
        Ok(self.ask_for(name, payload).await?.is_some())
    }

    /// As [`Self::ask`]; a yes comes with the fields that belong to it.
    ///
    /// # Errors
    /// When the connection ends before the answer.
    pub async fn ask_for(&self, name: &str, payload: &[u8]) -> Result<Option<Bytes>, Closed> {
        let answer = self.shared.lock().ask(name, payload);
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.closed().await),
        }
    }

    /// Renews the keys soon.
    pub fn rekey(&self) {
        let mut inner = self.shared.lock();
        if let Err(error) = inner.transport.start_exchange() {
            inner.finish(error.into());
        }
        inner.wake_driver();
    }

    /// Waits until the connection is over and says why.
    pub async fn closed(&self) -> Closed {
        let never: Result<std::convert::Infallible, Closed> = self.shared.wait_for(|_| None).await;
        match never {
            Ok(never) => match never {},
            Err(closed) => closed,
        }
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().is_closed()
    }

    /// Says goodbye with a sentence that clients show, and closes once it is on its way.
    pub fn disconnect(&self, sentence: &str) {
        self.shared.lock().disconnect(numbers::disconnect::BY_APPLICATION, sentence);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.closing = true;
        inner.wake_driver();
    }
}

/// Opens channels on a connection that somebody else holds. The default is of no connection, and opens nothing.
#[derive(Debug, Clone, Default)]
pub struct Opener(Weak<Shared>);

impl Opener {
    /// Opens a channel towards the peer.
    ///
    /// # Errors
    /// When the connection is over, or the peer refuses.
    pub async fn open(&self, kind: &ChannelKind) -> Result<Channel, OpenError> {
        match self.0.upgrade() {
            Some(shared) => open(&shared, kind).await,
            None => Err(OpenError::Closed(Closed(Arc::new(CloseReason::Local)))),
        }
    }

    /// Says goodbye with a sentence that clients show, and closes once it is on its way.
    pub fn disconnect(&self, sentence: &str) {
        if let Some(shared) = self.0.upgrade() {
            shared.lock().disconnect(numbers::disconnect::BY_APPLICATION, sentence);
        }
    }

    /// Sends a message that asks for nothing (RFC 4253 §11.2), for a peer that waits for the answer to an
    /// earlier question and takes silence for death.
    pub fn sign_of_life(&self) {
        if let Some(shared) = self.0.upgrade() {
            shared.lock().send(message(numbers::IGNORE).string(&[]), &[]);
        }
    }
}

async fn open(shared: &Arc<Shared>, kind: &ChannelKind) -> Result<Channel, OpenError> {
    let id = {
        let mut inner = shared.lock();
        let id = inner.fresh_channel_id();
        inner.channels.insert(id, ChannelState::new(Phase::Opening));
        let mut out = message(numbers::CHANNEL_OPEN);
        out.string(kind.name().as_bytes()).uint32(id).uint32(WINDOW_START).uint32(PACKET_DATA_MAX);
        kind.write(&mut out);
        inner.send(&out, &[]);
        id
    };
    let channel = Channel::new(Arc::clone(shared), id);
    let answer = shared.wait_for(|inner| match inner.channels.get(&id).map(|c| &c.phase) {
        Some(Phase::Asked | Phase::Opening) => None,
        Some(Phase::Open) => Some(Ok(())),
        Some(Phase::Refused(why)) => Some(Err(why.clone())),
        None => Some(Err(OpenRefused { code: 0, text: "the channel is gone".to_owned() })),
    });
    answer.await?.map_err(OpenError::Refused)?;
    Ok(channel)
}

impl Inner {
    pub(in crate::ssh) fn ask(&mut self, name: &str, payload: &[u8]) -> oneshot::Receiver<Option<Bytes>> {
        let (reply, answer) = oneshot::channel();
        if self.is_closed() || self.closing {
            return answer;
        }
        self.global_asked.push_back(reply);
        let mut out = message(numbers::GLOBAL_REQUEST);
        out.string(name.as_bytes()).boolean(true);
        self.send(&out, payload);
        answer
    }
}

/// Why a channel could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The peer refused.
    #[error(transparent)]
    Refused(OpenRefused),
    /// The connection is over.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A stage's requests, for the server's and the client's own files.
impl Inner {
    pub(in crate::ssh) fn next_auth_request(&mut self) -> Option<AuthRequest> {
        match &mut self.stage {
            Stage::ServerAuth(auth) => auth.next(),
            Stage::Exchange | Stage::ClientAuth(_) | Stage::Open => None,
        }
    }
}
