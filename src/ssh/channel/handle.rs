//! The handle through which a channel is read and written.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::super::connection::{Inner, Shared};
use super::super::data::Data;
use super::super::error::{CloseReason, Closed};
use super::super::numbers;
use super::super::wire::{self, Put, message};
use super::{ChannelEvent, ChannelRequest, ChannelState, Phase};

/// A handle to one channel. Dropping it closes the channel.
#[derive(Debug)]
pub struct Channel {
    shared: Arc<Shared>,
    id: u32,
}

impl Channel {
    pub(in crate::ssh) fn new(shared: Arc<Shared>, id: u32) -> Self {
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

    pub(in crate::ssh) fn poll_recv_data(&self, cx: &mut Context<'_>) -> Poll<Option<ChannelEvent>> {
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

    /// For whoever does much with each piece before it is written here: from now on more is gathered on this connection
    /// before it goes out, or the peer would be woken for each piece.
    pub fn gather(&self) {
        self.shared.lock().gather();
    }

    /// Writes to the main stream; waits until all is on its way.
    ///
    /// # Errors
    /// When the channel or the connection is closed; then some of the data may have been sent.
    pub async fn write(&self, data: impl Into<Data>) -> Result<(), Closed> {
        let mut data = data.into();
        poll_fn(|cx| self.poll_write(cx, None, &mut data)).await
    }

    /// Writes to another stream, such as [`STDERR`]; waits until all is on its way.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub async fn write_extended(&self, kind: u32, data: impl Into<Data>) -> Result<(), Closed> {
        let mut data = data.into();
        poll_fn(|cx| self.poll_write(cx, Some(kind), &mut data)).await
    }

    pub(in crate::ssh) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        kind: Option<u32>,
        data: &mut Data,
    ) -> Poll<Result<(), Closed>> {
        let mut inner = self.shared.lock();
        while !data.is_empty() {
            if !inner.may_write(self.id, data.len(), cx) {
                return Poll::Pending;
            }
            match inner.write_some(self.id, kind, data.with_tail(), data.len()) {
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
    pub(in crate::ssh) fn poll_write_some(
        &self,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<Result<usize, Closed>> {
        let mut inner = self.shared.lock();
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            if !inner.may_write(self.id, rest.len(), cx) {
                break;
            }
            match inner.write_some(self.id, None, rest, rest.len()) {
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

    /// Sends as much of the first `length` bytes as the peer's window and packet size allow; 0 when the window
    /// is shut. What lies behind them serves as padding.
    fn write_some(
        &mut self,
        id: u32,
        kind: Option<u32>,
        data: &[u8],
        length: usize,
    ) -> Result<usize, Closed> {
        if let Some(closed) = self.closed() {
            return Err(closed);
        }
        let gone = || Closed(Arc::new(CloseReason::Eof));
        let channel = self.channels.get_mut(&id).ok_or_else(gone)?;
        if channel.close_sent || channel.close_received || channel.eof_sent {
            return Err(gone());
        }
        let window = usize::try_from(channel.remote_window).unwrap_or(usize::MAX);
        let count = length.min(window).min(channel.remote_packet_max);
        if count == 0 {
            return Ok(0);
        }
        channel.remote_window -= count as u64;
        let mut head = Vec::with_capacity(13);
        match kind {
            None => head.byte(numbers::CHANNEL_DATA).uint32(channel.remote_id),
            Some(kind) => head.byte(numbers::CHANNEL_EXTENDED_DATA).uint32(channel.remote_id).uint32(kind),
        };
        head.uint32(wire::length(count));
        self.send_part(&head, data, count);
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
