//! Writes one connection's events, with its ids.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::Services;
use crate::audit::{AuditError, Entry, Event};
use crate::console::Ledger;
use crate::domain::{ConnectionId, SessionId};

/// The audit line could not be written; whatever it was about must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unrecorded;

/// Writes events with the ids they belong to.
#[derive(Debug, Clone)]
pub(super) struct Story {
    services: Arc<Services>,
    pub(super) connection: ConnectionId,
    pub(super) session: Option<SessionId>,
}

impl Story {
    pub(super) fn of_connection(services: &Arc<Services>, connection: ConnectionId) -> Self {
        Self { services: Arc::clone(services), connection, session: None }
    }

    pub(super) fn of_session(&self, session: SessionId) -> Self {
        Self { session: Some(session), ..self.clone() }
    }

    fn entry(&self, event: Event) -> Entry {
        match self.session {
            Some(session) => Entry::of_session(self.connection, session, event),
            None => Entry::of_connection(self.connection, event),
        }
    }

    /// Records what is about to happen; waits until it is durable, and with it every earlier line.
    pub(super) async fn record(&self, event: Event) -> Result<(), Unrecorded> {
        self.services.log.record(self.entry(event)).await.map_err(|error| complain(&error))
    }

    /// Records what has happened. Nothing waits for the disk; a later [`Self::record`] does.
    pub(super) async fn tell(&self, event: Event) -> Result<(), Unrecorded> {
        self.services.log.post(self.entry(event)).await.map(drop).map_err(|error| complain(&error))
    }
}

impl Ledger for Story {
    fn record<'a>(&'a self, event: Event) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move { Self::record(self, event).await.is_ok() })
    }
}

fn complain(error: &AuditError) -> Unrecorded {
    tracing::error!(%error, "an audit line could not be written; what it is about does not happen");
    Unrecorded
}
