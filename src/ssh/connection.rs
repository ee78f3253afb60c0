//! One SSH connection: the state that its handles and its driver share, and what each message does to it.
//!
//! What always holds here: the lock is never held across an await; whatever a peer can make us remember
//! is bounded (channels, their windows, their requests, global requests, authentication requests); a
//! channel that is not read holds up no other channel, no keepalive and no key exchange.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::algorithms::Role;
use super::auth::{AuthRequest, ClientAuth, ServerAuth};
use super::channel::{
    Channel, ChannelRequest, ChannelState, OpenRefused, PACKET_DATA_MAX, Phase, WINDOW_START,
};
use super::error::{CloseReason, Closed, ProtocolError};
use super::numbers;
use super::transport::{Received, Transport};
use super::wakers::Wakers;
use super::wire::{Put, Reader, message};

/// Bulk data waits while this much is on its way to the stream, in bytes.
const OUT_HIGH: usize = 256 * 1024;
/// Small pieces (keys, prompts) may go ahead of bulk up to this much, in bytes.
const OUT_SMALL_HIGH: usize = 2 * OUT_HIGH;
const SMALL: usize = 4 * 1024;
/// Nothing more is read while the peer leaves this much unread, in bytes.
const OUT_STOP_READING: usize = 1024 * 1024;
const GLOBAL_REQUESTS_MAX: usize = 64;
/// Key exchanges before the login: each costs us a signature, and no client renews keys that early.
const EXCHANGES_BEFORE_LOGIN_MAX: u64 = 4;

/// What may be remembered for a peer, and for how long it may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Channels open at once.
    pub channels_max: usize,
    /// After so long without a sign of life, ask for one; nothing: never ask.
    pub keepalive_interval: Option<Duration>,
    /// After so many unanswered questions, give up.
    pub keepalive_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { channels_max: 64, keepalive_interval: Some(Duration::from_secs(60)), keepalive_max: 3 }
    }
}

/// The kinds of channel (RFC 4254 §6.1, §7.2; OpenSSH PROTOCOL §2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelKind {
    /// A session: shell, command or subsystem.
    Session,
    /// A connection to a host and port on the other side's network.
    DirectTcpip {
        /// The host as it was named.
        host: String,
        /// The port; the wire allows any 32-bit number.
        port: u32,
        /// Where the connection came from.
        originator: String,
        /// And its port.
        originator_port: u32,
    },
    /// Any other kind, by name, with its own fields as they came.
    Other {
        /// The name.
        name: String,
        /// The fields.
        payload: Bytes,
    },
}

impl ChannelKind {
    fn read(name: &str, fields: &mut Reader<'_>) -> Result<Self, ProtocolError> {
        Ok(match name {
            "session" => Self::Session,
            "direct-tcpip" => Self::DirectTcpip {
                host: fields.utf8()?.to_owned(),
                port: fields.u32()?,
                originator: fields.utf8()?.to_owned(),
                originator_port: fields.u32()?,
            },
            other => Self::Other { name: other.to_owned(), payload: Bytes::copy_from_slice(fields.rest()) },
        })
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Session => "session",
            Self::DirectTcpip { .. } => "direct-tcpip",
            Self::Other { name, .. } => name,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Session => {}
            Self::DirectTcpip { host, port, originator, originator_port } => {
                out.string(host.as_bytes()).uint32(*port);
                out.string(originator.as_bytes()).uint32(*originator_port);
            }
            Self::Other { payload, .. } => out.extend_from_slice(payload),
        }
    }
}

/// Why we refuse to open a channel (RFC 4254 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// Not allowed.
    AdministrativelyProhibited = 1,
    /// The other end could not be reached.
    ConnectFailed = 2,
    /// We do not know this kind.
    UnknownKind = 3,
    /// Too many.
    ResourceShortage = 4,
}

/// A channel that the peer wants to open. Dropping it refuses.
#[derive(Debug)]
pub struct ChannelOpen {
    /// What kind of channel.
    pub kind: ChannelKind,
    shared: Arc<Shared>,
    id: Option<u32>,
}

impl ChannelOpen {
    /// Opens it.
    #[must_use]
    pub fn accept(mut self) -> Channel {
        let id = self.id.take().unwrap_or_default();
        let mut inner = self.shared.lock();
        if let Some(channel) = inner.channels.get_mut(&id) {
            channel.phase = Phase::Open;
            let mut out = message(numbers::CHANNEL_OPEN_CONFIRMATION);
            out.uint32(channel.remote_id).uint32(id).uint32(WINDOW_START).uint32(PACKET_DATA_MAX);
            inner.send(&out, &[]);
        }
        drop(inner);
        Channel::new(Arc::clone(&self.shared), id)
    }

