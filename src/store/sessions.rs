//! Sessions and connections, looked up.

use std::fmt;

use jiff::Timestamp;
use sqlx::Row as _;

use super::append::MORE_WORDS;
use super::line::{indexed, lower, telling_words};
use super::rows::{Cells, ConnectionRow, SessionRow, Table};
use super::sql::{Sql, anywhere};
use super::{Store, StoreError, answered};
use crate::domain::{ConnectionId, InstanceId, NodeName, SessionId};

/// Which sessions. Every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Of this user.
    pub user: Option<String>,
    /// To the instance with this id, or with this `Name` tag at that time.
    pub target: Option<String>,
    /// As this OS user.
    pub login: Option<String>,
    /// On this node.
    pub node: Option<NodeName>,
    /// Of this connection.
    pub connection: Option<ConnectionId>,
    /// Started then or later.
    pub since: Option<Timestamp>,
    /// Started before then.
    pub until: Option<Timestamp>,
    /// Ended for this reason, by its label.
    pub ending: Option<String>,
    /// Still going on, or not.
    pub live: Option<bool>,
    /// With this text anywhere in a command, path or destination, in upper or lower case.
    pub text: Option<String>,
}

/// Where a page of sessions ends, and the next one goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    started: i64,
    id: SessionId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.started, self.id)
    }
}

impl Cursor {
    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (started, id) = text.split_once('.')?;
        Some(Self { started: started.parse().ok()?, id: SessionId::parse(id)? })
    }
}

impl SessionRow {
    /// Where the next page goes on if this row is the last of one.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { started: self.started.as_millisecond(), id: self.id }
    }
}

/// What was found under an id or the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found<T> {
    /// Nothing, or it cannot be the beginning of an id.
    Nothing,
    /// This.
    One(Box<T>),
    /// Several, and these are some of them, at most [`Store::SIMILAR_MAX`].
    Several(Vec<T>),
}

/// What has no ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished<T> {
    /// Whose ending is missing.
    pub row: T,
    /// When its last event was, to the millisecond.
    pub last_seen: Timestamp,
}

/// From how many subjects with a word on it is quicker to go through all of them by time.
const CANDIDATES_MAX: u16 = 2_000;

/// The longest text that is looked for, in bytes. SQLite takes patterns of 50,000.
const TEXT_MAX: usize = 16 * 1024;

/// What is known of where a text may be.
pub(super) enum Candidates {
    /// Nowhere.
    Nowhere,
    /// In one of these.
    Among(Vec<String>),
    /// In so many that they are better looked through by time.
    Anywhere,
}

impl Store {
    /// How many ids with one beginning are told.
    pub const SIMILAR_MAX: u32 = 10;

