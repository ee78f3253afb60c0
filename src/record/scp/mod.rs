//! Reads the protocol of `rcp`, which `scp -t` and `scp -f` on the target speak, as it goes past.
//!
//! What always holds here: as in [`super::sftp`], the reader only looks, never fails, and is bounded; each file is
//! told once, when the end that takes it has answered.
//!
//! What it deliberately does not do: follow a command line that does more than call `scp` (pipes, lists,
//! substitutions), or expand what the login's shell expands.

mod command;
mod dialogue;
mod line;
mod place;
#[cfg(test)]
mod tests;

use super::hashing::Hashers;
use super::operation::FileOperation;
use command::Command;
use dialogue::Dialogue;

/// The reader of one channel.
#[derive(Debug)]
pub struct ScpReader {
    upload: bool,
    talk: Dialogue,
}

impl ScpReader {
    /// For a channel that runs this command, where that is `scp` as the far end of a copy and nothing else; long files
    /// are hashed by `hashers`.
    #[must_use]
    pub fn from_command(line: &[u8], hashers: &Hashers) -> Option<Self> {
        let command = Command::read(line)?;
        Some(Self { upload: command.upload, talk: Dialogue::new(command, hashers) })
    }

    /// The client said that. It must be seen here before any answer to it is.
    pub fn to_target(&mut self, data: &[u8]) {
        if self.upload { self.talk.sent(data) } else { self.talk.answered(data) }
    }

    /// The target said that.
    pub fn to_client(&mut self, data: &[u8]) {
        if self.upload { self.talk.answered(data) } else { self.talk.sent(data) }
    }

    /// The channel is over: what is not answered is told as unfinished.
    pub fn end(&mut self) {
        self.talk.end();
    }

    /// The oldest operation that was not taken. All should be taken after each piece of data, and after the end.
    pub fn take(&mut self) -> Option<FileOperation> {
        self.talk.take()
    }

    /// Whether what is done with files is not told any more.
    #[must_use]
    pub fn lost_track(&self) -> bool {
        self.talk.lost_track()
    }
}
