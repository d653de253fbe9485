//! The kernel's arguments that the memory cgroup needs, and the reboot that makes them count.
//!
//! The running kernel decides whether anything is to be done at all. An edit that did not help after a reboot is told,
//! never tried again: a machine that nobody logs in to must not reboot for ever.

use std::time::Duration;

use crate::board::{Format, arguments};
use crate::config::Reboot;
use crate::error::{Error, Kind, Result, Trail};
use crate::exec::Cmd;
use crate::gather::Gather;
use crate::host::cgroup::Cgroups;
use crate::ids::RelPath;
use crate::plan::{Cx, Journal, Status, Step};

/// Boot loaders' files are a few lines; GRUB's own are not touched.
const MAX: usize = 256 * 1024;

/// Fact: an [`Edit`].
const EDITED: &str = "kernel-arguments edited";
/// Fact: the arguments for which the machine was rebooted.
const REBOOTED: &str = "kernel-arguments rebooted";

const BOOT_ID: RelPath<'static> = RelPath::literal("proc/sys/kernel/random/boot_id");
const RUNNING: RelPath<'static> = RelPath::literal("proc/cmdline");

/// Added to the name of the copy.
const SAVED: &str = "edgelay-saved";

/// What was put where, so that it can be taken back without knowing the board: four fields, joined by tabs.
struct Edit {
    /// The boot that it was done in.
    boot: String,
    format: Format,
    path: String,
    /// Only those that were not there before.
    arguments: Vec<String>,
}

impl Edit {
    fn parse(fact: &str) -> Option<Edit> {
        let mut fields = fact.split('\t');
        let (boot, word, path, arguments) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let format = Format::ALL.into_iter().find(|format| format.word() == word)?;
        let arguments = arguments.split(' ').map(str::to_owned).gather();
        Some(Edit { boot: boot.to_owned(), format, path: path.to_owned(), arguments })
    }

    fn of_journal(cx: &Cx<'_>) -> Option<Edit> {
        cx.journal.fact(EDITED).and_then(Edit::parse)
    }

    /// Of what was edited as `wanted` in this `boot`.
    fn render(boot: &str, wanted: &Wanted, ours: &[String]) -> String {
        format!("{boot}\t{}\t{}\t{}", wanted.format.word(), wanted.path, ours.join(" "))
    }
}

/// What is to stand where.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The file, below the root.
    pub path: String,
    /// How arguments stand in it.
    pub format: Format,
    /// The arguments.
    pub arguments: Vec<String>,
}

/// Whether the system below the root is the one that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    /// Its kernel can be asked, and rebooted.
    Running,
    /// Mounted by another one.
    Mounted,
}

/// The step.
#[derive(Debug)]
pub struct KernelArguments {
    wanted: Option<Wanted>,
    system: System,
    reboot: Reboot,
}

impl KernelArguments {
    /// Nothing `wanted`: the board has no such file, or must not be edited; the step then has nothing to do.
    pub fn new(wanted: Option<Wanted>, system: System, reboot: Reboot) -> Self {
        // GRUB's own file is made out of ours by a program of the system itself: its first boot sees to that.
        let wanted = wanted.filter(|wanted| system == System::Running || wanted.format != Format::Grub);
        KernelArguments { wanted, system, reboot }
    }

    /// The boot loader's file that was edited, and the copy of it as it was.
    pub fn edited(journal: &Journal) -> Vec<String> {
        let path = journal.fact(EDITED).and_then(Edit::parse).map(|edit| edit.path);
        path.map_or(Vec::new(), |path| vec![format!("{path}.{SAVED}"), path])
    }

    /// Whether the running kernel has what the arguments are for.
    fn kernel_has_it(&self, cx: &Cx<'_>) -> Result<bool> {
        Ok(self.system == System::Running && !Cgroups::load(cx.root)?.missing().contains(&"memory"))
    }
}

/// The boot loader's file, as it is.
fn load(wanted: &Wanted, cx: &Cx<'_>) -> Result<(String, u32)> {
    let path = wanted.path()?;
    let meta = cx.root.stat(path)?;
    let text = cx.root.read(path, MAX)?.unwrap_or_default();
    let text = String::from_utf8(text).map_err(|_| {
        Error::new(Kind::Host, format_args!("'{path}' is not text"))
            .hint(format_args!("put '{}' into the boot loader's kernel line by hand, and reboot", wanted.joined()))
    })?;
    Ok((text, meta.map_or(0o644, |meta| meta.mode)))
}

