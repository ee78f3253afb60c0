//! Ids of the record as people type them: whole, or as much of the beginning as tells one from the others.

use std::fmt;

use crate::domain::RecordingId;

/// The digits of a whole id.
const DIGITS: usize = 32;

/// The beginning of a session's id, `s-` and 1 to 32 hexadecimal digits, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionStart(String);

impl SessionStart {
    /// Reads one; whatever else it is, it is no path.
    ///
    /// # Errors
    /// What an id looks like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let digits = text.strip_prefix("s-").unwrap_or("").to_ascii_lowercase();
        let fits = (1..=DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let wrong = "a session's id is s- and 32 hexadecimal digits, of which the first ones will do";
        fits.then(|| Self(format!("s-{digits}"))).ok_or(wrong)
    }

    /// What was typed, in small letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SessionStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Playable {
    /// A session's recording.
    Session(SessionStart),
    /// One recording.
    Recording(RecordingId),
}

impl Playable {
    /// Reads an id of a session or of a recording.
    ///
    /// # Errors
    /// What such ids look like.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(id) = RecordingId::parse(text) {
            return Ok(Self::Recording(id));
        }
        let wrong =
            "give a session's id (s- and up to 32 hexadecimal digits) or a recording's (r- and all 32)";
        SessionStart::parse(text).map(Self::Session).map_err(|_| wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_id_will_do_and_a_path_will_not() {
        let read = |text: &str| SessionStart::parse(text).map(|start| start.to_string()).ok();
        assert_eq!(read("s-0196AB").as_deref(), Some("s-0196ab"));
        let whole = format!("s-{}", "a".repeat(32));
        assert_eq!(read(&whole).as_deref(), Some(whole.as_str()));
        for wrong in [
            "",
            "s-",
            "0196",
            "../../etc/passwd",
            "s-../../etc/passwd",
            "s-%",
            "s-_",
            "c-0196",
            "s-0196/",
            "s-01 96",
            "s-\u{0}",
            "s-é",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        assert_eq!(read(&format!("{whole}0")), None);
    }

    #[test]
    fn a_recording_is_named_by_its_whole_id() {
        let id = format!("r-{}", "0".repeat(32));
        assert!(matches!(Playable::parse(&id), Ok(Playable::Recording(_))));
        assert!(matches!(Playable::parse("s-01"), Ok(Playable::Session(_))));
        for wrong in ["r-01", "r-../../x", "../../etc/passwd", "", "r-"] {
            assert!(Playable::parse(wrong).is_err(), "{wrong}");
        }
    }
}
