//! JSON text in fewer characters.

/// A text with some characters in the way that JSON writes them anywhere in a string: `\u001b`. In a text that is
/// JSON the characters to escape must be such as stand in strings only, so that it still says the same.
pub(super) fn escaped(text: &str, must_be: impl Fn(char) -> bool) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if must_be(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                plain.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Whether a character is no printable ASCII.
pub(super) fn is_not_plain_ascii(c: char) -> bool {
    c != ' ' && !c.is_ascii_graphic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_says_the_same() {
        let value = serde_json::json!({ "ä": "a\u{1b}é😀\u{202e}\"\\ " });
        let text = escaped(&value.to_string(), is_not_plain_ascii);
        assert_eq!(text, r#"{"\u00e4":"a\u001b\u00e9\ud83d\ude00\u202e\"\\ "}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).expect("JSON"), value);
    }
}
