//! What every run has in common, whatever it installs: the lock, the log, the context of the steps, the end of it all.

use crate::error::Result;
use crate::exec::Host;
use crate::host::{self, preflight};
use crate::ids::RelPath;
use crate::k3s::{HOME, MANIFEST};
use crate::oci::Blobs;
use crate::plan::{Cx, Journal};
use crate::report::{BeatingClock, LogFile, Report};
use crate::root::{Lock, Root};

/// The log of installs.
const LOG: RelPath<'static> = RelPath::literal("var/log/edgelay/install.log");
/// What a first boot leaves.
pub(super) const FIRST_BOOT_RESULT: RelPath<'static> = RelPath::literal("var/lib/edgelay/firstboot.json");
/// Held while something is changed.
pub(super) const LOCK: RelPath<'static> = RelPath::literal("var/lib/edgelay/lock");

/// Begins a run that changes something below `root`. A system that will boot elsewhere, and many times, gets no traces
/// of it.
pub(super) fn take(root: &Root, report: &Report) -> Result<Lock> {
    let lock = root.lock(LOCK)?;
    if root.is_live() {
        report.log_to(LogFile::open(root, LOG)?);
    }
    Ok(lock)
}

/// The same, with the journal.
pub(super) fn begin(root: &Root, report: &Report) -> Result<(Lock, Journal)> {
    Ok((take(root, report)?, Journal::open(root)?))
}

/// Whether nothing was ever begun here. A run that was refused, or that is still looking, leaves its lock.
pub(super) fn is_untouched(root: &Root) -> Result<bool> {
    Ok(Journal::look(root)?.is_empty() && root.stat(LOCK)?.is_none())
}

/// Does `work` with a context on the running system.
pub(super) fn with_cx(
    root: &Root,
    journal: &mut Journal,
    report: &Report,
    blobs: Option<&mut dyn Blobs>,
    work: &mut dyn FnMut(&mut Cx<'_>) -> Result<()>,
) -> Result<()> {
    let clock = BeatingClock::new(report);
    let mut exec = Host::new(root, &clock);
    // Borrowed anew, so that it lives no longer than the rest of the context.
    let blobs = blobs.map(|blobs| blobs as &mut dyn Blobs);
    work(&mut Cx { root, exec: &mut exec, clock: &clock, report, journal, blobs })
}

/// Shows what is not as it should be.
pub(super) fn tell(findings: &[preflight::Finding], report: &Report) {
    for finding in findings {
        let advice = finding.advice.as_deref().unwrap_or_default();
        match finding.verdict {
            preflight::Verdict::Warn => report.warn(&format!("{}: {}; {advice}", finding.check, finding.seen)),
            preflight::Verdict::Fail => report.info(&format!("fail: {}: {}; {advice}", finding.check, finding.seen)),
            preflight::Verdict::Pass | preflight::Verdict::Skip => {}
        }
    }
}

/// After all steps were undone: takes back the record, and without one the files of a step that was cut. The journal
/// goes unless directories are left in it that stay for now.
pub(super) fn end_uninstall(root: &Root, journal: &mut Journal, report: &Report) -> Result<()> {
    with_cx(root, journal, report, None, &mut |cx| cx.take_back(|_| true))?;
    // Left by a cut while it was applied; it may hold a secret.
    root.remove(MANIFEST)?;
    root.remove_tree(HOME)?;
    root.remove_empty_dir(RelPath::literal("run/edgelay"))?;
    if journal.made_dirs().is_empty() {
        root.remove(Journal::PATH)?;
        root.remove(FIRST_BOOT_RESULT)?;
        root.remove(host::time::STAMP)?;
        root.remove(LOCK)?;
        root.remove_empty_dir(RelPath::literal("var/lib/edgelay"))?;
    }
    Ok(())
}
