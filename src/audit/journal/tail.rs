//! The end of the journal: whole lines are appended to it, or nothing.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

/// What appending needs of a file.
pub(super) trait Medium {
    /// How long it is.
    fn length(&self) -> io::Result<u64>;
    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn cut(&self, length: u64) -> io::Result<()>;
}

impl Medium for File {
    fn length(&self) -> io::Result<u64> {
        let metadata = self.metadata()?;
        if metadata.nlink() == 0 {
            return Err(io::Error::other("somebody removed the journal's last file; restart drawbridge"));
        }
        Ok(metadata.len())
    }

    fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.write_all_at(bytes, at)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Tail<M> {
    medium: M,
    /// The bytes that are durable, and that belong there.
    length: u64,
}

impl<M: Medium> Tail<M> {
    pub(super) fn new(medium: M, length: u64) -> Self {
        Self { medium, length }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Appends whole lines. Where that fails, nothing of them stays; where not even that can be, nothing more is
    /// appended until it can, because a number must not be there twice.
    pub(super) fn append(&mut self, lines: &[u8], sync: bool) -> io::Result<()> {
        let present = self.medium.length()?;
        if present < self.length {
            return Err(io::Error::other(
                "somebody shortened the journal's last file; restart drawbridge, and see `drawbridge audit verify`",
            ));
        }
        if present > self.length {
            self.medium.cut(self.length)?;
        }
        let written = self.medium.write(lines, self.length);
        let durable = written.and_then(|()| if sync { self.medium.sync() } else { Ok(()) });
        if let Err(error) = durable {
            // Where this fails, the file is longer than it should be, and the next call cuts it first.
            drop(self.medium.cut(self.length));
            return Err(error);
        }
        self.length = self.length.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// A disk that can be full, refuse to sync and refuse to cut.
    #[derive(Default)]
    struct Disk {
        bytes: RefCell<Vec<u8>>,
        room: Cell<Option<usize>>,
        no_sync: Cell<bool>,
        no_cut: Cell<bool>,
    }

    impl Medium for Disk {
        fn length(&self) -> io::Result<u64> {
            Ok(self.bytes.borrow().len() as u64)
        }

        fn write(&self, bytes: &[u8], at: u64) -> io::Result<()> {
            let at = usize::try_from(at).expect("small");
            let room = self.room.get().unwrap_or(usize::MAX).saturating_sub(at);
            let fits = bytes.len().min(room);
            let mut held = self.bytes.borrow_mut();
            let end = held.len().max(at + fits);
            held.resize(end, 0);
            held[at..at + fits].copy_from_slice(&bytes[..fits]);
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&self) -> io::Result<()> {
            if self.no_sync.get() { Err(io::Error::other("input/output error")) } else { Ok(()) }
        }

        fn cut(&self, length: u64) -> io::Result<()> {
            if self.no_cut.get() {
                return Err(io::Error::other("cannot cut"));
            }
            self.bytes.borrow_mut().truncate(usize::try_from(length).expect("small"));
            Ok(())
        }
    }

    fn text(tail: &Tail<Disk>) -> String {
        String::from_utf8(tail.medium.bytes.borrow().clone()).expect("text")
    }

    #[test]
    fn a_line_that_does_not_fit_leaves_nothing_behind_and_the_next_one_is_whole() {
        let mut tail = Tail::new(Disk { room: Some(8).into(), ..Disk::default() }, 0);
        tail.append(b"one\n", true).expect("it fits");
        assert!(tail.append(b"twotwo\n", true).is_err());
        assert_eq!(text(&tail), "one\n");
        tail.medium.room.set(None);
        tail.append(b"three\n", true).expect("there is room again");
        assert_eq!(text(&tail), "one\nthree\n");
    }

    #[test]
    fn a_line_that_was_not_synced_is_taken_back() {
        let mut tail = Tail::new(Disk { no_sync: true.into(), ..Disk::default() }, 0);
        assert!(tail.append(b"one\n", true).is_err());
        assert_eq!(text(&tail), "");
        tail.append(b"two\n", false).expect("nobody asks for a sync");
        assert_eq!(text(&tail), "two\n");
    }

    #[test]
    fn where_nothing_can_be_taken_back_nothing_is_added_until_it_can() {
        let mut tail = Tail::new(Disk { room: Some(10).into(), no_cut: true.into(), ..Disk::default() }, 0);
        tail.append(b"one\n", true).expect("it fits");
        assert!(tail.append(b"two\ntwo\n", true).is_err());
        assert_eq!(text(&tail), "one\ntwo\ntw");
        tail.medium.room.set(None);
        assert!(tail.append(b"x\n", true).is_err(), "the first `two` would be there beside it");
        tail.medium.no_cut.set(false);
        tail.append(b"x\n", true).expect("it can be cut again");
        assert_eq!(text(&tail), "one\nx\n");
    }

    #[test]
    fn a_file_that_somebody_shortened_is_not_written_to() {
        let mut tail = Tail::new(Disk::default(), 0);
        tail.append(b"one\n", true).expect("it fits");
        tail.medium.bytes.borrow_mut().truncate(2);
        let error = tail.append(b"two\n", true).expect_err("refused");
        assert!(error.to_string().contains("shortened"), "{error}");
    }
}
