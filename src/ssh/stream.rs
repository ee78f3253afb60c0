//! A channel as a plain byte stream: what a jump's inner SSH runs over.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::channel::{Channel, ChannelEvent};
use super::data::Data;

/// The main stream of a channel. Extended data and requests are passed over.
#[derive(Debug)]
pub struct ChannelStream {
    channel: Arc<Channel>,
    unread: Data,
    ended: bool,
}

impl ChannelStream {
    /// Wraps a channel.
    #[must_use]
    pub fn new(channel: Arc<Channel>) -> Self {
        Self { channel, unread: Data::default(), ended: false }
    }
}

impl AsyncRead for ChannelStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() && !self.ended {
            match self.channel.poll_recv_data(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(ChannelEvent::Data(data))) => self.unread = data,
                Poll::Ready(Some(ChannelEvent::Extended(..) | ChannelEvent::Request(_))) => {}
                Poll::Ready(Some(ChannelEvent::Eof) | None) => self.ended = true,
            }
        }
        let count = self.unread.len().min(into.remaining());
        into.put_slice(self.unread.get(..count).unwrap_or_default());
        self.unread.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChannelStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        // Bounded by what the channel takes at once, so that no copy outlives this call.
        self.channel.poll_write_some(cx, data).map_err(|_closed| io::ErrorKind::BrokenPipe.into())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.channel.eof();
        self.channel.close();
        Poll::Ready(Ok(()))
    }
}
