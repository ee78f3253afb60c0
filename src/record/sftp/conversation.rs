//! What the two ends have asked and agreed on; the requests.

use super::super::hashing::Hashers;
use super::super::operation::{FileOperation, FileResult};
use super::super::told::Told;
use super::fields::Fields;
use super::files::{Answer, Closing, Files, OpenedFile};
use super::numbers::{INIT, VERSION_MAX};
use super::outstanding::{Asked, Outstanding, PieceOf, TooMany};
use super::request::{self, Request};
use crate::audit::{FileAct, FileProtocol};

/// Something that could not be followed, after which the rest still can. Each is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remark {
    Malformed,
    Early,
    SameId,
    Unasked,
    OddAnswer,
}

impl Remark {
    const COUNT: usize = 5;

    const fn words(self) -> &'static str {
        match self {
            Self::Malformed => {
                "the client sent a request that is not well formed; further such requests are not told"
            }
            Self::Early => {
                "the client sent a request before the version was agreed on; such requests are not told"
            }
            Self::SameId => {
                "the client used the number of a request again before it was answered; how such requests came out \
                 is told as unknown"
            }
            Self::Unasked => "the target answered what was not asked; further such answers are not told",
            Self::OddAnswer => {
                "the target gave an answer that is not well formed or not of the kind that was asked for; how such \
                 requests came out is told as unknown"
            }
        }
    }
}

/// Data that pass.
#[derive(Debug)]
pub(super) struct Passing {
    pub(super) id: u32,
    pub(super) piece: PieceOf,
    pub(super) left: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Track {
    Kept,
    Lost,
    Over,
}

/// One channel's conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    /// The version that requests are written in, once it is known.
    version: Option<u32>,
    proposed: Option<u32>,
    agreed: bool,
    pub(super) outstanding: Outstanding,
    pub(super) files: Files,
    pub(super) told: Told,
    upload: Option<Passing>,
    pub(super) download: Option<Passing>,
    pub(super) unanswered: u64,
    remarked: [bool; Remark::COUNT],
    track: Track,
}

impl Conversation {
    pub(super) fn new(hashers: &Hashers) -> Self {
        Self {
            version: None,
            proposed: None,
            agreed: false,
            outstanding: Outstanding::default(),
            files: Files::new(hashers),
            told: Told::new(FileProtocol::Sftp),
            upload: None,
            download: None,
            unanswered: 0,
            remarked: [false; Remark::COUNT],
            track: Track::Kept,
        }
    }

    pub(super) fn goes_on(&self) -> bool {
        self.track == Track::Kept
    }

    pub(super) fn lost_track(&self) -> bool {
        self.track == Track::Lost
    }

    pub(super) fn unanswered(&self) -> u64 {
        self.unanswered
    }

    pub(super) fn take(&mut self) -> Option<FileOperation> {
        self.told.take()
    }

    pub(super) fn remark(&mut self, remark: Remark) {
        let Some(remarked) = self.remarked.get_mut(remark as usize) else { return };
        if !std::mem::replace(remarked, true) {
            self.told.tell(FileOperation::untracked(FileProtocol::Sftp, remark.words()));
        }
    }

    /// The channel is over.
    pub(super) fn end(&mut self) {
        if self.goes_on() {
            self.track = Track::Over;
            self.conclude(FileResult::Unfinished, &Closing::Unfinished);
        }
    }

    /// What comes next cannot be told.
    pub(super) fn lose(&mut self, why: &str) {
        self.track = Track::Lost;
        self.conclude(FileResult::Unknown, &Closing::Unclear);
        let words = format!("{why}; from here on file operations of this channel are not told");
        self.told.tell(FileOperation::untracked(FileProtocol::Sftp, &words));
    }

    pub(super) fn nonsense(&mut self, who: &str, length: u32) {
        self.lose(&format!("the {who} sent what is not SFTP: a packet of {length} bytes"));
    }

    pub(super) fn keep(&mut self, noted: Result<(), TooMany>) {
        if noted == Err(TooMany) {
            self.lose("more was asked for at once, or is open, than drawbridge keeps in mind");
        }
    }

    fn conclude(&mut self, result: FileResult, closing: &Closing) {
        for asked in self.outstanding.drain() {
            if let Asked::Open(opened) = asked {
                self.told.tell(FileOperation { result, ..opened.opening() });
            } else if let Asked::Operation(operation) = asked {
                self.told.tell(FileOperation { result, ..*operation });
            }
        }
        self.files.close_all(closing, &mut self.told);
        (self.upload, self.download, self.unanswered) = (None, None, 0);
    }

    /// A request begins.
    pub(super) fn request(&mut self, head: &[u8], left: u32) {
        let Some((kind, body)) = head.split_first() else { return };
        let mut fields = Fields::new(body, left);
        let number = fields.u32();
        if *kind == INIT {
            return self.propose(number);
        }
        let Some(id) = number else { return self.remark(Remark::Malformed) };
        let asked = match self.version.map(|version| request::read(version, *kind, &mut fields, left)) {
            None => {
                self.remark(Remark::Early);
                Ok(Asked::Quiet)
            }
            Some(None) => {
                self.remark(Remark::Malformed);
                Ok(Asked::Quiet)
            }
            Some(Some(Request::Write { handle, offset, length })) => {
                return self.write(id, handle, offset, length);
            }
            Some(Some(request)) => self.take_up(request),
        };
        match asked {
            Ok(asked) => self.put(id, asked),
            Err(too_many) => self.keep(Err(too_many)),
        }
    }

