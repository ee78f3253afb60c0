//! One SSH connection: the state that its handles and its driver share, and what each message does to it.
//!
//! What always holds here: the lock is never held across an await; whatever a peer can make us remember
//! is bounded (channels, their windows, their requests, global requests, authentication requests); a
//! channel that is not read holds up no other channel, no keepalive and no key exchange.

mod events;
mod handle;
mod inbound;

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::auth::{ClientAuth, ServerAuth};
use super::channel::{ChannelState, Phase};
use super::error::{CloseReason, Closed, ProtocolError};
use super::transport::{Received, Transport};
use super::wakers::Wakers;

pub use events::{ChannelKind, ChannelOpen, ConnectionEvent, GlobalRequest, Limits, RefusalCode};
pub use handle::{Connection, OpenError, Opener};

use events::Event;

/// Bulk data waits while this much is on its way to the stream, in bytes: a packet goes out while the next one is
/// sealed. Several at once would wait for each other where TCP paces what it sends (BBR), each for a timer of its own.
const OUT_HIGH: usize = 32 * 1024;
/// The same on a connection where much is done with each piece before it is passed on (see [`Inner::gather`]).
const OUT_HIGH_GATHERED: usize = 256 * 1024;
/// Small pieces (keys, prompts) may go ahead of bulk up to this much, in bytes.
const OUT_SMALL_HIGH: usize = 512 * 1024;
const SMALL: usize = 4 * 1024;
/// Nothing more is read while the peer leaves this much unread, in bytes.
const OUT_STOP_READING: usize = 1024 * 1024;
const GLOBAL_REQUESTS_MAX: usize = 64;
/// Key exchanges before the login: each costs us a signature, and no client renews keys that early.
const EXCHANGES_BEFORE_LOGIN_MAX: u64 = 4;

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// The first key exchange.
    Exchange,
    /// Server: the user proves who they are.
    ServerAuth(ServerAuth),
    /// Client: we prove who we are.
    ClientAuth(ClientAuth),
    /// Channels may be opened.
    Open,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) transport: Transport,
    pub(super) stage: Stage,
    pub(super) limits: Limits,
    pub(super) channels: HashMap<u32, ChannelState>,
    next_channel: u32,
    events: VecDeque<Event>,
    global_due: VecDeque<(u64, Option<Option<Vec<u8>>>)>,
    next_ticket: u64,
    global_asked: VecDeque<oneshot::Sender<Option<Bytes>>>,
    no_more_sessions: bool,
    pub(super) waiters: Wakers,
    pub(super) out_waiters: Wakers,
    /// Bulk data waits while so much is on its way to the stream, in bytes.
    pub(super) out_high: usize,
    pub(super) driver: Option<Waker>,
    closed: Option<Arc<CloseReason>>,
    pub(super) closing: bool,
    pub(super) heard_at: Instant,
    pub(super) keepalives_unanswered: u32,
}

/// What handles and driver share.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Inner>);

impl Shared {
    pub(super) fn new(transport: Transport, limits: Limits) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Inner {
            transport,
            stage: Stage::Exchange,
            limits,
            channels: HashMap::new(),
            next_channel: 0,
            events: VecDeque::new(),
            global_due: VecDeque::new(),
            next_ticket: 0,
            global_asked: VecDeque::new(),
            no_more_sessions: false,
            waiters: Wakers::default(),
            out_waiters: Wakers::default(),
            out_high: OUT_HIGH,
            driver: None,
            closed: None,
            closing: false,
            heard_at: Instant::now(),
            keepalives_unanswered: 0,
        })))
    }

    /// A panic of another holder does not end this connection's cleaning up.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `ready` finds what it looks for, or the connection is over.
    pub(super) async fn wait_for<T>(
        &self,
        mut ready: impl FnMut(&mut Inner) -> Option<T>,
    ) -> Result<T, Closed> {
        poll_fn(|cx| {
            let mut inner = self.lock();
            if let Some(found) = ready(&mut inner) {
                return Poll::Ready(Ok(found));
            }
            if let Some(closed) = inner.closed() {
                return Poll::Ready(Err(closed));
            }
            inner.waiters.register(cx);
            Poll::Pending
        })
        .await
    }
}

