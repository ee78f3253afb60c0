//! Sessions as lines of a table that fits the reader's terminal.

use std::time::Duration;

use jiff::Timestamp;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::super::text::shown;
use super::when::{friendly, moment};
use crate::store::SessionRow;

/// How wide the narrowest table is.
const NARROW: usize = 80;
/// How many digits of an id are shown where there is little room: its milliseconds and the first of what is random.
const ID_DIGITS: usize = 18;

/// One column: its head, its width, and what is in it.
struct Column {
    head: &'static str,
    width: usize,
    cell: fn(&SessionRow, Timestamp) -> String,
}

/// A table for a reader.
pub(super) struct Table {
    columns: Vec<Column>,
    /// Whether cells that are too wide are cut. They are not where the reader is a program.
    cut: bool,
    now: Timestamp,
}

impl Table {
    /// For a terminal of that width, or for no terminal.
    pub(super) fn new(width: Option<u32>, now: Timestamp) -> Self {
        let width = width.and_then(|width| usize::try_from(width).ok()).filter(|width| *width > 0);
        let Some(width) = width else { return Self { columns: wide(usize::MAX), cut: false, now } };
        Self { columns: if width < 110 { narrow(width) } else { wide(width) }, cut: true, now }
    }

    pub(super) fn head(&self) -> String {
        self.line(self.columns.iter().map(|column| column.head.to_owned()))
    }

    pub(super) fn row(&self, row: &SessionRow) -> String {
        self.line(self.columns.iter().map(|column| (column.cell)(row, self.now)))
    }

    fn line(&self, cells: impl Iterator<Item = String>) -> String {
        let mut line = String::new();
        for (cell, column) in cells.zip(&self.columns) {
            let cell = if self.cut { clipped(&cell, column.width) } else { cell };
            let gap = column.width.saturating_sub(cell.width()) + 2;
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', gap));
        }
        line.truncate(line.trim_end_matches(' ').len());
        line.push('\n');
        line
    }
}

fn narrow(width: usize) -> Vec<Column> {
    // What is beyond the narrowest goes to the longest names.
    let spare = width.max(NARROW) - NARROW;
    vec![
        Column { head: "ID", width: ID_DIGITS, cell: short_id },
        Column { head: "STARTED", width: 11, cell: short_start },
        Column { head: "USER", width: 10 + spare / 3, cell: |row, _| shown(&row.user) },
        Column { head: "LOGIN@TARGET", width: 20 + spare - spare / 3, cell: target },
        Column { head: "ENDING", width: 13, cell: ending },
    ]
}

fn wide(width: usize) -> Vec<Column> {
    let mut columns = vec![
        Column { head: "ID", width: 34, cell: |row, _| row.id.to_string() },
        Column { head: "STARTED", width: 19, cell: |row, _| moment(row.started) },
        Column { head: "USER", width: 12, cell: |row, _| shown(&row.user) },
        Column { head: "LOGIN@TARGET", width: 24, cell: target },
        Column { head: "ENDING", width: 13, cell: ending },
    ];
    // The five columns with their gaps take 110, the seven 138.
    if width >= 138 {
        columns.push(Column { head: "LASTED", width: 7, cell: lasted });
        columns.push(Column { head: "FROM", width: 15, cell: |row, _| shown(&row.client_addr) });
    }
    if width >= 150 {
        columns.push(Column { head: "WHAT", width: width.min(240) - 138, cell: what });
    }
    columns
}

fn short_id(row: &SessionRow, _: Timestamp) -> String {
    row.id.to_string().chars().take(ID_DIGITS).collect()
}

/// The time of today, the day and time of this year, the day of another.
fn short_start(row: &SessionRow, now: Timestamp) -> String {
    let form = if row.started.strftime("%F").to_string() == now.strftime("%F").to_string() {
        "%H:%M:%S"
    } else if row.started.strftime("%Y").to_string() == now.strftime("%Y").to_string() {
        "%m-%d %H:%M"
    } else {
        "%F"
    };
    row.started.strftime(form).to_string()
}

fn target(row: &SessionRow, _: Timestamp) -> String {
    let name = row.target_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&row.target_id);
    format!("{}@{}", shown(&row.login), shown(name))
}

fn ending(row: &SessionRow, _: Timestamp) -> String {
    match (&row.ending, row.ended) {
        (Some(ending), _) => shown(ending),
        (None, Some(_)) => "ended".to_owned(),
        (None, None) => "live".to_owned(),
    }
}

fn lasted(row: &SessionRow, now: Timestamp) -> String {
    let end = row.ended.unwrap_or(now);
    let lasted = Duration::try_from(end.duration_since(row.started)).unwrap_or_default();
    // In a narrow column.
    if lasted.as_secs() == 0 { "<1s".to_owned() } else { friendly(lasted) }
}

fn what(row: &SessionRow, _: Timestamp) -> String {
    let action = row.action.as_deref().unwrap_or(if row.content.is_some() { "not seen" } else { "-" });
    match row.command.as_deref() {
        Some(command) => shown(command),
        None => shown(action),
    }
}

/// A text that has gone through [`shown`], in at most so many columns.
fn clipped(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut room = width.saturating_sub(1);
    let mut kept = String::new();
    for character in text.chars() {
        let needs = character.width().unwrap_or(0);
        if needs > room {
            break;
        }
        room -= needs;
        kept.push(character);
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    fn at() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn every_terminal_gets_lines_that_fit() {
        let mut hostile = row(1, "alice");
        hostile.target_name = Some("web-\u{1b}[2J\u{202e}日本日本日本日本日本日本日本日本".to_owned());
        hostile.command = Some("rm -rf /\n\u{1b}]0;owned\u{7}".repeat(20));
        hostile.user = "u".repeat(64);
        for width in [0, 20, 80, 100, 109, 110, 137, 138, 149, 150, 200, 1_000] {
            let table = Table::new(Some(width), at());
            let wanted = usize::try_from(width).expect("small").max(if width == 0 { 10_000 } else { NARROW });
            for line in [table.head(), table.row(&hostile), table.row(&row(2, "bob"))] {
                assert!(line.trim_end().width() <= wanted, "{width}: {} {line}", line.width());
                assert!(!line.trim_end().contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
            }
        }
    }

    #[test]
    fn the_table_at_80_columns_and_for_programs() {
        let rows = [row(1, "alice"), row(2, "bob")];
        for width in [Some(80), None] {
            let table = Table::new(width, at());
            let text: String =
                std::iter::once(table.head()).chain(rows.iter().map(|row| table.row(row))).collect();
            insta::assert_snapshot!(text);
        }
    }
}
