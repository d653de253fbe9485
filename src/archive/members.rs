//! The members of a layer's tar, with everything that makes a file: owner, times, attributes, devices, holes.
//!
//! Where [`super::Walk`] lists the few entries of an image archive, this reads what lies in its layers: millions of
//! names of any bytes. It reads exactly what containerd's reader (Go's `archive/tar`) reads out of the same bytes,
//! because the files must become the same: V7, ustar, star, GNU and PAX headers, base-256 numbers, sparse files of
//! GNU 0.0, 0.1 and 1.0, an end with or without its mark. Beyond that it knows the old GNU sparse files that
//! containerd refuses. One header and its extensions are in memory, never data.

mod sparse;

pub use sparse::Segment;

use std::io::{self, ErrorKind, Read};

use super::header::{self, BLOCK, Header, Moment};
use super::pax::{self, Records};
use super::{COPY_AGAIN, MAKE_AGAIN, bad, unreadable};
use crate::error::{Error, Result};
use crate::feed::Feed;

/// Members of one layer. Real ones have up to half a million; every member costs an inode.
pub const MAX_MEMBERS: u64 = 1 << 22;

/// Longest name or link text: Linux `PATH_MAX`.
pub const MAX_NAME: usize = 4096;

/// Longest PAX header: sparse maps and attributes lie in it. The same as Go's, so that nothing is refused that
/// containerd takes.
const MAX_PAX: u64 = 1 << 20;

/// Size of one file. A layer has less data (see [`super::MAX_LAYER`]), but a sparse file may be longer than its data.
const MAX_FILE: u64 = 1 << 40;

/// What Linux counts devices with: 12 bits and 20 bits.
const MAX_DEVICE: (u32, u32) = (0xfff, 0xf_ffff);

/// A member of a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// As it was written; may be absolute, hold `..`, and be any bytes but NUL.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits with set-uid, set-gid and sticky.
    pub mode: u32,
    /// Owner; `u32::MAX` leaves it as it is (chown(2)).
    pub uid: u32,
    /// Group; as `uid`.
    pub gid: u32,
    /// Modification time in nanoseconds since 1970.
    pub mtime: i64,
    /// Access time; never before `mtime`, as containerd has it.
    pub atime: i64,
    /// Length of a file with its holes; 0 for everything else.
    pub size: u64,
    /// The data of a file, in order: the pieces between its holes. What [`Members::read`] gives belongs to the first,
    /// then the second, and so on.
    pub segments: Vec<Segment>,
    /// The extended header.
    pax: Vec<u8>,
}

impl Member {
    /// Extended attributes: name and value. Of two with one name the later counts.
    pub fn xattrs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let records = Records::new(&self.pax).filter_map(std::result::Result::ok);
        records.filter_map(|(key, value)| Some((key.strip_prefix(pax::XATTR)?, value)))
    }
}

/// What a [`Member`] is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum MemberKind {
    /// Regular file.
    #[default]
    File,
    /// Directory.
    Dir,
    /// Symbolic link with its text.
    Symlink(Vec<u8>),
    /// Hard link to another name in the layer.
    HardLink(Vec<u8>),
    /// Character device: major and minor number.
    Char(u32, u32),
    /// Block device: major and minor number.
    Block(u32, u32),
    /// Named pipe.
    Fifo,
    /// Global PAX header. What it says counts for nothing, but its own name does: containerd makes room for it.
    Comment,
    /// Any other type; as long as its name is a whiteout's, its type does not matter.
    Unknown(u8),
}

/// Reads a layer's uncompressed tar. After [`Members::advance`] gave a file, reading from this gives its data without
/// holes; what is not read is stepped over.
#[derive(Debug)]
pub struct Members<R> {
    input: R,
    /// Bytes consumed.
    at: u64,
    /// Bytes of the current member's data that were not read yet.
    left: u64,
    /// Padding after them.
    padding: u64,
    count: u64,
    ended: bool,
    /// For messages.
    last: Vec<u8>,
}

/// What name and PAX members say about the member that follows them.
#[derive(Default)]
struct Ahead {
    name: Vec<u8>,
    link: Vec<u8>,
    pax: Vec<u8>,
}

