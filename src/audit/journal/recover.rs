//! Finds out, when a journal is opened, what is in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::path::Path;

use super::book::{Segment, file_name, number_in};
use crate::audit::chain::{LineHash, Placed, Tip};
use crate::audit::lines::{LineReader, Next};
use crate::domain::NodeName;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::audit) enum JournalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it belongs to the node {found}, and this node is called {wanted}")]
    OtherNode { found: String, wanted: NodeName },
    #[error("line {line} of {file} {what}")]
    Damaged { file: String, line: u64, what: &'static str },
}

/// What is there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) segments: Vec<Segment>,
    pub(super) tip: Tip,
}

/// Lists the segments and reads the last one. What a crash left half written at its end is cut off.
pub(super) fn recover(directory: &Path, node: &NodeName, sync: bool) -> Result<Found, JournalError> {
    let mut segments = list(directory)?;
    while let Some(last) = segments.last_mut() {
        let path = directory.join(file_name(last.first));
        let whole = scan(&path, last.first, node)?;
        if let Some(tip) = whole.tip {
            settle(&path, last.bytes, whole.bytes, sync)?;
            (last.bytes, last.last) = (whole.bytes, tip.seq);
            return Ok(Found { segments, tip });
        }
        // It was begun, and no line in it was finished.
        fs::remove_file(&path)?;
        segments.pop();
    }
    Ok(Found { segments, tip: Tip::START })
}

pub(super) fn list(directory: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(number_in) {
            segments.push(Segment { bytes: entry.metadata()?.len(), ..Segment::begun(first) });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    let firsts: Vec<u64> = segments.iter().map(|segment| segment.first).collect();
    for (segment, next) in segments.iter_mut().zip(firsts.into_iter().skip(1)) {
        segment.last = next.saturating_sub(1);
    }
    Ok(segments)
}

/// Cuts off what is not whole, and sees to it that what is whole stays.
fn settle(path: &Path, present: u64, whole: u64, sync: bool) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    if present > whole {
        let bytes = present.saturating_sub(whole);
        tracing::warn!(file = %path.display(), bytes, "a line that a crash tore off at the journal's end is removed");
        file.set_len(whole)?;
    }
    // A crash of drawbridge alone leaves lines that the system has and the disk may not.
    if sync { file.sync_all() } else { Ok(()) }
}

/// The whole lines of a segment.
#[derive(Debug)]
struct Whole {
    /// The last of them, where there is one.
    tip: Option<Tip>,
    bytes: u64,
}

fn scan(path: &Path, first: u64, node: &NodeName) -> Result<Whole, JournalError> {
    let mut lines = LineReader::new(BufReader::with_capacity(256 * 1024, File::open(path)?));
    let mut whole = Whole { tip: None, bytes: 0 };
    let mut number = 0_u64;
    loop {
        number = number.saturating_add(1);
        let wrong = match lines.next()? {
            Next::End | Next::Torn(_) => return Ok(whole),
            Next::TooLong => "is too long",
            Next::Line(line) => match fits(line, first, whole.tip, node)? {
                Fits::Yes(tip) => {
                    whole.tip = Some(tip);
                    let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
                    whole.bytes = whole.bytes.saturating_add(length).saturating_add(1);
                    continue;
                }
                // A power cut can leave zeros where a line was to be.
                Fits::No(_) if line.contains(&0) && only_rubbish(&mut lines)? => return Ok(whole),
                Fits::No(wrong) => wrong,
            },
        };
        return Err(JournalError::Damaged { file: path.display().to_string(), line: number, what: wrong });
    }
}

enum Fits {
    Yes(Tip),
    No(&'static str),
}

fn fits(line: &[u8], first: u64, tip: Option<Tip>, node: &NodeName) -> Result<Fits, JournalError> {
    let Some(placed) = std::str::from_utf8(line).ok().and_then(Placed::read) else {
        return Ok(Fits::No("is no line of a journal"));
    };
    if placed.node != node.as_str() {
        return Err(JournalError::OtherNode { found: placed.node.to_owned(), wanted: node.clone() });
    }
    let expected = tip.map_or(first, |tip| tip.seq.saturating_add(1));
    if placed.seq != expected {
        return Ok(Fits::No("has a number that does not follow"));
    }
    if tip.is_some_and(|tip| tip.hash != placed.prev) {
        return Ok(Fits::No("does not have the hash of the line before it"));
    }
    Ok(Fits::Yes(Tip { seq: placed.seq, hash: LineHash::of_bytes(line) }))
}

/// Whether no line of ours follows.
fn only_rubbish(lines: &mut LineReader<BufReader<File>>) -> io::Result<bool> {
    loop {
        match lines.next()? {
            Next::End => return Ok(true),
            Next::Torn(line) | Next::Line(line) => {
                if std::str::from_utf8(line).ok().and_then(Placed::read).is_some() {
                    return Ok(false);
                }
            }
            Next::TooLong => {}
        }
    }
}
