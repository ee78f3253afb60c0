//! What is open on the target, by handle.

use std::collections::HashMap;

use super::super::hashing::Hashers;
use super::super::operation::{FileOperation, FileResult, PathName};
use super::super::told::Told;
use super::outstanding::{PieceOf, TooMany};
use super::transfer::{Room, Transfer};
use crate::audit::{FileAct, FileProtocol};

/// The most open files and directories.
const OPEN_MAX: usize = 4096;
/// The most bytes of their names.
const NAMES_MAX: usize = 1024 * 1024;

/// One open file or directory. A handle's bytes may be used again for another as soon as it is closed; a
/// slot never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u64);

/// What is known of something from the request that opened it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OpenedFile {
    /// Absent where the opening was not seen.
    pub(super) path: Option<PathName>,
    pub(super) directory: bool,
    /// In words: to read, to write, emptied.
    pub(super) how: String,
    pub(super) appends: bool,
    /// The permissions that a file gets that is made.
    pub(super) mode: Option<u32>,
}

impl OpenedFile {
    /// What is said of something that has no name here.
    pub(super) const NOT_SEEN: &'static str = "the handle was not seen being opened";

    pub(super) fn names_len(&self) -> usize {
        self.path.as_ref().map_or(0, |path| path.as_bytes().len())
    }

    fn operation(&self, action: FileAct) -> FileOperation {
        let mut operation = FileOperation::new(FileProtocol::Sftp, action);
        operation.path.clone_from(&self.path);
        if self.path.is_none() {
            operation.add_detail(Self::NOT_SEEN);
        }
        operation
    }

    /// That it was opened, or tried to be, and nothing else.
    pub(super) fn opening(&self) -> FileOperation {
        if self.directory {
            return self.operation(FileAct::List);
        }
        let mut operation = self.operation(FileAct::Open).with_detail(&self.how);
        operation.mode = self.mode;
        operation
    }
}

/// A transfer and what its answers were.
#[derive(Debug)]
struct Answered {
    transfer: Transfer,
    /// What was sent or asked for, and has no answer yet.
    open: u64,
    /// What arrived.
    bytes: u64,
    failure: Option<Refused>,
    doubtful: bool,
}

impl Answered {
    fn new(appends: bool, hashers: &Hashers) -> Self {
        Self { transfer: Transfer::new(appends, hashers), open: 0, bytes: 0, failure: None, doubtful: false }
    }
}

#[derive(Debug)]
struct OpenFile {
    opened: OpenedFile,
    /// The names of a directory that were listed.
    listed: u64,
    read: Option<Box<Answered>>,
    write: Option<Box<Answered>>,
}

/// All that is open.
#[derive(Debug)]
pub(super) struct Files {
    by_handle: HashMap<Box<[u8]>, Slot>,
    open: HashMap<Slot, OpenFile>,
    next: u64,
    names: usize,
    room: Room,
    hashers: Hashers,
}

impl Files {
    pub(super) fn new(hashers: &Hashers) -> Self {
        let hashers = hashers.clone();
        Self {
            by_handle: HashMap::new(),
            open: HashMap::new(),
            next: 0,
            names: 0,
            room: Room::new(),
            hashers,
        }
    }

    /// The target gave this handle. The slot that had it, if any, is returned too: the target has closed it.
    pub(super) fn put(&mut self, handle: &[u8], opened: OpenedFile) -> Result<(Slot, Option<Slot>), TooMany> {
        let slot = Slot(self.next);
        self.next += 1;
        self.names += opened.names_len();
        self.open.insert(slot, OpenFile { opened, listed: 0, read: None, write: None });
        let before = self.by_handle.insert(handle.into(), slot);
        if self.open.len() > OPEN_MAX || self.names > NAMES_MAX { Err(TooMany) } else { Ok((slot, before)) }
    }

    pub(super) fn find(&self, handle: &[u8]) -> Option<Slot> {
        self.by_handle.get(handle).copied()
    }

    /// What is open there; something whose opening was not seen where nothing is.
    pub(super) fn find_or_put(&mut self, handle: &[u8]) -> Result<Slot, TooMany> {
        match self.find(handle) {
            Some(slot) => Ok(slot),
            None => self.put(handle, OpenedFile::default()).map(|(slot, _)| slot),
        }
    }

    /// The client closes this handle; the target may give it again.
    pub(super) fn unbind(&mut self, handle: &[u8]) -> Option<Slot> {
        self.by_handle.remove(handle)
    }

    pub(super) fn path(&self, handle: &[u8]) -> Option<PathName> {
        self.open.get(self.by_handle.get(handle)?)?.opened.path.clone()
    }

    fn answered(&mut self, slot: Slot, write: bool) -> Option<(&mut Answered, &mut Room)> {
        let file = self.open.get_mut(&slot)?;
        let appends = write && file.opened.appends;
        let way = if write { &mut file.write } else { &mut file.read };
        let answered = way.get_or_insert_with(|| Box::new(Answered::new(appends, &self.hashers)));
        Some((answered, &mut self.room))
    }

