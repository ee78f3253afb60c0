//! The chain: each line names its node, its number there and the hash of the line before it.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use super::json::VERSION;
use crate::domain::NodeName;

/// The SHA-256 of a line without its line feed. Written in lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// What stands for the line before the first: all zeros.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a line, given without its line feed.
    #[must_use]
    pub fn of(line: &str) -> Self {
        Self::of_bytes(line.as_bytes())
    }

    pub(super) fn of_bytes(line: &[u8]) -> Self {
        // SHA-256 has 32 bytes, so there is no other case.
        Self(digest(&SHA256, line).as_ref().try_into().unwrap_or_default())
    }

    /// Reads 64 lower-case hexadecimal digits; nothing where it is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for LineHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where a chain has got to: the number of its last line and that line's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// The number of the last line; 0 before the first.
    pub seq: u64,
    /// Its hash.
    pub hash: LineHash,
}

impl Tip {
    /// Before the first line.
    pub const START: Self = Self { seq: 0, hash: LineHash::NONE };
}

/// Lines that have their place in the chain, and where the chain gets to with them.
#[derive(Debug)]
pub(super) struct Batch {
    /// Whole lines, each with its line feed.
    pub(super) bytes: Vec<u8>,
    /// The number of the first.
    pub(super) first: u64,
    /// The last of them.
    pub(super) tip: Tip,
}

/// Gives lines their place. There is one for each log, where the order of lines is decided.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) node: NodeName,
    pub(super) tip: Tip,
}

impl Chain {
    /// The lines, in order, as they follow the tip. The tip stays where it is until they are durable.
    pub(super) fn place<'a>(&self, lines: impl Iterator<Item = &'a [u8]>) -> Batch {
        let mut batch = Batch { bytes: Vec::new(), first: self.tip.seq.saturating_add(1), tip: self.tip };
        for line in lines {
            let begins = batch.bytes.len();
            let seq = batch.tip.seq.saturating_add(1);
            let (node, prev) = (&self.node, batch.tip.hash);
            let place = format!("{{\"v\":{VERSION},\"node\":\"{node}\",\"seq\":{seq},\"prev\":\"{prev}\",");
            batch.bytes.extend_from_slice(place.as_bytes());
            batch.bytes.extend_from_slice(without_version(line));
            let placed = batch.bytes.get(begins..).unwrap_or_default();
            let hash = LineHash::of_bytes(placed.strip_suffix(b"\n").unwrap_or(placed));
            batch.tip = Tip { seq, hash };
        }
        batch
    }
}

/// What follows `{"v":1,` in a line as [`super::json::line`] makes it.
fn without_version(line: &[u8]) -> &[u8] {
    line.strip_prefix(format!("{{\"v\":{VERSION},").as_bytes()).unwrap_or(line)
}

/// A line's place in its chain, as the line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The node.
    pub node: &'a str,
    /// The number.
    pub seq: u64,
    /// The hash of the line before it.
    pub prev: LineHash,
}

impl<'a> Placed<'a> {
    /// Reads the beginning of a line as drawbridge writes it; nothing where it is otherwise.
    #[must_use]
    pub fn read(line: &'a str) -> Option<Self> {
        let (node, seq, rest) = Self::read_number(line)?;
        let prev = LineHash::parse(rest.strip_prefix("\"prev\":\"")?.get(..64)?)?;
        (rest.ends_with('}')).then_some(Self { node, seq, prev })
    }

    /// Reads node and number, also of a line that was cut off behind them; and what follows.
    pub(super) fn read_number(line: &'a str) -> Option<(&'a str, u64, &'a str)> {
        let (version, rest) = line.strip_prefix("{\"v\":")?.split_once(",\"node\":\"")?;
        version.parse::<u32>().ok()?;
        let (node, rest) = rest.split_once('"')?;
        let (seq, rest) = rest.strip_prefix(",\"seq\":")?.split_once(',')?;
        Some((node, seq.parse().ok()?, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back_and_nothing_else_is_one() {
        let hash = LineHash::of("line");
        assert_eq!(LineHash::parse(&hash.to_string()), Some(hash));
        let known = "38a9c1e721584da284b90ceea4ed7eb8db15ac4ea86c2c75ec925d5f8799fcf0";
        assert_eq!(hash.to_string(), known);
        for wrong in ["", "00", &"A".repeat(64), &"0".repeat(65), &"g".repeat(64)] {
            assert_eq!(LineHash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lines_get_their_place_and_read_back() {
        let node = NodeName::parse("bastion-1").expect("a name");
        let chain = Chain { node, tip: Tip::START };
        let lines: [&[u8]; 2] = [b"{\"v\":1,\"time\":\"t\"}\n", b"{\"v\":1,\"time\":\"u\"}\n"];
        let batch = chain.place(lines.into_iter());
        let text = String::from_utf8(batch.bytes).expect("text");
        let placed: Vec<&str> = text.lines().collect();
        let zeros = "0".repeat(64);
        assert_eq!(placed[0], format!(r#"{{"v":1,"node":"bastion-1","seq":1,"prev":"{zeros}","time":"t"}}"#));
        let second = Placed::read(placed[1]).expect("a place");
        assert_eq!((second.node, second.seq, second.prev), ("bastion-1", 2, LineHash::of(placed[0])));
        assert_eq!((batch.first, batch.tip), (1, Tip { seq: 2, hash: LineHash::of(placed[1]) }));
    }

    #[test]
    fn what_is_cut_off_or_otherwise_has_no_place() {
        let whole = format!(r#"{{"v":1,"node":"a","seq":1,"prev":"{}","time":"t"}}"#, LineHash::NONE);
        assert!(Placed::read(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(Placed::read(&whole[..end]), None, "{end}");
        }
        assert_eq!(Placed::read(&whole.replace("\"seq\":1", "\"seq\":-1")), None);
    }
}
