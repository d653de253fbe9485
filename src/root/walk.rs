//! Finding a path below the root without ever leaving it.
//!
//! Part by part with `openat`, links read and resolved by hand. The same on every kernel: `openat2` with
//! RESOLVE_IN_ROOT would do it in one call, but only from 5.6 on and not inside every sandbox.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{At, Root};
use crate::crash;
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;
use crate::sys::at::{mkdirat, openat, readlinkat};

/// As the kernel's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// What to do about a directory that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Tell.
    Stop,
    /// Make it, mode 0755.
    Make,
}

/// A directory and the name of something in it, which is no link.
pub(super) type Place = (OwnedFd, OsString);

impl Root {
    /// The directory that holds `path` and its last name, all links followed. `None`: a directory on the way is missing.
    pub(super) fn find(&self, path: RelPath<'_>) -> Result<Option<Place>> {
        let mut walk = Walk::new(self, path, Missing::Stop)?;
        walk.run(true).at(self, "find", path).and_then(|found| match found {
            Found::Missing => Ok(None),
            Found::Directory => Err(self.not_a_name(path)),
            Found::Name(name) => Ok(Some((walk.into_top(path)?, name))),
        })
    }

    /// The directory that holds `path`, and its last name as it stands. `None`: the directory is missing.
    pub(super) fn find_parent<'p>(&self, path: RelPath<'p>) -> Result<Option<(OwnedFd, &'p str)>> {
        let (dir, name) = path.split();
        let fd = match dir {
            None => Some(self.dir.try_clone().at(self, "open", path)?),
            Some(dir) => self.open_dir(dir)?,
        };
        Ok(fd.map(|fd| (fd, name)))
    }

    /// As [`Root::find_parent`], with the directories on the way made where they are missing.
    pub(super) fn make_parent<'p>(&self, path: RelPath<'p>) -> Result<(OwnedFd, &'p str)> {
        let (dir, name) = path.split();
        let fd = match dir {
            None => self.dir.try_clone().at(self, "open", path)?,
            Some(dir) => self.make_dir(dir)?,
        };
        Ok((fd, name))
    }

    /// Opens a directory. `None`: not there.
    pub(super) fn open_dir(&self, path: RelPath<'_>) -> Result<Option<OwnedFd>> {
        self.directory(path, Missing::Stop)
    }

    pub(super) fn make_dir(&self, path: RelPath<'_>) -> Result<OwnedFd> {
        let made = self.directory(path, Missing::Make).map_err(super::write::hinted)?;
        made.ok_or_else(|| Error::new(Kind::Bug, self.failed("make directory", path)))
    }

    fn directory(&self, path: RelPath<'_>, missing: Missing) -> Result<Option<OwnedFd>> {
        let mut walk = Walk::new(self, path, missing)?;
        match walk.run(false).at(self, "open directory", path)? {
            Found::Missing => Ok(None),
            _ => Ok(Some(walk.into_top(path)?)),
        }
    }

    fn not_a_name(&self, path: RelPath<'_>) -> Error {
        Error::new(Kind::Host, format_args!("'{}' leads to the root directory itself", self.absolute(path).display()))
    }
}

enum Found {
    Missing,
    /// The way ended in a directory, which is on top of the stack.
    Directory,
    /// The last name, in the directory on top of the stack.
    Name(OsString),
}

struct Walk<'r> {
    root: &'r Root,
    /// Directories from the root to where we are; `..` pops.
    stack: Vec<OwnedFd>,
    ahead: VecDeque<OsString>,
    links: usize,
    missing: Missing,
}

impl<'r> Walk<'r> {
    fn new(root: &'r Root, path: RelPath<'_>, missing: Missing) -> Result<Self> {
        let ahead = path.parts().map(OsString::from).collect();
        Ok(Walk { root, stack: Vec::new(), ahead, links: 0, missing })
    }

    fn into_top(mut self, path: RelPath<'_>) -> Result<OwnedFd> {
        match self.stack.pop() {
            Some(fd) => Ok(fd),
            None => self.root.dir.try_clone().at(self.root, "open", path),
        }
    }

    fn top(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stack.last().map_or(self.root.dir.as_fd(), |fd| fd.as_fd())
    }

    /// Goes on until nothing is ahead. With `stop_at_name` the last part is not entered, only freed of links.
    fn run(&mut self, stop_at_name: bool) -> nix::Result<Found> {
        while let Some(part) = self.ahead.pop_front() {
            if part == ".." {
                self.stack.pop();
                continue;
            }
            if let Some(target) = self.link(&part)? {
                self.follow(target)?;
                continue;
            }
            if stop_at_name && self.ahead.is_empty() {
                return Ok(Found::Name(part));
            }
            match self.enter(&part) {
                Ok(fd) => self.stack.push(fd),
                Err(Errno::ENOENT) => return Ok(Found::Missing),
                Err(e) => return Err(e),
            }
        }
        Ok(Found::Directory)
    }

    fn link(&self, part: &OsStr) -> nix::Result<Option<OsString>> {
        match readlinkat(self.top(), part) {
            Ok(target) => Ok(Some(target)),
            Err(Errno::EINVAL | Errno::ENOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn follow(&mut self, target: OsString) -> nix::Result<()> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(Errno::ELOOP);
        }
        if target.as_bytes().starts_with(b"/") {
            self.stack.clear();
        }
        for part in target.as_bytes().rsplit(|b| *b == b'/') {
            if !part.is_empty() && part != b"." {
                self.ahead.push_front(OsStr::from_bytes(part).to_owned());
            }
        }
        Ok(())
    }

    fn enter(&self, part: &OsStr) -> nix::Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        match openat(self.top(), part, flags, Mode::empty()) {
            Err(Errno::ENOENT) if self.missing == Missing::Make => {
                crash::point();
                match mkdirat(self.top(), part, Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => nix::unistd::fsync(self.top())?,
                    Err(e) => return Err(e),
                }
                openat(self.top(), part, flags, Mode::empty())
            }
            other => other,
        }
    }
}