impl Wanted {
    fn path(&self) -> Result<RelPath<'_>> {
        RelPath::parse(&self.path).map_err(|e| Error::new(Kind::Bug, format_args!("path '{}' {e}", self.path)))
    }

    fn joined(&self) -> String {
        self.arguments.join(" ")
    }

    fn lacking(&self, cx: &Cx<'_>) -> Result<Vec<String>> {
        let (text, _) = load(self, cx)?;
        let lacking = arguments::lacking(&text, self.format, &self.arguments);
        Ok(lacking.into_iter().map(str::to_owned).gather())
    }
}

fn boot_id(cx: &Cx<'_>) -> Result<String> {
    Ok(cx.root.text_or_empty(BOOT_ID, 64)?.trim().to_owned())
}

impl Step for KernelArguments {
    fn id(&self) -> &'static str {
        "kernel-arguments"
    }

    fn summary(&self) -> String {
        match &self.wanted {
            Some(wanted) => format!("the kernel's memory cgroup, by '/{}'", wanted.path),
            None => "the kernel's memory cgroup".to_owned(),
        }
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let Some(wanted) = &self.wanted else { return Ok(Status::Done) };
        if self.kernel_has_it(cx)? {
            return Ok(Status::Done);
        }
        let lacking = wanted.lacking(cx)?;
        Ok(match (lacking.as_slice(), self.system) {
            ([], System::Mounted) => Status::Done,
            ([], System::Running) => Status::todo(format_args!("'{}' counts from the next boot on", wanted.joined())),
            (lacking, _) => Status::todo(format_args!("'/{}' lacks '{}'", wanted.path, lacking.join(" "))),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let Some(wanted) = &self.wanted else { return Ok(()) };
        let boot = boot_id(cx)?;
        let lacking = wanted.lacking(cx)?;
        if !lacking.is_empty() {
            edit(wanted, &lacking, &boot, cx)?;
        }
        if self.system == System::Mounted {
            return Ok(());
        }
        let earlier = Edit::of_journal(cx).is_some_and(|edit| edit.boot != boot);
        if lacking.is_empty() && (earlier || running_kernel_has(wanted, cx)?) {
            return Err(in_vain(wanted, cx)?);
        }
        if wanted.format == Format::Grub {
            update_grub(cx)?;
        }
        self.ask_for_reboot(wanted, cx)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        let Some(Edit { format, path, arguments: ours, .. }) = Edit::of_journal(cx) else { return Ok(()) };
        let edited = Wanted { path, format, arguments: ours };
        let path = edited.path()?;
        if format == Format::Grub {
            cx.take_back_file(&edited.path)?;
            update_grub(cx)?;
        } else if cx.root.stat(path)?.is_some() {
            let (text, mode) = load(&edited, cx)?;
            cx.root.write(path, mode, arguments::without(&text, format, &edited.arguments).as_bytes())?;
        }
        let saved = format!("{}.{SAVED}", edited.path);
        if let Ok(saved) = RelPath::parse(&saved) {
            cx.root.remove(saved)?;
        }
        cx.journal.forget(EDITED)?;
        cx.journal.forget(REBOOTED)
    }
}

/// Puts the arguments in. On FAT a rename that is cut may leave neither name, so the copy is on the disk before.
fn edit(wanted: &Wanted, lacking: &[String], boot: &str, cx: &mut Cx<'_>) -> Result<()> {
    let path = wanted.path()?;
    let (text, mode) = load(wanted, cx)?;
    let changed = arguments::with(&text, wanted.format, &wanted.arguments).ok_or_else(|| {
        Error::new(Kind::Host, format_args!("'{path}' has no line with the kernel's arguments"))
            .hint(format_args!("put '{}' there by hand, and reboot", wanted.joined()))
    })?;
    let mut ours = match Edit::of_journal(cx) {
        Some(earlier) if earlier.path == wanted.path => earlier.arguments,
        _ => Vec::new(),
    };
    for argument in lacking {
        if !ours.contains(argument) {
            ours.push(argument.clone());
        }
    }
    cx.journal.remember(EDITED, &Edit::render(boot, wanted, &ours))?;
    if wanted.format == Format::Grub {
        return cx.put(path, 0o644, changed.as_bytes()).map(|_| ());
    }
    let saved = format!("{}.{SAVED}", wanted.path);
    let saved = RelPath::parse(&saved).map_err(|e| Error::new(Kind::Bug, format_args!("path '{saved}' {e}")))?;
    if cx.root.stat(saved)?.is_none() {
        cx.root.write(saved, mode, text.as_bytes())?;
    }
    cx.report.info(&format!(
        "adding '{}' to the kernel's arguments; what was in '{path}' is in '{saved}'",
        lacking.join(" ")
    ));
    cx.root.write(path, mode, changed.as_bytes()).map(|_| ())
}

fn running_kernel_has(wanted: &Wanted, cx: &Cx<'_>) -> Result<bool> {
    let running = cx.root.text_or_empty(RUNNING, MAX)?;
    Ok(wanted.arguments.iter().all(|argument| running.split_whitespace().any(|word| word == argument)))
}

/// It was rebooted, and the memory cgroup is off all the same.
fn in_vain(wanted: &Wanted, cx: &Cx<'_>) -> Result<Error> {
    let arguments = wanted.joined();
    Ok(if running_kernel_has(wanted, cx)? {
        Error::new(Kind::Preflight, format_args!("the kernel runs with '{arguments}', and its memory cgroup is off all the same"))
            .hint("boot another kernel: this one was built without it, or has a defect ('edgelay board show' names known ones)")
    } else {
        let what =
            format!("the machine was started again, but its kernel runs without '{arguments}' of '/{}'", wanted.path);
        Error::new(Kind::Preflight, what)
            .hint("find the file that the boot loader really reads, put them there by hand, and reboot")
    })
}

/// Writing an image of every kernel's menu entry takes a slow disk its time.
const GRUB_LIMIT: Duration = Duration::from_secs(300);

fn update_grub(cx: &mut Cx<'_>) -> Result<()> {
    cx.exec
        .succeed(&Cmd::new("update-grub", &[]).limit(GRUB_LIMIT))
        .map(|_| ())
        .hint("run 'update-grub' by hand and look at what it says")
}

impl KernelArguments {
    fn ask_for_reboot(&self, wanted: &Wanted, cx: &mut Cx<'_>) -> Result<()> {
        let arguments = wanted.joined();
        let needed = |more: &str| {
            Error::new(
                Kind::Reboot,
                format_args!("the kernel's new arguments '{arguments}' count from the next boot on{more}"),
            )
            .hint("reboot, then run the same command again: it goes on from here")
        };
        if self.reboot == Reboot::Never || cx.journal.fact(REBOOTED) == Some(arguments.as_str()) {
            return Err(needed(""));
        }
        // Known on the disk before it happens, so that it happens once.
        cx.journal.remember(REBOOTED, &arguments)?;
        cx.report.warn("rebooting for the kernel's new arguments");
        let program = if cx.exec.find("systemctl").is_some() {
            Cmd::new("systemctl", &["reboot"])
        } else {
            Cmd::new("reboot", &[])
        };
        cx.exec.succeed(&program).hint("reboot by hand, then run the same command again")?;
        Err(needed("; the machine is being rebooted"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;
    use crate::plan::tests::with_cx;

    const FILE: RelPath<'static> = RelPath::literal("boot/firmware/cmdline.txt");
    const COPY: RelPath<'static> = RelPath::literal("boot/firmware/cmdline.txt.edgelay-saved");
    const BEFORE: &str = "console=tty1 root=PARTUUID=x rootwait\n";
    const AFTER: &str = "console=tty1 root=PARTUUID=x rootwait cgroup_enable=memory cgroup_memory=1\n";

    fn step(reboot: Reboot) -> KernelArguments {
        let arguments = vec!["cgroup_enable=memory".to_owned(), "cgroup_memory=1".to_owned()];
        let wanted = Wanted { path: FILE.as_str().to_owned(), format: Format::Line, arguments };
        KernelArguments::new(Some(wanted), System::Running, reboot)
    }

    /// A machine whose kernel has these controllers, in its boot of this name, with these arguments.
    fn booted(cx: &Cx<'_>, controllers: &str, boot: &str, running: &str) {
        let put =
            |path: &str, text: &str| cx.root.write(RelPath::parse(path).unwrap(), 0o644, text.as_bytes()).unwrap();
        put("proc/self/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n");
        put("sys/fs/cgroup/cgroup.controllers", controllers);
        put("proc/sys/kernel/random/boot_id", &format!("{boot}\n"));
        put("proc/cmdline", running);
    }

    fn text(cx: &Cx<'_>, path: RelPath<'_>) -> Option<String> {
        cx.root.read_text(path, 999).unwrap()
    }

    const OFF: &str = "cpuset cpu io pids\n";
    const ON: &str = "cpuset cpu io memory pids\n";

    #[test]
    fn missing_becomes_done_after_a_reboot() {
        with_cx(|cx| {
            let step = step(Reboot::Never);
            cx.root.write(FILE, 0o755, BEFORE.as_bytes()).unwrap();
            booted(cx, OFF, "boot-1", BEFORE);
            let lacks = "'/boot/firmware/cmdline.txt' lacks 'cgroup_enable=memory cgroup_memory=1'";
            assert_eq!(step.check(cx).unwrap(), Status::todo(lacks));
            let e = step.apply(cx).unwrap_err();
            assert_eq!((e.kind(), e.kind().exit_code()), (Kind::Reboot, 20));
            assert_eq!(text(cx, FILE).as_deref(), Some(AFTER));
            assert_eq!(text(cx, COPY).as_deref(), Some(BEFORE));
            // FAT keeps no permissions: asking for others than it shows would be refused.
            assert_eq!(cx.root.stat(FILE).unwrap().unwrap().mode, 0o755);

            // Again without a reboot: the same answer, and nothing written.
            let stamp = cx.root.stamp(FILE).unwrap();
            let counts = "'cgroup_enable=memory cgroup_memory=1' counts from the next boot on";
            assert_eq!(step.check(cx).unwrap(), Status::todo(counts));
            assert_eq!(step.apply(cx).unwrap_err().kind(), Kind::Reboot);
            assert_eq!(cx.root.stamp(FILE).unwrap(), stamp);

            booted(cx, ON, "boot-2", AFTER);
            assert_eq!(step.check(cx).unwrap(), Status::Done);
        });
    }

    #[test]
    fn done_stays_untouched() {
        with_cx(|cx| {
            cx.root.write(FILE, 0o644, BEFORE.as_bytes()).unwrap();
            booted(cx, ON, "boot-1", BEFORE);
            assert_eq!(step(Reboot::Once).check(cx).unwrap(), Status::Done);
            assert_eq!(text(cx, FILE).as_deref(), Some(BEFORE));
        });
    }

    #[test]
    fn a_reboot_in_vain_is_told_and_not_tried_again() {
        with_cx(|cx| {
            let step = step(Reboot::Never);
            cx.root.write(FILE, 0o644, BEFORE.as_bytes()).unwrap();
            booted(cx, OFF, "boot-1", BEFORE);
            assert_eq!(step.apply(cx).unwrap_err().kind(), Kind::Reboot);

            booted(cx, OFF, "boot-2", BEFORE);
            let e = step.apply(cx).unwrap_err();
            assert_eq!(e.kind(), Kind::Preflight);
            assert_eq!(
                e.to_string(),
                "the machine was started again, but its kernel runs without 'cgroup_enable=memory cgroup_memory=1' of \
                 '/boot/firmware/cmdline.txt'"
            );
            booted(cx, OFF, "boot-3", AFTER);
            let e = step.apply(cx).unwrap_err();
            let told = "the kernel runs with 'cgroup_enable=memory cgroup_memory=1', and its memory cgroup is off all the same";
            assert_eq!((e.kind(), e.to_string().as_str()), (Kind::Preflight, told));
        });
    }

    fn scripted(cx: &mut Cx<'_>, script: &mut Script, work: impl FnOnce(&mut Cx<'_>)) {
        let mut cx =
            Cx { exec: script, root: cx.root, clock: cx.clock, report: cx.report, journal: cx.journal, blobs: None };
        work(&mut cx);
    }

    #[test]
    fn at_most_one_reboot_of_ours_for_the_same_arguments() {
        with_cx(|cx| {
            let step = step(Reboot::Once);
            cx.root.write(FILE, 0o644, BEFORE.as_bytes()).unwrap();
            booted(cx, OFF, "boot-1", BEFORE);
            let mut script = Script::default().expect("systemctl reboot", 0, "");
            script.programs.push("systemctl".into());
            scripted(cx, &mut script, |cx| {
                let e = step.apply(cx).unwrap_err();
                assert_eq!(e.kind(), Kind::Reboot);
                assert!(e.to_string().ends_with("; the machine is being rebooted"), "{e}");
                // The reboot may not come about, or somebody may take the arguments out again.
                assert_eq!(
                    step.apply(cx).unwrap_err().kind(),
                    Kind::Reboot,
                    "without rebooting: the script has no more"
                );
                cx.root.write(FILE, 0o644, BEFORE.as_bytes()).unwrap();
                booted(cx, OFF, "boot-2", BEFORE);
                assert_eq!(step.apply(cx).unwrap_err().kind(), Kind::Reboot);
                assert_eq!(text(cx, FILE).as_deref(), Some(AFTER));
                assert_eq!(text(cx, COPY).as_deref(), Some(BEFORE), "the first copy stays");
            });
        });
    }

    #[test]
    fn taken_back_without_losing_what_others_wrote() {
        with_cx(|cx| {
            let step = step(Reboot::Never);
            cx.root.write(FILE, 0o644, b"console=tty1 cgroup_memory=1\n").unwrap();
            booted(cx, OFF, "boot-1", BEFORE);
            assert_eq!(step.apply(cx).unwrap_err().kind(), Kind::Reboot);
            let theirs = "console=tty1 cgroup_memory=1 cgroup_enable=memory quiet\n";
            cx.root.write(FILE, 0o644, theirs.as_bytes()).unwrap();
            step.undo(cx).unwrap();
            assert_eq!(text(cx, FILE).as_deref(), Some("console=tty1 cgroup_memory=1 quiet\n"));
            assert_eq!(text(cx, COPY), None);
            step.undo(cx).unwrap();
        });
    }

    #[test]
    fn grub_takes_a_file_of_ours_in() {
        with_cx(|cx| {
            let path = "etc/default/grub.d/edgelay.cfg";
            let wanted =
                Wanted { path: path.into(), format: Format::Grub, arguments: vec!["cgroup_enable=memory".into()] };
            let step = KernelArguments::new(Some(wanted.clone()), System::Running, Reboot::Never);
            booted(cx, OFF, "boot-1", BEFORE);
            let mut script = Script::default().expect("update-grub", 0, "").expect("update-grub", 0, "");
            scripted(cx, &mut script, |cx| {
                assert_eq!(step.apply(cx).unwrap_err().kind(), Kind::Reboot);
                let file = text(cx, RelPath::parse(path).unwrap()).unwrap();
                assert!(file.ends_with("GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX cgroup_enable=memory\"\n"), "{file}");
                step.undo(cx).unwrap();
                assert_eq!(text(cx, RelPath::parse(path).unwrap()), None);
            });
            let mounted = KernelArguments::new(Some(wanted), System::Mounted, Reboot::Never);
            assert_eq!(mounted.check(cx).unwrap(), Status::Done, "its first boot does it");
        });
    }

    #[test]
    fn a_mounted_system_needs_no_reboot_now() {
        with_cx(|cx| {
            let wanted = step(Reboot::Once).wanted;
            let step = KernelArguments::new(wanted, System::Mounted, Reboot::Once);
            cx.root.write(FILE, 0o644, BEFORE.as_bytes()).unwrap();
            step.apply(cx).unwrap();
            assert_eq!(step.check(cx).unwrap(), Status::Done);
            assert_eq!(text(cx, FILE).as_deref(), Some(AFTER));
        });
    }
}
