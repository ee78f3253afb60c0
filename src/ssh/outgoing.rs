//! What waits to be written to a stream: blocks that are filled at one end, written at the other, and used again.
//!
//! What always holds here: nothing that waits is ever moved; what was written is given up or used again block by
//! block, so a stream that is always behind by a little holds little, and not all that it ever carried.

use std::collections::VecDeque;

/// A block's size in bytes: what waits under usual load fits into one, and so into one write.
const BLOCK: usize = 320 * 1024;

/// Bytes on their way to a stream.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The first is being written, the last is being filled.
    blocks: VecDeque<Block>,
    spare: Option<Block>,
    waiting: usize,
}

/// What waits lies between `written` and `end`; what is behind `end` is left from earlier use, so that room
/// need not be cleared each time.
#[derive(Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    written: usize,
    end: usize,
}

impl Outgoing {
    /// Room for `size` bytes. They wait to be written once [`Self::fill`] says that they are there.
    pub(super) fn room(&mut self, size: usize) -> &mut [u8] {
        let fits = |block: &Block| block.end == 0 || block.end + size <= BLOCK;
        if !self.blocks.back().is_some_and(fits) {
            self.blocks.push_back(self.spare.take().unwrap_or_default());
        }
        self.blocks.back_mut().map(|block| block.room(size)).unwrap_or_default()
    }

    /// The last [`Self::room`] was filled with `size` bytes.
    pub(super) fn fill(&mut self, size: usize) {
        if let Some(block) = self.blocks.back_mut() {
            block.end += size;
            self.waiting += size;
        }
    }

    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.waiting
    }

    /// What to write next; there may be more behind it.
    pub(super) fn front(&self) -> &[u8] {
        let front = self.blocks.front();
        front.and_then(|block| block.bytes.get(block.written..block.end)).unwrap_or_default()
    }

    /// So many bytes of [`Self::front`] were written.
    pub(super) fn consume(&mut self, count: usize) {
        let Some(block) = self.blocks.front_mut() else { return };
        block.written += count;
        self.waiting = self.waiting.saturating_sub(count);
        if block.written < block.end {
            return;
        }
        (block.written, block.end) = (0, 0);
        self.spare = self.blocks.pop_front().filter(|block| block.bytes.capacity() <= BLOCK);
    }

    /// Gives back what is not in use.
    pub(super) fn shrink(&mut self) {
        self.spare = None;
    }
}

impl Block {
    fn room(&mut self, size: usize) -> &mut [u8] {
        let end = self.end + size;
        if self.bytes.len() < end {
            let capacity = (self.bytes.capacity() * 2).min(BLOCK).max(end);
            self.bytes.reserve_exact(capacity - self.bytes.len());
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(self.end..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(out: &mut Outgoing, bytes: &[u8]) {
        out.room(bytes.len()).copy_from_slice(bytes);
        out.fill(bytes.len());
    }

    #[test]
    fn everything_comes_out_in_order_whatever_the_pieces() {
        let mut out = Outgoing::default();
        let (mut sent, mut got) = (Vec::new(), Vec::new());
        for round in 0..400_usize {
            let piece: Vec<u8> = (0..=u8::MAX).cycle().skip(round % 256).take(round * 97 % 70_000).collect();
            put(&mut out, &piece);
            sent.extend_from_slice(&piece);
            let count = out.front().len().min(round * 131 % 90_000);
            got.extend_from_slice(&out.front()[..count]);
            out.consume(count);
            assert_eq!(out.len(), sent.len() - got.len());
        }
        while !out.front().is_empty() {
            got.extend_from_slice(out.front());
            out.consume(out.front().len());
        }
        assert!(sent == got && out.len() == 0);
    }

    #[test]
    fn a_stream_that_is_always_behind_does_not_grow() {
        let mut out = Outgoing::default();
        put(&mut out, &[1; 100_000]);
        for _ in 0..1000 {
            put(&mut out, &[2; 30_000]);
            let count = out.front().len().min(30_000);
            out.consume(count);
            put(&mut out, &vec![3; 30_000 - count]);
            out.consume(out.front().len().min(30_000 - count));
            let held: usize = out.blocks.iter().chain(&out.spare).map(|block| block.bytes.capacity()).sum();
            assert!(held <= 3 * BLOCK, "{held} bytes are held for {}", out.len());
        }
    }

    #[test]
    fn a_piece_larger_than_a_block_is_not_kept() {
        let mut out = Outgoing::default();
        put(&mut out, &vec![1; 2 * BLOCK]);
        out.consume(out.front().len());
        assert!(out.spare.is_none());
        put(&mut out, b"small");
        out.consume(5);
        assert!(out.spare.is_some());
        out.shrink();
        assert!(out.spare.is_none() && out.front().is_empty());
    }
}
