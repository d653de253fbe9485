//! What a layer takes away from those below it (OCI image-spec, layer.md, "Whiteouts").

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::stat::{Mode, SFlag};
use nix::unistd::{Gid, Uid};

use super::{Applier, Form, Place, failed, path};
use crate::archive::{MAKE_AGAIN, Member, bad};
use crate::error::Result;
use crate::sys::at::{lchownat, mknodat};
use crate::sys::xattr::{self, Existing};

const PREFIX: &[u8] = b".wh.";

/// Nothing of the lower layers shows in the directory that holds it. AUFS, from which all this comes, has other names
/// that begin like it (`.wh..wh.plnk`); they are whiteouts of odd names here, as for containerd.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// overlayfs.rst, "whiteouts and opaque directories".
const OVERLAY_OPAQUE: &[u8] = b"trusted.overlay.opaque";

impl Applier<'_> {
    /// Does what the name `name` in `place` says. False: it is an ordinary name.
    pub(super) fn whiteout(&mut self, place: &Place, name: &[u8], member: &Member) -> Result<bool> {
        let Some(gone) = name.strip_prefix(PREFIX) else { return Ok(false) };
        match (name, self.target.form) {
            (OPAQUE, Form::Overlay) => xattr::set(place.fd.as_fd(), b".", OVERLAY_OPAQUE, b"y", Existing::Replaced)
                .map_err(|e| failed(e, "mark its directory as opaque"))?,
            (OPAQUE, Form::Plain) => self.empty(place)?,
            _ if matches!(gone, b"" | b"." | b"..") => {
                return Err(bad("is a whiteout of nothing").hint(MAKE_AGAIN));
            }
            (_, Form::Overlay) => cover(place, gone, member)?,
            (_, Form::Plain) => self.clear(place, gone)?,
        }
        Ok(true)
    }

    /// In a base layer nothing lies below, so only what no entry names is taken away: directories that came with
    /// their content.
    fn empty(&mut self, place: &Place) -> Result<()> {
        let doing = |e| failed(e, "empty its directory");
        let tree = &self.target.tree;
        let mut ahead = vec![place.path.clone()];
        let mut hollow = Vec::new();
        while let Some(dir) = ahead.pop() {
            for name in tree.dirs_in(&dir).map_err(doing)? {
                let mut path = dir.clone();
                path::push(&mut path, &name);
                if self.stands_alone(&path)? { ahead.push(path) } else { hollow.push(path) }
            }
        }
        for path in hollow {
            let (above, name) = path::split(&path);
            let fd = tree.dir(above).map_err(doing)?;
            self.clear(&Place { fd, path: above.to_vec() }, name)?;
        }
        Ok(())
    }
}

/// A character device 0/0 covers what is below. Something of the same layer in its place is refused, as by containerd:
/// the specification lets a whiteout concern lower layers only.
fn cover(place: &Place, name: &[u8], member: &Member) -> Result<()> {
    match mknodat(&place.fd, name, SFlag::S_IFCHR, Mode::empty(), 0) {
        Err(Errno::EEXIST) => {
            return Err(bad("takes away what its own layer has put there").hint(MAKE_AGAIN));
        }
        made => made.map_err(|e| failed(e, "make a whiteout"))?,
    }
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    lchownat(&place.fd, name, uid, gid).map_err(|e| failed(e, "set the owner of a whiteout"))
}
