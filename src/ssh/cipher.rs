//! One direction's confidentiality and integrity: AES-GCM (RFC 5647 as OpenSSH does it),
//! chacha20-poly1305@openssh.com, and AES-CTR with HMAC for peers that have nothing newer.

use std::ops::Range;

use aws_lc_rs::aead::chacha20_poly1305_openssh as chacha;
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::error::ProtocolError;

const TAG: usize = 16;
const LENGTH: usize = 4;
const BAD_PACKET: ProtocolError = ProtocolError("a packet failed its integrity check");
const BAD_KEY: ProtocolError = ProtocolError("a derived key has the wrong length");

/// The longest packet we read, length field excluded (OpenSSH's PACKET_MAX_SIZE).
pub(super) const PACKET_MAX: usize = 256 * 1024;

/// Which cipher, and which MAC where the cipher has none of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suite {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
    Ctr { key: usize, mac: Mac },
}

/// An HMAC and whether it covers the ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mac {
    pub(super) hash: MacHash,
    pub(super) encrypt_then_mac: bool,
}

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MacHash {
    /// For legacy targets.
    Sha1,
    Sha256,
    Sha512,
}

impl Mac {
    fn algorithm(self) -> hmac::Algorithm {
        match self.hash {
            MacHash::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            MacHash::Sha256 => hmac::HMAC_SHA256,
            MacHash::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn length(self) -> usize {
        match self.hash {
            MacHash::Sha1 => 20,
            MacHash::Sha256 => 32,
            MacHash::Sha512 => 64,
        }
    }
}

impl Suite {
    /// The suite for negotiated names, or nothing when we do not have it.
    pub(super) fn of(cipher: &str, mac: &str) -> Option<Self> {
        let ctr = |key| {
            let (name, encrypt_then_mac) = match mac.strip_suffix("-etm@openssh.com") {
                Some(name) => (name, true),
                None => (mac, false),
            };
            let hash = match name {
                "hmac-sha1" => MacHash::Sha1,
                "hmac-sha2-256" => MacHash::Sha256,
                "hmac-sha2-512" => MacHash::Sha512,
                _ => return None,
            };
            Some(Self::Ctr { key, mac: Mac { hash, encrypt_then_mac } })
        };
        match cipher {
            "aes128-gcm@openssh.com" => Some(Self::Aes128Gcm),
            "aes256-gcm@openssh.com" => Some(Self::Aes256Gcm),
            "chacha20-poly1305@openssh.com" => Some(Self::ChaCha20Poly1305),
            "aes128-ctr" => ctr(16),
            "aes256-ctr" => ctr(32),
            _ => None,
        }
    }

    /// Bytes of (IV, key, MAC key) to derive (RFC 4253 §7.2).
    pub(super) fn material(self) -> (usize, usize, usize) {
        match self {
            Self::Aes128Gcm => (12, 16, 0),
            Self::Aes256Gcm => (12, 32, 0),
            Self::ChaCha20Poly1305 => (0, chacha::KEY_LEN, 0),
            Self::Ctr { key, mac } => (16, key, mac.length()),
        }
    }
}

/// Whether a cipher brings its own integrity, so that the MAC list does not matter.
pub(super) fn is_aead(cipher: &str) -> bool {
    matches!(cipher, "aes128-gcm@openssh.com" | "aes256-gcm@openssh.com" | "chacha20-poly1305@openssh.com")
}

struct Gcm {
    key: LessSafeKey,
    fixed: [u8; 4],
    counter: u64,
}

impl Gcm {
    fn new(
        algorithm: &'static aws_lc_rs::aead::Algorithm,
        iv: &[u8],
        key: &[u8],
    ) -> Result<Self, ProtocolError> {
        let key = UnboundKey::new(algorithm, key).map_err(|_| BAD_KEY)?;
        let (&fixed, rest) = iv.split_first_chunk::<4>().ok_or(BAD_KEY)?;
        let &counter = rest.first_chunk::<8>().ok_or(BAD_KEY)?;
        Ok(Self { key: LessSafeKey::new(key), fixed, counter: u64::from_be_bytes(counter) })
    }

    /// RFC 5647 §7.1: the fixed part stays, the invocation counter goes up by one a packet.
    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        let (fixed, counter) = nonce.split_at_mut(4);
        fixed.copy_from_slice(&self.fixed);
        counter.copy_from_slice(&self.counter.to_be_bytes());
        self.counter = self.counter.wrapping_add(1);
        Nonce::assume_unique_for_key(nonce)
    }
}

struct Ctr {
    key: EncryptingKey,
    counter: u128,
    mac: Mac,
    mac_key: hmac::Key,
}

impl Ctr {
    fn new(
        key_length: usize,
        mac: Mac,
        iv: &[u8],
        key: &[u8],
        mac_key: &[u8],
    ) -> Result<Self, ProtocolError> {
        let algorithm = if key_length == 16 { &AES_128 } else { &AES_256 };
        let key = UnboundCipherKey::new(algorithm, key).map_err(|_| BAD_KEY)?;
        let &iv = iv.first_chunk::<16>().ok_or(BAD_KEY)?;
        Ok(Self {
            key: EncryptingKey::ctr(key).map_err(|_| BAD_KEY)?,
            counter: u128::from_be_bytes(iv),
            mac,
            mac_key: hmac::Key::new(mac.algorithm(), mac_key),
        })
    }

