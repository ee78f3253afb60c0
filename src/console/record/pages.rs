//! The store's answers, a page at a time.

use std::collections::VecDeque;

use super::RecordDesk;
use super::args::Fitting;
use super::trouble::Trouble;
use crate::domain::Action;
use crate::store::{Cursor, EventCursor, EventFilter, EventRow, SessionFilter, SessionRow, Store};

/// How many sessions are read at a time.
const SESSIONS: u32 = 200;
/// How many events are read at a time. A line has at most about 100 KiB.
const EVENTS: u32 = 64;

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
            let page = self.desk.archive.store.sessions(&self.filter, SESSIONS, self.last).await?;
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
    store: Store,
    filter: EventFilter,
    page: VecDeque<EventRow>,
    last: Option<EventCursor>,
    exhausted: bool,
}

impl Events {
    pub(super) fn new(store: &Store, filter: EventFilter) -> Self {
        Self { store: store.clone(), filter, page: VecDeque::new(), last: None, exhausted: false }
    }

    pub(super) async fn next(&mut self) -> Result<Option<EventRow>, Trouble> {
        if let Some(row) = self.page.pop_front() {
            return Ok(Some(row));
        }
        if self.exhausted {
            return Ok(None);
        }
        let page = self.store.events(&self.filter, EVENTS, self.last.as_ref()).await?;
        self.exhausted = page.len() < usize::try_from(EVENTS).unwrap_or(usize::MAX);
        self.last = page.last().map(EventRow::cursor);
        self.page = page.into();
        Ok(self.page.pop_front())
    }
}

impl RecordDesk {
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
