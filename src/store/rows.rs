//! The rows that are derived from lines.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::StoreError;
use super::sql::Value;
use crate::domain::{ConnectionId, NodeName, RecordingId, SessionId};

/// A table whose rows are made from lines.
pub(super) trait Table: Sized + PartialEq + std::fmt::Debug {
    /// Its name.
    const NAME: &'static str;
    /// The columns that say which row it is.
    const KEY: &'static [&'static str];
    /// Every derived column, those of the key first.
    const COLUMNS: &'static [&'static str];
    /// The values, in the order of the columns.
    fn values(&self) -> Vec<Value>;
    /// Reads a row that has these columns.
    fn read(row: &AnyRow) -> Result<Self, StoreError>;
}

/// One session that started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    /// The session.
    pub id: SessionId,
    /// The node it runs or ran on.
    pub node: NodeName,
    /// The client's connection.
    pub connection: Option<ConnectionId>,
    /// When it started, to the millisecond.
    pub started: Timestamp,
    /// When it ended; none while it is live.
    pub ended: Option<Timestamp>,
    /// Who.
    pub user: String,
    /// The client's address.
    pub client_addr: String,
    /// The client's port.
    pub client_port: u16,
    /// How the target was addressed: `jump`, `direct`, `console`, `pass-through`.
    pub way: String,
    /// The OS user on the target.
    pub login: String,
    /// The instance.
    pub target_id: String,
    /// Its `Name` tag at that time.
    pub target_name: Option<String>,
    /// Its account.
    pub target_account: String,
    /// Its region.
    pub target_region: String,
    /// Its private address at that time.
    pub target_ip: String,
    /// `not-seen` where it was passed through.
    pub content: Option<String>,
    /// What its first channel was for: `shell`, `exec`, …
    pub action: Option<String>,
    /// The beginning of the first channel's command line, as the client sent it: hostile text.
    pub command: Option<String>,
    /// Why it ended, as a label; none while it is live.
    pub ending: Option<String>,
    /// More about why.
    pub detail: Option<String>,
    /// Data bytes from the client to the target, once it ended.
    pub bytes_to_target: Option<u64>,
    /// Data bytes from the target to the client, once it ended.
    pub bytes_to_client: Option<u64>,
    /// How many channels it had, once it ended.
    pub channels: Option<u64>,
}

impl Table for SessionRow {
    const NAME: &'static str = "sessions";
    const KEY: &'static [&'static str] = &["id"];
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "node",
        "connection",
        "started",
        "ended",
        "user_name",
        "client_addr",
        "client_port",
        "way",
        "login",
        "target_id",
        "target_name",
        "target_account",
        "target_region",
        "target_ip",
        "content",
        "action",
        "command",
        "ending",
        "detail",
        "bytes_to_target",
        "bytes_to_client",
        "channels",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            self.id.to_string().into(),
            self.node.as_str().into(),
            self.connection.map(|id| id.to_string()).into(),
            self.started.as_millisecond().into(),
            self.ended.map(Timestamp::as_millisecond).into(),
            self.user.as_str().into(),
            self.client_addr.as_str().into(),
            i64::from(self.client_port).into(),
            self.way.as_str().into(),
            self.login.as_str().into(),
            self.target_id.as_str().into(),
            self.target_name.as_deref().into(),
            self.target_account.as_str().into(),
            self.target_region.as_str().into(),
            self.target_ip.as_str().into(),
            self.content.as_deref().into(),
            self.action.as_deref().into(),
            self.command.as_deref().into(),
            self.ending.as_deref().into(),
            self.detail.as_deref().into(),
            self.bytes_to_target.map(super::sql::signed).into(),
            self.bytes_to_client.map(super::sql::signed).into(),
            self.channels.map(super::sql::signed).into(),
        ]
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells { row, table: Self::NAME };
        Ok(Self {
            id: cells.parsed("id", SessionId::parse)?,
            node: cells.parsed("node", NodeName::parse)?,
            connection: cells.maybe_parsed("connection", ConnectionId::parse)?,
            started: cells.time("started")?,
            ended: cells.maybe_time("ended")?,
            user: cells.text("user_name")?,
            client_addr: cells.text("client_addr")?,
            client_port: cells.port("client_port")?,
            way: cells.text("way")?,
            login: cells.text("login")?,
            target_id: cells.text("target_id")?,
            target_name: cells.maybe_text("target_name")?,
            target_account: cells.text("target_account")?,
            target_region: cells.text("target_region")?,
            target_ip: cells.text("target_ip")?,
            content: cells.maybe_text("content")?,
            action: cells.maybe_text("action")?,
            command: cells.maybe_text("command")?,
            ending: cells.maybe_text("ending")?,
            detail: cells.maybe_text("detail")?,
            bytes_to_target: cells.maybe_count("bytes_to_target")?,
            bytes_to_client: cells.maybe_count("bytes_to_client")?,
            channels: cells.maybe_count("channels")?,
        })
    }
}

