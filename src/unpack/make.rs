//! Files, directories, links and devices, each with all that its member says of it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, futimens, makedev};
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::unistd::{Gid, Uid, fchown};

use super::path::{self, Start};
use super::tree::{Found, file_type, is_dir, look_at};
use super::{Applier, Place, failed, set_times};
use crate::archive::{MAKE_AGAIN, Member, MemberKind, Members, bad, shown, unreadable};
use crate::error::{Error, Kind, Lift, Result};
use crate::sys::at::{fchmodat, lchownat, linkat, lstatat, mkdirat, mknodat, openat, symlinkat};
use crate::sys::xattr::{self, Existing};
use crate::sys::{signal, writeback};

/// Limits of the kernel for attributes (limits.h: `XATTR_NAME_MAX`, `XATTR_SIZE_MAX`).
const MAX_XATTR: (usize, usize) = (255, 64 << 10);

/// Attributes of one file. Real ones have up to five.
const MAX_XATTRS: usize = 256;

const FEWER_ATTRIBUTES: &str = "this file system has not the room for so many at one file: use one that has (xfs, ext4 with ea_inode), or another image";

/// What every file system has room for beside a file: ext4 says that the disk is full when a block of 4 KiB is.
const XATTR_ROOM: usize = 2048;

impl Applier<'_> {
    /// Makes `name` in `place`. What is there already goes first, unless both are directories.
    pub(super) fn create<R: Read>(
        &mut self,
        place: &Place,
        name: &[u8],
        member: &Member,
        data: &mut Members<R>,
        buffer: &mut [u8],
    ) -> Result<()> {
        if member.kind == MemberKind::Comment {
            return self.clear_unless_absent(place, name);
        }
        let made = match self.make(place, name, member)? {
            Made::InTheWay => {
                self.clear(place, name)?;
                self.make(place, name, member)?
            }
            made => made,
        };
        match made {
            Made::File(file) => {
                fill(&file, member, data, buffer)?;
                dress(place, name, member, Some(&file))
            }
            Made::Done => dress(place, name, member, None),
            Made::InTheWay => Err(failed(Errno::EEXIST, "make it")),
        }
    }

    fn clear_unless_absent(&mut self, place: &Place, name: &[u8]) -> Result<()> {
        match look_at(&place.fd, name).map_err(|e| failed(e, "look at its place"))? {
            Found::Nothing => Ok(()),
            _ => self.clear(place, name),
        }
    }

    fn make(&self, place: &Place, name: &[u8], member: &Member) -> Result<Made> {
        let mode = Mode::from_bits_truncate(member.mode);
        let node = |kind, device| mknodat(&place.fd, name, kind, mode, device);
        let made = match &member.kind {
            MemberKind::File => {
                let new = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                match openat(&place.fd, name, new, mode) {
                    Ok(fd) => return Ok(Made::File(File::from(fd))),
                    Err(e) => Err(e),
                }
            }
            MemberKind::Dir => mkdirat(&place.fd, name, mode),
            MemberKind::Symlink(text) => symlinkat(text.as_slice(), &place.fd, name),
            MemberKind::HardLink(target) => return self.link(place, name, target),
            MemberKind::Char(major, minor) => node(SFlag::S_IFCHR, makedev((*major).into(), (*minor).into())),
            MemberKind::Block(major, minor) => node(SFlag::S_IFBLK, makedev((*major).into(), (*minor).into())),
            MemberKind::Fifo => node(SFlag::S_IFIFO, 0),
            MemberKind::Comment => Ok(()),
            MemberKind::Unknown(kind) => {
                return Err(bad(format_args!("is of the unknown type '{}'", kind.escape_ascii())).hint(MAKE_AGAIN));
            }
        };
        match made {
            Ok(()) => Ok(Made::Done),
            Err(Errno::EEXIST) if member.kind == MemberKind::Dir => match look_at(&place.fd, name) {
                Ok(Found::Thing(stat)) if is_dir(&stat) => Ok(Made::Done),
                _ => Ok(Made::InTheWay),
            },
            Err(Errno::EEXIST) => Ok(Made::InTheWay),
            Err(e) => Err(failed(e, "make it")),
        }
    }

    /// The target's directory is resolved, its last name is not: a link to a symbolic link is one to the link itself.
    fn link(&self, place: &Place, name: &[u8], target: &[u8]) -> Result<Made> {
        let refuse = |why: &str| Err(bad(format_args!("its target '{}' {why}", shown(target))).hint(MAKE_AGAIN));
        let doing = |e| failed(e, &format!("link it to '{}'", shown(target)));
        let (dir, last) = path::split(target);
        if matches!(last, b"" | b"." | b"..") {
            return refuse("is a directory");
        }
        let tree = &self.target.tree;
        // Not cleaned first: `..` behind a link counts as it does for containerd.
        let rooted = target.starts_with(b"/");
        let dir = tree.resolve(dir, if rooted { Start::Rooted } else { Start::Relative }).map_err(doing)?;
        let from = match tree.dir(&dir) {
            Err(Errno::ENOENT) => return refuse("is not in the same layer"),
            from => from.map_err(doing)?,
        };
        match look_at(&from, last).map_err(doing)? {
            Found::Nothing => return refuse("is not in the same layer"),
            Found::Thing(stat) if is_dir(&stat) => return refuse("is a directory"),
            _ => {}
        }
        match linkat(&from, last, &place.fd, name) {
            Ok(()) => Ok(Made::Done),
            Err(Errno::EEXIST) => Ok(Made::InTheWay),
            Err(e) => Err(doing(e)),
        }
    }
}

