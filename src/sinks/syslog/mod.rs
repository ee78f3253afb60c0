//! Syslog: RFC 5424 messages over a unix socket, UDP, TCP or TLS.
//!
//! What always holds: a message has no raw control character, is pure ASCII but for the values of its structured
//! data, and is no longer than configured; a long one is abridged to valid JSON that says so.
//!
//! Syslog has no acknowledgements. What was written to a stream counts as delivered when the connection has stood
//! for longer than the other kernel may take to acknowledge it; when a connection breaks, everything younger is
//! sent again. Over UDP nothing is known at all.

mod message;
mod transport;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::destination::{Delivered, Destination, Failure};
use super::record::Record;
use super::tls::{self, TlsError};
use crate::audit::JournalLine;
use crate::config::{SyslogAddress, SyslogConfig};
use message::Writer;
use transport::{Datagrams, Link, Stream, UNACKNOWLEDGED, Way};

/// How long a connection must stand after a line for the line to count as delivered.
const SETTLED_AFTER: Duration = UNACKNOWLEDGED.saturating_add(Duration::from_secs(2));
/// Lines that are sent within this time are remembered together.
const REMEMBERED_TOGETHER: Duration = Duration::from_secs(1);
/// How long a receiver may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// A syslog receiver.
pub(super) struct Syslog {
    writer: Writer,
    way: Way,
    link: Option<Link>,
    under_way: UnderWay,
}

impl Syslog {
    /// The receiver that the config describes. Nothing is opened yet.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub(super) fn new(config: &SyslogConfig, node: &str) -> Result<Self, TlsError> {
        let own = config.certificate.as_deref().zip(config.key.as_deref());
        let tls = match config.to {
            SyslogAddress::Tls(..) => Some(tls::client_config(config.ca.as_deref(), own)?),
            SyslogAddress::Unix(_) | SyslogAddress::Udp(..) | SyslogAddress::Tcp(..) => None,
        };
        let way = Way { to: config.to.clone(), tls };
        Ok(Self { writer: Writer::new(config, node), way, link: None, under_way: UnderWay::default() })
    }

    /// The link that is open, or a new one.
    async fn linked(&mut self) -> Result<Link, Failure> {
        if let Some(link) = self.link.as_mut()
            && link.is_closed().await
        {
            self.link = None;
        }
        if let Some(link) = self.link.take() {
            return Ok(link);
        }
        // What was sent on the connection before may not have arrived.
        if let Some(failure) = self.under_way.lost("the connection ended") {
            return Err(failure);
        }
        self.way.open().await.map_err(|error| Failure::new(format!("no connection: {error}")))
    }

    async fn send_stream(&mut self, mut stream: Stream, lines: &[JournalLine]) -> Result<(), Failure> {
        let mut bytes = Vec::new();
        for line in lines {
            stream.framing.append(&mut bytes, &self.writer.message(&Record::of(line)));
        }
        if let (Some(first), Some(last)) = (lines.first(), lines.last()) {
            // Before sending: whoever drops this call does not know how much has gone.
            self.under_way.sent(first.seq, last.seq, Instant::now());
        }
        match stream.send(&bytes).await {
            Ok(()) => {
                self.link = Some(Link::Stream(stream));
                Ok(())
            }
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&mut self, error: &io::Error) -> Failure {
        let detail = format!("the connection broke: {error}");
        self.under_way.lost(&detail).unwrap_or_else(|| Failure::new(detail))
    }
}

impl Destination for Syslog {
    async fn deliver(&mut self, lines: &[JournalLine]) -> Result<Delivered, Failure> {
        match self.linked().await? {
            Link::Stream(stream) => self.send_stream(stream, lines).await?,
            Link::Datagrams(socket) => {
                send_datagrams(&self.writer, &socket, lines).await?;
                self.link = Some(Link::Datagrams(socket));
            }
        }
        Ok(Delivered::default())
    }

    async fn settled(&mut self, sent: u64) -> Result<u64, Failure> {
        if let Some(link) = self.link.as_mut()
            && link.is_closed().await
        {
            self.link = None;
        }
        if self.link.is_none()
            && let Some(failure) = self.under_way.lost("the receiver closed the connection")
        {
            return Err(failure);
        }
        Ok(self.under_way.settled(sent, Instant::now()))
    }

    async fn close(&mut self) {
        if let Some(Link::Stream(stream)) = self.link.take()
            && matches!(timeout(GOODBYE, stream.finish()).await, Ok(Ok(())))
        {
            self.under_way.arrived();
        }
    }
}

async fn send_datagrams(writer: &Writer, socket: &Datagrams, lines: &[JournalLine]) -> Result<(), Failure> {
    let mut through = None;
    for line in lines {
        if let Err(error) = socket.send(&writer.message(&Record::of(line))).await {
            let failure = Failure::new(format!("the message was not taken: {error}"));
            return Err(through.into_iter().fold(failure, Failure::resuming_after));
        }
        through = Some(line.seq);
    }
    Ok(())
}

/// What was sent on the present connection and does not count as delivered yet.
#[derive(Debug, Default)]
struct UnderWay {
    /// The line before the first that is under way.
    settled: u64,
    /// When lines were sent, and through which: first and last time of lines that are remembered together.
    parts: VecDeque<(Instant, Instant, u64)>,
}

impl UnderWay {
    fn sent(&mut self, first: u64, last: u64, now: Instant) {
        if self.parts.is_empty() {
            self.settled = first.saturating_sub(1);
        }
        match self.parts.back_mut() {
            Some((began, ended, through)) if now.duration_since(*began) < REMEMBERED_TOGETHER => {
                (*ended, *through) = (now, last);
            }
            Some(_) | None => self.parts.push_back((now, now, last)),
        }
    }

    /// The last line that counts as delivered.
    fn settled(&mut self, sent: u64, now: Instant) -> u64 {
        while let Some((_, ended, through)) = self.parts.front()
            && now.duration_since(*ended) >= SETTLED_AFTER
        {
            self.settled = *through;
            self.parts.pop_front();
        }
        if self.parts.is_empty() { sent } else { self.settled }
    }

    /// The connection is gone: the failure that has everything sent again, where there was anything.
    fn lost(&mut self, detail: &str) -> Option<Failure> {
        if self.parts.is_empty() {
            return None;
        }
        self.parts.clear();
        Some(Failure::new(detail).resuming_after(self.settled))
    }

    /// Everything was read at the other end.
    fn arrived(&mut self) {
        self.parts.clear();
    }
}

#[cfg(test)]
mod tests;
