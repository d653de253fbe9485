//! One run at a time per root.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::{At, Root};
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;

/// Held until dropped; the kernel drops it with the process, so a cut leaves no stale lock.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "the lock lives as long as its file")] Flock<File>);

impl Root {
    /// Takes the lock file `path`, or tells who has it.
    pub fn lock(&self, path: RelPath<'_>) -> Result<Lock> {
        loop {
            let file = self.open_append(path, 0o600)?;
            if let Some(lock) = self.take(file, path)? {
                return Ok(lock);
            }
        }
    }

    /// `None`: its last holder removed the file between our opening and our locking it, so it keeps nobody out.
    fn take(&self, file: File, path: RelPath<'_>) -> Result<Option<Lock>> {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) if locked.metadata().is_ok_and(|meta| meta.nlink() == 0) => Ok(None),
            Ok(mut locked) => {
                let note = format!("{}\n", std::process::id());
                locked.set_len(0).and_then(|()| locked.write_all(note.as_bytes())).at(self, "write", path)?;
                Ok(Some(Lock(locked)))
            }
            Err((_, Errno::EWOULDBLOCK)) => {
                let holder = match self.text_or_empty(path, 32)?.trim() {
                    // It has the lock, and is about to say who it is.
                    "" => String::new(),
                    process => format!(" (process {process})"),
                };
                let what = format!("another edgelay is running here{holder}");
                Err(Error::new(Kind::Locked, what).hint("wait until it has ended, then run again"))
            }
            Err((_, e)) => Err(e).at(self, "lock", path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_taker_is_told() {
        let (_dir, root) = Root::scratch();
        let path = RelPath::literal("run/edgelay.lock");
        let held = root.lock(path).unwrap();
        let e = root.lock(path).unwrap_err();
        assert_eq!(e.kind(), Kind::Locked);
        assert!(e.to_string().contains(&std::process::id().to_string()), "{e}");
        held.0.set_len(0).unwrap();
        assert_eq!(root.lock(path).unwrap_err().to_string(), "another edgelay is running here");
        drop(held);
        root.lock(path).unwrap();
    }

    #[test]
    fn a_lock_file_that_was_removed_meanwhile_is_no_lock() {
        let (_dir, root) = Root::scratch();
        let path = RelPath::literal("lock");
        let opened = root.open_append(path, 0o600).unwrap();
        root.remove(path).unwrap();
        assert!(root.take(opened, path).unwrap().is_none());
        root.lock(path).unwrap();
    }
}
