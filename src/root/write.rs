//! Writing: temp file, sync, rename, sync of the directory. A cut leaves the old file or the new one.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::{UnlinkatFlags, fsync, geteuid};

use super::{At, Meta, Root, Type};
use crate::crash;
use crate::error::{Error, Kind, Result};
use crate::feed::Feed;
use crate::ids::RelPath;
use crate::sys::at::{linkat, lstatat, openat, readlinkat, renameat, symlinkat, unlinkat};
use crate::sys::signal;

/// Whether a call had to touch anything. Drives "changed" counts and service restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was as it should be already.
    Kept,
    /// It was made, replaced or removed.
    Wrote,
}

impl Change {
    /// `Wrote` if either is.
    #[must_use]
    pub fn or(self, other: Change) -> Change {
        if self == Change::Wrote { self } else { other }
    }
}

/// One buffer of this size is all that a file of any length takes in memory.
const BUFFER: usize = 64 * 1024;

impl Root {
    /// Makes the file `path` hold exactly `bytes` with permission bits `mode`; its directories are made if missing.
    pub fn write(&self, path: RelPath<'_>, mode: u32, bytes: &[u8]) -> Result<Change> {
        if self.holds(path, mode, bytes)? {
            return Ok(Change::Kept);
        }
        self.write_stream(path, mode, &mut &*bytes)?;
        Ok(Change::Wrote)
    }

    /// Whether `path` is a regular file with exactly these bytes and permission bits.
    pub fn holds(&self, path: RelPath<'_>, mode: u32, bytes: &[u8]) -> Result<bool> {
        match self.lstat(path)? {
            Some(meta) if meta.kind == Type::File && meta.mode == mode && meta.size == bytes.len() as u64 => {
                Ok(self.read(path, bytes.len())?.is_some_and(|old| old == bytes))
            }
            _ => Ok(false),
        }
    }

