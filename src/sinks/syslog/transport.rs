//! The ways to a syslog receiver.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::SyslogAddress;

/// The most time to connect, handshake included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the other kernel may leave data unacknowledged until the connection counts as broken.
pub(super) const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// How long an idle connection is trusted before the other kernel is asked for a sign of life.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// A receiver has nothing to say. One that talks on and on is not listened to for longer than this many reads.
const READS_MAX: usize = 64;

/// Where a receiver is, and how to speak to it.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) to: SyslogAddress,
    /// For `tls` only.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// A way that is open.
pub(super) enum Link {
    Datagrams(Datagrams),
    Stream(Stream),
}

impl Link {
    /// Whether the receiver has closed the connection.
    pub(super) async fn is_closed(&mut self) -> bool {
        match self {
            Self::Datagrams(_) => false,
            Self::Stream(stream) => stream.is_closed().await,
        }
    }
}

/// A socket that takes one message at a time.
pub(super) enum Datagrams {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Datagrams {
    /// Sends one message.
    pub(super) async fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Unix(socket) => socket.send(message).await.map(drop),
            Self::Udp(socket) => socket.send(message).await.map(drop),
        }
    }
}

impl Way {
    /// Opens it.
    pub(super) async fn open(&self) -> io::Result<Link> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time");
        timeout(CONNECT, self.connect()).await.map_err(late)?
    }

    async fn connect(&self) -> io::Result<Link> {
        match &self.to {
            SyslogAddress::Unix(path) => connect_unix(path).await,
            SyslogAddress::Udp(host, port) => {
                connect_udp(host, *port).await.map(Datagrams::Udp).map(Link::Datagrams)
            }
            SyslogAddress::Tcp(host, port) => {
                Ok(Link::Stream(Stream::of(connect_tcp(host, *port).await?, Framing::Counted)))
            }
            SyslogAddress::Tls(host, port) => {
                let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                let config = self.tls.clone().ok_or_else(|| io::Error::other("TLS is not set up"))?;
                let tcp = connect_tcp(host, *port).await?;
                let tls = TlsConnector::from(config).connect(name, tcp).await?;
                Ok(Link::Stream(Stream::of(tls, Framing::Counted)))
            }
        }
    }
}

/// Most receivers take datagrams there, and some a stream.
async fn connect_unix(path: &Path) -> io::Result<Link> {
    let socket = UnixDatagram::unbound()?;
    match socket.connect(path) {
        Ok(()) => Ok(Link::Datagrams(Datagrams::Unix(socket))),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::PROTOTYPE.raw_os_error()) => {
            Ok(Link::Stream(Stream::of(UnixStream::connect(path).await?, Framing::Lines)))
        }
        Err(error) => Err(error),
    }
}

async fn connect_udp(host: &str, port: u16) -> io::Result<UdpSocket> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        let any: &str = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3))?;
    // Not all systems have it; there, lines that are on their way when a machine vanishes can be lost.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(stream)
}

/// How a stream tells where a message ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// Its length comes first (RFC 6587 §3.4.1, RFC 5425 §4.3).
    Counted,
    /// A line feed follows; no message has one inside.
    Lines,
}

impl Framing {
    /// Appends a message.
    pub(super) fn append(self, into: &mut Vec<u8>, message: &[u8]) {
        match self {
            Self::Counted => {
                into.extend_from_slice(message.len().to_string().as_bytes());
                into.push(b' ');
                into.extend_from_slice(message);
            }
            Self::Lines => {
                into.extend_from_slice(message);
                into.push(b'\n');
            }
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection.
pub(super) struct Stream {
    reader: ReadHalf<Box<dyn Duplex>>,
    writer: WriteHalf<Box<dyn Duplex>>,
    pub(super) framing: Framing,
}

impl Stream {
    fn of(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, framing: Framing) -> Self {
        let stream: Box<dyn Duplex> = Box::new(stream);
        let (reader, writer) = tokio::io::split(stream);
        Self { reader, writer, framing }
    }

    async fn is_closed(&mut self) -> bool {
        tokio::select! {
            biased;
            _error = closed(&mut self.reader) => true,
            () = std::future::ready(()) => false,
        }
    }

    /// Sends bytes; fails when the receiver closes meanwhile.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let writer = &mut self.writer;
        let sending = async {
            writer.write_all(bytes).await?;
            writer.flush().await
        };
        tokio::select! {
            biased;
            sent = sending => sent,
            error = closed(&mut self.reader) => Err(error),
        }
    }

    /// Says goodbye and waits until the receiver does. Then it has read everything.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        self.writer.shutdown().await?;
        match closed(&mut self.reader).await {
            error if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            error => Err(error),
        }
    }
}

/// Resolves when nothing more can come. What comes before is ignored: there is no answer to syslog.
async fn closed(reader: &mut (impl AsyncRead + Unpin)) -> io::Error {
    let mut ignored = [0; 256];
    for _ in 0..READS_MAX {
        match reader.read(&mut ignored).await {
            Ok(0) => {
                return io::Error::new(io::ErrorKind::UnexpectedEof, "the receiver closed the connection");
            }
            Ok(_) => {}
            Err(error) => return error,
        }
    }
    io::Error::other("what answers there is no syslog receiver")
}
