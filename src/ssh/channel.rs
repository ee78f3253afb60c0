//! One channel (RFC 4254 §5): ordered events in, flow-controlled bytes out.
//!
//! What always holds here: the peer's window grows only by what a reader has taken out, so a channel
//! that nobody reads stops its peer after at most one window, and stops nobody else; a writer waits
//! for the peer's window and for room in the connection's buffer, never in a queue of its own.

mod handle;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::data::Data;
use super::error::ProtocolError;
use super::wakers::Wakers;

pub use handle::Channel;

/// The extended data type of standard error (RFC 4254 §5.2).
pub const STDERR: u32 = 1;

/// The window a channel starts with, in bytes.
pub(super) const WINDOW_START: u32 = 512 * 1024;
/// The window of a channel whose reader keeps up, in bytes (OpenSSH's own size).
pub(super) const WINDOW_MAX: u32 = 2 * 1024 * 1024;
/// The largest data packet we accept, in bytes (OpenSSH's own size).
pub(super) const PACKET_DATA_MAX: u32 = 32 * 1024;
/// Requests that may wait unread on a channel, in number and in bytes.
const REQUESTS_MAX: usize = 1024;
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Chunks below this size are copied together, and all chunks that would hold more buffers than this: a chunk
/// that is not copied holds the whole buffer of the look at the stream that brought it.
const COALESCE_BELOW: usize = 16 * 1024;
const BUFFERS_MAX: usize = 8;
const COALESCED_MAX: usize = 64 * 1024;
/// Once so many items wait, a small piece joins the last one of its own stream even where a piece of another
/// stream came between: a byte of each in turn would hold a hundred times its size. Nothing orders two
/// streams in the first place; each stays in order.
const ITEMS_APART_MAX: usize = 1024;
/// How many items back that piece is looked for; there are two streams in use.
const JOIN_REACH: usize = 4;
/// Items that may wait unread on a channel; only streams that nobody uses reach it.
const ITEMS_MAX: usize = 8 * 1024;

/// What a channel brings, in the order in which the peer sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelEvent {
    /// Data of the main stream.
    Data(Data),
    /// Data of another stream; [`STDERR`] is the only type in use.
    Extended(u32, Data),
    /// No more data will come.
    Eof,
    /// A request, such as `shell`, `window-change` or `exit-status`.
    Request(ChannelRequest),
}

/// A channel request in its wire form, so that what we do not know passes unharmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRequest {
    /// Its name, such as `pty-req`.
    pub name: String,
    /// Whether the sender wants to be told if it worked.
    pub want_reply: bool,
    /// Its own fields, as they came.
    pub payload: Bytes,
}

impl ChannelRequest {
    /// What it holds in memory: its name may be as long as a packet.
    fn size(&self) -> usize {
        self.name.len() + self.payload.len()
    }
}

#[derive(Debug)]
enum Chunk {
    Slice(Data),
    Owned(BytesMut),
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::Slice(data) => data.len(),
            Self::Owned(bytes) => bytes.len(),
        }
    }

    fn into_data(self) -> Data {
        match self {
            Self::Slice(data) => data,
            Self::Owned(bytes) => bytes.freeze().into(),
        }
    }
}

#[derive(Debug)]
enum Item {
    Data(Option<u32>, Chunk),
    Eof,
    Request(ChannelRequest),
}

/// Why the peer would not open a channel (RFC 4254 §5.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the channel was refused: {text} (reason {code})")]
pub struct OpenRefused {
    /// The reason code.
    pub code: u32,
    /// The peer's words, shortened.
    pub text: String,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// The peer asks for it, and we have not answered. The peer has no say until we have.
    Asked,
    /// We ask for it, and the peer has not answered.
    Opening,
    Open,
    Refused(OpenRefused),
}

