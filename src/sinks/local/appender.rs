//! A file of lines: appended to, cut back when a write fails, found again when rotated.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Medium;

/// How much of a file's end is searched for its last line. Every line of ours is shorter.
const TAIL_MAX: u64 = 1 << 20;
/// How often a lock is tried, and how long it is waited in between: about a second.
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// A file, opened when it is first needed and again where it was renamed or removed.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    open: Option<Appender<File>>,
}

impl LogFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, open: None }
    }

    fn opened(&mut self) -> io::Result<&mut Appender<File>> {
        if let Some(file) = &self.open
            && is_moved(&self.path, &file.medium)?
        {
            // What is in it counts as delivered soon, and nobody syncs it later.
            file.medium.sync_data()?;
            self.open = None;
        }
        let kept = match self.open.take() {
            Some(file) => file,
            None => Appender::new(open_locked(&self.path)?),
        };
        Ok(self.open.insert(kept))
    }
}

impl Medium for LogFile {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let appended = self.opened().and_then(|file| file.append(lines));
        appended.map_err(|error| at_path(&self.path, &error))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.open.as_ref().map_or(Ok(()), |file| file.medium.sync_data())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.opened().map(drop)
    }

    fn last_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        match File::open(&self.path) {
            Ok(file) => last_line(&file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn at_path(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Whether the path names another file than the open one, or none: it was rotated away.
fn is_moved(path: &Path, open: &File) -> io::Result<bool> {
    let open = open.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) != (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Opens the file and keeps others away: cutting a failed line back would cut theirs.
fn open_locked(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    lock(&file)?;
    // A new file's name is durable only when its directory is.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    Ok(file)
}

/// Takes the lock. A child process that is just being started has our descriptors until it runs its own program, and with
/// them a lock that we have let go of, so one refusal means little.
fn lock(file: &File) -> io::Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::WouldBlock, "another process writes to it"))
}

/// The last whole line of a file, without its line feed; none where there is none within reach.
fn last_line(file: &File) -> io::Result<Option<Vec<u8>>> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL_MAX);
    let mut tail = vec![0; usize::try_from(length - start).unwrap_or_default()];
    file.read_exact_at(&mut tail, start)?;
    let feed = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n');
    let Some(end) = feed(&tail) else { return Ok(None) };
    tail.truncate(end);
    match feed(&tail) {
        Some(before) => Ok(Some(tail.split_off(before.saturating_add(1)))),
        None if start == 0 => Ok(Some(tail)),
        None => Ok(None),
    }
}

/// What appending needs of a file.
trait Bytes {
    fn length(&self) -> io::Result<u64>;
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn cut(&self, length: u64) -> io::Result<()>;
    /// The byte before `end`, which is at least 1.
    fn byte_before(&self, end: u64) -> io::Result<u8>;
}

impl Bytes for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
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
#[derive(Debug)]
struct Appender<M> {
    medium: M,
    /// The medium may end in part of a line: a crash or a failed write left it there.
    perhaps_torn: bool,
}

impl<M: Bytes> Appender<M> {
    fn new(medium: M) -> Self {
        Self { medium, perhaps_torn: true }
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        // Asked each time: whoever rotates by copying also truncates.
        let before = self.medium.length()?;
        match self.write(before, lines) {
            Ok(()) => {
                self.perhaps_torn = false;
                Ok(())
            }
            Err(error) => {
                // Where even that fails, the next line starts afresh.
                self.perhaps_torn |= self.medium.cut(before).is_err();
                Err(error)
            }
        }
    }

