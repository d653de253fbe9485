//! Huffman coded literals (RFC 8878 section 4.2).

use super::backward::Backward;
use super::weights::{MAX_BITS, Weights};
use crate::fault::Fault;

const PLACES: usize = 1 << MAX_BITS;

/// Literals from which on a table of pairs is worth making.
const PAIRS_FROM: usize = 4096;

/// A code in a table indexed by the next 11 bits.
pub(super) struct Huffman {
    /// Low byte: bits of the code. High byte: the literal.
    single: [u16; PLACES],
    /// Low byte: bits of one or two codes. Next byte: how many those are. High half: their literals, the first lowest.
    pairs: [u32; PLACES],
    paired: bool,
    /// Whether a block has brought a code.
    pub(super) loaded: bool,
}

impl Huffman {
    pub(super) fn new() -> Self {
        Huffman { single: [0; PLACES], pairs: [0; PLACES], paired: false, loaded: false }
    }

    /// Makes the table (section 4.2.1.3): codes ascend with weight, and with the symbol where weights are equal.
    pub(super) fn load(&mut self, weights: &Weights) {
        let mut at = 0;
        for wanted in 1..=weights.bits {
            let places = 1usize << (wanted - 1) << (MAX_BITS - weights.bits);
            let bits = ((weights.bits + 1 - wanted) & 15) as u16;
            for (symbol, _) in (0..=255u16).zip(weights.list()).filter(|(_, w)| u32::from(**w) == wanted) {
                if let Some(places) = self.single.get_mut(at..at + places) {
                    places.fill(symbol << 8 | bits);
                }
                at += places;
            }
        }
        self.loaded = true;
        self.paired = false;
    }

    /// A second code that the rest of the 11 bits holds whole is looked up with the first.
    fn pair(&mut self) {
        for (index, pair) in self.pairs.iter_mut().enumerate() {
            let first = u32::from(self.single.get(index).copied().unwrap_or_default());
            let bits = first & 255;
            let rest = index << bits & (PLACES - 1);
            let second = u32::from(self.single.get(rest).copied().unwrap_or_default());
            let both = bits + (second & 255);
            *pair = if both <= MAX_BITS {
                both | 2 << 8 | first >> 8 << 16 | second >> 8 << 24
            } else {
                bits | 1 << 8 | first >> 8 << 16
            };
        }
        self.paired = true;
    }

    #[inline(always)]
    fn one(&self, bits: &mut Backward<'_>) -> u8 {
        let entry = self.single.get((bits.bits >> (64 - MAX_BITS)) as usize).copied().unwrap_or_default();
        bits.drop(u32::from(entry & 255));
        (entry >> 8) as u8
    }

    #[inline(always)]
    fn two(&self, bits: &mut Backward<'_>) -> ([u8; 2], usize) {
        let entry = self.pairs.get((bits.bits >> (64 - MAX_BITS)) as usize).copied().unwrap_or_default();
        bits.drop(entry & 255);
        let [_, count, first, second] = entry.to_le_bytes();
        ([first, second], usize::from(count))
    }

    /// One stream, `data[start..end]`.
    pub(super) fn one_stream(&self, data: &[u8], start: usize, end: usize, out: &mut [u8]) -> Result<(), Fault> {
        let bits = Backward::new(data, start, end).ok_or(Fault::Literals)?;
        self.rest(bits, out).ok_or(Fault::Literals)
    }

    /// Four streams, of which a table at the beginning of `data[start..end]` tells the lengths.
    pub(super) fn four_streams(&mut self, data: &[u8], start: usize, end: usize, out: &mut [u8]) -> Result<(), Fault> {
        if out.len() >= PAIRS_FROM && !self.paired {
            self.pair();
        }
        self.four(data, start, end, out).ok_or(Fault::Literals)
    }

