//! Emptying and overwriting files in their place.

use std::fs::File;
use std::io::Write;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::{At, Change, Root};
use crate::error::Result;
use crate::ids::RelPath;
use crate::sys::at::openat;

/// A secret has some KiB; what is larger is overwritten no further.
const MAX_WIPED: usize = 64 << 10;

impl Root {
    /// Empties the file `path`, which keeps its owner and permission bits. Nothing there is fine.
    pub fn truncate(&self, path: RelPath<'_>) -> Result<Change> {
        let Some(file) = self.open_in_place(path, OFlag::O_TRUNC)? else { return Ok(Change::Kept) };
        file.sync_all().at(self, "sync", path)?;
        Ok(Change::Wrote)
    }

    /// Overwrites the file `path` where it lies, then removes it. Nothing there is fine.
    ///
    /// Flash memory may keep old blocks all the same; nothing that a program can do reaches those.
    pub fn wipe(&self, path: RelPath<'_>) -> Result<Change> {
        let Some(mut file) = self.open_in_place(path, OFlag::empty())? else { return Ok(Change::Kept) };
        let size = file.metadata().at(self, "look at", path)?.len();
        let zeros = vec![0; usize::try_from(size).unwrap_or(MAX_WIPED).min(MAX_WIPED)];
        file.write_all(&zeros).and_then(|()| file.sync_all()).at(self, "overwrite", path)?;
        self.remove(path)
    }

    fn open_in_place(&self, path: RelPath<'_>, flags: OFlag) -> Result<Option<File>> {
        let Some((dir, name)) = self.find_parent(path)? else { return Ok(None) };
        let flags = flags | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
        match openat(&dir, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(File::from(fd))),
            Err(Errno::ENOENT) => Ok(None),
            Err(e) => Err(e).at(self, "open for writing", path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emptied_and_overwritten_in_place() {
        let (dir, root) = Root::scratch();
        let (log, token) = (RelPath::literal("log"), RelPath::literal("token"));
        root.write(log, 0o640, b"said").unwrap();
        assert_eq!(root.truncate(log).unwrap(), Change::Wrote);
        assert!(root.holds(log, 0o640, b"").unwrap());
        root.write(token, 0o600, b"secret").unwrap();
        std::fs::hard_link(dir.path().join("token"), dir.path().join("other")).unwrap();
        assert_eq!(root.wipe(token).unwrap(), Change::Wrote);
        assert_eq!(root.read(RelPath::literal("other"), 99).unwrap().unwrap(), [0; 6]);
        for gone in [root.wipe(token).unwrap(), root.truncate(token).unwrap()] {
            assert_eq!(gone, Change::Kept);
        }
        std::os::unix::fs::symlink("other", dir.path().join("link")).unwrap();
        assert!(root.wipe(RelPath::literal("link")).is_err());
    }
}
