//! The install log: dated lines, private, bounded.

use std::fs::File;
use std::io::Write;

use crate::clock::{Clock, SystemClock, rfc3339};
use crate::error::Result;
use crate::ids::RelPath;
use crate::root::Root;

/// A run begins a new file once the old one is larger than this; one old file is kept.
const ROTATE_AT: u64 = 1 << 20;
/// One run writes no more than this.
const RUN_LIMIT: u64 = 4 << 20;
/// A longer line is cut: nothing we say is longer, but other programs' words may be.
const LINE_LIMIT: usize = 4096;

/// A log file that is being written.
#[derive(Debug)]
pub struct LogFile {
    file: File,
    clock: SystemClock,
    left: u64,
}

impl LogFile {
    /// Opens `path` below `root` for this run; a file that has grown large becomes `<path>.old` first.
    pub fn open(root: &Root, path: RelPath<'_>) -> Result<Self> {
        if root.lstat(path)?.is_some_and(|meta| meta.size > ROTATE_AT) {
            let old = format!("{}.old", path.as_str());
            if let Ok(old) = RelPath::parse(&old) {
                root.remove(old)?;
                root.set_aside(path, old)?;
            }
        }
        Ok(LogFile { file: root.open_append(path, 0o600)?, clock: SystemClock::default(), left: RUN_LIMIT })
    }

    /// Adds a line. A full disk must not stop an installation, ignoring: any write error.
    pub(super) fn line(&mut self, text: &str) {
        let text = text.get(..text.floor_char_boundary(LINE_LIMIT)).unwrap_or(text);
        let line = format!("{} {}\n", rfc3339(self.clock.unix()), text.replace('\n', "\n    "));
        let size = line.len() as u64;
        if size <= self.left {
            self.left -= size;
            let _ = self.file.write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn bounded_private_and_rotated() {
        let (dir, root) = Root::scratch();
        let path = RelPath::literal("var/log/edgelay/install.log");
        let mut log = LogFile::open(&root, path).unwrap();
        for _ in 0..2000 {
            log.line(&"x".repeat(10_000));
        }
        let file = dir.path().join("var/log/edgelay/install.log");
        let meta = std::fs::metadata(&file).unwrap();
        assert!(meta.len() <= RUN_LIMIT && meta.len() > RUN_LIMIT / 2, "{}", meta.len());
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        LogFile::open(&root, path).unwrap().line("next\nrun");
        assert!(std::fs::read_to_string(&file).unwrap().ends_with("Z next\n    run\n"));
        assert!(dir.path().join("var/log/edgelay/install.log.old").exists());
    }
}
