//! Tar entries one after the other (POSIX.1-2017 pax, "ustar Interchange Format", and GNU's long names).
//!
//! Other than a layer ([`super::Members`]), an archive must have its end mark: without it, it was cut.
//!
//! ```text
//!   512 bytes   size, rounded up to 512        512          at least one block of zeros
//! ┌──────────┬───────────────────────────┬──────────┬─ ─ ─┬────────────────────────────┐
//! │  header  │           data            │  header  │     │            end             │
//! └──────────┴───────────────────────────┴──────────┴─ ─ ─┴────────────────────────────┘
//! ```

use std::io::{self, Read, Seek, SeekFrom};

use super::header::{BadHeader, Header, text};
use super::name::entry_name;
use super::pax::{Records, decimal};
use super::{COPY_AGAIN, MAKE_AGAIN, bad, unreadable};
use crate::error::{Error, Result};
use crate::feed::Feed;

/// Entries of one archive. A `docker save` of fifty images has some thousands.
const MAX_ENTRIES: usize = 1 << 16;

/// Size of one entry, and of a whole archive, uncompressed: far above any image, far below what overflows.
const MAX_SIZE: u64 = 256 << 30;

/// A long-name or PAX entry: names of `PATH_MAX` with room for attributes.
const MAX_EXTENSION: u64 = 64 << 10;

const BLOCK: u64 = 512;

/// An entry of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In the form of [`entry_name`].
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes of data; 0 for all but files.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Where the data begins in the uncompressed archive.
    pub offset: u64,
}

/// What an [`Entry`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// Regular file.
    File,
    /// Directory.
    Dir,
    /// Symbolic link with its text.
    Symlink(String),
    /// Hard link to an earlier entry, named in the form of [`entry_name`].
    HardLink(String),
    /// Device, FIFO or anything else, by its type byte.
    Other(u8),
}

/// A reader that can step over bytes.
pub trait Skip: Feed {
    /// Steps over `n` bytes. May step over the end: the next read tells.
    fn skip(&mut self, n: u64) -> io::Result<()>;
}

impl Read for dyn Skip {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.draw(buf)
    }
}

impl Skip for Box<dyn Skip> {
    fn skip(&mut self, n: u64) -> io::Result<()> {
        (**self).skip(n)
    }
}

/// Steps over bytes by reading them.
#[derive(Debug)]
pub struct Forward<R>(pub R);

