//! Texts from outside, bounded before they are kept.

use serde::Serialize;

/// A text of at most [`Text::LENGTH_MAX`] bytes; a longer one is cut and ends in `…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// The longest text, in bytes, without the `…` that marks a cut.
    pub const LENGTH_MAX: usize = 1024;

    /// Takes a text from bytes that ought to be UTF-8; what is not becomes U+FFFD.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        // One byte more than fits, so that a cut shows.
        let kept = bytes.get(..=Self::LENGTH_MAX).unwrap_or(bytes);
        Self::from(String::from_utf8_lossy(kept).as_ref())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        if text.len() <= Self::LENGTH_MAX {
            return Self(text.to_owned());
        }
        let end = text.floor_char_boundary(Self::LENGTH_MAX);
        let kept = text.get(..end).unwrap_or_default();
        Self(format!("{kept}…"))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        if text.len() <= Self::LENGTH_MAX { Self(text) } else { Self::from(text.as_str()) }
    }
}

/// The user name of an SSH login, as the client sent it: anything at all, so it is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshUser {
    #[serde(rename = "ssh_user")]
    text: String,
    #[serde(rename = "ssh_user_truncated", skip_serializing_if = "is_false")]
    truncated: bool,
}

impl SshUser {
    /// The most characters that are kept.
    pub const LENGTH_MAX: usize = 64;
}

impl From<&str> for SshUser {
    fn from(sent: &str) -> Self {
        let cut = sent.char_indices().nth(Self::LENGTH_MAX).map(|(at, _)| at);
        let kept = cut.and_then(|at| sent.get(..at)).unwrap_or(sent);
        Self { text: kept.to_owned(), truncated: cut.is_some() }
    }
}

/// A command line as the client sent it: bytes that are usually, but not always, UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommandLine {
    #[serde(rename = "command")]
    text: String,
    #[serde(rename = "command_hex", skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    #[serde(rename = "command_truncated", skip_serializing_if = "is_false")]
    truncated: bool,
}

impl CommandLine {
    /// The most bytes that are kept.
    pub const LENGTH_MAX: usize = 32 * 1024;

    /// Takes a command line. One that is not UTF-8 is kept as text with U+FFFD where it is not,
    /// and whole in hexadecimal.
    #[must_use]
    pub fn from_bytes(sent: &[u8]) -> Self {
        let kept = sent.get(..Self::LENGTH_MAX).unwrap_or(sent);
        let truncated = kept.len() < sent.len();
        let (text, hex) = match std::str::from_utf8(kept) {
            Ok(text) => (text.to_owned(), None),
            // The cut fell inside a character: leave that character out.
            Err(error) if truncated && error.error_len().is_none() => {
                let whole = kept.get(..error.valid_up_to()).unwrap_or_default();
                (String::from_utf8_lossy(whole).into_owned(), None)
            }
            Err(_) => {
                (String::from_utf8_lossy(kept).into_owned(), Some(data_encoding::HEXLOWER.encode(kept)))
            }
        };
        Self { text, hex, truncated }
    }
}

impl From<&str> for CommandLine {
    fn from(sent: &str) -> Self {
        Self::from_bytes(sent.as_bytes())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_says_so() {
        let text = Text::from("é".repeat(600));
        assert_eq!(text.as_str(), format!("{}…", "é".repeat(512)));
        assert_eq!(Text::from("a".repeat(1024)).as_str(), "a".repeat(1024));
        assert_eq!(Text::from_bytes(&[b'a'; 5000]).as_str(), format!("{}…", "a".repeat(1024)));
        assert_eq!(Text::from_bytes(b"a\xff").as_str(), "a\u{fffd}");
    }

    #[test]
    fn a_ten_megabyte_user_name_keeps_64_characters() {
        let user = SshUser::from("ü".repeat(10_000_000).as_str());
        assert_eq!(user, SshUser { text: "ü".repeat(64), truncated: true });
        assert_eq!(SshUser::from("alice"), SshUser { text: "alice".to_owned(), truncated: false });
        assert!(!SshUser::from("a".repeat(64).as_str()).truncated);
    }

    #[test]
    fn a_command_that_is_not_utf8_loses_nothing() {
        let command = CommandLine::from_bytes(b"echo \xff\x00");
        assert_eq!(command.text, "echo \u{fffd}\0");
        assert_eq!(command.hex.as_deref(), Some("6563686f20ff00"));
        assert!(!command.truncated);
    }

    #[test]
    fn a_long_command_is_cut_and_says_so() {
        let max = CommandLine::LENGTH_MAX;
        let command = CommandLine::from("a".repeat(max + 1).as_str());
        assert_eq!((command.text.len(), command.truncated), (max, true));
        let split = format!("a{}", "é".repeat(max));
        let command = CommandLine::from(split.as_str());
        assert_eq!((command.text.len(), command.hex, command.truncated), (max - 1, None, true));
        assert!(!CommandLine::from("a".repeat(max).as_str()).truncated);
    }

    proptest::proptest! {
        #[test]
        fn any_command_is_bounded_and_recoverable(sent in proptest::collection::vec(0_u8.., 0..200)) {
            let command = CommandLine::from_bytes(&sent);
            let back = match &command.hex {
                Some(hex) => data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal"),
                None => command.text.clone().into_bytes(),
            };
            proptest::prop_assert_eq!(back, sent);
        }
    }
}
