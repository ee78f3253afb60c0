//! The words of a command line, as a shell would part them.

/// Splits at blanks outside quotes. `'…'` keeps everything, `"…"` and bare words take `\` before any character;
/// nothing else is special. Nothing when a quote is not closed.
pub(super) fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => {
                let open = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '\'' => break,
                        other => open.push(other),
                    }
                }
            }
            '"' => {
                let open = word.get_or_insert_default();
                loop {
                    match characters.next()? {
                        '"' => break,
                        '\\' => open.push(characters.next()?),
                        other => open.push(other),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(characters.next()?),
            blank if blank.is_ascii_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parted_as_a_shell_would() {
        let words = |line: &str| split(line).map(|words| words.join("|"));
        assert_eq!(words("  targets   web --json ").as_deref(), Some("targets|web|--json"));
        assert_eq!(words(r#"explain 'a b' "c \" d" e\ f"#).as_deref(), Some(r#"explain|a b|c " d|e f"#));
        assert_eq!(words("a''b ''").as_deref(), Some("ab|"));
        assert_eq!(words("tag:x=#1 $HOME").as_deref(), Some("tag:x=#1|$HOME"));
        assert_eq!(words("").as_deref(), Some(""));
    }

    #[test]
    fn an_open_quote_is_no_command_line() {
        for line in ["'a", "\"a", "a\\", "\"a\\"] {
            assert_eq!(split(line), None, "{line}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_quoted_word_comes_back_whole(word in "\\PC*") {
            let quoted = format!("'{}'", word.replace('\'', r"'\''"));
            proptest::prop_assert_eq!(split(&quoted), Some(vec![word]));
        }
    }
}
