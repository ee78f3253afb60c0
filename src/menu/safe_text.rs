//! Text of others, made safe for a terminal.
//!
//! Whoever may tag an instance writes what others see. A character stays when it takes one or two cells and
//! stands where it is put; in the place of every other one there is a `?`: controls, what joins with its
//! neighbour, what has no width, and what turns the direction of a line.

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthChar;

use super::look::Glyphs;

/// Characters of a text that are looked at; a tag has at most 256.
const LENGTH_MAX: usize = 512;

/// The text as it may be shown.
pub(super) fn safe(text: &str, glyphs: Glyphs) -> String {
    text.chars().take(LENGTH_MAX).map(|c| if stands_alone(c, glyphs) { c } else { '?' }).collect()
}

fn stands_alone(c: char, glyphs: Glyphs) -> bool {
    match glyphs {
        Glyphs::Ascii => matches!(c, ' '..='~'),
        Glyphs::Unicode if c.is_ascii() => matches!(c, ' '..='~'),
        Glyphs::Unicode => matches!(c.width(), Some(1 | 2)) && !is_unruly(c) && !joins(c),
    }
}

/// Whether it makes one character with a letter beside it, as accents and vowel signs do.
fn joins(c: char) -> bool {
    let between: String = ['a', c, 'a'].iter().collect();
    between.graphemes(true).count() < 3
}

/// Letters written from right to left, which terminals that know them move about the line; halves of flags and
/// colours of skin and parts of Korean syllables, which join with their like; private use, which has no meaning.
fn is_unruly(c: char) -> bool {
    matches!(c,
        '\u{0590}'..='\u{08ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}'
        | '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{1100}'..='\u{11ff}' | '\u{a960}'..='\u{a97f}' | '\u{d7b0}'..='\u{d7ff}'
        | '\u{2028}'..='\u{202f}' | '\u{00ad}' | '\u{fff0}'..='\u{fffc}'
        | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_replaced() {
        let shown = |text: &str| safe(text, Glyphs::Unicode);
        assert_eq!(shown("a\u{1b}[2Jb\r\n\u{9b}31m\u{7f}"), "a?[2Jb???31m?");
        assert_eq!(shown("\u{202e}live\u{2066}"), "?live?", "direction");
        assert_eq!(shown("שלום web"), "???? web", "letters from right to left");
        assert_eq!(shown("e\u{301}\u{200b}\u{200d}\u{fe0f}"), "e????", "no width of their own");
        assert_eq!(shown("🇩🇪👍🏽"), "??👍?", "what joins");
        assert_eq!(shown("größe 東京 ł"), "größe 東京 ł");
        assert_eq!(safe("größe 東京", Glyphs::Ascii), "gr??e ??");
    }

    #[test]
    fn it_is_cut_somewhere() {
        assert_eq!(safe(&"x".repeat(100_000), Glyphs::Ascii).len(), LENGTH_MAX);
    }

    #[test]
    fn of_all_characters_only_those_with_a_width_are_left() {
        for c in '\0'..=char::MAX {
            if stands_alone(c, Glyphs::Unicode) {
                assert!(!c.is_control() && matches!(c.width(), Some(1 | 2)), "{c:?}");
            }
        }
    }
}