    /// Refuses it, with a sentence that OpenSSH clients show.
    pub fn refuse(mut self, code: RefusalCode, sentence: &str) {
        self.refuse_once(code, sentence);
    }

    fn refuse_once(&mut self, code: RefusalCode, sentence: &str) {
        let Some(id) = self.id.take() else { return };
        let mut inner = self.shared.lock();
        if let Some(channel) = inner.channels.remove(&id) {
            inner.refuse_channel(channel.remote_id, code, sentence);
        }
    }
}

impl Drop for ChannelOpen {
    fn drop(&mut self) {
        self.refuse_once(RefusalCode::AdministrativelyProhibited, "not available");
    }
}

/// A global request (RFC 4254 §4). Dropping it answers with a failure.
#[derive(Debug)]
pub struct GlobalRequest {
    /// Its name, such as `tcpip-forward`.
    pub name: String,
    /// Its fields.
    pub payload: Bytes,
    shared: Arc<Shared>,
    ticket: Option<u64>,
}

impl GlobalRequest {
    /// Answers with success and the fields that belong to it.
    pub fn succeed(mut self, payload: &[u8]) {
        self.answer(Some(payload.to_vec()));
    }

    /// Answers with a failure.
    pub fn fail(mut self) {
        self.answer(None);
    }

    fn answer(&mut self, answer: Option<Vec<u8>>) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.lock().answer_global(ticket, answer);
        }
    }
}

impl Drop for GlobalRequest {
    fn drop(&mut self) {
        self.answer(None);
    }
}

/// What happens on a connection outside its channels.
#[derive(Debug)]
pub enum ConnectionEvent {
    /// The peer wants to open a channel.
    Open(ChannelOpen),
    /// The peer asks something of the connection as a whole.
    Global(GlobalRequest),
}

