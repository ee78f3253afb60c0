//! What is open at this moment, and what its ending will not say again.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::audit::{Entry, Event, Way};
use crate::domain::{ActionKind, ChannelNumber, ConnectionId, RecordMode, SessionId};

/// Connections, sessions and their programs between their first and their last entry. As large as what is open:
/// the listener and the engine bound it.
#[derive(Debug, Default)]
pub(super) struct Open {
    connections: HashSet<ConnectionId>,
    sessions: HashMap<SessionId, OpenSession>,
}

#[derive(Debug)]
struct OpenSession {
    way: Way,
    channels: BTreeMap<ChannelNumber, OpenChannel>,
}

/// What runs on a channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenChannel {
    pub(super) action: ActionKind,
    pub(super) record: RecordMode,
}

impl Open {
    /// Takes note of a beginning.
    pub(super) fn begin(&mut self, entry: &Entry) {
        if let (Event::ConnectionOpened { .. }, Some(connection)) = (&entry.event, entry.connection) {
            self.connections.insert(connection);
        }
        let Some(session) = entry.session else { return };
        if let Event::SessionStarted { way, .. } = &entry.event {
            self.sessions.insert(session, OpenSession { way: *way, channels: BTreeMap::new() });
        }
        if let (Event::ChannelStarted { channel, action, record, .. }, Some(open)) =
            (&entry.event, self.sessions.get_mut(&session))
        {
            open.channels.insert(*channel, OpenChannel { action: action.action, record: record.record });
        }
    }

    /// Takes note of an ending.
    pub(super) fn end(&mut self, entry: &Entry) {
        if let (Event::ConnectionEnded { .. }, Some(connection)) = (&entry.event, entry.connection) {
            self.connections.remove(&connection);
        }
        let Some(session) = entry.session else { return };
        if let Event::SessionEnded { .. } = &entry.event {
            self.sessions.remove(&session);
        }
        if let (Event::ChannelEnded { channel, .. }, Some(open)) =
            (&entry.event, self.sessions.get_mut(&session))
        {
            open.channels.remove(channel);
        }
    }

    /// How a session that is open addressed its target.
    pub(super) fn way(&self, session: Option<SessionId>) -> Option<Way> {
        self.sessions.get(&session?).map(|open| open.way)
    }

    /// What runs on a channel that is open.
    pub(super) fn channel(&self, session: Option<SessionId>, channel: ChannelNumber) -> Option<OpenChannel> {
        self.sessions.get(&session?)?.channels.get(&channel).copied()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How many sessions are open by this way.
    pub(super) fn sessions(&self, way: Way) -> usize {
        self.sessions.values().filter(|open| open.way == way).count()
    }

    pub(super) fn channels(&self) -> usize {
        self.sessions.values().map(|open| open.channels.len()).sum()
    }
}
