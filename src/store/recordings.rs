//! The index of recordings: what the lines say of them, and where their files are.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use super::line::storable;
use super::rows::{Cells, RecordedRow, Table};
use super::sql::{Sql, Value};
use super::{Store, StoreError, answered};
use crate::domain::{ConnectionId, NodeName, RecordingId, SessionId};

/// Where a recording's file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordingState {
    /// In the spool of its node, and growing.
    Writing,
    /// In the spool of its node, and whole or given up.
    Spooled,
    /// Where recordings are kept.
    Stored,
    /// Nowhere.
    Lost,
}

impl RecordingState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Writing, Self::Spooled, Self::Stored, Self::Lost];

    /// The name in the database and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Writing => "writing",
            Self::Spooled => "spooled",
            Self::Stored => "stored",
            Self::Lost => "lost",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == text)
    }
}

/// One recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingRow {
    /// The recording.
    pub id: RecordingId,
    /// The session it is of; none until a line of it is stored.
    pub session: Option<SessionId>,
    /// The client's connection.
    pub connection: Option<ConnectionId>,
    /// The node that recorded.
    pub node: Option<NodeName>,
    /// The channel within the session.
    pub channel: Option<u64>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When its channel ended.
    pub ended: Option<Timestamp>,
    /// `asciicast` or `output`; known from its ending on.
    pub format: Option<String>,
    /// Its size before compression.
    pub bytes: Option<u64>,
    /// The size of its file.
    pub compressed_bytes: Option<u64>,
    /// The SHA-256 of its file, in hexadecimal.
    pub sha256: Option<String>,
    /// Whether everything is in it.
    pub complete: Option<bool>,
    /// Why it broke, where it did.
    pub failure: Option<String>,
    /// Where its file is; where nobody told, what the lines let expect.
    pub state: RecordingState,
    /// The file's place as whoever keeps it understands it.
    pub location: Option<String>,
}

impl RecordingRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let said = RecordedRow::read(row)?;
        let cells = Cells { row, table: RecordedRow::NAME };
        let expected = if said.ended.is_some() { RecordingState::Spooled } else { RecordingState::Writing };
        Ok(Self {
            state: cells.maybe_parsed("state", RecordingState::parse)?.unwrap_or(expected),
            location: cells.maybe_text("location")?,
            id: said.id,
            session: said.session,
            connection: said.connection,
            node: said.node,
            channel: said.channel,
            started: said.started,
            ended: said.ended,
            format: said.format,
            bytes: said.bytes,
            compressed_bytes: said.compressed_bytes,
            sha256: said.sha256,
            complete: said.complete,
            failure: said.failure,
        })
    }
}

impl Store {
    /// The recording, if there is one of that id.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn recording(&self, id: &RecordingId) -> Result<Option<RecordingRow>, StoreError> {
        let mut sql = Sql::new("SELECT * FROM recordings WHERE id = ");
        sql.bind(id.to_string());
        Ok(self.recording_rows(sql).await?.pop())
    }

    /// The recordings of a session, by channel.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn recordings_of(&self, session: &SessionId) -> Result<Vec<RecordingRow>, StoreError> {
        let mut sql = Sql::new("SELECT * FROM recordings WHERE session = ");
        sql.bind(session.to_string()).push(" ORDER BY channel, id");
        self.recording_rows(sql).await
    }

    /// Recordings in the order of their ids, after that one: to go through all of them.
    ///
    /// # Errors
    /// When the database does not answer or a row is damaged.
    pub async fn recordings(
        &self,
        after: Option<&RecordingId>,
        limit: u32,
    ) -> Result<Vec<RecordingRow>, StoreError> {
        let mut sql = Sql::new("SELECT * FROM recordings WHERE id > ");
        sql.bind(after.map(ToString::to_string).unwrap_or_default());
        sql.push(" ORDER BY id LIMIT ").bind(i64::from(limit));
        self.recording_rows(sql).await
    }

    /// Notes where a recording's file is. It may be told before the line that names the recording
    /// is stored.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_recording(
        &self,
        id: &RecordingId,
        state: RecordingState,
        location: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut sql = Sql::new("INSERT INTO recordings (id, state, location, told) VALUES ");
        sql.bind_all([
            Value::from(id.to_string()),
            state.name().into(),
            location.map(storable).into(),
            now.as_millisecond().into(),
        ]);
        sql.push(
            " ON CONFLICT (id) DO UPDATE SET state = excluded.state, location = excluded.location, \
             told = excluded.told",
        );
        self.run(sql).await?;
        Ok(())
    }

    async fn recording_rows(&self, sql: Sql) -> Result<Vec<RecordingRow>, StoreError> {
        let rows = answered(async { Ok(sql.query().fetch_all(&self.pool).await?) }).await?;
        rows.iter().map(RecordingRow::read).collect()
    }
}
