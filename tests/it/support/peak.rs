//! The peak memory of the program as it is released (`make dist`; a debug build has some MiB of its own).
//!
//! Measured by `tests/bench/launch.c`: the kernel counts the peak of a child from the memory of whoever started it, and a
//! test is larger than what is measured here.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::bed::run;
use super::images::host_arch;

pub(crate) const MIB: u64 = 1 << 20;

/// What a usual run may hold: an import or a whole install of bundles as they are.
pub(crate) const USUAL: u64 = 8 * MIB;

/// The released program for this machine; it may not be there.
pub(crate) fn released() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("dist/edgelay-linux-{}", host_arch()))
}

/// The measuring program, built in `folder` at its first use.
pub(crate) fn launcher(folder: &Path) -> PathBuf {
    let launcher = folder.join("launch");
    if !launcher.exists() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/launch.c");
        run(Command::new("cc").args(["-O2", "-static", "-o"]).arg(&launcher).arg(source)).good();
    }
    launcher
}

/// The peak that a report of the launcher tells, in bytes; `None` if the program failed.
pub(crate) fn peak_of(report: &[u8]) -> Option<u64> {
    let used: serde_json::Value = serde_json::from_slice(report).unwrap();
    (used["status"] == 0).then(|| used["rss"].as_u64().unwrap())
}
