//! What a line of the journal says: the fields that tables and searches are made of.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::domain::{ConnectionId, SessionId};

/// A line, read.
#[derive(Debug)]
pub(super) struct Said {
    json: Json,
    /// When, in milliseconds since 1970.
    pub(super) time: i64,
    /// The name of the event.
    pub(super) event: String,
    /// The connection it belongs to.
    pub(super) connection: Option<ConnectionId>,
    /// The session it belongs to.
    pub(super) session: Option<SessionId>,
}

/// The most bytes of a text in a column with an index: PostgreSQL takes less than 2,700.
const INDEXED_MAX: usize = 512;

/// The most words of one line that can be looked up; more are found by looking into the lines.
const WORDS_MAX: usize = 4_096;

/// The most characters of a word; a longer one is kept in overlapping pieces.
const WORD_MAX: usize = 64;

/// How far two pieces of a word overlap: a word that is looked for is found if it is not longer.
pub(super) const OVERLAP: usize = 32;

impl Said {
    /// Reads a line; the error says what is wrong with it.
    pub(super) fn read(line: &str) -> Result<Self, &'static str> {
        if line.contains(['\0', '\n']) {
            return Err("it has control characters that JSON does not allow");
        }
        let json: Json = serde_json::from_str(line).map_err(|_| "it is not JSON")?;
        let text = |key| json.get(key).and_then(Json::as_str);
        let time: Timestamp = text("time").and_then(|t| t.parse().ok()).ok_or("it has no time")?;
        let event = text("event").filter(|name| name.len() <= INDEXED_MAX).ok_or("it has no event")?;
        Ok(Self {
            time: time.as_millisecond(),
            event: storable(event),
            connection: text("connection").and_then(ConnectionId::parse),
            session: text("session").and_then(SessionId::parse),
            json,
        })
    }

    /// The hash of the line before it, where it says so.
    pub(super) fn prev(&self) -> Option<&str> {
        self.json.get("prev").and_then(Json::as_str)
    }

    /// The object under that name.
    pub(super) fn object(&self, key: &str) -> Fields<'_> {
        Fields(self.json.get(key).unwrap_or(&Json::Null))
    }

    /// The fields of the line itself.
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields(&self.json)
    }

    /// What can be looked up, in lower case: commands, paths, names of subsystems, destinations.
    pub(super) fn text(&self) -> Option<String> {
        let looked_up = matches!(
            self.event.as_str(),
            "channel-started"
                | "console-command"
                | "decision"
                | "file-operation"
                | "forward-listening"
                | "forward-started"
        );
        if !looked_up {
            return None;
        }
        let fields = self.fields();
        let mut parts: Vec<String> = ["command", "subsystem", "path", "other_path", "new_path"]
            .iter()
            .filter_map(|key| fields.text(key))
            .collect();
        parts.extend(["destination", "listen"].iter().filter_map(|key| self.object(key).endpoint()));
        parts.retain(|part| !part.is_empty());
        (!parts.is_empty()).then(|| lower(&parts.join("\n")))
    }
}

/// The fields of one object of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(&'a Json);

impl Fields<'_> {
    /// A text, as it can be stored.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(Json::as_str).map(storable)
    }

    /// A text for a column with an index.
    pub(super) fn key(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(Json::as_str).map(indexed)
    }

    /// A number; one beyond the columns' reach is the greatest they hold.
    pub(super) fn number(&self, key: &str) -> Option<i64> {
        let value = self.0.get(key)?;
        value.as_i64().or_else(|| value.as_u64().map(super::sql::signed))
    }

    /// A truth value, as the column has it.
    pub(super) fn flag(&self, key: &str) -> Option<i64> {
        self.0.get(key).and_then(Json::as_bool).map(i64::from)
    }

    /// An instant in milliseconds.
    pub(super) fn time(&self, key: &str) -> Option<i64> {
        let time: Timestamp = self.0.get(key)?.as_str()?.parse().ok()?;
        Some(time.as_millisecond())
    }

    /// An array or object as compact JSON.
    pub(super) fn json(&self, key: &str) -> Option<String> {
        self.0.get(key).map(ToString::to_string)
    }

    fn endpoint(&self) -> Option<String> {
        Some(format!("{}:{}", self.text("host")?, self.number("port")?))
    }
}

/// PostgreSQL has no U+0000 in texts: what stands for it is what stands for bytes that are no text.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// A text as it is in a column with an index, and as it must be to be compared with one.
pub(super) fn indexed(text: &str) -> String {
    storable(text.get(..text.floor_char_boundary(INDEXED_MAX)).unwrap_or_default())
}

/// A text as it is looked up: in lower case, storable.
pub(super) fn lower(text: &str) -> String {
    storable(&text.to_lowercase())
}

/// The words of a text in lower case; long ones in pieces that overlap.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        if word.len() <= WORD_MAX {
            found.insert(word.to_owned());
        } else {
            let characters: Vec<char> = word.chars().collect();
            let step = WORD_MAX - OVERLAP;
            found.extend(
                characters
                    .chunks(step)
                    .zip(characters.chunks(step).skip(1))
                    .map(|(a, b)| a.iter().chain(b).collect::<String>()),
            );
        }
        if found.len() >= WORDS_MAX {
            break;
        }
    }
    found
}

/// Whether every word of the text is in [`words`].
pub(super) fn wholly_in_words(text: &str) -> bool {
    words(text).len() < WORDS_MAX
}

/// How many words of a text are tried until one is found to be rare.
const TELLING_MAX: usize = 4;

/// The words of a text that is looked for, those first by which most can be told apart; each cut to what
/// is surely found.
pub(super) fn telling_words(text: &str) -> Vec<String> {
    let cut = |word: &str| word.chars().take(OVERLAP).collect::<String>();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: BTreeSet<String> = words.map(cut).collect();
    let mut words: Vec<String> = words.into_iter().collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    words.truncate(TELLING_MAX);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_long_word_is_in_one_of_its_pieces() {
        let word: String = ('a'..='z').cycle().take(203).collect();
        let pieces = words(&word);
        let characters: Vec<char> = word.chars().collect();
        for window in characters.windows(OVERLAP) {
            let part: String = window.iter().collect();
            assert!(pieces.iter().any(|piece| piece.contains(&part)), "{part}");
        }
        assert!(pieces.iter().all(|piece| piece.chars().count() <= WORD_MAX));
    }

    #[test]
    fn words_are_what_is_between_other_characters() {
        let found: Vec<_> = words("rm -rf /var/lib/mysql é").into_iter().collect();
        assert_eq!(found, ["lib", "mysql", "rf", "rm", "var", "é"]);
        assert_eq!(telling_words("-rf /var/lib/mysql/a/b"), ["mysql", "lib", "var", "rf"]);
        assert!(telling_words("*.*").is_empty());
    }

    #[test]
    fn nothing_that_a_database_cannot_hold_comes_out() {
        let line = r#"{"time":"2026-01-02T03:04:05.678Z","event":"channel-started","command":"A\u0000B"}"#;
        let said = Said::read(line).expect("a line");
        assert_eq!(said.text().as_deref(), Some("a\u{fffd}b"));
        assert!(Said::read("{\"time\":\"2026-01-02T03:04:05Z\",\"event\":\"\0\"}").is_err());
        let long = "é".repeat(1_000);
        assert_eq!(indexed(&long).len(), 512);
    }
}
