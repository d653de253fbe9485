//! Puts a layer's files where a snapshot keeps them, just as containerd's own `Diff.Apply` does.
//!
//! No mount is needed for it. What containerd answers to `Snapshots.Prepare` names the directories: the `upperdir` of
//! an overlay, with its `lowerdir`s, or the source of a bind mount for a layer without a parent. Files are written
//! right there, so there is nothing to unmount, and a cut leaves nothing behind but an active snapshot.
//!
//! | in the layer | below an overlay's upper directory | in a base layer |
//! |---|---|---|
//! | `.wh.NAME` | `NAME` becomes a character device 0/0 | `NAME` is removed |
//! | `.wh..wh..opq` | its directory gets `trusted.overlay.opaque=y` | what its directory holds by parentage only is removed |
//! | file, link, device over something else | that is removed first | the same |
//! | directory over a directory | takes its owner, mode, times, attributes | the same |
//! | a parent that is missing | made, mode 0755; looks like the lower one, if there is one | made, mode 0755 |
//! | hard link | to what is in the same layer, else refused | the same |
//! | directory times | set when everything is in place | the same |
//!
//! Nothing in a layer reaches out of its directory: names and links are resolved against it, in `tree`.
//! Memory does not grow with the layer but for the times of directories (1.25 MiB for some 62,000) and, in a base layer, the
//! directories that no entry names (1 MiB).
//! Nothing is synced here: the caller does that once per image.

mod dirs;
mod make;
mod path;
pub mod ring;
mod tree;
mod upper;
mod whiteout;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::time::{TimeSpec, TimeValLike};

use crate::archive::{MAKE_AGAIN, Member, MemberKind, Members, bad, shown};
use crate::error::{Error, Kind, Result, Trail};
use crate::feed::Feed;
use crate::gather::Gather;
use crate::sorted::Set;
use crate::sys::at::lutimensat;
use crate::sys::signal;

use dirs::{Dated, Dirs};
use path::Start;
use tree::Tree;

/// File data passes through one buffer of this size.
const BUFFER: usize = 64 << 10;

/// Where a layer goes.
#[derive(Debug)]
pub struct Target {
    tree: Tree,
    lowers: Vec<Tree>,
    form: Form,
}

/// How what a layer takes away is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In the way of overlayfs.
    Overlay,
    /// Not at all: it is removed.
    Plain,
}

impl Target {
    /// The upper directory of an overlay and its lower ones, the topmost first.
    pub fn overlay(upper: &Path, lowers: &[&Path]) -> Result<Self> {
        let lowers = lowers.iter().map(|lower| Tree::open(lower)).gather::<Result<_>>()?;
        Ok(Target { tree: Tree::open(upper)?, lowers, form: Form::Overlay })
    }

    /// A directory that has nothing below it.
    pub fn plain(dir: &Path) -> Result<Self> {
        Ok(Target { tree: Tree::open(dir)?, lowers: Vec::new(), form: Form::Plain })
    }

    /// Removes what was written.
    pub fn clear(&self) -> Result<()> {
        self.tree.clear().map_err(|e| failed(e, "clear the snapshot's directory"))
    }
}

/// Applies the layer whose uncompressed tar is `tar` to an empty `target`, and reads `tar` to its end.
///
/// # Errors
/// [`Kind::Bundle`] for a layer that is damaged or that containerd could not unpack either, [`Kind::Host`] for what
/// the disk refuses; both name the entry. What was written until then stays: the caller removes the snapshot.
pub fn apply(target: &Target, mut tar: impl Read) -> Result<()> {
    apply_from(target, &mut tar)
}

/// Apart, so that this code is made once and not for every kind of source.
fn apply_from(target: &Target, tar: &mut dyn Feed) -> Result<()> {
    let mut members = Members::new(tar);
    let mut applier = Applier::new(target);
    let mut buffer = vec![0; BUFFER];
    while let Some(member) = members.advance()? {
        signal::check()?;
        applier.member(&member, &mut members, &mut buffer).doing(|| format!("unpack '{}'", shown(&member.name)))?;
    }
    applier.date_directories()?;
    drain(members.into_inner(), &mut buffer)
}

/// What follows the end mark belongs to the layer's digest, too.
fn drain(rest: &mut dyn Feed, buffer: &mut [u8]) -> Result<()> {
    loop {
        match rest.draw(buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(crate::archive::unreadable(e, "the layer's end")),
        }
    }
}

