//! What makes a node of a copied system at its first boot: edgelay itself, and a service that starts it.
//!
//! The service does nothing until a marker is there; sealing the image writes it, and the first boot removes it.

use std::fs::File;
use std::path::PathBuf;

use crate::bundle::Program;
use crate::digest::measure;
use crate::error::{Error, Kind, Lift, Result};
use crate::feed;
use crate::ids::{Arch, RelPath};
use crate::plan::{Cx, Journal, Status, Step};
use crate::service::Manager;

/// The program in the target.
pub const PROGRAM: RelPath<'static> = RelPath::literal("usr/local/bin/edgelay");
/// There from the sealing of the image until its first boot has made a node of it.
pub const MARKER: RelPath<'static> = RelPath::literal("var/lib/edgelay/first-boot");

const UNIT: RelPath<'static> = RelPath::literal("etc/systemd/system/edgelay-firstboot.service");
const UNIT_LINK: &str = "etc/systemd/system/multi-user.target.wants/edgelay-firstboot.service";
const UNIT_TEXT: &str = "\
# Written by edgelay.
[Unit]
Description=First boot: make this machine an edge node
ConditionPathExists=/var/lib/edgelay/first-boot
Wants=network-online.target
After=network-online.target local-fs.target time-sync.target containerd.service
StartLimitIntervalSec=0

[Service]
# The boot is finished while this goes on: it waits for its configuration, the clock and the cloud as long as it takes.
Type=exec
ExecStart=/usr/local/bin/edgelay firstboot --progress none
Restart=on-failure
RestartSec=30
RestartPreventExitStatus=2 10 20

[Install]
WantedBy=multi-user.target
";

const SCRIPT: RelPath<'static> = RelPath::literal("etc/init.d/edgelay-firstboot");
const SCRIPT_LINK: &str = "etc/runlevels/default/edgelay-firstboot";
const SCRIPT_TEXT: &str = r#"#!/sbin/openrc-run
# Written by edgelay.
description="First boot: make this machine an edge node"
required_files=/var/lib/edgelay/first-boot
running=/run/edgelay-firstboot.pid

depend() {
    use net containerd
    # Not `need`: not every OpenRC has a localmount, and what needs a service that is not there never starts.
    after localmount net ntp-client ntpd chronyd containerd
}

# By hand: Debian's start-stop-daemon is another one, and a supervisor would start it again when it is done.
start() {
    checkpath -d -m 0755 /var/log/edgelay
    ebegin "Starting $RC_SVCNAME"
    setsid sh -c 'until /usr/local/bin/edgelay firstboot --progress none; do
        case $? in 2 | 10 | 20) break ;; esac
        sleep 30
    done
    rm -f "$0"' "$running" </dev/null >>/var/log/edgelay/firstboot.log 2>&1 &
    echo $! >"$running"
    eend 0
}

stop() {
    ebegin "Stopping $RC_SVCNAME"
    if [ -s "$running" ]; then
        group=$(cat "$running")
        kill -s TERM -- "-$group"
        # It ends when what it is at is safe to be left.
        for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
            kill -s 0 -- "-$group" 2>/dev/null || break
            sleep 1
        done
    fi
    rm -f "$running"
    eend 0
}
"#;

/// The step.
#[derive(Debug)]
pub struct FirstBoot {
    program: PathBuf,
    architecture: Arch,
    manager: Manager,
}

impl FirstBoot {
    /// Takes edgelay for `architecture` from the file `program`; the service is for `manager`.
    pub fn new(program: PathBuf, architecture: Arch, manager: Manager) -> Self {
        FirstBoot { program, architecture, manager }
    }

    fn files(&self) -> Option<(RelPath<'static>, u32, &'static str)> {
        match self.manager {
            Manager::Systemd => Some((UNIT, 0o644, UNIT_TEXT)),
            Manager::OpenRc => Some((SCRIPT, 0o755, SCRIPT_TEXT)),
            Manager::Supervise => None,
        }
    }

    fn link(&self) -> Option<(&'static str, &'static str)> {
        match self.manager {
            Manager::Systemd => Some((UNIT_LINK, "/etc/systemd/system/edgelay-firstboot.service")),
            Manager::OpenRc => Some((SCRIPT_LINK, "/etc/init.d/edgelay-firstboot")),
            Manager::Supervise => None,
        }
    }

    fn open(&self) -> Result<File> {
        let name = self.program.display();
        let open = || File::open(&self.program).lift(Kind::Host, || format!("open '{name}'"));
        let head = feed::first(&mut open()?, Program::HEAD).lift(Kind::Host, || format!("read '{name}'"))?;
        match Program::of(&head) {
            Program::For(arch) if arch == self.architecture => open(),
            other => {
                let why = other.mismatch(self.architecture).unwrap_or_else(|| "is no program".to_owned());
                Err(Error::new(Kind::Host, format_args!("'{name}' {why}"))
                    .hint(format_args!("give the edgelay for {} with --edgelay FILE", self.architecture)))
            }
        }
    }