impl<R: Read> Members<R> {
    /// From the start of a tar.
    pub fn new(input: R) -> Self {
        Members { input, at: 0, left: 0, padding: 0, count: 0, ended: false, last: Vec::new() }
    }

    /// Bytes of the tar consumed so far.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Goes to the next member. `None`: the tar ends here; bytes may follow (see [`Members::into_inner`]).
    pub fn advance(&mut self) -> Result<Option<Box<Member>>> {
        let mut ahead = Ahead::default();
        let mut block = [0; BLOCK];
        while self.block(&mut block)? {
            let header = Header::new(&block).map_err(|e| self.damaged(e))?;
            self.count()?;
            match header.kind() {
                b'x' => {
                    self.announce(&header)?;
                    ahead.pax = self.extension(MAX_PAX)?;
                }
                b'L' => {
                    self.announce(&header)?;
                    ahead.name = self.long_name()?;
                }
                b'K' => {
                    self.announce(&header)?;
                    ahead.link = self.long_name()?;
                }
                b'g' => return self.comment(&header).map(Some),
                _ => return self.member(&header, ahead).map(Some),
            }
        }
        Ok(None)
    }

    /// What the tar was read from, standing right behind the end mark.
    pub fn into_inner(self) -> R {
        self.input
    }

    fn damaged(&self, why: impl std::error::Error + Send + Sync + 'static) -> Error {
        let at = self.at.saturating_sub(BLOCK as u64);
        bad(format_args!("{} is damaged: the header at byte {at} cannot be read", self.place()))
            .because(why)
            .hint(COPY_AGAIN)
    }

    fn place(&self) -> String {
        if self.last.is_empty() { "the tar".to_owned() } else { format!("the tar after '{}'", shown(&self.last)) }
    }

    fn count(&mut self) -> Result<()> {
        self.count += 1;
        if self.count > MAX_MEMBERS {
            return Err(bad(format_args!("has more members than the limit of {MAX_MEMBERS}")).hint(MAKE_AGAIN));
        }
        Ok(())
    }

    /// The next header. `false`: the end, which one or two blocks of zeros mark, or nothing at all.
    fn block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool> {
        self.step_over()?;
        if !self.ended && self.raw_block(block)? {
            if !zeros(block) {
                return Ok(true);
            }
            if self.raw_block(block)? && !zeros(block) {
                return Err(self.damaged(header::BadHeader::Sum));
            }
        }
        self.ended = true;
        Ok(false)
    }

