//! Leaves the bundle in a system that does not run, for its first boot to import from.
//!
//! It is read once: hashed and written at the same time, and it has its name only if every part of it was right.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::bundle::{self, Replay};
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::feed::Feed;
use crate::ids::{Arch, RelPath};
use crate::plan::{Cx, Status, Step};
use crate::sys::signal::{self, Stoppable};

/// Identity of the bundle that lies there.
const FACT: &str = "kept-bundle";

/// Where its bytes come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file, from its beginning.
    File(PathBuf),
    /// A pipe of which the head was read already.
    Pipe(Replay),
}

/// The step.
#[derive(Debug)]
pub struct KeptBundle {
    source: Option<Source>,
    identity: Digest,
    architecture: Arch,
    size: u64,
}

impl KeptBundle {
    /// Name of the step.
    pub const ID: &'static str = "kept-bundle";
    /// Where it lies in the target.
    pub const PATH: RelPath<'static> = RelPath::literal("var/lib/edgelay/edge.bundle");

    /// Takes the bundle `identity` of `size` bytes for `architecture` from `source`; none: only to look.
    pub fn new(source: Option<Source>, identity: Digest, architecture: Arch, size: u64) -> Self {
        KeptBundle { source, identity, architecture, size }
    }
}

impl Step for KeptBundle {
    fn id(&self) -> &'static str {
        Self::ID
    }

    fn summary(&self) -> String {
        "leave the bundle for the first boot".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let there = cx.root.stat(Self::PATH)?.is_some_and(|meta| meta.size == self.size);
        Ok(match there && cx.journal.fact(FACT) == Some(self.identity.to_string().as_str()) {
            true => Status::Done,
            false => Status::todo("the bundle is not there to its end"),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let reader: Box<dyn Feed + Send> = match &self.source {
            Some(Source::File(path)) => {
                Box::new(bundle::volumes::open(path).lift(Kind::Host, || format!("open '{}'", path.display()))?)
            }
            Some(Source::Pipe(replay)) => Box::new(replay.clone()),
            None => return Err(super::images::no_bundle("a copy")),
        };
        cx.claim(Self::PATH)?;
        // The old one's identity must not vouch for the new one's bytes.
        cx.journal.forget(FACT)?;
        let mut reader = Some(reader);
        cx.root.write_file(Self::PATH, 0o600, &mut |file| reader.take().map_or(Ok(()), |r| self.copy(r, file)))?;
        cx.journal.remember(FACT, &self.identity.to_string())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.take_back_file(Self::PATH.as_str())?;
        cx.journal.forget(FACT)
    }
}

impl KeptBundle {
    /// Removes it where the images have come into the store since.
    pub fn take_out(cx: &mut Cx<'_>) -> Result<()> {
        if !cx.journal.knows(Self::ID) {
            return Ok(());
        }
        cx.take_back_file(Self::PATH.as_str())?;
        cx.journal.forget(FACT)?;
        cx.journal.undone(Self::ID)
    }
}

impl KeptBundle {
    /// The verifier reads; all that it reads goes to the file.
    fn copy(&self, from: Box<dyn Feed + Send>, file: &File) -> Result<()> {
        let to = file.try_clone().lift(Kind::Host, || format!("open '{}' twice", Self::PATH))?;
        let failed = Arc::default();
        let tee = Tee { from: Stoppable(from), to, failed: Arc::clone(&failed) };
        let verdict = bundle::verify_pipe(tee, Some(self.architecture))?;
        signal::check()?;
        let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map_or(Ok(()), Err).lift(Kind::Host, || format!("write '{}'", Self::PATH))?;
        if let Some(flaw) = verdict.worst() {
            let fault = flaw.fault();
            return Err(Error::from(flaw.clone())).doing(|| format!("the bundle is {}", fault.words()));
        }
        match verdict.contents {
            Some(contents) if contents.identity == self.identity => Ok(()),
            _ => Err(Error::new(Kind::Bundle, "the bundle is not the one that it was a moment ago")
                .hint("run again, and leave its file alone meanwhile")),
        }
    }
}

/// Writes down whatever is read through it.
struct Tee {
    from: Stoppable<Box<dyn Feed + Send>>,
    to: File,
    /// Why it could not be written, as the reader only knows that it could not read.
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl Read for Tee {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        match self.to.write_all(buffer.get(..n).unwrap_or_default()) {
            Ok(()) => Ok(n),
            Err(e) => {
                let told = io::Error::from(e.kind());
                *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(e);
                Err(told)
            }
        }
    }
}
