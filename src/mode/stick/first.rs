//! `/init`: what must be done before anything else can be, and once.

use std::path::Path;
use std::process::ExitCode;

use crate::boot::{self, Access, Consoles, End};
use crate::clock::SystemClock;
use crate::error::Result;
use crate::exec::attend;
use crate::host;
use crate::ids::RelPath;
use crate::initramfs::{After, Parameters, wanted};
use crate::note;
use crate::report::{Report, Style};
use crate::root::Root;

use super::{CMDLINE, drivers, outcome, wait_for_ever};

/// File systems of the kernel itself: type, place.
const KERNEL: [(&str, &str); 5] =
    [("proc", "proc"), ("sysfs", "sys"), ("devtmpfs", "dev"), ("tmpfs", "run"), ("tmpfs", "tmp")];

/// Does the work of the first process, and never returns: the kernel panics if it ends.
pub fn first_process() -> ExitCode {
    let clock = SystemClock::default();
    match begin() {
        Ok((root, report)) => {
            let ended = attend(Path::new("/proc/self/exe"), &["initramfs", "run"]);
            last_resort(&root, &report, ended);
        }
        // Neither /proc nor a console: standard error is all there is.
        Err(e) => Report::new(Box::new(std::io::stderr()), Style::Plain).error(&e),
    }
    wait_for_ever(&clock)
}

fn begin() -> Result<(Root, Report)> {
    let root = Root::open(Path::new("/"))?;
    for (kind, place) in KERNEL {
        let path = RelPath::literal(place);
        root.mkdir(path, 0o755)?;
        if let Err(e) = boot::mount(Path::new(kind), &root.absolute(path), kind, Access::Root, "") {
            // CONFIG_DEVTMPFS_MOUNT, or a kernel that was told to: it is there already.
            note::debug(format_args!("{e}, ignoring: what is missing is told by who needs it"));
        }
    }
    let report = Report::new(Box::new(Consoles::open(&root)), Style::Plain);
    drivers::compare(&root, &report);
    drivers::load(&root, wanted::BOOT, &report);
    Ok((root, report))
}

/// The worker ends the machine by itself. If it is gone, it was killed or the kernel refused: told, and done as told.
fn last_resort(root: &Root, report: &Report, ended: Result<i32>) {
    match ended {
        Ok(status) => outcome::say_lost(report, &format!("the installer ended with status {status}")),
        Err(e) => outcome::say_lost(report, &e.to_string()),
    }
    let line = root.read_text(CMDLINE, host::SMALL).ok().flatten().unwrap_or_default();
    boot::sync();
    let end = match Parameters::parse(&line).0.on_error {
        After::Reboot => End::Reboot,
        After::PowerOff => End::PowerOff,
        After::Shell | After::Wait | After::Continue => return,
    };
    if let Err(e) = boot::end(end) {
        report.error(&e);
    }
}