    /// CTR is its own inverse. SSH packets are whole blocks, so the counter is all the state there is.
    fn apply(&mut self, blocks: &mut [u8]) -> Result<(), ProtocolError> {
        let context = EncryptionContext::Iv128(FixedLength::from(self.counter.to_be_bytes()));
        let count = (blocks.len() / 16) as u128;
        self.key.less_safe_encrypt(blocks, context).map_err(|_| BAD_PACKET)?;
        self.counter = self.counter.wrapping_add(count);
        Ok(())
    }

    fn tag(&self, sequence: u32, packet: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.mac_key);
        context.update(&sequence.to_be_bytes());
        context.update(packet);
        context.sign()
    }

    fn check(&self, sequence: u32, packet: &[u8], tag: &[u8]) -> Result<(), ProtocolError> {
        let expected = self.tag(sequence, packet);
        aws_lc_rs::constant_time::verify_slices_are_equal(expected.as_ref(), tag).map_err(|_| BAD_PACKET)
    }
}

enum Opening {
    Clear,
    Gcm(Box<Gcm>),
    ChaCha(Box<chacha::OpeningKey>),
    Ctr(Box<Ctr>),
}

/// Takes packets apart: first the length, then the content.
pub(super) struct Opener(Opening);

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

impl Opener {
    /// Before the first key exchange: no protection.
    pub(super) fn clear() -> Self {
        Self(Opening::Clear)
    }

