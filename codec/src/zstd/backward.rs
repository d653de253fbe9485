//! Bits of a stream that is written forwards and read backwards (RFC 8878 section 4.1).

use crate::bits::load8;

/// The unread bits stand at the top of `bits`, the next one highest.
#[derive(Clone, Copy)]
pub(super) struct Backward<'a> {
    data: &'a [u8],
    /// Where the eight bytes of `bits` were loaded. Never before the data: there is padding in front of it.
    at: usize,
    start: usize,
    pub(super) bits: u64,
    used: u32,
}

impl<'a> Backward<'a> {
    /// The stream in `data[start..end]`. `None` if it is empty or its last byte has no mark where the bits end.
    pub(super) fn new(data: &'a [u8], start: usize, end: usize) -> Option<Self> {
        let last = *data.get(start..end)?.last()?;
        if last == 0 {
            return None;
        }
        let at = end.checked_sub(8)?;
        let used = last.leading_zeros() + 1;
        Some(Backward { data, at, start, bits: load8(data, at)? << used, used })
    }

    /// Makes at least 57 bits readable, of which those before the beginning are noise. `None` far before it.
    #[inline(always)]
    pub(super) fn refill(&mut self) -> Option<()> {
        self.at = self.at.checked_sub((self.used >> 3) as usize)?;
        self.used &= 7;
        self.bits = load8(self.data, self.at)? << self.used;
        Some(())
    }

    /// The next `count` bits, at most 63.
    #[inline(always)]
    pub(super) fn read(&mut self, count: u32) -> u64 {
        let value = (self.bits >> 1) >> (63 - (count & 63));
        self.drop(count);
        value
    }

    /// Passes over `count` bits.
    #[inline(always)]
    pub(super) fn drop(&mut self, count: u32) {
        self.bits <<= count & 63;
        self.used += count;
    }

    /// Bits that are left; negative when more were read than there are.
    pub(super) fn left(&self) -> i64 {
        let (at, start) = (self.at as i64, self.start as i64);
        (at + 8 - start) * 8 - i64::from(self.used)
    }
}
