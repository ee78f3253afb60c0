//! Bytes of a terminal → keys. A sequence may come in any number of pieces.

use std::time::Duration;

use bytes::{Buf, Bytes};

/// A key that means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// A character that was typed.
    Char(char),
    /// A character of a paste: text, whatever it is.
    Pasted(char),
    /// Enter.
    Enter,
    /// Escape by itself.
    Escape,
    /// Backspace.
    Backspace,
    /// Ctrl-W.
    EraseWord,
    /// Ctrl-U.
    EraseAll,
    /// Up, Ctrl-P.
    Up,
    /// Down, Ctrl-N.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// F1.
    Help,
    /// Ctrl-R, F5.
    Refresh,
    /// Ctrl-L.
    Redraw,
    /// Ctrl-C, Ctrl-D, F10.
    Leave,
}

/// How long after an ESC the rest of a sequence may come.
const ESCAPE_WAITS: Duration = Duration::from_millis(100);
/// How long a paste may pause. One whose end got lost would swallow every key.
const PASTE_WAITS: Duration = Duration::from_secs(1);
/// The longest parameters of a sequence that are looked at, in bytes.
const PARAMETERS_MAX: usize = 16;

/// Takes bytes apart.
#[derive(Debug, Default)]
pub struct Keys {
    state: State,
    paste: Paste,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Paste {
    #[default]
    No,
    Underway,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    Escape,
    /// After `ESC [`: the parameters so far.
    Sequence(Vec<u8>),
    /// After `ESC O`.
    Application,
    /// After `ESC [ [`: a function key of Linux's console.
    Linux,
    /// Within a character of several bytes.
    Utf8 {
        bytes: Vec<u8>,
        length: usize,
    },
}

impl Keys {
    /// Takes bytes from the front until they make a key; nothing when all are used up.
    pub fn next(&mut self, input: &mut Bytes) -> Option<Key> {
        while let Some(byte) = input.first().copied() {
            input.advance(1);
            if let Some(key) = self.take(byte) {
                return Some(key);
            }
        }
        None
    }

    /// How long to wait for more until [`Self::expire`] is due.
    #[must_use]
    pub fn waits(&self) -> Option<Duration> {
        match (&self.state, self.paste) {
            (State::Escape | State::Application, Paste::No) => Some(ESCAPE_WAITS),
            (_, Paste::Underway) => Some(PASTE_WAITS),
            (State::Ground | State::Sequence(_) | State::Linux | State::Utf8 { .. }, Paste::No) => None,
        }
    }

    /// Nothing came in time: an ESC was the key of that name, a paste is over.
    pub fn expire(&mut self) -> Option<Key> {
        let paste = std::mem::take(&mut self.paste);
        match std::mem::take(&mut self.state) {
            State::Escape if paste == Paste::No => Some(Key::Escape),
            State::Ground
            | State::Escape
            | State::Sequence(_)
            | State::Application
            | State::Linux
            | State::Utf8 { .. } => None,
        }
    }

    fn take(&mut self, byte: u8) -> Option<Key> {
        match std::mem::take(&mut self.state) {
            State::Ground => self.plain(byte),
            State::Escape => self.after_escape(byte),
            State::Sequence(parameters) => self.sequence(parameters, byte),
            State::Application => application(byte).filter(|_| self.paste == Paste::No),
            State::Linux => linux(byte).filter(|_| self.paste == Paste::No),
            State::Utf8 { bytes, length } => self.utf8(bytes, length, byte),
        }
    }

    fn plain(&mut self, byte: u8) -> Option<Key> {
        match byte {
            0x1b => {
                self.state = State::Escape;
                None
            }
            0x80.. => {
                self.state = first_of_several(byte);
                None
            }
            _ if self.paste == Paste::Underway => match byte {
                b'\r' | b'\n' | b'\t' => Some(Key::Pasted(' ')),
                b' '..=b'~' => Some(Key::Pasted(char::from(byte))),
                _ => None,
            },
            b' '..=b'~' => Some(Key::Char(char::from(byte))),
            _ => control(byte),
        }
    }

