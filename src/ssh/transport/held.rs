//! Messages of upper layers that wait for a key exchange to end.
//!
//! Between our KEXINIT and our NEWKEYS nothing else may go out (RFC 4253 §7.1). Bulk data waits with its sender; what
//! waits here are replies and window adjustments, and a peer that provokes more of them than this is cut off.

use std::collections::VecDeque;

use crate::ssh::error::ProtocolError;

/// So many messages.
const HELD_MAX: usize = 8192;
/// And so many bytes: a pong is as long as its ping.
const HELD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What waits, and whether anything has to.
#[derive(Debug, Default)]
pub(super) struct Held {
    holding: bool,
    messages: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Held {
    /// Whether what is to be sent has to wait.
    pub(super) fn is_holding(&self) -> bool {
        self.holding
    }

    /// From here on everything waits.
    pub(super) fn begin(&mut self) {
        self.holding = true;
    }

    /// Keeps a message, in two pieces as it came.
    pub(super) fn keep(&mut self, head: &[u8], body: &[u8]) -> Result<(), ProtocolError> {
        self.bytes += head.len() + body.len();
        if self.messages.len() >= HELD_MAX || self.bytes > HELD_BYTES_MAX {
            return Err(ProtocolError("too much was asked for during a key exchange"));
        }
        self.messages.push_back([head, body].concat());
        Ok(())
    }

    /// Keeps a message of the transport itself, ahead of all others.
    pub(super) fn keep_first(&mut self, message: Vec<u8>) {
        self.messages.push_front(message);
    }

    /// Nothing has to wait from here on: what did, in its order.
    pub(super) fn release(&mut self) -> VecDeque<Vec<u8>> {
        std::mem::take(self).messages
    }

    /// About how many bytes are remembered.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        self.messages.iter().map(|message| message.capacity() + 24).sum()
    }
}
