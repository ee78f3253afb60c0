//! Rows for a spreadsheet.
//!
//! Nothing in a cell can steer a terminal, and none is a formula: whoever opens the file did not write what is in it.

use super::super::text::shown;
use super::line::Line;
use crate::store::{EventRow, SessionRow};

/// The columns of events.
pub(super) const OF_EVENTS: [&str; 24] = [
    "time",
    "node",
    "seq",
    "event",
    "connection",
    "session",
    "channel",
    "user",
    "client_addr",
    "target_id",
    "target_name",
    "login",
    "action",
    "outcome",
    "rules",
    "command",
    "path",
    "other_path",
    "bytes",
    "sha256",
    "result",
    "exit_status",
    "ending",
    "detail",
];

/// The columns of sessions.
pub(super) const OF_SESSIONS: [&str; 20] = [
    "id",
    "node",
    "connection",
    "started",
    "ended",
    "user",
    "client_addr",
    "client_port",
    "way",
    "login",
    "target_id",
    "target_name",
    "target_account",
    "target_region",
    "action",
    "command",
    "ending",
    "bytes_to_target",
    "bytes_to_client",
    "channels",
];

/// The first line.
pub(super) fn head(names: &[&str]) -> String {
    record(names.iter().map(|name| (*name).to_owned()))
}

pub(super) fn event(row: &EventRow) -> String {
    let line = Line::read(&row.line);
    let cell = |name: &&str| match (*name, &line) {
        ("node", _) => row.node.to_string(),
        ("seq", _) => row.seq.to_string(),
        ("target_id", Some(line)) => line.raw("target.id").to_owned(),
        ("target_name", Some(line)) => line.raw("target.name").to_owned(),
        ("rules", Some(line)) => line.texts("rules").join(" "),
        (name, Some(line)) => match line.number(name) {
            Some(number) => number.to_string(),
            None => line.raw(name).to_owned(),
        },
        (_, None) => String::new(),
    };
    record(OF_EVENTS.iter().map(cell))
}

pub(super) fn session(row: &SessionRow) -> String {
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    record(
        [
            row.id.to_string(),
            row.node.to_string(),
            row.connection.map(|id| id.to_string()).unwrap_or_default(),
            format!("{:.3}", row.started),
            row.ended.map(|ended| format!("{ended:.3}")).unwrap_or_default(),
            row.user.clone(),
            row.client_addr.clone(),
            row.client_port.to_string(),
            row.way.clone(),
            row.login.clone(),
            row.target_id.clone(),
            text(&row.target_name),
            row.target_account.clone(),
            row.target_region.clone(),
            text(&row.action),
            text(&row.command),
            text(&row.ending),
            number(row.bytes_to_target),
            number(row.bytes_to_client),
            number(row.channels),
        ]
        .into_iter(),
    )
}

/// One line (RFC 4180, with a line feed alone at its end).
fn record(cells: impl Iterator<Item = String>) -> String {
    let mut writer = ::csv::WriterBuilder::new().from_writer(Vec::new());
    // A vector takes everything.
    let written = writer.write_record(cells.map(|cell| safe(&cell))).is_ok();
    let bytes = if written { writer.into_inner().unwrap_or_default() } else { Vec::new() };
    String::from_utf8(bytes).unwrap_or_default()
}

/// A cell that a spreadsheet would take for a formula begins with an apostrophe.
fn safe(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = shown(cell);
    if formula { format!("'{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    #[test]
    fn a_hostile_command_is_no_formula_and_no_line_of_its_own() {
        let mut hostile = row(1, "alice");
        hostile.command = Some("=cmd|' /C calc'!A0\n\"x\",\u{1b}[2J".to_owned());
        let line = session(&hostile);
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        assert!(line.contains(r#","'=cmd|' /C calc'!A0\n""x"",\u{1b}[2J","#), "{line}");
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
        let cells = reader.records().next().expect("a record").expect("CSV");
        assert_eq!(cells.len(), OF_SESSIONS.len());
    }

    #[test]
    fn an_event_has_a_cell_for_each_column() {
        let line = r#"{"v":1,"time":"2026-01-02T03:04:05.678Z","event":"file-operation","session":"s-1","channel":2,"path":"/tmp/a,b","bytes":7,"sha256":"ab","result":"ok"}"#;
        let row = EventRow {
            node: crate::domain::NodeName::parse("a").expect("a name"),
            seq: 7,
            time: "2026-01-02T03:04:05.678Z".parse().expect("a time"),
            event: "file-operation".to_owned(),
            connection: None,
            session: None,
            line: line.to_owned(),
        };
        let text = event(&row);
        assert_eq!(
            text,
            "2026-01-02T03:04:05.678Z,a,7,file-operation,,s-1,2,,,,,,,,,,\"/tmp/a,b\",,7,ab,ok,,,\n"
        );
        let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        assert_eq!(reader.records().next().expect("a record").expect("CSV").len(), OF_EVENTS.len());
    }
}
