//! What a terminal can be trusted with, as far as its name and the locale tell.

/// How to draw on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// What to draw with.
    pub glyphs: Glyphs,
    /// Where to draw.
    pub stage: Stage,
}

/// What to draw with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyphs {
    /// Nothing but ASCII.
    Ascii,
    /// Whatever has a width.
    Unicode,
}

/// Where to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// On a second screen that leaves what was there before untouched.
    Alternate,
    /// On the only screen there is, which is cleared before and after.
    Only,
}

/// Kinds of terminal that have a second screen and do what xterm does.
const LIKE_XTERM: [&str; 22] = [
    "alacritty",
    "contour",
    "cygwin",
    "eterm",
    "foot",
    "ghostty",
    "gnome",
    "iterm",
    "kitty",
    "konsole",
    "mintty",
    "mlterm",
    "ms-terminal",
    "nsterm",
    "putty",
    "rxvt",
    "screen",
    "st",
    "tmux",
    "vte",
    "wezterm",
    "xterm",
];

impl Look {
    /// Reads `TERM` and whether the locale is one of UTF-8; nothing for a terminal that cannot be drawn on.
    #[must_use]
    pub fn of(term: &str, utf8: bool) -> Option<Self> {
        let term = term.to_ascii_lowercase();
        if matches!(term.as_str(), "" | "dumb" | "unknown" | "network" | "emacs") {
            return None;
        }
        let family = term.split(['-', '+', '.']).next().unwrap_or_default();
        let like_xterm =
            LIKE_XTERM.contains(&family) || term.starts_with("xterm") || term.starts_with("rxvt");
        Some(if like_xterm {
            Self { glyphs: if utf8 { Glyphs::Unicode } else { Glyphs::Ascii }, stage: Stage::Alternate }
        } else {
            // The console of Linux says UTF-8 and has a font of 512 glyphs.
            Self { glyphs: Glyphs::Ascii, stage: Stage::Only }
        })
    }

    /// Whether the locale that these variables make is one of UTF-8: the first that is set counts (POSIX,
    /// "Internationalization Variables").
    #[must_use]
    pub fn is_utf8<'v>(variables: impl Iterator<Item = (&'v [u8], &'v [u8])> + Clone) -> bool {
        let last = |wanted: &str| {
            variables.clone().filter(|(name, value)| *name == wanted.as_bytes() && !value.is_empty()).last()
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(last);
        locale.is_some_and(|(_, value)| {
            let value = value.to_ascii_lowercase();
            value.ends_with(b".utf-8")
                || value.ends_with(b".utf8")
                || value.windows(7).any(|part| part == b".utf-8@")
                || value == b"utf-8"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_told_by_their_names() {
        let full = Some(Look { glyphs: Glyphs::Unicode, stage: Stage::Alternate });
        for term in
            ["xterm", "xterm-256color", "screen", "screen.xterm-256color", "tmux-256color", "xterm-kitty"]
        {
            assert_eq!(Look::of(term, true), full, "{term}");
            assert_eq!(Look::of(term, false).map(|look| look.glyphs), Some(Glyphs::Ascii), "{term}");
        }
        let plain = Some(Look { glyphs: Glyphs::Ascii, stage: Stage::Only });
        for term in ["linux", "vt100", "vt220", "ansi", "\u{1b}[2J", "stranger"] {
            assert_eq!(Look::of(term, true), plain, "{term:?}");
        }
        for term in ["", "dumb", "unknown"] {
            assert_eq!(Look::of(term, true), None, "{term:?}");
        }
    }

    #[test]
    fn the_locale_is_read_in_its_order() {
        let is = |variables: &[(&str, &str)]| {
            let bytes: Vec<_> = variables.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
            Look::is_utf8(bytes.iter().copied())
        };
        assert!(is(&[("LANG", "de_DE.UTF-8")]));
        assert!(is(&[("LANG", "C"), ("LC_CTYPE", "C.utf8")]));
        assert!(is(&[("LANG", "sr_RS.UTF-8@latin")]));
        assert!(is(&[("LC_CTYPE", "UTF-8")]), "macOS sends that");
        assert!(!is(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]));
        assert!(!is(&[("LANG", "de_DE")]));
        assert!(!is(&[]));
    }
}
