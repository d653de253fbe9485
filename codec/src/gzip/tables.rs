//! Tables of the Huffman codes in a deflate block (RFC 1951 section 3.2).

use crate::fault::Fault;

/// Longest code.
const MAX_BITS: usize = 15;

/// Set in an entry that is a literal; bits 16..24 are the byte.
pub(super) const LITERAL: u32 = 1 << 31;

/// Set in an entry that is neither a literal nor a length or distance: one of the next three.
pub(super) const OTHER: u32 = 1 << 15;

/// With [`OTHER`]: the end of the block.
pub(super) const END: u32 = 1 << 14;

/// With [`OTHER`]: bits 16..32 say where the entries of the codes with this beginning are, bits 8..12 how many bits
/// choose among them. Without this and [`END`], no code leads here.
pub(super) const LINK: u32 = 1 << 13;

/// A table of `N` entries, which is a power of two and enough for all codes of its kind.
///
/// An entry has in bits 0..5 how many bits it uses up, extra bits among them; in bits 8..12 how many of those are the
/// code; in bits 16..32 the length or distance that extra bits are added to.
pub(super) struct Table<const N: usize> {
    entries: [u32; N],
    /// Bits that choose an entry in the first part.
    bits: usize,
}

/// What the symbols of an alphabet are: entries without the length of the code.
type Meaning = fn(u32) -> u32;

impl<const N: usize> Table<N> {
    pub(super) fn new(bits: usize) -> Self {
        Table { entries: [OTHER; N], bits }
    }

    #[inline(always)]
    pub(super) fn entry(&self, at: usize) -> u32 {
        match self.entries.get(at & (N - 1)) {
            Some(entry) => *entry,
            None => OTHER,
        }
    }

    /// The entry in the first part that the next bits choose.
    pub(super) fn first(&self, bits: u64) -> u32 {
        self.entry((bits & 0xffff) as usize & ((1 << self.bits) - 1))
    }

    /// The entry behind a [`LINK`], chosen by the next bits.
    #[inline(always)]
    pub(super) fn behind(&self, link: u32, bits: u64) -> u32 {
        let mask = (1u64 << (link >> 8 & 15)) - 1;
        self.entry((link >> 16) as usize + (bits & mask & 0xffff) as usize)
    }

    /// Makes the table from the code lengths of all symbols. An incomplete code is refused, unless `single` allows
    /// one that has no symbol, or a single one of one bit.
    pub(super) fn load(&mut self, lengths: &[u8], meaning: Meaning, single: bool) -> Result<(), Fault> {
        let mut counts = [0u16; MAX_BITS + 1];
        for length in lengths {
            *counts.get_mut(usize::from(*length)).ok_or(Fault::Code)? += 1;
        }
        let mut left = 1i32;
        for count in &counts[1..] {
            left = left * 2 - i32::from(*count);
            if left < 0 {
                return Err(Fault::Code);
            }
        }
        let used = lengths.len() - usize::from(counts[0]);
        if left > 0 && !(single && (used == 0 || (used == 1 && counts[1] == 1))) {
            return Err(Fault::Code);
        }
        if left > 0 {
            self.entries.fill(OTHER);
        }
        self.fill(lengths, &sorted(lengths, &counts), counts, meaning).ok_or(Fault::Code)
    }

    /// The first part doubles in size with each length, so that short codes are repeated by copying.
    fn fill(&mut self, lengths: &[u8], symbols: &[u16], mut counts: [u16; 16], meaning: Meaning) -> Option<()> {
        let (mut code, mut size) = (0u32, 1usize);
        let (mut length_before, mut link, mut end) = (0, usize::MAX, 1 << self.bits);
        let mut shift = 0;
        for symbol in symbols {
            let length = usize::from(*lengths.get(usize::from(*symbol))?);
            code <<= length - length_before;
            length_before = length;
            while size < 1 << length.min(self.bits) {
                self.entries.copy_within(0..size, size);
                size *= 2;
            }
            let entry = meaning(u32::from(*symbol));
            let reversed = (code.reverse_bits() >> (32 - length)) as usize;
            let (at, bits) = if length <= self.bits {
                (reversed, length)
            } else {
                let first = reversed & ((1 << self.bits) - 1);
                if first != link {
                    link = first;
                    shift = deeper(length, self.bits, &counts);
                    *self.entries.get_mut(first)? = self.link(end, shift)?;
                    end += 1 << shift;
                }
                let base = end - (1 << shift);
                (base + (reversed >> self.bits), length - self.bits)
            };
            *counts.get_mut(length)? -= 1;
            // The entry counts its own bits, and those of the extra bits come with it.
            let entry = entry + (u32::try_from(bits).ok()? * 0x101);
            match length <= self.bits {
                true => *self.entries.get_mut(at)? = entry,
                false => {
                    for at in (at..end).step_by(1 << bits) {
                        *self.entries.get_mut(at)? = entry;
                    }
                }
            }
            code += 1;
        }
        while size < 1 << self.bits {
            self.entries.copy_within(0..size, size);
            size *= 2;
        }
        Some(())
    }

