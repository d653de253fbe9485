//! Times of files, where what was made must look the same whenever it is made.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, futimens};
use nix::sys::time::TimeSpec;

use super::{At, Root};
use crate::error::{Kind, Lift, Result};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::sys::at::{lstatat, lutimensat, openat};

/// containerd's directories are five deep.
const MAX_DEPTH: usize = 32;

fn spec(unix: u64) -> TimeSpec {
    TimeSpec::new(i64::try_from(unix).unwrap_or(i64::MAX), 0)
}

impl Root {
    /// Gives `path` itself (a link is not followed) this time. Nothing there is fine.
    pub fn set_time(&self, path: RelPath<'_>, unix: u64) -> Result<()> {
        let Some((dir, name)) = self.find_parent(path)? else { return Ok(()) };
        let time = spec(unix);
        match lutimensat(&dir, name, &time, &time) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(e) => Err(e).at(self, "set the time of", path),
        }
    }

    /// Gives the directory `path`, links followed, this time. Nothing there is fine.
    pub fn set_dir_time(&self, path: RelPath<'_>, unix: u64) -> Result<()> {
        let Some(dir) = self.open_dir(path)? else { return Ok(()) };
        let time = spec(unix);
        futimens(&dir, &time, &time).at(self, "set the time of", path)
    }

    /// Gives the root directory itself this time.
    pub fn set_own_time(&self, unix: u64) -> Result<()> {
        let time = spec(unix);
        futimens(&self.dir, &time, &time).lift(Kind::Host, || format!("set the time of '{}'", self.path.display()))
    }

    /// Gives the directory `path` and all below it this time. Directories that are named `closed` are not entered, and
    /// keep an older time of their own.
    pub fn set_times_below(&self, path: RelPath<'_>, unix: u64, closed: &str) -> Result<()> {
        let Some(dir) = self.open_dir(path)? else { return Ok(()) };
        below(&dir, unix, closed, 0).at(self, "set the times below", path)
    }
}

fn below(dir: &OwnedFd, unix: u64, closed: &str, depth: usize) -> nix::Result<()> {
    if depth > MAX_DEPTH {
        return Err(Errno::ELOOP);
    }
    let time = spec(unix);
    let mut list = Dir::from_fd(dir.try_clone().map_err(|_| Errno::EMFILE)?)?;
    let names: Vec<_> = list.iter().map(|entry| entry.map(|e| e.file_name().to_owned())).gather::<nix::Result<_>>()?;
    for name in names.iter().map(|name| name.as_c_str()).filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
        let stat = lstatat(dir.as_fd(), name)?;
        let is_dir = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR;
        if is_dir && name.to_bytes() == closed.as_bytes() {
            if stat.st_mtime > time.tv_sec() || (stat.st_mtime == time.tv_sec() && stat.st_mtime_nsec > 0) {
                set(dir, name, &time)?;
            }
            continue;
        }
        if is_dir {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            below(&openat(dir, name, flags, Mode::empty())?, unix, closed, depth + 1)?;
        } else {
            set(dir, name, &time)?;
        }
    }
    futimens(dir, &time, &time)
}

fn set(dir: &OwnedFd, name: &CStr, time: &TimeSpec) -> nix::Result<()> {
    lutimensat(dir, name, time, time)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn closed_directories_keep_what_is_inside() {
        let (dir, root) = Root::scratch();
        for path in ["s/1/fs/a", "s/1/b"] {
            root.write(RelPath::parse(path).unwrap(), 0o600, b"x").unwrap();
        }
        root.mkdir(RelPath::literal("s/2/fs"), 0o700).unwrap();
        root.set_time(RelPath::literal("s/2/fs"), 7).unwrap();
        root.symlink(RelPath::literal("s/l"), "nowhere").unwrap();
        root.set_times_below(RelPath::literal("s"), 1000, "fs").unwrap();
        let time = |path: &str| dir.path().join(path).symlink_metadata().unwrap().mtime();
        let times: Vec<i64> = ["s", "s/1", "s/1/b", "s/1/fs", "s/2/fs", "s/l"].map(time).into();
        assert_eq!(times, [1000, 1000, 1000, 1000, 7, 1000]);
        assert!(time("s/1/fs/a") > 1000);
        root.set_dir_time(RelPath::literal("s"), 5).unwrap();
        assert_eq!(time("s"), 5);
        root.set_time(RelPath::literal("none/x"), 5).unwrap();
        root.set_own_time(9).unwrap();
        assert_eq!(dir.path().metadata().unwrap().mtime(), 9);
    }

    #[test]
    fn a_closed_directory_that_is_newer_by_a_part_of_a_second_is_set() {
        let (dir, root) = Root::scratch();
        for (name, second) in [("1/fs", 1000), ("2/fs", 999)] {
            let path = dir.path().join("s").join(name);
            std::fs::create_dir_all(&path).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::new(second, 7);
            std::fs::File::open(&path).unwrap().set_modified(time).unwrap();
        }
        root.set_times_below(RelPath::literal("s"), 1000, "fs").unwrap();
        let times = ["1", "2"].map(|name| dir.path().join("s").join(name).join("fs").metadata().unwrap());
        assert_eq!(times.map(|meta| (meta.mtime(), meta.mtime_nsec())), [(1000, 0), (999, 7)]);
    }

    #[test]
    fn a_tree_that_is_too_deep_is_refused() {
        let (dir, root) = Root::scratch();
        std::fs::create_dir_all(dir.path().join("d/".repeat(MAX_DEPTH + 1))).unwrap();
        root.set_times_below(RelPath::literal("d"), 1000, "fs").unwrap();
        std::fs::create_dir(dir.path().join("d/".repeat(MAX_DEPTH + 2))).unwrap();
        let e = root.set_times_below(RelPath::literal("d"), 1000, "fs").unwrap_err();
        assert_eq!(e.errno(), Some(libc::ELOOP));
    }
}
