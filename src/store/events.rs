//! Events, decisions, heads and whole chains, looked up.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::line::{indexed, lower};
use super::rows::{Cells, DecisionRow, HeadRow, Table};
use super::sessions::Candidates;
use super::sql::{Sql, anywhere, signed};
use super::{JournalLine, Store, StoreError, answered};
use crate::domain::{ConnectionId, InstanceId, NodeName, SessionId};

/// Which events. Every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this session.
    pub session: Option<SessionId>,
    /// Of this connection, those of its sessions included.
    pub connection: Option<ConnectionId>,
    /// Of connections of this user.
    pub user: Option<String>,
    /// Of this kind, by the name of the event.
    pub kind: Option<String>,
    /// Of this node.
    pub node: Option<NodeName>,
    /// Then or later.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
    /// With this text anywhere in a command, path or destination, in upper or lower case.
    pub text: Option<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The node.
    pub node: NodeName,
    /// Its number in the node's chain.
    pub seq: u64,
    /// When, to the millisecond.
    pub time: Timestamp,
    /// The event's name.
    pub event: String,
    /// The connection it belongs to.
    pub connection: Option<ConnectionId>,
    /// The session it belongs to.
    pub session: Option<SessionId>,
    /// The line, as it is in the journal.
    pub line: String,
}

/// Where a page of events ends, and the next one goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventCursor {
    time: i64,
    node: NodeName,
    seq: u64,
}

impl fmt::Display for EventCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.time, self.seq, self.node)
    }
}

impl EventCursor {
    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (time, rest) = text.split_once(':')?;
        let (seq, node) = rest.split_once(':')?;
        Some(Self { time: time.parse().ok()?, seq: seq.parse().ok()?, node: NodeName::parse(node)? })
    }
}

impl EventRow {
    /// Where the next page goes on if this row is the last of one.
    #[must_use]
    pub fn cursor(&self) -> EventCursor {
        EventCursor { time: self.time.as_millisecond(), node: self.node.clone(), seq: self.seq }
    }

    pub(super) fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells { row, table: "events" };
        Ok(Self {
            node: cells.parsed("node", NodeName::parse)?,
            seq: cells.count("seq")?,
            time: cells.time("time")?,
            event: cells.text("event")?,
            connection: cells.maybe_parsed("connection", ConnectionId::parse)?,
            session: cells.maybe_parsed("session", SessionId::parse)?,
            line: cells.text("line")?,
        })
    }
}

/// Which decisions. Every condition that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// About this user.
    pub user: Option<String>,
    /// About the instance with this id, or with this `Name` tag at that time.
    pub target: Option<String>,
    /// `permit` or `refuse`.
    pub outcome: Option<String>,
    /// Of this session.
    pub session: Option<SessionId>,
    /// Then or later.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
}

/// In which order events come.
#[derive(Clone, Copy)]
enum Direction {
    OldestFirst,
    NewestFirst,
}

