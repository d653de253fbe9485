//! The bundle: one file with everything that a node needs, read from a file or from a pipe (docs/bundle-format.md).
//!
//! [`Bundle::open`] and [`Bundle::from_pipe`] read and check all metadata before they return. Components and layers
//! are then read with [`crate::oci::Blobs::open`], each hashed as it streams. Whoever writes one down must let nothing take
//! effect before the reader came to its end.

mod catalogue;
mod convert;
mod cursor;
mod draft;
pub mod elf;
mod fault;
mod head;
mod image;
mod index;
mod k3s_images;
mod load;
mod manifest;
mod names;
mod origin;
mod pack;
mod pattern;
mod pull;
mod replay;
#[cfg(test)]
mod sample;
mod select;
pub mod signature;
mod tape;
mod tar;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod verify;
pub mod volumes;

pub use catalogue::Catalogue;
pub use draft::{Draft, Request};
pub use elf::Program;
pub use fault::{Fault, Flaw};
pub use manifest::{COMPONENT_TYPE, Component, ImageEntry, MEDIA_TYPE, Manifest, SCHEMA};
pub use names::{Destination, Mode, Role, Version};
pub use pack::write;
pub use replay::{Recorder, Replay, record};
pub use tape::Seekable;
pub use time::Timestamp;
pub use verify::{Contents, Verdict, verify, verify_pipe};

use std::io::{self, Read};
use std::path::Path;

use self::cursor::Cursor;
use self::tape::Tape;
use self::volumes::Opened;
use crate::digest::{Digest, Verified};
use crate::error::{Error, Kind, Lift, Result};
use crate::feed::Feed;
use crate::oci::{Blobs, Descriptor, Image};
use crate::sys::ahead::Ahead;
use crate::sys::signal::Stoppable;

/// A bundle whose metadata is sound.
#[derive(Debug)]
pub struct Bundle {
    name: String,
    identity: Digest,
    manifest: Manifest,
    /// The edgelay manifest, byte for byte.
    manifest_bytes: Vec<u8>,
    images: Vec<Image>,
    cursor: Cursor,
}

/// Bytes that a bundle brings, each blob counted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The bundle itself.
    pub file: u64,
    /// All components.
    pub components: u64,
    /// All layers as they are stored, with manifests and configs: what a content store takes up.
    pub blobs: u64,
    /// All layers uncompressed: what snapshots take up, about.
    pub unpacked: u64,
}

