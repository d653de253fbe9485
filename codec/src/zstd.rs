//! Zstandard streams: any number of frames, skippable ones among them (RFC 8878).

mod backward;
mod codes;
mod fse;
mod header;
mod huffman;
mod literals;
mod sequences;
mod weights;
mod window;
mod xxh64;

use std::fmt;
use std::io::{BufRead, Read, Result};

use crate::bits::SLOP;
use crate::fault::Fault;
use crate::input::Input;

/// Window that RFC 8878 section 3.1.1.1.2 has every decoder give; `zstd --long` and `--ultra` ask for more.
pub const MAX_WINDOW: u64 = 8 << 20;

/// `zstd` itself reads nothing that asks for more, unless told to.
const MOST_ASKED: u64 = 128 << 20;

/// No block is longer, compressed or not (section 3.1.1.2.4).
const MAX_BLOCK: usize = 128 << 10;

/// Decompresses what it reads.
pub struct Zstd<R> {
    reader: R,
    core: Box<Core>,
}

impl<R: Read> Zstd<R> {
    /// No more than `limit` bytes of what was made are held. A frame may ask for a larger window, as all those do that
    /// zstd:chunked and `--ultra` make; it is refused where it refers to something further back.
    pub fn new(reader: R, limit: u64) -> Zstd<R> {
        Zstd { reader, core: Box::new(Core::new(limit)) }
    }
}

impl<R: Read> BufRead for Zstd<R> {
    fn fill_buf(&mut self) -> Result<&[u8]> {
        self.core.fill(&mut self.reader)
    }

    fn consume(&mut self, n: usize) {
        self.core.given = (self.core.given + n).min(self.core.window.at);
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R> fmt::Debug for Zstd<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zstd").finish_non_exhaustive()
    }
}

enum State {
    /// Before a frame, or at the end.
    Between,
    /// Before a block.
    Inside,
    /// After the last block of a frame.
    After,
    /// A fault was told; nothing more comes.
    Broken(Fault),
}

/// All but the reader, so that it is compiled once.
struct Core {
    state: State,
    limit: u64,
    input: Input,
    literals: literals::Decoder,
    sequences: sequences::Sequences,
    window: window::Window,
    /// `window.buf[given..window.at]` was not handed out yet.
    given: usize,
    /// What the frame's header asks for, where that is more than is held.
    wanted: Option<u64>,
    /// What is left of the length that the frame's header tells.
    left: Option<u64>,
    checksum: Option<xxh64::Xxh64>,
    block: usize,
    frames: bool,
}

impl Core {
    fn new(limit: u64) -> Self {
        Core {
            state: State::Between,
            limit,
            input: Input::new(MAX_BLOCK + SLOP),
            literals: literals::Decoder::new(),
            sequences: sequences::Sequences::new(),
            window: window::Window::new(),
            given: 0,
            wanted: None,
            left: None,
            checksum: None,
            block: 0,
            frames: false,
        }
    }

    fn fill(&mut self, reader: &mut dyn Read) -> Result<&[u8]> {
        while self.given == self.window.at {
            match self.step(reader) {
                Ok(true) => {}
                Ok(false) => break,
                Err(e) => {
                    self.given = self.window.at;
                    let fault = e.get_ref().and_then(|e| e.downcast_ref()).copied();
                    self.state = State::Broken(fault.unwrap_or(Fault::Truncated));
                    return Err(e);
                }
            }
        }
        Ok(self.window.buf.get(self.given..self.window.at).unwrap_or_default())
    }

    /// False at the end.
    fn step(&mut self, reader: &mut dyn Read) -> Result<bool> {
        match self.state {
            State::Between => {
                let Some(header) = header::next(&mut self.input, reader)? else {
                    return if self.frames { Ok(false) } else { Err(Fault::Truncated.into()) };
                };
                self.enter(header)?;
                self.state = State::Inside;
            }
            State::Inside => {
                let last = self.next_block(reader)?;
                let made = self.window.buf.get(self.given..self.window.at).unwrap_or_default();
                if let Some(left) = &mut self.left {
                    *left = left.checked_sub(made.len() as u64).ok_or(Fault::Length)?;
                }
                if let Some(checksum) = &mut self.checksum {
                    checksum.add(made);
                }
                if last {
                    self.state = State::After;
                }
            }
            State::After => {
                if self.left.is_some_and(|left| left > 0) {
                    return Err(Fault::Length.into());
                }
                if let Some(checksum) = self.checksum.take() {
                    let found = self.input.take(reader)?.ok_or(Fault::Truncated)?;
                    if u64::from(u32::from_le_bytes(found)) != checksum.finish() & 0xffff_ffff {
                        return Err(Fault::Checksum.into());
                    }
                }
                self.state = State::Between;
            }
            State::Broken(fault) => return Err(fault.into()),
        }
        Ok(true)
    }

    fn enter(&mut self, header: header::Header) -> std::result::Result<(), Fault> {
        let refused = Fault::Window { wanted: header.window, limit: self.limit };
        if header.window > self.limit.max(MOST_ASKED) {
            return Err(refused);
        }
        self.wanted = (header.window > self.limit).then_some(header.window);
        self.block = usize::try_from(header.window).unwrap_or(MAX_BLOCK).min(MAX_BLOCK);
        let window = usize::try_from(header.window.min(self.limit)).map_err(|_| refused)?;
        let content = header.content.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= window);
        self.window.reset(window, self.block, content);
        self.given = 0;
        self.literals.reset();
        self.sequences.reset();
        self.left = header.content;
        self.checksum = header.checksum.then(xxh64::Xxh64::new);
        self.frames = true;
        Ok(())
    }

    /// Whether it was the frame's last one.
    fn next_block(&mut self, reader: &mut dyn Read) -> Result<bool> {
        let [a, b, c] = self.input.take(reader)?.ok_or(Fault::Truncated)?;
        let header = u32::from_le_bytes([a, b, c, 0]);
        let (last, kind, size) = (header & 1 == 1, header >> 1 & 3, (header >> 3) as usize);
        self.window.begin();
        self.given = self.window.at;
        if size > self.block {
            return Err(Fault::Block.into());
        }
        let stored = if kind == 1 { 1 } else { size };
        if !self.input.want(reader, stored)? {
            return Err(Fault::Truncated.into());
        }
        let (at, end) = (self.input.at, self.input.at + stored);
        self.input.at = end;
        let data = &self.input.buf;
        match kind {
            0 => self.window.write(data.get(at..end).unwrap_or_default())?,
            1 => self.window.fill(data.get(at).copied().unwrap_or_default(), size)?,
            2 => {
                let (literals, rest) = self.literals.parse(data, at, end, self.block)?;
                self.sequences.run(data, rest, end, &literals, &mut self.window).map_err(|e| match self.wanted {
                    Some(wanted) if e == Fault::Distance => Fault::Window { wanted, limit: self.limit },
                    _ => e,
                })?;
            }
            _ => return Err(Fault::Block.into()),
        }
        Ok(last)
    }
}