    fn after_escape(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => self.state = State::Sequence(Vec::new()),
            b'O' => self.state = State::Application,
            0x1b => {
                self.state = State::Escape;
                return Some(Key::Escape).filter(|_| self.paste == Paste::No);
            }
            // A key with Alt means nothing here, but one that is a control is never swallowed.
            b' '..=b'~' | 0x80.. => {}
            _ => return self.plain(byte),
        }
        None
    }

    fn sequence(&mut self, mut parameters: Vec<u8>, byte: u8) -> Option<Key> {
        match byte {
            b'[' if parameters.is_empty() => {
                self.state = State::Linux;
                None
            }
            b' '..=b'?' => {
                if parameters.len() < PARAMETERS_MAX {
                    parameters.push(byte);
                }
                self.state = State::Sequence(parameters);
                None
            }
            b'@'..=b'~' => self.whole_sequence(&parameters, byte),
            _ => self.plain(byte),
        }
    }

    fn whole_sequence(&mut self, parameters: &[u8], last: u8) -> Option<Key> {
        let first = parameters.split(|byte| *byte == b';').next().unwrap_or_default();
        let key = match (last, first) {
            (b'~', b"200") => {
                self.paste = Paste::Underway;
                None
            }
            (b'~', b"201") => {
                self.paste = Paste::No;
                None
            }
            (b'~', number) => numbered(number),
            (b'A', _) => Some(Key::Up),
            (b'B', _) => Some(Key::Down),
            (b'H', _) => Some(Key::Home),
            (b'F', _) => Some(Key::End),
            (b'P', _) => Some(Key::Help),
            _ => None,
        };
        key.filter(|_| self.paste == Paste::No)
    }

    fn utf8(&mut self, mut bytes: Vec<u8>, length: usize, byte: u8) -> Option<Key> {
        if !(0x80..0xc0).contains(&byte) {
            return self.plain(byte);
        }
        bytes.push(byte);
        if bytes.len() < length {
            self.state = State::Utf8 { bytes, length };
            return None;
        }
        let c = std::str::from_utf8(&bytes).ok()?.chars().next()?;
        Some(if self.paste == Paste::Underway { Key::Pasted(c) } else { Key::Char(c) })
    }
}

fn first_of_several(byte: u8) -> State {
    let length = match byte {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        // Not UTF-8.
        _ => return State::Ground,
    };
    State::Utf8 { bytes: vec![byte], length }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        0x03 | 0x04 => Key::Leave,
        0x08 | 0x7f => Key::Backspace,
        0x0c => Key::Redraw,
        0x0e => Key::Down,
        0x10 => Key::Up,
        0x12 => Key::Refresh,
        0x15 => Key::EraseAll,
        0x17 => Key::EraseWord,
        _ => return None,
    })
}

fn application(byte: u8) -> Option<Key> {
    Some(match byte {
        b'A' => Key::Up,
        b'B' => Key::Down,
        b'H' => Key::Home,
        b'F' => Key::End,
        b'P' => Key::Help,
        b'M' => Key::Enter,
        _ => return None,
    })
}

fn linux(byte: u8) -> Option<Key> {
    match byte {
        b'A' => Some(Key::Help),
        b'E' => Some(Key::Refresh),
        _ => None,
    }
}

