//! One message of RFC 5424.

use serde_json::{Map, Value};

use super::super::escape::{escaped, is_not_plain_ascii};
use super::super::record::{Record, Severity};
use crate::audit::json::misleads;
use crate::config::SyslogConfig;

/// The structured data's name. 32473 is the enterprise number for documents (RFC 5612): we have none of our own.
const SD_ID: &str = "drawbridge@32473";
/// The longest value of a parameter, in characters: what is in it is also in the message.
const VALUE_MAX: usize = 255;
/// Texts in an abridged message are not longer, in characters.
const ABRIDGED_TEXT_MAX: usize = 128;

/// The parameters, and the fields that they are from; of fields with one name the first that is there counts.
const PARAMETERS: [(&str, &[&str]); 5] = [
    ("connection", &["connection"]),
    ("session", &["session", "watched", "killed"]),
    ("user", &["user", "by", "ssh_user"]),
    ("client", &["client_addr"]),
    ("outcome", &["outcome", "ending", "result", "reason"]),
];

/// Writes messages that are all alike in what is not said by the line.
#[derive(Debug)]
pub(super) struct Writer {
    facility: u8,
    hostname: String,
    app_name: String,
    bytes_max: usize,
    process: u32,
}

impl Writer {
    /// A writer for this node.
    pub(super) fn new(config: &SyslogConfig, node: &str) -> Self {
        Self {
            facility: config.facility,
            hostname: header(node, 255),
            app_name: header(&config.app_name, 48),
            bytes_max: config.message_bytes_max,
            process: std::process::id(),
        }
    }

    /// A line as a message of at most `message_bytes_max` bytes.
    pub(super) fn message(&self, record: &Record<'_>) -> Vec<u8> {
        let head = self.head(record, true);
        let room = self.bytes_max.saturating_sub(head.len());
        if let Some(text) = body(record, room) {
            return (head + &text).into_bytes();
        }
        // Not even the shortest body has room beside the structured data.
        let head = self.head(record, false);
        let room = self.bytes_max.saturating_sub(head.len());
        let text = body(record, room).unwrap_or_default();
        (head + &text).into_bytes()
    }

    /// Everything before the body, with the space behind it.
    fn head(&self, record: &Record<'_>, with_parameters: bool) -> String {
        let priority = u32::from(self.facility) * 8 + severity(record.severity());
        let time = record.time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"));
        let Self { hostname, app_name, process, .. } = self;
        let id = header(&record.event, 32);
        let mut head = format!("<{priority}>1 {time} {hostname} {app_name} {process} {id} ");
        if with_parameters {
            structured_data(&mut head, record)
        } else {
            head.push('-')
        }
        head.push(' ');
        head
    }
}

/// RFC 5424 §6.2.1.
fn severity(severity: Severity) -> u32 {
    match severity {
        Severity::Error => 3,
        Severity::Warning => 4,
        Severity::Notice => 5,
        Severity::Info => 6,
    }
}

/// A field of the header: printable ASCII without spaces, and never empty.
fn header(text: &str, length_max: usize) -> String {
    let field: String =
        text.chars().map(|c| if c.is_ascii_graphic() { c } else { '?' }).take(length_max).collect();
    if field.is_empty() { "-".to_owned() } else { field }
}

fn structured_data(into: &mut String, record: &Record<'_>) {
    into.push('[');
    into.push_str(SD_ID);
    parameter(into, "node", &record.node);
    parameter(into, "seq", &record.seq.to_string());
    for (name, fields) in PARAMETERS {
        if let Some(value) = fields.iter().find_map(|field| record.text_of(field)) {
            parameter(into, name, value);
        }
    }
    if let Some(target) = record.text_in("target", "id") {
        parameter(into, "target", target);
    }
    into.push(']');
}

/// RFC 5424 §6.3.3: UTF-8, with `"`, `\` and `]` escaped. What could mislead a reader becomes U+FFFD.
fn parameter(into: &mut String, name: &str, value: &str) {
    into.push(' ');
    into.push_str(name);
    into.push_str("=\"");
    for c in value.chars().take(VALUE_MAX) {
        match c {
            '"' | '\\' | ']' => into.extend(['\\', c]),
            c if misleads(c) => into.push(char::REPLACEMENT_CHARACTER),
            c => into.push(c),
        }
    }
    into.push('"');
}

/// The line in ASCII, or as much of it as there is room for; nothing where there is room for nothing.
fn body(record: &Record<'_>, room: usize) -> Option<String> {
    let whole = ascii(record.text);
    if whole.len() <= room {
        return Some(whole);
    }
    drop(whole);
    abridged(record, room)
}

/// JSON with every character beyond ASCII escaped. So the message needs no byte order mark (RFC 5424 §6.4), which
/// many readers take for a part of it, and no raw control character is left, whatever a damaged journal holds.
fn ascii(text: &str) -> String {
    escaped(text, is_not_plain_ascii)
}

