//! The binary packet protocol (RFC 4253 §6): bytes off the wire into payloads, payloads onto it.

use bytes::BytesMut;

use super::cipher::{Opener, Sealer};
use super::data::Data;
use super::error::ProtocolError;
use super::outgoing::Outgoing;

/// Turns received bytes into payloads. A payload is a slice of the receive buffer, not a copy.
#[derive(Debug)]
pub(super) struct PacketReader {
    /// What was read and not yet taken apart.
    pub(super) buffer: BytesMut,
    /// How often room was made, and so at least how many buffers there were.
    buffers: u64,
    opener: Opener,
    sequence: u32,
    total: Option<usize>,
    bytes: u64,
    protected: bool,
}

impl PacketReader {
    pub(super) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            buffers: 0,
            opener: Opener::clear(),
            sequence: 0,
            total: None,
            bytes: 0,
            protected: false,
        }
    }

    /// Whether the first key exchange is behind us.
    pub(super) fn is_protected(&self) -> bool {
        self.protected
    }

    /// The next whole packet's payload and its sequence number, or nothing until more bytes come.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Data)>, ProtocolError> {
        let total = match self.total {
            Some(total) => total,
            None => {
                let Some(head) = self.buffer.get_mut(..self.opener.head()) else { return Ok(None) };
                let total = self.opener.total(self.sequence, head)?;
                self.total = Some(total);
                total
            }
        };
        if self.buffer.len() < total {
            return Ok(None);
        }
        let mut packet = self.buffer.split_to(total);
        let payload = self.opener.open(self.sequence, &mut packet)?;
        let sequence = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        self.total = None;
        self.bytes = self.bytes.saturating_add(total as u64);
        if payload.is_empty() {
            return Err(ProtocolError("a packet without a message"));
        }
        Ok(Some((sequence, Data::of(&packet.freeze(), payload, self.buffers))))
    }

    /// Makes room to read at least `least` bytes; where there is less, for `wanted` bytes.
    pub(super) fn make_room(&mut self, least: usize, wanted: usize) {
        if self.buffer.capacity() - self.buffer.len() < least {
            self.buffer.reserve(wanted.max(least));
            self.buffers += 1;
        }
    }

    /// How many more bytes the packet under way needs, where that is known.
    pub(super) fn missing(&self) -> usize {
        self.total.map_or(0, |total| total.saturating_sub(self.buffer.len()))
    }

    /// The peer's NEWKEYS came: what follows is under new keys.
    pub(super) fn rekey(&mut self, opener: Opener, reset_sequence: bool) {
        self.opener = opener;
        self.protected = true;
        self.bytes = 0;
        if reset_sequence {
            self.sequence = 0;
        }
    }

    /// Bytes under the present keys.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Turns payloads into bytes for the wire.
#[derive(Debug)]
pub(super) struct PacketWriter {
    out: Outgoing,
    sealer: Sealer,
    sequence: u32,
    bytes: u64,
}

/// A piece from this size on is sealed from where it lies; below, a copy costs nothing.
const SEAL_APART_FROM: usize = 4 * 1024;
const TOO_LONG: ProtocolError = ProtocolError("a packet is longer than its room");

impl PacketWriter {
    pub(super) fn new() -> Self {
        Self { out: Outgoing::default(), sealer: Sealer::clear(), sequence: 0, bytes: 0 }
    }

    /// Bytes that go out as they are: the identification line.
    pub(super) fn put_raw(&mut self, bytes: &[u8]) {
        self.out.room(bytes.len()).copy_from_slice(bytes);
        self.out.fill(bytes.len());
    }

    /// Appends one packet whose payload is `head` followed by `body`.
    pub(super) fn put(&mut self, head: &[u8], body: &[u8]) -> Result<(), ProtocolError> {
        self.put_part(head, body, body.len())
    }

