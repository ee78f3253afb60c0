//! Moves bytes between a stream and a connection's state. One task a connection; it never waits for a
//! channel's reader, so nothing that is unread holds up anything else.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep};

use super::algorithms::Role;
use super::connection::{Inner, Shared};
use super::error::CloseReason;
use super::lull;

/// A stream that SSH can run over.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

const READ_MIN: usize = 8 * 1024;
const READ_MAX: usize = 256 * 1024;
/// After so much the tasks that wait for it get their turn: they write it on, and its memory is used again.
const READ_AT_ONCE: usize = READ_MAX;
/// How often idle work is looked at where no keepalive is configured.
const TICK: Duration = Duration::from_secs(60);
/// How long the peer may take to read our goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Runs a connection until it is over.
pub(super) async fn drive<S: Stream>(shared: Arc<Shared>, mut stream: S) {
    let _told = Told(Arc::clone(&shared));
    let mut driver = Driver {
        tick: Box::pin(tokio::time::sleep(shared.lock().limits.keepalive_interval.unwrap_or(TICK))),
        read_size: READ_MIN,
        goodbye: None,
    };
    let reason = poll_fn(|cx| driver.poll(cx, &shared, &mut stream)).await;
    tracing::debug!(%reason, "an SSH connection is over");
    shared.lock().finish(reason);
    // The peer may be gone already; closing is all that matters.
    let _ended = tokio::time::timeout(GOODBYE, stream.shutdown()).await;
}

/// Tells everyone who waits for the connection that it is over, also when its driver panics or is dropped.
struct Told(Arc<Shared>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.lock().finish(CloseReason::Local);
    }
}

struct Driver {
    tick: Pin<Box<Sleep>>,
    read_size: usize,
    goodbye: Option<Pin<Box<Sleep>>>,
}

