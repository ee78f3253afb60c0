//! What each received message does to a connection.

use bytes::Bytes;

use super::super::algorithms::Role;
use super::super::auth::{ClientAuth, ServerAuth};
use super::super::channel::{ChannelRequest, ChannelState, OpenRefused, PACKET_DATA_MAX, Phase};
use super::super::data::Data;
use super::super::error::{CloseReason, ProtocolError};
use super::super::numbers;
use super::super::wire::{Put, Reader, message};
use super::events::{ChannelKind, Event, RefusalCode};
use super::{GLOBAL_REQUESTS_MAX, Inner, Stage};

impl Inner {
    pub(in crate::ssh) fn on_ready(&mut self) {
        self.stage = match self.transport.role {
            Role::Server => Stage::ServerAuth(ServerAuth::default()),
            Role::Client => {
                self.send(message(numbers::SERVICE_REQUEST).string(b"ssh-userauth"), &[]);
                Stage::ClientAuth(ClientAuth::default())
            }
        };
        self.waiters.wake();
    }

    pub(in crate::ssh) fn dispatch(&mut self, payload: &Data) -> Result<(), CloseReason> {
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

    fn on_connection_message(&mut self, number: u8, payload: &Data) -> Result<(), ProtocolError> {
        let mut fields = Reader::new(payload);
        fields.u8()?;
        match number {
            numbers::GLOBAL_REQUEST => self.on_global_request(fields),
            numbers::REQUEST_SUCCESS | numbers::REQUEST_FAILURE => {
                if let Some(asked) = self.global_asked.pop_front() {
                    let yes = number == numbers::REQUEST_SUCCESS;
                    // Whoever asked may have left.
                    let _gone = asked.send(yes.then(|| Bytes::copy_from_slice(fields.rest())));
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
            (name, ticket) if name.starts_with("keepalive@") => {
                if let Some(ticket) = ticket {
                    self.answer_global(ticket, Some(Vec::new()));
                }
            }
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
    pub(in crate::ssh) fn answer_global(&mut self, ticket: u64, answer: Option<Vec<u8>>) {
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

    pub(in crate::ssh) fn fresh_channel_id(&mut self) -> u32 {
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

    pub(in crate::ssh) fn refuse_channel(&mut self, remote_id: u32, code: RefusalCode, sentence: &str) {
        let mut out = message(numbers::CHANNEL_OPEN_FAILURE);
        out.uint32(remote_id).uint32(code as u32).string(sentence.as_bytes()).string(b"en");
        self.send(&out, &[]);
    }

    fn on_channel_message(
        &mut self,
        number: u8,
        payload: &Data,
        mut fields: Reader<'_>,
    ) -> Result<(), ProtocolError> {
        let id = fields.u32()?;
        // Messages for a channel that we have closed and forgotten may still be under way.
        let Some(channel) = self.channels.get_mut(&id) else { return Ok(()) };
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
            (numbers::CHANNEL_DATA, Phase::Open) => channel.take_data(None, data(payload, &mut fields)?)?,
            (numbers::CHANNEL_EXTENDED_DATA, Phase::Open) => {
                let kind = fields.u32()?;
                channel.take_data(Some(kind), data(payload, &mut fields)?)?;
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
                if asks_only_for_an_answer(&name) && !channel.owes_reply() {
                    let remote_id = channel.remote_id;
                    if want_reply && !channel.close_sent {
                        self.send(message(numbers::CHANNEL_FAILURE).uint32(remote_id), &[]);
                    }
                    return Ok(());
                }
                if name == PUTTY_SIMPLE && !want_reply {
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
}

/// PuTTY's word that it will open no other channel, so that its window may be large: nothing to carry or to refuse.
const PUTTY_SIMPLE: &str = "simple@putty.projects.tartarus.org";

/// Channel requests that mean nothing and want a refusal soon: a sign of life, and PuTTY's measure of how far
/// away we are.
fn asks_only_for_an_answer(name: &str) -> bool {
    matches!(name, "keepalive@openssh.com" | "winadj@putty.projects.tartarus.org")
}

/// A field of data, where it lies in its packet.
fn data(payload: &Data, fields: &mut Reader<'_>) -> Result<Data, ProtocolError> {
    let length = fields.string()?.len();
    let end = payload.len() - fields.rest().len();
    Ok(payload.part(end - length..end))
}
