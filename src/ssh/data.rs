//! Bytes that came in a packet, and what they lie in front of.

use std::ops::{Deref, Range};

use bytes::{Buf, Bytes};

/// Data of a channel. What lay behind it in its packet (padding, an integrity tag, or more of the same data)
/// is kept with it, unseen: where the data is passed on, it is sealed together with the bytes behind it as
/// its padding, straight from the buffer that it was read into.
#[derive(Clone)]
pub struct Data {
    /// The data and what lies behind it.
    bytes: Bytes,
    length: usize,
    /// Which buffer of its connection it lies in; data that shares one costs no more memory than one piece of it.
    buffer: u64,
}

impl Data {
    /// The part of a packet that lies in `range`. A range that goes past the end gives what there is.
    pub(super) fn of(packet: &Bytes, range: Range<usize>, buffer: u64) -> Self {
        let start = range.start.min(packet.len());
        let end = range.end.clamp(start, packet.len());
        Self { bytes: packet.slice(start..), length: end - start, buffer }
    }

    /// A part of it, with all that lies behind that part.
    pub(super) fn part(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.length);
        Self::of(&self.bytes, range.start.min(end)..end, self.buffer)
    }

    /// The data, and behind it what lies there.
    pub(super) fn with_tail(&self) -> &[u8] {
        &self.bytes
    }

    /// Which of its connection's buffers it lies in.
    pub(super) fn buffer(&self) -> u64 {
        self.buffer
    }

    /// The data alone.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        self.bytes.truncate(self.length);
        self.bytes
    }

    /// Passes over the first `count` bytes.
    pub(super) fn advance(&mut self, count: usize) {
        let count = count.min(self.length);
        self.bytes.advance(count);
        self.length -= count;
    }
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl From<Bytes> for Data {
    fn from(bytes: Bytes) -> Self {
        Self { length: bytes.len(), bytes, buffer: 0 }
    }
}

impl Default for Data {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&**self, f)
    }
}

impl PartialEq for Data {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Data {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_is_kept_and_not_shown() {
        let packet = Bytes::from_static(b"headdatapad");
        let mut data = Data::of(&packet, 0..8, 1).part(4..8);
        assert_eq!((&*data, data.with_tail()), (&b"data"[..], &b"datapad"[..]));
        assert_eq!(data, Data::from(Bytes::from_static(b"data")));
        data.advance(2);
        assert_eq!((&*data, data.with_tail()), (&b"ta"[..], &b"tapad"[..]));
        assert_eq!(data.into_bytes(), b"ta"[..]);
    }

    #[test]
    fn nothing_past_the_end_is_reached() {
        let packet = Bytes::from_static(b"datapad");
        let mut data = Data::of(&packet, 0..4, 1);
        assert_eq!(&*data.part(2..40), b"ta");
        assert!(data.part(9..40).is_empty());
        assert!(Data::of(&packet, 20..30, 1).is_empty());
        data.advance(100);
        assert!(data.is_empty());
    }
}
