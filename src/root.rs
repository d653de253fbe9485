//! The one way to the files of the target system: everything is below one directory, the root.
//!
//! `/` on a live host, `/mnt/target` on an imaging line, a scratch directory in tests. Paths are [`RelPath`]s;
//! symbolic links on the way are resolved against the root (merged-usr hosts have `/bin -> usr/bin`), never past it.
//! Whatever is written appears whole or not at all, and is on the disk when the call returns.

mod lock;
mod remove;
mod times;
mod walk;
mod wipe;
mod write;

pub use lock::Lock;
pub use write::Change;

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, stat};
use nix::sys::statvfs::{FsFlags, fstatvfs};

use crate::error::{Error, Kind, Lift, Result};
use crate::feed;
use crate::ids::RelPath;
use crate::sys::at::{lstatat, openat, readlinkat};
use crate::sys::xfs;

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link (only [`Root::lstat`] tells it).
    Symlink,
    /// Unix socket.
    Socket,
    /// Device, FIFO or anything else.
    Other,
}

/// Metadata of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Type,
    /// Bytes.
    pub size: u64,
    /// Permission bits, incl. set-uid, set-gid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Meta {
    fn from_stat(stat: &FileStat) -> Self {
        let kind = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Type::File,
            SFlag::S_IFDIR => Type::Directory,
            SFlag::S_IFLNK => Type::Symlink,
            SFlag::S_IFSOCK => Type::Socket,
            _ => Type::Other,
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        Meta { kind, size, mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid }
    }
}

/// Room on the file system that holds a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that root may still write... as `df` counts them for ordinary users (reserved blocks not counted).
    pub free: u64,
    /// Size of the file system in bytes.
    pub total: u64,
    /// Inodes left; `u64::MAX` where the file system has no fixed number.
    pub inodes: u64,
    /// Identifies the file system, so that needs on the same one can be added up.
    pub device: u64,
    /// Whether it is mounted read-only here.
    pub read_only: bool,
    /// Whether no program may be started from it here.
    pub no_exec: bool,
    /// Its magic number (statfs(2)): which kind of file system it is.
    pub magic: u64,
    /// Its directories do not tell which kind of thing an entry is: an old XFS.
    pub untyped: bool,
}

impl Space {
    /// Whether it lives in memory and is empty after a reboot: tmpfs, ramfs (statfs(2), magic.h).
    pub fn is_fleeting(&self) -> bool {
        matches!(self.magic, 0x0102_1994 | 0x8584_58f6)
    }
}

/// A directory and everything below it.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    path: PathBuf,
    is_live: bool,
}

/// [`Lift`] for what is done to something below a root: `verb` says what, as in "open".
trait At<T> {
    fn at(self, root: &Root, verb: &str, path: RelPath<'_>) -> Result<T>;
}

impl<T, E: fmt::Display + Any + Send + Sync> At<T> for std::result::Result<T, E> {
    fn at(self, root: &Root, verb: &str, path: RelPath<'_>) -> Result<T> {
        self.map_err(|e| root.cannot(e, verb, path))
    }
}

impl Root {
    /// Opens the directory `path` (a live `/`, a mounted target, a scratch directory).
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(path, flags, Mode::empty())
            .lift(Kind::Host, || format!("open the root directory '{}'", path.display()))
            .map_err(|e| e.hint("give an existing directory with --root"))?;
        let (here, live) = (fstat(&dir), stat("/"));
        let is_live = match (here, live) {
            (Ok(here), Ok(live)) => (here.st_dev, here.st_ino) == (live.st_dev, live.st_ino),
            _ => path == Path::new("/"),
        };
        // What cannot be made absolute could not have been opened, ignoring: it is for messages then.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Ok(Root { dir, path, is_live })
    }

    /// The same once more.
    pub fn again(&self) -> Result<Self> {
        let dir = self.dir.try_clone().lift(Kind::Host, || format!("open '{}'", self.path.display()))?;
        Ok(Root { dir, path: self.path.clone(), is_live: self.is_live })
    }

