//! `edgelay supervise`: what the kernel needs for pods, then the supervisor.

use std::path::Path;

use crate::clock::SystemClock;
use crate::error::Result;
use crate::exec::Host;
use crate::report::Report;
use crate::root::Root;
use crate::service::supervise;
use crate::steps::prepare_kernel;

/// Supervises until it is told to end.
pub fn run(report: &Report) -> Result<()> {
    let root = Root::open(Path::new("/"))?;
    let clock = SystemClock::default();
    let mut exec = Host::new(&root, &clock);
    // Without a service manager nobody reads modules-load.d and sysctl.d. A node with a kernel that does not allow it
    // may still run pods on the host's network.
    if let Err(e) = prepare_kernel(&root, &mut exec) {
        report.warn(&format!("{e}, ignoring: pods that need it will say so"));
    }
    supervise::run(&root, &mut exec, &clock, report)
}