    /// Reads a block; `false` if there is no more byte.
    fn raw_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool> {
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(unreadable(ErrorKind::UnexpectedEof.into(), &self.place())),
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(unreadable(e, &self.place())),
            }
        }
        self.at = self.at.saturating_add(BLOCK as u64);
        Ok(true)
    }

    /// Goes to the end of the current member.
    fn step_over(&mut self) -> Result<()> {
        let mut scrap = [0; 4096];
        while self.left > 0 {
            self.read(&mut scrap).map_err(|e| unreadable(e, &self.place()))?;
        }
        self.left = std::mem::take(&mut self.padding);
        while self.left > 0 {
            match self.read(&mut scrap) {
                // Padding may be missing where nothing follows it.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => (self.left, self.ended) = (0, true),
                read => drop(read.map_err(|e| unreadable(e, &self.place()))?),
            }
        }
        Ok(())
    }

    /// Notes how much data follows a header.
    fn set_data(&mut self, size: i64) -> Result<u64> {
        let size = u64::try_from(size).ok().filter(|size| *size <= MAX_FILE).ok_or_else(|| {
            bad(format_args!("'{}' has {size} bytes, the limit is {MAX_FILE}", shown(&self.last))).hint(MAKE_AGAIN)
        })?;
        self.left = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(size)
    }

    fn announce(&mut self, header: &Header<'_>) -> Result<()> {
        let size = header.size().map_err(|e| self.damaged(e))?;
        self.set_data(size).map(drop)
    }

    /// The data of a name or PAX member.
    fn extension(&mut self, limit: u64) -> Result<Vec<u8>> {
        if self.left > limit {
            let what = format!("extended header at byte {} has {} bytes, the limit is {limit}", self.at, self.left);
            return Err(bad(what).hint(MAKE_AGAIN));
        }
        // Of its size at once: growing would take twice as much.
        let mut data = Vec::with_capacity(usize::try_from(self.left).unwrap_or_default());
        let place = self.place();
        (self as &mut dyn Feed).read_to_end(&mut data).map_err(|e| unreadable(e, &place))?;
        Ok(data)
    }

    fn long_name(&mut self) -> Result<Vec<u8>> {
        let data = self.extension(MAX_NAME as u64 + 1)?;
        Ok(header::text(&data).to_vec())
    }

    fn comment(&mut self, header: &Header<'_>) -> Result<Box<Member>> {
        self.announce(header)?;
        let data = self.extension(MAX_PAX)?;
        let name = header.name();
        match Records::new(&data).find_map(std::result::Result::err) {
            Some(e) => Err(self.damaged(e)),
            None => Ok(Box::new(Member { name, kind: MemberKind::Comment, ..Member::default() })),
        }
    }

    fn member(&mut self, header: &Header<'_>, ahead: Ahead) -> Result<Box<Member>> {
        let mut fields = Fields::read(header).map_err(|e| self.damaged(e))?;
        fields.merge(&ahead.pax).map_err(|e| self.damaged(e))?;
        if !ahead.name.is_empty() {
            fields.name = ahead.name;
        }
        if !ahead.link.is_empty() {
            fields.link = ahead.link;
        }
        if fields.name.len().max(fields.link.len()) > MAX_NAME {
            let what =
                format!("name '{}' or its link is longer than the limit of {MAX_NAME} bytes", shown(&fields.name));
            return Err(bad(what).hint(MAKE_AGAIN));
        }
        self.last.clone_from(&fields.name);
        let size = fields.size;
        let mut member = fields.member(header, ahead.pax)?;
        if matches!(member.kind, MemberKind::File | MemberKind::Unknown(_)) {
            self.set_data(size)?;
            self.map_data(&mut member, header)?;
        } else if sparse::pax(self, &mut member)?.is_some() {
            return Err(bad(format_args!("'{}' is sparse and no file", shown(&self.last))).hint(MAKE_AGAIN));
        }
        Ok(member)
    }

    /// Sets size and pieces of a file, and reads what stands before its data to know them.
    fn map_data(&mut self, member: &mut Member, header: &Header<'_>) -> Result<()> {
        let plain = self.left;
        let sparse = match header.kind() {
            b'S' => sparse::old(self, header)?,
            _ => sparse::pax(self, member)?,
        };
        let Some((size, segments)) = sparse else {
            (member.size, member.segments) = (plain, vec![Segment { offset: 0, length: plain }]);
            return Ok(());
        };
        let size = u64::try_from(size).ok().filter(|size| *size <= MAX_FILE);
        match size.and_then(|size| Some((size, sparse::check(&segments, size, self.left)?))) {
            Some((size, segments)) => (member.size, member.segments) = (size, segments),
            None => {
                return Err(
                    bad(format_args!("map of the sparse file '{}' is wrong", shown(&self.last))).hint(MAKE_AGAIN)
                );
            }
        }
        self.last.clone_from(&member.name);
        Ok(())
    }
}

