//! The way through the blobs of a bundle after its metadata: components and layers in the order of use.

use std::io::{self, Read};

use super::fault::{Fault, Flaw, Sound};
use super::tape::Tape;
use super::tar::{END, Found, Header, Name, padding};
use crate::digest::Digest;
use crate::gather::Gather;
use crate::sorted::Map;

/// A blob that must come, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) header: Header,
    /// For messages: `component 'runc'`, `layer 2 of 'docker.io/kubeedge/pause:3.6'`.
    pub(super) label: String,
    /// Byte of the file at which its content starts.
    pub(super) at: u64,
}

/// Where in the sequence of [`Part`]s the tape is.
#[derive(Debug)]
pub(super) struct Cursor {
    tape: Tape,
    /// Byte of the file at which the first part's header is.
    start: u64,
    parts: Vec<Part>,
    by_digest: Map<Digest, usize>,
    /// The part whose header comes next, if nothing is missing.
    next: usize,
    /// Bytes of content and padding that lie between the tape and the next header.
    content: u64,
    padding: u64,
    /// Parts that were passed over in the sequence.
    missing: Vec<usize>,
}

impl Cursor {
    /// `wanted` follows on `tape`; each digest is in it once.
    pub(super) fn new(tape: Tape, wanted: Vec<(Digest, u64, String)>) -> Sound<Self> {
        let start = tape.position();
        let mut at = start;
        let (mut parts, mut by_digest) = (Vec::with_capacity(wanted.len()), Map::new());
        for (digest, size, label) in wanted {
            let header = Header { name: Name::Blob(digest), size };
            let content = at.saturating_add(header.encode().len() as u64);
            at = at.saturating_add(header.span());
            by_digest.insert(digest, parts.len());
            parts.push(Part { header, label, at: content });
        }
        if at.saturating_add(END) > i64::MAX.unsigned_abs() {
            return Err(Flaw::damaged("the sizes in the metadata are beyond any file"));
        }
        Ok(Cursor { tape, start, parts, by_digest, next: 0, content: 0, padding: 0, missing: Vec::new() })
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) fn part(&self, digest: &Digest) -> Option<(usize, &Part)> {
        let index = *self.by_digest.get(digest)?;
        Some((index, self.parts.get(index)?))
    }

    /// Size of the whole file.
    pub(super) fn file_size(&self) -> u64 {
        self.parts.last().map_or(self.start, |p| p.at + p.header.size + padding(p.header.size)) + END
    }

    pub(super) fn is_seekable(&self) -> bool {
        self.tape.is_seekable()
    }

    /// Goes to the content of the part that comes next; `None` at the end of the bundle.
    pub(super) fn step(&mut self) -> Sound<Option<usize>> {
        self.tape.skip(self.content)?;
        self.content = 0;
        self.leave_padding()?;
        let found = self.tape.header().map_err(|flaw| match self.parts.get(self.next) {
            Some(part) => flaw.on(&format_args!("before {}", part.label)),
            None => flaw.on(&"at the end"),
        })?;
        let Found::Entry(header) = found else {
            self.missing.extend(self.next..self.parts.len());
            self.next = self.parts.len();
            self.tape.end()?;
            return Ok(None);
        };
        let index = self.recognise(header)?;
        self.missing.extend(self.next..index);
        self.next = index + 1;
        (self.content, self.padding) = (header.size, padding(header.size));
        Ok(Some(index))
    }

    fn leave_padding(&mut self) -> Sound<()> {
        let zeros = std::mem::take(&mut self.padding);
        self.tape.zeros(zeros)
    }

    /// Which part a header begins; it must be one that is still to come.
    fn recognise(&self, header: Header) -> Sound<usize> {
        let name = header.name;
        let Name::Blob(digest) = name else {
            return Err(Flaw::damaged(format_args!("'{name}' is there twice")));
        };
        let Some((index, part)) = self.part(&digest) else {
            return Err(Flaw::damaged(format_args!("'{name}' belongs to nothing in the bundle")));
        };
        if index < self.next {
            return Err(Flaw::damaged(format_args!("'{name}' ({}) is there twice or out of order", part.label)));
        }
        if header.size != part.header.size {
            return Err(Flaw::damaged(format_args!(
                "'{name}' ({}) has {} bytes, expected {}",
                part.label, header.size, part.header.size
            )));
        }
        Ok(index)
    }

    /// Goes to the content of part `index`. A pipe cannot go back.
    pub(super) fn go(&mut self, index: usize) -> Sound<()> {
        let Some(part) = self.parts.get(index) else { return Err(Flaw::damaged("no such part")) };
        if self.tape.is_seekable() {
            let (at, size) = (part.at, part.header.size);
            self.tape.seek(at)?;
            self.next = index + 1;
            (self.content, self.padding) = (size, padding(size));
            return Ok(());
        }
        if index < self.next {
            return Err(Flaw::new(
                Fault::Unreadable,
                format_args!("{} has already gone by in the pipe; this needs a bundle in a file", part.label),
            ));
        }
        let label = part.label.clone();
        loop {
            match self.step()? {
                Some(here) if here == index => return Ok(()),
                Some(here) if here < index => {}
                _ => return Err(Flaw::new(Fault::Incomplete, format_args!("{label} is missing"))),
            }
        }
    }

    /// Looks at every header up to the end, without reading contents from a file; says what is missing, all at once.
    pub(super) fn scan(&mut self) -> Sound<()> {
        while self.step()?.is_some() {}
        self.complete()
    }

    /// Whether everything that was to come by now did.
    pub(super) fn complete(&self) -> Sound<()> {
        let names: Vec<&str> =
            self.missing.iter().filter_map(|i| self.parts.get(*i)).map(|p| p.label.as_str()).gather();
        if names.is_empty() {
            Ok(())
        } else {
            Err(Flaw::new(Fault::Incomplete, format_args!("missing: {}", names.join(", "))))
        }
    }
}

impl Read for Cursor {
    /// The rest of the content of the part at which the cursor is.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.content).unwrap_or(usize::MAX).min(buf.len());
        if most == 0 {
            return Ok(0);
        }
        let got = self.tape.read(buf.get_mut(..most).unwrap_or_default())?;
        self.content -= got as u64;
        Ok(got)
    }
}
