//! How an installation from a stick ended: one word, the line on the consoles, the report on the stick.

use serde::Serialize;

use crate::boot::{self, Access};
use crate::clock::{Clock, rfc3339};
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::host::block::Device;
use crate::host::label::Format;
use crate::ids::RelPath;
use crate::json;
use crate::report::Report;
use crate::root::Root;

use super::{Job, STICK};

/// Words of the contract, which are never changed, only added (initramfs/README.md).
const WORDS: [&str; 16] = [
    "ok",
    "config",
    "no-stick",
    "wrong-label",
    "two-sticks",
    "no-target",
    "two-targets",
    "no-bundle",
    "damaged-bundle",
    "incomplete-bundle",
    "too-new-bundle",
    "unsigned-bundle",
    "wrong-architecture",
    "no-system",
    "target-full",
    "failed",
];

/// Why it failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// One of [`WORDS`].
    pub(super) word: &'static str,
    pub(super) error: Error,
}

impl Failure {
    pub(super) fn new(word: &'static str, error: Error) -> Self {
        debug_assert!(WORDS.contains(&word), "{word}");
        Failure { word, error }
    }

    /// For what may fail because the target has no room left.
    pub(super) fn of_writing(error: Error) -> Self {
        Failure::new(if error.is_full() { "target-full" } else { "failed" }, error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new("failed", error)
    }
}

/// What is known of an installation.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) stick: Option<Device>,
    pub(super) target: Option<String>,
    pub(super) bundle: Option<String>,
    pub(super) warnings: Vec<String>,
}

/// How it ended; the same as the report's lines `outcome` and `message`.
pub(super) type Ended = std::result::Result<String, Failure>;

/// The line that whoever watches the console waits for, and what to do about it.
pub(super) fn say(report: &Report, ended: &Ended) {
    match ended {
        Ok(done) => report.info(&line("ok", done)),
        Err(failure) => {
            report.info(&line(failure.word, &failure.error.to_string()));
            if let Some(hint) = failure.error.hint_text() {
                report.info(&format!("edgelay: hint: {hint}"));
            }
        }
    }
}

/// The same where the installer could not say it itself.
pub(super) fn say_lost(report: &Report, why: &str) {
    report.info(&line("failed", why));
}

fn line(word: &str, text: &str) -> String {
    format!("edgelay: outcome: {word}: {text}")
}

#[derive(Serialize)]
struct Written<'a> {
    schema: u32,
    outcome: &'a str,
    kind: &'a str,
    exit_code: u8,
    message: &'a str,
    hint: &'a str,
    edgelay: &'a str,
    kernel: &'a str,
    architecture: &'a str,
    stick: &'a str,
    target: &'a str,
    bundle: &'a str,
    time: &'a str,
    warnings: &'a [String],
}

fn render(job: &Job<'_>, ended: &Ended) -> Result<String> {
    let (message, hint, kind) = match ended {
        Ok(done) => (done.clone(), "", None),
        Err(Failure { error, .. }) => (error.to_string(), error.hint_text().unwrap_or_default(), Some(error.kind())),
    };
    let stick = job.told.stick.as_ref().map(ToString::to_string).unwrap_or_default();
    let warnings: Vec<String> = job.told.warnings.iter().cloned().chain(job.report.warnings()).gather();
    let written = Written {
        schema: 1,
        outcome: ended.as_ref().map_or_else(|failure| failure.word, |_| "ok"),
        kind: kind.map_or("done", Kind::word),
        exit_code: kind.map_or(0, Kind::exit_code),
        message: &message,
        hint,
        edgelay: env!("CARGO_PKG_VERSION"),
        kernel: &crate::host::kernel_release(job.root).unwrap_or_default(),
        architecture: &crate::host::architecture().unwrap_or_default(),
        stick: &stick,
        target: job.told.target.as_deref().unwrap_or_default(),
        bundle: job.told.bundle.as_deref().unwrap_or_default(),
        time: &rfc3339(job.clock.unix()),
        warnings: &warnings,
    };
    json::to_line(&written)
}

/// Reports on one stick; one who reads them moves them away.
const MAX_REPORTS: usize = 1000;

/// Writes a report beside those that are on the stick, if there is a stick that can be written to.
pub(super) fn leave_report(job: &Job<'_>, ended: &Ended) -> Result<()> {
    let Some(Device { name, file_system: Some(fs), .. }) = &job.told.stick else { return Ok(()) };
    let options = match fs.format {
        Format::Iso9660 => return Ok(()), // it takes no writing
        // A FAT has no modes; setting one is no error then.
        Format::Vfat => "quiet",
        _ => "",
    };
    let (device, at) = (format!("/dev/{name}"), std::path::Path::new(STICK));
    boot::mount(device.as_ref(), at, fs.format.mount_type(), Access::Write, options)?;
    let written = write(job, ended);
    let released = boot::unmount(at);
    written.and(released)
}

fn write(job: &Job<'_>, ended: &Ended) -> Result<()> {
    let root = Root::open(STICK.as_ref())?;
    for number in 0..MAX_REPORTS {
        let name = format!("edgelay-report-{number:03}.json");
        let Ok(path) = RelPath::parse(&name) else { continue };
        if root.lstat(path)?.is_none() {
            return root.write(path, 0o644, render(job, ended)?.as_bytes()).map(|_| ());
        }
    }
    Err(Error::new(Kind::Host, format_args!("there are {MAX_REPORTS} reports on it")).hint("move them away"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_has_every_word() {
        let contract = include_str!("../../../initramfs/README.md");
        for word in WORDS {
            assert!(contract.contains(&format!("| `{word}` |")), "{word}");
        }
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let io = |number| Error::new(Kind::Host, "write").because(std::io::Error::from_raw_os_error(number));
        for (error, word) in [
            (io(libc::ENOSPC), "target-full"),
            (
                Error::new(Kind::Runtime, "Leases/Create: UNKNOWN: write meta.db: no space left on device"),
                "target-full",
            ),
            (io(libc::EIO), "failed"),
            (Error::new(Kind::Preflight, "preflight check 'root' failed"), "failed"),
        ] {
            assert_eq!(Failure::of_writing(error).word, word);
        }
    }
}
