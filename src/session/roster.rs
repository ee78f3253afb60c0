//! The sessions of this node that are in use, for those who may end or watch one.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::domain::SessionId;

/// Who is here. Clones are of the same list.
#[derive(Debug, Clone, Default)]
pub struct Roster(Arc<Mutex<HashMap<SessionId, Seat>>>);

#[derive(Debug)]
struct Seat {
    killed: CancellationToken,
    notices: watch::Sender<Notice>,
    tells: bool,
}

/// The latest thing that somebody in a session is to be told, on their terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Notice(Option<Arc<str>>);

impl Notice {
    /// The sentence, once there is one.
    pub(super) fn sentence(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl Roster {
    /// Notes that a session is in use, until what this returns is dropped.
    pub(super) fn enter(&self, session: SessionId, tells: bool) -> Presence {
        let seat = Seat { killed: CancellationToken::new(), notices: watch::Sender::default(), tells };
        let (killed, notices) = (seat.killed.clone(), seat.notices.subscribe());
        self.seats().insert(session, seat);
        Presence { roster: self.clone(), session, killed, notices }
    }

    /// Orders a session to end; false where it is not here.
    #[must_use]
    pub fn kill(&self, session: SessionId) -> bool {
        let seats = self.seats();
        let Some(seat) = seats.get(&session) else { return false };
        seat.killed.cancel();
        true
    }

    /// Tells those in a session that it is watched, where policy wants that, and says whether they are told; nothing
    /// where the session is not here.
    #[must_use]
    pub fn watched(&self, session: SessionId, by: &str) -> Option<bool> {
        let seats = self.seats();
        let seat = seats.get(&session)?;
        if seat.tells {
            let by: String = by.chars().filter(|c| !crate::audit::json::misleads(*c)).take(64).collect();
            seat.notices.send_replace(Notice(Some(format!("this session is being watched by {by}.").into())));
        }
        Some(seat.tells)
    }

    /// Whether a session is in use here.
    #[must_use]
    pub fn has(&self, session: SessionId) -> bool {
        self.seats().contains_key(&session)
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn seats(&self) -> MutexGuard<'_, HashMap<SessionId, Seat>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's own entry.
pub(super) struct Presence {
    roster: Roster,
    session: SessionId,
    killed: CancellationToken,
    notices: watch::Receiver<Notice>,
}

impl Presence {
    /// Resolves when somebody has ordered the session to end.
    pub(super) async fn killed(&self) {
        self.killed.cancelled().await;
    }

    /// The order itself, for a task of its own.
    pub(super) fn kill_order(&self) -> CancellationToken {
        self.killed.clone()
    }

    /// Tells those in it something that concerns them.
    pub(super) fn warn(&self, sentence: &str) {
        if let Some(seat) = self.roster.seats().get(&self.session) {
            seat.notices.send_replace(Notice(Some(sentence.into())));
        }
    }

    /// What those in it are to be told.
    pub(super) fn notices(&self) -> watch::Receiver<Notice> {
        self.notices.clone()
    }

    /// A later permit of the session wants those in it told.
    pub(super) fn tell(&self) {
        if let Some(seat) = self.roster.seats().get_mut(&self.session) {
            seat.tells = true;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.roster.seats().remove(&self.session);
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Presence").field(&self.session).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_here_can_be_ended_and_who_has_left_cannot() {
        let roster = Roster::default();
        let session = SessionId::fresh();
        assert!(!roster.kill(session));
        let presence = roster.enter(session, false);
        assert!(roster.kill(session));
        presence.killed().await;
        drop(presence);
        assert!(!roster.kill(session) && roster.is_empty());
    }

    #[tokio::test]
    async fn the_watched_are_told_where_policy_wants_that() {
        let roster = Roster::default();
        let (quiet, told) = (SessionId::fresh(), SessionId::fresh());
        let (not_told, is_told) = (roster.enter(quiet, false), roster.enter(told, false));
        is_told.tell();
        assert_eq!(roster.watched(quiet, "carol"), Some(false));
        assert_eq!(roster.watched(told, "carol\u{1b}[2J"), Some(true));
        assert_eq!(roster.watched(SessionId::fresh(), "carol"), None);
        assert_eq!(not_told.notices().borrow().sentence(), None);
        let notices = is_told.notices();
        assert_eq!(notices.borrow().sentence(), Some("this session is being watched by carol[2J."));
    }
}
