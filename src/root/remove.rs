//! Removing what was written, and nothing else.

use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, fsync};

use super::write::hinted;
use super::{At, Change, Root};
use crate::crash;
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::sys::at::{lstatat, openat, unlinkat};

/// Deeper trees are refused: nothing that an installer removes is nested this deep (overlay snapshots included).
const MAX_DEPTH: usize = 256;

impl Root {
    /// Removes the file or link `path` (the link itself, not what it leads to). Nothing there is fine.
    pub fn remove(&self, path: RelPath<'_>) -> Result<Change> {
        self.unlink(path, UnlinkatFlags::NoRemoveDir)
    }

    /// Removes the directory `path` if it is empty; a directory with something in it stays.
    pub fn remove_empty_dir(&self, path: RelPath<'_>) -> Result<Change> {
        match self.unlink(path, UnlinkatFlags::RemoveDir) {
            Err(e) if matches!(e.errno(), Some(libc::ENOTEMPTY | libc::EEXIST | libc::EBUSY | libc::ENOTDIR)) => {
                Ok(Change::Kept)
            }
            other => other,
        }
    }

    fn unlink(&self, path: RelPath<'_>, flag: UnlinkatFlags) -> Result<Change> {
        let Some((dir, name)) = self.find_parent(path)? else { return Ok(Change::Kept) };
        crash::point();
        match unlinkat(&dir, name, flag) {
            Ok(()) => {
                fsync(&dir).at(self, "sync the directory of", path)?;
                Ok(Change::Wrote)
            }
            Err(Errno::ENOENT) => Ok(Change::Kept),
            Err(e) => Err(e).at(self, "remove", path).map_err(hinted),
        }
    }

    /// Removes `path` and everything below it. Links are not followed and no other file system is entered: a mount
    /// point inside is an error, so that nothing of a mounted disk is ever lost.
    pub fn remove_tree(&self, path: RelPath<'_>) -> Result<Change> {
        let Some((parent, name)) = self.find_parent(path)? else { return Ok(Change::Kept) };
        let stat = match lstatat(&parent, name) {
            Ok(stat) => stat,
            Err(Errno::ENOENT) => return Ok(Change::Kept),
            Err(e) => return Err(e).at(self, "look at", path),
        };
        if SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT != SFlag::S_IFDIR {
            return self.remove(path);
        }
        let home = fstat(&parent).at(self, "look at", path)?.st_dev;
        empty(&parent, name.as_ref(), home, 0).map_err(|e| self.tree_error(e, path))?;
        self.unlink(path, UnlinkatFlags::RemoveDir)
    }

    fn tree_error(&self, e: Errno, path: RelPath<'_>) -> Error {
        let error = Error::new(Kind::Host, self.failed("remove the tree", path)).because(e);
        match e {
            Errno::EXDEV | Errno::EBUSY => error.hint("unmount what is mounted below it and run again"),
            _ => error,
        }
    }
}

fn empty(parent: &impl AsFd, name: &std::ffi::OsStr, device: u64, depth: usize) -> nix::Result<()> {
    if depth > MAX_DEPTH {
        return Err(Errno::ELOOP);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let fd: OwnedFd = openat(parent, name, flags, Mode::empty())?;
    if fstat(&fd)?.st_dev != device {
        return Err(Errno::EXDEV);
    }
    let mut dir = Dir::from_fd(fd.try_clone().map_err(|_| Errno::EMFILE)?)?;
    let names: Vec<_> = dir.iter().map(|entry| entry.map(|e| e.file_name().to_owned())).gather::<nix::Result<_>>()?;
    for name in names {
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match unlinkat(&fd, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(Errno::EISDIR | Errno::EPERM) => {
                use std::os::unix::ffi::OsStrExt;
                let name = std::ffi::OsStr::from_bytes(name.to_bytes());
                empty(&fd, name, device, depth + 1)?;
                unlinkat(&fd, name, UnlinkatFlags::RemoveDir)?;
            }
            Err(e) => return Err(e),
        }
    }
    fsync(&fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tree_itself_goes() {
        let (_dir, root) = Root::scratch();
        let tree = RelPath::literal("var/tree");
        root.write(RelPath::literal("keep"), 0o644, b"k").unwrap();
        root.write(RelPath::literal("var/tree/a/b"), 0o600, b"b").unwrap();
        root.symlink(RelPath::literal("var/tree/link"), "../../keep").unwrap();
        root.symlink(RelPath::literal("var/tree/dirlink"), "..").unwrap();
        assert_eq!(root.remove_empty_dir(tree).unwrap(), Change::Kept);
        assert_eq!(root.remove_tree(tree).unwrap(), Change::Wrote);
        assert_eq!(root.remove_tree(tree).unwrap(), Change::Kept);
        assert!(root.list(RelPath::literal("var")).unwrap().unwrap().is_empty());
        assert_eq!(root.read(RelPath::literal("keep"), 9).unwrap().unwrap(), b"k");
        assert_eq!(root.remove(RelPath::literal("keep")).unwrap(), Change::Wrote);
        assert_eq!(root.remove(RelPath::literal("keep")).unwrap(), Change::Kept);
        assert_eq!(root.remove_empty_dir(RelPath::literal("var")).unwrap(), Change::Wrote);
    }

    #[test]
    fn a_tree_that_is_too_deep_is_refused() {
        let (dir, root) = Root::scratch();
        let tree = |parts: usize| std::fs::create_dir_all(dir.path().join("d/".repeat(parts))).unwrap();
        tree(MAX_DEPTH + 2);
        assert_eq!(root.remove_tree(RelPath::literal("d")).unwrap_err().errno(), Some(libc::ELOOP));
        tree(1);
        root.remove_tree(RelPath::literal("d/d/d")).unwrap();
        tree(MAX_DEPTH + 1);
        assert_eq!(root.remove_tree(RelPath::literal("d")).unwrap(), Change::Wrote);
    }
}