/// A channel as its connection sees it.
#[derive(Debug)]
pub(super) struct ChannelState {
    pub(super) phase: Phase,
    pub(super) remote_id: u32,
    pub(super) remote_window: u64,
    pub(super) remote_packet_max: usize,
    window: u32,
    window_target: u32,
    uncredited: u32,
    inbox: VecDeque<Item>,
    /// The buffers that chunks in the inbox hold, and how many chunks of each there are.
    inbox_buffers: VecDeque<(u64, usize)>,
    inbox_requests: usize,
    inbox_request_bytes: usize,
    /// Requests that want a reply and have none yet.
    replies_due: usize,
    eof_sent: bool,
    eof_received: bool,
    pub(super) close_sent: bool,
    pub(super) close_received: bool,
    /// Our handle is gone; what still comes is dropped, and the peer's CLOSE ends it.
    pub(super) abandoned: bool,
    replies: VecDeque<oneshot::Sender<bool>>,
    pub(super) receivers: Wakers,
    pub(super) senders: Wakers,
}

impl ChannelState {
    pub(super) fn new(phase: Phase) -> Self {
        Self {
            phase,
            remote_id: 0,
            remote_window: 0,
            remote_packet_max: 0,
            window: WINDOW_START,
            window_target: WINDOW_START,
            uncredited: 0,
            inbox: VecDeque::new(),
            inbox_buffers: VecDeque::new(),
            inbox_requests: 0,
            inbox_request_bytes: 0,
            replies_due: 0,
            eof_sent: false,
            eof_received: false,
            close_sent: false,
            close_received: false,
            abandoned: false,
            replies: VecDeque::new(),
            receivers: Wakers::default(),
            senders: Wakers::default(),
        }
    }