    fn four(&self, data: &[u8], start: usize, end: usize, out: &mut [u8]) -> Option<()> {
        let [a0, a1, b0, b1, c0, c1] = *data.get(start..end)?.first_chunk()?;
        let length = |low, high| usize::from(u16::from_le_bytes([low, high]));
        let a = start + 6;
        let b = a + length(a0, a1);
        let c = b + length(b0, b1);
        let d = c + length(c0, c1);
        let stream = |from, to| if to <= end { Backward::new(data, from, to) } else { None };
        let mut streams = [stream(a, b)?, stream(b, c)?, stream(c, d)?, stream(d, end)?];
        let part = out.len().div_ceil(4);
        let (out_a, rest) = out.split_at_mut_checked(part)?;
        let (out_b, rest) = rest.split_at_mut_checked(part)?;
        let (out_c, out_d) = rest.split_at_mut_checked(part)?;
        let mut outs = [out_a, out_b, out_c, out_d];
        let done =
            if self.paired { self.by_two(&mut streams, &mut outs)? } else { self.by_one(&mut streams, &mut outs)? };
        for ((bits, out), done) in streams.into_iter().zip(outs).zip(done) {
            self.rest(bits, out.get_mut(done..)?)?;
        }
        Some(())
    }

    /// Five literals of each stream at a time: those are at most 55 of the 57 bits that are there after a refill.
    fn by_one(&self, streams: &mut [Backward<'_>; 4], outs: &mut [&mut [u8]; 4]) -> Option<[usize; 4]> {
        let [mut a, mut b, mut c, mut d] = *streams;
        let [out_a, out_b, out_c, out_d] = outs;
        let mut done = 0;
        let parts = out_a.chunks_exact_mut(5).zip(out_b.chunks_exact_mut(5));
        let parts = parts.zip(out_c.chunks_exact_mut(5).zip(out_d.chunks_exact_mut(5)));
        for ((out_a, out_b), (out_c, out_d)) in parts {
            a.refill()?;
            b.refill()?;
            c.refill()?;
            d.refill()?;
            let four = out_a.iter_mut().zip(out_b).zip(out_c.iter_mut().zip(out_d));
            for ((out_a, out_b), (out_c, out_d)) in four {
                *out_a = self.one(&mut a);
                *out_b = self.one(&mut b);
                *out_c = self.one(&mut c);
                *out_d = self.one(&mut d);
            }
            done += 5;
        }
        *streams = [a, b, c, d];
        Some([done; 4])
    }

    /// Five lookups of each stream at a time, each of one or two literals.
    fn by_two(&self, streams: &mut [Backward<'_>; 4], outs: &mut [&mut [u8]; 4]) -> Option<[usize; 4]> {
        let [mut a, mut b, mut c, mut d] = *streams;
        let [out_a, out_b, out_c, out_d] = outs;
        let [mut at_a, mut at_b, mut at_c, mut at_d] = [0; 4];
        while let (Some(to_a), Some(to_b), Some(to_c), Some(to_d)) =
            (ten(out_a, at_a), ten(out_b, at_b), ten(out_c, at_c), ten(out_d, at_d))
        {
            a.refill()?;
            b.refill()?;
            c.refill()?;
            d.refill()?;
            let mut n = [0; 4];
            for _ in 0..5 {
                n[0] += self.put(&mut a, to_a, n[0])?;
                n[1] += self.put(&mut b, to_b, n[1])?;
                n[2] += self.put(&mut c, to_c, n[2])?;
                n[3] += self.put(&mut d, to_d, n[3])?;
            }
            at_a += n[0];
            at_b += n[1];
            at_c += n[2];
            at_d += n[3];
        }
        *streams = [a, b, c, d];
        Some([at_a, at_b, at_c, at_d])
    }

    #[inline(always)]
    fn put(&self, bits: &mut Backward<'_>, out: &mut [u8; 10], at: usize) -> Option<usize> {
        let (pair, count) = self.two(bits);
        *out.get_mut(at..)?.first_chunk_mut()? = pair;
        Some(count)
    }

    /// One literal at a time, until `out` is full; the stream must end there.
    fn rest(&self, mut bits: Backward<'_>, out: &mut [u8]) -> Option<()> {
        for chunk in out.chunks_mut(5) {
            bits.refill()?;
            for byte in chunk {
                *byte = self.one(&mut bits);
            }
        }
        (bits.left() == 0).then_some(())
    }
}

fn ten(out: &mut [u8], at: usize) -> Option<&mut [u8; 10]> {
    out.get_mut(at..)?.first_chunk_mut()
}
