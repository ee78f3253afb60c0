use super::*;
use crate::audit::JournalLine;

/// One example and more of every event, as the audit's own test holds them.
const EXAMPLES: &str =
    include_str!("../../audit/snapshots/drawbridge__audit__json__tests__the_wire_form.snap");
const DOCUMENT: &str = include_str!("../../../docs/sinks.md");

fn examples() -> Vec<JournalLine> {
    let lines = EXAMPLES.lines().filter(|line| line.starts_with('{'));
    (1..).zip(lines).map(|(seq, text)| JournalLine { seq, text: text.to_owned() }).collect()
}

fn translate(lines: &[JournalLine]) -> Vec<String> {
    let mut translator = Translator::new("bastion-1");
    let event = |line| String::from_utf8(translator.event(&Record::of(line))).expect("UTF-8");
    lines.iter().map(event).collect()
}

/// `tests/suite/sinks.rs` has a validator judge this snapshot.
#[test]
fn the_wire_form() {
    let version = format!(r#""version":"{}""#, env!("CARGO_PKG_VERSION"));
    let events = translate(&examples()).join("\n");
    insta::assert_snapshot!(events.replace(&version, r#""version":"0.0.0""#));
}

#[test]
fn every_event_is_in_the_table_with_its_class_and_activity() {
    let row = |event: &str| {
        let row = DOCUMENT.lines().find(|row| row.starts_with(&format!("| `{event}` |")));
        row.unwrap_or_else(|| panic!("docs/sinks.md has no row for `{event}`"))
    };
    for event in crate::audit::Event::NAMES {
        row(event);
    }
    for line in examples() {
        let record = Record::of(&line);
        let activity = Activity::of(&record);
        let name = if activity.id == 99 { "Other" } else { activity.name.as_str() };
        let row = row(&record.event);
        assert!(row.contains(activity.class.name()) && row.contains(name), "{} {name}: {row}", record.event);
    }
}

#[test]
fn a_file_operation_names_who_did_it_where_also_after_a_restart() {
    let lines: Vec<_> = examples()
        .into_iter()
        .filter(|line| {
            ["connection-opened", "authentication-succeeded", "session-started", "file-operation"]
                .iter()
                .any(|event| line.text.contains(&format!(r#""event":"{event}""#)))
        })
        .collect();
    let (before, operations): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| !line.text.contains("file-operation"));
    let mut translator = Translator::new("bastion-1");
    before.iter().for_each(|line| translator.recall(&Record::of(line)));
    for line in &operations {
        let event: Value = serde_json::from_slice(&translator.event(&Record::of(line))).expect("JSON");
        assert_eq!(event["actor"]["user"]["name"], "alice");
        assert_eq!(event["device"]["instance_uid"], "i-0123456789abcdef0");
        assert_eq!(event["unmapped"]["client_addr"], "203.0.113.7");
    }
}

#[test]
fn hostile_and_damaged_lines_become_events_without_control_characters() {
    let hostile = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}\u{0}";
    let texts = [
        serde_json::json!({ "event": "authentication-failed", "ssh_user": hostile, "method": hostile })
            .to_string(),
        serde_json::json!({ "event": "file-operation", "path": hostile, "operation": hostile, "bytes": "7" })
            .to_string(),
        serde_json::json!({ "event": hostile, "time": hostile, "target": [hostile], "groups": 7 })
            .to_string(),
        hostile.to_owned(),
        String::new(),
    ];
    let lines: Vec<_> = (1..).zip(texts).map(|(seq, text)| JournalLine { seq, text }).collect();
    for event in translate(&lines) {
        assert_eq!(event.find(misleads), None, "{event}");
        let event: Value = serde_json::from_str(&event).expect("JSON");
        assert!(event["type_uid"].is_u64() && event["metadata"]["uid"].is_string());
    }
}
