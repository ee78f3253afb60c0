//! The tables: a row's fields are its columns.

use jiff::Timestamp;

use super::table;
use crate::domain::{ConnectionId, NodeName, RecordingId, SessionId};

table! {
    /// One session that started.
    pub struct SessionRow in "sessions" by ["id"] {
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
        pub user: String => "user_name",
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
}

table! {
    /// One connection of a client.
    pub struct ConnectionRow in "connections" by ["id"] {
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
        pub user: Option<String> => "user_name",
        /// How that was proved: `publickey`, `certificate`.
        pub method: Option<String>,
        /// The key that signed.
        pub fingerprint: Option<String>,
        /// Why it ended, as a label.
        pub ending: Option<String>,
        /// More about why.
        pub detail: Option<String>,
    }
}

table! {
    /// One decision of the policy.
    pub struct DecisionRow in "decisions" by ["node", "seq"] {
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
        pub user: String => "user_name",
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
}

table! {
    /// The last signed head of a node.
    pub struct HeadRow in "heads" by ["node"] {
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
        pub key: String => "key_print",
        /// The signature, in base64.
        pub signature: String,
    }
}

table! {
    /// What the lines say of a recording.
    pub(in crate::store) struct RecordedRow in "recordings" by ["id"] {
        /// The recording.
        pub(in crate::store) id: RecordingId,
        /// The session it is of.
        pub(in crate::store) session: Option<SessionId>,
        /// The client's connection.
        pub(in crate::store) connection: Option<ConnectionId>,
        /// The node that recorded.
        pub(in crate::store) node: Option<NodeName>,
        /// The channel within the session.
        pub(in crate::store) channel: Option<u64>,
        /// When it began.
        pub(in crate::store) started: Option<Timestamp>,
        /// When its channel ended.
        pub(in crate::store) ended: Option<Timestamp>,
        /// `asciicast` or `output`; known from its ending on.
        pub(in crate::store) format: Option<String>,
        /// Its size before compression.
        pub(in crate::store) bytes: Option<u64>,
        /// The size of its file.
        pub(in crate::store) compressed_bytes: Option<u64>,
        /// The SHA-256 of its file, in hexadecimal.
        pub(in crate::store) sha256: Option<String>,
        /// Whether everything is in it.
        pub(in crate::store) complete: Option<bool>,
        /// Why it broke, where it did.
        pub(in crate::store) failure: Option<String>,
    }
}