/// One connection of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRow {
    /// The connection.
    pub id: ConnectionId,
    /// The node it came to.
    pub node: NodeName,
    /// When it was opened, to the millisecond.
    pub opened: Timestamp,
    /// When it ended; none while it is open.
    pub ended: Option<Timestamp>,
    /// The client's address.
    pub client_addr: String,
    /// The client's port.
    pub client_port: u16,
    /// The client's identification string: hostile text.
    pub client_version: Option<String>,
    /// Who it turned out to be.
    pub user: Option<String>,
    /// How that was proved: `publickey`, `certificate`.
    pub method: Option<String>,
    /// The key that signed.
    pub fingerprint: Option<String>,
    /// Why it ended, as a label.
    pub ending: Option<String>,
    /// More about why.
    pub detail: Option<String>,
}

impl Table for ConnectionRow {
    const NAME: &'static str = "connections";
    const KEY: &'static [&'static str] = &["id"];
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "node",
        "opened",
        "ended",
        "client_addr",
        "client_port",
        "client_version",
        "user_name",
        "method",
        "fingerprint",
        "ending",
        "detail",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            self.id.to_string().into(),
            self.node.as_str().into(),
            self.opened.as_millisecond().into(),
            self.ended.map(Timestamp::as_millisecond).into(),
            self.client_addr.as_str().into(),
            i64::from(self.client_port).into(),
            self.client_version.as_deref().into(),
            self.user.as_deref().into(),
            self.method.as_deref().into(),
            self.fingerprint.as_deref().into(),
            self.ending.as_deref().into(),
            self.detail.as_deref().into(),
        ]
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells { row, table: Self::NAME };
        Ok(Self {
            id: cells.parsed("id", ConnectionId::parse)?,
            node: cells.parsed("node", NodeName::parse)?,
            opened: cells.time("opened")?,
            ended: cells.maybe_time("ended")?,
            client_addr: cells.text("client_addr")?,
            client_port: cells.port("client_port")?,
            client_version: cells.maybe_text("client_version")?,
            user: cells.maybe_text("user_name")?,
            method: cells.maybe_text("method")?,
            fingerprint: cells.maybe_text("fingerprint")?,
            ending: cells.maybe_text("ending")?,
            detail: cells.maybe_text("detail")?,
        })
    }
}

/// One decision of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecisionRow {
    /// The node that decided.
    pub node: NodeName,
    /// The number of its line.
    pub seq: u64,
    /// When, to the millisecond.
    pub time: Timestamp,
    /// The client's connection.
    pub connection: Option<ConnectionId>,
    /// The session it was about, which may never have started.
    pub session: Option<SessionId>,
    /// `permit` or `refuse`.
    pub outcome: String,
    /// Who asked.
    pub user: String,
    /// From where.
    pub client_addr: String,
    /// The instance.
    pub target_id: Option<String>,
    /// Its `Name` tag.
    pub target_name: Option<String>,
    /// The OS user on it.
    pub login: Option<String>,
    /// What policies call it.
    pub action: String,
    /// Why not, of a refusal.
    pub reason: Option<String>,
    /// The rules that decided, as a JSON array of texts.
    pub rules: String,
}

