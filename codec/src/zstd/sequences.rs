//! The second part of a compressed block (RFC 8878 section 3.1.1.3.2), and both parts put together.

use super::backward::Backward;
use super::codes::{LITERALS, MATCHES, OFFSETS, Place, Table};
use super::literals::Literals;
use super::window::{Window, Writer};
use crate::fault::Fault;

/// What stays from one block of a frame to the next.
pub(super) struct Sequences {
    literals: Box<Table>,
    matches: Box<Table>,
    offsets: Box<Table>,
    /// The last three distances, the last one first.
    recent: [usize; 3],
}

/// Bits that a refill gives for sure, without those that choose the three next states (9 + 9 + 8).
const EXTRA_AT_ONCE: u32 = 57 - 26;

impl Sequences {
    pub(super) fn new() -> Self {
        let table = || Box::new(Table::new());
        Sequences { literals: table(), matches: table(), offsets: table(), recent: [0; 3] }
    }

    /// Begins a frame.
    pub(super) fn reset(&mut self) {
        self.literals.log = None;
        self.matches.log = None;
        self.offsets.log = None;
        self.recent = [1, 4, 8];
    }

    /// Runs the sequences in `data[at..end]`.
    pub(super) fn run(
        &mut self,
        data: &[u8],
        at: usize,
        end: usize,
        literals: &Literals<'_>,
        window: &mut Window,
    ) -> Result<(), Fault> {
        let section = data.get(at..end).unwrap_or_default();
        let (count, rest) = match *section {
            [a @ 0..=127, ref rest @ ..] => (usize::from(a), rest),
            [a @ 128..=254, b, ref rest @ ..] => (usize::from(a - 128) << 8 | usize::from(b), rest),
            [255, a, b, ref rest @ ..] => (usize::from(u16::from_le_bytes([a, b])) + 0x7f00, rest),
            _ => return Err(Fault::Sequences),
        };
        let mut writer = window.writer();
        let mut used = 0;
        if count == 0 && !rest.is_empty() {
            return Err(Fault::Sequences);
        }
        if count > 0 {
            let (modes, rest) = rest.split_first().ok_or(Fault::Sequences)?;
            if modes & 3 != 0 {
                return Err(Fault::Sequences);
            }
            let rest = self.literals.load(&LITERALS, modes >> 6, rest)?;
            let rest = self.offsets.load(&OFFSETS, modes >> 4, rest)?;
            let rest = self.matches.load(&MATCHES, modes >> 2, rest)?;
            let bits = Backward::new(data, end - rest.len(), end).ok_or(Fault::Sequences)?;
            used = self.each(bits, count, literals, &mut writer)?;
        }
        let rest = literals.buf.get(literals.at + used..literals.at + literals.length).ok_or(Fault::Literals)?;
        writer.last(rest)?;
        window.at = writer.at;
        Ok(())
    }

    /// Every sequence is carried out as soon as it is read. Gives the number of literals that were used.
    fn each(
        &mut self,
        mut bits: Backward<'_>,
        count: usize,
        from: &Literals<'_>,
        writer: &mut Writer<'_>,
    ) -> Result<usize, Fault> {
        let (literals, matches, offsets) = (&*self.literals, &*self.matches, &*self.offsets);
        let mut start = |table: &Table| Ok((bits.read(table.log.ok_or(Fault::Code)?) & 511) as usize);
        let (mut literal, mut offset, mut length) = (start(literals)?, start(offsets)?, start(matches)?);
        let mut recent = self.recent;
        let mut left = from.length;
        let mut next = from.at;
        bits.refill().ok_or(Fault::Sequences)?;
        for number in (0..count).rev() {
            let (l, o, m) = (literals.place(literal), offsets.place(offset), matches.place(length));
            let mut extra = |count: u32| (bits.read(count) & 0xffff_ffff) as usize;
            let distance = o.base() as usize + extra(o.extra());
            let many = l.extra() + o.extra() + m.extra() > EXTRA_AT_ONCE;
            if many {
                bits.refill().ok_or(Fault::Sequences)?;
            }
            let mut extra = |count: u32| (bits.read(count) & 0xffff) as usize;
            let bytes = m.base() as usize + extra(m.extra());
            let plain = l.base() as usize + extra(l.extra());
            if many {
                bits.refill().ok_or(Fault::Sequences)?;
            }
            if number > 0 {
                let mut step = |place: Place| place.next() + (bits.read(place.bits()) & 511) as usize;
                literal = step(l);
                length = step(m);
                offset = step(o);
                bits.refill().ok_or(Fault::Sequences)?;
            }
            let distance = recall(&mut recent, distance, plain);
            left = left.checked_sub(plain).ok_or(Fault::Literals)?;
            if distance == 0 {
                return Err(Fault::Distance);
            }
            writer.sequence((from.buf, next, plain), distance, bytes)?;
            next += plain;
        }
        self.recent = recent;
        if bits.left() == 0 { Ok(from.length - left) } else { Err(Fault::Sequences) }
    }
}

/// The distance that an offset value means (section 3.1.1.5); 0 for one that means none.
#[inline(always)]
fn recall(recent: &mut [usize; 3], value: usize, literals: usize) -> usize {
    let [a, b, c] = *recent;
    if value > 3 {
        *recent = [value - 3, a, b];
        return value - 3;
    }
    match value + usize::from(literals == 0) {
        1 => return a,
        2 => *recent = [b, a, c],
        3 => *recent = [c, a, b],
        _ => *recent = [a.wrapping_sub(1), a, b],
    }
    recent[0]
}
