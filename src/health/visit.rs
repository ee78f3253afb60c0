//! One connection to the listener: short, small, and one of few.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// The longest that a connection may last, answer included.
pub(super) const LASTS_MAX: Duration = Duration::from_secs(10);
/// The most that a client may say.
pub(super) const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// A stream that ends at its deadline, and after so many bytes from the client.
#[derive(Debug)]
pub(super) struct Visit<S = TcpStream> {
    stream: S,
    deadline: Pin<Box<Sleep>>,
    left: usize,
    /// The place among the few.
    _place: OwnedSemaphorePermit,
}

impl<S> Visit<S> {
    pub(super) fn new(stream: S, place: OwnedSemaphorePermit) -> Self {
        let deadline = Box::pin(sleep(LASTS_MAX));
        Self { stream, deadline, left: REQUEST_BYTES_MAX, _place: place }
    }

    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Visit<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let said = buffer.filled().len().saturating_sub(before);
        let Some(left) = self.left.checked_sub(said) else {
            // An error must leave the buffer as it was.
            buffer.set_filled(before);
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        };
        self.left = left;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Visit<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::Semaphore;

    use super::*;

    async fn visit<S>(stream: S) -> Visit<S> {
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.expect("a place");
        Visit::new(stream, place)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_left_at_the_deadline() {
        let (_client, server) = duplex(64);
        let mut visit = visit(server).await;
        let error = visit.read_u8().await.expect_err("the deadline");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_left_at_the_deadline() {
        let (_client, server) = duplex(64);
        let mut visit = visit(server).await;
        let error = visit.write_all(&[0; 1000]).await.expect_err("the deadline");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_may_not_say_much() {
        let (mut client, server) = duplex(2 * REQUEST_BYTES_MAX);
        client.write_all(&vec![b'x'; REQUEST_BYTES_MAX + 1]).await.expect("it fits");
        let mut said = Vec::new();
        let error = visit(server).await.read_to_end(&mut said).await.expect_err("too much");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
