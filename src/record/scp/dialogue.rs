//! What one end sends and the other answers.

use std::collections::VecDeque;

use super::super::hashing::{Hashers, Sum};
use super::super::operation::{FileOperation, FileResult, Sha256, said};
use super::super::told::Told;
use super::command::Command;
use super::line::Line;
use super::place::Place;
use crate::audit::{FileAct, FileProtocol};

/// The longest line, in bytes: a name of `PATH_MAX` and what comes before it.
const LINE_MAX: usize = 8 * 1024;
/// The most announcements without an answer. OpenSSH waits for each answer; some libraries do not.
const DUE_MAX: usize = 64;

/// Where the sending end is.
#[derive(Debug)]
enum Sending {
    Line,
    /// A file's bytes, and after them its status.
    Data(Box<Passing>),
    /// Why a file's bytes are not what they should be, up to the line feed.
    Complaint(Box<Passing>),
}

/// A file whose bytes pass.
struct Passing {
    operation: FileOperation,
    left: u64,
    passed: u64,
    sum: Sum,
}

impl std::fmt::Debug for Passing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passing")
            .field("left", &self.left)
            .field("passed", &self.passed)
            .finish_non_exhaustive()
    }
}

impl Passing {
    fn finish(mut self) -> FileOperation {
        let (hash, sequential) = (Some(Sha256::new(self.sum.value())), Some(true));
        FileOperation { bytes: Some(self.passed), from: Some(0), sha256: hash, sequential, ..self.operation }
    }
}

/// What an answer is due to.
#[derive(Debug)]
enum Due {
    /// The beginning, times, or the end of a directory.
    Nothing,
    /// A file was announced; its bytes follow if the answer is yes.
    Announced,
    /// A file's bytes are all there.
    Sent(Box<FileOperation>),
    /// A directory was announced.
    Directory(Box<FileOperation>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Track {
    Kept,
    Lost,
    Over,
}

/// One channel's copy.
#[derive(Debug)]
pub(super) struct Dialogue {
    upload: bool,
    place: Place,
    sending: Sending,
    line: Vec<u8>,
    /// An answer in words, up to the line feed.
    answer: Option<Vec<u8>>,
    due: VecDeque<Due>,
    told: Told,
    track: Track,
    hashers: Hashers,
}

impl Dialogue {
    pub(super) fn new(command: Command, hashers: &Hashers) -> Self {
        Self {
            upload: command.upload,
            place: Place::new(command),
            sending: Sending::Line,
            line: Vec::new(),
            answer: None,
            // The taking end begins.
            due: VecDeque::from([Due::Nothing]),
            told: Told::new(FileProtocol::Scp),
            track: Track::Kept,
            hashers: hashers.clone(),
        }
    }

    pub(super) fn take(&mut self) -> Option<FileOperation> {
        self.told.take()
    }

    pub(super) fn lost_track(&self) -> bool {
        self.track == Track::Lost
    }

    fn goes_on(&self) -> bool {
        self.track == Track::Kept
    }

    pub(super) fn end(&mut self) {
        if self.goes_on() {
            self.track = Track::Over;
            self.conclude(FileResult::Unfinished);
        }
    }

    fn lose(&mut self, why: &str) {
        self.track = Track::Lost;
        self.conclude(FileResult::Unknown);
        let words = format!("{why}; from here on file operations of this channel are not told");
        self.told.tell(FileOperation::untracked(FileProtocol::Scp, &words));
    }

    fn conclude(&mut self, result: FileResult) {
        for due in std::mem::take(&mut self.due) {
            if let Due::Sent(operation) | Due::Directory(operation) = due {
                self.told.tell(FileOperation { result, ..*operation });
            }
        }
        if let Sending::Data(passing) | Sending::Complaint(passing) =
            std::mem::replace(&mut self.sending, Sending::Line)
        {
            self.told.tell(FileOperation { result, ..passing.finish() });
        }
    }

    /// The sending end said that.
    pub(super) fn sent(&mut self, mut data: &[u8]) {
        while self.goes_on() && !data.is_empty() {
            data = match &mut self.sending {
                Sending::Data(passing) if passing.left > 0 => passing.take(data),
                Sending::Data(_) => self.status(data),
                Sending::Complaint(_) => self.complaint(data),
                Sending::Line => self.announcement(data),
            };
        }
    }

    /// A byte after a file's bytes: whether they are what they should be.
    fn status<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let Some((status, rest)) = data.split_first() else { return data };
        let Sending::Data(passing) = std::mem::replace(&mut self.sending, Sending::Line) else { return rest };
        match status {
            0 => self.all_sent(*passing, None),
            1 | 2 => self.sending = Sending::Complaint(passing),
            _ => {
                self.sending = Sending::Data(passing);
                self.lose("a file was longer than announced, or not scp");
            }
        }
        rest
    }

    fn complaint<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let (whole, rest) = self.gather(data);
        if whole && let Sending::Complaint(passing) = std::mem::replace(&mut self.sending, Sending::Line) {
            let complaint = said(&std::mem::take(&mut self.line));
            self.all_sent(*passing, Some(complaint));
        }
        rest
    }

