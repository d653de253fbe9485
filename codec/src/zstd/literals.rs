//! The first part of a compressed block (RFC 8878 section 3.1.1.3.1).

use super::MAX_BLOCK;
use super::huffman::Huffman;
use super::weights::Weights;
use crate::bits::SLOP;
use crate::fault::Fault;

/// Literals of a block. After `length` bytes at `at` another [`SLOP`] are there to be read.
pub(super) struct Literals<'a> {
    pub(super) buf: &'a [u8],
    pub(super) at: usize,
    pub(super) length: usize,
}

/// What literals are decoded with and into.
pub(super) struct Decoder {
    code: Box<Huffman>,
    buf: Vec<u8>,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Decoder { code: Box::new(Huffman::new()), buf: vec![0; MAX_BLOCK + SLOP] }
    }

    /// Forgets the code of the frame before.
    pub(super) fn reset(&mut self) {
        self.code.loaded = false;
    }

    /// The literals in the block `data[at..end]`, at most `most`, and where its sequences begin.
    pub(super) fn parse<'a>(
        &'a mut self,
        data: &'a [u8],
        at: usize,
        end: usize,
        most: usize,
    ) -> Result<(Literals<'a>, usize), Fault> {
        let block = data.get(at..end).unwrap_or_default();
        let first = *block.first().ok_or(Fault::Literals)?;
        // Five bytes of which the header uses some; behind the end of the block they are noise.
        let head = data.get(at..).and_then(|d| d.first_chunk::<5>()).ok_or(Fault::Literals)?;
        let [a, b, c, d, e] = head.map(usize::from);
        let format = first >> 2 & 3;
        if first & 2 == 0 {
            let (header, length) = match format {
                0 | 2 => (1, a >> 3),
                1 => (2, a >> 4 | b << 4),
                _ => (3, a >> 4 | b << 4 | c << 12),
            };
            return self.plain(data, (at + header, end), length.min(most + 1), first & 1 == 1, most);
        }
        let (header, length, packed) = match format {
            0 | 1 => (3, a >> 4 | (b & 0x3f) << 4, b >> 6 | c << 2),
            2 => (4, a >> 4 | b << 4 | (c & 3) << 12, c >> 2 | d << 6),
            _ => (5, a >> 4 | b << 4 | (c & 0x3f) << 12, c >> 6 | d << 2 | e << 10),
        };
        let (start, end_here) = (at + header, at + header + packed);
        if length > most || end_here > end {
            return Err(Fault::Literals);
        }
        let mut streams = start;
        if first & 1 == 0 {
            let (weights, rest) = Weights::parse(data, start, end_here)?;
            self.code.load(&weights);
            streams = rest;
        } else if !self.code.loaded {
            return Err(Fault::Code);
        }
        let out = self.buf.get_mut(..length).ok_or(Fault::Literals)?;
        match format {
            0 => self.code.one_stream(data, streams, end_here, out)?,
            _ => self.code.four_streams(data, streams, end_here, out)?,
        }
        Ok((Literals { buf: &self.buf, at: 0, length }, end_here))
    }

    /// Literals as they are, or one that is repeated.
    fn plain<'a>(
        &'a mut self,
        data: &'a [u8],
        (at, end): (usize, usize),
        length: usize,
        repeated: bool,
        most: usize,
    ) -> Result<(Literals<'a>, usize), Fault> {
        let rest = at + if repeated { 1 } else { length };
        if length > most || rest > end {
            return Err(Fault::Literals);
        }
        if !repeated {
            return Ok((Literals { buf: data, at, length }, rest));
        }
        let byte = *data.get(at).ok_or(Fault::Literals)?;
        self.buf.get_mut(..length).ok_or(Fault::Literals)?.fill(byte);
        Ok((Literals { buf: &self.buf, at: 0, length }, rest))
    }
}
