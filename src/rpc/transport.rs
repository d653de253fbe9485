//! What a connection needs from its byte stream, so that tests can script it and its time.

use std::io::{IoSlice, Result};
use std::time::{Duration, Instant};

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Bytes to read, or the end.
    Read,
    /// Bytes to read, or room to write: a peer that is busy writing to us may take nothing before we read.
    ReadOrWrite,
}

/// Why waiting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Reading or writing is worth a try.
    Yes,
    /// The time is over.
    TimedOut,
}

/// A non-blocking byte stream: `read` and `write` answer [`std::io::ErrorKind::WouldBlock`] instead of waiting.
///
/// Not `Read` and `Write` themselves: a table of their methods keeps a dozen that nobody calls.
pub trait Transport {
    /// As [`std::io::Read::read`].
    fn read(&mut self, into: &mut [u8]) -> Result<usize>;

    /// As [`std::io::Write::write_vectored`].
    fn write(&mut self, parts: &[IoSlice<'_>]) -> Result<usize>;

    /// Waits for at most `timeout`.
    fn wait(&mut self, interest: Interest, timeout: Duration) -> Result<Ready>;

    /// The monotonic clock.
    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl std::fmt::Debug for dyn Transport + Send {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transport")
    }
}

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        (**self).read(into)
    }

    fn write(&mut self, parts: &[IoSlice<'_>]) -> Result<usize> {
        (**self).write(parts)
    }

    fn wait(&mut self, interest: Interest, timeout: Duration) -> Result<Ready> {
        (**self).wait(interest, timeout)
    }

    fn now(&self) -> Instant {
        (**self).now()
    }
}
