//! How far a sink has come: one small file each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The version of the file's form.
const VERSION: u32 = 1;
/// No position file of ours is larger, in bytes.
const SIZE_MAX: u64 = 4096;

/// How far a sink has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    v: u32,
    /// The node whose lines `seq` counts.
    pub(super) node: String,
    /// The last line that the sink is done with.
    pub(super) seq: u64,
    /// Lines that were given up and are not on record as such yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) untold: Option<Gap>,
}

/// Lines that a sink did not deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    /// The first of them.
    pub(super) from: u64,
    /// The last of them.
    pub(super) to: u64,
    /// How many; fewer than the range has where two gaps are told as one.
    pub(super) lines: u64,
}

impl Gap {
    /// The lines after one and through another.
    pub(super) fn between(after: u64, to: u64) -> Self {
        Self { from: after.saturating_add(1), to, lines: to.saturating_sub(after) }
    }

    /// Both, told as one.
    pub(super) fn and(self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        Self {
            from: self.from.min(earlier.from),
            to: self.to.max(earlier.to),
            lines: self.lines.saturating_add(earlier.lines),
        }
    }
}

impl Position {
    pub(super) fn new(node: &str, seq: u64, untold: Option<Gap>) -> Self {
        Self { v: VERSION, node: node.to_owned(), seq, untold }
    }
}

/// The file that a position is kept in.
#[derive(Debug, Clone)]
pub(super) struct PositionFile {
    path: PathBuf,
    draft: PathBuf,
}

impl PositionFile {
    /// The file of a sink; `name` can stand in a file name.
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(name), draft: dir.join(format!(".{name}.new")) }
    }

    /// The position; none where there is no file.
    ///
    /// # Errors
    /// When the file cannot be read, or is none of ours.
    pub(super) fn read(&self) -> io::Result<Option<Position>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = String::new();
        file.take(SIZE_MAX).read_to_string(&mut text)?;
        let position: Position = serde_json::from_str(&text)?;
        if position.v != VERSION {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is of another version"));
        }
        Ok(Some(position))
    }

    /// Replaces the file, whole or not at all; on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be replaced; the old one stays.
    pub(super) fn write(&self, position: &Position) -> io::Result<()> {
        let text = serde_json::to_string(position)?;
        let mut draft =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.draft)?;
        draft.write_all(text.as_bytes())?;
        draft.write_all(b"\n")?;
        draft.sync_all()?;
        fs::rename(&self.draft, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = PositionFile::new(directory.path(), "siem");
        assert_eq!(file.read().expect("readable"), None);
        for untold in [None, Some(Gap::between(3, 7))] {
            let position = Position::new("bastion-1", u64::MAX, untold);
            file.write(&position).expect("written");
            assert_eq!(file.read().expect("readable"), Some(position));
        }
        let names: Vec<_> = fs::read_dir(directory.path()).expect("a directory").collect();
        assert_eq!(names.len(), 1, "no draft is left");
    }

    #[test]
    fn what_is_no_position_is_an_error_and_no_position() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = PositionFile::new(directory.path(), "siem");
        for text in ["", "{", "17", r#"{"v":2,"node":"a","seq":1}"#, r#"{"v":1,"node":"a","seq":-1}"#] {
            fs::write(directory.path().join("siem"), text).expect("written");
            assert!(file.read().is_err(), "{text}");
        }
    }

    #[test]
    fn two_gaps_are_told_as_one_with_their_own_number_of_lines() {
        let (first, second) = (Gap::between(0, 10), Gap::between(99, 100));
        assert_eq!(second.and(Some(first)), Gap { from: 1, to: 100, lines: 11 });
        assert_eq!(first.and(None), first);
    }
}