    /// Sessions, newest first, from `before` on where it is given.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        limit: u32,
        before: Option<Cursor>,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let among = match &filter.text {
            None => Candidates::Anywhere,
            Some(text) => self.candidates(text).await?,
        };
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&SessionRow::COLUMNS.join(", ")).push(" FROM sessions");
        let mut first = true;
        filter.conditions(&mut sql, &mut first);
        match &among {
            Candidates::Nowhere => return Ok(Vec::new()),
            Candidates::Among(ids) => {
                sql.condition(&mut first).push("id IN ").bind_all(ids.iter().map(String::as_str));
            }
            Candidates::Anywhere => {}
        }
        if let Some(cursor) = before {
            sql.condition(&mut first).push("(started, id) < (").bind(cursor.started);
            sql.push(", ").bind(cursor.id.to_string()).push(")");
        }
        sql.push(" ORDER BY started DESC, id DESC LIMIT ").bind(i64::from(limit));
        self.rows(sql).await
    }

    /// The session with that id, or the one whose id begins so. `s-` may be left out.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn session(&self, id: &str) -> Result<Found<SessionRow>, StoreError> {
        let digits = id.strip_prefix("s-").unwrap_or(id);
        let plain = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !plain || digits.is_empty() || digits.len() > 32 {
            return Ok(Found::Nothing);
        }
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&SessionRow::COLUMNS.join(", ")).push(" FROM sessions WHERE id >= ");
        // No digit comes after `f`, whatever the database's collation.
        sql.bind(format!("s-{digits}")).push(" AND id < ").bind(format!("s-{digits}g"));
        sql.push(" ORDER BY id DESC LIMIT ").bind(i64::from(Self::SIMILAR_MAX));
        let mut found: Vec<SessionRow> = self.rows(sql).await?;
        Ok(match (found.len(), found.pop()) {
            (1, Some(row)) => Found::One(Box::new(row)),
            (_, Some(row)) => {
                found.push(row);
                Found::Several(found)
            }
            (_, None) => Found::Nothing,
        })
    }

    /// The session with exactly that id.
    ///
    /// # Errors
    /// When the database does not answer or its row is damaged.
    pub async fn session_by_id(&self, id: &SessionId) -> Result<Option<SessionRow>, StoreError> {
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&SessionRow::COLUMNS.join(", ")).push(" FROM sessions WHERE id = ");
        sql.bind(id.to_string());
        Ok(self.rows(sql).await?.pop())
    }

    /// The connection with that id.
    ///
    /// # Errors
    /// When the database does not answer or its row is damaged.
    pub async fn connection(&self, id: &ConnectionId) -> Result<Option<ConnectionRow>, StoreError> {
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&ConnectionRow::COLUMNS.join(", ")).push(" FROM connections WHERE id = ");
        sql.bind(id.to_string());
        Ok(self.rows(sql).await?.pop())
    }

    /// The sessions of a node without an ending, oldest first: those that are live, and, when the
    /// node starts, those that an earlier run did not bring to an end.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn unfinished(&self, node: &NodeName) -> Result<Vec<Unfinished<SessionRow>>, StoreError> {
        self.without_end(node, "session", "started").await
    }

    /// The connections of a node without an ending, oldest first.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn unfinished_connections(
        &self,
        node: &NodeName,
    ) -> Result<Vec<Unfinished<ConnectionRow>>, StoreError> {
        self.without_end(node, "connection", "opened").await
    }

    async fn without_end<T: Table>(
        &self,
        node: &NodeName,
        of: &str,
        begun: &str,
    ) -> Result<Vec<Unfinished<T>>, StoreError> {
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&T::COLUMNS.join(", "));
        // One whose lines somebody removed was last seen when it began.
        sql.push(", COALESCE((SELECT MAX(e.time) FROM events e WHERE e.").push(of).push(" = r.id), r.");
        sql.push(begun).push(") AS last_seen FROM ").push(T::NAME);
        sql.push(" r WHERE ended IS NULL AND node = ").bind(node.as_str());
        sql.push(" ORDER BY ").push(begun).push(", id");
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        rows.iter()
            .map(|row| {
                let last_seen = Cells { row, table: T::NAME }.time("last_seen")?;
                Ok(Unfinished { row: T::read(row)?, last_seen })
            })
            .collect()
    }

    /// Whose events may have this text: looks into the words that occur, of which there are few, for one of
    /// its words that is rare.
    pub(super) async fn candidates(&self, text: &str) -> Result<Candidates, StoreError> {
        if text.len() > TEXT_MAX {
            return Ok(Candidates::Nowhere);
        }
        for word in telling_words(&lower(text)) {
            let found = self.subjects(&word).await?;
            match found {
                Candidates::Nowhere | Candidates::Among(_) => return Ok(found),
                Candidates::Anywhere => {}
            }
        }
        Ok(Candidates::Anywhere)
    }

    /// Whose events have a word with this in it.
    async fn subjects(&self, part: &str) -> Result<Candidates, StoreError> {
        let mut sql =
            Sql::new("SELECT subject FROM mentions WHERE word IN (SELECT word FROM words WHERE word LIKE ");
        sql.bind(anywhere(part)).push(" ESCAPE '!' OR word = ").bind(MORE_WORDS).push(") LIMIT ");
        sql.bind(i64::from(CANDIDATES_MAX).saturating_add(1));
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        if rows.len() > usize::from(CANDIDATES_MAX) {
            return Ok(Candidates::Anywhere);
        }
        let mut ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        Ok(if ids.is_empty() { Candidates::Nowhere } else { Candidates::Among(ids) })
    }
}

impl SessionFilter {
    fn conditions(&self, sql: &mut Sql, first: &mut bool) {
        let mut equal = |column: &str, value: Option<String>| {
            if let Some(value) = value {
                sql.condition(first).push(column).push(" = ").bind(value);
            }
        };
        equal("user_name", self.user.as_deref().map(indexed));
        equal("login", self.login.as_deref().map(indexed));
        equal("node", self.node.as_ref().map(ToString::to_string));
        equal("connection", self.connection.map(|id| id.to_string()));
        equal("ending", self.ending.as_deref().map(indexed));
        if let Some(target) = &self.target {
            let by = if InstanceId::parse(target).is_some() { "target_id" } else { "target_name" };
            equal(by, Some(indexed(target)));
        }
        if let Some(since) = self.since {
            sql.condition(first).push("started >= ").bind(since.as_millisecond());
        }
        if let Some(until) = self.until {
            sql.condition(first).push("started < ").bind(until.as_millisecond());
        }
        if let Some(live) = self.live {
            sql.condition(first).push(if live { "ended IS NULL" } else { "ended IS NOT NULL" });
        }
        if let Some(text) = &self.text {
            sql.condition(first);
            sql.push("EXISTS (SELECT 1 FROM events e WHERE e.session = sessions.id AND e.text LIKE ");
            sql.bind(anywhere(&lower(text))).push(" ESCAPE '!')");
        }
    }
}