    fn take_up(&mut self, request: Request<'_>) -> Result<Asked, TooMany> {
        Ok(match request {
            Request::Open(opened) => Asked::Open(Box::new(opened)),
            Request::Close(handle) => self.files.unbind(handle).map_or(Asked::Quiet, Asked::Close),
            Request::Read { handle, offset, length } => {
                let slot = self.files.find_or_put(handle)?;
                let piece = PieceOf { write: false, slot, offset, length };
                self.files.ask(piece);
                Asked::Piece(piece)
            }
            Request::Names { handle } => self.files.find(handle).map_or(Asked::Quiet, Asked::Names),
            Request::Operation(operation) => Asked::Operation(Box::new(operation)),
            Request::OnHandle(handle, mut operation) => {
                operation.path = self.files.path(handle);
                if operation.path.is_none() {
                    operation.add_detail(OpenedFile::NOT_SEEN);
                }
                Asked::Operation(Box::new(operation))
            }
            Request::CopyData { from, to, length } => Asked::Operation(Box::new(FileOperation {
                path: self.files.path(from),
                new_path: self.files.path(to),
                // 0 stands for all that there is.
                bytes: Some(length).filter(|length| *length > 0),
                ..FileOperation::new(FileProtocol::Sftp, FileAct::Copy)
            })),
            Request::Version(version) => Asked::Version(version),
            // Its data are still to pass.
            Request::Write { .. } | Request::Quiet => Asked::Quiet,
        })
    }

    fn write(&mut self, id: u32, handle: &[u8], offset: u64, length: u32) {
        match self.files.find_or_put(handle) {
            Ok(slot) => {
                let piece = PieceOf { write: true, slot, offset, length };
                self.files.ask(piece);
                self.files.begin(piece);
                self.upload = Some(Passing { id, piece, left: length });
            }
            Err(too_many) => self.keep(Err(too_many)),
        }
    }

    /// More of a request passes.
    pub(super) fn request_goes_on(&mut self, data: &[u8]) {
        if let Some(passing) = &mut self.upload {
            passing.pass(data, &mut self.files);
        }
    }

    /// The request has passed.
    pub(super) fn request_ends(&mut self) {
        if let Some(Passing { id, piece, .. }) = self.upload.take() {
            self.files.end(piece);
            self.put(id, Asked::Piece(piece));
        }
    }

    fn put(&mut self, id: u32, asked: Asked) {
        let Some(before) = self.outstanding.take(id) else {
            if let Asked::Piece(PieceOf { write: true, length, .. }) = asked {
                self.unanswered = self.unanswered.saturating_add(u64::from(length));
            }
            let noted = self.outstanding.put(id, asked);
            return self.keep(noted);
        };
        self.remark(Remark::SameId);
        self.answered(&before);
        let due = if let Asked::Doubtful(due) = before { due } else { 1 };
        self.unclear(before);
        self.unclear(asked);
        if self.goes_on() {
            let noted = self.outstanding.put(id, Asked::Doubtful(due.saturating_add(1)));
            self.keep(noted);
        }
    }

    /// An answer has come, or will not be told from another.
    pub(super) fn answered(&mut self, asked: &Asked) {
        if let Asked::Piece(PieceOf { write: true, length, .. }) = asked {
            self.unanswered = self.unanswered.saturating_sub(u64::from(*length));
        }
    }

    /// How that came out will not be known.
    pub(super) fn unclear(&mut self, asked: Asked) {
        let result = FileResult::Unknown;
        match asked {
            Asked::Piece(piece) => self.files.answer(piece, Answer::Unclear),
            Asked::Close(slot) => self.files.close(slot, &Closing::Unclear, &mut self.told),
            Asked::Open(opened) => self.told.tell(FileOperation { result, ..opened.opening() }),
            Asked::Operation(operation) => self.told.tell(FileOperation { result, ..*operation }),
            Asked::Version(_) => {
                self.lose("it is not known whether the ends changed to another version of SFTP")
            }
            Asked::Names(_) | Asked::Quiet | Asked::Doubtful(_) => {}
        }
    }

    fn propose(&mut self, version: Option<u32>) {
        let Some(version) = version else { return self.remark(Remark::Malformed) };
        if self.proposed.is_none() && !self.agreed {
            self.proposed = Some(version);
            // Whatever the target answers, requests are written in the same way.
            self.version = Some(version).filter(|version| *version <= 3);
        }
    }

    /// The target says which version it takes. A second time means nothing.
    pub(super) fn agree(&mut self, version: u32) {
        if !std::mem::replace(&mut self.agreed, true) {
            self.speak(version.min(self.proposed.unwrap_or(version)));
        }
    }

    pub(super) fn speak(&mut self, version: u32) {
        self.version = Some(version);
        if version > VERSION_MAX {
            self.lose(&format!("the ends speak version {version} of SFTP, which drawbridge does not"));
        }
    }
}

impl Passing {
    pub(super) fn pass(&mut self, data: &[u8], files: &mut Files) {
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let data = data.get(..left).unwrap_or(data);
        files.pass(self.piece, data);
        self.left = self.left.saturating_sub(u32::try_from(data.len()).unwrap_or(u32::MAX));
    }
}
