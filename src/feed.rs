//! What bytes come from, behind a pointer.
//!
//! A table of `dyn Read` holds all methods that `Read` has, and each of the dozens of readers here would be compiled with
//! all of them: 38 KiB on amd64. A [`Feed`] has one, and `Read` is built on it once.

use std::io::{self, Read};

/// Any reader: `dyn Feed` is to be written wherever `dyn Read` would be.
pub trait Feed {
    /// As [`Read::read`].
    fn draw(&mut self, into: &mut [u8]) -> io::Result<usize>;
}

impl<R: Read> Feed for R {
    fn draw(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.read(into)
    }
}

/// The first bytes that come, at most `limit`.
pub fn first(from: &mut dyn Feed, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(u64::try_from(limit).unwrap_or(u64::MAX)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads to the end, for what reading does on the way.
pub fn drain(from: &mut dyn Feed) -> io::Result<()> {
    io::copy(from, &mut io::sink()).map(drop)
}

impl Read for dyn Feed + '_ {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.draw(into)
    }
}

impl Read for dyn Feed + Send + '_ {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.draw(into)
    }
}