#[derive(Debug)]
enum Event {
    Open { id: u32, kind: ChannelKind },
    Global { name: String, payload: Bytes, ticket: Option<u64> },
}

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
    global_asked: VecDeque<oneshot::Sender<bool>>,
    no_more_sessions: bool,
    pub(super) waiters: Wakers,
    pub(super) out_waiters: Wakers,
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
        if self.is_closed() || self.closing {
            return;
        }
        if let Err(error) = self.transport.send(head, body) {
            self.finish(error.into());
        }
        self.wake_driver();
    }

    /// Whether a piece of data of this size may be sent at this moment.
    pub(super) fn has_room(&self, size: usize) -> bool {
        if self.is_closed() || self.closing || self.transport.holds_outgoing() {
            return self.is_closed();
        }
        let pending = self.transport.writer.pending().len();
        pending < OUT_HIGH || (size <= SMALL && pending < OUT_SMALL_HIGH)
    }

    /// Whether writers that wait for room should look again.
    pub(super) fn has_drained(&self) -> bool {
        !self.transport.holds_outgoing() && self.transport.writer.pending().len() <= OUT_HIGH / 2
    }

    pub(super) fn may_read(&self) -> bool {
        self.transport.writer.pending().len() < OUT_STOP_READING
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

    fn on_ready(&mut self) {
        self.stage = match self.transport.role {
            Role::Server => Stage::ServerAuth(ServerAuth::default()),
            Role::Client => {
                self.send(message(numbers::SERVICE_REQUEST).string(b"ssh-userauth"), &[]);
                Stage::ClientAuth(ClientAuth::default())
            }
        };
        self.waiters.wake();
    }

    fn dispatch(&mut self, payload: &Bytes) -> Result<(), CloseReason> {
        let number = payload.first().copied().unwrap_or_default();
        match (number, &mut self.stage) {
            (numbers::EXT_INFO, _) => Ok(()),
            (numbers::PING, _) => {
                let mut fields = Reader::new(payload);
                fields.u8()?;
                let data = fields.string()?;
                self.send(message(numbers::PONG).string(data), &[]);
                Ok(())
            }
            (numbers::SERVICE_REQUEST | 50..=79, Stage::ServerAuth(_)) => Ok(self.on_server_auth(payload)?),
            (numbers::SERVICE_ACCEPT | 50..=79, Stage::ClientAuth(_)) => Ok(self.on_client_auth(payload)?),
            // RFC 4252 §5.1: requests after success are ignored.
            (numbers::USERAUTH_REQUEST, Stage::Open) => Ok(()),
            (80..=127, Stage::Open) => Ok(self.on_connection_message(number, payload)?),
            (_, Stage::Open) => {
                self.send(&self.transport.unimplemented(), &[]);
                Ok(())
            }
            (_, Stage::Exchange | Stage::ServerAuth(_) | Stage::ClientAuth(_)) => {
                Err(ProtocolError("a message that may not come before authentication").into())
            }
        }
    }

    fn on_connection_message(&mut self, number: u8, payload: &Bytes) -> Result<(), ProtocolError> {
        let mut fields = Reader::new(payload);
        fields.u8()?;
        match number {
            numbers::GLOBAL_REQUEST => self.on_global_request(fields),
            numbers::REQUEST_SUCCESS | numbers::REQUEST_FAILURE => {
                if let Some(asked) = self.global_asked.pop_front() {
                    // Whoever asked may have left.
                    let _gone = asked.send(number == numbers::REQUEST_SUCCESS);
                }
                Ok(())
            }
            numbers::CHANNEL_OPEN => self.on_open(fields),
            91..=100 => self.on_channel_message(number, payload, fields),
            _ => {
                self.send(&self.transport.unimplemented(), &[]);
                Ok(())
            }
        }
    }

    fn on_global_request(&mut self, mut fields: Reader<'_>) -> Result<(), ProtocolError> {
        let name = fields.utf8()?.to_owned();
        let want_reply = fields.boolean()?;
        let payload = Bytes::copy_from_slice(fields.rest());
        if self.global_due.len() >= GLOBAL_REQUESTS_MAX || self.events.len() >= GLOBAL_REQUESTS_MAX * 2 {
            return Err(ProtocolError("too many global requests wait"));
        }
        let ticket = want_reply.then_some(self.next_ticket);
        if let Some(ticket) = ticket {
            self.next_ticket += 1;
            self.global_due.push_back((ticket, None));
        }
        match (name.as_str(), ticket) {
            ("keepalive@openssh.com", Some(ticket)) => self.answer_global(ticket, Some(Vec::new())),
            ("no-more-sessions@openssh.com", ticket) => {
                self.no_more_sessions = true;
                if let Some(ticket) = ticket {
                    self.answer_global(ticket, Some(Vec::new()));
                }
            }
            (_, None) if name.ends_with("@openssh.com") => {}
            _ => {
                self.events.push_back(Event::Global { name, payload, ticket });
                self.waiters.wake();
            }
        }
        Ok(())
    }

    /// Replies go out in the order of the requests (RFC 4254 §4), whatever the order of the answers.
    fn answer_global(&mut self, ticket: u64, answer: Option<Vec<u8>>) {
        if let Some((_, due)) = self.global_due.iter_mut().find(|(due, _)| *due == ticket) {
            *due = Some(answer);
        }
        while let Some((_, Some(answer))) = self.global_due.front() {
            match answer.clone() {
                Some(payload) => self.send(&message(numbers::REQUEST_SUCCESS), &payload),
                None => self.send(&message(numbers::REQUEST_FAILURE), &[]),
            }
            self.global_due.pop_front();
        }
    }

    fn fresh_channel_id(&mut self) -> u32 {
        while self.channels.contains_key(&self.next_channel) {
            self.next_channel = self.next_channel.wrapping_add(1);
        }
        let id = self.next_channel;
        self.next_channel = self.next_channel.wrapping_add(1);
        id
    }

    fn on_open(&mut self, mut fields: Reader<'_>) -> Result<(), ProtocolError> {
        let name = fields.utf8()?.to_owned();
        let (remote_id, window, packet_max) = (fields.u32()?, fields.u32()?, fields.u32()?);
        let kind = ChannelKind::read(&name, &mut fields)?;
        if self.no_more_sessions && kind == ChannelKind::Session {
            return Err(ProtocolError("a session was opened after the client promised to open no more"));
        }
        if self.channels.len() >= self.limits.channels_max {
            let sentence = "this connection has as many channels open as drawbridge allows; close one first";
            self.refuse_channel(remote_id, RefusalCode::ResourceShortage, sentence);
            return Ok(());
        }
        let id = self.fresh_channel_id();
        let mut channel = ChannelState::new(Phase::Asked);
        channel.remote_id = remote_id;
        channel.remote_window = u64::from(window);
        channel.remote_packet_max = packet_max.clamp(1, PACKET_DATA_MAX) as usize;
        self.channels.insert(id, channel);
        self.events.push_back(Event::Open { id, kind });
        self.waiters.wake();
        Ok(())
    }

    fn refuse_channel(&mut self, remote_id: u32, code: RefusalCode, sentence: &str) {
        let mut out = message(numbers::CHANNEL_OPEN_FAILURE);
        out.uint32(remote_id).uint32(code as u32).string(sentence.as_bytes()).string(b"en");
        self.send(&out, &[]);
    }

    fn on_channel_message(
        &mut self,
        number: u8,
        payload: &Bytes,
        mut fields: Reader<'_>,
    ) -> Result<(), ProtocolError> {
        let id = fields.u32()?;
        // Messages for a channel that we have closed and forgotten may still be under way.
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
        let sub = |field: &[u8]| payload.slice_ref(field);
        match (number, &channel.phase) {
            (numbers::CHANNEL_OPEN_CONFIRMATION, Phase::Opening) => {
                channel.remote_id = fields.u32()?;
                channel.remote_window = u64::from(fields.u32()?);
                channel.remote_packet_max = fields.u32()?.clamp(1, PACKET_DATA_MAX) as usize;
                channel.phase = Phase::Open;
                if channel.abandoned {
                    channel.close_sent = true;
                    let remote_id = channel.remote_id;
                    self.send(message(numbers::CHANNEL_CLOSE).uint32(remote_id), &[]);
                }
                self.waiters.wake();
            }
            (numbers::CHANNEL_OPEN_FAILURE, Phase::Opening) => {
                let code = fields.u32()?;
                let text = String::from_utf8_lossy(fields.string()?);
                let text = text.chars().filter(|c| !c.is_control()).take(200).collect();
                channel.phase = Phase::Refused(OpenRefused { code, text });
                if channel.abandoned {
                    self.channels.remove(&id);
                }
                self.waiters.wake();
            }
            (_, Phase::Asked | Phase::Opening | Phase::Refused(_)) => {
                return Err(ProtocolError("a message for a channel that is not open"));
            }
            (numbers::CHANNEL_WINDOW_ADJUST, Phase::Open) => {
                // RFC 4254 §5.2: a window may not exceed 2^32 - 1.
                let window = channel.remote_window.saturating_add(u64::from(fields.u32()?));
                channel.remote_window = window.min(u64::from(u32::MAX));
                channel.senders.wake();
            }
            (numbers::CHANNEL_DATA, Phase::Open) => channel.take_data(None, sub(fields.string()?))?,
            (numbers::CHANNEL_EXTENDED_DATA, Phase::Open) => {
                let kind = fields.u32()?;
                channel.take_data(Some(kind), sub(fields.string()?))?;
            }
            (numbers::CHANNEL_EOF, Phase::Open) => channel.take_eof(),
            // RFC 4254 §5.3 wants our CLOSE in return; the channel's owner sends it, for how the program
            // ended may still be said until then (OpenSSH's multiplexing master closes first).
            (numbers::CHANNEL_CLOSE, Phase::Open) => {
                channel.take_close();
                if channel.abandoned {
                    let (remote_id, answered) = (channel.remote_id, channel.close_sent);
                    self.channels.remove(&id);
                    if !answered {
                        self.send(message(numbers::CHANNEL_CLOSE).uint32(remote_id), &[]);
                    }
                }
            }
            (numbers::CHANNEL_REQUEST, Phase::Open) => {
                let name = fields.utf8()?.to_owned();
                let want_reply = fields.boolean()?;
                // A sign of life is given at once, whether or not anyone reads this channel: sshd asks
                // for one here (ClientAliveInterval), and a stalled reader must not cost the connection.
                // Only a reply that is due before it comes first (RFC 4254 §5.4).
                if name == "keepalive@openssh.com" && !channel.owes_reply() {
                    let remote_id = channel.remote_id;
                    if want_reply && !channel.close_sent {
                        self.send(message(numbers::CHANNEL_FAILURE).uint32(remote_id), &[]);
                    }
                    return Ok(());
                }
                let payload = Bytes::copy_from_slice(fields.rest());
                channel.take_request(ChannelRequest { name, want_reply, payload })?;
            }
            (numbers::CHANNEL_SUCCESS, Phase::Open) => channel.take_reply(true),
            (numbers::CHANNEL_FAILURE, Phase::Open) => channel.take_reply(false),
            _ => return Err(ProtocolError("a channel message out of turn")),
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

/// An open connection. Dropping it ends the connection and every channel on it.
#[derive(Debug)]
pub struct Connection {
    pub(super) shared: Arc<Shared>,
}

impl Connection {
    /// The next thing that happens outside the channels.
    ///
    /// # Errors
    /// When the connection is over; the error says why.
    pub async fn next(&self) -> Result<ConnectionEvent, Closed> {
        let event = self.shared.wait_for(|inner| inner.events.pop_front()).await?;
        let shared = Arc::clone(&self.shared);
        Ok(match event {
            Event::Open { id, kind } => ConnectionEvent::Open(ChannelOpen { kind, shared, id: Some(id) }),
            Event::Global { name, payload, ticket } => {
                ConnectionEvent::Global(GlobalRequest { name, payload, shared, ticket })
            }
        })
    }

    /// Opens a channel towards the peer.
    ///
    /// # Errors
    /// When the connection is over, or the peer refuses.
    pub async fn open(&self, kind: &ChannelKind) -> Result<Channel, OpenError> {
        let id = {
            let mut inner = self.shared.lock();
            let id = inner.fresh_channel_id();
            inner.channels.insert(id, ChannelState::new(Phase::Opening));
            let mut out = message(numbers::CHANNEL_OPEN);
            out.string(kind.name().as_bytes()).uint32(id).uint32(WINDOW_START).uint32(PACKET_DATA_MAX);
            kind.write(&mut out);
            inner.send(&out, &[]);
            id
        };
        let channel = Channel::new(Arc::clone(&self.shared), id);
        let answer = self.shared.wait_for(|inner| match inner.channels.get(&id).map(|c| &c.phase) {
            Some(Phase::Asked | Phase::Opening) => None,
            Some(Phase::Open) => Some(Ok(())),
            Some(Phase::Refused(why)) => Some(Err(why.clone())),
            None => Some(Err(OpenRefused { code: 0, text: "the channel is gone".to_owned() })),
        });
        answer.await?.map_err(OpenError::Refused)?;
        Ok(channel)
    }

    /// Asks the peer something as a whole and waits for yes or no. Bounded: one question at a time.
    ///
    /// # Errors
    /// When the connection ends before the answer.
    pub async fn ask(&self, name: &str, payload: &[u8]) -> Result<bool, Closed> {
        let answer = self.shared.lock().ask(name, payload);
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.closed().await),
        }
    }

    /// Renews the keys soon.
    pub fn rekey(&self) {
        let mut inner = self.shared.lock();
        if let Err(error) = inner.transport.start_exchange() {
            inner.finish(error.into());
        }
        inner.wake_driver();
    }

    /// Waits until the connection is over and says why.
    pub async fn closed(&self) -> Closed {
        let never: Result<std::convert::Infallible, Closed> = self.shared.wait_for(|_| None).await;
        match never {
            Ok(never) => match never {},
            Err(closed) => closed,
        }
    }

    /// Whether the connection is over.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lock().is_closed()
    }

    /// Says goodbye with a sentence that clients show, and closes once it is on its way.
    pub fn disconnect(&self, sentence: &str) {
        self.shared.lock().disconnect(numbers::disconnect::BY_APPLICATION, sentence);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut inner = self.shared.lock();
        inner.closing = true;
        inner.wake_driver();
    }
}

impl Inner {
    pub(super) fn ask(&mut self, name: &str, payload: &[u8]) -> oneshot::Receiver<bool> {
        let (reply, answer) = oneshot::channel();
        if self.is_closed() || self.closing {
            return answer;
        }
        self.global_asked.push_back(reply);
        let mut out = message(numbers::GLOBAL_REQUEST);
        out.string(name.as_bytes()).boolean(true);
        self.send(&out, payload);
        answer
    }
}

/// Why a channel could not be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The peer refused.
    #[error(transparent)]
    Refused(OpenRefused),
    /// The connection is over.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A stage's requests, for the server's and the client's own files.
impl Inner {
    pub(super) fn next_auth_request(&mut self) -> Option<AuthRequest> {
        match &mut self.stage {
            Stage::ServerAuth(auth) => auth.next(),
            Stage::Exchange | Stage::ClientAuth(_) | Stage::Open => None,
        }
    }
}