/// What came of making something.
enum Made {
    /// An empty file.
    File(File),
    /// All of it.
    Done,
    /// Nothing: something is in the way.
    InTheWay,
}

/// Files of this size begin to be written to the disk while the layer goes on; smaller ones are gathered by the kernel.
const EARLY: u64 = 1 << 20;
/// So much of a file at a time.
const STRETCH: u64 = 8 << 20;

/// Writes the pieces of a file; between them stay holes.
fn fill<R: Read>(file: &File, member: &Member, data: &mut Members<R>, buffer: &mut [u8]) -> Result<()> {
    let (mut end, mut begun) = (0, 0);
    for segment in &member.segments {
        let (mut at, mut left) = (segment.offset, segment.length);
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..want).unwrap_or_default();
            let n = data.read(piece).map_err(|e| unreadable(e, "its data"))?;
            file.write_all_at(piece.get(..n).unwrap_or_default(), at).map_err(unwritten)?;
            let n = u64::try_from(n).unwrap_or(u64::MAX);
            (at, left) = (at.saturating_add(n), left.saturating_sub(n));
            end = at;
            if end.saturating_sub(begun) >= STRETCH {
                writeback::begin(file, begun, end - begun);
                begun = end;
            }
            signal::check()?;
        }
    }
    if end >= EARLY && end > begun {
        writeback::begin(file, begun, end - begun);
    }
    if end < member.size {
        file.set_len(member.size).map_err(unwritten)?;
    }
    Ok(())
}

fn unwritten(e: std::io::Error) -> Error {
    match (e.raw_os_error(), e.kind()) {
        (Some(number), _) => failed(Errno::from_raw(number), "write it"),
        (None, ErrorKind::WriteZero | _) => match Err::<(), _>(e).lift(Kind::Host, || "write it".into()) {
            Ok(()) => Error::new(Kind::Host, "write it"),
            Err(e) => e,
        },
    }
}

