//! Directory listings, a bounded number of entries at a time.

use std::fs::{self, ReadDir};
use std::io;
use std::path::{Path, PathBuf};

use russh_sftp::protocol::File;

use super::files::attributes;

/// How many entries one answer holds at most: OpenSSH's server says 100 as well.
const ENTRIES_MAX: usize = 100;

/// An open directory.
#[derive(Debug)]
pub(super) struct Listing {
    path: PathBuf,
    entries: ReadDir,
    dots: Vec<&'static str>,
}

impl Listing {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), entries: fs::read_dir(path)?, dots: vec!["..", "."] })
    }

    /// The next entries; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        while let Some(name) = self.dots.pop() {
            let metadata = fs::metadata(self.path.join(name))?;
            files.push(File::new(name, attributes(&metadata)));
        }
        while files.len() < ENTRIES_MAX {
            let Some(entry) = self.entries.next().transpose()? else { break };
            // An entry that vanished between its listing and this look is left out.
            if let Ok(metadata) = fs::symlink_metadata(entry.path()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                files.push(File::new(name, attributes(&metadata)));
            }
        }
        Ok(files)
    }
}
