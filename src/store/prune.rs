//! Takes away what is old: a prefix of each node's lines, with everything that was derived from them.
//!
//! What is left is what its lines say, at any moment in between: each slice is one transaction, which also holds the
//! signed statement that the chain begins later on purpose.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sqlx::AnyConnection;

use super::append;
use super::derive::Folded;
use super::line::Said;
use super::rows::{Cells, ConnectionRow, RecordedRow, SessionRow};
use super::sql::{Sql, Value, signed};
use super::{Store, StoreError, answered};
use crate::domain::{NodeName, RecordingId};

/// Lines that are taken away at a time: few enough that writers wait for milliseconds.
const SLICE: u64 = 500;
/// Values in one statement.
const PIECE: usize = 200;

/// What can go of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunePlan {
    /// Whose lines.
    pub node: NodeName,
    /// The last line that can go; 0 where none can.
    pub through: u64,
    /// How many lines.
    pub events: u64,
    /// Their size in characters.
    pub characters: u64,
    /// How many sessions.
    pub sessions: u64,
    /// How many recordings.
    pub recordings: u64,
    /// The size of their files, as far as it is known.
    pub recorded_bytes: u64,
    /// The time of the first of the lines.
    pub oldest: Option<Timestamp>,
    /// The time of the last of the lines.
    pub newest: Option<Timestamp>,
    /// What keeps old lines from going: a connection that was open at that time, and since when.
    pub held_by: Option<(String, Timestamp)>,
}

/// What one slice took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many lines.
    pub events: u64,
    /// How many sessions.
    pub sessions: u64,
    /// How many recordings.
    pub recordings: u64,
}

/// The signed statement of one pruning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pruning {
    /// Whose lines.
    pub node: NodeName,
    /// The last line that is gone.
    pub through: u64,
    /// When the run began.
    pub at: Timestamp,
    /// What was signed, as [`crate::audit::PruneRecord`] writes it.
    pub record: String,
}

/// A recording whose file has yet to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discarded {
    /// The recording.
    pub id: RecordingId,
    /// The node that recorded.
    pub node: Option<NodeName>,
    /// Its last known state: `writing`, `spooled`, `stored`, `lost`.
    pub state: Option<String>,
    /// Its last known place.
    pub location: Option<String>,
    /// The size of its file.
    pub bytes: Option<u64>,
    /// Since when it is at that place.
    pub stored: Option<Timestamp>,
}

impl Store {
    /// What of a node's lines is older than `before` and can go: the lines before the first one that is newer, and
    /// before the first one of any connection or session that was open at that time or still is. So nothing is taken
    /// from a session that ended later. The last line of a node stays in any case.
    ///
    /// # Errors
    /// When the database does not answer, or a row is damaged.
    pub async fn plan_prune(&self, node: &NodeName, before: Timestamp) -> Result<PrunePlan, StoreError> {
        let mut plan = PrunePlan {
            node: node.clone(),
            through: 0,
            events: 0,
            characters: 0,
            sessions: 0,
            recordings: 0,
            recorded_bytes: 0,
            oldest: None,
            newest: None,
            held_by: None,
        };
        let Some((first, oldest)) = self.edge(node, "ASC").await? else { return Ok(plan) };
        let Some((last, _)) = self.edge(node, "DESC").await? else { return Ok(plan) };
        // The last line stays, however old: without it nobody could tell a chain that was pruned from one that is gone.
        let newer = self.first_newer(node, before).await?.unwrap_or(last);
        let older = newer.min(last).saturating_sub(1);
        let held = self.first_held(node, before).await?.filter(|(seq, ..)| *seq <= older);
        plan.through = held.as_ref().map_or(older, |(seq, ..)| seq.saturating_sub(1));
        plan.held_by = held.map(|(_, id, since)| (id, since));
        if plan.through < first {
            plan.through = 0;
            return Ok(plan);
        }
        plan.events = plan.through.saturating_sub(first).saturating_add(1);
        plan.oldest = Some(oldest);
        self.count(&mut plan).await?;
        Ok(plan)
    }

