//! The audit file: appended to, synced, cut back when a write fails, found again when rotated.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Sink;

/// The file and, where asked for, standard output: lines count when both have them.
pub(super) struct FileSink {
    path: PathBuf,
    file: Appender<File>,
    sync: bool,
    echo: Option<Box<dyn Write + Send>>,
}

impl FileSink {
    /// Opens the file for appending, and creates it with mode 0600 where it is missing.
    pub(super) fn open(path: &Path, sync: bool, echo: Option<Box<dyn Write + Send>>) -> io::Result<Self> {
        let file = Appender::new(open_locked(path, sync)?, sync);
        Ok(Self { path: path.to_owned(), file, sync, echo })
    }

    /// Whether the path names another file than the open one, or none: it was rotated away.
    fn moved(&self) -> io::Result<bool> {
        let open = self.file.medium.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(named) => Ok((named.dev(), named.ino()) != (open.dev(), open.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Sink for FileSink {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.reopen()?;
        let before = self.file.append(lines)?;
        let Some(echo) = &mut self.echo else { return Ok(()) };
        echo.write_all(lines).and_then(|()| echo.flush()).inspect_err(|_| self.file.cut_back(before))
    }

    fn reopen(&mut self) -> io::Result<()> {
        if self.moved()? {
            self.file = Appender::new(open_locked(&self.path, self.sync)?, self.sync);
        }
        Ok(())
    }
}

/// Opens the file and keeps others away: cutting a failed line back would cut theirs.
fn open_locked(path: &Path, sync: bool) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::new(io::ErrorKind::WouldBlock, "another process writes to it"),
        TryLockError::Error(error) => error,
    })?;
    if sync {
        // A new file's name is durable only when its directory is.
        let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(directory)?.sync_all()?;
    }
    Ok(file)
}

/// What appending needs of a file.
pub(super) trait Medium {
    fn length(&self) -> io::Result<u64>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn cut(&self, length: u64) -> io::Result<()>;
    /// The byte before `end`, which is at least 1.
    fn byte_before(&self, end: u64) -> io::Result<u8>;
}

impl Medium for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn byte_before(&self, end: u64) -> io::Result<u8> {
        let mut byte = [0; 1];
        self.read_exact_at(&mut byte, end.saturating_sub(1))?;
        Ok(u8::from_ne_bytes(byte))
    }
}

/// Appends whole lines or nothing.
struct Appender<M> {
    medium: M,
    sync: bool,
    /// The medium may end in part of a line: a crash or a failed write left it there.
    perhaps_torn: bool,
}

impl<M: Medium> Appender<M> {
    fn new(medium: M, sync: bool) -> Self {
        Self { medium, sync, perhaps_torn: true }
    }

    /// Appends `lines`; returns the length before them, to cut back to.
    fn append(&mut self, lines: &[u8]) -> io::Result<u64> {
        // Asked each time: whoever rotates by copying also truncates.
        let before = self.medium.length()?;
        match self.write(before, lines) {
            Ok(()) => {
                self.perhaps_torn = false;
                Ok(before)
            }
            Err(error) => {
                self.cut_back(before);
                Err(error)
            }
        }
    }

    fn write(&mut self, before: u64, lines: &[u8]) -> io::Result<()> {
        if self.perhaps_torn && before > 0 && self.medium.byte_before(before)? != b'\n' {
            self.medium.write(b"\n")?;
        }
        self.medium.write(lines)?;
        if self.sync { self.medium.sync() } else { Ok(()) }
    }