    /// About how many bytes a peer makes us remember here.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        let data = self.inbox.iter().map(|item| match item {
            Item::Data(_, chunk) => chunk.len(),
            Item::Eof | Item::Request(_) => 0,
        });
        let items = self.inbox.len() * std::mem::size_of::<Item>();
        data.sum::<usize>() + self.inbox_request_bytes + items + self.replies.len() * 32
    }

    pub(super) fn wake(&mut self) {
        self.receivers.wake();
        self.senders.wake();
    }

    /// Data came in.
    pub(super) fn take_data(&mut self, kind: Option<u32>, data: Data) -> Result<(), ProtocolError> {
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.window = self
            .window
            .checked_sub(size)
            .ok_or(ProtocolError("the peer sent more than the channel's window allows"))?;
        if self.close_received || self.eof_received || self.abandoned || data.is_empty() {
            return Ok(());
        }
        self.push_data(kind, data)?;
        self.receivers.wake();
        Ok(())
    }

    fn push_data(&mut self, kind: Option<u32>, data: Data) -> Result<(), ProtocolError> {
        let chunk = if data.len() >= COALESCE_BELOW && self.may_hold(data.buffer()) {
            Chunk::Slice(data)
        } else if let Some(tail) = self.tail(kind) {
            tail.extend_from_slice(&data);
            return Ok(());
        } else {
            Chunk::Owned(BytesMut::from(&*data))
        };
        if self.inbox.len() >= ITEMS_MAX {
            return Err(ProtocolError("too many pieces of data wait on one channel"));
        }
        self.inbox.push_back(Item::Data(kind, chunk));
        Ok(())
    }

    /// Whether another chunk of this buffer may be held as it is; if so, it is counted.
    fn may_hold(&mut self, buffer: u64) -> bool {
        let held = self.inbox_buffers.len();
        match self.inbox_buffers.back_mut() {
            Some((last, chunks)) if *last == buffer => *chunks += 1,
            Some(_) | None if held < BUFFERS_MAX => self.inbox_buffers.push_back((buffer, 1)),
            Some(_) | None => return false,
        }
        true
    }

    /// The first chunk that was held as it is has left.
    fn let_go(&mut self) {
        if let Some((_, chunks)) = self.inbox_buffers.front_mut() {
            *chunks -= 1;
            if *chunks == 0 {
                self.inbox_buffers.pop_front();
            }
        }
    }

    /// The chunk at the end of a stream, where a small piece may join it.
    fn tail(&mut self, kind: Option<u32>) -> Option<&mut BytesMut> {
        let reach = if self.inbox.len() < ITEMS_APART_MAX { 1 } else { JOIN_REACH };
        for item in self.inbox.iter_mut().rev().take(reach) {
            match item {
                Item::Data(of, chunk) if *of == kind => {
                    return match chunk {
                        Chunk::Owned(tail) if tail.len() < COALESCED_MAX => Some(tail),
                        Chunk::Owned(_) | Chunk::Slice(_) => None,
                    };
                }
                Item::Data(..) => {}
                Item::Eof | Item::Request(_) => return None,
            }
        }
        None
    }

    /// Our handle is gone.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
        self.inbox.clear();
        self.inbox_buffers.clear();
    }

    /// The first one counts: a peer that repeats itself must not fill the inbox.
    pub(super) fn take_eof(&mut self) {
        if self.abandoned || self.close_received || self.eof_received {
            return;
        }
        self.eof_received = true;
        self.inbox.push_back(Item::Eof);
        self.receivers.wake();
    }

    pub(super) fn take_request(&mut self, request: ChannelRequest) -> Result<(), ProtocolError> {
        if self.abandoned || self.close_received {
            return Ok(());
        }
        self.inbox_requests += 1;
        self.inbox_request_bytes += request.size();
        if self.inbox_requests > REQUESTS_MAX || self.inbox_request_bytes > REQUEST_BYTES_MAX {
            return Err(ProtocolError("too many requests wait on one channel"));
        }
        self.replies_due += usize::from(request.want_reply);
        self.inbox.push_back(Item::Request(request));
        self.receivers.wake();
        Ok(())
    }

    /// Whether the peer waits for our reply to an earlier request.
    pub(super) fn owes_reply(&self) -> bool {
        self.replies_due > 0
    }

    pub(super) fn take_reply(&mut self, success: bool) {
        if let Some(waiting) = self.replies.pop_front() {
            // A requester that left does not want to know.
            let _gone = waiting.send(success);
        }
    }

    /// Nothing more will come; whoever waits for a reply learns that there is none.
    pub(super) fn take_close(&mut self) {
        self.close_received = true;
        self.replies.clear();
        self.wake();
    }

    fn pop(&mut self) -> Option<ChannelEvent> {
        Some(match self.inbox.pop_front()? {
            Item::Data(kind, chunk) => {
                self.account(&chunk);
                match kind {
                    None => ChannelEvent::Data(chunk.into_data()),
                    Some(kind) => ChannelEvent::Extended(kind, chunk.into_data()),
                }
            }
            Item::Eof => ChannelEvent::Eof,
            Item::Request(request) => ChannelEvent::Request(self.release(request)),
        })
    }

    fn pop_request(&mut self) -> Option<ChannelRequest> {
        let at = self.inbox.iter().position(|item| matches!(item, Item::Request(_)))?;
        match self.inbox.remove(at)? {
            Item::Request(request) => Some(self.release(request)),
            Item::Data(..) | Item::Eof => None,
        }
    }

    fn pop_data(&mut self) -> Option<ChannelEvent> {
        let at = self.inbox.iter().position(|item| !matches!(item, Item::Request(_)))?;
        match self.inbox.remove(at)? {
            Item::Data(kind, chunk) => {
                self.account(&chunk);
                Some(match kind {
                    None => ChannelEvent::Data(chunk.into_data()),
                    Some(kind) => ChannelEvent::Extended(kind, chunk.into_data()),
                })
            }
            Item::Eof => Some(ChannelEvent::Eof),
            Item::Request(_) => None,
        }
    }

    fn release(&mut self, request: ChannelRequest) -> ChannelRequest {
        self.inbox_requests = self.inbox_requests.saturating_sub(1);
        self.inbox_request_bytes = self.inbox_request_bytes.saturating_sub(request.size());
        request
    }

    fn account(&mut self, chunk: &Chunk) {
        if matches!(chunk, Chunk::Slice(_)) {
            self.let_go();
        }
        let taken = chunk.len();
        self.uncredited = self.uncredited.saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
    }

    /// What to add to the peer's window, if it is time: half of it is used up and has been read.
    /// A reader that keeps up earns its channel a larger window.
    fn credit(&mut self) -> Option<u32> {
        if self.uncredited < self.window_target / 2 || self.close_received || self.close_sent {
            return None;
        }
        let mut credit = self.uncredited;
        if self.inbox.is_empty() && self.window_target < WINDOW_MAX {
            let grown = (self.window_target * 2).min(WINDOW_MAX);
            credit = credit.saturating_add(grown - self.window_target);
            self.window_target = grown;
        }
        self.uncredited = 0;
        self.window = self.window.saturating_add(credit);
        Some(credit)
    }
}
