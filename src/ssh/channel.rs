//! One channel (RFC 4254 §5): ordered events in, flow-controlled bytes out.
//!
//! What always holds here: the peer's window grows only by what a reader has taken out, so a channel
//! that nobody reads stops its peer after at most one window, and stops nobody else; a writer waits
//! for the peer's window and for room in the connection's buffer, never in a queue of its own.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::sync::oneshot;

use super::connection::{Inner, Shared};
use super::error::{CloseReason, Closed, ProtocolError};
use super::numbers;
use super::wakers::Wakers;
use super::wire::{Put, message};

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
/// Chunks below this size, and all once this much is unread, are copied together, so that an unread
/// channel holds its own bytes and not the buffers of its neighbours. What one look at the stream brings
/// stays uncopied.
const COALESCE_BELOW: usize = 16 * 1024;
const COALESCE_BACKLOG: usize = 512 * 1024;
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
    Data(Bytes),
    /// Data of another stream; [`STDERR`] is the only type in use.
    Extended(u32, Bytes),
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
    Slice(Bytes),
    Owned(BytesMut),
}

impl Chunk {
    fn len(&self) -> usize {
        match self {
            Self::Slice(bytes) => bytes.len(),
            Self::Owned(bytes) => bytes.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::Slice(bytes) => bytes,
            Self::Owned(bytes) => bytes.freeze(),
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
    inbox_bytes: usize,
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
            inbox_bytes: 0,
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
        let items = self.inbox.len() * std::mem::size_of::<Item>();
        self.inbox_bytes + self.inbox_request_bytes + items + self.replies.len() * 32
    }

    pub(super) fn wake(&mut self) {
        self.receivers.wake();
        self.senders.wake();
    }

    /// Data came in.
    pub(super) fn take_data(&mut self, kind: Option<u32>, data: Bytes) -> Result<(), ProtocolError> {
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

    fn push_data(&mut self, kind: Option<u32>, data: Bytes) -> Result<(), ProtocolError> {
        self.inbox_bytes += data.len();
        let chunk = if data.len() >= COALESCE_BELOW && self.inbox_bytes <= COALESCE_BACKLOG {
            Chunk::Slice(data)
        } else if let Some(tail) = self.tail(kind) {
            tail.extend_from_slice(&data);
            return Ok(());
        } else {
            Chunk::Owned(BytesMut::from(data.as_ref()))
        };
        if self.inbox.len() >= ITEMS_MAX {
            return Err(ProtocolError("too many pieces of data wait on one channel"));
        }
        self.inbox.push_back(Item::Data(kind, chunk));
        Ok(())
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
        self.inbox_bytes = 0;
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
                self.account(chunk.len());
                match kind {
                    None => ChannelEvent::Data(chunk.into_bytes()),
                    Some(kind) => ChannelEvent::Extended(kind, chunk.into_bytes()),
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
                self.account(chunk.len());
                Some(match kind {
                    None => ChannelEvent::Data(chunk.into_bytes()),
                    Some(kind) => ChannelEvent::Extended(kind, chunk.into_bytes()),
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

    fn account(&mut self, taken: usize) {
        self.inbox_bytes = self.inbox_bytes.saturating_sub(taken);
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

/// A handle to one channel. Dropping it closes the channel.
#[derive(Debug)]
pub struct Channel {
    shared: Arc<Shared>,
    id: u32,
}

impl Channel {
    pub(super) fn new(shared: Arc<Shared>, id: u32) -> Self {
        Self { shared, id }
    }

    /// Our number of the channel, unique within its connection.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The next event, in order; nothing once the channel is closed and all was read.
    pub async fn recv(&self) -> Option<ChannelEvent> {
        poll_fn(|cx| self.poll_take(cx, ChannelState::pop)).await
    }

    /// The next request, ahead of data that waits unread; nothing once the channel is closed.
    pub async fn recv_request(&self) -> Option<ChannelRequest> {
        poll_fn(|cx| self.poll_take(cx, ChannelState::pop_request)).await
    }

    /// The next data or end of data, ahead of requests that wait unread; nothing once the channel is closed.
    pub async fn recv_data(&self) -> Option<ChannelEvent> {
        poll_fn(|cx| self.poll_take(cx, ChannelState::pop_data)).await
    }

    pub(super) fn poll_recv_data(&self, cx: &mut Context<'_>) -> Poll<Option<ChannelEvent>> {
        self.poll_take(cx, ChannelState::pop_data)
    }

    fn poll_take<T>(&self, cx: &mut Context<'_>, pop: fn(&mut ChannelState) -> Option<T>) -> Poll<Option<T>> {
        let mut inner = self.shared.lock();
        let over = inner.is_closed();
        let Some(channel) = inner.channels.get_mut(&self.id) else { return Poll::Ready(None) };
        if let Some(taken) = pop(channel) {
            let credit = channel.credit();
            let remote_id = channel.remote_id;
            if let (Some(credit), false) = (credit, over) {
                let mut out = message(numbers::CHANNEL_WINDOW_ADJUST);
                out.uint32(remote_id).uint32(credit);
                inner.send(&out, &[]);
            }
            return Poll::Ready(Some(taken));
        }
        if over || channel.close_received {
            return Poll::Ready(None);
        }
        channel.receivers.register(cx);
        Poll::Pending
    }

    /// Whether the peer has closed the channel, or the connection is over. Unread events may remain.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        let inner = self.shared.lock();
        inner.is_closed() || inner.channels.get(&self.id).is_none_or(|channel| channel.close_received)
    }

    /// Whether the whole connection is over, and not just this channel.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.shared.lock().is_closed()
    }

    /// Waits until the peer has closed the channel or the connection is over.
    pub async fn closed(&self) {
        poll_fn(|cx| {
            let mut inner = self.shared.lock();
            let over = inner.is_closed();
            match inner.channels.get_mut(&self.id) {
                Some(channel) if !over && !channel.close_received => {
                    channel.receivers.register(cx);
                    Poll::Pending
                }
                Some(_) | None => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Waits until the connection has room for a small message, or we have closed the channel. Requests have no
    /// window: whoever passes on another's requests waits here before each, or a peer that does not read
    /// lets them pile up.
    pub async fn room(&self) {
        poll_fn(|cx| {
            let mut inner = self.shared.lock();
            let room = inner.has_room(0);
            match inner.channels.get_mut(&self.id) {
                // The peer's CLOSE does not count: how a program ended may still be said after it.
                Some(channel) if !room && !channel.close_sent => channel.senders.register(cx),
                Some(_) | None => return Poll::Ready(()),
            }
            inner.out_waiters.register(cx);
            Poll::Pending
        })
        .await;
    }

    /// Writes to the main stream; waits until all is on its way.
    ///
    /// # Errors
    /// When the channel or the connection is closed; then some of the data may have been sent.
    pub async fn write(&self, mut data: Bytes) -> Result<(), Closed> {
        poll_fn(|cx| self.poll_write(cx, None, &mut data)).await
    }

    /// Writes to another stream, such as [`STDERR`]; waits until all is on its way.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn write_extended(&self, kind: u32, mut data: Bytes) -> Result<(), Closed> {
        poll_fn(|cx| self.poll_write(cx, Some(kind), &mut data)).await
    }

    pub(super) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        kind: Option<u32>,
        data: &mut Bytes,
    ) -> Poll<Result<(), Closed>> {
        let mut inner = self.shared.lock();
        while !data.is_empty() {
            if !inner.may_write(self.id, data.len(), cx) {
                return Poll::Pending;
            }
            match inner.write_some(self.id, kind, data) {
                Ok(0) => {
                    if let Some(channel) = inner.channels.get_mut(&self.id) {
                        channel.senders.register(cx);
                    }
                    return Poll::Pending;
                }
                Ok(count) => data.advance(count),
                Err(closed) => return Poll::Ready(Err(closed)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what there is room for at once; waits only while there is none.
    pub(super) fn poll_write_some(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Closed>> {
        let mut inner = self.shared.lock();
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            if !inner.may_write(self.id, rest.len(), cx) {
                break;
            }
            match inner.write_some(self.id, None, rest) {
                Ok(0) => {
                    if let Some(channel) = inner.channels.get_mut(&self.id) {
                        channel.senders.register(cx);
                    }
                    break;
                }
                Ok(count) => done += count,
                Err(closed) => return Poll::Ready(Err(closed)),
            }
        }
        match (done, inner.closed()) {
            (0, Some(closed)) => Poll::Ready(Err(closed)),
            (0, None) if !data.is_empty() => Poll::Pending,
            (done, _) => Poll::Ready(Ok(done)),
        }
    }

    /// Says that no more data will be written.
    pub fn eof(&self) {
        let mut inner = self.shared.lock();
        let Some(channel) = inner.channels.get_mut(&self.id) else { return };
        if channel.eof_sent || channel.close_sent {
            return;
        }
        channel.eof_sent = true;
        let remote_id = channel.remote_id;
        inner.send(message(numbers::CHANNEL_EOF).uint32(remote_id), &[]);
    }

    /// Closes the channel, and answers the peer's closing of it. What was written before still arrives.
    pub fn close(&self) {
        self.shared.lock().close_channel(self.id);
    }

    /// Sends a request. With `want_reply`, the receiver gets the peer's answer, or an error when the
    /// channel ends without one; replies come in the order of the requests (RFC 4254 §5.4).
    pub fn request(&self, name: &str, want_reply: bool, payload: &[u8]) -> oneshot::Receiver<bool> {
        let (reply, answer) = oneshot::channel();
        let mut inner = self.shared.lock();
        let Some(channel) = inner.channels.get_mut(&self.id) else { return answer };
        // A peer that has closed answers nothing; how a program ended it may still be told.
        if channel.close_sent || (want_reply && channel.close_received) {
            return answer;
        }
        if want_reply {
            channel.replies.push_back(reply);
        }
        let mut out = message(numbers::CHANNEL_REQUEST);
        out.uint32(channel.remote_id).string(name.as_bytes()).boolean(want_reply);
        inner.send(&out, payload);
        answer
    }

    /// Answers the oldest request that wanted a reply.
    pub fn reply(&self, success: bool) {
        let mut inner = self.shared.lock();
        let Some(channel) = inner.channels.get_mut(&self.id) else { return };
        if channel.close_sent {
            return;
        }
        channel.replies_due = channel.replies_due.saturating_sub(1);
        let number = if success { numbers::CHANNEL_SUCCESS } else { numbers::CHANNEL_FAILURE };
        let remote_id = channel.remote_id;
        inner.send(message(number).uint32(remote_id), &[]);
    }

    /// Reports how the program ended with a status (RFC 4254 §6.10).
    pub fn exit_status(&self, code: u32) {
        drop(self.request("exit-status", false, &code.to_be_bytes()));
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.close_channel(self.id);
        inner.forget_channel(self.id);
    }
}

impl Inner {
    /// Whether a piece of this size may go out on a channel, or there is an error to be had at once. If
    /// neither, the task is woken when that changes.
    fn may_write(&mut self, id: u32, size: usize, cx: &Context<'_>) -> bool {
        if self.has_room(size) {
            return true;
        }
        let Some(channel) = self.channels.get_mut(&id) else { return true };
        if channel.close_sent || channel.close_received {
            return true;
        }
        channel.senders.register(cx);
        self.out_waiters.register(cx);
        false
    }

    /// Sends as much as the peer's window and packet size allow; 0 when the window is shut.
    fn write_some(&mut self, id: u32, kind: Option<u32>, data: &[u8]) -> Result<usize, Closed> {
        if let Some(closed) = self.closed() {
            return Err(closed);
        }
        let gone = || Closed(Arc::new(CloseReason::Eof));
        let channel = self.channels.get_mut(&id).ok_or_else(gone)?;
        if channel.close_sent || channel.close_received || channel.eof_sent {
            return Err(gone());
        }
        let window = usize::try_from(channel.remote_window).unwrap_or(usize::MAX);
        let count = data.len().min(window).min(channel.remote_packet_max);
        let Some(piece) = data.get(..count).filter(|piece| !piece.is_empty()) else { return Ok(0) };
        channel.remote_window -= count as u64;
        let mut head = Vec::with_capacity(13);
        match kind {
            None => head.byte(numbers::CHANNEL_DATA).uint32(channel.remote_id),
            Some(kind) => head.byte(numbers::CHANNEL_EXTENDED_DATA).uint32(channel.remote_id).uint32(kind),
        };
        head.uint32(super::wire::length(count));
        self.send(&head, piece);
        Ok(count)
    }

    fn close_channel(&mut self, id: u32) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.close_sent || !matches!(channel.phase, Phase::Open) {
            return;
        }
        channel.close_sent = true;
        channel.senders.wake();
        let remote_id = channel.remote_id;
        self.send(message(numbers::CHANNEL_CLOSE).uint32(remote_id), &[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> ChannelState {
        ChannelState::new(Phase::Open)
    }

    #[test]
    fn an_eof_that_is_repeated_is_remembered_once_and_nothing_follows_it() {
        let mut channel = open();
        for _ in 0..1000 {
            channel.take_eof();
        }
        channel.take_data(None, Bytes::from_static(b"late")).expect("within the window");
        assert_eq!(channel.pop(), Some(ChannelEvent::Eof));
        assert_eq!(channel.pop(), None);
    }

    #[test]
    fn what_follows_a_close_is_not_remembered() {
        let mut channel = open();
        channel.take_close();
        for _ in 0..2000 {
            channel.take_eof();
            let request = ChannelRequest { name: "x".to_owned(), want_reply: true, payload: Bytes::new() };
            channel.take_request(request).expect("passed over");
        }
        assert_eq!(channel.pop(), None);
    }

    #[test]
    fn the_names_of_requests_count_towards_what_may_wait() {
        let mut channel = open();
        let long = || ChannelRequest { name: "n".repeat(200_000), want_reply: false, payload: Bytes::new() };
        let taken = (0..REQUESTS_MAX).take_while(|_| channel.take_request(long()).is_ok()).count();
        assert_eq!(taken, REQUEST_BYTES_MAX / 200_000);
    }

    #[test]
    fn a_byte_of_each_stream_in_turn_holds_about_its_own_size() {
        let mut channel = open();
        let (mut main, mut other) = (Vec::new(), Vec::new());
        for n in 0..200_000_u32 {
            let byte = n.to_be_bytes()[2];
            let (kind, sent) = if n % 2 == 0 { (None, &mut main) } else { (Some(STDERR), &mut other) };
            sent.push(byte);
            channel.take_data(kind, Bytes::from(vec![byte])).expect("within the window");
        }
        assert!(channel.inbox.len() < 2 * ITEMS_APART_MAX, "{} items", channel.inbox.len());
        while let Some(event) = channel.pop() {
            let (sent, got) = match event {
                ChannelEvent::Data(got) => (&mut main, got),
                ChannelEvent::Extended(_, got) => (&mut other, got),
                ChannelEvent::Eof | ChannelEvent::Request(_) => panic!("only data was sent"),
            };
            let rest = sent.split_off(got.len());
            assert_eq!(std::mem::replace(sent, rest), got, "each stream in order");
        }
        assert!(main.is_empty() && other.is_empty());
    }

    #[test]
    fn a_stream_number_for_every_byte_is_refused_before_it_fills_memory() {
        let mut channel = open();
        let refused =
            (0..100_000).find(|kind| channel.take_data(Some(*kind), Bytes::from_static(b"x")).is_err());
        assert_eq!(refused, Some(8 * 1024));
    }

    /// RFC 4254 §5.3: after CLOSE nothing more is sent on a channel.
    #[test]
    fn no_window_is_given_after_our_close() {
        let mut channel = open();
        channel.take_data(None, Bytes::from(vec![0; WINDOW_START as usize])).expect("within the window");
        channel.close_sent = true;
        assert!(channel.pop().is_some());
        assert_eq!(channel.credit(), None);
    }
}
