//! What the first process of a machine does to it: mounts, drivers, consoles, and the end.

mod consoles;
mod power;

pub use consoles::Consoles;
pub use power::{End, end};

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MntFlags, MsFlags, umount2};

use crate::error::{Error, Kind, Lift, Result};

/// How a file system is mounted. Programs on it are never run with more rights than their caller's, and device files
/// on it are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only to look.
    Read,
    /// To write.
    Write,
    /// To write; device files and set-user-ID programs are what they say: a system's root.
    Root,
}

impl Access {
    fn flags(self) -> MsFlags {
        match self {
            Access::Read => MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Access::Write => MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
            Access::Root => MsFlags::empty(),
        }
    }
}

/// Mounts the device `source` with a file system of type `kind` at `at`.
pub fn mount(source: &Path, at: &Path, kind: &str, access: Access, options: &str) -> Result<()> {
    call(source, at, kind, access.flags(), options)
}

/// Changes how what is mounted at `at` may be used.
pub fn remount(at: &Path, access: Access, options: &str) -> Result<()> {
    call(at, at, "none", access.flags() | MsFlags::MS_REMOUNT, options)
}

fn call(source: &Path, at: &Path, kind: &str, flags: MsFlags, options: &str) -> Result<()> {
    let done = nix::mount::mount(Some(source), at, Some(kind), flags, Some(options));
    done.lift(Kind::Host, || format!("mount '{}' at '{}' as {kind}", source.display(), at.display())).map_err(explain)
}

/// What the kernel's numbers mean here.
fn explain(e: Error) -> Error {
    match e.errno().map(Errno::from_raw) {
        Some(Errno::ENODEV) => e.hint("the kernel lacks this file system: put its module into the image"),
        // ext4 without the module of its checksum says so.
        Some(Errno::ENOENT) => {
            e.hint("the kernel lacks something that this file system needs: crc32c_generic for ext4")
        }
        Some(Errno::EINVAL) => e.hint("the file system is damaged, or needs a module such as nls_cp437 for FAT"),
        Some(Errno::EROFS) => e.hint("move the write-protect switch of the medium"),
        _ => e,
    }
}

/// Takes away what is mounted at `at`, once nobody uses it any more.
pub fn unmount(at: &Path) -> Result<()> {
    umount2(at, MntFlags::empty()).lift(Kind::Host, || format!("unmount '{}'", at.display()))
}

/// What became of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loaded {
    /// It works.
    Now,
    /// It was there already.
    Before,
    /// This machine has nothing for it.
    NotNeeded,
}

/// Loads a kernel module.
pub fn load_module(file: &File) -> Result<Loaded> {
    match finit_module(file, c"", ModuleInitFlags::empty()) {
        Ok(()) => Ok(Loaded::Now),
        Err(Errno::EEXIST) => Ok(Loaded::Before),
        Err(Errno::ENODEV) => Ok(Loaded::NotNeeded),
        Err(e) => Err(e).lift(Kind::Host, || "load it".into()).map_err(|e| match e.errno().map(Errno::from_raw) {
            Some(Errno::ENOEXEC) => e.hint("the image was made for another kernel: make it with this one's modules"),
            _ => e,
        }),
    }
}

/// Waits until everything that was written is on its disk.
pub fn sync() {
    nix::unistd::sync();
}