    fn link(&self, to: usize, bits: usize) -> Option<u32> {
        let (to, bits, own) = (u32::try_from(to).ok()?, u32::try_from(bits).ok()?, u32::try_from(self.bits).ok()?);
        Some(OTHER | LINK | to << 16 | bits << 8 | own)
    }
}

/// Bits of the part of a table that holds the codes from `length` on with the same beginning: until those fill it.
fn deeper(length: usize, bits: usize, counts: &[u16; 16]) -> usize {
    let mut shift = length - bits;
    let mut left = 1usize << shift;
    while let Some(count) = counts.get(shift + bits) {
        left = left.saturating_sub(usize::from(*count));
        if left == 0 || shift + bits == MAX_BITS {
            break;
        }
        shift += 1;
        left *= 2;
    }
    shift
}

/// The symbols by code length, and by number where that is the same.
fn sorted(lengths: &[u8], counts: &[u16; 16]) -> Vec<u16> {
    let mut places = [0u16; 16];
    let mut sum = 0;
    for (place, count) in places.iter_mut().zip(counts).skip(1) {
        *place = sum;
        sum += count;
    }
    let mut symbols = vec![0; usize::from(sum)];
    for (symbol, length) in (0..).zip(lengths).filter(|(_, length)| **length > 0) {
        let Some(place) = places.get_mut(usize::from(*length)) else { continue };
        if let Some(to) = symbols.get_mut(usize::from(*place)) {
            *to = symbol;
        }
        *place += 1;
    }
    symbols
}

/// Literals, the end, and lengths (section 3.2.5).
pub(super) fn literal_or_length(symbol: u32) -> u32 {
    let extra = match symbol {
        0..=255 => return LITERAL | (symbol & 255) << 16,
        256 => return OTHER | END,
        257..=264 | 285 => 0,
        265..=284 => (symbol - 261) / 4,
        _ => return OTHER,
    };
    let base = match symbol {
        257..=264 => symbol - 254,
        285 => 258,
        _ => 3 + ((4 + (symbol - 261) % 4) << extra),
    };
    base << 16 | extra
}

/// Distances (section 3.2.5).
pub(super) fn distance(symbol: u32) -> u32 {
    let extra = match symbol {
        0..=3 => 0,
        4..=29 => symbol / 2 - 1,
        _ => return OTHER,
    };
    let base = if symbol < 4 { symbol + 1 } else { 1 + ((2 + symbol % 2) << extra) };
    base << 16 | extra
}

/// Code lengths themselves (section 3.2.7).
pub(super) fn plain(symbol: u32) -> u32 {
    (symbol & 31) << 16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of the tables in RFC 1951 section 3.2.5.
    #[test]
    fn meanings() {
        let pair = |entry: u32| (entry >> 16, entry & 31);
        let lengths = [(257, (3, 0)), (264, (10, 0)), (265, (11, 1)), (268, (17, 1)), (269, (19, 2)), (284, (227, 5))];
        for (symbol, meaning) in lengths.into_iter().chain([(285, (258, 0)), (281, (131, 5)), (277, (67, 4))]) {
            assert_eq!(pair(literal_or_length(symbol)), meaning, "{symbol}");
        }
        for (symbol, meaning) in [(0, (1, 0)), (3, (4, 0)), (4, (5, 1)), (7, (13, 2)), (29, (24577, 13))] {
            assert_eq!(pair(distance(symbol)), meaning, "{symbol}");
        }
        assert_eq!((literal_or_length(286), distance(30)), (OTHER, OTHER));
    }

    #[test]
    fn codes_that_cannot_be() {
        let load = |lengths: &[u8], single| Table::<512>::new(8).load(lengths, distance, single);
        assert_eq!(load(&[1, 1], true), Ok(()));
        assert_eq!(load(&[1, 1, 1], true), Err(Fault::Code));
        assert_eq!(load(&[1, 2], true), Err(Fault::Code));
        assert_eq!((load(&[1, 0], true), load(&[1, 0], false)), (Ok(()), Err(Fault::Code)));
        assert_eq!((load(&[0, 0], true), load(&[0, 0], false)), (Ok(()), Err(Fault::Code)));
        assert_eq!(load(&[2, 0], true), Err(Fault::Code));
    }
}
