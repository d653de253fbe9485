//! Times of files in a system that does not run: the bundle's, so that the same bundle makes the same tree.

use crate::error::Result;
use crate::ids::RelPath;
use crate::plan::{Cx, Journal};
use crate::steps::KernelArguments;

/// A snapshot's own directory: what is in it has the times of its layer.
const SNAPSHOT: &str = "fs";

/// Gives everything that was written, containerd's `store`, and the directories it lies in, the time `built`. Nothing to do
/// on a live system.
pub(in crate::mode) fn settle(cx: &Cx<'_>, store: RelPath<'_>, built: Option<u64>) -> Result<()> {
    let (Some(built), false) = (built, cx.root.is_live()) else { return Ok(()) };
    // It holds the number of our process; whoever opened it meanwhile sees that it is gone, and makes another.
    cx.root.remove(crate::mode::session::LOCK)?;
    cx.root.set_times_below(store, built, SNAPSHOT)?;
    let files = cx.journal.files();
    let backups = files.iter().filter_map(|(_, backup)| backup.as_deref());
    let paths = files.iter().map(|(path, _)| path.as_str()).chain(backups);
    let edited = KernelArguments::edited(cx.journal);
    let paths = paths.chain(edited.iter().map(String::as_str));
    for path in paths.chain([Journal::PATH.as_str(), store.as_str()]) {
        let Ok(path) = RelPath::parse(path) else { continue };
        cx.root.set_time(path, built)?;
        let mut above = path.split().0;
        while let Some(dir) = above {
            cx.root.set_dir_time(dir, built)?;
            above = dir.split().0;
        }
    }
    cx.root.set_own_time(built)
}
