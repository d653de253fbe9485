//! Directories of snapshots that a power cut took out of containerd's database but not off the disk.
//!
//! The overlayfs snapshotter makes the directory `snapshots/N` first and commits N to its database after. After a cut in
//! between it hands out N again, and again after every failure, as nothing of a failed attempt is kept:
//! `failed to rename: rename .../snapshots/new-123 .../snapshots/N: file exists`. Its own clean-up of such directories
//! runs only when a snapshot was removed. No snapshot can have the number N: numbers only rise, and are stored together
//! with the snapshots that got them.

use std::path::Path;

use crate::containerd::CallError;
use crate::error::{Result, Trail};
use crate::ids::RelPath;
use crate::note;
use crate::root::Root;

/// One cut leaves as many as there were layers under way; a few cuts in a row some more.
pub(super) const MAX: usize = 1000;

/// Removes the directory below `snapshotter` that is in the way of a new snapshot. `false`: that is not what `e` says.
pub(super) fn remove(e: &CallError, snapshotter: &Path) -> Result<bool> {
    let Some(number) = e.message().and_then(|message| in_the_way(message, snapshotter)) else { return Ok(false) };
    let orphan = format!("snapshots/{number}");
    let Ok(path) = RelPath::parse(&orphan) else { return Ok(false) };
    note::debug(format_args!("'{orphan}' was left by a power cut; removing it"));
    let removed = Root::open(snapshotter).and_then(|root| root.remove_tree(path));
    removed.doing(|| format!("remove '{orphan}', which a power cut left")).map(|_| true)
}

fn in_the_way(message: &str, snapshotter: &Path) -> Option<u64> {
    let (_, path) = message.strip_suffix(": file exists")?.rsplit_once(' ')?;
    let (dir, number) = path.rsplit_once('/')?;
    let parent = dir.strip_suffix("/snapshots")?;
    number.parse().ok().filter(|_| Path::new(parent) == snapshotter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_read_from_the_daemons_words() {
        let dir = Path::new("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs");
        let message =
            |to: &str| format!("failed to rename: rename {}/snapshots/new-7 {to}: file exists", dir.display());
        let own = format!("{}/snapshots/12", dir.display());
        for (message, number) in [
            (message(&own), Some(12)),
            (message(&format!("{}/snapshots/new-12", dir.display())), None),
            (message("/elsewhere/snapshots/12"), None),
            (message(&own).replace("file exists", "permission denied"), None),
            ("file exists".to_owned(), None),
        ] {
            assert_eq!(in_the_way(&message, dir), number, "{message}");
        }
    }
}
