//! Deflate streams (RFC 1951), block by block; what is not urgent is done symbol by symbol here.

use std::io::{Read, Result};

use super::Output;
use super::tables::{END, LINK, LITERAL, OTHER, Table, distance, literal_or_length, plain};
use crate::bits::repeat;
use crate::fault::Fault;
use crate::input::Input;

/// Bits that choose an entry in the first part of a table. All literal and length codes then need at most 2342
/// entries, all distance codes 402: zlib's `enough` counts them.
pub(super) const LITERAL_BITS: usize = 11;
pub(super) const DISTANCE_BITS: usize = 8;

pub(super) type Literals = Table<4096>;
pub(super) type Distances = Table<512>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a block.
    Between,
    /// In a stored one, of which so many bytes are left.
    Stored(usize),
    Codes,
}

/// Where a stream is.
pub(super) struct Inflate {
    state: State,
    /// Whether this block is the last one.
    last: bool,
    pub(super) bits: Bits,
    pub(super) literals: Box<Literals>,
    pub(super) distances: Box<Distances>,
    lengths: Box<Table<128>>,
}

impl Inflate {
    pub(super) fn new() -> Self {
        Inflate {
            state: State::Between,
            last: false,
            bits: Bits { bits: 0, count: 0 },
            literals: Box::new(Table::new(LITERAL_BITS)),
            distances: Box::new(Table::new(DISTANCE_BITS)),
            lengths: Box::new(Table::new(7)),
        }
    }

    /// Begins a stream.
    pub(super) fn reset(&mut self) {
        (self.state, self.last) = (State::Between, false);
        self.bits = Bits { bits: 0, count: 0 };
    }

    /// Goes on until `out` is full (false), or the stream has ended (true).
    pub(super) fn run(&mut self, input: &mut Input, reader: &mut dyn Read, out: &mut Output) -> Result<bool> {
        while out.at < Output::FULL {
            let done = match self.state {
                State::Between if self.last => {
                    self.bits = Bits { bits: 0, count: 0 };
                    return Ok(true);
                }
                State::Between => {
                    self.state = self.block(&mut Source { input, reader })?;
                    false
                }
                State::Stored(left) => self.stored(input, reader, out, left)?,
                State::Codes => self.fast(input, out)? || self.slow(&mut Source { input, reader }, out)?,
            };
            if done {
                self.state = State::Between;
            }
        }
        Ok(false)
    }

    /// Reads the header of a block.
    fn block(&mut self, source: &mut Source<'_>) -> Result<State> {
        self.last = self.bits.read(source, 1)? == 1;
        match self.bits.read(source, 2)? {
            0 => {
                self.bits.drop(self.bits.count % 8);
                let (length, check) = (self.bits.read(source, 16)?, self.bits.read(source, 16)?);
                if length != !check & 0xffff { Err(Fault::Block.into()) } else { Ok(State::Stored(length as usize)) }
            }
            1 => {
                let mut lengths = [8; 288];
                lengths[144..256].fill(9);
                lengths[256..280].fill(7);
                self.load(&lengths, &[5; 32])
            }
            2 => self.dynamic(source),
            _ => Err(Fault::Block.into()),
        }
    }

    fn load(&mut self, literals: &[u8], distances: &[u8]) -> Result<State> {
        self.literals.load(literals, literal_or_length, true)?;
        self.distances.load(distances, distance, true)?;
        Ok(State::Codes)
    }

    /// Reads the codes of a block (section 3.2.7).
    fn dynamic(&mut self, source: &mut Source<'_>) -> Result<State> {
        const ORDER: [u8; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let literals = self.bits.read(source, 5)? as usize + 257;
        let distances = self.bits.read(source, 5)? as usize + 1;
        let count = self.bits.read(source, 4)? as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(Fault::Code.into());
        }
        let mut lengths = [0u8; 19];
        for place in ORDER.iter().take(count) {
            let length = self.bits.read(source, 3)?;
            if let Some(to) = lengths.get_mut(usize::from(*place)) {
                *to = (length & 7) as u8;
            }
        }
        self.lengths.load(&lengths, plain, false)?;
        let mut lengths = [0u8; 286 + 30];
        let mut rest = lengths.get_mut(..literals + distances).ok_or(Fault::Code)?;
        let mut before = None;
        while !rest.is_empty() {
            let symbol = self.bits.symbol(&self.lengths, source)? >> 16;
            let (length, times) = match symbol {
                16 => (before.ok_or(Fault::Code)?, 3 + self.bits.read(source, 2)?),
                17 => (0, 3 + self.bits.read(source, 3)?),
                18 => (0, 11 + self.bits.read(source, 7)?),
                length => ((length & 15) as u8, 1),
            };
            let (now, later) = rest.split_at_mut_checked(times as usize).ok_or(Fault::Code)?;
            now.fill(length);
            rest = later;
            before = Some(length);
        }
        let (literals, rest) = lengths.split_at(literals);
        if literals.get(256).is_none_or(|end| *end == 0) {
            return Err(Fault::Code.into());
        }
        self.load(literals, rest.get(..distances).unwrap_or_default())
    }