    /// Puts what `from` delivers into the file `path`; returns the number of bytes. The file appears only after `from`
    /// ended well, so a reader that verifies its bytes ([`crate::digest::Verified`]) keeps bad ones off the disk's names.
    pub fn write_stream(&self, path: RelPath<'_>, mode: u32, from: &mut dyn Feed) -> Result<u64> {
        self.write_with(path, mode, &mut |file| {
            let mut buffer = vec![0; BUFFER];
            loop {
                let n = match from.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(n) => n,
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {
                        signal::check()?;
                        continue;
                    }
                    Err(e) => return Err(e).at(self, "write", path),
                };
                signal::check()?;
                let chunk = buffer.get(..n).unwrap_or_default();
                file.write_all(chunk).at(self, "write", path)?;
            }
        })
    }

    /// Lets `fill` write the file `path`; returns the number of bytes. The file appears only if `fill` ended well.
    pub fn write_with(
        &self,
        path: RelPath<'_>,
        mode: u32,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<()>,
    ) -> Result<u64> {
        self.write_file(path, mode, &mut |file| fill(&mut &*file))
    }

    /// As [`Root::write_with`], for who needs the file itself.
    pub fn write_file(&self, path: RelPath<'_>, mode: u32, fill: &mut dyn FnMut(&File) -> Result<()>) -> Result<u64> {
        let (dir, name) = self.make_parent(path)?;
        let temp = temp_name(name);
        let filled = self.fill(&dir, &temp, mode, path, fill).and_then(|size| {
            crash::point();
            renameat(&dir, temp.as_str(), name).at(self, "rename into place", path)?;
            Ok(size)
        });
        match filled {
            Ok(size) => {
                crash::point();
                fsync(&dir).at(self, "sync the directory of", path)?;
                Ok(size)
            }
            Err(e) => {
                // The first error is the one to tell; a leftover is overwritten by the next run, ignoring: ENOENT.
                let _ = unlinkat(&dir, temp.as_str(), UnlinkatFlags::NoRemoveDir);
                Err(hinted(e))
            }
        }
    }

    fn fill(
        &self,
        dir: &OwnedFd,
        temp: &str,
        mode: u32,
        path: RelPath<'_>,
        fill: &mut dyn FnMut(&File) -> Result<()>,
    ) -> Result<u64> {
        match unlinkat(dir, temp, UnlinkatFlags::NoRemoveDir) {
            // That it is read-only is told of the file itself, below.
            Ok(()) | Err(Errno::ENOENT | Errno::EROFS) => {}
            Err(e) => return Err(e).at(self, "remove the leftover temporary file of", path),
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(dir, temp, flags, Mode::from_bits_truncate(0o600)).at(self, "create", path)?;
        crash::point();
        let file = File::from(fd);
        fill(&file)?;
        let size = file.metadata().at(self, "look at", path)?.len();
        fchmod(&file, Mode::from_bits_truncate(mode)).at(self, "set the mode of", path)?;
        file.sync_all().at(self, "sync", path)?;
        Ok(size)
    }

    /// Makes `path` a directory with permission bits `mode` (its parents, where missing, get 0755).
    pub fn mkdir(&self, path: RelPath<'_>, mode: u32) -> Result<Change> {
        let before = self.stat(path)?;
        if before.is_some_and(|m| m.kind == Type::Directory && m.mode == mode) {
            return Ok(Change::Kept);
        }
        let dir = self.make_dir(path)?;
        fchmod(&dir, Mode::from_bits_truncate(mode)).at(self, "set the mode of", path)?;
        fsync(&dir).at(self, "sync", path)?;
        Ok(Change::Wrote)
    }

    /// Makes `path` a symbolic link with the text `target`. Replaces a link or a file, never a directory.
    pub fn symlink(&self, path: RelPath<'_>, target: &str) -> Result<Change> {
        let (dir, name) = self.make_parent(path)?;
        if readlinkat(&dir, name).is_ok_and(|old| old == target) {
            return Ok(Change::Kept);
        }
        let temp = temp_name(name);
        let made = (|| {
            match unlinkat(&dir, temp.as_str(), UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(e) => return Err(e),
            }
            symlinkat(target, &dir, temp.as_str())?;
            crash::point();
            renameat(&dir, temp.as_str(), name)?;
            crash::point();
            fsync(&dir)
        })();
        made.at(self, "make the link", path).map_err(hinted)?;
        Ok(Change::Wrote)
    }

    /// Moves the file `from` to the name `to` in the same directory, replacing nothing: `to` must be free.
    pub fn set_aside(&self, from: RelPath<'_>, to: RelPath<'_>) -> Result<()> {
        let (dir, name, to_name) = self.beside(from, to)?;
        if lstatat(dir.as_fd(), to_name).is_ok() {
            let what = format!("set aside '{from}': '{}' is there already", self.absolute(to).display());
            return Err(Error::new(Kind::Host, what).hint("move one of the two files away"));
        }
        crash::point();
        renameat(&dir, name, to_name).at(self, "set aside", from).map_err(hinted)?;
        fsync(&dir).at(self, "sync the directory of", from)
    }

    /// Gives the file `from` the name `to` as well, in the same directory: no byte is copied. What has that name stays.
    pub fn link(&self, from: RelPath<'_>, to: RelPath<'_>) -> Result<Change> {
        let (dir, name, to_name) = self.beside(from, to)?;
        crash::point();
        match linkat(&dir, name, &dir, to_name) {
            Ok(()) => {}
            Err(Errno::EEXIST) => return Ok(Change::Kept),
            Err(e) => return Err(e).at(self, "keep", from).map_err(hinted),
        }
        fsync(&dir).at(self, "sync the directory of", from)?;
        Ok(Change::Wrote)
    }

    /// Moves the file `from` to the name `to` in the same directory, in the place of what has that name.
    pub fn replace(&self, from: RelPath<'_>, to: RelPath<'_>) -> Result<()> {
        let (dir, name, to_name) = self.beside(from, to)?;
        crash::point();
        renameat(&dir, name, to_name).at(self, "bring back", from).map_err(hinted)?;
        fsync(&dir).at(self, "sync the directory of", from)
    }

    /// The directory that both are in, and their names there.
    fn beside<'a>(&self, from: RelPath<'a>, to: RelPath<'a>) -> Result<(OwnedFd, &'a str, &'a str)> {
        let (to_dir, to_name) = to.split();
        if from.split().0 != to_dir {
            return Err(Error::new(Kind::Bug, format_args!("'{from}' and '{to}' are not in the same directory")));
        }
        let (dir, name) = self.make_parent(from)?;
        Ok((dir, name, to_name))
    }

    /// The permission bits of the file at `path` are set to `mode`.
    pub fn chmod(&self, path: RelPath<'_>, mode: u32) -> Result<Change> {
        let file = self.open_file(path)?;
        let file =
            file.ok_or_else(|| Error::new(Kind::Host, format_args!("{}: it is not there", self.failed("open", path))))?;
        let stat = nix::sys::stat::fstat(&file).at(self, "look at", path)?;
        if Meta::from_stat(&stat).mode == mode {
            return Ok(Change::Kept);
        }
        fchmod(&file, Mode::from_bits_truncate(mode)).at(self, "set the mode of", path)?;
        file.sync_all().at(self, "sync", path)?;
        Ok(Change::Wrote)
    }

    /// Writes `value` into the existing kernel knob `path` (below /proc/sys), which is no file that could be replaced.
    pub fn set_knob(&self, path: RelPath<'_>, value: &str) -> Result<()> {
        let (dir, name) = self.make_parent(path)?;
        let fd = openat(&dir, name, OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
            .at(self, "open", path)?;
        File::from(fd).write_all(value.as_bytes()).at(self, "write", path)
    }

    /// Opens `path` for appending, made with `mode` if missing. For logs: neither atomic nor synced.
    pub fn open_append(&self, path: RelPath<'_>, mode: u32) -> Result<File> {
        let (dir, name) = self.make_parent(path)?;
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let fd = openat(&dir, name, flags, Mode::from_bits_truncate(mode))
            .at(self, "open for appending", path)
            .map_err(hinted)?;
        Ok(File::from(fd))
    }
}

