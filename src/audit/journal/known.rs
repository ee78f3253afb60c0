//! What a journal knows of lines that a store must have, without opening it for writing: a daemon may be running.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::path::Path;

use super::book::file_name;
use super::recover::list;
use crate::audit::chain::{LineHash, Placed, Tip};
use crate::audit::lines::{LineReader, Next};

/// Of the journal in a directory: the line before its first, which it has let go of because the store had it; and its last
/// line up to `stored`, which the store says that it has. Nothing where there is no journal.
///
/// # Errors
/// When the journal cannot be read.
pub fn known_to_journal(directory: &Path, stored: u64) -> io::Result<Vec<Tip>> {
    let segments = match list(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        segments => segments?,
    };
    let mut known = Vec::new();
    if let Some(first) = segments.first() {
        let (before, _) = ends(&directory.join(file_name(first.first)), 0)?;
        known.extend(before.filter(|before| before.seq > 0));
    }
    if let Some(last) = segments.iter().rev().find(|segment| segment.first <= stored) {
        let (_, last) = ends(&directory.join(file_name(last.first)), stored)?;
        known.extend(last);
    }
    Ok(known)
}

/// The line before a segment's first, as that says, and the segment's last line up to a number. What is no line of a
/// journal ends it; a segment that has just been removed has none.
fn ends(path: &Path, through: u64) -> io::Result<(Option<Tip>, Option<Tip>)> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((None, None)),
        file => file?,
    };
    let mut lines = LineReader::new(BufReader::with_capacity(256 * 1024, file));
    let (mut before, mut last) = (None, None);
    while let Next::Line(line) = lines.next()? {
        let Some(placed) = std::str::from_utf8(line).ok().and_then(Placed::read) else { break };
        before = before.or(Some(Tip { seq: placed.seq.saturating_sub(1), hash: placed.prev }));
        if placed.seq > through {
            break;
        }
        last = Some(Tip { seq: placed.seq, hash: LineHash::of_bytes(line) });
    }
    Ok((before, last))
}
