//! The host keys in an instance's console output.
//!
//! On the first boot of an instance cloud-init makes its host keys and has them printed on the console
//! (cloud-init, `cc_keys_to_console` and `tools/write-ssh-key-fingerprints`): first the fingerprints between two
//! marks, by way of the system log, then the public keys themselves between two others, bare. What is written there
//! was written by root or the kernel of that very machine, and it comes to us through AWS's API and not through
//! the network that leads to the machine.
//!
//! A console is a place where many write at once: lines bear prefixes, are wrapped, and are torn apart by the kernel's
//! messages. What can be put together again without a guess is; a key that cannot is passed over, and a block
//! without its end counts for nothing.

use std::iter::Peekable;
use std::str::Chars;

use data_encoding::BASE64;
use thiserror::Error;

use super::known::{KnownKey, KnownKeys};
use crate::domain::Fingerprint;
use crate::signature::{KeyKind, PublicKey};

/// EC2 keeps the last 64 KB of a console; nothing beyond is looked at.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// The pieces into which the line of one key may have been torn.
const PIECES_MAX: usize = 32;
/// The longest base64 of a key that is put together: an RSA key of 8192 bits has some 1,400.
const ENCODED_MAX: usize = 4096;

/// Why a console that has complete blocks vouches for nothing. Goes on after "the console output".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ConsoleError {
    /// Two different keys of one kind: the machine made new ones since, or somebody else wrote there.
    #[error("has two different host keys of the kind {0}")]
    Contradiction(&'static str),
}

/// Reads a console: the first complete block of keys, and of fingerprints for the kinds that are not among them.
/// Nothing where there is no complete block with a usable key.
///
/// # Errors
/// When any two complete blocks, or two lines of one, contradict each other.
pub fn read_console(console: &[u8]) -> Result<Option<KnownKeys>, ConsoleError> {
    let bounded = console.get(..TEXT_BYTES_MAX).unwrap_or(console);
    let text = plain(&String::from_utf8_lossy(bounded));
    let (mut whole, mut fingerprints): (Vec<Vec<KnownKey>>, Vec<Vec<KnownKey>>) = (Vec::new(), Vec::new());
    for (block, lines) in blocks(&text) {
        let keys = match block {
            Block::Keys => keys_in(&lines),
            Block::Fingerprints => lines.iter().copied().filter_map(fingerprint_in).collect(),
        };
        let read = match block {
            Block::Keys => &mut whole,
            Block::Fingerprints => &mut fingerprints,
        };
        read.extend((!keys.is_empty()).then_some(keys));
    }
    let first = whole.first().into_iter().chain(fingerprints.first()).flatten().cloned().collect();
    let all = whole.into_iter().chain(fingerprints).flatten().collect();
    let contradiction = |kind: KeyKind| ConsoleError::Contradiction(kind.name());
    KnownKeys::of(all).map_err(contradiction)?;
    KnownKeys::of(first).map_err(contradiction)
}

/// What stands between two marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Keys,
    Fingerprints,
}

impl Block {
    const ALL: [Self; 2] = [Self::Keys, Self::Fingerprints];

    fn begins(line: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|block| {
            line.contains(match block {
                Self::Keys => "-----BEGIN SSH HOST KEY KEYS-----",
                Self::Fingerprints => "-----BEGIN SSH HOST KEY FINGERPRINTS-----",
            })
        })
    }

    fn ends(line: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|block| {
            line.contains(match block {
                Self::Keys => "-----END SSH HOST KEY KEYS-----",
                Self::Fingerprints => "-----END SSH HOST KEY FINGERPRINTS-----",
            })
        })
    }
}

/// The complete blocks with their lines. One that begins before another has ended puts an end to that one,
/// which counts for nothing.
fn blocks(text: &str) -> Vec<(Block, Vec<&str>)> {
    let mut complete = Vec::new();
    let mut open: Option<(Block, Vec<&str>)> = None;
    for line in text.lines() {
        if let Some(block) = Block::begins(line) {
            open = Some((block, Vec::new()));
        } else if let Some(ended) = Block::ends(line) {
            complete.extend(open.take().filter(|(block, _)| *block == ended));
        } else if let Some((_, lines)) = &mut open {
            lines.push(line);
        }
    }
    complete
}

/// The text without what steers a terminal. A carriage return ends a line: some write one where they wrap.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => skip_escape(&mut characters),
            '\r' | '\n' => out.push('\n'),
            '\t' => out.push(' '),
            other if other.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

