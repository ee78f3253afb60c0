//! What the store needs of the journal.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;

/// A line of the journal, without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalLine {
    /// Its number.
    pub seq: u64,
    /// The line.
    pub text: String,
}

/// The SHA-256 of a line without its line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineHash([u8; 32]);

impl LineHash {
    /// What stands before the first line.
    pub const NONE: Self = Self([0; 32]);

    /// The hash of a line.
    #[must_use]
    pub fn of(line: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, line.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// How far the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It has every line up to this one.
    UpTo(u64),
    /// It does not answer.
    Down,
}