impl<R: Read> Read for Forward<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read> Skip for Forward<R> {
    fn skip(&mut self, n: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        let mut left = n;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            match self.0.read(buffer.get_mut(..want).unwrap_or(&mut [])) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => left = left.saturating_sub(u64::try_from(n).unwrap_or(u64::MAX)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Steps over bytes by seeking.
#[derive(Debug)]
pub struct Seekable<R>(pub R);

impl<R: Read> Read for Seekable<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl<R: Read + Seek> Skip for Seekable<R> {
    fn skip(&mut self, n: u64) -> io::Result<()> {
        let n = i64::try_from(n).map_err(io::Error::other)?;
        self.0.seek(SeekFrom::Current(n)).map(drop)
    }
}

/// Goes through an archive once. After [`Walk::advance`] gave a file, reading from the walk gives its data; what is
/// not read is stepped over.
#[derive(Debug)]
pub struct Walk<R> {
    input: R,
    /// Bytes of the archive consumed.
    at: u64,
    /// End of the current entry's data.
    end: u64,
    /// Bytes in the archive, if they are known beforehand.
    length: Option<u64>,
    entries: usize,
    last: String,
}

/// What name and PAX entries say about the entry that follows them.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<i64>,
    pax: bool,
}

impl Ahead {
    fn is_empty(&self) -> bool {
        !self.pax && self.name.is_none() && self.link.is_none()
    }
}

impl<R: Skip> Walk<R> {
    /// From the start of an archive. With its `length`, an entry that reaches beyond is refused at once.
    pub fn new(input: R, length: Option<u64>) -> Self {
        Walk { input, at: 0, end: 0, length, entries: 0, last: String::new() }
    }

    /// Bytes of the archive consumed so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Goes to the next entry. `None`: the archive ends here, as it should.
    pub fn advance(&mut self) -> Result<Option<Entry>> {
        let mut ahead = Ahead::default();
        let mut block = [0; 512];
        while self.header(&mut block)? {
            let header = Header::new(&block).map_err(|why| self.damaged(why))?;
            self.count()?;
            match header.kind() {
                b'L' if ahead.name.is_none() => ahead.name = Some(self.long_name(&header)?),
                b'K' if ahead.link.is_none() => ahead.link = Some(self.long_name(&header)?),
                b'x' if !ahead.pax => self.pax(&header, &mut ahead)?,
                b'L' | b'K' | b'x' => {
                    let what = format!("two long names in a row for one entry, at byte {}", self.at);
                    return Err(bad(what).hint(MAKE_AGAIN));
                }
                // Comments of git and the like; what it may say about names concerns every entry and nobody uses it.
                b'g' => self.extent(&header, None, "a comment")?,
                _ => match self.entry(&header, ahead)? {
                    // The archive's own root directory.
                    entry if entry.name.is_empty() => ahead = Ahead::default(),
                    entry => return Ok(Some(entry)),
                },
            }
        }
        if !ahead.is_empty() {
            return Err(bad("archive ends with a long name that has no entry").hint(COPY_AGAIN));
        }
        Ok(None)
    }

    /// Reads up to `buf.len()` bytes of the current entry; fewer only at its end.
    pub fn peek_head(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read(rest) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(unreadable(e, &format!("entry '{}'", self.last))),
            }
        }
        Ok(filled)
    }

