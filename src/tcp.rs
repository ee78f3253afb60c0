//! A TCP connection as SSH wants it: no waiting for company.
//!
//! OpenSSH leaves Nagle's algorithm on while a connection is set up: it holds back a small message until the
//! one before is acknowledged. Where we have nothing to say in between, Linux delays that acknowledgement by
//! 40 ms, several times a login. So everything is acknowledged at once until the connection is set up.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Reads that are acknowledged at once: more than any login takes. The kernel forgets the wish as soon as
/// something is sent in answer, so it is told each time.
const PROMPT_READS: u32 = 32;

/// A stream that sends small messages at once and acknowledges those of a login at once.
#[derive(Debug)]
pub struct PromptTcp {
    stream: TcpStream,
    prompt_reads_left: u32,
}

impl PromptTcp {
    /// Takes over a stream.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, prompt_reads_left: PROMPT_READS })
    }

    #[cfg(target_os = "linux")]
    fn acknowledge(&mut self) {
        if let Some(left) = self.prompt_reads_left.checked_sub(1) {
            self.prompt_reads_left = left;
            if let Err(error) = self.stream.set_quickack(true) {
                tracing::trace!(%error, "an acknowledgement may be late");
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn acknowledge(&mut self) {
        self.prompt_reads_left = self.prompt_reads_left.saturating_sub(1);
    }
}

impl AsyncRead for PromptTcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if read.is_ready() {
            self.acknowledge();
        }
        read
    }
}

impl AsyncWrite for PromptTcp {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn bytes_pass_unchanged_long_after_the_prompt_reads() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("address");
        let (near, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut near = PromptTcp::new(near.expect("connected")).expect("tuned");
        let mut far = PromptTcp::new(accepted.expect("accepted").0).expect("tuned");
        for number in 0..100_u8 {
            near.write_all(&[number]).await.expect("written");
            assert_eq!(far.read_u8().await.expect("read"), number);
        }
        near.shutdown().await.expect("shut down");
        assert_eq!(far.read(&mut [0]).await.expect("end"), 0);
    }
}
