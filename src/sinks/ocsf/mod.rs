//! OCSF: lines as events of the Open Cybersecurity Schema Framework.
//!
//! What always holds: each line becomes one event, valid in its class of [`SCHEMA`] (a test has a validator of
//! others say so), and loses nothing: what the schema has no place for is in `unmapped`. `metadata.uid` is
//! the node and the line's number, so events can be told apart and counted.
//!
//! What it does not do: carry the chain's hashes. They are about the native lines.

mod activity;
mod context;
mod exported;
mod file;
mod object;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::escape::escaped;
use super::record::{Record, Severity};
use crate::audit::json::misleads;
use activity::{Activity, Class, Status};
use context::{Context, Contexts};
pub use exported::OcsfExport;
use object::{
    actor, bastion_device, bastion_endpoint, client_endpoint, destination_endpoint, fixed, number, object,
    socket_endpoint, target_endpoint, text,
};

/// The version of the schema.
pub const SCHEMA: &str = "1.8.0";
/// Between the node and the line's number in `metadata.uid`. No node's name has it.
pub(super) const UID_SEPARATOR: char = '/';
/// The parts of the schema that our events use beyond what every event of a class has.
const PROFILES: [&str; 2] = ["host", "security_control"];
const NAME: &str = "drawbridge";

/// Makes events of lines, which it must see in their order.
#[derive(Debug)]
pub(super) struct Translator {
    node: String,
    contexts: Contexts,
}

impl Translator {
    /// A translator for this node's lines.
    pub(super) fn new(node: &str) -> Self {
        Self { node: node.to_owned(), contexts: Contexts::default() }
    }

    /// Takes note of a line that is not translated again.
    pub(super) fn recall(&mut self, record: &Record<'_>) {
        self.contexts.learn(record);
    }

    /// A line as an event, in JSON without control characters.
    pub(super) fn event(&mut self, record: &Record<'_>) -> Vec<u8> {
        let context = self.contexts.learn(record);
        let activity = Activity::of(record);
        let mut event = self.common(record, &activity);
        match activity.class {
            Class::Authentication => self.authentication(&mut event, record, &context),
            Class::SshActivity => self.ssh_activity(&mut event, record, &context),
            Class::FileActivity => file::activity(&mut event, record, &context),
            Class::Base => put(&mut event, "device", bastion_device(&self.node)),
        }
        escaped(&Value::Object(event).to_string(), misleads).into_bytes()
    }

    /// What every event has.
    fn common(&self, record: &Record<'_>, activity: &Activity) -> Map<String, Value> {
        let mut event = Map::new();
        let (class, id) = (activity.class, activity.id);
        let (severity_id, severity) = severity(record.severity());
        let time = record.time.map_or(0, Timestamp::as_millisecond);
        put(&mut event, "class_uid", class.uid());
        put(&mut event, "class_name", class.name());
        put(&mut event, "category_uid", class.category().0);
        put(&mut event, "category_name", class.category().1);
        put(&mut event, "activity_id", id);
        put(&mut event, "activity_name", activity.name.as_str());
        put(&mut event, "type_uid", class.uid().saturating_mul(100).saturating_add(id));
        put(&mut event, "type_name", format!("{}: {}", class.name(), activity.name));
        put(&mut event, "time", time);
        put(&mut event, "severity_id", severity_id);
        put(&mut event, "severity", severity);
        put(&mut event, "status_id", activity.status.id());
        put(&mut event, "status", activity.status.name());
        let code = ["reason", "ending", "result"].iter().find_map(|field| record.text_of(field));
        put_known(&mut event, "status_code", text(code));
        put_known(&mut event, "status_detail", text(record.text_of("detail")));
        put(&mut event, "metadata", self.metadata(record));
        put_control(&mut event, record, activity.status);
        put_times(&mut event, record, time);
        let mut unmapped = record.fields.clone();
        if record.fields.is_empty() && record.event == super::record::UNREADABLE {
            unmapped.insert("line".to_owned(), Value::from(record.text));
        }
        put(&mut event, "unmapped", unmapped);
        event
    }

    fn metadata(&self, record: &Record<'_>) -> Value {
        let uid = format!("{}{UID_SEPARATOR}{}", self.node, record.seq);
        let correlated = record.text_of("session").or(record.text_of("connection"));
        let product = object([
            ("name", fixed(NAME)),
            ("vendor_name", fixed(NAME)),
            ("version", fixed(env!("CARGO_PKG_VERSION"))),
        ]);
        object([
            ("version", fixed(SCHEMA)),
            ("product", Some(product)),
            ("profiles", Some(Value::from(PROFILES.to_vec()))),
            ("uid", fixed(&uid)),
            ("sequence", number(record.seq)),
            ("event_code", fixed(&record.event)),
            ("log_name", fixed("audit")),
            ("correlation_uid", text(correlated)),
        ])
    }