    fn all_sent(&mut self, passing: Passing, complaint: Option<String>) {
        let mut operation = passing.finish();
        if let Some(complaint) = complaint {
            operation.result = FileResult::Failed(reason(&complaint));
            operation.add_detail(&complaint);
        }
        self.expect(Due::Sent(Box::new(operation)));
    }

    fn announcement<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let (whole, rest) = self.gather(data);
        if whole {
            let line = std::mem::take(&mut self.line);
            match Line::read(&line) {
                Some(line) => self.announced(&line),
                None => self.lose("the sending end said what is not scp"),
            }
        }
        rest
    }

    /// Gathers a line; whether it is whole, and what comes after it.
    fn gather<'d>(&mut self, data: &'d [u8]) -> (bool, &'d [u8]) {
        let end = data.iter().position(|byte| *byte == b'\n');
        let (part, rest) = data.split_at(end.unwrap_or(data.len()));
        if self.line.len() + part.len() > LINE_MAX {
            self.lose("a line is longer than any of scp");
            return (false, &[]);
        }
        self.line.extend_from_slice(part);
        (end.is_some(), rest.get(1..).unwrap_or_default())
    }

    fn announced(&mut self, line: &Line<'_>) {
        match line {
            Line::File { mode, size, name } => {
                let act = if self.upload { FileAct::Write } else { FileAct::Read };
                let operation = self.operation(act, name, *mode);
                let sum = Sum::new(&self.hashers);
                let passing = Passing { operation, left: *size, passed: 0, sum };
                self.sending = Sending::Data(Box::new(passing));
                self.expect(Due::Announced);
            }
            Line::Directory { mode, name } => {
                let operation = self.operation(FileAct::Mkdir, name, *mode).with_detail(MAYBE_THERE);
                self.expect(Due::Directory(Box::new(operation)));
                if self.goes_on() && !self.place.enter(name) {
                    self.lose("directories are nested too deep");
                }
            }
            Line::Leave => {
                self.place.leave();
                self.expect(Due::Nothing);
            }
            Line::Times => self.expect(Due::Nothing),
            // What the client cannot read is no operation on the target.
            Line::Error(_) if self.upload => {}
            Line::Error(why) => {
                let why = said(why);
                let mut operation = FileOperation::new(FileProtocol::Scp, FileAct::Open).with_detail(&why);
                operation.path = self.place.asked_for().cloned();
                operation.result = FileResult::Failed(reason(&why));
                self.told.tell(operation);
            }
        }
    }

    fn operation(&self, act: FileAct, name: &[u8], mode: u32) -> FileOperation {
        let (path, detail) = self.place.of(name);
        let mut operation = FileOperation::new(FileProtocol::Scp, act);
        (operation.path, operation.mode) = (Some(path), self.upload.then_some(mode));
        operation.add_detail(&detail.unwrap_or_default());
        operation
    }

    fn expect(&mut self, due: Due) {
        self.due.push_back(due);
        if self.due.len() > DUE_MAX {
            self.lose("the sending end does not wait for answers");
        }
    }

    /// The taking end said that.
    pub(super) fn answered(&mut self, mut data: &[u8]) {
        while self.goes_on() && !data.is_empty() {
            if let Some(answer) = &mut self.answer {
                let end = data.iter().position(|byte| *byte == b'\n');
                let (part, rest) = data.split_at(end.unwrap_or(data.len()));
                answer.extend_from_slice(part.get(..LINE_MAX.saturating_sub(answer.len())).unwrap_or(part));
                data = rest.get(1..).unwrap_or_default();
                if end.is_some() {
                    let words = said(&self.answer.take().unwrap_or_default());
                    self.answer_is(Some(&words));
                }
            } else if let Some((first, rest)) = data.split_first() {
                data = rest;
                match first {
                    0 => self.answer_is(None),
                    1 | 2 => self.answer = Some(Vec::new()),
                    _ => self.lose("the taking end said what is not scp"),
                }
            }
        }
    }

    /// Yes, or why not.
    fn answer_is(&mut self, refusal: Option<&str>) {
        match self.due.pop_front() {
            Some(Due::Nothing) => {}
            // Some complain once more, about the whole.
            None => {
                if refusal.is_none() {
                    self.lose("the taking end answered what was not asked");
                }
            }
            Some(Due::Announced) => {
                if let Some(why) = refusal {
                    self.not_taken(why);
                }
            }
            Some(Due::Sent(operation)) => self.tell(*operation, refusal),
            Some(Due::Directory(operation)) => {
                if refusal.is_some() {
                    if !self.due.is_empty() {
                        return self.lose("the sending end did not wait for an answer that was no");
                    }
                    self.place.leave();
                }
                // Nothing is made on the target when files leave it.
                if self.upload {
                    self.tell(*operation, refusal);
                }
            }
        }
    }

    /// A file that was announced is not wanted.
    fn not_taken(&mut self, why: &str) {
        match std::mem::replace(&mut self.sending, Sending::Line) {
            Sending::Data(passing) if passing.passed == 0 && self.due.is_empty() => {
                let operation = FileOperation { action: FileAct::Open, ..passing.operation };
                self.tell(operation, Some(why));
            }
            sending @ (Sending::Data(_) | Sending::Complaint(_) | Sending::Line) => {
                self.sending = sending;
                self.lose("the sending end did not wait for an answer that was no");
            }
        }
    }

    fn tell(&mut self, mut operation: FileOperation, refusal: Option<&str>) {
        let failed_before = matches!(operation.result, FileResult::Failed(_));
        match refusal {
            None if failed_before => {}
            None => operation.result = FileResult::Ok,
            Some(why) if self.upload => {
                operation.result = FileResult::Failed(reason(why));
                operation.add_detail(why);
            }
            // The target did its part.
            Some(why) => {
                if !failed_before {
                    operation.result = FileResult::Ok;
                }
                operation.add_detail(&format!("the client answered: {why}"));
            }
        }
        self.told.tell(operation);
    }
}

const MAYBE_THERE: &str = "unless it was there";

impl Passing {
    /// Takes what belongs to the file.
    fn take<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(data.len());
        let (part, rest) = data.split_at(count);
        self.sum.add(part);
        self.left = self.left.saturating_sub(part.len() as u64);
        self.passed = self.passed.saturating_add(part.len() as u64);
        rest
    }
}

/// What the system's words at the end of a complaint mean, in the word of events.
fn reason(words: &str) -> &'static str {
    const REASONS: [(&str, &str); 6] = [
        ("No such file or directory", "no-such-file"),
        ("Permission denied", "permission-denied"),
        ("No space left on device", "no-space"),
        ("Disk quota exceeded", "quota-exceeded"),
        ("Is a directory", "is-a-directory"),
        ("Not a directory", "not-a-directory"),
    ];
    let known = REASONS.into_iter().find(|(end, _)| words.ends_with(end));
    known.map_or("failure", |(_, reason)| reason)
}