impl<R: Read> Read for Members<R> {
    /// The current file's data.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..want).filter(|buf| !buf.is_empty()) else { return Ok(0) };
        loop {
            match self.input.read(buf) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    let n64 = u64::try_from(n).unwrap_or(u64::MAX);
                    (self.left, self.at) = (self.left.saturating_sub(n64), self.at.saturating_add(n64));
                    return Ok(n);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

/// What of a header may be replaced by an extended one.
struct Fields {
    name: Vec<u8>,
    link: Vec<u8>,
    uid: i64,
    gid: i64,
    size: i64,
    mtime: Moment,
    atime: Option<Moment>,
}

/// Keys that replace a field, or must at least be readable.
const KEYS: [&[u8]; 8] = [b"path", b"linkpath", b"uid", b"gid", b"size", b"mtime", b"atime", b"ctime"];

impl Fields {
    fn read(header: &Header<'_>) -> std::result::Result<Self, header::BadHeader> {
        Ok(Fields {
            name: header.name(),
            link: header.link().to_vec(),
            uid: header.uid()?,
            gid: header.gid()?,
            size: header.size()?,
            mtime: header.mtime()?,
            atime: header.atime()?,
        })
    }

    /// Of several records with one key the last counts, also if it is empty and so takes back those before it: an empty
    /// value leaves what the header has.
    fn merge(&mut self, pax: &[u8]) -> std::result::Result<(), pax::BadRecord> {
        let mut last: [&[u8]; KEYS.len()] = [b""; KEYS.len()];
        for record in Records::new(pax) {
            let (key, value) = record?;
            if let Some((_, slot)) = KEYS.iter().zip(&mut last).find(|(name, _)| **name == key) {
                *slot = value;
            }
        }
        for (key, value) in KEYS.iter().zip(last).filter(|(_, value)| !value.is_empty()) {
            let number = || pax::decimal(value).ok_or(pax::BadRecord);
            let time = || pax::time(value).ok_or(pax::BadRecord);
            match *key {
                b"path" => self.name = value.to_vec(),
                b"linkpath" => self.link = value.to_vec(),
                b"uid" => self.uid = number()?,
                b"gid" => self.gid = number()?,
                b"size" => self.size = number()?,
                b"mtime" => self.mtime = time()?,
                b"atime" => self.atime = Some(time()?),
                _ => drop(time()?),
            }
        }
        Ok(())
    }

    fn member(self, header: &Header<'_>, pax: Vec<u8>) -> Result<Box<Member>> {
        let kind = self.kind(header)?;
        let mode = header.mode().map_err(|e| self.damaged(e))?;
        Ok(Box::new(Member {
            name: self.name,
            kind,
            mode: low_bits(mode) & 0o7777,
            uid: low_bits(self.uid),
            gid: low_bits(self.gid),
            mtime: self.mtime.counted(),
            atime: self.atime.unwrap_or(self.mtime).max(self.mtime).counted(),
            size: 0,
            segments: Vec::new(),
            pax,
        }))
    }

    fn damaged(&self, why: header::BadHeader) -> Error {
        bad(format_args!("header of '{}' is damaged", shown(&self.name))).because(why).hint(COPY_AGAIN)
    }

    fn kind(&self, header: &Header<'_>) -> Result<MemberKind> {
        Ok(match header.kind() {
            // Before POSIX, a directory was a file whose name ends in a slash.
            0 if self.name.ends_with(b"/") => MemberKind::Dir,
            0 | b'0' | b'7' | b'S' => MemberKind::File,
            b'1' => MemberKind::HardLink(self.link.clone()),
            b'2' => MemberKind::Symlink(self.link.clone()),
            b'3' => {
                let (major, minor) = self.device(header)?;
                MemberKind::Char(major, minor)
            }
            b'4' => {
                let (major, minor) = self.device(header)?;
                MemberKind::Block(major, minor)
            }
            b'5' => MemberKind::Dir,
            b'6' => MemberKind::Fifo,
            other => MemberKind::Unknown(other),
        })
    }

    fn device(&self, header: &Header<'_>) -> Result<(u32, u32)> {
        let (major, minor) = header.device().map_err(|e| self.damaged(e))?;
        match (u32::try_from(major), u32::try_from(minor)) {
            (Ok(major), Ok(minor)) if major <= MAX_DEVICE.0 && minor <= MAX_DEVICE.1 => Ok((major, minor)),
            _ => {
                Err(bad(format_args!("'{}' is the impossible device {major}:{minor}", shown(&self.name)))
                    .hint(MAKE_AGAIN))
            }
        }
    }
}

/// Owners and modes are wider in a header than in the kernel, which takes what fits; so does containerd.
fn low_bits(value: i64) -> u32 {
    u32::try_from(value & i64::from(u32::MAX)).unwrap_or(u32::MAX)
}

fn zeros(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|byte| *byte == 0)
}

/// A name of any bytes for a message.
pub fn shown(name: &[u8]) -> String {
    let (head, more) = if name.len() > 200 { (name.get(..200).unwrap_or(name), "...") } else { (name, "") };
    format!("{}{more}", String::from_utf8_lossy(head).escape_debug())
}

#[cfg(test)]
#[path = "members/tests.rs"]
mod tests;
