//! A tar file, plain or compressed, as a [`Shelf`].

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::packed::Packed;
use super::shelf::{HEAD_BYTES, Item, Shelf};
use crate::archive::{
    Compression, Entry, EntryKind, Forward, HEAD, MAKE_AGAIN, Seekable, Skip, Walk, Window, bad, decoder, resolve_link,
    unreadable,
};
use crate::error::{Kind, Lift, Result};
use crate::feed::{self, Feed};
use crate::oci::MAX_DOCUMENT;
use crate::sorted::Map;

/// Links from one entry to the next. Docker makes one; more than this is a loop.
const MAX_LINKS: usize = 16;

/// Documents of a compressed archive that are kept from the first pass, in bytes altogether: going back to each of
/// them would be a pass of its own. What exceeds this is read again.
const MAX_KEPT: usize = 1 << 18;

/// Names and link targets of one archive, in bytes altogether. Real ones have less than a hundred KiB.
const MAX_NAMES: usize = 512 << 10;

/// Files and links of one archive. Fifty large images have three thousand.
const MAX_FILES: usize = 1 << 13;

/// A tar file.
pub(super) struct Tarball {
    packed: Packed,
    entries: Map<String, Held>,
    kept: Map<String, Vec<u8>>,
}

enum Held {
    File(Item),
    Symlink(String),
    HardLink(String),
    Other,
}

impl Tarball {
    /// Opens the file and lists its entries: for a plain tar by their headers alone, else in one pass.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let failed = || "open it".to_owned();
        // Not blocking: a FIFO in the place of a file must not stop us.
        let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
        let mut file = File::options().read(true).custom_flags(flags).open(path).lift(Kind::Host, failed)?;
        let meta = file.metadata().lift(Kind::Host, failed)?;
        if !meta.is_file() {
            let e = bad("is no regular file, expected an archive or a directory");
            return Err(e.hint("write it to a file first: layers are not read in the order in which they lie in it"));
        }
        let head = feed::first(&mut file, HEAD).map_err(|e| unreadable(e, "the archive"))?;
        let how = Compression::sniff(&head)?;
        file.seek(SeekFrom::Start(0)).lift(Kind::Bundle, || "seek".to_owned())?;
        let again = file.try_clone().lift(Kind::Host, failed)?;
        let mut list = List::default();
        let (input, length, room): (Box<dyn Skip>, _, _) = match how {
            Compression::Plain => (Box::new(Seekable(file)), Some(meta.len()), 0),
            _ => (Box::new(Forward(decoder(how, file))), None, MAX_KEPT),
        };
        list.fill(Walk::new(input, length), room)?;
        Ok(Tarball { packed: Packed::new(again, how), entries: list.entries, kept: list.kept })
    }
}

#[derive(Default)]
struct List {
    entries: Map<String, Held>,
    kept: Map<String, Vec<u8>>,
    names: usize,
}

impl List {
    fn fill(&mut self, mut walk: Walk<Box<dyn Skip>>, mut room: usize) -> Result<()> {
        while let Some(entry) = walk.advance()? {
            if entry.kind == EntryKind::Dir {
                continue;
            }
            self.count(&entry)?;
            let held = match entry.kind {
                EntryKind::File => Held::File(self.file(&entry, &mut walk, &mut room)?),
                EntryKind::Symlink(target) => Held::Symlink(target),
                EntryKind::HardLink(target) => Held::HardLink(target),
                EntryKind::Dir | EntryKind::Other(_) => Held::Other,
            };
            if self.entries.contains_key(&entry.name) {
                let what = format!("entry '{}' is there twice, expected once", entry.name.escape_debug());
                return Err(bad(what).hint(MAKE_AGAIN));
            }
            self.entries.insert(entry.name, held);
        }
        Ok(())
    }

    fn count(&mut self, entry: &Entry) -> Result<()> {
        let target = match &entry.kind {
            EntryKind::Symlink(target) | EntryKind::HardLink(target) => target.len(),
            _ => 0,
        };
        self.names = self.names.saturating_add(entry.name.len()).saturating_add(target);
        if self.names > MAX_NAMES {
            return Err(bad(format_args!("names of entries exceed the limit of {MAX_NAMES} bytes")).hint(MAKE_AGAIN));
        }
        if self.entries.len() >= MAX_FILES {
            return Err(bad(format_args!("has more files than the limit of {MAX_FILES}")).hint(MAKE_AGAIN));
        }
        Ok(())
    }

    fn file(&mut self, entry: &Entry, walk: &mut Walk<Box<dyn Skip>>, room: &mut usize) -> Result<Item> {
        let mut head = vec![0; HEAD_BYTES];
        let n = walk.peek_head(&mut head)?;
        head.truncate(n);
        let size = usize::try_from(entry.size).unwrap_or(usize::MAX);
        if size <= MAX_DOCUMENT.min(*room) && matches!(head.first(), Some(b'{' | b'[')) {
            let mut bytes = head.clone();
            (walk as &mut dyn Feed)
                .read_to_end(&mut bytes)
                .map_err(|e| unreadable(e, &format!("entry '{}'", entry.name)))?;
            *room -= size;
            self.kept.insert(entry.name.clone(), bytes);
        }
        Ok(Item { name: entry.name.clone(), size: entry.size, head, position: entry.offset })
    }
}

impl Shelf for Tarball {
    fn find(&self, name: &str) -> Result<Option<Item>> {
        let mut at = name.to_owned();
        for _ in 0..MAX_LINKS {
            let next = match self.entries.get(&at) {
                None => return Ok(None),
                Some(Held::File(item)) => return Ok(Some(item.clone())),
                Some(Held::Symlink(target)) => resolve_link(&at, target)?,
                Some(Held::HardLink(target)) => target.clone(),
                Some(Held::Other) => {
                    let what = format!("entry '{at}' is neither a file nor a link");
                    return Err(bad(what).hint(MAKE_AGAIN));
                }
            };
            at = next;
        }
        Err(bad(format_args!("entry '{name}' is a link that leads in a loop")).hint(MAKE_AGAIN))
    }

    fn open(&mut self, item: &Item) -> Result<Box<dyn Feed + '_>> {
        if let Some(bytes) = self.kept.get(&item.name) {
            return Ok(Box::new(&bytes[..]));
        }
        let bytes = self.packed.from(item.position)?;
        Ok(Box::new(Exactly { bytes, left: item.size }))
    }

    fn forget(&mut self) {
        self.entries.clear();
        self.kept.clear();
    }

    fn window(&self) -> Window {
        self.packed.window()
    }

    fn rewinds(&self) -> bool {
        self.packed.is_plain()
    }
}

/// `left` bytes, or an error that says the archive is cut.
struct Exactly<R> {
    bytes: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..want).filter(|buf| !buf.is_empty()) else { return Ok(0) };
        match self.bytes.read(buf)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.left = self.left.saturating_sub(u64::try_from(n).unwrap_or(u64::MAX));
                Ok(n)
            }
        }
    }
}