    /// The first or last line of a node, and its time.
    async fn edge(&self, node: &NodeName, order: &str) -> Result<Option<(u64, Timestamp)>, StoreError> {
        let mut sql = Sql::new("SELECT seq, time FROM events WHERE node = ");
        sql.bind(node.as_str()).push(" ORDER BY seq ").push(order).push(" LIMIT 1");
        let row = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let cells = Cells { row, table: "events" };
            Ok((cells.count("seq")?, cells.time("time")?))
        };
        row.as_ref().map(read).transpose()
    }

    /// The first line that is not older. Times may jump back; numbers do not.
    async fn first_newer(&self, node: &NodeName, before: Timestamp) -> Result<Option<u64>, StoreError> {
        let mut sql = Sql::new("SELECT seq FROM events WHERE node = ");
        // The sign keeps SQLite from an index by time, which would lead through everything that stays.
        sql.bind(node.as_str())
            .push(" AND +time >= ")
            .bind(before.as_millisecond())
            .push(" ORDER BY seq LIMIT 1");
        let row = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
        row.map(|row| Cells { row: &row, table: "events" }.count("seq")).transpose()
    }

    /// The first line of what was open at that time, or still is: its number, whose it is, and since when.
    async fn first_held(
        &self,
        node: &NodeName,
        before: Timestamp,
    ) -> Result<Option<(u64, String, Timestamp)>, StoreError> {
        let mut first = None;
        for (table, column, begun) in
            [("connections", "connection", "opened"), ("sessions", "session", "started")]
        {
            let mut sql = Sql::default();
            sql.push("SELECT e.seq AS seq, t.id AS id, t.").push(begun).push(" AS since FROM ").push(table);
            sql.push(" t JOIN events e ON e.")
                .push(column)
                .push(" = t.id WHERE t.node = ")
                .bind(node.as_str());
            sql.push(" AND t.").push(begun).push(" < ").bind(before.as_millisecond());
            sql.push(" AND (t.ended IS NULL OR t.ended >= ").bind(before.as_millisecond());
            sql.push(") ORDER BY e.seq LIMIT 1");
            let row = answered(async { Ok(sql.query().fetch_optional(&self.pool).await?) }).await?;
            if let Some(row) = row {
                let cells = Cells { row: &row, table };
                let held = (cells.count("seq")?, cells.text("id")?, cells.time("since")?);
                first = Some(first.map_or(held.clone(), |known: (u64, String, Timestamp)| known.min(held)));
            }
        }
        Ok(first)
    }

    async fn count(&self, plan: &mut PrunePlan) -> Result<(), StoreError> {
        let mut sql = Sql::new(
            "SELECT CAST(COALESCE(SUM(LENGTH(line)), 0) AS BIGINT) AS characters, MAX(time) AS newest, \
             CAST(COALESCE(SUM(CASE WHEN event = 'session-started' THEN 1 ELSE 0 END), 0) AS BIGINT) AS sessions \
             FROM events WHERE node = ",
        );
        sql.bind(plan.node.as_str()).push(" AND seq <= ").bind(signed(plan.through));
        let row = answered(async { Ok(sql.query().fetch_one(&self.pool).await?) }).await?;
        let cells = Cells { row: &row, table: "events" };
        plan.characters = cells.count("characters")?;
        plan.sessions = cells.count("sessions")?;
        plan.newest = cells.maybe_time("newest")?;
        let mut sql = Sql::new(
            "SELECT COUNT(*) AS recordings, CAST(COALESCE(SUM(compressed_bytes), 0) AS BIGINT) AS bytes \
             FROM recordings WHERE session IN (SELECT session FROM events WHERE event = 'session-started' AND node = ",
        );
        sql.bind(plan.node.as_str()).push(" AND seq <= ").bind(signed(plan.through)).push(")");
        let row = answered(async { Ok(sql.query().fetch_one(&self.pool).await?) }).await?;
        let cells = Cells { row: &row, table: "recordings" };
        plan.recordings = cells.count("recordings")?;
        plan.recorded_bytes = cells.count("bytes")?;
        Ok(())
    }

    /// Takes away the next few lines of a node, up to `through` at most, with what was derived from them, in one
    /// transaction; nothing where none is left. `sign` gets the number and the text of the last of them, and gives the
    /// signed statement, of which there is one for each node and run (`at`).
    ///
    /// # Errors
    /// When the database does not answer, or a row is damaged. Then nothing was taken away.
    pub async fn prune_slice(
        &self,
        node: &NodeName,
        through: u64,
        at: Timestamp,
        sign: impl Fn(u64, &str) -> String,
    ) -> Result<Option<Pruned>, StoreError> {
        answered(async {
            let mut transaction = self.pool.begin().await?;
            // Writing first: a reading transaction that wants to write later is refused by SQLite where somebody
            // wrote in between. Appending locks the same row.
            let mut lock = Sql::new("UPDATE nodes SET node = node WHERE node = ");
            lock.bind(node.as_str());
            lock.query().execute(&mut *transaction).await?;
            let Some(slice) = Slice::read(&mut transaction, node, through).await? else {
                transaction.rollback().await?;
                return Ok(None);
            };
            let record = sign(slice.through, &slice.last_line);
            let pruned = slice.take_away(&mut transaction, at, record).await?;
            transaction.commit().await?;
            Ok(Some(pruned))
        })
        .await
    }

    /// Forgets words that nothing mentions any more, and orders from before that time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prune_leavings(&self, before: Timestamp) -> Result<(), StoreError> {
        answered(async {
            let mut transaction = self.pool.begin().await?;
            // Whoever appends mentions words: nobody may between the question and the answer.
            sqlx::query("UPDATE nodes SET node = node").execute(&mut *transaction).await?;
            let words = "DELETE FROM words WHERE NOT EXISTS (SELECT 1 FROM mentions WHERE mentions.word = words.word)";
            sqlx::query(words).execute(&mut *transaction).await?;
            let mut orders = Sql::new("DELETE FROM orders WHERE ordered < ");
            orders.bind(before.as_millisecond());
            orders.query().execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    /// The signed statements of all prunings, the last of each node last.
    ///
    /// # Errors
    /// When the database does not answer, or a row is damaged.
    pub async fn prunings(&self) -> Result<Vec<Pruning>, StoreError> {
        let sql = Sql::new("SELECT node, at, through, record FROM prunings ORDER BY node, through, at");
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let cells = Cells { row, table: "prunings" };
            Ok(Pruning {
                node: cells.parsed("node", NodeName::parse)?,
                through: cells.count("through")?,
                at: cells.time("at")?,
                record: cells.text("record")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Recordings whose files have yet to be removed, in the order of their ids, after that one.
    ///
    /// # Errors
    /// When the database does not answer, or a row is damaged.
    pub async fn discarded(
        &self,
        after: Option<RecordingId>,
        limit: u32,
    ) -> Result<Vec<Discarded>, StoreError> {
        let mut sql =
            Sql::new("SELECT id, node, state, location, bytes, stored FROM discarded_recordings WHERE id > ");
        sql.bind(after.map(|id| id.to_string()).unwrap_or_default());
        sql.push(" ORDER BY id LIMIT ").bind(i64::from(limit));
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        let read = |row: &sqlx::any::AnyRow| {
            let cells = Cells { row, table: "discarded_recordings" };
            Ok(Discarded {
                id: cells.parsed("id", RecordingId::parse)?,
                node: cells.maybe_parsed("node", NodeName::parse)?,
                state: cells.maybe_text("state")?,
                location: cells.maybe_text("location")?,
                bytes: cells.maybe_count("bytes")?,
                stored: cells.maybe_time("stored")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// The file of a discarded recording is gone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_discarded(&self, id: RecordingId) -> Result<(), StoreError> {
        let mut sql = Sql::new("DELETE FROM discarded_recordings WHERE id = ");
        sql.bind(id.to_string());
        self.run(sql).await.map(drop)
    }
}

/// The next lines to go, and whose they are.
struct Slice<'a> {
    node: &'a NodeName,
    through: u64,
    last_line: String,
    events: u64,
    sessions: BTreeSet<String>,
    connections: BTreeSet<String>,
}

impl<'a> Slice<'a> {
    async fn read(
        connection: &mut AnyConnection,
        node: &'a NodeName,
        through: u64,
    ) -> Result<Option<Self>, StoreError> {
        let mut sql = Sql::new("SELECT seq, session, connection FROM events WHERE node = ");
        sql.bind(node.as_str()).push(" AND seq <= ").bind(signed(through));
        sql.push(" ORDER BY seq LIMIT ").bind(signed(SLICE));
        let rows = sql.query().fetch_all(&mut *connection).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        let through = Cells { row: last, table: "events" }.count("seq")?;
        let mut sql = Sql::new("SELECT line FROM events WHERE node = ");
        sql.bind(node.as_str()).push(" AND seq = ").bind(signed(through));
        let line = sql.query().fetch_one(&mut *connection).await?;
        let mut slice = Self {
            node,
            through,
            last_line: Cells { row: &line, table: "events" }.text("line")?,
            events: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            sessions: BTreeSet::new(),
            connections: BTreeSet::new(),
        };
        for row in &rows {
            let cells = Cells { row, table: "events" };
            slice.sessions.extend(cells.maybe_text("session")?);
            slice.connections.extend(cells.maybe_text("connection")?);
        }
        Ok(Some(slice))
    }

    async fn take_away(
        self,
        connection: &mut AnyConnection,
        at: Timestamp,
        record: String,
    ) -> Result<Pruned, StoreError> {
        let mut sql = Sql::new("INSERT INTO prunings (node, at, through, record) VALUES ");
        let values: [Value; 4] = [
            self.node.as_str().into(),
            at.as_millisecond().into(),
            signed(self.through).into(),
            record.into(),
        ];
        sql.bind_all(values);
        sql.push(
            " ON CONFLICT (node, at) DO UPDATE SET through = excluded.through, record = excluded.record",
        );
        sql.query().execute(&mut *connection).await?;
        for table in ["events", "decisions", "heads"] {
            let mut sql = Sql::default();
            sql.push("DELETE FROM ").push(table).push(" WHERE node = ").bind(self.node.as_str());
            sql.push(" AND seq <= ").bind(signed(self.through));
            sql.query().execute(&mut *connection).await?;
        }
        let (gone, left) = parted(connection, "session", self.sessions).await?;
        let mut pruned = Pruned { events: self.events, ..Pruned::default() };
        pruned.recordings = discard(connection, &gone, at).await?;
        pruned.sessions = delete(connection, "sessions", "id", &gone).await?;
        delete(connection, "mentions", "subject", &gone).await?;
        pruned.sessions += refold::<SessionRow>(connection, self.node, &left).await?;
        for session in &left {
            let recordings = recordings_of(connection, session).await?;
            refold::<RecordedRow>(connection, self.node, &recordings).await?;
        }
        let (gone, left) = parted(connection, "connection", self.connections).await?;
        delete(connection, "connections", "id", &gone).await?;
        delete(connection, "mentions", "subject", &gone).await?;
        refold::<ConnectionRow>(connection, self.node, &left).await?;
        Ok(pruned)
    }
}

/// Which of them have no line left, and which have.
async fn parted(
    connection: &mut AnyConnection,
    column: &str,
    all: BTreeSet<String>,
) -> Result<(Vec<String>, Vec<String>), StoreError> {
    let mut left = BTreeSet::new();
    let ids: Vec<&String> = all.iter().collect();
    for piece in ids.chunks(PIECE) {
        let mut sql = Sql::default();
        sql.push("SELECT DISTINCT ").push(column).push(" AS id FROM events WHERE ").push(column).push(" IN ");
        sql.bind_all(piece.iter().map(|id| id.as_str()));
        for row in sql.query().fetch_all(&mut *connection).await? {
            left.insert(Cells { row: &row, table: "events" }.text("id")?);
        }
    }
    Ok(all.into_iter().partition(|id| !left.contains(id)))
}

async fn delete(
    connection: &mut AnyConnection,
    table: &str,
    column: &str,
    ids: &[String],
) -> Result<u64, StoreError> {
    let mut count: u64 = 0;
    for piece in ids.chunks(PIECE) {
        let mut sql = Sql::default();
        sql.push("DELETE FROM ").push(table).push(" WHERE ").push(column).push(" IN ");
        sql.bind_all(piece.iter().map(String::as_str));
        count = count.saturating_add(sql.query().execute(&mut *connection).await?.rows_affected());
    }
    Ok(count)
}

/// Moves the recordings of sessions from the index to those whose files have yet to be removed.
async fn discard(
    connection: &mut AnyConnection,
    sessions: &[String],
    at: Timestamp,
) -> Result<u64, StoreError> {
    for piece in sessions.chunks(PIECE) {
        let mut sql = Sql::new(
            "INSERT INTO discarded_recordings (id, node, state, location, bytes, stored, since) \
             SELECT id, node, state, location, compressed_bytes, told, CAST(",
        );
        sql.bind(at.as_millisecond()).push(" AS BIGINT) FROM recordings WHERE session IN ");
        sql.bind_all(piece.iter().map(String::as_str)).push(" ON CONFLICT DO NOTHING");
        sql.query().execute(&mut *connection).await?;
    }
    delete(connection, "recordings", "session", sessions).await
}

async fn recordings_of(connection: &mut AnyConnection, session: &str) -> Result<Vec<String>, StoreError> {
    let mut sql = Sql::new("SELECT id FROM recordings WHERE session = ");
    sql.bind(session);
    let rows = sql.query().fetch_all(&mut *connection).await?;
    rows.iter().map(|row| Cells { row, table: "recordings" }.text("id")).collect()
}

/// Makes rows anew from the lines that are left of them: some are gone whole, some only in part. How many are gone.
async fn refold<T: Folded>(
    connection: &mut AnyConnection,
    node: &NodeName,
    ids: &[String],
) -> Result<u64, StoreError> {
    let mut gone = 0;
    for id in ids {
        let mut present = append::present::<T>(connection, &BTreeSet::from([id.as_str()])).await?;
        let Some(before) = present.remove(id) else { continue };
        let Some(under) = before.found_under() else { continue };
        let mut sql = Sql::new("SELECT line FROM events WHERE ");
        sql.push(T::FOUND_BY)
            .push(" = ")
            .bind(under)
            .push(" AND event IN ")
            .bind_all(T::EVENTS.iter().copied());
        sql.push(" ORDER BY node, seq");
        let mut after = None;
        for row in sql.query().fetch_all(&mut *connection).await? {
            let said = Said::read(&Cells { row: &row, table: "events" }.text("line")?);
            if let Some(said) = said.ok().filter(|said| T::id(said).as_deref() == Some(id.as_str())) {
                after = T::after(after, node, &said);
            }
        }
        match after {
            None => gone += delete(connection, T::NAME, "id", std::slice::from_ref(id)).await?,
            Some(after) if after != before => append::put::<T>(connection, vec![after]).await?,
            Some(_) => {}
        }
    }
    Ok(gone)
}
