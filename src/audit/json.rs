//! The wire form: one JSON object a line, versioned.

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::ser::Formatter;

use super::facts::whole_ms;
use super::{Entry, Event};
use crate::domain::{ConnectionId, SessionId};

/// The version of the wire form. Fields may be added within a version; a field that changes its
/// meaning or goes away makes a new one.
pub const VERSION: u32 = 1;

/// The whole object, in the order in which a reader sees it.
#[derive(Serialize)]
struct Line<'a> {
    v: u32,
    #[serde(serialize_with = "as_utc_ms")]
    time: Timestamp,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<ConnectionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    #[serde(flatten)]
    fields: &'a Event,
}

/// One entry as a line, with its line feed.
///
/// # Errors
/// When the entry cannot be put into JSON, which would be a mistake in its types.
pub fn line(time: Timestamp, entry: &Entry) -> Result<Vec<u8>, serde_json::Error> {
    let line = Line {
        v: VERSION,
        time,
        event: entry.event.name(),
        connection: entry.connection,
        session: entry.session,
        fields: &entry.event,
    };
    let mut bytes = Vec::with_capacity(512);
    line.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, TerminalSafe))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Compact JSON in which every character that could steer or mislead a terminal is escaped, so
/// that `tail -f` shows what is there. JSON itself demands that only below U+0020.
#[derive(Debug)]
struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(misleads) {
            let (plain, tail) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut characters = tail.chars();
            for unit in characters.by_ref().take(1).flat_map(|c| c.encode_utf16(&mut [0; 2]).to_vec()) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// DEL and the C1 controls, line and paragraph separators, marks and overrides of writing
/// direction, invisible joiners and tags.
pub(crate) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A time as `2026-01-02T03:04:05.678Z`.
pub(super) fn as_utc_ms<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// A duration as whole milliseconds.
pub(super) fn as_ms<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(whole_ms(*duration))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::audit::{AuthProof, CommandLine, Reloadable, examples};

    const DOCUMENT: &str = include_str!("../../docs/audit.md");

    fn text(entry: &Entry) -> String {
        String::from_utf8(line(examples::now(), entry).expect("it encodes")).expect("UTF-8")
    }

    #[test]
    fn the_wire_form() {
        let lines: String = examples::all().iter().map(text).collect();
        let long = "x".repeat(CommandLine::LENGTH_MAX);
        insta::assert_snapshot!(lines.replace(&long, "xxx(32768 of them)xxx"));
    }

    #[test]
    fn every_event_has_an_example() {
        let shown: BTreeSet<_> = examples::all().iter().map(|entry| entry.event.name()).collect();
        assert_eq!(shown, Event::NAMES.iter().copied().collect());
    }

    #[test]
    fn a_line_is_one_line_that_cannot_steer_a_terminal() {
        for entry in examples::all() {
            let text = text(&entry);
            let line = text.strip_suffix('\n').expect("a line feed at the end");
            assert_eq!(line.find(misleads), None, "{line}");
        }
    }

    #[test]
    fn what_is_escaped_reads_back_as_it_was() {
        let hostile = "a\u{7f}\u{9b}2J \u{202e}\u{e0041}\u{1F600}é\"\\\n\u{0}";
        let event = Event::ReloadRefused { what: Reloadable::Users, problems: 1, detail: hostile.into() };
        let text = text(&Entry::of_daemon(event));
        assert!(text.contains(r#""a\u007f\u009b2J \u202e\udb40\udc41😀é\"\\\n\u0000""#), "{text}");
        let back: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(back["detail"], hostile);
    }

    #[test]
    fn no_line_grows_without_bound() {
        let worst = "\u{1}".repeat(10_000_000);
        let event = Event::AuthenticationFailed {
            ssh_user: worst.as_str().into(),
            method: worst.as_str().into(),
            algorithm: Some(worst.as_str().into()),
            fingerprint: None,
            certificate: None,
            reason: worst.as_str().into(),
            detail: worst.as_str().into(),
        };
        assert!(text(&Entry::of_daemon(event)).len() < 32 * 1024);
    }

    const COMMON: [&str; 8] = ["v", "node", "seq", "prev", "time", "event", "connection", "session"];

    /// The fields that the tables of `docs/audit.md` describe, by the heading above the table;
    /// those in tables of chapters are under the empty name.
    fn documented() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
        let mut sections: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        let mut section = "";
        for line in DOCUMENT.lines() {
            if line.starts_with("## ") {
                section = "";
            } else if let Some(heading) = line.strip_prefix("### ") {
                section = heading.trim_matches('`');
                sections.entry(section).or_default();
            } else if let Some(row) = line.strip_prefix("| `") {
                let field = row.split_once('`').expect("a closing backtick").0;
                sections.entry(section).or_default().insert(field);
            }
        }
        sections
    }

    /// The fields that occur: of events beyond those every line has, and of the objects in them.
    fn occurring() -> BTreeMap<String, BTreeSet<String>> {
        let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for entry in examples::all() {
            let Value::Object(object) = serde_json::from_str(&text(&entry)).expect("JSON") else {
                panic!("an object")
            };
            for (name, value) in object.iter().filter(|(name, _)| !COMMON.contains(&name.as_str())) {
                fields.entry(entry.event.name().to_owned()).or_default().insert(name.clone());
                if let Value::Object(inner) = value {
                    fields.entry(name.clone()).or_default().extend(inner.keys().cloned());
                }
            }
        }
        fields
    }

    #[test]
    fn the_document_describes_every_field_and_no_other() {
        let documented = documented();
        let occurring = occurring();
        for (section, fields) in &occurring {
            let told = documented.get(section.as_str());
            let told: BTreeSet<String> = told
                .unwrap_or_else(|| panic!("docs/audit.md has no section `{section}`"))
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(&told, fields, "the fields of `{section}` in docs/audit.md");
        }
        for field in COMMON {
            assert!(documented[""].contains(field), "`{field}` in docs/audit.md");
        }
        for section in documented.keys().filter(|section| !section.is_empty()) {
            assert!(occurring.contains_key(*section), "`{section}` in docs/audit.md does not occur");
        }
    }

    #[test]
    fn the_document_lists_every_ending() {
        let labels = include_str!("../domain/ending.rs").lines().filter_map(|line| {
            let (_, label) = line.split_once("=> \"")?;
            label.split('"').next()
        });
        let mut count = 0;
        for label in labels {
            assert!(DOCUMENT.contains(&format!("| {label} |")), "the ending {label} in docs/audit.md");
            count += 1;
        }
        assert!(count >= 10, "the labels are found in the source");
    }

    #[test]
    fn the_document_lists_every_class_of_failure() {
        for class in crate::domain::FailureClass::ALL {
            let row = format!("| {} |", class.label());
            assert!(DOCUMENT.contains(&row), "docs/audit.md has no row {row}");
            assert_eq!(serde_json::to_value(class).expect("JSON"), class.label());
        }
    }

    #[test]
    fn proofs_have_the_names_that_policies_use() {
        let fingerprint = crate::domain::Fingerprint::of_blob(b"key");
        let auth = crate::domain::AuthMethod::PublicKey { fingerprint, algorithm: "ssh-ed25519".to_owned() };
        assert_eq!(AuthProof::from(&auth).method, "publickey");
    }
}
