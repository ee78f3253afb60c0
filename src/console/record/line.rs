//! One line of the record, as whoever tells of it needs it.
//!
//! Lines are read as they are on record, by whichever version wrote them: what is not there is absent, and what is of
//! another kind than expected reads as absent too.

use serde_json::{Map, Value};

use super::super::text::shown;

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Line(Map<String, Value>);

impl Line {
    /// Takes a line apart; nothing where it is no JSON object.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok().map(Self)
    }

    fn value(&self, path: &str) -> Option<&Value> {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let value = self.0.get(first)?;
        match rest {
            Some(rest) => value.get(rest),
            None => Some(value),
        }
    }

    /// A text as it is; empty where there is none. `path` is `field` or `object.field`.
    pub(super) fn raw(&self, path: &str) -> &str {
        self.value(path).and_then(Value::as_str).unwrap_or_default()
    }

    /// A text, fit for a terminal; nothing where there is none.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        Some(shown(self.raw(path))).filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.value(path).and_then(Value::as_u64)
    }

    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        self.value(path).and_then(Value::as_bool)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.value(path).is_some()
    }

    /// A list of texts, fit for a terminal.
    pub(super) fn texts(&self, path: &str) -> Vec<String> {
        let items = self.value(path).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str).map(shown).collect()
    }

    pub(super) fn event(&self) -> &str {
        self.raw("event")
    }

    /// The day, `2026-01-02`, and the time of day, `03:04:05`; both UTC.
    pub(super) fn day_and_time(&self) -> (String, String) {
        let time = self.raw("time");
        let part = |from: usize, to: usize| shown(time.get(from..to).unwrap_or_default());
        (part(0, 10), part(11, 19))
    }

    /// What is not said elsewhere, as `name=value`, in the order of the line.
    pub(super) fn rest(&self, but: &[&str]) -> String {
        let mut text = String::new();
        for (name, value) in self.0.iter().filter(|(name, _)| !but.contains(&name.as_str())) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&shown(name));
            text.push('=');
            text.push_str(&told(value));
        }
        text
    }
}

/// A value in one word, where it can be one.
fn told(value: &Value) -> String {
    match value {
        Value::String(text) if is_word(text) => text.clone(),
        Value::String(text) => format!("\"{}\"", shown(text)),
        Value::Array(items) => format!("[{}]", items.iter().map(told).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}={}", shown(name), told(value));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(" "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/@+=,".contains(&b))
}

/// A number of bytes, exact, and in a unit that is easy to read: `1234567 bytes (1.2 MiB)`.
pub(super) fn bytes(number: u64) -> String {
    let mut whole = number;
    let mut tenths = 0;
    let mut unit = "";
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if whole < 1024 {
            break;
        }
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit = next;
    }
    match (number, unit) {
        (1, _) => "1 byte".to_owned(),
        (_, "") => format!("{number} bytes"),
        _ => format!("{number} bytes ({whole}.{tenths} {unit})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_line_reaches_a_terminal_as_it_is() {
        let line =
            Line::read(r#"{"a":"x\u001b[2J y","b":["\u202e"],"c":{"d\n":"\u0007"},"e":1,"f":"plain/word"}"#)
                .expect("JSON");
        assert_eq!(line.text("a").as_deref(), Some("x\\u{1b}[2J y"));
        let rest = line.rest(&["e"]);
        assert_eq!(rest, r#"a="x\u{1b}[2J y" b=["\u{202e}"] c={d\n="\u{7}"} f=plain/word"#);
        assert!(!rest.contains(char::is_control));
    }

    #[test]
    fn sizes_are_exact_and_easy_to_read() {
        assert_eq!(
            [0, 1, 1023, 1024, 1_234_567, u64::MAX].map(bytes),
            [
                "0 bytes",
                "1 byte",
                "1023 bytes",
                "1024 bytes (1.0 KiB)",
                "1234567 bytes (1.1 MiB)",
                "18446744073709551615 bytes (15.9 EiB)"
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn what_is_of_another_kind_is_absent() {
        let line = Line::read(r#"{"event":7,"target":"x","n":-1}"#).expect("JSON");
        assert_eq!((line.event(), line.text("target.id"), line.number("n")), ("", None, None));
        assert!(Line::read("[]").is_none() && Line::read("{").is_none());
    }
}
