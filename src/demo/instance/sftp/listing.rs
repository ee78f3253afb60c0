//! Directory listings, a bounded number of entries at a time.

use std::fs::{self, Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt as _;
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
            files.push(entry_of(name.to_owned(), &metadata));
        }
        while files.len() < ENTRIES_MAX {
            let Some(entry) = self.entries.next().transpose()? else { break };
            // An entry that vanished between its listing and this look is left out.
            if let Ok(metadata) = fs::symlink_metadata(entry.path()) {
                let name = entry.file_name().to_string_lossy().into_owned();
                files.push(entry_of(name, &metadata));
            }
        }
        Ok(files)
    }
}

fn entry_of(filename: String, metadata: &Metadata) -> File {
    File { longname: long_name(&filename, metadata), filename, attrs: attributes(metadata) }
}

/// A line as `ls -ln` writes it, which clients show for theirs.
fn long_name(name: &str, metadata: &Metadata) -> String {
    let changed = jiff::Timestamp::from_second(metadata.mtime()).unwrap_or_default();
    let (mode, links) = (mode_letters(metadata.mode()), metadata.nlink());
    let (user, group, size) = (metadata.uid(), metadata.gid(), metadata.len());
    format!("{mode} {links:>4} {user:<8} {group:<8} {size:>8} {} {name}", changed.strftime("%b %e %H:%M"))
}

/// `drwxr-xr-x`: the kind of file and nine permissions.
fn mode_letters(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let permissions = "rwxrwxrwx".chars().zip((0..9).rev());
    let letters = permissions.map(|(letter, bit)| if mode & (1 << bit) == 0 { '-' } else { letter });
    std::iter::once(kind).chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use super::mode_letters;

    #[test]
    fn modes_read_as_in_ls() {
        assert_eq!(mode_letters(0o100_640), "-rw-r-----");
        assert_eq!(mode_letters(0o040_755), "drwxr-xr-x");
        assert_eq!(mode_letters(0o120_777), "lrwxrwxrwx");
    }
}
