//! Tables of finite state entropy codes (RFC 8878 section 4.1.1).

use crate::fault::Fault;

/// More symbols than any code here has: 53 match length codes, 256 weights.
const SYMBOLS: usize = 256;

/// How often each symbol stands in a table; -1: once, and at its end.
pub(super) struct Counts {
    list: [i16; SYMBOLS],
    used: usize,
    /// The table has two to this power places.
    pub(super) log: u32,
}

impl Counts {
    /// Of a predefined distribution.
    pub(super) fn known(list: &[i8], log: u32) -> Counts {
        let mut counts = Counts { list: [0; SYMBOLS], used: list.len(), log };
        for (to, from) in counts.list.iter_mut().zip(list) {
            *to = i16::from(*from);
        }
        counts
    }

    /// Reads a description (section 4.1.1); also says how many bytes it has.
    pub(super) fn parse(data: &[u8], max_log: u32, max_symbols: usize) -> Result<(Counts, usize), Fault> {
        let mut bits = Forward { data, at: 0 };
        let log = bits.read(4) + 5;
        if log > max_log {
            return Err(Fault::Code);
        }
        let mut counts = Counts { list: [0; SYMBOLS], used: 0, log };
        let mut left = 1i32 << log;
        while left > 0 {
            // A value is at most left + 1; the lower ones of those that need all bits are written with one less.
            let width = (left + 1).ilog2() + 1;
            let mut value = bits.peek(width);
            let low = value & ((1 << (width - 1)) - 1);
            let short = (1u32 << width) - 1 - left.unsigned_abs().wrapping_add(1);
            if low < short {
                value = low;
                bits.at += width as usize - 1;
            } else {
                if value >= 1 << (width - 1) {
                    value -= short;
                }
                bits.at += width as usize;
            }
            let count = value.cast_signed() - 1;
            left -= count.abs();
            counts.push(i16::try_from(count).map_err(|_| Fault::Code)?, max_symbols)?;
            let mut zeros = if count == 0 { 3 } else { 0 };
            while zeros == 3 {
                zeros = bits.read(2);
                for _ in 0..zeros {
                    counts.push(0, max_symbols)?;
                }
            }
        }
        let bytes = bits.at.div_ceil(8);
        if left != 0 || bytes > data.len() { Err(Fault::Code) } else { Ok((counts, bytes)) }
    }

    fn push(&mut self, count: i16, max_symbols: usize) -> Result<(), Fault> {
        if self.used >= max_symbols {
            return Err(Fault::Code);
        }
        *self.list.get_mut(self.used).ok_or(Fault::Code)? = count;
        self.used += 1;
        Ok(())
    }

    /// Calls `place` with every place of the table: its number, its symbol, how many bits lead on from it, and to
    /// where those are added.
    pub(super) fn table(&self, mut place: impl FnMut(usize, u8, u8, u16)) -> Result<(), Fault> {
        let size = 1usize << self.log;
        let mut symbols = [0u8; 512];
        let mut next = [0u16; SYMBOLS];
        let mut high = size;
        let list = self.list.get(..self.used).unwrap_or_default();
        for ((symbol, count), next) in (0..=255).zip(list).zip(&mut next) {
            if *count == -1 {
                high = high.checked_sub(1).ok_or(Fault::Code)?;
                *symbols.get_mut(high).ok_or(Fault::Code)? = symbol;
            }
            *next = count.unsigned_abs();
        }
        let step = (size >> 1) + (size >> 3) + 3;
        let mut at = 0;
        for (symbol, count) in (0..=255).zip(list) {
            for _ in 0..(*count).max(0) {
                *symbols.get_mut(at).ok_or(Fault::Code)? = symbol;
                at = (at + step) & (size - 1);
                while at >= high {
                    if high == 0 {
                        return Err(Fault::Code);
                    }
                    at = (at + step) & (size - 1);
                }
            }
        }
        for (number, symbol) in symbols.iter().take(size).enumerate() {
            let next = next.get_mut(usize::from(*symbol)).ok_or(Fault::Code)?;
            let bits = self.log - next.checked_ilog2().ok_or(Fault::Code)?;
            let base = (u32::from(*next) << bits) - (1 << self.log);
            *next += 1;
            place(number, *symbol, (bits & 15) as u8, (base & 0xffff) as u16);
        }
        Ok(())
    }
}

/// Bits from the lowest of the first byte on; zeros behind the end.
struct Forward<'a> {
    data: &'a [u8],
    at: usize,
}

impl Forward<'_> {
    /// At most 16 bits.
    fn peek(&self, count: u32) -> u32 {
        let byte = |n: usize| self.data.get(self.at / 8 + n).copied().unwrap_or_default();
        let word = u32::from_le_bytes([byte(0), byte(1), byte(2), 0]);
        word >> (self.at % 8) & ((1 << count) - 1)
    }

    fn read(&mut self, count: u32) -> u32 {
        let value = self.peek(count);
        self.at += count as usize;
        value
    }
}
