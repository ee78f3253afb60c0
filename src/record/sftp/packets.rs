//! Takes one direction's bytes apart into packets, in whatever pieces they come.

use super::numbers::{DATA, HANDLE, HANDLE_MAX, NAME, STATUS, WRITE};

/// The longest packet, in bytes. OpenSSH takes 256 KiB; nothing is kept of one but its head, so this is
/// only what tells SFTP from something else: four characters of text, taken for a length, are more.
pub(super) const PACKET_MAX: u32 = 16 * 1024 * 1024;
/// As much as is gathered of a request: two names of `PATH_MAX`, attributes, and room to spare.
const GATHERED_MAX: usize = 16 * 1024;
/// Type, id, handle, offset and count, without the handle's own bytes.
const WRITE_HEAD: usize = 1 + 4 + 4 + 8 + 4;
const STATUS_HEAD: usize = 1 + 4 + 4 + 4 + 256;

/// Which way the packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Requests.
    ToTarget,
    /// Replies.
    ToClient,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'h, 'd> {
    /// What a packet begins with, from its type on, and how many bytes of it follow.
    Head(&'h [u8], u32),
    /// More of the packet.
    Rest(&'d [u8]),
    /// The packet is complete.
    End,
    /// Nothing, until there is more data.
    Wait,
    /// No packet has this length.
    Nonsense(u32),
}

#[derive(Debug, Clone, Copy)]
enum State {
    Length,
    Head { length: u32 },
    Rest { left: u32 },
    Lost { length: u32 },
}

/// One direction.
#[derive(Debug)]
pub(super) struct Packets {
    way: Way,
    held: Vec<u8>,
    state: State,
}

impl Packets {
    pub(super) const fn new(way: Way) -> Self {
        Self { way, held: Vec::new(), state: State::Length }
    }

    /// Takes as much from the front of `data` as the next piece needs.
    pub(super) fn next<'h, 'd>(&'h mut self, data: &mut &'d [u8]) -> Piece<'h, 'd> {
        if let State::Length = self.state {
            if !self.gather(4, data) {
                return Piece::Wait;
            }
            let length = self.held.first_chunk::<4>().copied().map_or(0, u32::from_be_bytes);
            self.held.clear();
            let sane = (1..=PACKET_MAX).contains(&length);
            self.state = if sane { State::Head { length } } else { State::Lost { length } };
        }
        match self.state {
            State::Length => Piece::Wait,
            State::Lost { length } => Piece::Nonsense(length),
            State::Head { length } => self.head(length, data),
            State::Rest { left: 0 } => {
                self.held.clear();
                self.state = State::Length;
                Piece::End
            }
            State::Rest { .. } if data.is_empty() => Piece::Wait,
            State::Rest { left } => {
                let count = data.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let (rest, after) = data.split_at(count);
                *data = after;
                self.state = State::Rest { left: left.saturating_sub(u32::try_from(count).unwrap_or(left)) };
                Piece::Rest(rest)
            }
        }
    }

    fn head<'h, 'd>(&'h mut self, length: u32, data: &mut &'d [u8]) -> Piece<'h, 'd> {
        let whole = usize::try_from(length).unwrap_or(usize::MAX);
        loop {
            let wanted = head_len(self.way, &self.held).min(whole);
            if self.held.len() >= wanted {
                let left = length.saturating_sub(u32::try_from(wanted).unwrap_or(length));
                self.state = State::Rest { left };
                return Piece::Head(&self.held, left);
            }
            if !self.gather(wanted, data) {
                return Piece::Wait;
            }
        }
    }

    /// Whether there are that many bytes at hand.
    fn gather(&mut self, wanted: usize, data: &mut &[u8]) -> bool {
        let count = wanted.saturating_sub(self.held.len()).min(data.len());
        let (taken, after) = data.split_at(count);
        self.held.extend_from_slice(taken);
        *data = after;
        self.held.len() >= wanted
    }
}

/// How much of a packet has to be gathered before it can be understood, as far as what is held tells.
fn head_len(way: Way, held: &[u8]) -> usize {
    let Some(kind) = held.first() else { return 1 };
    match (way, *kind) {
        (Way::ToTarget, WRITE) => match held.get(5..9).and_then(|length| length.first_chunk::<4>()) {
            None => 9,
            Some(length) => {
                let handle = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
                if handle <= HANDLE_MAX { WRITE_HEAD + handle } else { 9 }
            }
        },
        (Way::ToTarget, _) => GATHERED_MAX,
        (Way::ToClient, DATA | NAME) => 9,
        (Way::ToClient, HANDLE) => 9 + HANDLE_MAX,
        (Way::ToClient, STATUS) => STATUS_HEAD,
        (Way::ToClient, _) => 5,
    }
}