    /// Copies what is there of a stored block; true when it is done.
    fn stored(&mut self, input: &mut Input, reader: &mut dyn Read, out: &mut Output, left: usize) -> Result<bool> {
        if left == 0 {
            return Ok(true);
        }
        if !input.want(reader, 1)? {
            return Err(Fault::Truncated.into());
        }
        let n = left.min(input.len()).min(Output::FULL - out.at);
        let from = input.buf.get(input.at..input.at + n).ok_or(Fault::Block)?;
        out.buf.get_mut(out.at..out.at + n).ok_or(Fault::Block)?.copy_from_slice(from);
        input.at += n;
        out.at += n;
        self.state = State::Stored(left - n);
        Ok(left == n)
    }

    /// One literal or match, however little input is there; true at the end of the block.
    fn slow(&mut self, source: &mut Source<'_>, out: &mut Output) -> Result<bool> {
        if out.at >= Output::FULL {
            return Ok(false);
        }
        let entry = self.bits.symbol(&self.literals, source)?;
        if entry & LITERAL != 0 {
            *out.buf.get_mut(out.at).ok_or(Fault::Length)? = (entry >> 16 & 255) as u8;
            out.at += 1;
            return Ok(false);
        }
        if entry & OTHER != 0 {
            return if entry & END != 0 { Ok(true) } else { Err(Fault::Code.into()) };
        }
        let length = self.bits.value(entry, source)?;
        let entry = self.bits.symbol(&self.distances, source)?;
        if entry & OTHER != 0 {
            return Err(Fault::Code.into());
        }
        let distance = self.bits.value(entry, source)?;
        if distance > out.at - out.start {
            return Err(Fault::Distance.into());
        }
        repeat(&mut out.buf, out.at, distance, length).ok_or(Fault::Distance)?;
        out.at += length;
        Ok(false)
    }
}

/// Where more bytes come from.
struct Source<'a> {
    input: &'a mut Input,
    reader: &'a mut dyn Read,
}

/// Bits that were taken from the input and not used up yet, the next one lowest. Outside of the fast loop these are
/// fewer than eight, so that a stored block or the end is found at the right byte.
#[derive(Clone, Copy)]
pub(super) struct Bits {
    pub(super) bits: u64,
    pub(super) count: u32,
}

impl Bits {
    fn drop(&mut self, count: u32) {
        self.bits >>= count;
        self.count -= count;
    }

    fn need(&mut self, source: &mut Source<'_>, count: u32) -> Result<()> {
        while self.count < count {
            let [byte] = source.input.take(source.reader)?.ok_or(Fault::Truncated)?;
            self.bits |= u64::from(byte) << self.count;
            self.count += 8;
        }
        Ok(())
    }

    /// At most 16 bits.
    fn read(&mut self, source: &mut Source<'_>, count: u32) -> Result<u32> {
        self.need(source, count)?;
        let value = (self.bits & 0xffff) as u32 & ((1 << count) - 1);
        self.drop(count);
        Ok(value)
    }

    /// The entry of the next code, which is used up; its extra bits are not.
    fn symbol<const N: usize>(&mut self, table: &Table<N>, source: &mut Source<'_>) -> Result<u32> {
        loop {
            let mut entry = table.first(self.bits);
            let mut length = 0;
            if entry & (OTHER | LINK) == OTHER | LINK {
                length = entry & 31;
                entry = table.behind(entry, self.bits >> length);
            }
            if entry == OTHER {
                return Err(Fault::Code.into());
            }
            length += entry >> 8 & 31;
            if length <= self.count {
                self.drop(length);
                return Ok(entry);
            }
            self.need(source, self.count + 1)?;
        }
    }

    /// The length or distance of an entry, with its extra bits.
    fn value(&mut self, entry: u32, source: &mut Source<'_>) -> Result<usize> {
        let extra = self.read(source, (entry & 31) - (entry >> 8 & 31))?;
        Ok((entry >> 16) as usize + extra as usize)
    }
}