    pub(super) fn new(suite: Suite, iv: &[u8], key: &[u8], mac_key: &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self(match suite {
            Suite::Aes128Gcm => Opening::Gcm(Box::new(Gcm::new(&AES_128_GCM, iv, key)?)),
            Suite::Aes256Gcm => Opening::Gcm(Box::new(Gcm::new(&AES_256_GCM, iv, key)?)),
            Suite::ChaCha20Poly1305 => {
                let key = key.first_chunk().ok_or(BAD_KEY)?;
                Opening::ChaCha(Box::new(chacha::OpeningKey::new(key)))
            }
            Suite::Ctr { key: length, mac } => {
                Opening::Ctr(Box::new(Ctr::new(length, mac, iv, key, mac_key)?))
            }
        }))
    }

    /// How many bytes must be there before [`Self::total`] may be asked.
    pub(super) fn head(&self) -> usize {
        match &self.0 {
            Opening::Ctr(ctr) if !ctr.mac.encrypt_then_mac => 16,
            Opening::Clear | Opening::Gcm(_) | Opening::ChaCha(_) | Opening::Ctr(_) => LENGTH,
        }
    }

    /// The whole packet's size on the wire. Ask once a packet: a CTR head is decrypted in place.
    pub(super) fn total(&mut self, sequence: u32, head: &mut [u8]) -> Result<usize, ProtocolError> {
        let short = ProtocolError("a packet's head is cut short");
        let (length, tag) = match &mut self.0 {
            Opening::Clear => (*head.first_chunk::<4>().ok_or(short)?, 0),
            Opening::Gcm(_) => (*head.first_chunk::<4>().ok_or(short)?, TAG),
            Opening::ChaCha(key) => {
                let &sealed = head.first_chunk::<4>().ok_or(short)?;
                (key.decrypt_packet_length(sequence, sealed), TAG)
            }
            Opening::Ctr(ctr) => {
                if !ctr.mac.encrypt_then_mac {
                    ctr.apply(head.get_mut(..16).ok_or(short)?)?;
                }
                (*head.first_chunk::<4>().ok_or(short)?, ctr.mac.length())
            }
        };
        let length = u32::from_be_bytes(length) as usize;
        if !(5..=PACKET_MAX).contains(&length) {
            return Err(ProtocolError("a packet's length is out of bounds"));
        }
        Ok(LENGTH + length + tag)
    }

    /// Decrypts and checks a whole packet in place; answers where its payload lies.
    pub(super) fn open(&mut self, sequence: u32, packet: &mut [u8]) -> Result<Range<usize>, ProtocolError> {
        let content_end = match &mut self.0 {
            Opening::Clear => packet.len(),
            Opening::Gcm(gcm) => {
                let nonce = gcm.nonce();
                let (length, content) = packet.split_first_chunk_mut::<LENGTH>().ok_or(BAD_PACKET)?;
                gcm.key.open_in_place(nonce, Aad::from(*length), content).map_err(|_| BAD_PACKET)?;
                packet.len() - TAG
            }
            Opening::ChaCha(key) => {
                let (content, tag) = packet.split_last_chunk_mut::<TAG>().ok_or(BAD_PACKET)?;
                key.open_in_place(sequence, content, tag).map_err(|_| BAD_PACKET)?;
                packet.len() - TAG
            }
            Opening::Ctr(ctr) => {
                let end = packet.len().checked_sub(ctr.mac.length()).ok_or(BAD_PACKET)?;
                let (content, tag) = packet.split_at_mut_checked(end).ok_or(BAD_PACKET)?;
                if ctr.mac.encrypt_then_mac {
                    ctr.check(sequence, content, tag)?;
                    ctr.apply(content.get_mut(LENGTH..).ok_or(BAD_PACKET)?)?;
                } else {
                    ctr.apply(content.get_mut(16..).ok_or(BAD_PACKET)?)?;
                    ctr.check(sequence, content, tag)?;
                }
                end
            }
        };
        let padding = usize::from(*packet.get(LENGTH).ok_or(BAD_PACKET)?);
        let end = content_end
            .checked_sub(padding)
            .filter(|end| padding >= 4 && *end > LENGTH)
            .ok_or(ProtocolError("a packet's padding is out of bounds"))?;
        Ok(LENGTH + 1..end)
    }
}

enum Sealing {
    Clear,
    Gcm(Box<Gcm>),
    ChaCha(Box<chacha::SealingKey>),
    Ctr(Box<Ctr>),
}

