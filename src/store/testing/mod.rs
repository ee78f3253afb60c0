//! Each test on both databases: labs, and journals' lines made by hand.
//!
//! What always holds: a test has a database of its own, empty when it begins; PostgreSQL is a real server, one for the
//! whole test process, and where it is not installed, that is said loudly.
//!
//! What is not here: a stand-in for a database.

pub(crate) mod postgres;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use super::{JournalLine, LineHash, Place, Store};
use crate::domain::{ConnectionId, NodeName, SessionId};
use postgres::Cluster;

/// A test that runs on SQLite and on PostgreSQL, each time with an empty database of its own.
macro_rules! on_both {
    ($(async fn $name:ident($lab:ident) $body:block)*) => {
        $(mod $name {
            use super::*;

            async fn test($lab: $crate::store::testing::Lab) $body

            #[tokio::test]
            async fn sqlite() {
                test($crate::store::testing::Lab::sqlite()).await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(lab) = $crate::store::testing::Lab::postgres() {
                    test(lab).await;
                }
            }
        })*
    };
}
pub(crate) use on_both;

impl Cluster {
    /// Ends the server as a crash would: nothing is finished, everything must be recovered.
    pub(crate) fn crash(&mut self) {
        self.end("-QUIT");
    }
}

/// Where the database of one test is.
pub(crate) struct Lab {
    pub(super) place: Place,
    _directory: Option<TempDir>,
}

impl Lab {
    pub(crate) fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { place: directory.path().join("state.db").as_path().into(), _directory: Some(directory) }
    }

    pub(crate) fn postgres() -> Option<Self> {
        static SERVER: OnceLock<Option<Cluster>> = OnceLock::new();
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = SERVER.get_or_init(Cluster::start).as_ref()?;
        let url = server.database(&format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        Some(Self { place: Place::server(&url), _directory: None })
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(self.place.clone()).await.expect("it opens")
    }
}

pub(super) fn node(name: &str) -> NodeName {
    NodeName::parse(name).expect("a name")
}

/// Writes lines as a node's journal has them.
#[derive(Debug, Clone)]
pub(super) struct Scribe {
    pub(super) node: NodeName,
    seq: u64,
    prev: LineHash,
    /// Milliseconds since 2026-01-02T03:04:05Z.
    pub(super) clock: i64,
    pub(super) lines: Vec<JournalLine>,
}

impl Scribe {
    pub(super) fn new(name: &str) -> Self {
        Self { node: node(name), seq: 0, prev: LineHash::NONE, clock: 0, lines: Vec::new() }
    }

    /// Writes a line with these further fields, `,"like":"this"`.
    pub(super) fn line(
        &mut self,
        event: &str,
        connection: Option<ConnectionId>,
        session: Option<SessionId>,
        fields: &str,
    ) -> &mut Self {
        self.seq += 1;
        self.clock += 1;
        let time = jiff::Timestamp::from_millisecond(1_767_323_045_000 + self.clock).expect("a time");
        let id = |name, id: Option<String>| id.map(|id| format!(",\"{name}\":\"{id}\"")).unwrap_or_default();
        let text = format!(
            "{{\"v\":1,\"node\":\"{}\",\"seq\":{},\"prev\":\"{}\",\"time\":\"{time:.3}\",\"event\":\"{event}\"{}{}{fields}}}",
            self.node,
            self.seq,
            self.prev,
            id("connection", connection.map(|id| id.to_string())),
            id("session", session.map(|id| id.to_string())),
        );
        self.prev = LineHash::of(&text);
        self.lines.push(JournalLine { seq: self.seq, text });
        self
    }

    pub(super) fn connected(&mut self, connection: ConnectionId, user: &str) -> &mut Self {
        let c = Some(connection);
        self.line("connection-opened", c, None, r#","client_addr":"203.0.113.7","client_port":50122"#)
            .line("client-identified", c, None, r#","client_version":"SSH-2.0-OpenSSH_10.0""#)
            .line(
                "authentication-succeeded",
                c,
                None,
                &format!(r#","user":"{user}","method":"publickey","fingerprint":"SHA256:x""#),
            )
    }

    pub(super) fn session(
        &mut self,
        connection: ConnectionId,
        session: SessionId,
        user: &str,
        target: &str,
    ) -> &mut Self {
        let (c, s) = (Some(connection), Some(session));
        let target = format!(
            r#""target":{{"id":"i-0123456789abcdef0","name":"{target}","account":"123456789012","region":"eu-west-1","private_ip":"10.0.1.20"}}"#
        );
        self.line("decision", c, s, &format!(r#","outcome":"permit","user":"{user}","client_addr":"203.0.113.7",{target},"login":"ec2-user","action":"exec","command":"uptime","rules":["r1"]"#))
            .line("session-started", c, s, &format!(r#","user":"{user}","client_addr":"203.0.113.7","client_port":50122,"way":"jump","login":"ec2-user",{target}"#))
    }

    pub(super) fn exec(&mut self, connection: ConnectionId, session: SessionId, command: &str) -> &mut Self {
        let command = serde_json::to_string(command).expect("a text");
        let fields = format!(r#","channel":1,"action":"exec","command":{command},"record":"off""#);
        self.line("channel-started", Some(connection), Some(session), &fields)
    }

    pub(super) fn ended(&mut self, connection: ConnectionId, session: SessionId) -> &mut Self {
        let fields = r#","ending":"finished","bytes_to_target":17,"bytes_to_client":4096,"channels":1,"duration_ms":5"#;
        self.line("session-ended", Some(connection), Some(session), fields)
    }

    /// A head that vouches for everything before it; its signature is none.
    pub(super) fn head(&mut self) -> &mut Self {
        let fields = format!(
            r#","through":{},"hash":"{}","key":"SHA256:x","signature":"x","others":[]"#,
            self.seq, self.prev
        );
        self.line("head", None, None, &fields)
    }

    /// A whole visit of one session.
    pub(super) fn visit(
        &mut self,
        number: u128,
        user: &str,
        target: &str,
        command: &str,
    ) -> (ConnectionId, SessionId) {
        let ids = (ConnectionId::fixed(number), SessionId::fixed(number));
        self.connected(ids.0, user)
            .session(ids.0, ids.1, user, target)
            .exec(ids.0, ids.1, command)
            .ended(ids.0, ids.1);
        self.line("connection-ended", Some(ids.0), None, r#","ending":"client-left","duration_ms":9"#);
        ids
    }
}