    /// Takes back what was written after `length`, or sees to it that the next line starts afresh.
    fn cut_back(&mut self, length: u64) {
        self.perhaps_torn |= self.medium.cut(length).is_err();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A disk that can be full, refuse to sync and refuse to cut.
    #[derive(Default)]
    struct Disk {
        bytes: RefCell<Vec<u8>>,
        room: Option<usize>,
        no_sync: bool,
        no_cut: bool,
    }

    impl Medium for Disk {
        fn length(&self) -> io::Result<u64> {
            Ok(self.bytes.borrow().len() as u64)
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            let room = self.room.unwrap_or(usize::MAX).saturating_sub(self.bytes.borrow().len());
            let fits = bytes.len().min(room);
            self.bytes.borrow_mut().extend(&bytes[..fits]);
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&self) -> io::Result<()> {
            if self.no_sync { Err(io::Error::other("input/output error")) } else { Ok(()) }
        }

        fn cut(&self, length: u64) -> io::Result<()> {
            if self.no_cut {
                return Err(io::Error::other("cannot cut"));
            }
            self.bytes.borrow_mut().truncate(usize::try_from(length).expect("small"));
            Ok(())
        }

        fn byte_before(&self, end: u64) -> io::Result<u8> {
            Ok(self.bytes.borrow()[usize::try_from(end).expect("small") - 1])
        }
    }

    impl Appender<Disk> {
        fn text(&self) -> String {
            String::from_utf8(self.medium.bytes.borrow().clone()).expect("text")
        }
    }

    fn appender(disk: Disk) -> Appender<Disk> {
        Appender::new(disk, true)
    }

    #[test]
    fn a_line_that_does_not_fit_leaves_nothing_behind_and_the_next_one_is_whole() {
        let mut file = appender(Disk { room: Some(8), ..Disk::default() });
        file.append(b"one\n").expect("it fits");
        assert!(file.append(b"twotwo\n").is_err());
        assert_eq!(file.text(), "one\n");
        file.medium.room = None;
        file.append(b"three\n").expect("there is room again");
        assert_eq!(file.text(), "one\nthree\n");
    }

    #[test]
    fn a_line_that_was_not_synced_is_taken_back() {
        let mut file = appender(Disk { no_sync: true, ..Disk::default() });
        assert!(file.append(b"one\n").is_err());
        assert_eq!(file.text(), "");
        file.sync = false;
        file.append(b"two\n").expect("nobody asks for a sync");
        assert_eq!(file.text(), "two\n");
    }

    #[test]
    fn where_nothing_can_be_taken_back_the_next_line_starts_afresh() {
        let mut file = appender(Disk { room: Some(6), no_cut: true, ..Disk::default() });
        file.append(b"one\n").expect("it fits");
        assert!(file.append(b"two\n").is_err());
        assert_eq!(file.text(), "one\ntw");
        file.medium.room = None;
        file.append(b"three\n").expect("there is room again");
        file.append(b"four\n").expect("there is room");
        assert_eq!(file.text(), "one\ntw\nthree\nfour\n");
    }

    #[test]
    fn a_line_torn_by_a_crash_does_not_swallow_the_next() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        std::fs::write(&path, "one\n{\"v\":").expect("written");
        let mut sink = FileSink::open(&path, true, None).expect("it opens");
        sink.append(b"two\n").expect("written");
        sink.append(b"three\n").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "one\n{\"v\":\ntwo\nthree\n");
    }

    #[test]
    fn a_new_file_is_for_its_owner_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        let _sink = FileSink::open(&path, true, None).expect("it opens");
        let mode = std::fs::metadata(&path).expect("it exists").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_second_writer_is_kept_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        let first = FileSink::open(&path, true, None).expect("it opens");
        let error = FileSink::open(&path, true, None).err().expect("it is refused");
        assert_eq!(error.to_string(), "another process writes to it");
        drop(first);
        FileSink::open(&path, true, None).expect("it opens again");
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let error = FileSink::open(Path::new("/dev/null"), false, None).err().expect("it is refused");
        assert_eq!(error.to_string(), "it is not a regular file");
    }

    #[test]
    fn a_rotated_file_is_left_and_a_new_one_begun() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        let old = directory.path().join("audit.jsonl.1");
        let mut sink = FileSink::open(&path, true, None).expect("it opens");
        sink.append(b"one\n").expect("written");
        std::fs::rename(&path, &old).expect("renamed");
        sink.append(b"two\n").expect("written");
        std::fs::remove_file(&path).expect("removed");
        sink.reopen().expect("reopened");
        sink.append(b"three\n").expect("written");
        assert_eq!(std::fs::read_to_string(&old).expect("readable"), "one\n");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "three\n");
    }

    #[test]
    fn a_file_that_was_copied_and_emptied_goes_on_from_its_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        let mut sink = FileSink::open(&path, true, None).expect("it opens");
        sink.append(b"one\n").expect("written");
        OpenOptions::new().write(true).truncate(true).open(&path).expect("emptied");
        sink.append(b"two\n").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "two\n");
    }

    #[test]
    fn a_line_that_standard_output_did_not_take_is_not_in_the_file() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("audit.jsonl");
        let mut sink = FileSink::open(&path, true, Some(Box::new(writer))).expect("it opens");
        assert!(sink.append(b"one\n").is_err());
        assert_eq!(std::fs::read_to_string(&path).expect("readable"), "");
    }
}
