//! A file system that brings the configuration: mounted for as long as it is looked at, and for nothing else.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::error::{Error, Kind, Lift, Result};
use crate::host::block::Device;
use crate::host::label::Format;
use crate::ids::RelPath;
use crate::root::Root;

/// Where it is mounted.
const PLACE: RelPath<'static> = RelPath::literal("run/edgelay/medium");

/// What is to be done on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A mounted medium; unmounted on drop.
#[derive(Debug)]
pub(super) struct Medium {
    /// Its files.
    pub(super) root: Root,
    place: PathBuf,
}

impl Medium {
    /// Mounts `device`. Nothing on it counts as a program, as a device or as privileged.
    pub(super) fn mount(machine: &Root, device: &Device, access: Access) -> Result<Medium> {
        let Some(format) = device.file_system.as_ref().map(|fs| fs.format) else {
            return Err(Error::new(Kind::Host, format_args!("{device} has no file system")));
        };
        machine.mkdir(PLACE, 0o700)?;
        let place = machine.absolute(PLACE);
        // What a killed run left there, ignoring: nothing is mounted.
        let _ = umount2(place.as_path(), MntFlags::MNT_DETACH);
        let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        if access == Access::Read {
            flags |= MsFlags::MS_RDONLY;
        }
        let source = Path::new("/dev").join(&device.name);
        let options = options(format, access);
        mount(Some(source.as_path()), place.as_path(), Some(format.mount_type()), flags, options)
            .lift(Kind::Host, || format!("mount {device}"))?;
        match Root::open(&place) {
            Ok(root) => Ok(Medium { root, place }),
            Err(e) => {
                let _ = umount2(place.as_path(), MntFlags::MNT_DETACH);
                Err(e)
            }
        }
    }
}

fn options(format: Format, access: Access) -> Option<&'static str> {
    match (format, access) {
        // FAT knows no owners: what is on it is root's alone.
        (Format::Vfat, _) => Some("umask=0077"),
        // Reading must not write, not even what a journal has left to do.
        (Format::Ext, Access::Read) => Some("noload"),
        (Format::Xfs, Access::Read) => Some("norecovery"),
        _ => None,
    }
}

impl Drop for Medium {
    fn drop(&mut self) {
        // Our own handle keeps it busy until it is dropped, so it is detached; ignoring: it cannot be helped here.
        let _ = self.root.sync_all();
        let _ = umount2(self.place.as_path(), MntFlags::MNT_DETACH);
    }
}