    /// A piece is asked for, or was sent.
    pub(super) fn ask(&mut self, piece: PieceOf) {
        if let Some((answered, _)) = self.answered(piece.slot, piece.write) {
            answered.open += 1;
        }
    }

    /// The data of a piece begin to pass.
    pub(super) fn begin(&mut self, piece: PieceOf) {
        if let Some((answered, room)) = self.answered(piece.slot, piece.write) {
            answered.transfer.begin(piece.offset, piece.length, room);
        }
    }

    /// Data pass. What goes to the client has arrived by that.
    pub(super) fn pass(&mut self, piece: PieceOf, data: &[u8]) {
        if let Some((answered, _)) = self.answered(piece.slot, piece.write) {
            answered.transfer.pass(data);
            if !piece.write {
                answered.bytes = answered.bytes.saturating_add(data.len() as u64);
            }
        }
    }

    /// The data of a piece have passed.
    pub(super) fn end(&mut self, piece: PieceOf) {
        if let Some((answered, room)) = self.answered(piece.slot, piece.write) {
            answered.transfer.end(room);
        }
    }

    /// A piece is answered.
    pub(super) fn answer(&mut self, piece: PieceOf, answer: Answer) {
        let Some((answered, _)) = self.answered(piece.slot, piece.write) else { return };
        answered.open = answered.open.saturating_sub(1);
        match answer {
            Answer::Done if piece.write => {
                answered.bytes = answered.bytes.saturating_add(u64::from(piece.length));
            }
            Answer::Done => {}
            Answer::Failed(why) => {
                answered.failure.get_or_insert(why);
            }
            Answer::Unclear => answered.doubtful = true,
        }
    }

    /// More names of a directory went to the client.
    pub(super) fn list(&mut self, slot: Slot, names: u32) {
        if let Some(file) = self.open.get_mut(&slot) {
            file.listed = file.listed.saturating_add(u64::from(names));
        }
    }

    /// It is over: tells what was done with it.
    pub(super) fn close(&mut self, slot: Slot, closing: &Closing, told: &mut Told) {
        let Some(file) = self.open.remove(&slot) else { return };
        self.names = self.names.saturating_sub(file.opened.names_len());
        let OpenFile { opened, listed, read, write } = file;
        if read.is_none() && write.is_none() {
            let mut operation = opened.opening();
            if opened.directory {
                operation.add_detail(&format!("{listed} names"));
            }
            closing.onto(&mut operation, None, false);
            return told.tell(operation);
        }
        for (action, answered) in [(FileAct::Read, read), (FileAct::Write, write)] {
            if let Some(answered) = answered {
                let mut operation = opened.operation(action);
                if action == FileAct::Write {
                    operation.mode = opened.mode;
                    operation.add_detail(if opened.appends { "appended" } else { "" });
                }
                answered.onto(&mut operation, closing, &mut self.room);
                told.tell(operation);
            }
        }
    }

    /// All that is open is over, in the order in which it was opened.
    pub(super) fn close_all(&mut self, closing: &Closing, told: &mut Told) {
        self.by_handle.clear();
        let mut slots: Vec<Slot> = self.open.keys().copied().collect();
        slots.sort_unstable();
        for slot in slots {
            self.close(slot, closing, told);
        }
    }
}

impl Answered {
    fn onto(self, operation: &mut FileOperation, closing: &Closing, room: &mut Room) {
        let moved = self.transfer.finish(room);
        operation.bytes = Some(self.bytes);
        operation.from = moved.from;
        operation.sequential = Some(moved.hashed.is_some());
        // What was sent is what arrived only if all of it was acknowledged.
        operation.sha256 = moved.hashed.filter(|(length, _)| *length == self.bytes).map(|(_, hash)| hash);
        let unclear = self.doubtful || self.open > 0;
        closing.onto(operation, self.failure.as_ref(), unclear);
    }
}

/// How a request for a piece was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Done,
    Failed(Refused),
    Unclear,
}

/// How something came to be closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// The target says so.
    Done,
    /// The target says that it failed.
    Failed(Refused),
    /// Nothing clear was said.
    Unclear,
    /// The channel ended first.
    Unfinished,
}

/// What a target says that does not do what it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// In the word of events.
    pub(super) label: &'static str,
    /// In its own words, where they say more.
    pub(super) words: String,
}

impl Closing {
    /// Sets the result. A failure before counts for more, and what is unclear is not done.
    fn onto(&self, operation: &mut FileOperation, before: Option<&Refused>, unclear: bool) {
        let refused = before.or(if let Self::Failed(refused) = self { Some(refused) } else { None });
        operation.result = match (refused, self) {
            (Some(refused), _) => FileResult::Failed(refused.label),
            (None, Self::Unfinished) => FileResult::Unfinished,
            (None, Self::Done | Self::Failed(_)) if !unclear => FileResult::Ok,
            (None, Self::Done | Self::Failed(_) | Self::Unclear) => FileResult::Unknown,
        };
        operation.add_detail(refused.map_or("", |refused| &refused.words));
    }
}
