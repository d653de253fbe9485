//! Parents that a layer does not name: made as containerd makes them, like the directory that they cover.

use std::hash::{DefaultHasher, Hasher};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode};
use nix::unistd::{Gid, Uid};

use super::path::{self, Start};
use super::tree::{Found, Tree, enter, is_dir};
use super::{Applier, Place, failed};
use crate::archive::{MAKE_AGAIN, bad, shown};
use crate::error::Result;
use crate::sys::at::{fchmodat, lchownat, mkdirat};
use crate::sys::xattr::{self, Existing};

/// Directories of a base layer that no entry names: 1 MiB of hashes. Only tars that name no directory at all have many.
const MAX_HOLLOW: usize = 1 << 16;

impl Applier<'_> {
    /// The directory at `path`, in which no link is; what is missing of it is made.
    pub(super) fn parents(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let tree = &self.target.tree;
        let mut fd = tree.dir(b"").map_err(|e| failed(e, "open the root directory"))?;
        let mut at = Vec::new();
        for part in path::parts(path) {
            path::push(&mut at, part);
            fd = match enter(&fd, part) {
                Err(Errno::ENOENT) => self.parent(&fd, part, &at)?,
                Err(Errno::ENOTDIR | Errno::ELOOP) => {
                    return Err(
                        bad(format_args!("'{}', which should hold it, is no directory", shown(&at))).hint(MAKE_AGAIN)
                    );
                }
                entered => entered.map_err(|e| failed(e, "open its directory"))?,
            };
        }
        Ok(fd)
    }

    /// Makes one of them.
    fn parent(&mut self, above: &OwnedFd, name: &[u8], path: &[u8]) -> Result<OwnedFd> {
        let doing = |e| failed(e, &format!("make its directory '{}'", shown(path)));
        let mode = Mode::from_bits_truncate(0o755);
        mkdirat(above, name, mode).map_err(doing)?;
        fchmodat(above, name, mode).map_err(doing)?;
        let made = enter(above, name).map_err(doing)?;
        for lower in &self.target.lowers {
            match covered(lower, path).map_err(doing)? {
                Covered::Nothing => {}
                Covered::Other => break,
                Covered::Dir(dir, stat) => {
                    copy(&dir, &stat, &made).map_err(doing)?;
                    break;
                }
            }
        }
        self.is_hollow(path);
        Ok(made)
    }

    fn is_hollow(&mut self, path: &[u8]) {
        match &mut self.hollow {
            Some(hollow) if hollow.len() < MAX_HOLLOW => drop(hollow.insert(hash(path))),
            // Not known any more; see `stands_alone`.
            hollow => *hollow = None,
        }
    }

    /// Notes that an entry names it.
    pub(super) fn is_entry(&mut self, place: &Place, name: &[u8]) {
        if let Some(hollow) = self.hollow.as_mut().filter(|hollow| !hollow.is_empty()) {
            let mut path = place.path.clone();
            path::push(&mut path, name);
            hollow.remove(&hash(&path));
        }
    }

    /// Whether an entry names the directory at `path`. Known in base layers only.
    pub(super) fn stands_alone(&self, path: &[u8]) -> Result<bool> {
        match &self.hollow {
            Some(hollow) => Ok(!hollow.contains(&hash(path))),
            None => Err(bad(format_args!("more than {MAX_HOLLOW} directories have no entry")).hint(MAKE_AGAIN)),
        }
    }
}

/// Two paths with one hash would mean that a directory is kept or goes with an opaque mark of its own layer.
fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(path);
    hasher.finish()
}

/// What a lower layer has at a path.
enum Covered {
    Nothing,
    Dir(OwnedFd, Box<FileStat>),
    /// A file, or a whiteout: nothing further down shows.
    Other,
}

fn covered(lower: &Tree, path: &[u8]) -> nix::Result<Covered> {
    let found = lower.resolve(path, Start::Rooted).and_then(|path| Ok((lower.look(&path)?, path)));
    match found {
        Ok((Found::Thing(stat), path)) if is_dir(&stat) => Ok(Covered::Dir(lower.dir(&path)?, stat)),
        Ok((Found::Nothing, _)) => Ok(Covered::Nothing),
        Ok(_) => Ok(Covered::Other),
        // Among them `ENOTDIR`: below a file or a whiteout of a lower layer containerd makes no parents either.
        Err(e) => Err(e),
    }
}

/// Owner, mode, times and attributes, except those of overlayfs itself.
fn copy(from: &OwnedFd, stat: &FileStat, to: &OwnedFd) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    lchownat(to, ".", uid, gid)?;
    fchmodat(to, ".", Mode::from_bits_truncate(stat.st_mode & 0o7777))?;
    let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    super::set_times(to, b".", nanos(stat.st_mtime, stat.st_mtime_nsec), nanos(stat.st_atime, stat.st_atime_nsec))?;
    let names = match xattr::list(from.as_fd(), b".") {
        Err(Errno::ENOTSUP) => return Ok(()),
        names => names?,
    };
    for name in names.iter().filter(|name| !name.starts_with(b"trusted.")) {
        let value = match xattr::get(from.as_fd(), b".", name) {
            Err(Errno::ENOTSUP | Errno::ENODATA) => continue,
            value => value?,
        };
        match xattr::set(to.as_fd(), b".", name, &value, Existing::Kept) {
            Ok(()) | Err(Errno::ENOTSUP | Errno::ENODATA | Errno::EEXIST) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