impl Driver {
    fn poll<S: Stream>(
        &mut self,
        cx: &mut Context<'_>,
        shared: &Shared,
        stream: &mut S,
    ) -> Poll<CloseReason> {
        let mut inner = shared.lock();
        let mut taken = 0;
        loop {
            if let Some(closed) = inner.closed() {
                // What was sent before the end, such as a goodbye, still goes out if it can.
                let _flushed = write(&mut inner, cx, stream);
                return Poll::Ready(closed.0.as_ref().clone());
            }
            match write(&mut inner, cx, stream) {
                Ok(()) => {}
                Err(reason) => return Poll::Ready(reason),
            }
            if inner.closing {
                return self.poll_goodbye(cx, &mut inner);
            }
            if taken >= READ_AT_ONCE {
                cx.waker().wake_by_ref();
                break;
            }
            match self.read(&mut inner, cx, stream) {
                Poll::Ready(Ok(count)) => taken += count,
                Poll::Ready(Err(reason)) => {
                    explain(&mut inner, &reason);
                    let _flushed = write(&mut inner, cx, stream);
                    return Poll::Ready(reason);
                }
                Poll::Pending => {
                    if inner.transport.writer.pending().is_empty() || !inner.has_drained() {
                        break;
                    }
                    // Processing wrote something while room was left: give it to the stream first.
                    let before = inner.transport.writer.waiting();
                    if let Err(reason) = write(&mut inner, cx, stream) {
                        return Poll::Ready(reason);
                    }
                    if inner.transport.writer.waiting() == before {
                        break;
                    }
                }
            }
        }
        match self.poll_tick(&mut inner, cx) {
            Some(reason) => Poll::Ready(reason),
            None => {
                inner.driver = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_goodbye(&mut self, cx: &mut Context<'_>, inner: &mut Inner) -> Poll<CloseReason> {
        if inner.transport.writer.pending().is_empty() {
            return Poll::Ready(CloseReason::Local);
        }
        let goodbye = self.goodbye.get_or_insert_with(|| Box::pin(tokio::time::sleep(GOODBYE)));
        if goodbye.as_mut().poll(cx).is_ready() {
            return Poll::Ready(CloseReason::Local);
        }
        inner.driver = Some(cx.waker().clone());
        Poll::Pending
    }

    fn read<S: Stream>(
        &mut self,
        inner: &mut Inner,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<Result<usize, CloseReason>> {
        if !inner.may_read() {
            return Poll::Pending;
        }
        let reader = &mut inner.transport.reader;
        reader.make_room(READ_MIN.max(reader.missing()), self.read_size);
        let read = pin!(stream.read_buf(&mut reader.buffer)).poll(cx);
        match read {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0)) => Poll::Ready(Err(CloseReason::Eof)),
            Poll::Ready(Ok(count)) => {
                self.read_size = if count >= self.read_size / 2 {
                    (self.read_size * 2).min(READ_MAX)
                } else {
                    (self.read_size / 2).max(READ_MIN)
                };
                if inner.transport.role == Role::Client {
                    lull::brought(count);
                }
                inner.heard_at = std::time::Instant::now();
                Poll::Ready(inner.process().map(|()| count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(CloseReason::Io(error.kind()))),
        }
    }

    /// Keepalives, key renewal by time, and giving memory back.
    fn poll_tick(&mut self, inner: &mut Inner, cx: &mut Context<'_>) -> Option<CloseReason> {
        while self.tick.as_mut().poll(cx).is_ready() {
            let interval = inner.limits.keepalive_interval.unwrap_or(TICK);
            let silent = inner.heard_at.elapsed();
            let next = interval.checked_sub(silent).filter(|left| !left.is_zero()).unwrap_or(interval);
            self.tick.as_mut().reset(Instant::now() + next);
            inner.transport.writer.shrink();
            if let Err(error) = inner.transport.rekey_if_due() {
                return Some(error.into());
            }
            if silent >= interval && inner.limits.keepalive_interval.is_some() && inner.is_open() {
                if inner.keepalives_unanswered >= inner.limits.keepalive_max {
                    return Some(CloseReason::KeepaliveTimeout);
                }
                inner.keepalives_unanswered += 1;
                drop(inner.ask("keepalive@openssh.com", &[]));
            }
            // What was just written must reach the stream: look again at once.
            cx.waker().wake_by_ref();
        }
        None
    }
}

fn write<S: Stream>(inner: &mut Inner, cx: &mut Context<'_>, stream: &mut S) -> Result<(), CloseReason> {
    loop {
        let pending = inner.transport.writer.pending();
        if pending.is_empty() {
            break;
        }
        match Pin::new(&mut *stream).poll_write(cx, pending) {
            Poll::Ready(Ok(0)) => return Err(CloseReason::Eof),
            Poll::Ready(Ok(count)) => inner.transport.writer.consume(count),
            Poll::Ready(Err(error)) => return Err(CloseReason::Io(error.kind())),
            Poll::Pending => break,
        }
    }
    if inner.has_drained() {
        inner.out_waiters.wake();
    }
    match Pin::new(stream).poll_flush(cx) {
        Poll::Ready(Err(error)) => Err(CloseReason::Io(error.kind())),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
    }
}

/// Tells the peer what it did wrong, where it did.
fn explain(inner: &mut Inner, reason: &CloseReason) {
    use super::numbers::disconnect::{KEY_EXCHANGE_FAILED, PROTOCOL_ERROR};
    let code = match reason {
        CloseReason::Protocol(_) => PROTOCOL_ERROR,
        CloseReason::NoCommonAlgorithm { .. } => KEY_EXCHANGE_FAILED,
        CloseReason::Eof
        | CloseReason::PeerDisconnected { .. }
        | CloseReason::Io(_)
        | CloseReason::NotSsh
        | CloseReason::KeepaliveTimeout
        | CloseReason::HostKeyChanged
        | CloseReason::Local => return,
    };
    inner.transport.disconnect(code, &reason.to_string());
}
