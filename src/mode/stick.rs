//! Installing from a stick, as an initramfs does: find the stick, find the target that the rules name, stage onto it,
//! say how it went, end as told. The contract is initramfs/README.md.
//!
//! [`first_process`] is `/init`: it mounts, loads drivers and starts [`run`], which is also the command
//! `edgelay initramfs run` for other initramfs. They are two processes, so that a crash is told, and is no kernel panic.

mod drivers;
mod find;
mod first;
mod outcome;
mod stage;
mod target;

pub use first::first_process;

use std::path::Path;

use crate::boot::{self, Access, Consoles, End};
use crate::clock::SystemClock;
use crate::error::{Error, Kind, Result};
use crate::exec::attend;
use crate::host;
use crate::ids::{Arch, RelPath};
use crate::initramfs::{After, Parameters};
use crate::report::{Report, Style};
use crate::root::Root;

use self::outcome::{Failure, Told};

/// Where the stick is mounted.
pub(crate) const STICK: &str = "/stick";
/// Where the target's root is mounted.
pub(crate) const TARGET: &str = "/target";
const CMDLINE: RelPath<'static> = RelPath::literal("proc/cmdline");

/// Installs as the kernel's command line says. Returns only where the boot is to go on.
pub fn run() -> Result<()> {
    let root = Root::open(Path::new("/"))?;
    is_in_memory(&root)?;
    let report = Report::new(Box::new(Consoles::open(&root)), Style::Plain);
    let line = root.text_or_empty(CMDLINE, host::SMALL)?;
    let (parameters, understood) = Parameters::parse(&line);
    let mut job =
        Job { root: &root, report: &report, clock: SystemClock::default(), parameters, told: Told::default() };
    job.hello();
    let result = understood.map_err(|e| Failure::new("config", e)).and_then(|()| job.install());
    job.conclude(result)
}

/// Elsewhere somebody tries out what this does: it would take that system's disks, and in the end the machine.
fn is_in_memory(root: &Root) -> Result<()> {
    if root.space(RelPath::literal("stick"))?.is_fleeting() {
        return Ok(());
    }
    let hint = "run 'edgelay edge install' on a machine that runs, or make an image with 'edgelay initramfs create'";
    Err(Error::new(Kind::Preflight, "'initramfs run' is for an initramfs, but this system is not in memory").hint(hint))
}

/// One installation.
struct Job<'a> {
    root: &'a Root,
    report: &'a Report,
    clock: SystemClock,
    parameters: Parameters,
    /// What is known so far, for the report on the stick.
    told: Told,
}

impl Job<'_> {
    fn say(&self, text: &str) {
        self.report.info(text);
    }

    fn hello(&self) {
        let kernel = host::kernel_release(self.root).unwrap_or_default();
        let (arch, memory) = (host::architecture().unwrap_or_default(), host::memory(self.root).unwrap_or(0) >> 20);
        let version = env!("CARGO_PKG_VERSION");
        self.say(&format!("edgelay {version}: installation from a stick; kernel {kernel}, {arch}, {memory} MiB"));
    }

    fn install(&mut self) -> std::result::Result<String, Failure> {
        let arch = Arch::of_this_binary().ok_or_else(|| Failure::new("failed", no_processor()))?;
        let found = find::both(self)?;
        let bundle = stage::bundle_on_stick(self, &found.stick, arch)?;
        let system = target::judge(self, &found.target, arch)?;
        stage::judge(self, &bundle)?;
        self.describe(&found, &bundle, &system);
        stage::onto(self, &found.target, &bundle)?;
        Ok(format!("{} is staged", found.target))
    }

    /// Everything that will happen, before the first byte is written.
    fn describe(&self, found: &find::Found, bundle: &stage::OnStick, system: &target::System) {
        let Parameters { images, after, .. } = &self.parameters;
        self.say(&format!("stick:  {}", found.stick));
        self.say(&format!("bundle: {bundle}"));
        self.say(&format!("target: {}, {system}; named by {}", found.target, found.rule));
        self.say(&format!("will:   stage onto {}, images: {images:?}, then: {after:?}", found.target));
    }

    /// Says how it went, leaves the report on the stick, and ends as told.
    fn conclude(&mut self, result: std::result::Result<String, Failure>) -> Result<()> {
        let (after, result) = match result {
            Ok(done) => (self.parameters.after, Ok(done)),
            Err(failure) => (self.parameters.on_error, Err(failure)),
        };
        let released = stage::release(after == After::Shell);
        let result = match (result, released) {
            (Ok(_), Err(e)) => Err(Failure::new("failed", e)),
            (result, _) => result,
        };
        if let Err(e) = outcome::leave_report(self, &result) {
            self.report.warn(&format!("no report on the stick: {e}"));
        }
        outcome::say(self.report, &result);
        boot::sync();
        match after {
            After::Reboot => boot::end(End::Reboot),
            After::PowerOff => boot::end(End::PowerOff),
            After::Continue => result.map(|_| ()).map_err(|failure| failure.error),
            After::Shell => self.shell(),
            After::Wait => {
                self.say("waiting: switch the machine off, or restart it");
                wait_for_ever(&self.clock)
            }
        }
    }

    fn shell(&self) -> Result<()> {
        let places = ["/bin/sh".to_owned(), format!("{TARGET}/bin/sh")];
        let Some(shell) = places.iter().find(|place| Path::new(place).exists()) else {
            self.report.warn("there is no shell: make the image with --shell; waiting");
            wait_for_ever(&self.clock)
        };
        self.say(&format!("{shell}: the machine restarts when it ends; the target is at {TARGET}"));
        let ended = attend(Path::new(shell), &[]);
        boot::sync();
        ended.and_then(|_| boot::end(End::Reboot))
    }
}

fn wait_for_ever(clock: &dyn crate::clock::Clock) -> ! {
    loop {
        clock.sleep(std::time::Duration::from_secs(3600));
    }
}

fn no_processor() -> Error {
    Error::new(Kind::Bug, "this edgelay is for no processor that a bundle serves")
}

/// Mounts a device read-only, with the drivers that its file system needs.
fn look_at(job: &Job<'_>, device: &host::block::Device, at: &str) -> Result<()> {
    let Some(fs) = &device.file_system else {
        return Err(Error::new(Kind::Host, format_args!("{device}: cannot be mounted")));
    };
    let kind = fs.format.mount_type();
    drivers::load(job.root, kind, job.report);
    job.root.mkdir(RelPath::from_absolute(at).unwrap_or(RelPath::literal("mnt")), 0o755)?;
    boot::mount(Path::new(&format!("/dev/{}", device.name)), Path::new(at), kind, Access::Read, "")
}
