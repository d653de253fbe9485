//! gzip streams: any number of members in a row (RFC 1952).

mod crc32;
mod fast;
mod inflate;
mod tables;

use std::fmt;
use std::io::{BufRead, Read, Result};

use crate::bits::SLOP;
use crate::fault::Fault;
use crate::input::Input;

/// What a match may refer back to (RFC 1951 section 2).
const WINDOW: usize = 32 << 10;

/// Made at once; with the window it stays within the cache that a core has for itself.
const PIECE: usize = 96 << 10;

/// Longest match.
const LONGEST: usize = 258;

/// Decompresses what it reads. Zeros may follow the last member, as tapes and `dd` add them; anything else may not.
pub struct Gzip<R> {
    reader: R,
    core: Box<Core>,
}

impl<R: Read> Gzip<R> {
    /// Reads the members from `reader`, to its end.
    pub fn new(reader: R) -> Gzip<R> {
        Gzip { reader, core: Box::new(Core::new()) }
    }
}

impl<R: Read> BufRead for Gzip<R> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        self.core.fill(&mut self.reader)
    }

    fn consume(&mut self, n: usize) {
        self.core.out.given = (self.core.out.given + n).min(self.core.out.at);
    }
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R> fmt::Debug for Gzip<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gzip").finish_non_exhaustive()
    }
}

/// Decompressed data: the window, and what was made last.
struct Output {
    buf: Vec<u8>,
    /// Where the next byte goes.
    at: usize,
    /// `buf[given..at]` was not handed out yet.
    given: usize,
    /// Where the member begins, if that is still here: matches do not reach further.
    start: usize,
}

impl Output {
    /// Beyond this there may be too little room for the longest match.
    const FULL: usize = WINDOW + PIECE;

    fn new() -> Self {
        Output { buf: vec![0; Self::FULL + LONGEST + SLOP], at: 0, given: 0, start: 0 }
    }

    /// Makes room. What was made before must have been taken.
    fn slide(&mut self) {
        let Some(by) = self.at.checked_sub(WINDOW).filter(|_| self.at > Self::FULL / 2) else { return };
        self.buf.copy_within(by..self.at, 0);
        self.at = WINDOW;
        self.given = WINDOW;
        self.start = self.start.saturating_sub(by);
    }
}

enum State {
    /// Before a member's header.
    Head,
    /// In its deflate stream.
    Body,
    /// After it.
    Tail,
    /// Between members, or at the end.
    Between,
    End,
    /// A fault was told; nothing more comes.
    Broken(Fault),
}

/// All but the reader, so that it is compiled once.
struct Core {
    state: State,
    input: Input,
    inflate: inflate::Inflate,
    out: Output,
    crc: crc32::Crc32,
    /// Of the member so far.
    value: u32,
    length: u32,
}

impl Core {
    fn new() -> Self {
        Core {
            state: State::Head,
            input: Input::new(64 << 10),
            inflate: inflate::Inflate::new(),
            out: Output::new(),
            crc: crc32::Crc32::new(),
            value: 0,
            length: 0,
        }
    }

    fn fill(&mut self, reader: &mut dyn Read) -> Result<&[u8]> {
        while self.out.given == self.out.at {
            match self.step(reader) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => {
                    self.out.given = self.out.at;
                    let fault = e.get_ref().and_then(|e| e.downcast_ref()).copied();
                    self.state = State::Broken(fault.unwrap_or(Fault::Truncated));
                    return Err(e);
                }
            }
        }
        Ok(self.out.buf.get(self.out.given..self.out.at).unwrap_or_default())
    }

    /// False at the end.
    fn step(&mut self, reader: &mut dyn Read) -> Result<bool> {
        match self.state {
            State::Head => {
                self.head(reader)?;
                (self.value, self.length) = (0, 0);
                self.out.start = self.out.at;
                self.inflate.reset();
                self.state = State::Body;
            }
            State::Body => {
                self.out.slide();
                let done = self.inflate.run(&mut self.input, reader, &mut self.out)?;
                let made = self.out.buf.get(self.out.given..self.out.at).unwrap_or_default();
                self.value = self.crc.add(self.value, made);
                self.length = self.length.wrapping_add(u32::try_from(made.len()).unwrap_or_default());
                if done {
                    self.state = State::Tail;
                }
            }
            State::Tail => {
                let value = u32::from_le_bytes(self.take(reader)?);
                let length = u32::from_le_bytes(self.take(reader)?);
                if value != self.value {
                    return Err(Fault::Checksum.into());
                }
                if length != self.length {
                    return Err(Fault::Length.into());
                }
                self.state = State::Between;
            }
            State::Between => self.state = if self.more(reader)? { State::Head } else { State::End },
            State::End => return Ok(false),
            State::Broken(fault) => return Err(fault.into()),
        }
        Ok(true)
    }

    fn take<const N: usize>(&mut self, reader: &mut dyn Read) -> Result<[u8; N]> {
        Ok(self.input.take(reader)?.ok_or(Fault::Truncated)?)
    }

    /// Whether another member follows, and not the end, or zeros up to it.
    fn more(&mut self, reader: &mut dyn Read) -> Result<bool> {
        let mut zeros = false;
        while self.input.want(reader, 1)? {
            let rest = self.input.buf.get(self.input.at..self.input.end).unwrap_or_default();
            let nulls = rest.iter().take_while(|b| **b == 0).count();
            zeros |= nulls > 0;
            match nulls < rest.len() {
                true if zeros => return Err(Fault::Magic.into()),
                true => return Ok(true),
                false => self.input.at = self.input.end,
            }
        }
        Ok(false)
    }

    /// Passes over the header (section 2.3); what it says is of no use here.
    fn head(&mut self, reader: &mut dyn Read) -> Result<()> {
        // What is no header may be shorter than one, a line's end, say: nothing of it is lacking.
        let first: [u8; 1] = self.take(reader)?;
        if first != [0x1f] {
            return Err(Fault::Magic.into());
        }
        let rest: [u8; 9] = self.take(reader)?;
        let [second, method, flags, ..] = rest;
        if second != 0x8b {
            return Err(Fault::Magic.into());
        }
        if method != 8 || flags & 0xe0 != 0 {
            return Err(Fault::Header.into());
        }
        let mut value = self.crc.add(0, &first);
        value = self.crc.add(value, &rest);
        if flags & 4 != 0 {
            let length: [u8; 2] = self.take(reader)?;
            value = self.crc.add(value, &length);
            for _ in 0..u16::from_le_bytes(length) {
                let byte = self.take::<1>(reader)?;
                value = self.crc.add(value, &byte);
            }
        }
        // A name and a comment, each up to a zero.
        for _ in 0..(flags >> 3 & 1) + (flags >> 4 & 1) {
            loop {
                let byte = self.take::<1>(reader)?;
                value = self.crc.add(value, &byte);
                if byte == [0] {
                    break;
                }
            }
        }
        if flags & 2 != 0 && u32::from(u16::from_le_bytes(self.take(reader)?)) != value & 0xffff {
            return Err(Fault::HeaderChecksum.into());
        }
        Ok(())
    }
}
