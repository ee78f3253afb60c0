//! The store's answers, a page at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::RecordDesk;
use super::args::Fitting;
use super::trouble::Trouble;
use crate::domain::Action;
use crate::store::{Cursor, EventCursor, EventFilter, EventRow, SessionFilter, SessionRow};

/// How many sessions are read at a time.
const SESSIONS: u32 = 200;
/// How many events are read at a time. A line has at most about 100 KiB.
const EVENTS: u32 = 64;

/// How many pages are read at a time for those who audit.
const AUDITORS_AT_ONCE: usize = 2;
/// And for those who see what is theirs.
const OTHERS_AT_ONCE: usize = 1;

/// Who may have the store look for a page; further ones wait. Clones share the turns.
///
/// A page may take seconds, and the store has few connections (4 to a file): one is left for the host keys of new
/// sessions and for orders to end one, however much is asked.
#[derive(Debug, Clone)]
pub struct Turns {
    auditors: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let turns = |count| Arc::new(Semaphore::new(count));
        Self { auditors: turns(AUDITORS_AT_ONCE), others: turns(OTHERS_AT_ONCE) }
    }
}

impl Turns {
    /// Waits for a turn, which lasts until what this returns is dropped.
    pub(super) async fn take(&self, audits: bool) -> Option<OwnedSemaphorePermit> {
        let turns = if audits { &self.auditors } else { &self.others };
        // They are never closed.
        Arc::clone(turns).acquire_owned().await.ok()
    }
}

/// Which of the sessions that fit somebody sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// All.
    All,
    /// Their own; the store is asked for no others.
    Own,
    /// Of those that are live, their own and those that they may watch or end.
    Theirs,
}

/// Sessions, newest first.
pub(super) struct Sessions {
    desk: RecordDesk,
    filter: SessionFilter,
    scope: Scope,
    page: VecDeque<SessionRow>,
    last: Option<Cursor>,
    exhausted: bool,
}

impl Sessions {
    pub(super) fn new(
        desk: &RecordDesk,
        filter: SessionFilter,
        scope: Scope,
        before: Option<Cursor>,
    ) -> Self {
        Self { desk: desk.clone(), filter, scope, page: VecDeque::new(), last: before, exhausted: false }
    }

    /// The next one that they see.
    pub(super) async fn next(&mut self) -> Result<Option<SessionRow>, Trouble> {
        loop {
            while let Some(row) = self.page.pop_front() {
                if self.is_seen(&row) {
                    return Ok(Some(row));
                }
                // To ask the policy is work: others on this thread may come first.
                tokio::task::yield_now().await;
            }
            if self.exhausted {
                return Ok(None);
            }
            let page = {
                let _turn = self.desk.turn().await;
                self.desk.archive.store.sessions(&self.filter, SESSIONS, self.last).await?
            };
            self.exhausted = page.len() < usize::try_from(SESSIONS).unwrap_or(usize::MAX);
            self.last = page.last().map(SessionRow::cursor);
            self.page = page.into();
        }
    }

    fn is_seen(&self, row: &SessionRow) -> bool {
        match self.scope {
            Scope::All => true,
            Scope::Own => self.desk.is_own(row),
            Scope::Theirs => {
                self.desk.is_own(row)
                    || self.desk.may_by_copy(&Action::Watch, row)
                    || self.desk.may_by_copy(&Action::Kill, row)
            }
        }
    }
}

/// Events, oldest first.
pub(super) struct Events {
    desk: RecordDesk,
    filter: EventFilter,
    page: VecDeque<EventRow>,
    last: Option<EventCursor>,
    exhausted: bool,
}

impl Events {
    pub(super) fn new(desk: &RecordDesk, filter: EventFilter) -> Self {
        Self { desk: desk.clone(), filter, page: VecDeque::new(), last: None, exhausted: false }
    }

    pub(super) async fn next(&mut self) -> Result<Option<EventRow>, Trouble> {
        if let Some(row) = self.page.pop_front() {
            return Ok(Some(row));
        }
        if self.exhausted {
            return Ok(None);
        }
        let page = {
            let _turn = self.desk.turn().await;
            self.desk.archive.store.events(&self.filter, EVENTS, self.last.as_ref()).await?
        };
        self.exhausted = page.len() < usize::try_from(EVENTS).unwrap_or(usize::MAX);
        self.last = page.last().map(EventRow::cursor);
        self.page = page.into();
        Ok(self.page.pop_front())
    }
}

impl RecordDesk {
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.archive.turns.take(self.may_audit()).await
    }

    /// The store's filter for what was typed.
    pub(super) fn filter(&self, fitting: &Fitting) -> SessionFilter {
        SessionFilter {
            user: fitting.user.as_ref().map(ToString::to_string),
            target: fitting.target.clone(),
            login: fitting.login.as_ref().map(|login| login.as_str().to_owned()),
            since: fitting.since.map(|when| when.at(self.now)),
            until: fitting.until.map(|when| when.at(self.now)),
            ending: fitting.ending.map(|ending| ending.label().to_owned()),
            live: fitting.live.then_some(true),
            text: fitting.text.clone(),
            node: fitting.node.clone(),
            connection: None,
        }
    }
}
