//! The loop that most bytes come from: no end of the input or the output is near.

use super::inflate::{Bits, Inflate};
use super::tables::{END, LINK, LITERAL, OTHER, Table};
use super::{LONGEST, Output};
use crate::bits::{SLOP, load8, repeat};
use crate::fault::Fault;
use crate::input::Input;

/// Input that a round may load.
const AHEAD: usize = 16;

impl Bits {
    /// Makes at least 56 bits readable; those above `count` are right, too, but not counted.
    #[inline(always)]
    fn refill(&mut self, data: &[u8], at: &mut usize) -> Option<()> {
        self.bits |= load8(data, *at)? << (self.count & 63);
        *at += ((63 - self.count) >> 3) as usize;
        self.count |= 56;
        Some(())
    }

    /// Uses up what an entry says.
    #[inline(always)]
    fn pass(&mut self, entry: u32) {
        self.bits >>= entry & 31;
        self.count = self.count.wrapping_sub(entry & 31);
    }

    /// The length or distance of an entry, with its extra bits; all are used up.
    #[inline(always)]
    fn take(&mut self, entry: u32) -> usize {
        let whole = self.bits & !(u64::MAX << (entry & 31));
        self.pass(entry);
        (entry >> 16) as usize + ((whole >> (entry >> 8 & 31)) & 0xffff) as usize
    }

    /// The entry behind `entry`, of which the link is used up.
    #[inline(always)]
    fn follow<const N: usize>(&mut self, table: &Table<N>, entry: u32) -> u32 {
        self.pass(entry);
        table.behind(entry, self.bits)
    }
}

impl Inflate {
    /// Goes on until an end comes near (false), or the block has ended (true).
    pub(super) fn fast(&mut self, input: &mut Input, out: &mut Output) -> Result<bool, Fault> {
        let mut bits = self.bits;
        let (mut at, mut to) = (input.at, out.at);
        let data = input.buf.get(..input.end).unwrap_or_default();
        let ended = self.rounds(&mut bits, data, &mut at, out, &mut to)?;
        // Whole bytes go back.
        input.at = at - (bits.count >> 3) as usize;
        bits.count &= 7;
        bits.bits &= (1 << bits.count) - 1;
        self.bits = bits;
        out.at = to;
        Ok(ended)
    }

    #[inline(always)]
    fn rounds(
        &self,
        into: &mut Bits,
        data: &[u8],
        from: &mut usize,
        out: &mut Output,
        into_at: &mut usize,
    ) -> Result<bool, Fault> {
        let (literals, distances) = (&*self.literals, &*self.distances);
        let (mut bits, mut at, mut to) = (*into, *from, *into_at);
        let start = out.start;
        let buf = out.buf.get_mut(..Output::FULL + LONGEST + SLOP).ok_or(Fault::Length)?;
        let mut ended = false;
        while at + AHEAD <= data.len() && to + 3 < Output::FULL {
            bits.refill(data, &mut at).ok_or(Fault::Truncated)?;
            let mut entry = literals.entry((bits.bits & 2047) as usize);
            // Three literals are 33 bits at most, two and a match's length 22 + 20.
            if entry & LITERAL != 0 {
                put(buf, &mut to, entry)?;
                bits.pass(entry);
                entry = literals.entry((bits.bits & 2047) as usize);
                if entry & LITERAL != 0 {
                    put(buf, &mut to, entry)?;
                    bits.pass(entry);
                    entry = literals.entry((bits.bits & 2047) as usize);
                    if entry & LITERAL != 0 {
                        put(buf, &mut to, entry)?;
                        bits.pass(entry);
                        continue;
                    }
                }
            }
            if entry & OTHER != 0 {
                if entry & LINK != 0 {
                    entry = bits.follow(literals, entry);
                }
                if entry & LITERAL != 0 {
                    put(buf, &mut to, entry)?;
                    bits.pass(entry);
                    continue;
                }
                if entry & OTHER != 0 {
                    bits.pass(entry);
                    ended = entry & END != 0;
                    if ended {
                        break;
                    }
                    return Err(Fault::Code);
                }
            }
            let length = bits.take(entry);
            bits.refill(data, &mut at).ok_or(Fault::Truncated)?;
            let mut entry = distances.entry((bits.bits & 255) as usize);
            if entry & OTHER != 0 {
                if entry & LINK != 0 {
                    entry = bits.follow(distances, entry);
                }
                if entry & OTHER != 0 {
                    return Err(Fault::Code);
                }
            }
            let distance = bits.take(entry);
            if distance > to - start {
                return Err(Fault::Distance);
            }
            repeat(buf, to, distance, length).ok_or(Fault::Distance)?;
            to += length;
        }
        (*into, *from, *into_at) = (bits, at, to);
        Ok(ended)
    }
}

#[inline(always)]
fn put(buf: &mut [u8], to: &mut usize, entry: u32) -> Result<(), Fault> {
    *buf.get_mut(*to).ok_or(Fault::Length)? = (entry >> 16 & 255) as u8;
    *to += 1;
    Ok(())
}
