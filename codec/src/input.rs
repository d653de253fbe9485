//! Compressed bytes, as many at once as a decoder wants to see together.

use std::io::{ErrorKind, Read, Result};

use crate::bits::SLOP;

/// Readable bytes before the first one: bit readers that go backwards load eight bytes at once.
pub(crate) const PAD: usize = 8;

/// A buffer between a reader and a decoder. `buf[at..end]` is not used up yet.
pub(crate) struct Input {
    pub(crate) buf: Vec<u8>,
    pub(crate) at: usize,
    pub(crate) end: usize,
    room: usize,
}

impl Input {
    /// At most `room` bytes can be wanted at once.
    pub(crate) fn new(room: usize) -> Input {
        Input { buf: vec![0; PAD + room + SLOP], at: PAD, end: PAD, room }
    }

    /// Bytes that are there.
    pub(crate) fn len(&self) -> usize {
        self.end - self.at
    }

    /// Reads until `n` bytes are there; false: the input ends before.
    #[inline]
    pub(crate) fn want(&mut self, reader: &mut dyn Read, n: usize) -> Result<bool> {
        if self.len() >= n { Ok(true) } else { self.fill(reader, n) }
    }

    #[cold]
    fn fill(&mut self, reader: &mut dyn Read, n: usize) -> Result<bool> {
        self.buf.copy_within(self.at..self.end, PAD);
        self.end -= self.at - PAD;
        self.at = PAD;
        while self.len() < n {
            let Some(free) = self.buf.get_mut(self.end..PAD + self.room) else { return Ok(false) };
            let limit = free.len();
            match reader.read(free) {
                Ok(0) => return Ok(false),
                // A reader that claims more than it was given is not believed.
                Ok(got) => self.end += got.min(limit),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    /// The next `N` bytes; `None`: the input ends before.
    pub(crate) fn take<const N: usize>(&mut self, reader: &mut dyn Read) -> Result<Option<[u8; N]>> {
        if !self.want(reader, N)? {
            return Ok(None);
        }
        let bytes = self.buf.get(self.at..self.end).and_then(|b| b.first_chunk()).copied();
        self.at += N;
        Ok(bytes)
    }

    /// Passes over `n` bytes; false: the input ends before.
    pub(crate) fn skip(&mut self, reader: &mut dyn Read, mut n: u64) -> Result<bool> {
        while n > 0 {
            if !self.want(reader, 1)? {
                return Ok(false);
            }
            let step = usize::try_from(n).map_or(self.len(), |n| n.min(self.len()));
            self.at += step;
            n -= step as u64;
        }
        Ok(true)
    }
}
