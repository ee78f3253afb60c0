//! Verification of files of lines: the journal's segments, `audit.jsonl`, an export.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::{Demands, Report, Verifier};
use crate::audit::lines::{LineReader, Next};

/// Checks the lines of these files, one after the other.
///
/// # Errors
/// When a file cannot be read; and which.
pub fn verify_files(files: &[PathBuf], demands: Demands) -> Result<Report, (PathBuf, io::Error)> {
    let mut verifier = Verifier::new(demands);
    for path in files {
        feed(&mut verifier, path).map_err(|error| (path.clone(), error))?;
    }
    Ok(verifier.finish())
}

fn feed(verifier: &mut Verifier, path: &Path) -> io::Result<()> {
    let mut lines = LineReader::new(BufReader::with_capacity(256 * 1024, File::open(path)?));
    verifier.source(&path.display().to_string());
    loop {
        // Recordings are compared where the store is at hand.
        match lines.next()? {
            Next::Line(line) => match std::str::from_utf8(line) {
                Ok(text) => drop(verifier.line(text)),
                Err(_) => verifier.no_text(&String::from_utf8_lossy(line)),
            },
            Next::Torn(line) => match std::str::from_utf8(line) {
                Ok(text) => drop(verifier.last(text)),
                Err(_) => verifier.no_text(&String::from_utf8_lossy(line)),
            },
            Next::TooLong => verifier.too_long(),
            Next::End => return Ok(()),
        }
    }
}