    fn write(&mut self, before: u64, lines: &[u8]) -> io::Result<()> {
        if self.perhaps_torn && before > 0 && self.medium.byte_before(before)? != b'\n' {
            self.medium.write(b"\n")?;
        }
        self.medium.write(lines)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A disk that can be full and refuse to cut.
    #[derive(Default)]
    struct Disk {
        bytes: RefCell<Vec<u8>>,
        room: Option<usize>,
        no_cut: bool,
    }

    impl Bytes for Disk {
        fn length(&self) -> io::Result<u64> {
            Ok(self.bytes.borrow().len() as u64)
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            let room = self.room.unwrap_or(usize::MAX).saturating_sub(self.bytes.borrow().len());
            let fits = bytes.len().min(room);
            self.bytes.borrow_mut().extend(&bytes[..fits]);
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn cut(&self, length: u64) -> io::Result<()> {
            if self.no_cut {
                return Err(io::Error::other("input/output error"));
            }
            self.bytes.borrow_mut().truncate(usize::try_from(length).expect("it fits"));
            Ok(())
        }

        fn byte_before(&self, end: u64) -> io::Result<u8> {
            Ok(self.bytes.borrow()[usize::try_from(end).expect("it fits") - 1])
        }
    }

    fn text(file: &Appender<Disk>) -> String {
        String::from_utf8(file.medium.bytes.borrow().clone()).expect("UTF-8")
    }

    fn file_in(directory: &tempfile::TempDir) -> (PathBuf, LogFile) {
        let path = directory.path().join("audit.jsonl");
        (path.clone(), LogFile::new(path))
    }

    #[test]
    fn lines_that_do_not_fit_are_taken_back() {
        let mut file = Appender::new(Disk { room: Some(6), ..Disk::default() });
        file.append(b"one\n").expect("it fits");
        assert!(file.append(b"two\n").is_err());
        assert_eq!(text(&file), "one\n");
        file.medium.room = None;
        file.append(b"two\n").expect("there is room again");
        assert_eq!(text(&file), "one\ntwo\n");
    }

    #[test]
    fn where_nothing_can_be_taken_back_the_next_line_starts_afresh() {
        let mut file = Appender::new(Disk { room: Some(6), no_cut: true, ..Disk::default() });
        file.append(b"one\n").expect("it fits");
        assert!(file.append(b"two\n").is_err());
        file.medium.room = None;
        file.append(b"two\n").expect("there is room again");
        assert_eq!(text(&file), "one\ntw\ntwo\n");
    }

    #[test]
    fn a_line_torn_by_a_crash_does_not_swallow_the_next_and_is_no_last_line() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut file) = file_in(&directory);
        fs::write(&path, "one\ntwo\n{\"v\":").expect("written");
        assert_eq!(file.last_line().expect("readable"), Some(b"two".to_vec()));
        file.append(b"three\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "one\ntwo\n{\"v\":\nthree\n");
    }

    #[test]
    fn the_last_line_of_all_kinds_of_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut file) = file_in(&directory);
        assert_eq!(file.last_line().expect("no file"), None);
        let (long, short) = ("x".repeat(3 << 20), "y".repeat(3000));
        let cases = [
            (String::new(), None),
            ("torn".to_owned(), None),
            ("one\n".to_owned(), Some("one")),
            ("\n".to_owned(), Some("")),
            (format!("{long}\n"), None),
            (format!("{long}\n{short}\n"), Some(short.as_str())),
        ];
        for (contents, last) in cases {
            fs::write(&path, &contents).expect("written");
            assert_eq!(file.last_line().expect("readable"), last.map(|line| line.as_bytes().to_vec()));
        }
    }

    #[test]
    fn a_new_file_is_for_its_owner_alone_and_a_second_writer_is_kept_away() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut first) = file_in(&directory);
        first.reopen().expect("it opens");
        assert_eq!(fs::metadata(&path).expect("it exists").permissions().mode() & 0o777, 0o600);
        let error = LogFile::new(path.clone()).append(b"mine\n").expect_err("it is refused");
        assert!(error.to_string().ends_with("audit.jsonl: another process writes to it"), "{error}");
        drop(first);
        LogFile::new(path).append(b"mine\n").expect("it opens again");
    }

    #[test]
    fn what_is_not_a_file_is_refused() {
        let error = LogFile::new("/dev/null".into()).append(b"x\n").expect_err("it is refused");
        assert_eq!(error.to_string(), "/dev/null: it is not a regular file");
    }

    #[test]
    fn a_rotated_file_is_left_and_a_new_one_begun() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut file) = file_in(&directory);
        let old = directory.path().join("audit.jsonl.1");
        file.append(b"one\n").expect("written");
        fs::rename(&path, &old).expect("renamed");
        file.append(b"two\n").expect("written");
        fs::remove_file(&path).expect("removed");
        file.reopen().expect("reopened");
        assert_eq!(fs::read_to_string(&path).expect("an empty file appears"), "");
        file.append(b"three\n").expect("written");
        assert_eq!(fs::read_to_string(&old).expect("readable"), "one\n");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "three\n");
    }

    #[test]
    fn a_file_that_was_copied_and_emptied_goes_on_from_its_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let (path, mut file) = file_in(&directory);
        file.append(b"one\n").expect("written");
        OpenOptions::new().write(true).truncate(true).open(&path).expect("emptied");
        file.append(b"two\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("readable"), "two\n");
    }
}