/// Protects packets.
pub(super) struct Sealer(Sealing);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Before the first key exchange: no protection.
    pub(super) fn clear() -> Self {
        Self(Sealing::Clear)
    }

    pub(super) fn new(suite: Suite, iv: &[u8], key: &[u8], mac_key: &[u8]) -> Result<Self, ProtocolError> {
        Ok(Self(match suite {
            Suite::Aes128Gcm => Sealing::Gcm(Box::new(Gcm::new(&AES_128_GCM, iv, key)?)),
            Suite::Aes256Gcm => Sealing::Gcm(Box::new(Gcm::new(&AES_256_GCM, iv, key)?)),
            Suite::ChaCha20Poly1305 => {
                let key = key.first_chunk().ok_or(BAD_KEY)?;
                Sealing::ChaCha(Box::new(chacha::SealingKey::new(key)))
            }
            Suite::Ctr { key: length, mac } => {
                Sealing::Ctr(Box::new(Ctr::new(length, mac, iv, key, mac_key)?))
            }
        }))
    }

    /// How much padding a payload of this size gets (RFC 4253 §6: at least 4 bytes, to a whole block;
    /// the length field counts unless it is authenticated apart).
    pub(super) fn padding(&self, payload: usize) -> usize {
        let (block, counted) = match &self.0 {
            Sealing::Clear => (8, LENGTH + 1 + payload),
            Sealing::ChaCha(_) => (8, 1 + payload),
            Sealing::Gcm(_) => (16, 1 + payload),
            Sealing::Ctr(ctr) if ctr.mac.encrypt_then_mac => (16, 1 + payload),
            Sealing::Ctr(_) => (16, LENGTH + 1 + payload),
        };
        let padding = block - counted % block;
        if padding < 4 { padding + block } else { padding }
    }

    /// How many bytes follow a packet's content.
    pub(super) fn tag(&self) -> usize {
        match &self.0 {
            Sealing::Clear => 0,
            Sealing::Gcm(_) | Sealing::ChaCha(_) => TAG,
            Sealing::Ctr(ctr) => ctr.mac.length(),
        }
    }

    /// Protects a packet in place. Its last [`Self::tag`] bytes are room for the tag.
    pub(super) fn seal(&mut self, sequence: u32, packet: &mut [u8]) -> Result<(), ProtocolError> {
        let end = packet.len().checked_sub(self.tag()).ok_or(BAD_PACKET)?;
        let (packet, room) = packet.split_at_mut_checked(end).ok_or(BAD_PACKET)?;
        match &mut self.0 {
            Sealing::Clear => {}
            Sealing::Gcm(gcm) => {
                let nonce = gcm.nonce();
                let (length, content) = packet.split_first_chunk_mut::<LENGTH>().ok_or(BAD_PACKET)?;
                let tag = gcm
                    .key
                    .seal_in_place_separate_tag(nonce, Aad::from(*length), content)
                    .map_err(|_| BAD_PACKET)?;
                room.copy_from_slice(tag.as_ref());
            }
            Sealing::ChaCha(key) => {
                key.seal_in_place(sequence, packet, room.first_chunk_mut::<TAG>().ok_or(BAD_PACKET)?);
            }
            Sealing::Ctr(ctr) => {
                let tag = if ctr.mac.encrypt_then_mac {
                    ctr.apply(packet.get_mut(LENGTH..).ok_or(BAD_PACKET)?)?;
                    ctr.tag(sequence, packet)
                } else {
                    let tag = ctr.tag(sequence, packet);
                    ctr.apply(packet)?;
                    tag
                };
                room.copy_from_slice(tag.as_ref());
            }
        }
        Ok(())
    }

    /// Protects a packet whose front (length and what follows it) is in place and whose rest, padding included,
    /// lies elsewhere; `room` takes that rest and the tag. Answers whether it did: only AES-GCM can.
    pub(super) fn seal_apart(
        &mut self,
        front: &mut [u8],
        rest: &[u8],
        room: &mut [u8],
    ) -> Result<bool, ProtocolError> {
        let Sealing::Gcm(gcm) = &mut self.0 else { return Ok(false) };
        let nonce = gcm.nonce();
        let (length, front) = front.split_first_chunk_mut::<LENGTH>().ok_or(BAD_PACKET)?;
        gcm.key
            .seal_in_place_scatter(nonce, Aad::from(*length), front, rest, room)
            .map_err(|_| BAD_PACKET)?;
        Ok(true)
    }
}
