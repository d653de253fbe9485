//! A blob on its way from the file: told to the progress report and, if layers are kept, sent to the content store.

use std::io::{self, Read};

use crate::containerd::{MAX_WRITE, Upload};
use crate::error::{Kind, Lift, Result};
use crate::feed::{self, Feed};
use crate::sys::signal;

use super::Progress;

/// Reads on, and passes on what was read.
pub(super) struct Intake<'a> {
    source: Box<dyn Feed + 'a>,
    what: &'a str,
    progress: &'a mut dyn Progress,
    upload: Option<Copy<'a>>,
}

/// What goes to the content store, in messages of the best size.
struct Copy<'a> {
    upload: Box<Upload<'a>>,
    waiting: Vec<u8>,
}

impl Copy<'_> {
    fn add(&mut self, data: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(data);
        if self.waiting.len() >= MAX_WRITE { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        self.upload.write(&self.waiting)?;
        self.waiting.clear();
        Ok(())
    }
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        source: Box<dyn Feed + 'a>,
        what: &'a str,
        progress: &'a mut dyn Progress,
        upload: Option<Box<Upload<'a>>>,
    ) -> Self {
        let upload = upload.map(|upload| Copy { upload, waiting: Vec::with_capacity(2 * MAX_WRITE) });
        Intake { source, what, progress, upload }
    }

    /// Reads to the end, where the blob's digest is checked.
    pub(super) fn drain(&mut self) -> Result<()> {
        feed::drain(self).lift(Kind::Bundle, || format!("read {}", self.what))
    }

    /// The upload, with all bytes sent.
    pub(super) fn into_upload(mut self) -> Result<Option<Box<Upload<'a>>>> {
        if let Some(copy) = &mut self.upload {
            copy.flush()?;
        }
        Ok(self.upload.map(|copy| copy.upload))
    }
}

impl Read for Intake<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buf)?;
        if let Some(copy) = &mut self.upload {
            copy.add(buf.get(..n).unwrap_or_default()).map_err(io::Error::from)?;
        }
        if n > 0 {
            self.progress.sent(self.what, n as u64);
        }
        signal::check().map_err(io::Error::from)?;
        Ok(n)
    }
}