    /// Whether this is the running system and not a tree that will boot later.
    pub fn is_live(&self) -> bool {
        self.is_live
    }

    /// Tells it from every other directory that this machine has at the same time: numbers of device and inode.
    pub fn id(&self) -> Result<String> {
        let stat = fstat(&self.dir).lift(Kind::Host, || format!("look at '{}'", self.path.display()))?;
        Ok(format!("{}-{}", stat.st_dev, stat.st_ino))
    }

    /// The path as programs and sockets outside of this type need it, root included. For messages, too.
    pub fn absolute(&self, path: RelPath<'_>) -> PathBuf {
        self.path.join(path.as_str())
    }

    /// The same for a program that will open it by itself: with every link on the way followed as it will be when the
    /// system runs. A link that begins with `/` would lead that program into this machine's own files.
    pub fn real(&self, path: RelPath<'_>) -> Result<PathBuf> {
        let Some((dir, name)) = self.find(path)? else { return Ok(self.absolute(path)) };
        let place = |dir: RawFd| {
            let link = format!("/proc/self/fd/{dir}");
            nix::fcntl::readlink(link.as_str()).at(self, "find", path)
        };
        // Only what is below the root counts: of a root in another mount namespace the kernel names no more than that.
        let (root, dir) = (place(self.dir.as_raw_fd())?, place(dir.as_raw_fd())?);
        match Path::new(&dir).strip_prefix(&root) {
            Ok(below) => Ok(self.path.join(below).join(name)),
            Err(_) => {
                Err(Error::new(Kind::Host, format_args!("{}: it is not below the root", self.failed("find", path))))
            }
        }
    }

    fn failed(&self, verb: &str, path: RelPath<'_>) -> String {
        format!("{verb} '{}'", self.absolute(path).display())
    }

    fn cannot<E: fmt::Display + Any + Send + Sync>(&self, e: E, verb: &str, path: RelPath<'_>) -> Error {
        let Err(e) = Err::<Infallible, E>(e).lift(Kind::Host, || self.failed(verb, path));
        e
    }