impl Bundle {
    /// Opens a file, a block device or a named pipe. Of a file that can seek, every header is looked at, so that a
    /// bundle which was cut short is refused here.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        named(Self::try_open(path), &name)
    }

    /// [`Bundle::open`], with the class of what is wrong.
    pub fn try_open(path: &Path) -> std::result::Result<Self, Flaw> {
        let mut bundle = Self::unscanned(path)?;
        if bundle.is_seekable() {
            bundle.cursor.scan()?;
        }
        Ok(bundle)
    }

    fn unscanned(path: &Path) -> std::result::Result<Self, Flaw> {
        let unreadable = |e: io::Error| Flaw::new(Fault::Unreadable, format_args!("cannot be read: {e}"));
        let name = path.display().to_string();
        let mut file = match volumes::open(path).map_err(unreadable)? {
            Opened::File(file) => file,
            Opened::Volumes(volumes) => return load::load(Tape::file(Box::new(volumes))?, name),
        };
        match io::Seek::rewind(&mut file) {
            Ok(()) => load::load(Tape::file(Box::new(Ahead::new(file)))?, name),
            // ESPIPE: `--bundle /dev/stdin`, or a named pipe.
            Err(_) => load::load(Tape::pipe(Box::new(Stoppable(file))), name),
        }
    }

    /// From anything that can seek; `name` is for messages.
    pub fn from_seekable(file: impl Seekable + 'static, name: &str) -> std::result::Result<Self, Flaw> {
        let mut bundle = load::load(Tape::file(Box::new(file))?, name.to_owned())?;
        bundle.cursor.scan()?;
        Ok(bundle)
    }

    /// From a pipe, which can only be read forward: blobs must be opened in the order in which they lie, and each
    /// once. `name` is for messages.
    pub fn from_pipe(pipe: impl Read + Send + 'static, name: &str) -> Result<Self> {
        named(Self::try_from_pipe(pipe, name), name)
    }

    /// [`Bundle::from_pipe`], with the class of what is wrong.
    pub fn try_from_pipe(pipe: impl Read + Send + 'static, name: &str) -> std::result::Result<Self, Flaw> {
        load::load(Tape::pipe(Box::new(pipe)), name.to_owned())
    }

    /// File name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Digest of the edgelay manifest. It pins every byte of the bundle, so two bundles with one identity are equal.
    pub fn identity(&self) -> Digest {
        self.identity
    }

    /// What the bundle is for and what it holds.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Files to lay down, in the order in which they lie in the bundle.
    pub fn components(&self) -> &[Component] {
        &self.manifest.components
    }

    /// The component with this name in the catalogue.
    pub fn component(&self, name: &str) -> Option<&Component> {
        self.manifest.components.iter().find(|c| c.name == name)
    }

    /// Images to import, in the order in which they lie in the bundle: the pause image first.
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// Whether blobs can be opened in any order and again.
    pub fn is_seekable(&self) -> bool {
        self.cursor.is_seekable()
    }

    /// What its role needs and it does not have, all of it, as an error.
    pub fn lacks(&self) -> Result<()> {
        match verify::lacks(&self.manifest)? {
            Some(flaw) => Err(Error::from(flaw.on(&format_args!("bundle '{}'", self.name)))
                .hint("make the bundle anew with 'edgelay bundle create', which names all that is missing")),
            None => Ok(()),
        }
    }

    /// How much there is, for the check of disk space.
    pub fn sizes(&self) -> Sizes {
        let components: u64 = self.manifest.components.iter().map(|c| c.size).sum();
        let parts: u64 = self.cursor.parts().iter().map(|p| p.header.size).sum();
        let metadata: u64 = self.images.iter().map(|i| i.manifest.size + i.config.size).sum();
        Sizes {
            file: self.cursor.file_size(),
            components,
            blobs: parts - components + metadata,
            unpacked: self.manifest.images.iter().fold(0, |sum, i| sum.saturating_add(i.unpacked)),
        }
    }

    /// Reads on to the end of a pipe, so that whoever writes into it is not cut off, and checks that nothing was
    /// missing. A file was checked when it was opened.
    pub fn finish(mut self) -> Result<()> {
        if self.cursor.is_seekable() {
            return Ok(());
        }
        named(self.cursor.scan(), &self.name)
    }

    fn metadata(&self, digest: &Digest) -> Option<&[u8]> {
        self.images.iter().find_map(|image| {
            let manifest = (image.manifest.digest == *digest).then_some(image.manifest_bytes.as_slice());
            manifest.or_else(|| (image.config.digest == *digest).then_some(image.config_bytes.as_slice()))
        })
    }
}

impl Blobs for Bundle {
    fn open(&mut self, blob: &Descriptor) -> Result<Box<dyn Feed + '_>> {
        if self.metadata(&blob.digest).is_some() {
            let bytes = self.metadata(&blob.digest).unwrap_or_default();
            return Ok(Box::new(Verified::new(bytes, blob.digest, blob.size)));
        }
        let Some((index, part)) = self.cursor.part(&blob.digest) else {
            return Err(Error::new(Kind::Bundle, format_args!("bundle '{}' has no blob {}", self.name, blob.digest)));
        };
        let label = format!("bundle '{}': {}", self.name, part.label);
        if part.header.size != blob.size {
            let what = format!("{label} has {} bytes, expected {}", part.header.size, blob.size);
            return Err(Error::new(Kind::Bundle, what));
        }
        named(self.cursor.go(index), &self.name)?;
        let inner = Verified::new(&mut self.cursor, blob.digest, blob.size);
        Ok(Box::new(Labelled { inner, label }))
    }

    fn position(&self, blob: &Digest) -> Option<u64> {
        if self.metadata(blob).is_some() {
            return Some(0);
        }
        self.cursor.part(blob).map(|(_, part)| part.at)
    }

    fn rewinds(&self) -> bool {
        self.is_seekable()
    }
}

/// Names the bundle in a flaw.
fn named<T>(result: std::result::Result<T, Flaw>, name: &str) -> Result<T> {
    result.map_err(|flaw| flaw.on(&format_args!("bundle '{name}'")).into())
}

/// Names the blob in every error of its reader.
struct Labelled<R> {
    inner: R,
    label: String,
}

impl<R: Read> Read for Labelled<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf) {
            // The caller asks again; nothing is lost.
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            other => Ok(other.lift(Kind::Bundle, || self.label.clone())?),
        }
    }
}
