//! Whether a directory can be written to at this moment.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Verdict;

/// The file that is made and removed again.
const PROBE: &str = ".drawbridge-probe";
/// What a line of the audit may take at most is less.
const PROBE_BYTES: usize = 64 * 1024;

/// Writes a little file into the directory and takes it away again: the only honest answer to whether a disk is
/// full, read-only or gone.
pub async fn can_write(directory: PathBuf) -> Verdict {
    let shown = directory.display().to_string();
    let tried = tokio::task::spawn_blocking(move || probe(&directory)).await;
    match tried {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{shown} cannot be written to: {error}; free the disk or repair it")),
        Err(_) => Err(format!("{shown} could not be looked at")),
    }
}

fn probe(directory: &Path) -> io::Result<()> {
    let path = directory.join(PROBE);
    let written = write(&path);
    let removed = match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    written.and(removed)
}

/// A link that lies there is not followed: it is removed, and the next probe writes.
fn write(path: &Path) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&[0; PROBE_BYTES])?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_is_writable_and_left_as_it_was() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(can_write(directory.path().to_owned()).await, Ok(()));
        assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 0);
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let gone = directory.path().join("gone");
        let verdict = can_write(gone.clone()).await.expect_err("it is gone");
        assert!(verdict.contains("gone cannot be written to: No such file"), "{verdict}");
    }

    #[tokio::test]
    async fn what_a_killed_probe_left_does_not_last() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join(PROBE), "left").expect("our own folder");
        assert!(can_write(directory.path().to_owned()).await.is_err());
        assert_eq!(can_write(directory.path().to_owned()).await, Ok(()));
    }
}
