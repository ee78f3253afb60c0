//! The binary packet protocol (RFC 4253 §6): bytes off the wire into payloads, payloads onto it.

use bytes::{Bytes, BytesMut};

use super::cipher::{Opener, Sealer};
use super::error::ProtocolError;

/// Turns received bytes into payloads. A payload is a slice of the receive buffer, not a copy.
#[derive(Debug)]
pub(super) struct PacketReader {
    /// What was read and not yet taken apart.
    pub(super) buffer: BytesMut,
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
    pub(super) fn next(&mut self) -> Result<Option<(u32, Bytes)>, ProtocolError> {
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
        Ok(Some((sequence, packet.freeze().slice(payload))))
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
    out: Vec<u8>,
    written: usize,
    sealer: Sealer,
    sequence: u32,
    bytes: u64,
}

/// An emptied buffer larger than this is given back at once; smaller ones when the connection is idle.
const KEEP_CAPACITY: usize = 1024 * 1024;

impl PacketWriter {
    pub(super) fn new() -> Self {
        Self { out: Vec::new(), written: 0, sealer: Sealer::clear(), sequence: 0, bytes: 0 }
    }

    /// Bytes that go out as they are: the identification line.
    pub(super) fn put_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Appends one packet whose payload is `head` followed by `body`.
    pub(super) fn put(&mut self, head: &[u8], body: &[u8]) -> Result<(), ProtocolError> {
        let payload = head.len() + body.len();
        let padding = self.sealer.padding(payload);
        let length = 1 + payload + padding;
        let start = self.out.len();
        self.out.reserve(length + 4 + 64);
        self.out.extend_from_slice(&super::wire::length(length).to_be_bytes());
        self.out.push(u8::try_from(padding).unwrap_or(u8::MAX));
        self.out.extend_from_slice(head);
        self.out.extend_from_slice(body);
        let mut noise = [0; 32];
        let noise =
            noise.get_mut(..padding).ok_or(ProtocolError("padding longer than a block and a half"))?;
        aws_lc_rs::rand::fill(noise).map_err(|_| ProtocolError("the system has no randomness"))?;
        self.out.extend_from_slice(noise);
        self.sealer.seal(self.sequence, &mut self.out, start)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.bytes = self.bytes.saturating_add((self.out.len() - start) as u64);
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

    /// What waits to be written to the stream.
    pub(super) fn pending(&self) -> &[u8] {
        self.out.get(self.written..).unwrap_or_default()
    }

    /// So many bytes of [`Self::pending`] were written.
    pub(super) fn consume(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.out.len() {
            self.written = 0;
            if self.out.capacity() > KEEP_CAPACITY {
                self.out = Vec::new();
            } else {
                self.out.clear();
            }
        }
    }

    /// Gives the emptied buffer's memory back.
    pub(super) fn shrink(&mut self) {
        if self.out.is_empty() {
            self.out = Vec::new();
        }
    }

    /// Bytes under the present keys.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
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
                assert_eq!(got.expect("whole").1, payload, "{suite:?} {size}");
            }
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
