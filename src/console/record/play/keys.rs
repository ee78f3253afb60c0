//! Bytes from a keyboard → what they mean to a player.

/// What whoever looks on wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Pause,
    Step,
    NextMarker,
    Forward,
    Back,
    Start,
    Faster,
    Slower,
}

/// Takes keys apart. Recorded output can ask a terminal questions; the terminal's answers come in here as well, and
/// mean nothing.
#[derive(Debug, Default)]
pub(super) struct Keys(State);

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Ground,
    /// After ESC.
    Escape,
    /// In a control sequence, or after SS3.
    Sequence,
    /// In a string that ends with ST or BEL.
    Text,
    /// In such a string, after ESC.
    TextEscape,
}

impl Keys {
    /// What one more byte means.
    pub(super) fn take(&mut self, byte: u8) -> Option<Key> {
        let (state, key) = match (self.0, byte) {
            // Ctrl-C leaves, whatever was cut off before it.
            (_, 0x03) => (State::Ground, Some(Key::Quit)),
            (State::Ground | State::Escape | State::Sequence, 0x1b) => (State::Escape, None),
            (State::Ground, _) => (State::Ground, plain(byte)),
            (State::Escape, b'[' | b'O') => (State::Sequence, None),
            (State::Escape, b'P' | b']' | b'X' | b'^' | b'_') | (State::TextEscape, _) if byte != b'\\' => {
                (State::Text, None)
            }
            (State::Escape | State::TextEscape, _) => (State::Ground, None),
            (State::Sequence, b'C') => (State::Ground, Some(Key::Forward)),
            (State::Sequence, b'D') => (State::Ground, Some(Key::Back)),
            (State::Sequence, b'H') => (State::Ground, Some(Key::Start)),
            (State::Sequence, 0x40..=0x7e) => (State::Ground, None),
            (State::Sequence, _) => (State::Sequence, None),
            (State::Text, 0x07) => (State::Ground, None),
            (State::Text, 0x1b) => (State::TextEscape, None),
            (State::Text, _) => (State::Text, None),
        };
        self.0 = state;
        key
    }
}

fn plain(byte: u8) -> Option<Key> {
    match byte {
        b'q' | b'Q' | 0x04 => Some(Key::Quit),
        b' ' => Some(Key::Pause),
        b'.' => Some(Key::Step),
        b']' => Some(Key::NextMarker),
        b'0' => Some(Key::Start),
        b'+' | b'=' => Some(Key::Faster),
        b'-' => Some(Key::Slower),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(typed: &[u8]) -> Vec<Key> {
        let mut keys = Keys::default();
        typed.iter().filter_map(|byte| keys.take(*byte)).collect()
    }

    #[test]
    fn keys_mean_what_the_help_says() {
        use Key::*;
        let typed = b" .]0+-\x1b[C\x1b[D\x1bOC\x1b[Hqx\x03";
        let wanted =
            [Pause, Step, NextMarker, Start, Faster, Slower, Forward, Back, Forward, Start, Quit, Quit];
        assert_eq!(keys(typed), wanted);
    }

    #[test]
    fn the_answers_of_a_terminal_mean_nothing() {
        for answer in [
            &b"\x1b[24;80R"[..],
            b"\x1b[?62;1;2;6;9;15;22c",
            b"\x1bP1$r q q q\x1b\\",
            b"\x1b]11;rgb:0000/0000/0000\x07",
            b"\x1b]l q quit \x1b\\",
            b"\x1b[<0;10;20M",
        ] {
            assert_eq!(keys(answer), [], "{answer:?}");
        }
        assert_eq!(keys(b"\x1bP never ends q\x03"), [Key::Quit], "Ctrl-C always leaves");
    }
}