/// Owner, attributes, mode and times, in this order: a new owner takes set-uid and capabilities away. What is right as
/// it was made is left alone; each change is one more in the file system's journal. `file`: it is open.
fn dress(place: &Place, name: &[u8], member: &Member, file: Option<&File>) -> Result<()> {
    let as_made = match (&member.kind, file) {
        // It has the owner, mode and attributes of a file that was there, and a new owner takes some of them away.
        (MemberKind::HardLink(_), _) => None,
        (_, Some(file)) => Some(fstat(file)),
        _ => Some(lstatat(&place.fd, name)),
    };
    let as_made = as_made.transpose().map_err(|e| failed(e, "look at it"))?;
    if as_made.is_none_or(|stat| !owned(&stat, member)) {
        let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
        let done = match file {
            Some(file) => fchown(file, Some(uid), Some(gid)),
            None => lchownat(&place.fd, name, uid, gid),
        };
        done.map_err(|e| failed(e, "set its owner"))?;
    }
    let attributes = set_attributes(place, name, member)?;
    // An attribute may be an access list, which is part of the mode; a new owner has cost some of its bits.
    let moded = |stat: FileStat| owned(&stat, member) && stat.st_mode & 0o7777 == member.mode;
    if attributes > 0 || !as_made.is_some_and(moded) {
        set_mode(place, name, member, file)?;
    }
    let times = (TimeSpec::nanoseconds(member.atime), TimeSpec::nanoseconds(member.mtime));
    match (file, &member.kind) {
        (Some(file), _) => futimens(file, &times.0, &times.1),
        // Set when everything is in it.
        (None, MemberKind::Dir) => Ok(()),
        (None, _) => set_times(&place.fd, name, member.mtime, member.atime),
    }
    .map_err(|e| failed(e, "set its times"))
}

/// Whether owner and group are what they should be.
fn owned(stat: &FileStat, member: &Member) -> bool {
    let same = |found: u32, want: u32| want == u32::MAX || found == want;
    same(stat.st_uid, member.uid) && same(stat.st_gid, member.gid)
}

/// How many there were to set.
fn set_attributes(place: &Place, name: &[u8], member: &Member) -> Result<usize> {
    let (mut count, mut bytes) = (0, 0);
    for (attribute, value) in member.xattrs() {
        if count == MAX_XATTRS {
            return Err(bad(format_args!("has more attributes than the limit of {MAX_XATTRS}")).hint(MAKE_AGAIN));
        }
        bytes += attribute.len() + value.len();
        match set_attribute(place, name, attribute, value) {
            Err(e) if e.errno() == Some(Errno::ENOSPC as i32) && bytes > XATTR_ROOM => {
                return Err(e.reclassify(Kind::Bundle).hint(FEWER_ATTRIBUTES));
            }
            set => set?,
        }
        count += 1;
    }
    Ok(count)
}

fn set_mode(place: &Place, name: &[u8], member: &Member, file: Option<&File>) -> Result<()> {
    let doing = |e| failed(e, "set its mode");
    let mode = Mode::from_bits_truncate(member.mode);
    match (file, &member.kind) {
        (Some(file), _) => fchmod(file, mode).map_err(doing),
        (None, MemberKind::Symlink(_)) => Ok(()),
        // It may be one to a symbolic link, which has no mode of its own.
        (None, MemberKind::HardLink(_)) if matches!(look_at(&place.fd, name).map_err(doing)?, Found::Link) => Ok(()),
        (None, _) => fchmodat(&place.fd, name, mode).map_err(doing),
    }
}

/// Attributes that only the host may give, and those that the file system or the kind of file does not have, are left
/// out, as containerd leaves them out.
fn set_attribute(place: &Place, name: &[u8], attribute: &[u8], value: &[u8]) -> Result<()> {
    if attribute.starts_with(b"trusted.") {
        return Ok(());
    }
    let doing = || format!("set its attribute '{}'", shown(attribute));
    if attribute.len() > MAX_XATTR.0 || value.len() > MAX_XATTR.1 {
        return Err(bad(format_args!("{}: it is longer than Linux allows", doing())).hint(MAKE_AGAIN));
    }
    match xattr::set(place.fd.as_fd(), name, attribute, value, Existing::Replaced) {
        Ok(()) | Err(Errno::ENOTSUP) => Ok(()),
        Err(Errno::EPERM) if attribute.starts_with(b"user.") && !takes_user_attributes(place, name) => Ok(()),
        // acl(5): only directories hand rights down.
        Err(e @ Errno::EACCES) if attribute == b"system.posix_acl_default" => {
            Err(bad(doing()).hint(MAKE_AGAIN).because(e))
        }
        Err(e) => Err(failed(e, &doing())),
    }
}

/// xattr(7): user attributes are for files and directories.
fn takes_user_attributes(place: &Place, name: &[u8]) -> bool {
    match look_at(&place.fd, name) {
        Ok(Found::Thing(stat)) => matches!(file_type(&stat), SFlag::S_IFREG | SFlag::S_IFDIR),
        _ => false,
    }
}
