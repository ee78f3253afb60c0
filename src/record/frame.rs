//! A recording on the disk: zstd frames one after the other (RFC 8878 §3.1), each whole by itself and with a
//! checksum. Any zstd reads the file; one that was cut off plays to its last whole frame; and a recording that says
//! nothing costs no memory, since all recordings of a thread share one compressor.

use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{self, CParameter};

use super::error::RecordError;

/// The most text in one frame; what claims more is not one of ours.
pub(super) const TEXT_MAX: usize = 4 * 1024 * 1024;
/// The most that a frame takes on the disk.
const FRAME_MAX: usize = TEXT_MAX + TEXT_MAX / 128 + 1024;
/// The fastest level that still finds repetition well.
const LEVEL: i32 = 1;
/// RFC 8878 §3.1.1.
const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Makes frames.
#[derive(Default)]
pub(super) struct Press {
    compressor: Option<Compressor<'static>>,
    frame: Vec<u8>,
}

impl Press {
    /// A text as one frame.
    pub(super) fn frame(&mut self, text: &[u8]) -> Result<&[u8], RecordError> {
        if self.compressor.is_none() {
            self.compressor = Some(compressor().map_err(RecordError::Compression)?);
        }
        let Some(compressor) = &mut self.compressor else { return Ok(&[]) };
        self.frame.clear();
        self.frame.reserve(zstd_safe::compress_bound(text.len()));
        compressor.compress_to_buffer(text, &mut self.frame).map_err(RecordError::Compression)?;
        Ok(&self.frame)
    }
}

impl std::fmt::Debug for Press {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Press").finish_non_exhaustive()
    }
}

fn compressor() -> io::Result<Compressor<'static>> {
    let mut compressor = Compressor::new(LEVEL)?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.set_parameter(CParameter::ContentSizeFlag(true))?;
    Ok(compressor)
}

/// What is at the beginning of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    /// A whole frame of so many bytes.
    Whole(usize),
    /// The beginning of one.
    Begun,
    /// Nothing that we wrote.
    Foreign,
}

/// Looks for a whole frame at the beginning of `bytes`.
pub(super) fn front(bytes: &[u8]) -> Front {
    let head = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if !MAGIC.starts_with(head) {
        return Front::Foreign;
    }
    match zstd_safe::find_frame_compressed_size(bytes) {
        Ok(size) => Front::Whole(size),
        Err(_) if bytes.len() < FRAME_MAX => Front::Begun,
        Err(_) => Front::Foreign,
    }
}

/// Reads frames.
pub(super) struct Unpress {
    decompressor: Decompressor<'static>,
}

impl Unpress {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { decompressor: Decompressor::new()? })
    }

    /// The text of one whole frame. An error where it is damaged, or not one of ours.
    pub(super) fn text(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        let foreign = || io::Error::from(io::ErrorKind::InvalidData);
        let size = zstd_safe::get_frame_content_size(frame).ok().flatten().ok_or_else(foreign)?;
        let size = usize::try_from(size).ok().filter(|size| *size <= TEXT_MAX).ok_or_else(foreign)?;
        self.decompressor.decompress(frame, size)
    }
}

impl std::fmt::Debug for Unpress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpress").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_whole_begun_or_foreign() {
        let mut press = Press::default();
        let first = press.frame(b"one\n").expect("compressed").to_vec();
        let both = [first.as_slice(), press.frame(&[b'x'; 100_000]).expect("compressed")].concat();
        assert_eq!(front(&both), Front::Whole(first.len()));
        for cut in 0..first.len() {
            assert_eq!(front(&both[..cut]), Front::Begun, "{cut}");
        }
        assert_eq!(front(b"PK\x03\x04"), Front::Foreign);
        let mut unpress = Unpress::new().expect("made");
        assert_eq!(unpress.text(&both[..first.len()]).expect("whole"), b"one\n");
        assert_eq!(unpress.text(&both[first.len()..]).expect("whole"), [b'x'; 100_000]);
    }

    #[test]
    fn what_is_damaged_or_claims_too_much_is_refused() {
        let mut press = Press::default();
        let text: Vec<u8> = (0..200_u8).collect();
        let frame = press.frame(&text).expect("compressed").to_vec();
        let mut unpress = Unpress::new().expect("made");
        let last = frame.len() - 1;
        for at in [last, last / 2] {
            let mut damaged = frame.clone();
            damaged[at] ^= 1;
            assert!(unpress.text(&damaged).is_err(), "{at}");
        }
        // 1 GiB of nothing in a few KiB.
        let bomb = zstd::bulk::compress(&vec![0; TEXT_MAX + 1], 1).expect("compressed");
        assert!(unpress.text(&bomb).is_err());
    }
}
