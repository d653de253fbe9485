//! Where the bytes of a component come from: a file, or a file inside a release archive.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::elf::Program;
use crate::archive::{Entry, EntryKind, Forward, Skip, Walk, layer_reader};
use crate::digest::{Digest, measure_with_head};
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::feed::Feed;

/// A file, or a file inside an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) file: PathBuf,
    /// Path inside the archive, without a leading `./`.
    pub(super) inside: Option<String>,
}

/// What one look at all bytes tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// The first bytes, at most [`Program::HEAD`].
    pub(super) head: Vec<u8>,
}

type Archive = Walk<Box<dyn Skip>>;

fn open_file(path: &Path) -> Result<File> {
    let file = File::open(path).lift(Kind::Host, || format!("open '{}'", path.display()))?;
    let meta = file.metadata().lift(Kind::Host, || format!("look at '{}'", path.display()))?;
    if meta.is_file() {
        return Ok(file);
    }
    Err(Error::new(Kind::Host, format_args!("'{}' is no regular file", path.display())))
}

fn open_archive(path: &Path) -> Result<Archive> {
    let reader = layer_reader(open_file(path)?).doing(|| read_of(path))?;
    Ok(Walk::new(Box::new(Forward(reader)), None))
}

fn read_of(path: &Path) -> String {
    format!("read '{}'", path.display())
}

impl Origin {
    /// A reader of the bytes.
    pub(super) fn open(&self) -> Result<Box<dyn Feed>> {
        let Some(inside) = &self.inside else { return Ok(Box::new(open_file(&self.file)?)) };
        let mut archive = open_archive(&self.file)?;
        while let Some(entry) = archive.advance().doing(|| read_of(&self.file))? {
            if is_file(&entry, inside) {
                return Ok(Box::new(archive));
            }
        }
        Err(Error::new(Kind::Host, format_args!("'{}' has no '{inside}' any more", self.file.display())))
    }
}

fn is_file(entry: &Entry, name: &str) -> bool {
    entry.kind == EntryKind::File && entry.name == name
}

/// Looks at a file.
pub(super) fn measure_file(path: &Path) -> Result<Measure> {
    measure(&mut open_file(path)?).lift(Kind::Host, || read_of(path))
}

/// Looks at some files of an archive, in one pass over it. What is not there is not in the result.
pub(super) fn measure_archive(path: &Path, wanted: &[&str]) -> Result<Vec<(String, Measure)>> {
    let mut found: Vec<(String, Measure)> = Vec::new();
    let mut archive = open_archive(path)?;
    while let Some(entry) = archive.advance().doing(|| read_of(path))? {
        if wanted.iter().any(|name| is_file(&entry, name)) && !found.iter().any(|(name, _)| *name == entry.name) {
            let measure = measure(&mut archive).lift(Kind::Bundle, || read_of(path))?;
            found.push((entry.name, measure));
        }
    }
    Ok(found)
}

fn measure(from: &mut dyn Feed) -> std::io::Result<Measure> {
    let (digest, size, head) = measure_with_head(from, Program::HEAD)?;
    Ok(Measure { digest, size, head })
}
