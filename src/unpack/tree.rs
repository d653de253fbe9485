//! A directory tree that nothing leads out of: every path is opened part by part from its root, without following a
//! link. Links are followed by us, as text, each one beginning again at the root.

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag};
use nix::unistd::UnlinkatFlags;

use super::path::{self, Start};
use crate::error::{Kind, Lift, Result};
use crate::sys::at::{lstatat, openat, readlinkat, unlinkat};

/// Links followed for one path; as many as containerd follows.
const MAX_LINKS: usize = 255;

/// To find things in a directory, not to read it.
const PASSAGE: OFlag = OFlag::O_PATH.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

/// What lies at a path.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A symbolic link. Its text is not read before it is needed: reading it changes its access time.
    Link,
    /// Anything else.
    Thing(Box<FileStat>),
}

/// File, directory, device, ...
pub(super) fn file_type(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Whether it is a directory.
pub(super) fn is_dir(stat: &FileStat) -> bool {
    file_type(stat) == SFlag::S_IFDIR
}

/// A root and what is below it.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    /// Linux 5.6 and later, where no sandbox forbids it.
    has_openat2: AtomicBool,
}

impl Tree {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let root = open(dir, PASSAGE, Mode::empty()).lift(Kind::Host, || format!("open '{}'", dir.display()))?;
        Ok(Tree { root, has_openat2: AtomicBool::new(true) })
    }

    /// Without `openat2`, as before Linux 5.6.
    #[cfg(test)]
    pub(super) fn by_hand(self) -> Self {
        self.has_openat2.store(false, Ordering::Relaxed);
        self
    }

    /// The directory at `path`. `ELOOP`: there is a link on the way or in its place.
    pub(super) fn dir(&self, path: &[u8]) -> nix::Result<OwnedFd> {
        if path.is_empty() {
            return self.root.try_clone().map_err(|e| e.raw_os_error().map_or(Errno::EMFILE, Errno::from_raw));
        }
        if self.has_openat2.load(Ordering::Relaxed) {
            // The root is not left even if it could be: the path has no `..`, and links are refused.
            let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
            match openat2(&self.root, path, OpenHow::new().flags(PASSAGE).resolve(resolve)) {
                // Unknown to the kernel, or forbidden by a filter that does not know it.
                Err(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL) => self.has_openat2.store(false, Ordering::Relaxed),
                other => return other,
            }
        }
        self.walk(path)
    }

    fn walk(&self, path: &[u8]) -> nix::Result<OwnedFd> {
        let mut at: Option<OwnedFd> = None;
        for part in path::parts(path) {
            let from = at.as_ref().unwrap_or(&self.root);
            at = Some(enter(from, part)?);
        }
        at.ok_or(Errno::EINVAL)
    }

    /// What lies at `path`; a link on the way counts as nothing.
    pub(super) fn look(&self, path: &[u8]) -> nix::Result<Found> {
        let (parent, name) = path::split(path);
        match self.dir(parent) {
            Ok(dir) if name.is_empty() => look_at(&dir, b"."),
            Ok(dir) => look_at(&dir, name),
            Err(Errno::ENOENT | Errno::ELOOP) => Ok(Found::Nothing),
            Err(e) => Err(e),
        }
    }

    /// Where `path` leads when its links are followed, the last one too. What does not exist is taken as it is.
    ///
    /// The same as containerd's `fs.RootPath`, which does it with text: it goes over the parts again and again until
    /// no link is left; `..` behind a link takes back the link's text, not the directory that it leads to; at the root
    /// `..` leads nowhere.
    pub(super) fn resolve(&self, path: &[u8], start: Start) -> nix::Result<Vec<u8>> {
        let mut links = 0;
        let mut path = if start == Start::Rooted { [b"/", path].concat() } else { path.to_vec() };
        loop {
            let before = links;
            let next = self.pass(&path, &mut links)?;
            if links == before {
                return Ok(path::clean(&next).0);
            }
            path = next;
        }
    }

    /// Goes over the parts of `path` once and puts the text of each link in its place.
    fn pass(&self, path: &[u8], links: &mut usize) -> nix::Result<Vec<u8>> {
        let mut first = !path.starts_with(b"/");
        let mut so_far = Vec::new();
        for part in path::parts(path) {
            let next = path::join(&so_far, part);
            so_far = match self.follow(&next, links)? {
                None => next,
                // As it is, its own `..` included: the next pass goes over it.
                Some(text) if first || text.starts_with(b"/") => text,
                Some(text) => path::join(&so_far, &text),
            };
            first = false;
        }
        Ok(so_far)
    }

    fn follow(&self, path: &[u8], links: &mut usize) -> nix::Result<Option<Vec<u8>>> {
        if *links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        match self.look(path)? {
            Found::Link => {
                *links += 1;
                let (above, name) = path::split(path);
                Ok(Some(readlinkat(self.dir(above)?, name)?.into_vec()))
            }
            _ => Ok(None),
        }
    }

    /// Removes `name` in `parent` (which is the directory at the path `at`) and all below it. That nothing is there is
    /// no error.
    ///
    /// Directory handles do not pile up however deep it goes.
    pub(super) fn remove(&self, parent: &OwnedFd, at: &[u8], name: &[u8]) -> nix::Result<()> {
        if remove_one(parent, name)? {
            return Ok(());
        }
        let mut path = at.to_vec();
        path::push(&mut path, name);
        loop {
            match self.empty(&path)? {
                Some(full) => path::push(&mut path, &full),
                None => {
                    let (above, name) = path::split(&path);
                    unlinkat(&self.dir(above)?, name, UnlinkatFlags::RemoveDir)?;
                    if above.len() <= at.len() {
                        return Ok(());
                    }
                    path.truncate(above.len());
                }
            }
        }
    }

    /// Removes all there is.
    pub(super) fn clear(&self) -> nix::Result<()> {
        while let Some(full) = self.empty(b"")? {
            self.remove(&self.root, b"", &full)?;
        }
        Ok(())
    }

    /// Removes what is in the directory at `path`; gives the first directory in it that is not empty.
    fn empty(&self, path: &[u8]) -> nix::Result<Option<Vec<u8>>> {
        let dir = self.dir(path)?;
        let mut list = Dir::openat(&dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        for entry in list.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") && !remove_one(&dir, name)? {
                return Ok(Some(name.to_vec()));
            }
        }
        Ok(None)
    }

    /// Names of the directories in the directory at `path`.
    pub(super) fn dirs_in(&self, path: &[u8]) -> nix::Result<Vec<Vec<u8>>> {
        let dir = self.dir(path)?;
        let mut list = Dir::openat(&dir, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut names = Vec::new();
        for entry in list.iter() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if let Found::Thing(stat) = look_at(&dir, name)?
                && is_dir(&stat)
            {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }
}

/// The directory `name` in `from`. `ELOOP` for a link.
pub(super) fn enter(from: &OwnedFd, name: &[u8]) -> nix::Result<OwnedFd> {
    match openat(from, name, PASSAGE | OFlag::O_NOFOLLOW, Mode::empty()) {
        Err(Errno::ENOTDIR) if matches!(look_at(from, name), Ok(Found::Link)) => Err(Errno::ELOOP),
        other => other,
    }
}

/// What `name` in `dir` is.
pub(super) fn look_at(dir: &OwnedFd, name: &[u8]) -> nix::Result<Found> {
    match lstatat(dir, name) {
        Ok(stat) if file_type(&stat) == SFlag::S_IFLNK => Ok(Found::Link),
        Ok(stat) => Ok(Found::Thing(Box::new(stat))),
        Err(Errno::ENOENT) => Ok(Found::Nothing),
        Err(e) => Err(e),
    }
}

/// False: it is a directory that is not empty.
fn remove_one(dir: &OwnedFd, name: &[u8]) -> nix::Result<bool> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(true),
        // Linux says EISDIR, POSIX says EPERM.
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(e) => return Err(e),
    }
    match unlinkat(dir, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(false),
        Err(e) => Err(e),
    }
}