    /// Whether the target has the same bytes.
    fn has_program(&self, cx: &Cx<'_>) -> Result<bool> {
        let Some(mut there) = cx.root.open_file(PROGRAM)? else { return Ok(false) };
        if cx.root.lstat(PROGRAM)?.is_none_or(|meta| meta.mode != 0o755) {
            return Ok(false);
        }
        let (wanted, found) = (measure(&mut self.open()?), measure(&mut there));
        Ok(wanted.lift(Kind::Host, || format!("read '{}'", self.program.display()))?
            == found.lift(Kind::Host, || format!("read '{PROGRAM}'"))?)
    }
}

impl Step for FirstBoot {
    fn id(&self) -> &'static str {
        "first-boot"
    }

    fn summary(&self) -> String {
        "edgelay and its first-boot service".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if !self.has_program(cx)? {
            return Ok(Status::todo(format_args!("'{PROGRAM}' is missing or different")));
        }
        if let Some((path, mode, text)) = self.files()
            && !cx.root.holds(path, mode, text.as_bytes())?
        {
            return Ok(Status::todo(format_args!("'{path}' is missing or different")));
        }
        match self.link() {
            Some((path, target)) if !cx.has_link(path, target)? => {
                Ok(Status::todo(format_args!("'/{path}' is missing")))
            }
            _ => Ok(Status::Done),
        }
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        if !self.has_program(cx)? {
            cx.put_stream(PROGRAM, 0o755, &mut self.open()?)?;
        }
        if let Some((path, mode, text)) = self.files() {
            cx.put(path, mode, text.as_bytes())?;
        }
        if let Some((path, target)) = self.link() {
            cx.put_link(path, target)?;
        }
        Ok(())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.root.remove(MARKER)?;
        cx.take_back(is_ours)
    }
}

fn is_ours(path: &str) -> bool {
    [PROGRAM, UNIT, SCRIPT].iter().any(|ours| ours.as_str() == path) || [UNIT_LINK, SCRIPT_LINK].contains(&path)
}

impl FirstBoot {
    /// Whether the service is there, and the program that it starts.
    pub fn is_staged(cx: &Cx<'_>) -> bool {
        Self::is_known(cx.journal) && !cx.journal.is_unfinished("first-boot")
    }

    /// Whether the journal tells of it.
    pub fn is_known(journal: &Journal) -> bool {
        journal.knows("first-boot")
    }

    /// Takes the service back, so that it is not even looked at by the next boot. The program stays.
    pub fn disable(cx: &mut Cx<'_>) -> Result<()> {
        cx.take_back(|path| is_ours(path) && path != PROGRAM.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;
    use crate::plan::{run, undo};

    #[test]
    fn the_service_of_the_targets_own_manager() {
        let here = Arch::of_this_binary().unwrap();
        for (manager, file, link) in [
            (Manager::Systemd, UNIT, UNIT_LINK),
            (Manager::OpenRc, SCRIPT, SCRIPT_LINK),
            (Manager::Supervise, PROGRAM, "none"),
        ] {
            with_cx(|cx| {
                let step = FirstBoot::new(std::env::current_exe().unwrap(), here, manager);
                let steps: Vec<Box<dyn Step>> = vec![Box::new(step)];
                assert_eq!(run(&steps, cx).unwrap().applied, 1);
                assert_eq!(run(&steps, cx).unwrap().applied, 0);
                assert!(FirstBoot::is_staged(cx) && cx.root.stat(file).unwrap().is_some());
                assert_eq!(
                    cx.root.lstat(RelPath::parse(link).unwrap()).unwrap().is_some(),
                    manager != Manager::Supervise
                );
                cx.root.write(MARKER, 0o644, b"").unwrap();
                FirstBoot::disable(cx).unwrap();
                assert!(cx.root.lstat(RelPath::parse(link).unwrap()).unwrap().is_none());
                assert!(cx.root.stat(PROGRAM).unwrap().is_some());
                undo(&steps, cx).unwrap();
                assert!(cx.root.stat(PROGRAM).unwrap().is_none() && cx.root.stat(MARKER).unwrap().is_none());
            });
        }
    }

    #[test]
    fn a_program_for_another_processor_is_refused() {
        let other = if Arch::of_this_binary() == Some(Arch::Amd64) { Arch::Arm64 } else { Arch::Amd64 };
        with_cx(|cx| {
            let steps: Vec<Box<dyn Step>> =
                vec![Box::new(FirstBoot::new(std::env::current_exe().unwrap(), other, Manager::Supervise))];
            let e = run(&steps, cx).unwrap_err();
            assert_eq!(e.hint_text().unwrap(), format!("give the edgelay for {other} with --edgelay FILE"));
        });
    }
}