impl Table for DecisionRow {
    const NAME: &'static str = "decisions";
    const KEY: &'static [&'static str] = &["node", "seq"];
    const COLUMNS: &'static [&'static str] = &[
        "node",
        "seq",
        "time",
        "connection",
        "session",
        "outcome",
        "user_name",
        "client_addr",
        "target_id",
        "target_name",
        "login",
        "action",
        "reason",
        "rules",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            self.node.as_str().into(),
            super::sql::signed(self.seq).into(),
            self.time.as_millisecond().into(),
            self.connection.map(|id| id.to_string()).into(),
            self.session.map(|id| id.to_string()).into(),
            self.outcome.as_str().into(),
            self.user.as_str().into(),
            self.client_addr.as_str().into(),
            self.target_id.as_deref().into(),
            self.target_name.as_deref().into(),
            self.login.as_deref().into(),
            self.action.as_str().into(),
            self.reason.as_deref().into(),
            self.rules.as_str().into(),
        ]
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells { row, table: Self::NAME };
        Ok(Self {
            node: cells.parsed("node", NodeName::parse)?,
            seq: cells.count("seq")?,
            time: cells.time("time")?,
            connection: cells.maybe_parsed("connection", ConnectionId::parse)?,
            session: cells.maybe_parsed("session", SessionId::parse)?,
            outcome: cells.text("outcome")?,
            user: cells.text("user_name")?,
            client_addr: cells.text("client_addr")?,
            target_id: cells.maybe_text("target_id")?,
            target_name: cells.maybe_text("target_name")?,
            login: cells.maybe_text("login")?,
            action: cells.text("action")?,
            reason: cells.maybe_text("reason")?,
            rules: cells.text("rules")?,
        })
    }
}

/// The last signed head of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// Whose.
    pub node: NodeName,
    /// The number of the head's own line.
    pub seq: u64,
    /// When it was signed, to the millisecond.
    pub time: Timestamp,
    /// The last line that it vouches for.
    pub through: u64,
    /// The hash of that line, in hexadecimal.
    pub hash: String,
    /// The fingerprint of the key that signed.
    pub key: String,
    /// The signature, in base64.
    pub signature: String,
}

impl Table for HeadRow {
    const NAME: &'static str = "heads";
    const KEY: &'static [&'static str] = &["node"];
    const COLUMNS: &'static [&'static str] =
        &["node", "seq", "time", "through", "hash", "key_print", "signature"];

    fn values(&self) -> Vec<Value> {
        vec![
            self.node.as_str().into(),
            super::sql::signed(self.seq).into(),
            self.time.as_millisecond().into(),
            super::sql::signed(self.through).into(),
            self.hash.as_str().into(),
            self.key.as_str().into(),
            self.signature.as_str().into(),
        ]
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells { row, table: Self::NAME };
        Ok(Self {
            node: cells.parsed("node", NodeName::parse)?,
            seq: cells.count("seq")?,
            time: cells.time("time")?,
            through: cells.count("through")?,
            hash: cells.text("hash")?,
            key: cells.text("key_print")?,
            signature: cells.text("signature")?,
        })
    }
}

/// What the lines say of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordedRow {
    /// The recording.
    pub(super) id: RecordingId,
    /// The session it is of.
    pub(super) session: Option<SessionId>,
    /// The client's connection.
    pub(super) connection: Option<ConnectionId>,
    /// The node that recorded.
    pub(super) node: Option<NodeName>,
    /// The channel within the session.
    pub(super) channel: Option<u64>,
    /// When it began.
    pub(super) started: Option<Timestamp>,
    /// When its channel ended.
    pub(super) ended: Option<Timestamp>,
    /// `asciicast` or `output`; known from its ending on.
    pub(super) format: Option<String>,
    /// Its size before compression.
    pub(super) bytes: Option<u64>,
    /// The size of its file.
    pub(super) compressed_bytes: Option<u64>,
    /// The SHA-256 of its file, in hexadecimal.
    pub(super) sha256: Option<String>,
    /// Whether everything is in it.
    pub(super) complete: Option<bool>,
    /// Why it broke, where it did.
    pub(super) failure: Option<String>,
}

