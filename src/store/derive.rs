//! What lines make of rows. Pure: the same lines make the same rows, whenever and wherever.

use jiff::Timestamp;

use super::line::{Fields, Said};
use super::rows::{ConnectionRow, DecisionRow, HeadRow, RecordedRow, SessionRow, Table};
use crate::domain::{ConnectionId, NodeName, RecordingId, SessionId};

/// A table of which several lines make one row.
pub(super) trait Folded: Table + Clone {
    /// The events that say something about a row.
    const EVENTS: &'static [&'static str];
    /// The column of `events` under which a row's lines are found.
    const FOUND_BY: &'static str;
    /// Which row a line is about.
    fn id(said: &Said) -> Option<String>;
    /// The row after the line; none where there is none yet and this line does not begin one.
    fn after(before: Option<Self>, node: &NodeName, said: &Said) -> Option<Self>;
    /// The row's lines are found under this in `FOUND_BY`.
    fn found_under(&self) -> Option<String>;
    /// The id as it is in the database.
    fn own_id(&self) -> String;
    /// What the row must be while no line of it is stored; none where it cannot be without.
    fn without_lines(&self) -> Option<Self> {
        None
    }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn count(fields: Fields<'_>, key: &str) -> Option<u64> {
    fields.number(key).and_then(|number| u64::try_from(number).ok())
}

fn port(fields: Fields<'_>, key: &str) -> u16 {
    fields.number(key).and_then(|number| u16::try_from(number).ok()).unwrap_or_default()
}

/// The ending of an interrupted one: the line is written by a later run.
const INTERRUPTED: &str = "interrupted";

impl Folded for SessionRow {
    const EVENTS: &'static [&'static str] =
        &["session-started", "channel-started", "forward-started", "session-ended", "session-interrupted"];
    const FOUND_BY: &'static str = "session";

    fn id(said: &Said) -> Option<String> {
        said.session.map(|id| id.to_string())
    }

    fn after(before: Option<Self>, node: &NodeName, said: &Said) -> Option<Self> {
        let fields = said.fields();
        let Some(mut row) = before else {
            return (said.event == "session-started").then(|| Self::started(node, said)).flatten();
        };
        match said.event.as_str() {
            "channel-started" | "forward-started" if row.action.is_none() => {
                row.action = fields.key("action");
                row.command = fields.key("command");
            }
            "session-ended" if row.ended.is_none() => {
                row.ended = Some(at(said.time));
                row.ending = fields.key("ending");
                row.detail = fields.text("detail");
                row.bytes_to_target = count(fields, "bytes_to_target");
                row.bytes_to_client = count(fields, "bytes_to_client");
                row.channels = count(fields, "channels");
            }
            "session-interrupted" if row.ended.is_none() => {
                row.ended = Some(at(fields.time("last_seen").unwrap_or(said.time)));
                row.ending = Some(INTERRUPTED.to_owned());
            }
            _ => {}
        }
        Some(row)
    }

    fn found_under(&self) -> Option<String> {
        Some(self.id.to_string())
    }

    fn own_id(&self) -> String {
        self.id.to_string()
    }
}

impl SessionRow {
    fn started(node: &NodeName, said: &Said) -> Option<Self> {
        let (fields, target) = (said.fields(), said.object("target"));
        let text = |key| fields.key(key).unwrap_or_default();
        Some(Self {
            id: said.session?,
            node: node.clone(),
            connection: said.connection,
            started: at(said.time),
            ended: None,
            user: text("user"),
            client_addr: text("client_addr"),
            client_port: port(fields, "client_port"),
            way: text("way"),
            login: text("login"),
            target_id: target.key("id").unwrap_or_default(),
            target_name: target.key("name"),
            target_account: target.key("account").unwrap_or_default(),
            target_region: target.key("region").unwrap_or_default(),
            target_ip: target.key("private_ip").unwrap_or_default(),
            content: fields.key("content"),
            action: None,
            command: None,
            ending: None,
            detail: None,
            bytes_to_target: None,
            bytes_to_client: None,
            channels: None,
        })
    }
}

impl Folded for ConnectionRow {
    const EVENTS: &'static [&'static str] = &[
        "connection-opened",
        "client-identified",
        "authentication-succeeded",
        "connection-ended",
        "connection-interrupted",
    ];
    const FOUND_BY: &'static str = "connection";

    fn id(said: &Said) -> Option<String> {
        said.connection.map(|id| id.to_string())
    }

    fn after(before: Option<Self>, node: &NodeName, said: &Said) -> Option<Self> {
        let fields = said.fields();
        let Some(mut row) = before else {
            return (said.event == "connection-opened").then(|| Self::opened(node, said)).flatten();
        };
        match said.event.as_str() {
            "client-identified" => row.client_version = fields.key("client_version"),
            "authentication-succeeded" => {
                row.user = fields.key("user");
                row.method = fields.key("method");
                row.fingerprint = fields.key("fingerprint");
            }
            "connection-ended" if row.ended.is_none() => {
                row.ended = Some(at(said.time));
                row.ending = fields.key("ending");
                row.detail = fields.text("detail");
            }
            "connection-interrupted" if row.ended.is_none() => {
                row.ended = Some(at(fields.time("last_seen").unwrap_or(said.time)));
                row.ending = Some(INTERRUPTED.to_owned());
            }
            _ => {}
        }
        Some(row)
    }

    fn found_under(&self) -> Option<String> {
        Some(self.id.to_string())
    }

    fn own_id(&self) -> String {
        self.id.to_string()
    }
}