/// A JSON object that says what the line says with long texts cut and, where that is not enough, with its largest
/// fields left out. It has `"abridged":true`, so that nobody takes it for the whole.
fn abridged(record: &Record<'_>, room: usize) -> Option<String> {
    let mut object = Map::new();
    object.insert("abridged".to_owned(), Value::Bool(true));
    object.insert("seq".to_owned(), record.seq.into());
    object.insert("event".to_owned(), Value::String(record.event.chars().take(32).collect()));
    let base = ascii(&Value::Object(object.clone()).to_string()).len();
    let mut fields: Vec<_> = record
        .fields
        .iter()
        .map(|(name, value)| {
            let short = shortened(value.clone());
            // What the field takes: its name in quotes, colon, value, comma.
            (ascii(&format!("{name:?},")).len() + 1 + ascii(&short.to_string()).len(), name, short)
        })
        .collect();
    fields.sort_by_key(|(size, ..)| *size);
    let mut left = room.checked_sub(base)?;
    for (size, name, value) in fields {
        let Some(rest) = left.checked_sub(size) else { break };
        left = rest;
        object.insert(name.clone(), value);
    }
    Some(ascii(&Value::Object(object).to_string()))
}

fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if text.chars().nth(ABRIDGED_TEXT_MAX).is_some() => {
            Value::String(text.chars().take(ABRIDGED_TEXT_MAX).chain(['…']).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(shortened).collect()),
        Value::Object(map) => {
            Value::Object(map.into_iter().map(|(name, value)| (name, shortened(value))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;
    use crate::audit::JournalLine;

    fn writer(bytes_max: usize) -> Writer {
        Writer {
            facility: 10,
            hostname: "bastion-1".to_owned(),
            app_name: "drawbridge".to_owned(),
            bytes_max,
            process: 17,
        }
    }

    fn message(text: &str, bytes_max: usize) -> String {
        let line = JournalLine { seq: 7, text: text.to_owned() };
        String::from_utf8(writer(bytes_max).message(&Record::of(&line))).expect("UTF-8")
    }

    const REFUSAL: &str = r#"{"v":1,"node":"bastion-1","seq":7,"time":"2026-01-02T03:04:05.678Z","event":"authentication-failed","connection":"c-1","ssh_user":"ro\u001b]\"ot ä\\","reason":"unknown-user","detail":"grüß"}"#;

    #[test]
    fn a_message_has_a_header_our_ids_and_the_line_in_ascii() {
        assert_eq!(
            message(REFUSAL, 8192),
            concat!(
                r#"<84>1 2026-01-02T03:04:05.678Z bastion-1 drawbridge 17 authentication-failed "#,
                "[drawbridge@32473 node=\"bastion-1\" seq=\"7\" connection=\"c-1\" user=\"ro\u{fffd}\\]\\\"ot ä\\\\\" outcome=\"unknown-user\"] ",
                r#"{"v":1,"node":"bastion-1","seq":7,"time":"2026-01-02T03:04:05.678Z","event":"authentication-failed","connection":"c-1","ssh_user":"ro\u001b]\"ot \u00e4\\","reason":"unknown-user","detail":"gr\u00fc\u00df"}"#
            )
        );
    }

    #[test]
    fn what_is_too_long_is_abridged_to_json_that_says_so() {
        let text = format!(
            r#"{{"v":1,"node":"b","seq":7,"time":"2026-01-02T03:04:05.678Z","event":"channel-started","session":"s-1","command":"{}","action":"exec"}}"#,
            "é😀".repeat(20_000)
        );
        for bytes_max in [480, 600, 2048, 8192] {
            let message = message(&text, bytes_max);
            assert!(message.len() <= bytes_max, "{}", message.len());
            let json = message.split_once("] ").expect("a body").1;
            let body: Value = serde_json::from_str(json).expect("JSON");
            assert_eq!((&body["abridged"], &body["event"]), (&Value::Bool(true), &"channel-started".into()));
            assert_eq!((&body["session"], &body["action"]), (&"s-1".into(), &"exec".into()));
            assert_eq!(body["command"].is_string(), bytes_max > 2000, "{bytes_max}");
        }
        assert!(!message(&text, 1 << 20).contains("abridged"));
    }

    proptest! {
        #[test]
        fn any_line_makes_a_message_of_the_right_form(text in any::<String>(), bytes_max in 480_usize..2000) {
            let json = serde_json::json!({ "event": text, "user": text, "connection": text, "target": { "id": text },
                "ending": text, "client_addr": text, "node": text, "seq": 7, "time": text });
            for text in [json.to_string(), text] {
                let message = message(&text, bytes_max);
                prop_assert!(message.len() <= bytes_max);
                prop_assert!(message.chars().all(|c| !misleads(c)), "{message:?}");
                prop_assert!(message.starts_with("<8"), "{message:?}");
            }
        }
    }
}