impl Table for RecordedRow {
    const NAME: &'static str = "recordings";
    const KEY: &'static [&'static str] = &["id"];
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "session",
        "connection",
        "node",
        "channel",
        "started",
        "ended",
        "format",
        "bytes",
        "compressed_bytes",
        "sha256",
        "complete",
        "failure",
    ];

    fn values(&self) -> Vec<Value> {
        vec![
            self.id.to_string().into(),
            self.session.map(|id| id.to_string()).into(),
            self.connection.map(|id| id.to_string()).into(),
            self.node.as_ref().map(NodeName::as_str).into(),
            self.channel.map(super::sql::signed).into(),
            self.started.map(Timestamp::as_millisecond).into(),
            self.ended.map(Timestamp::as_millisecond).into(),
            self.format.as_deref().into(),
            self.bytes.map(super::sql::signed).into(),
            self.compressed_bytes.map(super::sql::signed).into(),
            self.sha256.as_deref().into(),
            self.complete.map(i64::from).into(),
            self.failure.as_deref().into(),
        ]
    }

    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        let cells = Cells { row, table: Self::NAME };
        Ok(Self {
            id: cells.parsed("id", RecordingId::parse)?,
            session: cells.maybe_parsed("session", SessionId::parse)?,
            connection: cells.maybe_parsed("connection", ConnectionId::parse)?,
            node: cells.maybe_parsed("node", NodeName::parse)?,
            channel: cells.maybe_count("channel")?,
            started: cells.maybe_time("started")?,
            ended: cells.maybe_time("ended")?,
            format: cells.maybe_text("format")?,
            bytes: cells.maybe_count("bytes")?,
            compressed_bytes: cells.maybe_count("compressed_bytes")?,
            sha256: cells.maybe_text("sha256")?,
            complete: cells.maybe_count("complete")?.map(|flag| flag != 0),
            failure: cells.maybe_text("failure")?,
        })
    }
}

/// One row, read cell by cell and checked.
pub(super) struct Cells<'a> {
    pub(super) row: &'a AnyRow,
    pub(super) table: &'static str,
}

impl Cells<'_> {
    fn damaged(&self, field: &'static str) -> StoreError {
        StoreError::Unreadable { table: self.table, field }
    }

    pub(super) fn text(&self, field: &'static str) -> Result<String, StoreError> {
        Ok(self.row.try_get(field)?)
    }

    pub(super) fn maybe_text(&self, field: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.row.try_get(field)?)
    }

    pub(super) fn parsed<T>(
        &self,
        field: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<T, StoreError> {
        parse(&self.text(field)?).ok_or_else(|| self.damaged(field))
    }

    pub(super) fn maybe_parsed<T>(
        &self,
        field: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let text = self.maybe_text(field)?;
        text.map(|text| parse(&text).ok_or_else(|| self.damaged(field))).transpose()
    }

    pub(super) fn number(&self, field: &'static str) -> Result<i64, StoreError> {
        Ok(self.row.try_get(field)?)
    }

    pub(super) fn count(&self, field: &'static str) -> Result<u64, StoreError> {
        let number: i64 = self.row.try_get(field)?;
        u64::try_from(number).map_err(|_| self.damaged(field))
    }

    pub(super) fn maybe_count(&self, field: &'static str) -> Result<Option<u64>, StoreError> {
        let number: Option<i64> = self.row.try_get(field)?;
        number.map(|number| u64::try_from(number).map_err(|_| self.damaged(field))).transpose()
    }

    pub(super) fn port(&self, field: &'static str) -> Result<u16, StoreError> {
        u16::try_from(self.count(field)?).map_err(|_| self.damaged(field))
    }

    pub(super) fn time(&self, field: &'static str) -> Result<Timestamp, StoreError> {
        let number: i64 = self.row.try_get(field)?;
        Timestamp::from_millisecond(number).map_err(|_| self.damaged(field))
    }

    pub(super) fn maybe_time(&self, field: &'static str) -> Result<Option<Timestamp>, StoreError> {
        let number: Option<i64> = self.row.try_get(field)?;
        number.map(|number| Timestamp::from_millisecond(number).map_err(|_| self.damaged(field))).transpose()
    }
}
