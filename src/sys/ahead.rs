//! A file that is read once, in long runs from front to back: the kernel reads ahead of us, and forgets what lies
//! behind.
//!
//! A stick answers slowly and works best when asked for much at once. What was read is not wanted again, and a bundle
//! larger than the memory would push out what the machine needs.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Read before anything is advised: metadata is read in hops of a few bytes.
const RUN: u64 = 256 << 10;

/// What the kernel is told to fetch at once, and to have ready when it is needed.
const AHEAD: u64 = 2 << 20;

/// What is read before the kernel is told to forget it.
const BEHIND: u64 = 4 << 20;

/// The file and how far its present run has come.
#[derive(Debug)]
pub struct Ahead {
    file: File,
    at: u64,
    /// Where the run began, up to where it was asked for, and up to where it was forgotten.
    start: u64,
    asked: u64,
    forgotten: u64,
}

impl Ahead {
    /// From where `file` stands.
    pub fn new(mut file: File) -> Self {
        let at = file.stream_position().unwrap_or_default();
        Ahead { file, at, start: at, asked: at, forgotten: at }
    }

    /// The same file at the same place, for a run of its own.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.file.try_clone().map(Ahead::new)
    }

    /// Advice is only advice: that a file takes none (a pipe) is no error.
    fn advise(&self, from: u64, length: u64, advice: PosixFadviseAdvice) {
        let (Ok(from), Ok(length)) = (i64::try_from(from), i64::try_from(length)) else { return };
        let _ = posix_fadvise(self.file.as_fd(), from, length, advice);
    }

    fn advance(&mut self, n: usize) {
        self.at = self.at.saturating_add(u64::try_from(n).unwrap_or_default());
        if self.at.saturating_sub(self.start) < RUN {
            return;
        }
        if self.at.saturating_add(AHEAD / 2) > self.asked {
            let from = self.asked.max(self.at);
            self.advise(from, AHEAD, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
            self.asked = from.saturating_add(AHEAD);
        }
        if self.at.saturating_sub(self.forgotten) >= BEHIND {
            self.advise(self.forgotten, self.at - self.forgotten, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
            self.forgotten = self.at;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buf)?;
        self.advance(n);
        Ok(n)
    }
}

impl Seek for Ahead {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.file.seek(to)?;
        if at != self.at {
            (self.at, self.start, self.asked, self.forgotten) = (at, at, at, at);
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn reads_what_is_there_and_asks_for_more() {
        let mut file = tempfile::tempfile().unwrap();
        let data: Vec<u8> = (0..12 << 20).map(|n: u32| n.to_le_bytes()[1]).collect();
        file.write_all(&data).unwrap();
        file.rewind().unwrap();
        let mut ahead = Ahead::new(file);
        let mut part = vec![0; 1 << 20];
        ahead.read_exact(&mut part).unwrap();
        assert_eq!((ahead.asked, ahead.forgotten), ((1 << 20) + AHEAD, 0));
        ahead.seek(SeekFrom::Start(7)).unwrap();
        assert_eq!((ahead.asked, ahead.forgotten), (7, 7));
        let mut rest = Vec::new();
        ahead.read_to_end(&mut rest).unwrap();
        assert!(rest == data[7..]);
        assert!(ahead.forgotten > (8 << 20) && ahead.asked >= 12 << 20, "{ahead:?}");
    }
}