    /// Opens a file for reading, following links. `None`: nothing there.
    pub fn open_file(&self, path: RelPath<'_>) -> Result<Option<File>> {
        let Some((parent, name)) = self.find(path)? else { return Ok(None) };
        // Not blocking: a FIFO in the place of a file must not stop us.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        match openat(&parent, name.as_os_str(), flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e).at(self, "open", path).map_err(write::hinted),
        }
    }

    /// Reads a whole file of at most `limit` bytes. `None`: nothing there.
    pub fn read(&self, path: RelPath<'_>, limit: usize) -> Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open_file(path)? else { return Ok(None) };
        let bytes = feed::first(&mut file, limit + 1).at(self, "read", path)?;
        if bytes.len() > limit {
            let what =
                format!("'{}' is larger than the {limit} bytes that are read of it", self.absolute(path).display());
            return Err(Error::new(Kind::Host, what));
        }
        Ok(Some(bytes))
    }

    /// Reads a text file of at most `limit` bytes; bytes that are not UTF-8 are replaced. `None`: nothing there.
    pub fn read_text(&self, path: RelPath<'_>, limit: usize) -> Result<Option<String>> {
        Ok(self.read(path, limit)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The same, for files that need not be there: nothing is as good as an empty one.
    pub fn text_or_empty(&self, path: RelPath<'_>, limit: usize) -> Result<String> {
        Ok(self.read_text(path, limit)?.unwrap_or_default())
    }

    /// What lies at `path`, following links. `None`: nothing, or a link that leads nowhere.
    pub fn stat(&self, path: RelPath<'_>) -> Result<Option<Meta>> {
        let Some((parent, name)) = self.find(path)? else { return Ok(None) };
        self.stat_at(parent.as_fd(), name.as_os_str(), path)
    }

    /// What lies at `path`, without following a link in its last part.
    pub fn lstat(&self, path: RelPath<'_>) -> Result<Option<Meta>> {
        let Some((parent, name)) = self.find_parent(path)? else { return Ok(None) };
        self.stat_at(parent.as_fd(), name.as_ref(), path)
    }

    fn stat_at(
        &self,
        parent: std::os::fd::BorrowedFd<'_>,
        name: &std::ffi::OsStr,
        path: RelPath<'_>,
    ) -> Result<Option<Meta>> {
        match lstatat(parent, name) {
            Ok(stat) => Ok(Some(Meta::from_stat(&stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e).at(self, "look at", path),
        }
    }

    /// Text of the symbolic link `path`. `None`: nothing there, or no link.
    pub fn read_link(&self, path: RelPath<'_>) -> Result<Option<String>> {
        let Some((parent, name)) = self.find_parent(path)? else { return Ok(None) };
        match readlinkat(&parent, name) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(Errno::ENOENT | Errno::EINVAL) => Ok(None),
            Err(e) => Err(e).at(self, "read the link", path),
        }
    }

    /// A text that changes whenever the file `path` is changed or replaced: inode, size and both times.
    pub fn stamp(&self, path: RelPath<'_>) -> Result<String> {
        let stat = match self.find_parent(path)? {
            Some((parent, name)) => lstatat(parent, name),
            None => Err(Errno::ENOENT),
        };
        let s = stat.at(self, "look at", path)?;
        Ok(format!(
            "{} {} {}.{:09} {}.{:09}",
            s.st_ino, s.st_size, s.st_mtime, s.st_mtime_nsec, s.st_ctime, s.st_ctime_nsec
        ))
    }

    /// Names in a directory, sorted. One that is not UTF-8 is told, with U+FFFD in it, but nothing is found by it.
    /// `None`: no such directory.
    pub fn list(&self, path: RelPath<'_>) -> Result<Option<Vec<String>>> {
        let Some(fd) = self.open_dir(path)? else { return Ok(None) };
        names(fd).at(self, "list", path).map(Some)
    }

    /// The same, for directories that need not be there: nothing is as good as an empty one.
    pub fn list_or_empty(&self, path: RelPath<'_>) -> Result<Vec<String>> {
        Ok(self.list(path)?.unwrap_or_default())
    }

    /// Names in the root directory itself, as [`Root::list`].
    pub fn list_top(&self) -> Result<Vec<String>> {
        let failed = || format!("list '{}'", self.path.display());
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        // Opened anew: a copy would share its place in the listing.
        let fd = openat(&self.dir, c".", flags, Mode::empty()).lift(Kind::Host, failed)?;
        names(fd).lift(Kind::Host, failed)
    }

    /// Room on the file system that holds `path`, or its nearest parent that exists.
    pub fn space(&self, path: RelPath<'_>) -> Result<Space> {
        let mut at = Some(path);
        let dir = loop {
            match at {
                None => break self.dir.try_clone().at(self, "open", path)?,
                Some(p) => match self.open_dir(p) {
                    Ok(Some(fd)) => break fd,
                    // Missing, or a file: the directory above tells.
                    Ok(None) => at = p.split().0,
                    Err(e) if e.errno() == Some(Errno::ENOTDIR as i32) => at = p.split().0,
                    Err(e) => return Err(e),
                },
            }
        };
        let vfs = fstatvfs(&dir).at(self, "measure free space of", path)?;
        let stat = fstat(&dir).at(self, "look at", path)?;
        let fs = nix::sys::statfs::fstatfs(&dir).at(self, "look at the file system of", path)?;
        let has = |flag| vfs.flags().contains(flag);
        let (read_only, no_exec) = (has(FsFlags::ST_RDONLY), has(FsFlags::ST_NOEXEC));
        // The C types differ in width between targets; none of them is negative.
        #[allow(
            clippy::useless_conversion,
            clippy::unnecessary_cast,
            reason = "c_ulong is 32 bits wide on some targets"
        )]
        let (magic, block, free, total, inodes) = (
            // 32 bits that C sign-extends on some targets.
            fs.filesystem_type().0 as u64 & 0xffff_ffff,
            vfs.fragment_size() as u64,
            vfs.blocks_available() as u64,
            vfs.blocks() as u64,
            vfs.files_available() as u64,
        );
        let inodes = if vfs.files() == 0 { u64::MAX } else { inodes };
        let (free, total) = (free.saturating_mul(block), total.saturating_mul(block));
        let untyped = xfs::has_ftype(&dir) == Some(false);
        Ok(Space { free, total, inodes, device: stat.st_dev, read_only, no_exec, magic, untyped })
    }

    /// Waits until everything written to this machine's file systems is on their disks.
    pub fn sync_all(&self) -> Result<()> {
        // The one of the root tells of errors; others may be mounted below it.
        nix::unistd::syncfs(&self.dir).lift(Kind::Host, || format!("sync '{}'", self.path.display()))?;
        nix::unistd::sync();
        Ok(())
    }

    /// Waits until everything written to the file system that holds `path` is on the disk.
    pub fn sync_fs(&self, path: RelPath<'_>) -> Result<()> {
        let Some(fd) = self.open_dir(path)? else {
            return Err(Error::new(Kind::Host, format_args!("{}: it is not there", self.failed("sync", path))));
        };
        nix::unistd::syncfs(&fd).at(self, "sync the file system of", path)
    }
}

