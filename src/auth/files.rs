//! Reads the files of identity, bounded.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::problem::Problem;

/// The largest file that is read, in bytes: some 100,000 keys.
pub(super) const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Reads a whole file; `what` names it in the problem.
pub(super) fn read_bounded(path: &Path, what: &str) -> Result<Vec<u8>, Problem> {
    let mut data = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut data));
    if let Err(error) = read {
        return Err(Problem::new(path, format!("the {what} cannot be read: {error}")));
    }
    if u64::try_from(data.len()).is_ok_and(|length| length > FILE_BYTES_MAX) {
        return Err(Problem::new(path, format!("the {what} is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(data)
}

/// Reads a whole file that is text.
pub(super) fn read_text(path: &Path, what: &str) -> Result<String, Problem> {
    let data = read_bounded(path, what)?;
    String::from_utf8(data).map_err(|error| {
        let before = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = before.filter(|byte| **byte == b'\n').count() + 1;
        Problem::new(path, format!("the {what} is not UTF-8 text")).at_line(line)
    })
}