/// The rest of an escape sequence (ECMA-48 §5.4 and §8.3.89). It ends with its line at the latest.
fn skip_escape(characters: &mut Peekable<Chars<'_>>) {
    let more = |character: &char| !matches!(character, '\r' | '\n');
    match characters.next_if(more) {
        Some('[') => {
            while characters.next_if(|c| matches!(c, '\u{20}'..='\u{3f}')).is_some() {}
            // The last character, unless the sequence was torn apart.
            let _last = characters.next_if(|c| matches!(c, '\u{40}'..='\u{7e}'));
        }
        Some(']') => {
            while let Some(character) = characters.next_if(more) {
                if matches!(character, '\u{7}' | '\u{1b}') {
                    break;
                }
            }
        }
        Some(_) | None => {}
    }
}

/// A key whose line is put together.
struct Pending {
    kind: KeyKind,
    encoded: String,
    pieces: usize,
}

impl Pending {
    /// The key, once its line is whole.
    fn key(&self) -> Option<KnownKey> {
        let blob = BASE64.decode(self.encoded.as_bytes()).ok()?;
        let held = PublicKey::parse(&blob).ok()?.kind();
        (held == self.kind).then(|| KnownKey::whole(held, blob))
    }

    /// Adds what may be the next piece of the line.
    fn go_on(&mut self, piece: &str) {
        let mut words = piece.split_whitespace();
        let (first, _comment) = (words.next().unwrap_or_default(), words.next());
        let fits = words.next().is_none() && is_base64(first);
        if fits && self.pieces < PIECES_MAX && self.encoded.len() + first.len() <= ENCODED_MAX {
            self.encoded.push_str(first);
            self.pieces += 1;
        }
    }
}

fn is_base64(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}

/// The keys in the lines of a block that can be read.
fn keys_in(lines: &[&str]) -> Vec<KnownKey> {
    let mut keys = Vec::new();
    let mut pending: Option<Pending> = None;
    for line in lines {
        let (piece, message) = torn_by_the_kernel(line);
        for (part, may_go_on) in [(Some(piece), true), (message, false)] {
            let Some(part) = part else { continue };
            if let Some(begun) = key_begun(part) {
                pending = Some(begun);
            } else if let (true, Some(begun)) = (may_go_on, &mut pending) {
                begun.go_on(part);
            }
            if let Some(key) = pending.as_ref().and_then(Pending::key) {
                keys.push(key);
                pending = None;
            }
        }
    }
    keys
}

/// A line that begins with the name of a kind of key, whatever prefix it has.
fn key_begun(line: &str) -> Option<Pending> {
    let kinds = KeyKind::ALL.into_iter().filter(|kind| !kind.is_security_key());
    kinds.into_iter().find_map(|kind| {
        let (before, after) = line.split_once(kind.name())?;
        let stands_alone = before.chars().next_back().is_none_or(|c| c.is_whitespace() || c == ':');
        let ends_there = after.chars().next().is_none_or(char::is_whitespace);
        if !stands_alone || !ends_there {
            return None;
        }
        let encoded = after.split_whitespace().next().unwrap_or_default();
        (encoded.len() <= ENCODED_MAX).then(|| Pending { kind, encoded: encoded.to_owned(), pieces: 1 })
    })
}

/// A line up to the stamp of the kernel's log (`[   22.134567] `), and what the kernel or whoever writes by way
/// of it said after that.
fn torn_by_the_kernel(line: &str) -> (&str, Option<&str>) {
    for (at, _) in line.match_indices('[') {
        let (before, rest) = (line.get(..at), line.get(at..).and_then(after_stamp));
        if let (Some(before), Some(message)) = (before, rest) {
            return (before, Some(message));
        }
    }
    (line, None)
}

fn after_stamp(text: &str) -> Option<&str> {
    let (stamp, message) = text.strip_prefix('[')?.split_once(']')?;
    let (seconds, fraction) = stamp.trim_start().split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(seconds) && digits(fraction)).then_some(message)
}

/// One line of `ssh-keygen -l`: bits, fingerprint, comment and kind.
fn fingerprint_in(line: &str) -> Option<KnownKey> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|word| word.starts_with("SHA256:"))?;
    let fingerprint = Fingerprint::parse(words.get(at)?)?;
    let bits = at.checked_sub(1).and_then(|before| words.get(before)).copied();
    let kind = match (words.last().copied()?, bits) {
        ("(ED25519)", _) => KeyKind::Ed25519,
        ("(RSA)", _) => KeyKind::Rsa,
        ("(ECDSA)", Some("256")) => KeyKind::EcdsaP256,
        ("(ECDSA)", Some("384")) => KeyKind::EcdsaP384,
        ("(ECDSA)", Some("521")) => KeyKind::EcdsaP521,
        _ => return None,
    };
    Some(KnownKey { kind: Some(kind), fingerprint, blob: None })
}

#[cfg(test)]
mod tests;
