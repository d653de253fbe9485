//! The uncompressed bytes of an archive file by their offset: by seeking in a plain file; in a compressed one by going
//! forward, and from the start again when something earlier is wanted.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::archive::{Compression, Forward, Skip, Window, decoder, unreadable};
use crate::error::{Kind, Lift, Result};
use crate::feed::Feed;
use crate::sys::ahead::Ahead;

/// An archive file.
pub(super) struct Packed {
    file: Ahead,
    how: Compression,
    /// For compressed files: the reader that is under way, and the offset at which it stands.
    under_way: Option<(Forward<Box<dyn Feed>>, u64)>,
}

impl Packed {
    pub(super) fn new(file: File, how: Compression) -> Self {
        Packed { file: Ahead::new(file), how, under_way: None }
    }

    /// Whether it can be read anywhere without reading what is before.
    pub(super) fn is_plain(&self) -> bool {
        self.how == Compression::Plain
    }

    /// What is left for the decoder of something in it.
    pub(super) fn window(&self) -> Window {
        if self.how == Compression::Zstd { Window::Inner } else { Window::Whole }
    }

    /// The bytes from `offset` on.
    pub(super) fn from(&mut self, offset: u64) -> Result<Box<dyn Feed + '_>> {
        if self.how == Compression::Plain {
            self.file.seek(SeekFrom::Start(offset)).lift(Kind::Bundle, || "seek".to_owned())?;
            return Ok(Box::new(&mut self.file));
        }
        let (mut reader, at) = match self.under_way.take() {
            Some((reader, at)) if at <= offset => (reader, at),
            _ => (Forward(self.restart()?), 0),
        };
        reader.skip(offset - at).map_err(|e| unreadable(e, "the archive"))?;
        self.under_way = Some((reader, offset));
        Ok(Box::new(Passing(self)))
    }

    fn restart(&mut self) -> Result<Box<dyn Feed>> {
        self.file.seek(SeekFrom::Start(0)).lift(Kind::Bundle, || "seek".to_owned())?;
        // The copy shares the position; nobody else reads while it is in use.
        let file = self.file.try_clone().lift(Kind::Host, || "open it once more".to_owned())?;
        Ok(decoder(self.how, file))
    }
}

/// Keeps count of what is read from the reader under way.
struct Passing<'a>(&'a mut Packed);

impl Read for Passing<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let Some((reader, at)) = &mut self.0.under_way else { return Ok(0) };
        let read = reader.read(buf);
        match &read {
            Ok(n) => *at = at.saturating_add(u64::try_from(*n).unwrap_or(u64::MAX)),
            // Where it stands now is unknown.
            Err(_) => self.0.under_way = None,
        }
        read
    }
}