fn names(fd: OwnedFd) -> nix::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(fd)?.iter() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !matches!(name.as_str(), "." | "..") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
impl Root {
    /// A directory of a test's own, empty, and gone with the first value.
    pub(crate) fn scratch() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RelPath<'static> = RelPath::literal("etc/a");

    #[test]
    fn missing_is_none_not_an_error() {
        let (_dir, root) = Root::scratch();
        assert_eq!(root.read(A, 10).unwrap(), None);
        assert_eq!(root.stat(A).unwrap(), None);
        assert_eq!(root.lstat(A).unwrap(), None);
        assert_eq!(root.list(A).unwrap(), None);
        assert!(root.space(A).unwrap().total > 0);
    }

    #[test]
    fn no_name_is_hidden() {
        use std::os::unix::ffi::OsStrExt;
        let (dir, root) = Root::scratch();
        let latin = std::ffi::OsStr::from_bytes(b"b\xe4r");
        std::fs::write(dir.path().join(latin), "x").unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        assert_eq!(root.list_top().unwrap(), ["a", "b\u{fffd}r"]);
    }

    #[test]
    fn limits_hold() {
        let (_dir, root) = Root::scratch();
        root.write(A, 0o644, b"0123456789").unwrap();
        assert_eq!(root.read(A, 10).unwrap().unwrap(), b"0123456789");
        assert!(root.read(A, 9).unwrap_err().to_string().contains("larger than the 9 bytes"));
    }

    #[test]
    fn links_are_resolved_against_the_root() {
        let (dir, root) = Root::scratch();
        std::fs::create_dir_all(dir.path().join("usr/bin")).unwrap();
        std::os::unix::fs::symlink("/usr/bin", dir.path().join("bin")).unwrap();
        std::os::unix::fs::symlink("../../../../../../etc/passwd", dir.path().join("up")).unwrap();
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        root.write(RelPath::literal("bin/x"), 0o755, b"x").unwrap();
        assert!(dir.path().join("usr/bin/x").exists());
        assert_eq!(root.read(RelPath::literal("up"), 9).unwrap(), None, "not the host's /etc/passwd");
        assert!(root.read(RelPath::literal("loop"), 9).is_err());
        assert_eq!(root.list(RelPath::literal("bin")).unwrap().unwrap(), ["x"]);
        assert_eq!(root.lstat(RelPath::literal("bin")).unwrap().unwrap().kind, Type::Symlink);
        assert_eq!(root.stat(RelPath::literal("bin")).unwrap().unwrap().kind, Type::Directory);
    }
}
