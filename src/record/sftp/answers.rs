//! What the target answers.

use super::super::operation::{FileOperation, FileResult, said};
use super::conversation::{Conversation, Passing, Remark};
use super::fields::Fields;
use super::files::{Answer, Closing, OpenedFile, Refused, Slot};
use super::numbers::{
    ATTRS, DATA, EOF, EXTENDED_REPLY, HANDLE, HANDLE_MAX, NAME, OK, STATUS, VERSION, status_label,
};
use super::outstanding::{Asked, PieceOf};

/// An answer as far as it matters.
#[derive(Debug, PartialEq, Eq)]
enum Reply<'a> {
    Done,
    EndOfFile,
    Refused(Refused),
    Handle(&'a [u8]),
    /// That many bytes follow.
    Data(u32),
    /// That many names follow.
    Names(u32),
    /// Of an extension, or a file's attributes.
    Other,
}

impl<'a> Reply<'a> {
    /// Reads what comes after the id; nothing where it is malformed. `left` is how much of the packet follows.
    fn read(kind: u8, fields: &mut Fields<'a>, left: u32) -> Option<Self> {
        Some(match kind {
            STATUS => match fields.u32()? {
                OK => Self::Done,
                EOF => Self::EndOfFile,
                code => Self::Refused(Refused::new(code, fields.text_or_part().unwrap_or_default())),
            },
            HANDLE => Self::Handle(fields.string().filter(|handle| handle.len() <= HANDLE_MAX)?),
            DATA => Self::Data(fields.u32().filter(|length| *length <= left)?),
            NAME => Self::Names(fields.u32()?),
            ATTRS | EXTENDED_REPLY => Self::Other,
            _ => return None,
        })
    }
}

impl Refused {
    fn new(code: u32, message: &[u8]) -> Self {
        let (label, words) = (status_label(code), said(message));
        let repeats = words.to_lowercase().replace(' ', "-") == label;
        Self { label, words: if repeats { String::new() } else { words } }
    }

    /// No more to read, where nothing was to be read.
    fn end_of_file() -> Self {
        Self { label: status_label(EOF), words: String::new() }
    }
}

impl Conversation {
    /// An answer begins.
    pub(super) fn reply(&mut self, head: &[u8], left: u32) {
        let Some((kind, body)) = head.split_first() else { return };
        let mut fields = Fields::new(body, left);
        let Some(number) = fields.u32() else { return self.remark(Remark::OddAnswer) };
        if *kind == VERSION {
            return self.agree(number);
        }
        let Some(asked) = self.outstanding.take(number) else { return self.remark(Remark::Unasked) };
        self.answered(&asked);
        let Some(reply) = Reply::read(*kind, &mut fields, left) else { return self.odd(asked) };
        match asked {
            Asked::Piece(piece) if piece.write => self.written(piece, reply),
            Asked::Piece(piece) => self.read(piece, reply),
            Asked::Names(slot) => {
                if let Reply::Names(count) = reply {
                    self.files.list(slot, count);
                }
            }
            Asked::Close(slot) => self.closed(slot, reply),
            Asked::Open(opened) => self.opened(*opened, reply),
            Asked::Operation(operation) => self.done(*operation, reply),
            Asked::Version(version) => match reply {
                Reply::Done => self.speak(version),
                Reply::Refused(_) | Reply::EndOfFile => {}
                Reply::Handle(_) | Reply::Data(_) | Reply::Names(_) | Reply::Other => self.odd(asked),
            },
            Asked::Quiet => {}
            Asked::Doubtful(due) => {
                if due > 1 {
                    let noted = self.outstanding.put(number, Asked::Doubtful(due - 1));
                    self.keep(noted);
                }
            }
        }
    }

    fn odd(&mut self, asked: Asked) {
        self.remark(Remark::OddAnswer);
        self.unclear(asked);
    }

    fn written(&mut self, piece: PieceOf, reply: Reply<'_>) {
        match reply {
            Reply::Done => self.files.answer(piece, Answer::Done),
            Reply::EndOfFile => self.files.answer(piece, Answer::Failed(Refused::end_of_file())),
            Reply::Refused(why) => self.files.answer(piece, Answer::Failed(why)),
            Reply::Handle(_) | Reply::Data(_) | Reply::Names(_) | Reply::Other => {
                self.odd(Asked::Piece(piece))
            }
        }
    }

    fn read(&mut self, piece: PieceOf, reply: Reply<'_>) {
        match reply {
            Reply::Data(length) => {
                self.files.answer(piece, Answer::Done);
                let piece = PieceOf { length, ..piece };
                self.files.begin(piece);
                self.download = Some(Passing { id: 0, piece, left: length });
            }
            Reply::EndOfFile => self.files.answer(piece, Answer::Done),
            Reply::Refused(why) => self.files.answer(piece, Answer::Failed(why)),
            Reply::Done | Reply::Handle(_) | Reply::Names(_) | Reply::Other => self.odd(Asked::Piece(piece)),
        }
    }

    fn closed(&mut self, slot: Slot, reply: Reply<'_>) {
        let closing = match reply {
            Reply::Done => Closing::Done,
            Reply::EndOfFile => Closing::Failed(Refused::end_of_file()),
            Reply::Refused(why) => Closing::Failed(why),
            Reply::Handle(_) | Reply::Data(_) | Reply::Names(_) | Reply::Other => {
                return self.odd(Asked::Close(slot));
            }
        };
        self.files.close(slot, &closing, &mut self.told);
    }

    fn opened(&mut self, opened: OpenedFile, reply: Reply<'_>) {
        match reply {
            Reply::Handle(handle) => match self.files.put(handle, opened) {
                Ok((_, None)) => {}
                Ok((_, Some(before))) => self.files.close(before, &Closing::Unclear, &mut self.told),
                Err(too_many) => self.keep(Err(too_many)),
            },
            Reply::EndOfFile => self.tell(opened.opening(), Err(Refused::end_of_file())),
            Reply::Refused(why) => self.tell(opened.opening(), Err(why)),
            Reply::Done | Reply::Data(_) | Reply::Names(_) | Reply::Other => {
                self.odd(Asked::Open(Box::new(opened)));
            }
        }
    }

    fn done(&mut self, operation: FileOperation, reply: Reply<'_>) {
        match reply {
            Reply::Done | Reply::Other => self.tell(operation, Ok(())),
            Reply::EndOfFile => self.tell(operation, Err(Refused::end_of_file())),
            Reply::Refused(why) => self.tell(operation, Err(why)),
            Reply::Handle(_) | Reply::Data(_) | Reply::Names(_) => {
                self.odd(Asked::Operation(Box::new(operation)));
            }
        }
    }

    fn tell(&mut self, mut operation: FileOperation, outcome: Result<(), Refused>) {
        operation.result = match outcome {
            Ok(()) => FileResult::Ok,
            Err(Refused { label, words }) => {
                operation.add_detail(&words);
                FileResult::Failed(label)
            }
        };
        self.told.tell(operation);
    }

    /// More of an answer passes.
    pub(super) fn reply_goes_on(&mut self, data: &[u8]) {
        if let Some(passing) = &mut self.download {
            passing.pass(data, &mut self.files);
        }
    }

    /// The answer has passed.
    pub(super) fn reply_ends(&mut self) {
        if let Some(Passing { piece, .. }) = self.download.take() {
            self.files.end(piece);
        }
    }
}