    /// Appends one packet whose payload is `head` and the first `length` bytes of `body`. If the rest of `body`
    /// is long enough to be the padding, a large piece is sealed from where it lies, without a copy before;
    /// so that rest must be nothing that the peer may not see. Padding need not be random under a cipher that
    /// authenticates it.
    pub(super) fn put_part(&mut self, head: &[u8], body: &[u8], length: usize) -> Result<(), ProtocolError> {
        let payload = head.len() + length;
        let padding = self.sealer.padding(payload);
        let content = 1 + payload + padding;
        let total = 4 + content + self.sealer.tag();
        let packet = self.out.room(total);
        let (front, rest) = packet.split_at_mut_checked(4 + 1 + head.len()).ok_or(TOO_LONG)?;
        for (to, from) in front.iter_mut().zip(front_of(content, padding).iter().chain(head)) {
            *to = *from;
        }
        let padded = body.get(..length + padding).filter(|_| length >= SEAL_APART_FROM);
        let sealed = match padded {
            Some(padded) => self.sealer.seal_apart(front, padded, rest)?,
            None => false,
        };
        if !sealed {
            let (place, rest) = rest.split_at_mut_checked(length).ok_or(TOO_LONG)?;
            place.copy_from_slice(body.get(..length).ok_or(TOO_LONG)?);
            let noise = rest.get_mut(..padding).ok_or(TOO_LONG)?;
            aws_lc_rs::rand::fill(noise).map_err(|_| ProtocolError("the system has no randomness"))?;
            self.sealer.seal(self.sequence, packet)?;
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.bytes = self.bytes.saturating_add(total as u64);
        self.out.fill(total);
        Ok(())
    }

    /// Our NEWKEYS went out: what follows is under new keys.
    pub(super) fn rekey(&mut self, sealer: Sealer, reset_sequence: bool) {
        self.sealer = sealer;
        self.bytes = 0;
        if reset_sequence {
            self.sequence = 0;
        }
    }

    /// What to write to the stream next; there may be more behind it.
    pub(super) fn pending(&self) -> &[u8] {
        self.out.front()
    }

    /// How many bytes wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// So many bytes of [`Self::pending`] were written.
    pub(super) fn consume(&mut self, count: usize) {
        self.out.consume(count);
    }

    /// Gives memory back that is not in use.
    pub(super) fn shrink(&mut self) {
        self.out.shrink();
    }

    /// Bytes under the present keys.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A packet's first five bytes: its length and that of its padding.
fn front_of(content: usize, padding: usize) -> [u8; 5] {
    let [a, b, c, d] = super::wire::length(content).to_be_bytes();
    [a, b, c, d, u8::try_from(padding).unwrap_or(u8::MAX)]
}

#[cfg(test)]
mod tests {
    use super::super::cipher::{Opener, Sealer, Suite};
    use super::*;

    fn suites() -> Vec<Suite> {
        let names = [
            ("aes128-gcm@openssh.com", ""),
            ("aes256-gcm@openssh.com", ""),
            ("chacha20-poly1305@openssh.com", ""),
            ("aes128-ctr", "hmac-sha2-256"),
            ("aes256-ctr", "hmac-sha2-512-etm@openssh.com"),
            ("aes128-ctr", "hmac-sha1"),
        ];
        names.iter().map(|(cipher, mac)| Suite::of(cipher, mac).expect("known")).collect()
    }

    fn pair(suite: Suite) -> (PacketWriter, PacketReader) {
        let (iv, key, mac) = suite.material();
        let (iv, key, mac) = (vec![1; iv], vec![2; key], vec![3; mac]);
        let (mut writer, mut reader) = (PacketWriter::new(), PacketReader::new());
        writer.rekey(Sealer::new(suite, &iv, &key, &mac).expect("sealer"), false);
        reader.rekey(Opener::new(suite, &iv, &key, &mac).expect("opener"), false);
        (writer, reader)
    }

    #[test]
    fn every_suite_carries_every_size_even_byte_by_byte() {
        for suite in suites() {
            let (mut writer, mut reader) = pair(suite);
            for size in (1..70).chain([1000, 32_768, 100_000]) {
                let payload = vec![0x5a; size];
                writer.put(&payload, &[]).expect("fits");
                let wire = writer.pending().to_vec();
                writer.consume(wire.len());
                let step = if size < 1000 { 1 } else { 977 };
                let mut got = None;
                for piece in wire.chunks(step) {
                    assert!(got.is_none(), "a packet came before its last byte");
                    reader.buffer.extend_from_slice(piece);
                    got = reader.next().expect("intact");
                }
                assert_eq!(*got.expect("whole").1, payload, "{suite:?} {size}");
            }
        }
    }

    #[test]
    fn data_is_passed_on_whole_whatever_lies_behind_it() {
        for (from, to) in suites().into_iter().flat_map(|from| suites().into_iter().map(move |to| (from, to)))
        {
            let (mut sender, mut receiver) = pair(from);
            let (mut onward, mut last) = pair(to);
            for size in (SEAL_APART_FROM - 2..SEAL_APART_FROM + 40).chain([1, 32_768]) {
                let payload: Vec<u8> = (0..251).cycle().take(size).collect();
                sender.put(&payload, &[]).expect("fits");
                receiver.buffer.extend_from_slice(sender.pending());
                sender.consume(sender.pending().len());
                let data = receiver.next().expect("intact").expect("whole").1;
                // Whole, and as two pieces of which the first has the second behind it.
                for piece in [data.clone(), data.part(0..size / 2), data.part(size / 2..size)] {
                    onward.put_part(b"head", piece.with_tail(), piece.len()).expect("fits");
                    last.buffer.extend_from_slice(onward.pending());
                    onward.consume(onward.pending().len());
                    let got = last.next().expect("intact").expect("whole").1;
                    let (head, body) = got.split_at(4);
                    assert_eq!((head, body), (&b"head"[..], &*piece), "{from:?} {to:?} {size}");
                }
            }
        }
    }

    #[test]
    fn what_lies_behind_a_large_piece_is_its_padding_and_small_pieces_get_noise() {
        let suite = Suite::of("aes256-gcm@openssh.com", "").expect("known");
        let (mut writer, mut reader) = pair(suite);
        for (length, taken) in [(SEAL_APART_FROM, true), (SEAL_APART_FROM - 1, false)] {
            let mut body = vec![1; length];
            body.extend_from_slice(&[0xee; 32]);
            writer.put_part(&[], &body, length).expect("fits");
            reader.buffer.extend_from_slice(writer.pending());
            writer.consume(writer.pending().len());
            let got = reader.next().expect("intact").expect("whole").1;
            let padding = Sealer::new(suite, &[1; 12], &[2; 32], &[]).expect("sealer").padding(length);
            let behind = got.with_tail().get(length..length + padding).expect("padding");
            assert_eq!(behind.iter().all(|byte| *byte == 0xee), taken, "{length}");
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_noticed() {
        for suite in suites() {
            for at in 4..60 {
                let (mut writer, mut reader) = pair(suite);
                writer.put(b"ssh-connection and a few more words", &[]).expect("fits");
                let mut wire = writer.pending().to_vec();
                if at >= wire.len() {
                    continue;
                }
                wire[at] ^= 0x10;
                reader.buffer.extend_from_slice(&wire);
                assert!(!matches!(reader.next(), Ok(Some(_))), "{suite:?} let byte {at} pass");
            }
        }
    }

    #[test]
    fn an_absurd_length_is_refused_before_memory_is_asked_for() {
        let mut reader = PacketReader::new();
        reader.buffer.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0]);
        assert!(reader.next().is_err());
    }
}