fn numbered(number: &[u8]) -> Option<Key> {
    Some(match number {
        b"1" | b"7" => Key::Home,
        b"4" | b"8" => Key::End,
        b"5" => Key::PageUp,
        b"6" => Key::PageDown,
        b"11" => Key::Help,
        b"15" => Key::Refresh,
        b"21" => Key::Leave,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(keys: &mut Keys, bytes: &[u8]) -> Vec<Key> {
        let mut input = Bytes::copy_from_slice(bytes);
        std::iter::from_fn(|| keys.next(&mut input)).collect()
    }

    fn read(bytes: &[u8]) -> Vec<Key> {
        all(&mut Keys::default(), bytes)
    }

    /// xterm, its application mode, rxvt, screen, and the console of Linux.
    #[test]
    fn the_keys_of_many_terminals_are_the_same_keys() {
        let spellings: [(Key, &[&[u8]]); 12] = [
            (Key::Up, &[b"\x1b[A", b"\x1bOA", b"\x1b[1;5A", b"\x10"]),
            (Key::Down, &[b"\x1b[B", b"\x1bOB", b"\x0e"]),
            (Key::Home, &[b"\x1b[H", b"\x1bOH", b"\x1b[1~", b"\x1b[7~"]),
            (Key::End, &[b"\x1b[F", b"\x1bOF", b"\x1b[4~", b"\x1b[8~"]),
            (Key::PageUp, &[b"\x1b[5~", b"\x1b[5;3~"]),
            (Key::PageDown, &[b"\x1b[6~"]),
            (Key::Help, &[b"\x1bOP", b"\x1b[11~", b"\x1b[[A", b"\x1b[1;2P"]),
            (Key::Refresh, &[b"\x1b[15~", b"\x1b[[E", b"\x12"]),
            (Key::Leave, &[b"\x1b[21~", b"\x03", b"\x04"]),
            (Key::Enter, &[b"\r", b"\n", b"\x1bOM"]),
            (Key::Backspace, &[b"\x7f", b"\x08"]),
            (Key::Char('東'), &["東".as_bytes()]),
        ];
        for (key, ways) in spellings {
            for way in ways {
                assert_eq!(read(way), [key], "{:?}", way.escape_ascii().to_string());
                let mut keys = Keys::default();
                let in_pieces: Vec<Key> = way.iter().flat_map(|byte| all(&mut keys, &[*byte])).collect();
                assert_eq!(in_pieces, [key], "in pieces: {:?}", way.escape_ascii().to_string());
            }
        }
    }

    #[test]
    fn escape_alone_is_told_by_silence() {
        let mut keys = Keys::default();
        assert_eq!(all(&mut keys, b"\x1b"), []);
        assert!(keys.waits().is_some());
        assert_eq!(keys.expire(), Some(Key::Escape));
        assert!(keys.waits().is_none());
        assert_eq!(read(b"\x1b\x1b[A"), [Key::Escape, Key::Up]);
        assert_eq!(read(b"\x1b\x03"), [Key::Leave], "a control is never swallowed");
        assert_eq!(read(b"\x1bxy"), [Key::Char('y')], "Alt means nothing");
    }

    #[test]
    fn a_paste_is_text_and_nothing_else() {
        let pasted = read(b"\x1b[200~a\rb?\x03\x1b[A\x1bOM\x1b[201~\r");
        let text = [Key::Pasted('a'), Key::Pasted(' '), Key::Pasted('b'), Key::Pasted('?'), Key::Enter];
        assert_eq!(pasted, text);
    }

    #[test]
    fn a_paste_without_an_end_does_not_swallow_the_keys_for_ever() {
        let mut keys = Keys::default();
        assert_eq!(all(&mut keys, b"\x1b[200~\x03"), []);
        assert_eq!(keys.waits(), Some(PASTE_WAITS));
        assert_eq!(keys.expire(), None);
        assert_eq!(all(&mut keys, b"\x03"), [Key::Leave]);
    }

    #[test]
    fn nonsense_is_passed_over() {
        assert_eq!(read(b"\xff\xc0\xc3(\x80x"), [Key::Char('('), Key::Char('x')]);
        assert_eq!(read(b"\x1b[999999999999999999999999zx"), [Key::Char('x')]);
        assert_eq!(read(b"\xed\xa0\x80x"), [Key::Char('x')], "half a surrogate");
        assert_eq!(read(b"\x1b[12\x03"), [Key::Leave]);
    }

    #[test]
    fn a_sequence_without_an_end_holds_no_memory() {
        let mut keys = Keys::default();
        assert_eq!(all(&mut keys, b"\x1b["), []);
        assert_eq!(all(&mut keys, &vec![b'1'; 1_000_000]), []);
        let State::Sequence(held) = &keys.state else { panic!("{keys:?}") };
        assert_eq!(held.len(), PARAMETERS_MAX);
    }

    #[test]
    fn what_follows_a_key_is_left_for_others() {
        let mut input = Bytes::from_static(b"\ruptime\r");
        assert_eq!(Keys::default().next(&mut input), Some(Key::Enter));
        assert_eq!(input, "uptime\r");
    }
}
