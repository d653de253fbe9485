//! The decompressed data that may still be referred to, and the block that was made last.

use crate::bits::{SLOP, copy, repeat};
use crate::fault::Fault;

/// Blocks are laid one behind the other; when the next one might not fit, it begins at the front again. What it
/// overwrites there is out of the window by then, so every match is in one piece, or in two at the seam.
pub(super) struct Window {
    pub(super) buf: Vec<u8>,
    /// Where the next byte goes.
    pub(super) at: usize,
    /// Where the data ended that were not yet overwritten when the front was begun anew; 0: never.
    seam: usize,
    /// Furthest distance that may be referred to.
    size: usize,
    /// Longest block.
    block: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        Window { buf: Vec::new(), at: 0, seam: 0, size: 0, block: 0 }
    }

    /// Empties it for a frame with matches over at most `size` bytes, blocks of at most `block`, and `content` bytes in
    /// all if that is known. Memory is taken by use: fresh pages are zero without being written.
    pub(super) fn reset(&mut self, size: usize, block: usize, content: Option<usize>) {
        let ring = size + block.max(1 << 16) + 2 * SLOP;
        let room = content.map_or(ring, |content| ring.min(content + block + SLOP));
        if self.buf.len() < room {
            self.buf = Vec::new();
            self.buf = vec![0; room];
        }
        *self = Window { buf: std::mem::take(&mut self.buf), at: 0, seam: 0, size, block };
    }

    /// Makes room for a block. What was made before must have been taken.
    pub(super) fn begin(&mut self) {
        if self.buf.len() - self.at < self.block + SLOP {
            self.seam = self.at;
            self.at = 0;
        }
    }

    /// A block of one byte.
    pub(super) fn fill(&mut self, byte: u8, length: usize) -> Result<(), Fault> {
        self.buf.get_mut(self.at..self.at + length).ok_or(Fault::Block)?.fill(byte);
        self.at += length;
        Ok(())
    }

    /// A block of these bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.buf.get_mut(self.at..self.at + bytes.len()).ok_or(Fault::Block)?.copy_from_slice(bytes);
        self.at += bytes.len();
        Ok(())
    }

    pub(super) fn writer(&mut self) -> Writer<'_> {
        let end = self.at + self.block;
        Writer { buf: &mut self.buf, at: self.at, end, seam: self.seam, size: self.size }
    }
}

/// A block in the making.
pub(super) struct Writer<'a> {
    buf: &'a mut [u8],
    pub(super) at: usize,
    end: usize,
    seam: usize,
    size: usize,
}

impl Writer<'_> {
    /// Literals, then a match. The literals have [`SLOP`] readable bytes behind them.
    #[inline(always)]
    pub(super) fn sequence(
        &mut self,
        (literals, from, count): (&[u8], usize, usize),
        distance: usize,
        length: usize,
    ) -> Result<(), Fault> {
        let middle = self.at + count;
        let next = middle + length;
        if next > self.end {
            return Err(Fault::Length);
        }
        self.literals(literals, from, count).ok_or(Fault::Literals)?;
        if distance <= middle && distance <= self.size {
            repeat(self.buf, middle, distance, length).ok_or(Fault::Distance)?;
        } else {
            self.over_the_seam(middle, distance, length).ok_or(Fault::Distance)?;
        }
        self.at = next;
        Ok(())
    }

    #[inline(always)]
    fn literals(&mut self, literals: &[u8], from: usize, count: usize) -> Option<()> {
        let chunk: [u8; 16] = *literals.get(from..)?.first_chunk()?;
        *self.buf.get_mut(self.at..)?.first_chunk_mut()? = chunk;
        if count > 16 {
            let rest = literals.get(from + 16..from + count)?;
            self.buf.get_mut(self.at + 16..self.at + count)?.copy_from_slice(rest);
        }
        Some(())
    }

    /// A match that begins in what was written before the front was begun anew.
    #[cold]
    fn over_the_seam(&mut self, at: usize, distance: usize, length: usize) -> Option<()> {
        if distance > self.size {
            return None;
        }
        let behind = distance.checked_sub(at)?;
        let from = self.seam.checked_sub(behind)?;
        let first = behind.min(length);
        // The source lies ahead of what is written, as the seam is more than a window from the front.
        if from <= at {
            return None;
        }
        self.buf.copy_within(from..from + first, at);
        for done in first..length {
            copy::<1>(self.buf, done - first, at + done)?;
        }
        Some(())
    }

    /// What is left of the literals ends the block.
    pub(super) fn last(&mut self, literals: &[u8]) -> Result<(), Fault> {
        let next = self.at + literals.len();
        if next > self.end {
            return Err(Fault::Length);
        }
        self.buf.get_mut(self.at..next).ok_or(Fault::Length)?.copy_from_slice(literals);
        self.at = next;
        Ok(())
    }
}
