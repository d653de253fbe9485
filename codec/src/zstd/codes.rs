//! The three codes of a sequence and their tables (RFC 8878 section 3.1.1.3.2).

use super::fse::Counts;
use crate::fault::Fault;

/// A place of a table in one word: bits 0..32 what the extra bits are added to, 32..48 where the next state begins,
/// 48..56 how many extra bits, 56..64 how many bits choose the next state.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    fn new(base: u32, extra: u8, bits: u8, next: u16) -> Place {
        Place(u64::from(base) | u64::from(next) << 32 | u64::from(extra) << 48 | u64::from(bits) << 56)
    }

    #[inline(always)]
    pub(super) fn base(self) -> u32 {
        (self.0 & 0xffff_ffff) as u32
    }

    #[inline(always)]
    pub(super) fn extra(self) -> u32 {
        (self.0 >> 48 & 0xff) as u32
    }

    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        (self.0 >> 56) as u32
    }

    #[inline(always)]
    pub(super) fn next(self) -> usize {
        (self.0 >> 32 & 0xffff) as usize
    }
}

/// The table of one code, with room for 2^9 places: no code has more.
pub(super) struct Table {
    places: [Place; 512],
    /// `None` until a block has brought one.
    pub(super) log: Option<u32>,
}

impl Table {
    pub(super) fn new() -> Table {
        Table { places: [Place(0); 512], log: None }
    }

    #[inline(always)]
    pub(super) fn place(&self, state: usize) -> Place {
        // The mask proves to the compiler what `get` would ask.
        match self.places.get(state & 511) {
            Some(place) => *place,
            None => Place(0),
        }
    }

    fn fill(&mut self, code: &Code, counts: &Counts) -> Result<(), Fault> {
        self.log = None;
        let mut known = true;
        counts.table(|number, symbol, bits, next| match (self.places.get_mut(number), code.meaning(symbol)) {
            (Some(place), Some((base, extra))) => *place = Place::new(base, extra, bits, next),
            _ => known = false,
        })?;
        if !known {
            return Err(Fault::Code);
        }
        self.log = Some(counts.log);
        Ok(())
    }

    /// Takes the table as a block's header says (`mode`); gives the bytes that follow its description.
    pub(super) fn load<'a>(&mut self, code: &Code, mode: u8, data: &'a [u8]) -> Result<&'a [u8], Fault> {
        match mode & 3 {
            0 => self.fill(code, &Counts::known(code.usual, code.usual_log)).map(|()| data),
            1 => {
                let (symbol, rest) = data.split_first().ok_or(Fault::Sequences)?;
                let (base, extra) = code.meaning(*symbol).ok_or(Fault::Code)?;
                self.places = [Place::new(base, extra, 0, 0); 512];
                self.log = Some(0);
                Ok(rest)
            }
            2 => {
                let (counts, length) = Counts::parse(data, code.max_log, code.symbols())?;
                self.fill(code, &counts)?;
                data.get(length..).ok_or(Fault::Sequences)
            }
            _ if self.log.is_some() => Ok(data),
            _ => Err(Fault::Code),
        }
    }
}

/// What the symbols of a code stand for.
pub(super) struct Code {
    /// Extra bits of each symbol; what they are added to grows accordingly, from `first` on.
    extra: &'static [u8],
    first: u32,
    max_log: u32,
    usual: &'static [i8],
    usual_log: u32,
}

impl Code {
    fn symbols(&self) -> usize {
        self.extra.len()
    }

    /// Base and number of extra bits.
    fn meaning(&self, symbol: u8) -> Option<(u32, u8)> {
        let extra = *self.extra.get(usize::from(symbol))?;
        let before = self.extra.get(..usize::from(symbol))?;
        let base = before.iter().fold(self.first, |base, extra| base.wrapping_add(1 << extra));
        Some((base, extra))
    }
}

pub(super) const LITERALS: Code = Code {
    extra: &[
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
        16,
    ],
    first: 0,
    max_log: 9,
    usual: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1,
    ],
    usual_log: 6,
};

pub(super) const MATCHES: Code = Code {
    extra: &[
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2,
        2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    ],
    first: 3,
    max_log: 9,
    usual: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
    usual_log: 6,
};

pub(super) const OFFSETS: Code = Code {
    extra: &[
        0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29,
        30, 31,
    ],
    first: 1,
    max_log: 8,
    usual: &[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1],
    usual_log: 5,
};

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends of the tables in RFC 8878 section 3.1.1.3.2.1.1.
    #[test]
    fn meanings() {
        let cases = [
            (&LITERALS, 15, (15, 0)),
            (&LITERALS, 16, (16, 1)),
            (&LITERALS, 25, (64, 6)),
            (&LITERALS, 35, (65536, 16)),
            (&MATCHES, 31, (34, 0)),
            (&MATCHES, 43, (131, 7)),
            (&MATCHES, 52, (65539, 16)),
            (&OFFSETS, 0, (1, 0)),
            (&OFFSETS, 31, (1 << 31, 31)),
        ];
        for (code, symbol, meaning) in cases {
            assert_eq!(code.meaning(symbol), Some(meaning));
        }
        assert_eq!(LITERALS.meaning(36), None);
    }
}
