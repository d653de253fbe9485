//! The weights that describe a Huffman code (RFC 8878 section 4.2.1).

use super::backward::Backward;
use super::fse::Counts;
use crate::fault::Fault;
use crate::input::PAD;

/// A weight is at most this: codes have at most 11 bits.
pub(super) const MAX_BITS: u32 = 11;

/// Weights of the symbols 0 to `used` - 1.
pub(super) struct Weights {
    list: [u8; 256],
    used: usize,
    /// Bits of the longest code.
    pub(super) bits: u32,
}

impl Weights {
    pub(super) fn list(&self) -> &[u8] {
        self.list.get(..self.used).unwrap_or_default()
    }

    /// Reads the description at the beginning of `data[at..end]`, and says where the rest begins.
    pub(super) fn parse(data: &[u8], at: usize, end: usize) -> Result<(Weights, usize), Fault> {
        let body = data.get(at..end).unwrap_or_default();
        let (first, rest) = body.split_first().ok_or(Fault::Literals)?;
        let first = usize::from(*first);
        let mut weights = Weights { list: [0; 256], used: 0, bits: 0 };
        let length = if first >= 128 {
            let count = first - 127;
            let packed = rest.get(..count.div_ceil(2)).ok_or(Fault::Literals)?;
            for (number, byte) in packed.iter().enumerate() {
                for (number, weight) in [(2 * number, byte >> 4), (2 * number + 1, byte & 15)] {
                    if number < count {
                        weights.push(weight)?;
                    }
                }
            }
            packed.len()
        } else {
            weights.compressed(rest.get(..first).ok_or(Fault::Literals)?)?;
            first
        };
        weights.complete()?;
        Ok((weights, at + 1 + length))
    }

    fn push(&mut self, weight: u8) -> Result<(), Fault> {
        // The last of 256 symbols is never written, it follows from the others.
        *self.list.get_mut(..255).and_then(|l| l.get_mut(self.used)).ok_or(Fault::Code)? = weight;
        self.used += 1;
        Ok(())
    }

    /// Two states of one table take turns (section 4.2.1.2), until the bits are used up.
    fn compressed(&mut self, data: &[u8]) -> Result<(), Fault> {
        let (counts, length) = Counts::parse(data, 6, 256)?;
        let mut table = [(0u8, 0u8, 0u16); 64];
        counts.table(|number, symbol, bits, next| {
            if let Some(place) = table.get_mut(number) {
                *place = (symbol, bits, next);
            }
        })?;
        let stream = data.get(length..).ok_or(Fault::Code)?;
        // Zeros before the beginning: the last states are read from fewer bits than they want.
        let mut padded = [0; PAD + 128];
        let end = PAD + stream.len();
        padded.get_mut(PAD..end).ok_or(Fault::Code)?.copy_from_slice(stream);
        let mut bits = Backward::new(&padded, PAD, end).ok_or(Fault::Code)?;
        let mut read = |count: u32| {
            bits.refill();
            (bits.read(count) & 63) as usize
        };
        let mut states = [read(counts.log), read(counts.log)];
        if bits.left() < 0 {
            return Err(Fault::Code);
        }
        loop {
            let [now, other] = states;
            let (symbol, count, next) = *table.get(now).ok_or(Fault::Code)?;
            self.push(symbol)?;
            bits.refill().ok_or(Fault::Code)?;
            let step = bits.read(u32::from(count));
            if bits.left() < 0 {
                return self.push(table.get(other).ok_or(Fault::Code)?.0);
            }
            states = [other, usize::from(next) + (step & 63) as usize];
        }
    }

    /// Gives the last symbol the weight that completes the code.
    fn complete(&mut self) -> Result<(), Fault> {
        let mut sum = 0u32;
        for weight in self.list() {
            if u32::from(*weight) > MAX_BITS {
                return Err(Fault::Code);
            }
            sum += 1 << weight >> 1;
        }
        self.bits = sum.checked_ilog2().ok_or(Fault::Code)? + 1;
        let left = (1 << self.bits) - sum;
        if self.bits > MAX_BITS || !left.is_power_of_two() {
            return Err(Fault::Code);
        }
        let last = (left.ilog2() + 1) & 15;
        *self.list.get_mut(self.used).ok_or(Fault::Code)? = last as u8;
        self.used += 1;
        // Symbols of the longest code come in pairs.
        let longest = self.list().iter().filter(|w| **w == 1).count();
        if longest < 2 || longest % 2 == 1 { Err(Fault::Code) } else { Ok(()) }
    }
}