    fn count(&mut self) -> Result<()> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(bad(format_args!("has more entries than the limit of {MAX_ENTRIES}")).hint(MAKE_AGAIN));
        }
        Ok(())
    }

    fn place(&self) -> String {
        if self.last.is_empty() { "the archive".to_owned() } else { format!("the archive after entry '{}'", self.last) }
    }

    /// Steps to the next header and reads it. `false`: the end mark.
    fn header(&mut self, block: &mut [u8; 512]) -> Result<bool> {
        let next = self.end.next_multiple_of(BLOCK);
        let gap = next.saturating_sub(self.at);
        if gap > 0 {
            self.input.skip(gap).map_err(|e| unreadable(e, &self.cut_place()))?;
            self.at = next;
        }
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.draw(rest) {
                Ok(0) if filled == 0 && self.at == 0 => return Err(bad("is empty").hint(COPY_AGAIN)),
                Ok(0) if self.at == 0 => return Err(no_tar()),
                Ok(0) => {
                    let what = format!("{} is truncated: no end mark at byte {}", self.place(), self.at);
                    return Err(bad(what).hint(COPY_AGAIN));
                }
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(unreadable(e, &self.place())),
            }
        }
        self.at = self.at.saturating_add(BLOCK);
        self.end = self.at;
        Ok(block.iter().any(|byte| *byte != 0))
    }

    fn cut_place(&self) -> String {
        if self.last.is_empty() { "the archive".to_owned() } else { format!("entry '{}'", self.last) }
    }

    fn damaged(&self, why: BadHeader) -> Error {
        match self.at {
            BLOCK if why == BadHeader::Sum => no_tar(),
            at => bad(format_args!("header at byte {} is damaged", at - BLOCK)).because(why).hint(COPY_AGAIN),
        }
    }

    /// Notes where the data of the entry under `header` ends.
    fn extent(&mut self, header: &Header<'_>, size: Option<i64>, what: &str) -> Result<()> {
        let size = match size {
            Some(size) => size,
            None => header.size().map_err(|why| self.damaged(why))?,
        };
        let size = u64::try_from(size).map_err(|_| self.damaged(BadHeader::Number("size")))?;
        let end = self.at.checked_add(size).filter(|end| size <= MAX_SIZE && *end <= MAX_SIZE);
        self.end = end.ok_or_else(|| {
            bad(format_args!("{what} has {size} bytes, the limit for an archive is {MAX_SIZE}")).hint(MAKE_AGAIN)
        })?;
        match self.length {
            Some(length) if self.end > length => {
                let what =
                    format!("{what} is truncated: expected it to end at byte {}, the file has {length}", self.end);
                Err(bad(what).hint(COPY_AGAIN))
            }
            _ => Ok(()),
        }
    }

    /// The data of a name or PAX entry.
    fn extension(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        self.extent(header, None, "a long name")?;
        let size = self.end.saturating_sub(self.at);
        if size > MAX_EXTENSION {
            let what = format!("long name at byte {} has {size} bytes, the limit is {MAX_EXTENSION}", self.at);
            return Err(bad(what).hint(MAKE_AGAIN));
        }
        let mut data = Vec::new();
        let place = self.place();
        (self as &mut dyn Feed).read_to_end(&mut data).map_err(|e| unreadable(e, &place))?;
        Ok(data)
    }

    fn long_name(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let name = self.extension(header)?;
        Ok(text(&name).to_vec())
    }

    /// POSIX.1-2017 pax, "pax Extended Header".
    fn pax(&mut self, header: &Header<'_>, ahead: &mut Ahead) -> Result<()> {
        let data = self.extension(header)?;
        let damaged = || bad(format_args!("extended header before byte {} is damaged", self.at)).hint(COPY_AGAIN);
        ahead.pax = true;
        for record in Records::new(&data) {
            match record.map_err(|_| damaged())? {
                (_, b"") => {}
                (b"path", value) => ahead.name = Some(value.to_vec()),
                (b"linkpath", value) => ahead.link = Some(value.to_vec()),
                (b"size", value) => ahead.size = Some(decimal(value).ok_or_else(damaged)?),
                (key, _) if key.starts_with(b"GNU.sparse.") => {
                    return Err(bad(format_args!("sparse entry at byte {}", self.at)).hint(MAKE_AGAIN));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header<'_>, ahead: Ahead) -> Result<Entry> {
        let raw = ahead.name.unwrap_or_else(|| header.name());
        let name = entry_name(&raw)?;
        self.last.clone_from(&name);
        let link = ahead.link.as_deref().unwrap_or(header.link());
        let kind = match header.kind() {
            // Before POSIX, a directory was a file whose name ends in a slash.
            0 | b'0' if raw.ends_with(b"/") => EntryKind::Dir,
            0 | b'0' | b'7' => EntryKind::File,
            b'5' => EntryKind::Dir,
            b'2' => EntryKind::Symlink(String::from_utf8_lossy(link).into_owned()),
            b'1' => EntryKind::HardLink(entry_name(link)?),
            b'S' => return Err(bad(format_args!("entry '{name}' is a sparse file")).hint(MAKE_AGAIN)),
            other => EntryKind::Other(other),
        };
        self.extent(header, ahead.size, &format!("entry '{name}'"))?;
        let size = self.end.saturating_sub(self.at);
        if size > 0 && kind != EntryKind::File {
            return Err(bad(format_args!("entry '{name}' is no file but has {size} bytes of data")).hint(MAKE_AGAIN));
        }
        let mode = header.mode().map_err(|why| self.damaged(why))?;
        let mode = u32::try_from(mode & 0o7777).unwrap_or_default();
        Ok(Entry { name, kind, size, mode, offset: self.at })
    }
}

fn no_tar() -> Error {
    bad("is not a tar archive").hint(MAKE_AGAIN)
}

impl<R: Skip> Read for Walk<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let want = left.min(buf.len());
        let Some(buf) = buf.get_mut(..want).filter(|buf| !buf.is_empty()) else { return Ok(0) };
        match self.input.draw(buf)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.at = self.at.saturating_add(u64::try_from(n).unwrap_or(u64::MAX));
                Ok(n)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Kind, Lift};
    use std::io::Cursor;
    use tar::{EntryType, Header};

    fn raw(kind: EntryType, name: &str, size: u64, data: &[u8]) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o755);
        header.set_cksum();
        let mut out = [header.as_bytes(), data].concat();
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }

    fn file(name: &str, data: &[u8]) -> Vec<u8> {
        raw(EntryType::Regular, name, data.len() as u64, data)
    }

    fn end() -> Vec<u8> {
        vec![0; 1024]
    }

    /// Names, kinds and data, read through both ways of stepping, which must agree.
    fn list(bytes: &[u8]) -> std::result::Result<Vec<(Entry, Vec<u8>)>, String> {
        fn all<R: Skip>(mut walk: Walk<R>) -> Result<Vec<(Entry, Vec<u8>)>> {
            let mut out = Vec::new();
            while let Some(entry) = walk.advance()? {
                let mut data = Vec::new();
                walk.read_to_end(&mut data).lift(Kind::Bundle, || "data".into())?;
                out.push((entry, data));
            }
            Ok(out)
        }
        fn names<R: Skip>(mut walk: Walk<R>) -> Result<Vec<Entry>> {
            std::iter::from_fn(|| walk.advance().transpose()).collect()
        }
        let length = Some(bytes.len() as u64);
        let read = all(Walk::new(Forward(bytes), None)).map_err(|e| e.to_string());
        let skipped = names(Walk::new(Forward(bytes), None)).map_err(|e| e.to_string());
        let sought = names(Walk::new(Seekable(Cursor::new(bytes)), length)).map_err(|e| e.to_string());
        match (&read, &skipped, &sought) {
            (Ok(all), Ok(skipped), Ok(sought)) => {
                assert_eq!(skipped, sought);
                assert!(all.iter().map(|(entry, _)| entry).eq(sought));
            }
            (Err(_), Err(_), Err(_)) => {}
            other => panic!("{other:?}"),
        }
        read
    }

    #[test]
    fn entries_of_every_kind() {
        let long = format!("a/{}", "b".repeat(200));
        let record = format!("{} path={long}\n", long.len() + 10);
        let mut link = Header::new_ustar();
        link.set_path("l").unwrap();
        link.set_entry_type(EntryType::Symlink);
        link.set_size(0);
        link.set_link_name_literal("../x").unwrap();
        link.set_cksum();
        let bytes = [
            raw(EntryType::Directory, "./", 0, b""),
            raw(EntryType::Directory, "d/", 0, b""),
            file("./d/one", b"1"),
            raw(EntryType::GNULongName, "././@LongLink", 203, format!("{long}\0").as_bytes()),
            file("short", b"22"),
            raw(EntryType::XHeader, "x", record.len() as u64, record.as_bytes()),
            file("short", b"333"),
            raw(EntryType::XGlobalHeader, "g", 5, b"hello"),
            link.as_bytes().to_vec(),
            raw(EntryType::Fifo, "fifo", 0, b""),
            file("empty", b""),
            end(),
        ]
        .concat();
        let found: Vec<_> = list(&bytes).unwrap().into_iter().map(|(e, data)| (e.name, e.kind, e.size, data)).collect();
        let entry = |name: &str, kind, data: &[u8]| (name.to_owned(), kind, data.len() as u64, data.to_vec());
        let want = [
            entry("d", EntryKind::Dir, b""),
            entry("d/one", EntryKind::File, b"1"),
            entry(&long, EntryKind::File, b"22"),
            entry(&long, EntryKind::File, b"333"),
            entry("l", EntryKind::Symlink("../x".into()), b""),
            entry("fifo", EntryKind::Other(b'6'), b""),
            entry("empty", EntryKind::File, b""),
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn names_and_sizes_of_every_form() {
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        let header = |mut header: Header, set: &dyn Fn(&mut [u8; 512])| {
            header.set_size(1);
            header.set_mode(0o644);
            set(header.as_mut_bytes());
            header.set_cksum();
            let mut out = [header.as_bytes(), &b"1"[..]].concat();
            out.resize(1024, 0);
            out
        };
        let mut prefixed = Header::new_ustar();
        prefixed.set_path(&long).unwrap();
        let bytes = [
            header(prefixed, &|_| ()),
            header(Header::new_gnu(), &|block| {
                block[0] = b'b';
                block[124..136].copy_from_slice(b"\x80\0\0\0\0\0\0\0\0\0\0\x01");
            }),
            header(Header::new_old(), &|block| block[..3].copy_from_slice(b"old")),
            // An empty value says nothing.
            raw(EntryType::XHeader, "x", 8, b"8 path=\n"),
            file("kept", b"1"),
            end(),
        ]
        .concat();
        let found: Vec<_> = list(&bytes).unwrap().into_iter().map(|(e, data)| (e.name, e.mode, data)).collect();
        let entry = |name: &str, mode| (name.to_owned(), mode, b"1".to_vec());
        let want = [entry(&long, 0o644), entry("b", 0o644), entry("old", 0o644), entry("kept", 0o755)];
        assert_eq!(found, want);
    }

    #[test]
    fn refusals_say_why() {
        let mut flipped = file("b", b"2");
        flipped[0] ^= 1;
        let pax = |record: &str| raw(EntryType::XHeader, "x", record.len() as u64, record.as_bytes());
        for (bytes, why) in [
            (vec![], "is empty"),
            (vec![b'x'; 600], "is not a tar archive"),
            (b"some text".to_vec(), "is not a tar archive"),
            (file("a", b"1"), "the archive after entry 'a' is truncated: no end mark at byte 1024"),
            (file("a", b"1")[..700].to_vec(), "entry 'a' is truncated: unexpected end of file"),
            ([file("a", b"1"), flipped].concat(), "header at byte 1024 is damaged: its check sum is wrong"),
            (
                raw(EntryType::Regular, "a", 1 << 50, b""),
                "entry 'a' has 1125899906842624 bytes, the limit for an archive is 274877906944",
            ),
            (
                raw(EntryType::GNULongName, "L", 70_000, &[b'a'; 70_000]),
                "long name at byte 512 has 70000 bytes, the limit is 65536",
            ),
            (
                [raw(EntryType::GNULongName, "L", 2, b"a\0"), end()].concat(),
                "archive ends with a long name that has no entry",
            ),
            (
                [pax("12 path=abc\n"), pax("12 path=abc\n")].concat(),
                "two long names in a row for one entry, at byte 1536",
            ),
            ([pax("99 path=abc\n"), file("a", b"")].concat(), "extended header before byte 524 is damaged"),
            ([pax("10 size=x\n"), file("a", b"")].concat(), "extended header before byte 522 is damaged"),
            ([pax("22 GNU.sparse.major=1\n"), file("a", b"")].concat(), "sparse entry at byte 534"),
            (raw(EntryType::Directory, "d/", 5, b"hello"), "entry 'd' is no file but has 5 bytes of data"),
            (file("../a", b""), "entry name '../a' has a '..' part"),
        ] {
            assert_eq!(list(&bytes).unwrap_err(), why);
        }
        let many = [raw(EntryType::Directory, "d/", 0, b"").repeat(MAX_ENTRIES + 1), end()].concat();
        assert_eq!(list(&many).unwrap_err(), "has more entries than the limit of 65536");
    }

    #[test]
    fn a_known_length_shows_a_cut_at_once() {
        let bytes = raw(EntryType::Regular, "a", 1 << 30, b"");
        let e = Walk::new(Seekable(Cursor::new(&bytes)), Some(512)).advance().unwrap_err();
        assert_eq!(e.to_string(), "entry 'a' is truncated: expected it to end at byte 1073742336, the file has 512");
    }
}