    fn authentication(&self, event: &mut Map<String, Value>, record: &Record<'_>, context: &Context) {
        let asked = record.text_of("ssh_user").unwrap_or_default();
        let user = object::user(context).unwrap_or_else(|| object([("name", fixed(asked))]));
        put(event, "user", user);
        put_known(event, "src_endpoint", client_endpoint(context));
        put(event, "dst_endpoint", bastion_endpoint(&self.node));
        put(event, "device", bastion_device(&self.node));
        put(event, "service", object([("name", fixed(NAME))]));
        put(event, "is_remote", true);
        put(event, "is_cleartext", false);
        put(event, "logon_type_id", 3);
        put(event, "logon_type", "Network");
        put(event, "auth_protocol_id", 99);
        put(event, "auth_protocol", format!("SSH {}", record.text_of("method").unwrap_or("unknown")));
        let connection = record.text_of("connection").map(|id| object([("uid", fixed(id))]));
        put_known(event, "session", connection);
        put_known(event, "certificate", certificate(record));
        put(event, "message", format!("{}: {asked}", record.event));
    }

    fn ssh_activity(&self, event: &mut Map<String, Value>, record: &Record<'_>, context: &Context) {
        let ours = || bastion_endpoint(&self.node);
        let upstream = record.text_of("target_address").and_then(socket_endpoint);
        let (src, dst, direction) = match upstream {
            Some(target) => (Some(ours()), target, 2),
            None => {
                let other = record.fields.get("destination").and_then(destination_endpoint);
                (client_endpoint(context), other.or_else(|| target_endpoint(context)).unwrap_or_else(ours), 1)
            }
        };
        put_known(event, "src_endpoint", src);
        put(event, "dst_endpoint", dst);
        put(event, "device", bastion_device(&self.node));
        let (session, connection) = (record.text_of("session"), record.text_of("connection"));
        put_known(event, "actor", actor(context, session, connection));
        let info = object([
            ("direction_id", number(direction)),
            ("protocol_name", fixed("tcp")),
            ("protocol_num", number(6)),
            ("uid", text(connection)),
        ]);
        put(event, "connection_info", info);
        put_known(event, "traffic", traffic(record));
        let what =
            ["command", "action", "requested", "typed", "way"].iter().find_map(|field| record.text_of(field));
        put(
            event,
            "message",
            what.map_or_else(|| record.event.clone(), |what| format!("{}: {what}", record.event)),
        );
    }
}

fn put(event: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    event.insert(name.to_owned(), value.into());
}

fn put_known(event: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        put(event, name, value);
    }
}

fn severity(severity: Severity) -> (u64, &'static str) {
    match severity {
        Severity::Info | Severity::Notice => (1, "Informational"),
        Severity::Warning => (2, "Low"),
        Severity::Error => (4, "High"),
    }
}

/// What policy or a limit decided, where it did.
fn put_control(event: &mut Map<String, Value>, record: &Record<'_>, status: Status) {
    if !matches!(
        record.event.as_str(),
        "decision"
            | "authentication-succeeded"
            | "authentication-failed"
            | "connection-refused"
            | "channel-refused"
    ) {
        return;
    }
    let (action, disposition) = match status {
        Status::Success => ((1, "Allowed"), (1, "Allowed")),
        Status::Failure => ((2, "Denied"), (2, "Blocked")),
    };
    put(event, "action_id", action.0);
    put(event, "action", action.1);
    put(event, "disposition_id", disposition.0);
    put(event, "disposition", disposition.1);
    let rules = record.fields.get("rules").and_then(Value::as_array);
    let decision = record.text_of("outcome");
    let authorization = |rule: &Value| {
        let policy = object([("name", text(rule.as_str())), ("is_applied", Some(Value::Bool(true)))]);
        object([("decision", text(decision)), ("policy", Some(policy))])
    };
    let authorizations: Vec<Value> = rules.into_iter().flatten().map(authorization).collect();
    if !authorizations.is_empty() {
        put(event, "authorizations", authorizations);
    }
}

fn put_times(event: &mut Map<String, Value>, record: &Record<'_>, time: i64) {
    let Some(duration) = record.number_of("duration_ms") else { return };
    put(event, "duration", duration);
    put(event, "start_time", time.saturating_sub(i64::try_from(duration).unwrap_or(i64::MAX)));
    put(event, "end_time", time);
}

fn traffic(record: &Record<'_>) -> Option<Value> {
    let (out, back) = (record.number_of("bytes_to_target")?, record.number_of("bytes_to_client")?);
    Some(object([
        ("bytes_out", number(out)),
        ("bytes_in", number(back)),
        ("bytes", number(out.saturating_add(back))),
    ]))
}

fn certificate(record: &Record<'_>) -> Option<Value> {
    let of = |field: &str| record.text_in("certificate", field);
    Some(object([
        ("issuer", fixed(of("ca")?)),
        ("serial_number", fixed(of("serial")?)),
        ("subject", text(of("key_id"))),
    ]))
}

#[cfg(test)]
mod tests;