impl Inner {
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_some()
    }

    /// About how many bytes a peer makes us remember.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        let channels: usize = self.channels.values().map(|channel| 200 + channel.footprint()).sum();
        let event = |event: &Event| match event {
            Event::Open { kind: ChannelKind::Session, .. } => 0,
            Event::Open { kind: ChannelKind::DirectTcpip { host, originator, .. }, .. } => {
                host.len() + originator.len()
            }
            Event::Open { kind: ChannelKind::Other { name, payload }, .. }
            | Event::Global { name, payload, .. } => name.len() + payload.len(),
        };
        let events: usize = self.events.iter().map(|each| 100 + event(each)).sum();
        channels + events + self.global_due.len() * 64 + self.transport.footprint()
    }

    pub(super) fn closed(&self) -> Option<Closed> {
        self.closed.clone().map(Closed)
    }

    /// Ends the connection: everyone who waits is told why.
    pub(super) fn finish(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            self.closed = Some(Arc::new(reason));
        }
        self.global_asked.clear();
        for channel in self.channels.values_mut() {
            channel.take_close();
        }
        self.waiters.wake();
        self.out_waiters.wake();
        self.wake_driver();
    }

    /// Whether the first key exchange is behind us.
    pub(super) fn past_exchange(&self) -> bool {
        !matches!(self.stage, Stage::Exchange)
    }

    /// Whether authentication is behind us.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open)
    }

    pub(super) fn wake_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// Sends a message; a failure to do so ends the connection.
    pub(super) fn send(&mut self, head: &[u8], body: &[u8]) {
        self.send_part(head, body, body.len());
    }

    /// As [`Self::send`], with only the first `length` bytes of `body`; see `PacketWriter::put_part`.
    pub(super) fn send_part(&mut self, head: &[u8], body: &[u8], length: usize) {
        if self.is_closed() || self.closing {
            return;
        }
        if let Err(error) = self.transport.send(head, body, length) {
            self.finish(error.into());
        }
        self.wake_driver();
    }

    /// From here on more goes out at once.
    pub(super) fn gather(&mut self) {
        self.out_high = OUT_HIGH_GATHERED;
    }

    /// Whether a piece of data of this size may be sent at this moment.
    pub(super) fn has_room(&self, size: usize) -> bool {
        if self.is_closed() || self.closing || self.transport.holds_outgoing() {
            return self.is_closed();
        }
        let pending = self.transport.writer.waiting();
        pending < self.out_high || (size <= SMALL && pending < OUT_SMALL_HIGH)
    }

    /// Whether writers that wait for room should look again.
    pub(super) fn has_drained(&self) -> bool {
        !self.transport.holds_outgoing() && self.transport.writer.waiting() <= self.out_high / 2
    }

    pub(super) fn may_read(&self) -> bool {
        self.transport.writer.waiting() < OUT_STOP_READING
    }

    /// Says goodbye, flushes what was sent, and closes.
    pub(super) fn disconnect(&mut self, code: u32, text: &str) {
        if self.is_closed() || self.closing {
            return;
        }
        self.transport.disconnect(code, text);
        self.closing = true;
        self.wake_driver();
    }

    /// Deals with everything that has been received.
    pub(super) fn process(&mut self) -> Result<(), CloseReason> {
        while let Some(received) = self.transport.receive()? {
            self.keepalives_unanswered = 0;
            match received {
                Received::Nothing
                    if !self.is_open() && self.transport.exchanges() > EXCHANGES_BEFORE_LOGIN_MAX =>
                {
                    return Err(ProtocolError("too many key exchanges before the login").into());
                }
                Received::Nothing => {}
                Received::Ready => self.on_ready(),
                Received::Upper(payload) => self.dispatch(&payload)?,
            }
        }
        self.transport.rekey_if_due()?;
        if self.has_drained() {
            self.out_waiters.wake();
        }
        Ok(())
    }

    /// The handle is gone: the state goes with it once the peer has closed too.
    pub(super) fn forget_channel(&mut self, id: u32) {
        if let Some(channel) = self.channels.get_mut(&id) {
            if channel.close_received || self.closed.is_some() || matches!(channel.phase, Phase::Refused(_)) {
                self.channels.remove(&id);
            } else {
                channel.abandon();
            }
        }
    }
}
