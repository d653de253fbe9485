//! A bundle's bytes, front to back: from a file that can seek, or from a pipe that cannot.

use std::io::{self, Read, Seek, SeekFrom};

use super::fault::{Fault, Flaw, Sound};
use super::manifest::MAX_METADATA;
use super::tar::{self, BLOCK, Found, Header, Name, NoHeader};
use crate::digest::Digest;
use crate::feed::Feed;

/// A file, a block device, several volumes in a row: anything that can seek.
pub trait Seekable: Feed + Send {
    /// As [`Seek::seek`].
    fn go(&mut self, to: SeekFrom) -> io::Result<u64>;
}

impl<T: Read + Seek + Send> Seekable for T {
    fn go(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.seek(to)
    }
}

enum Medium {
    File(Box<dyn Seekable>, u64),
    Pipe(Box<dyn Feed + Send>),
}

/// The medium and how far it was read.
pub(super) struct Tape {
    medium: Medium,
    pos: u64,
}

impl std::fmt::Debug for Tape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tape at {}", self.pos)
    }
}

/// Chunk for reading what is not kept.
const CHUNK: usize = 64 << 10;

impl Tape {
    pub(super) fn file(mut file: Box<dyn Seekable>) -> Sound<Self> {
        // Not the metadata's length: a block device has none.
        let length =
            file.go(SeekFrom::End(0)).and_then(|n| file.go(SeekFrom::Start(0)).map(|_| n)).map_err(unreadable)?;
        Ok(Tape { medium: Medium::File(file, length), pos: 0 })
    }

    pub(super) fn pipe(pipe: Box<dyn Feed + Send>) -> Self {
        Tape { medium: Medium::Pipe(pipe), pos: 0 }
    }

    /// Bytes that lie behind.
    pub(super) fn position(&self) -> u64 {
        self.pos
    }

    pub(super) fn is_seekable(&self) -> bool {
        matches!(self.medium, Medium::File(..))
    }

    /// Steps over `n` bytes, which must be there. In a file they are not read.
    pub(super) fn skip(&mut self, n: u64) -> Sound<()> {
        if let Medium::File(file, length) = &mut self.medium {
            let to = self.pos.saturating_add(n);
            if to > *length {
                return Err(short(*length));
            }
            file.go(SeekFrom::Start(to)).map_err(unreadable)?;
            self.pos = to;
            return Ok(());
        }
        self.drain(n, &mut |_| ())
    }

    /// Goes to a position of a file.
    pub(super) fn seek(&mut self, to: u64) -> Sound<()> {
        self.pos = 0;
        self.skip(to)
    }

    /// Reads `n` bytes and shows them to `look`.
    pub(super) fn drain(&mut self, n: u64, look: &mut dyn FnMut(&[u8])) -> Sound<()> {
        let size = usize::try_from(n).unwrap_or(CHUNK).min(CHUNK);
        let mut buffer = vec![0; size];
        let mut left = n;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(size).min(size);
            let into = buffer.get_mut(..most).unwrap_or_default();
            let got = self.read(into).map_err(unreadable)?;
            if got == 0 {
                return Err(short(self.pos));
            }
            look(into.get(..got).unwrap_or_default());
            left -= got as u64;
        }
        Ok(())
    }

    /// Reads zeros: padding or the second block of the end.
    pub(super) fn zeros(&mut self, n: u64) -> Sound<()> {
        let mut clean = true;
        self.drain(n, &mut |bytes| clean &= bytes.iter().all(|b| *b == 0))?;
        if clean {
            Ok(())
        } else {
            Err(Flaw::damaged(format_args!("the {n} bytes before byte {} are not zero", self.pos)))
        }
    }

    /// A header; if it is not in our form, the name that can be made out in it.
    pub(super) fn first_header(&mut self) -> Sound<Result<Found, Option<String>>> {
        match tar::read(self) {
            Ok(found) => Ok(Ok(found)),
            Err(NoHeader::Foreign(name)) => Ok(Err(name)),
            Err(NoHeader::Short) => Err(short(self.pos)),
            Err(NoHeader::Io(e)) => Err(unreadable(e)),
        }
    }

    pub(super) fn header(&mut self) -> Sound<Found> {
        let at = self.pos;
        self.first_header()?.map_err(|name| match name {
            Some(name) => Flaw::damaged(format_args!("byte {at}: '{name}' is no entry of a bundle")),
            None => Flaw::damaged(format_args!("byte {at}: not a tar header")),
        })
    }

    /// Reads a small blob that must come next, with padding. Its digest is checked.
    pub(super) fn small(&mut self, digest: Digest, size: u64) -> Sound<Vec<u8>> {
        let name = Name::Blob(digest);
        match self.header()? {
            Found::Entry(found) if found.name != name => {
                Err(Flaw::damaged(format_args!("'{}' stands where '{name}' belongs", found.name)))
            }
            Found::Entry(found) if found.size != size => {
                Err(Flaw::damaged(format_args!("'{name}' has {} bytes, expected {size}", found.size)))
            }
            Found::Entry(found) => self.body(&found),
            Found::End => Err(Flaw::damaged(format_args!("'{name}' is missing"))),
        }
    }

    /// The content of a small entry whose header was just read.
    pub(super) fn body(&mut self, header: &Header) -> Sound<Vec<u8>> {
        let Header { name, size } = *header;
        if size > MAX_METADATA as u64 {
            return Err(Flaw::damaged(format_args!("'{name}' has {size} bytes, the limit is {MAX_METADATA}")));
        }
        let mut bytes = Vec::new();
        self.drain(size, &mut |part| bytes.extend_from_slice(part))?;
        self.zeros(tar::padding(size))?;
        match name {
            Name::Blob(want) if Digest::of(&bytes) != want => Err(Flaw::damaged(format_args!(
                "'{name}' is damaged: its bytes have the digest {}",
                Digest::of(&bytes)
            ))),
            _ => Ok(bytes),
        }
    }

    /// What must come after the first block of zeros: another one, and nothing more.
    pub(super) fn end(&mut self) -> Sound<()> {
        self.zeros(BLOCK)?;
        let mut more = [0];
        match self.read(&mut more).map_err(unreadable)? {
            0 => Ok(()),
            _ => Err(Flaw::damaged(format_args!("there are bytes after the end, from byte {} on", self.pos - 1))),
        }
    }
}

impl Read for Tape {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let got = match &mut self.medium {
                Medium::File(file, _) => file.draw(buf),
                Medium::Pipe(pipe) => pipe.draw(buf),
            };
            match got {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
                Ok(n) => {
                    self.pos = self.pos.saturating_add(n as u64);
                    return Ok(n);
                }
            }
        }
    }
}

fn short(at: u64) -> Flaw {
    Flaw::damaged(if at == 0 { "it is empty".to_owned() } else { format!("it ends too early, after {at} bytes") })
}

fn unreadable(e: io::Error) -> Flaw {
    Flaw::new(Fault::Unreadable, format_args!("cannot be read: {e}"))
}
