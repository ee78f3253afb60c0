//! Texts that others wrote, on their way to a terminal, and tables of them.

use unicode_width::UnicodeWidthStr;

use crate::audit::json::misleads;

/// A text in which nothing can steer or mislead a terminal: such characters are written as escapes.
#[must_use]
pub fn shown(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if misleads(character) {
            safe.extend(character.escape_default());
        } else {
            safe.push(character);
        }
    }
    safe
}

/// JSON in which nothing can steer a terminal. Outside texts JSON is plain ASCII, so what misleads is in a text.
pub(super) fn shown_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for character in json.chars() {
        if misleads(character) && character != '\n' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                safe.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            safe.push(character);
        }
    }
    safe
}

/// The widest cell that others are aligned with, in columns; what is wider sticks out.
const WIDTH_MAX: usize = 60;

/// How wide the columns of a table are.
#[derive(Debug, Clone)]
pub(super) struct Widths<const N: usize>([usize; N]);

impl<const N: usize> Widths<N> {
    /// The widths for a head and rows of cells that have gone through [`shown`].
    pub(super) fn of(head: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Self {
        let mut widths = head.map(UnicodeWidthStr::width);
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(&row) {
                *width = cell.width().min(WIDTH_MAX).max(*width);
            }
        }
        Self(widths)
    }

    /// One line, with its line feed.
    pub(super) fn line<T: AsRef<str>>(&self, cells: &[T; N]) -> String {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(self.0) {
            let cell = cell.as_ref();
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + 2));
        }
        line.truncate(line.trim_end_matches(' ').len());
        line.push('\n');
        line
    }
}

/// `1 target`, `2 targets`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_cannot_drive_the_terminal() {
        assert_eq!(shown("a\u{1b}[2J\u{9b}\r\n\u{202e}é"), "a\\u{1b}[2J\\u{9b}\\r\\n\\u{202e}é");
        let json = serde_json::to_string("a\u{1b}\u{9b}\u{202e}\u{e0041}é").expect("JSON");
        let safe = shown_json(&json);
        assert_eq!(safe, r#""a\u001b\u009b\u202e\udb40\udc41é""#);
        let back: String = serde_json::from_str(&safe).expect("JSON");
        assert_eq!(back, "a\u{1b}\u{9b}\u{202e}\u{e0041}é");
    }

    #[test]
    fn columns_are_aligned_by_what_a_terminal_shows() {
        let rows = [["日本".to_owned(), "x".to_owned()], ["abc".to_owned(), String::new()]];
        let widths = Widths::of(["N", "M"], rows.iter().cloned());
        let lines: String = rows.iter().map(|row| widths.line(row)).collect();
        assert_eq!(lines, "日本  x\nabc\n");
    }
}
