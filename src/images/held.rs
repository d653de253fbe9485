//! The blobs of the images of one file: found by digest, verified as they are read.

use std::io::{self, Read};

use super::shelf::{Item, Shelf};
use crate::archive::{COPY_AGAIN, Compression, MAKE_AGAIN, Window, bad, unreadable};
use crate::digest::{Digest, Hasher, Verified};
use crate::error::{Error, Result, Trail};
use crate::feed::Feed;
use crate::oci::{Blobs, Descriptor, Found, MAX_DOCUMENT, Store};
use crate::sorted::Map;

/// Documents read from one file, in bytes altogether; most stay in memory. Fifty images with their indexes have less.
const MAX_DOCUMENTS: usize = 640 << 10;

/// A shelf that knows which item is which blob.
pub(super) struct Held {
    shelf: Box<dyn Shelf>,
    /// Path, for messages that leave [`super::load`].
    file: String,
    /// Blobs that have been found.
    items: Map<Digest, Item>,
    /// Blobs that are not in the file: manifests made by us.
    made: Map<Digest, Vec<u8>>,
    documents: usize,
}

impl Held {
    pub(super) fn new(shelf: Box<dyn Shelf>, file: String) -> Self {
        Held { shelf, file, items: Map::new(), made: Map::new(), documents: 0 }
    }

    /// Everything that is wanted has been found: lets go of the rest.
    pub(super) fn settle(&mut self) {
        self.shelf.forget();
    }

    /// Finds a file by its name.
    pub(super) fn find(&self, name: &str) -> Result<Option<Item>> {
        self.shelf.find(name)
    }

    /// Says that `item` is the blob `digest`; the first one said stays.
    pub(super) fn is(&mut self, digest: Digest, item: Item) {
        self.items.or_insert_with(digest, || item);
    }

    /// Adds a blob that is not in the file.
    pub(super) fn make(&mut self, digest: Digest, bytes: Vec<u8>) {
        self.made.insert(digest, bytes);
    }

    /// The bytes of a document by its name, for those that have no digest. `None`: not there.
    pub(super) fn named_document(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(item) = self.find(name)? else { return Ok(None) };
        self.small(&item).map(Some)
    }

    /// All bytes of an item that must not be larger than a document.
    pub(super) fn small(&mut self, item: &Item) -> Result<Vec<u8>> {
        let size = usize::try_from(item.size).unwrap_or(usize::MAX);
        if size > MAX_DOCUMENT {
            let what = format!("entry '{}' has {size} bytes, the limit for a document is {MAX_DOCUMENT}", item.name);
            return Err(bad(what).hint(MAKE_AGAIN));
        }
        self.documents = self.documents.saturating_add(size);
        if self.documents > MAX_DOCUMENTS {
            return Err(bad(format_args!("documents exceed the limit of {MAX_DOCUMENTS} bytes")).hint(MAKE_AGAIN));
        }
        let mut bytes = Vec::with_capacity(size);
        let what = format!("entry '{}'", item.name);
        self.shelf.open(item)?.read_to_end(&mut bytes).map_err(|e| unreadable(e, &what))?;
        if bytes.len() != size {
            return Err(bad(format_args!("{what} has {} bytes, expected {size}", bytes.len())).hint(COPY_AGAIN));
        }
        Ok(bytes)
    }

    /// The digest of an item, whatever its size.
    pub(super) fn hash(&mut self, item: &Item) -> Result<Digest> {
        let what = format!("entry '{}'", item.name);
        let mut reader = self.shelf.open(item)?;
        let mut hasher = Hasher::default();
        let mut buffer = vec![0; 64 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(n) => hasher.update(buffer.get(..n).unwrap_or(&buffer)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(unreadable(e, &what)),
            }
        }
    }

    /// The item that holds a blob: one that was named, or the one in the place that a layout has for it.
    fn locate(&self, digest: &Digest) -> Result<Option<Item>> {
        match self.items.get(digest) {
            Some(item) => Ok(Some(item.clone())),
            None => self.find(&layout_name(digest)),
        }
    }
}

fn layout_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn check_size(item: &Item, blob: &Descriptor) -> Result<()> {
    if item.size == blob.size {
        return Ok(());
    }
    let what = format!("entry '{}' has {} bytes, its descriptor says {}", item.name, item.size, blob.size);
    Err(bad(what).hint(COPY_AGAIN))
}

impl Store for Held {
    fn document(&mut self, blob: &Descriptor) -> Result<Option<Vec<u8>>> {
        let Some(item) = self.locate(&blob.digest)? else { return Ok(None) };
        check_size(&item, blob)?;
        let bytes = self.small(&item)?;
        let found = Digest::of(&bytes);
        if found != blob.digest {
            let what = format!("entry '{}' is damaged: expected {}, found {found}", item.name, blob.digest);
            return Err(bad(what).hint(COPY_AGAIN));
        }
        self.is(blob.digest, item);
        Ok(Some(bytes))
    }

    fn layer(&mut self, blob: &Descriptor) -> Result<Option<Found>> {
        let Some(item) = self.locate(&blob.digest)? else { return Ok(None) };
        let compression = Compression::sniff(&item.head).doing(|| format!("entry '{}'", item.name))?;
        let size = item.size;
        self.is(blob.digest, item);
        Ok(Some(Found { size, compression }))
    }

    fn name(&self, blob: &Descriptor) -> String {
        let name = self.items.get(&blob.digest).map(|item| item.name.clone());
        format!("entry '{}'", name.unwrap_or_else(|| layout_name(&blob.digest)))
    }
}

impl Blobs for Held {
    fn open(&mut self, blob: &Descriptor) -> Result<Box<dyn Feed + '_>> {
        if let Some(bytes) = self.made.get(&blob.digest) {
            return Ok(Box::new(Verified::new(&bytes[..], blob.digest, blob.size)));
        }
        let doing = || format!("image file '{}'", self.file);
        let Some(item) = self.items.get(&blob.digest).cloned() else {
            return Err(bad(format_args!("blob {} is missing", blob.digest)).hint(COPY_AGAIN)).doing(doing);
        };
        check_size(&item, blob).doing(doing)?;
        let place = format!("image file '{}': entry '{}'", self.file, item.name);
        let bytes = self.shelf.open(&item).doing(|| place.clone())?;
        Ok(Box::new(Placed { bytes: Verified::new(bytes, blob.digest, blob.size), place }))
    }

    fn position(&self, blob: &Digest) -> Option<u64> {
        if self.made.contains_key(blob) {
            return Some(0);
        }
        self.items.get(blob).map(|item| item.position)
    }

    fn window(&self) -> Window {
        self.shelf.window()
    }

    fn rewinds(&self) -> bool {
        self.shelf.rewinds()
    }
}

/// Says in which file and entry reading failed.
struct Placed<R> {
    bytes: R,
    place: String,
}

impl<R: Read> Read for Placed<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buf).map_err(|e| match e.kind() {
            io::ErrorKind::Interrupted => e,
            _ => Error::into(unreadable(e, &self.place)),
        })
    }
}
