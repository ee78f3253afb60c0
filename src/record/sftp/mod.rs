//! Reads SFTP as it goes past, and tells what was done with files.
//!
//! What always holds here:
//! - The reader only looks. It holds nothing up, and whatever the two ends say, it neither fails nor panics.
//! - Data are hashed in the order of their offsets as they pass; only pieces that come before their turn are copied, within bounds.
//! - Memory is bounded: by the bytes of names, by the number of things that are open or asked for, and by
//!   what may be kept ahead of its turn. Beyond those bounds the reader says that it can follow no further,
//!   once, and is quiet from then on.
//! - What was not understood is told as that, and never guessed.
//!
//! What it deliberately does not do: resolve names (relative ones are relative to a home that is not known
//! here), tell of what only looks (stat, realpath, readlink), or decide whether something may be done.
//!
//! The protocol is draft-ietf-secsh-filexfer-02 (version 3) with OpenSSH's extensions, which nearly everybody
//! speaks; of versions 4 to 6 (-04, -05, -13), the requests that do the same.

mod answers;
mod conversation;
mod fields;
mod files;
mod numbers;
mod outstanding;
mod packets;
mod request;
#[cfg(test)]
mod tests;
mod transfer;

use super::hashing::Hashers;
use super::operation::FileOperation;
use conversation::Conversation;
use packets::{Packets, Piece, Way};

/// The reader of one channel.
#[derive(Debug)]
pub struct SftpReader {
    requests: Packets,
    replies: Packets,
    talk: Conversation,
}

impl SftpReader {
    /// For a channel on which nothing was said yet.
    #[must_use]
    pub fn new() -> Self {
        Self::beside(&Hashers::default())
    }

    /// The same; long transfers are hashed by these.
    #[must_use]
    pub fn beside(hashers: &Hashers) -> Self {
        Self {
            requests: Packets::new(Way::ToTarget),
            replies: Packets::new(Way::ToClient),
            talk: Conversation::new(hashers),
        }
    }

    /// The client said that. It must be seen here before any answer to it is.
    pub fn to_target(&mut self, mut data: &[u8]) {
        while self.talk.goes_on() {
            match self.requests.next(&mut data) {
                Piece::Head(head, left) => self.talk.request(head, left),
                Piece::Rest(rest) => self.talk.request_goes_on(rest),
                Piece::End => self.talk.request_ends(),
                Piece::Nonsense(length) => self.talk.nonsense("client", length),
                Piece::Wait => return,
            }
        }
    }

    /// The target said that.
    pub fn to_client(&mut self, mut data: &[u8]) {
        while self.talk.goes_on() {
            match self.replies.next(&mut data) {
                Piece::Head(head, left) => self.talk.reply(head, left),
                Piece::Rest(rest) => self.talk.reply_goes_on(rest),
                Piece::End => self.talk.reply_ends(),
                Piece::Nonsense(length) => self.talk.nonsense("target", length),
                Piece::Wait => return,
            }
        }
    }

    /// The channel is over: what is open or not answered is told as unfinished.
    pub fn end(&mut self) {
        self.talk.end();
    }

    /// The oldest operation that was not taken. All should be taken after each piece of data, and after the end.
    pub fn take(&mut self) -> Option<FileOperation> {
        self.talk.take()
    }

    /// How many bytes of data the client has sent to be written that the target has not answered for. Only
    /// whole requests count, so the target can answer for all of it without being sent more. 0 once track is lost.
    #[must_use]
    pub fn unanswered_write_bytes(&self) -> u64 {
        self.talk.unanswered()
    }

    /// Whether what is done with files is not told any more.
    #[must_use]
    pub fn lost_track(&self) -> bool {
        self.talk.lost_track()
    }
}

impl Default for SftpReader {
    fn default() -> Self {
        Self::new()
    }
}
