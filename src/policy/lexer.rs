//! Cedar's tokens, as far as finding places needs them: strings and comments are skipped.

/// The tokens of a text with their byte offsets: words, `&&`, `||`, and other single characters that are not blank.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    Tokens { text, at: 0 }
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
            let start = self.at;
            let first = rest.chars().next()?;
            if first.is_whitespace() {
                self.at += first.len_utf8();
            } else if rest.starts_with("//") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if first == '"' {
                self.at += string_length(rest);
            } else {
                let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                let pair = ["&&", "||"].into_iter().find(|pair| rest.starts_with(pair)).map_or(0, str::len);
                let length = word.max(pair).max(first.len_utf8());
                self.at += length;
                return rest.get(..length).map(|token| (start, token));
            }
        }
    }
}

/// The length of a text's leading string literal with its quotes, in bytes.
fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (offset, character) in rest.char_indices().skip(1) {
        match character {
            '"' if !escaped => return offset + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_are_not_tokens() {
        let text = "@id(\"a \\\" @idle (\") // (((\npermit ü(";
        let found: Vec<_> = tokens(text).map(|(_, token)| token).collect();
        assert_eq!(found, ["@", "id", "(", ")", "permit", "ü", "("]);
        assert!(tokens(text).all(|(at, token)| text[at..].starts_with(token)));
    }
}