/// A directory and where it is.
#[derive(Debug)]
struct Place {
    fd: OwnedFd,
    path: Vec<u8>,
}

/// One layer on its way.
struct Applier<'t> {
    target: &'t Target,
    dirs: Dirs,
    /// The parent of the last member, by the name it went by. Members come directory by directory.
    parent: Option<(Vec<u8>, Start, Rc<Place>)>,
    /// Of a base layer: hashes of the directories that are there only because something is in them.
    hollow: Option<Set<u64>>,
}

impl<'t> Applier<'t> {
    fn new(target: &'t Target) -> Self {
        let hollow = (target.form == Form::Plain).then(Set::new);
        Applier { target, dirs: Dirs::default(), parent: None, hollow }
    }

    fn member<R: Read>(&mut self, member: &Member, data: &mut Members<R>, buffer: &mut [u8]) -> Result<()> {
        let (path, start) = path::clean(&member.name);
        let (dir, name) = path::split(&path);
        if name.is_empty() {
            return Ok(()); // the root directory itself is the snapshotter's
        }
        let place = self.place(dir, start)?;
        if self.whiteout(&place, name, member)? {
            return Ok(());
        }
        self.create(&place, name, member, data, buffer)?;
        self.is_entry(&place, name);
        if member.kind == MemberKind::Dir {
            let dated = Dated { path, start, mtime: member.mtime, atime: member.atime };
            self.dirs.add(&dated)?;
        }
        Ok(())
    }

    /// The directory that `dir` leads to, made if it is missing.
    fn place(&mut self, dir: &[u8], start: Start) -> Result<Rc<Place>> {
        if let Some((at, begins, place)) = &self.parent
            && (at.as_slice(), *begins) == (dir, start)
        {
            return Ok(place.clone());
        }
        let place = match self.target.tree.dir(dir) {
            Ok(fd) => Place { fd, path: dir.to_vec() },
            Err(_) => {
                let path = self.target.tree.resolve(dir, start).map_err(|e| failed(e, "find its directory"))?;
                let fd = self.parents(&path)?;
                Place { fd, path }
            }
        };
        let place = Rc::new(place);
        self.parent = Some((dir.to_vec(), start, place.clone()));
        Ok(place)
    }

    /// Removes what is in the way.
    fn clear(&mut self, place: &Place, name: &[u8]) -> Result<()> {
        // Paths that led through it may now lead elsewhere.
        self.parent = None;
        self.target.tree.remove(&place.fd, &place.path, name).map_err(|e| failed(e, "remove what is in its place"))
    }

    /// Times of directories, in the order of the layer: writing into them has changed them.
    fn date_directories(&self) -> Result<()> {
        for dir in self.dirs.iter() {
            self.date(&dir)
                .map_err(|e| failed(e, "set the times"))
                .doing(|| format!("unpack '{}'", shown(&dir.path)))?;
        }
        Ok(())
    }

    fn date(&self, dir: &Dated) -> nix::Result<()> {
        let tree = &self.target.tree;
        if let Ok(fd) = tree.dir(&dir.path) {
            return set_times(&fd, b".", dir.mtime, dir.atime);
        }
        // Something else has come into its place, or links have come into its way.
        let path = tree.resolve(&dir.path, dir.start)?;
        let (above, name) = path::split(&path);
        set_times(&tree.dir(above)?, if name.is_empty() { b"." } else { name }, dir.mtime, dir.atime)
    }
}

/// Times in nanoseconds since 1970; of a link itself.
fn set_times(dir: &OwnedFd, name: &[u8], mtime: i64, atime: i64) -> nix::Result<()> {
    let (mtime, atime) = (TimeSpec::nanoseconds(mtime), TimeSpec::nanoseconds(atime));
    lutimensat(dir, name, &atime, &mtime)
}

/// What the kernel's refusal means: whether the layer or this machine is to blame.
fn failed(e: Errno, doing: &str) -> Error {
    let error = match e {
        Errno::ENOENT
        | Errno::ENOTDIR
        | Errno::EISDIR
        | Errno::EEXIST
        | Errno::ELOOP
        | Errno::EINVAL
        | Errno::ENAMETOOLONG
        | Errno::EMLINK
        | Errno::E2BIG
        | Errno::ERANGE
        | Errno::EFBIG => bad(doing.to_owned()).hint(MAKE_AGAIN),
        _ => Error::new(Kind::Host, doing.to_owned()),
    };
    error.because(e)
}

#[cfg(test)]
#[path = "unpack/tests.rs"]
mod tests;