impl Store {
    /// Events, oldest first, after `after` where it is given. Those of one session or connection
    /// come as they were recorded, others by time.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn events(
        &self,
        filter: &EventFilter,
        limit: u32,
        after: Option<&EventCursor>,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.event_page(filter, limit, after, Direction::OldestFirst).await
    }

    /// Events, newest first, before `before` where it is given.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn newest_events(
        &self,
        filter: &EventFilter,
        limit: u32,
        before: Option<&EventCursor>,
    ) -> Result<Vec<EventRow>, StoreError> {
        self.event_page(filter, limit, before, Direction::NewestFirst).await
    }

    async fn event_page(
        &self,
        filter: &EventFilter,
        limit: u32,
        from: Option<&EventCursor>,
        direction: Direction,
    ) -> Result<Vec<EventRow>, StoreError> {
        let mut sql = Sql::new("SELECT node, seq, time, event, connection, session, line FROM events");
        let mut first = true;
        filter.conditions(&mut sql, &mut first);
        if let Some(text) = &filter.text {
            match self.candidates(text).await? {
                Candidates::Nowhere => return Ok(Vec::new()),
                Candidates::Among(ids) => among(&mut sql, &mut first, &ids),
                Candidates::Anywhere => {}
            }
        }
        let (than, order) = match direction {
            Direction::OldestFirst => (" > ", "ASC"),
            Direction::NewestFirst => (" < ", "DESC"),
        };
        // A clock that jumps back must not tear a session's story apart; and one node runs a session.
        let columns: &[&str] = if filter.of_one() { &["node", "seq"] } else { &["time", "node", "seq"] };
        if let Some(from) = from {
            sql.condition(&mut first).push("(").push(&columns.join(", ")).push(")").push(than).push("(");
            if !filter.of_one() {
                sql.bind(from.time).push(", ");
            }
            sql.bind(from.node.as_str()).push(", ").bind(signed(from.seq)).push(")");
        }
        let ordered: Vec<String> = columns.iter().map(|column| format!("{column} {order}")).collect();
        sql.push(" ORDER BY ").push(&ordered.join(", ")).push(" LIMIT ").bind(i64::from(limit));
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        rows.iter().map(EventRow::read).collect()
    }

    /// The lines of a node's chain after that number, in order.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn lines(
        &self,
        node: &NodeName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<JournalLine>, StoreError> {
        let mut sql = Sql::new("SELECT seq, line FROM events WHERE node = ");
        sql.bind(node.as_str()).push(" AND seq > ").bind(signed(after));
        sql.push(" ORDER BY seq LIMIT ").bind(i64::from(limit));
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        let line = |row| {
            let cells = Cells { row, table: "events" };
            Ok(JournalLine { seq: cells.count("seq")?, text: cells.text("line")? })
        };
        rows.iter().map(line).collect()
    }

    /// The nodes of which anything is stored, by name: those that have lines, and those that had some.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn nodes(&self) -> Result<Vec<NodeName>, StoreError> {
        let mut nodes = BTreeSet::new();
        for table in ["nodes", "events"] {
            let mut last = Some(String::new());
            while let Some(after) = last {
                let mut sql = Sql::default();
                sql.push("SELECT MIN(node) AS node FROM ").push(table).push(" WHERE node > ").bind(after);
                let row = answered(async { Ok(sql.query().fetch_one(&self.pool).await?) }).await?;
                last = Cells { row: &row, table }.maybe_text("node")?;
                let damaged = || StoreError::Unreadable { table, field: "node" };
                nodes.extend(
                    last.as_deref().map(|name| NodeName::parse(name).ok_or_else(damaged)).transpose()?,
                );
            }
        }
        Ok(nodes.into_iter().collect())
    }

    /// The last signed head of every node, by name.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn heads(&self) -> Result<Vec<HeadRow>, StoreError> {
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&HeadRow::COLUMNS.join(", ")).push(" FROM heads ORDER BY node");
        self.rows(sql).await
    }

    /// Decisions of the policy, newest first, before that one where it is given.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn decisions(
        &self,
        filter: &DecisionFilter,
        limit: u32,
        before: Option<&DecisionRow>,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        let mut sql = Sql::default();
        sql.push("SELECT ").push(&DecisionRow::COLUMNS.join(", ")).push(" FROM decisions");
        let mut first = true;
        filter.conditions(&mut sql, &mut first);
        if let Some(before) = before {
            sql.condition(&mut first).push("(time, node, seq) < (").bind(before.time.as_millisecond());
            sql.push(", ").bind(before.node.as_str()).push(", ").bind(signed(before.seq)).push(")");
        }
        sql.push(" ORDER BY time DESC, node DESC, seq DESC LIMIT ").bind(i64::from(limit));
        self.rows(sql).await
    }
}

/// Only events of these subjects.
fn among(sql: &mut Sql, first: &mut bool, ids: &[String]) {
    let (sessions, connections): (Vec<&str>, Vec<&str>) =
        ids.iter().map(String::as_str).partition(|id| id.starts_with("s-"));
    let mut or = "(";
    sql.condition(first);
    for (column, ids) in [("session", sessions), ("connection", connections)] {
        if !ids.is_empty() {
            sql.push(or).push(column).push(" IN ").bind_all(ids);
            or = " OR ";
        }
    }
    sql.push(")");
}

impl EventFilter {
    fn of_one(&self) -> bool {
        self.session.is_some() || self.connection.is_some()
    }

    fn conditions(&self, sql: &mut Sql, first: &mut bool) {
        let mut equal = |column: &str, value: Option<String>| {
            if let Some(value) = value {
                sql.condition(first).push(column).push(" = ").bind(value);
            }
        };
        equal("session", self.session.map(|id| id.to_string()));
        equal("connection", self.connection.map(|id| id.to_string()));
        equal("event", self.kind.as_deref().map(indexed));
        equal("node", self.node.as_ref().map(ToString::to_string));
        if let Some(user) = &self.user {
            sql.condition(first).push("connection IN (SELECT id FROM connections WHERE user_name = ");
            sql.bind(indexed(user)).push(")");
        }
        if let Some(since) = self.since {
            sql.condition(first).push("time >= ").bind(since.as_millisecond());
        }
        if let Some(until) = self.until {
            sql.condition(first).push("time < ").bind(until.as_millisecond());
        }
        if let Some(text) = &self.text {
            sql.condition(first).push("text IS NOT NULL AND text LIKE ");
            sql.bind(anywhere(&lower(text))).push(" ESCAPE '!'");
        }
    }
}

impl DecisionFilter {
    fn conditions(&self, sql: &mut Sql, first: &mut bool) {
        let mut equal = |column: &str, value: Option<String>| {
            if let Some(value) = value {
                sql.condition(first).push(column).push(" = ").bind(value);
            }
        };
        equal("user_name", self.user.as_deref().map(indexed));
        equal("outcome", self.outcome.as_deref().map(indexed));
        equal("session", self.session.map(|id| id.to_string()));
        if let Some(target) = &self.target {
            let by = if InstanceId::parse(target).is_some() { "target_id" } else { "target_name" };
            equal(by, Some(indexed(target)));
        }
        if let Some(since) = self.since {
            sql.condition(first).push("time >= ").bind(since.as_millisecond());
        }
        if let Some(until) = self.until {
            sql.condition(first).push("time < ").bind(until.as_millisecond());
        }
    }
}