/// Fixed, so that the next run overwrites what a cut run left; the dot keeps it out of `conf.d`-like directories.
fn temp_name(name: &str) -> String {
    format!(".{name}.edgelay-new")
}

/// What a user can do about a file that cannot be opened, written or removed.
pub(super) fn hinted(e: Error) -> Error {
    match e.errno() {
        Some(libc::ENOSPC | libc::EDQUOT) => e.hint("free space, or inodes, on this file system and run again"),
        Some(libc::EFBIG) => e.hint(
            "this file system takes no file as large, FAT none of 4 GiB: write it elsewhere; 'edgelay bundle split' cuts bundles",
        ),
        Some(libc::EROFS) => e.hint("the file system is mounted read-only; remount it with 'mount -o remount,rw'"),
        Some(libc::EACCES | libc::EPERM) if geteuid().is_root() => e.hint(
            "root may not either: it or its directory is immutable (see lsattr), or a security module forbids it",
        ),
        Some(libc::EACCES | libc::EPERM) => e.hint("run as root"),
        _ => e,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    const A: RelPath<'static> = RelPath::literal("etc/deep/a");

    #[test]
    fn what_the_kernel_refuses_has_a_hint_that_fits() {
        let hint = |errno: Errno| hinted(Error::new(Kind::Host, "write").because(errno)).hint_text().map(str::to_owned);
        let forbidden = if geteuid().is_root() { "immutable" } else { "run as root" };
        for (errno, part) in [
            (Errno::ENOSPC, "inodes"),
            (Errno::EDQUOT, "free space"),
            (Errno::EFBIG, "bundle split"),
            (Errno::EROFS, "read-only"),
            (Errno::EPERM, forbidden),
            (Errno::EACCES, forbidden),
        ] {
            assert!(hint(errno).unwrap().contains(part), "{errno}");
        }
        assert_eq!(hint(Errno::EIO), None);
    }

    /// A directory that has to be made is the first that is refused.
    #[test]
    fn where_nothing_can_be_made_has_a_hint() {
        let e = Root::open(std::path::Path::new("/sys")).unwrap().write(A, 0o640, b"one").unwrap_err();
        assert!(e.to_string().starts_with("open directory '/sys/etc/deep'") && e.hint_text().is_some(), "{e}");
    }

    #[test]
    fn a_second_write_of_the_same_touches_nothing() {
        let (dir, root) = Root::scratch();
        assert_eq!(root.write(A, 0o640, b"one").unwrap(), Change::Wrote);
        let before = std::fs::metadata(dir.path().join("etc/deep/a")).unwrap();
        assert_eq!(before.permissions().mode() & 0o7777, 0o640);
        assert_eq!(root.write(A, 0o640, b"one").unwrap(), Change::Kept);
        let after = std::fs::metadata(dir.path().join("etc/deep/a")).unwrap();
        assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
        for (mode, bytes) in [(0o600, b"one".as_slice()), (0o600, b"two"), (0o600, b"three")] {
            assert_eq!(root.write(A, mode, bytes).unwrap(), Change::Wrote);
            assert_eq!(root.read(A, 99).unwrap().unwrap(), bytes);
        }
    }

    #[test]
    fn a_failing_source_leaves_the_old_file_and_no_leftover() {
        let (dir, root) = Root::scratch();
        root.write(A, 0o644, b"old").unwrap();
        let bad = crate::digest::Digest::of(b"something else");
        let mut from = crate::digest::Verified::new(b"new".as_slice(), bad, 3);
        let e = root.write_stream(A, 0o644, &mut from).unwrap_err();
        assert_eq!(e.kind(), Kind::Bundle, "the reader's own error comes out: {e}");
        assert_eq!(root.read(A, 9).unwrap().unwrap(), b"old");
        assert_eq!(std::fs::read_dir(dir.path().join("etc/deep")).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_last_place_is_replaced_not_followed() {
        let (dir, root) = Root::scratch();
        std::fs::create_dir_all(dir.path().join("etc/deep")).unwrap();
        std::fs::write(dir.path().join("victim"), "v").unwrap();
        std::os::unix::fs::symlink("/victim", dir.path().join("etc/deep/a")).unwrap();
        std::os::unix::fs::symlink("/victim", dir.path().join("etc/deep/.a.edgelay-new")).unwrap();
        assert_eq!(root.write(A, 0o644, b"x").unwrap(), Change::Wrote);
        assert_eq!(std::fs::read(dir.path().join("victim")).unwrap(), b"v");
        assert_eq!(root.lstat(A).unwrap().unwrap().kind, Type::File);
    }

    #[test]
    fn links_and_directories() {
        let (_dir, root) = Root::scratch();
        assert_eq!(root.symlink(A, "b").unwrap(), Change::Wrote);
        assert_eq!(root.symlink(A, "b").unwrap(), Change::Kept);
        assert_eq!(root.symlink(A, "c").unwrap(), Change::Wrote);
        let d = RelPath::literal("var/d");
        assert_eq!(root.mkdir(d, 0o700).unwrap(), Change::Wrote);
        assert_eq!(root.mkdir(d, 0o700).unwrap(), Change::Kept);
        assert_eq!(root.mkdir(d, 0o755).unwrap(), Change::Wrote);
        root.set_aside(A, RelPath::literal("etc/deep/a.bak")).unwrap();
        root.write(A, 0o644, b"").unwrap();
        let bak = RelPath::literal("etc/deep/a.bak");
        assert!(root.set_aside(A, bak).is_err());
        root.remove(bak).unwrap();
        root.write(A, 0o755, b"old").unwrap();
        assert_eq!(root.link(A, bak).unwrap(), Change::Wrote);
        root.write(A, 0o755, b"new").unwrap();
        assert_eq!(root.link(A, bak).unwrap(), Change::Kept);
        root.replace(bak, A).unwrap();
        assert_eq!((root.read(A, 9).unwrap().unwrap(), root.lstat(bak).unwrap()), (b"old".to_vec(), None));
        assert!(root.replace(bak, A).is_err() && root.link(A, d).is_err());
    }

    #[test]
    fn a_mode_is_set_and_only_if_it_is_another() {
        let (dir, root) = Root::scratch();
        let path = RelPath::literal("token");
        root.write(path, 0o644, b"secret").unwrap();
        assert_eq!(root.chmod(path, 0o600).unwrap(), Change::Wrote);
        assert_eq!(dir.path().join("token").metadata().unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(root.chmod(path, 0o600).unwrap(), Change::Kept);
    }

    #[test]
    fn one_change_of_two_is_a_change() {
        use Change::{Kept, Wrote};
        for (one, other, both) in [(Kept, Kept, Kept), (Kept, Wrote, Wrote), (Wrote, Kept, Wrote)] {
            assert_eq!(one.or(other), both);
        }
    }

    #[test]
    fn a_knob_is_written_in_place_and_never_made() {
        let (dir, root) = Root::scratch();
        let knob = RelPath::literal("ip_forward");
        assert_eq!(root.set_knob(knob, "1").unwrap_err().errno(), Some(libc::ENOENT));
        root.write(knob, 0o644, b"0").unwrap();
        let inode = || dir.path().join("ip_forward").metadata().unwrap().ino();
        let before = inode();
        root.set_knob(knob, "1").unwrap();
        assert_eq!((root.read(knob, 9).unwrap().unwrap(), inode()), (b"1".to_vec(), before));
    }

    #[test]
    fn a_signal_amid_a_stream_is_no_end_of_it() {
        struct Disturbed(bool);
        impl std::io::Read for Disturbed {
            fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
                if !std::mem::replace(&mut self.0, true) {
                    return Err(std::io::ErrorKind::Interrupted.into());
                }
                b"".as_slice().read(into)
            }
        }
        let (_dir, root) = Root::scratch();
        assert_eq!(root.write_stream(RelPath::literal("f"), 0o600, &mut Disturbed(false)).unwrap(), 0);
    }
}