impl ConnectionRow {
    fn opened(node: &NodeName, said: &Said) -> Option<Self> {
        let fields = said.fields();
        Some(Self {
            id: said.connection?,
            node: node.clone(),
            opened: at(said.time),
            ended: None,
            client_addr: fields.key("client_addr").unwrap_or_default(),
            client_port: port(fields, "client_port"),
            client_version: None,
            user: None,
            method: None,
            fingerprint: None,
            ending: None,
            detail: None,
        })
    }
}

impl Folded for RecordedRow {
    const EVENTS: &'static [&'static str] =
        &["channel-started", "recording-failed", "channel-ended", "recording-salvaged"];
    const FOUND_BY: &'static str = "session";

    fn id(said: &Said) -> Option<String> {
        let named = said.fields().text("recording").or_else(|| said.object("recording").text("id"));
        let known = Self::EVENTS.contains(&said.event.as_str());
        named.filter(|id| known && RecordingId::parse(id).is_some())
    }

    fn after(before: Option<Self>, node: &NodeName, said: &Said) -> Option<Self> {
        let id = RecordingId::parse(&Self::id(said)?)?;
        let fields = said.fields();
        let mut row = before.unwrap_or_else(|| Self::unknown(id));
        if row.node.is_none() {
            row.session = said.session;
            row.connection = said.connection;
            row.node = Some(node.clone());
            row.channel = count(fields, "channel");
        }
        match said.event.as_str() {
            "channel-started" => row.started = Some(at(said.time)),
            "recording-failed" => row.failure = fields.text("detail"),
            "channel-ended" | "recording-salvaged" => row.ended_as(said),
            _ => {}
        }
        Some(row)
    }

    fn found_under(&self) -> Option<String> {
        self.session.map(|id| id.to_string())
    }

    fn own_id(&self) -> String {
        self.id.to_string()
    }

    fn without_lines(&self) -> Option<Self> {
        Some(Self::unknown(self.id))
    }
}

impl RecordedRow {
    fn unknown(id: RecordingId) -> Self {
        Self {
            id,
            session: None,
            connection: None,
            node: None,
            channel: None,
            started: None,
            ended: None,
            format: None,
            bytes: None,
            compressed_bytes: None,
            sha256: None,
            complete: None,
            failure: None,
        }
    }

    fn ended_as(&mut self, said: &Said) {
        let recording = said.object("recording");
        self.ended = Some(at(said.time));
        self.format = recording.key("format");
        self.bytes = count(recording, "bytes");
        self.compressed_bytes = count(recording, "compressed_bytes");
        self.sha256 = recording.key("sha256");
        self.complete = recording.flag("complete").map(|flag| flag != 0);
    }
}

impl DecisionRow {
    /// The row that a line is, if it is one.
    pub(super) fn of(node: &NodeName, seq: u64, said: &Said) -> Option<Self> {
        if said.event != "decision" {
            return None;
        }
        let (fields, target) = (said.fields(), said.object("target"));
        let text = |key| fields.key(key).unwrap_or_default();
        Some(Self {
            node: node.clone(),
            seq,
            time: at(said.time),
            connection: said.connection,
            session: said.session,
            outcome: text("outcome"),
            user: text("user"),
            client_addr: text("client_addr"),
            target_id: target.key("id"),
            target_name: target.key("name"),
            login: fields.key("login"),
            action: text("action"),
            reason: fields.key("reason"),
            rules: fields.json("rules").unwrap_or_else(|| "[]".to_owned()),
        })
    }
}

impl HeadRow {
    /// The row that a line is, if it is one.
    pub(super) fn of(node: &NodeName, seq: u64, said: &Said) -> Option<Self> {
        if said.event != "head" {
            return None;
        }
        let fields = said.fields();
        Some(Self {
            node: node.clone(),
            seq,
            time: at(said.time),
            through: count(fields, "through")?,
            hash: fields.key("hash")?,
            key: fields.key("key").unwrap_or_default(),
            signature: fields.text("signature").unwrap_or_default(),
        })
    }
}

/// Whose words a line has: its session's, or its connection's where it has no session.
pub(super) fn subject(session: Option<SessionId>, connection: Option<ConnectionId>) -> Option<String> {
    session.map(|id| id.to_string()).or_else(|| connection.map(|id| id.to_string()))
}
