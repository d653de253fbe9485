//! Kernel modules and sysctls that pods need: files for the next boot, and the same for this one.

use crate::error::{Kind, Lift, Result};
use crate::exec::{Cmd, Exec};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::note;
use crate::plan::{Cx, Status, Step};
use crate::root::Root;

const MODULES: RelPath<'static> = RelPath::literal("etc/modules-load.d/edgelay.conf");
/// Our own list is some lines.
const MAX: usize = 64 * 1024;
/// What every node needs.
const NEEDED: [&str; 2] = ["overlay", "br_netfilter"];
const SYSCTLS: RelPath<'static> = RelPath::literal("etc/sysctl.d/99-edgelay.conf");

/// Knobs below /proc/sys and what they must be.
const KNOBS: [(RelPath<'static>, &str, &str); 2] = [
    (RelPath::literal("proc/sys/net/ipv4/ip_forward"), "net.ipv4.ip_forward", "1"),
    // Only there while br_netfilter is loaded.
    (RelPath::literal("proc/sys/net/bridge/bridge-nf-call-iptables"), "net.bridge.bridge-nf-call-iptables", "1"),
];

/// The step.
#[derive(Debug, Default)]
pub struct HostFiles {
    /// Modules that the board needs besides.
    more: Vec<String>,
}

impl HostFiles {
    /// With the modules that the board's profile names.
    pub fn new(more: Vec<String>) -> Self {
        HostFiles { more }
    }

    fn modules(&self) -> Vec<&str> {
        NEEDED.into_iter().chain(self.more.iter().map(String::as_str)).gather()
    }

    fn modules_text(&self) -> String {
        format!("# Written by edgelay.\n{}\n", self.modules().join("\n"))
    }
}

fn sysctls_text() -> String {
    KNOBS
        .iter()
        .fold("# Written by edgelay.\n".to_owned(), |text, (_, name, value)| format!("{text}{name} = {value}\n"))
}

/// Knobs that are there and differ.
fn wrong_knobs(root: &Root) -> Result<Vec<(RelPath<'static>, &'static str, &'static str)>> {
    let mut wrong = Vec::new();
    for knob in &KNOBS {
        if root.read_text(knob.0, 64)?.is_some_and(|value| value.trim() != knob.2) {
            wrong.push(*knob);
        }
    }
    Ok(wrong)
}

/// Does for the running kernel what the files do at the next boot; where no service manager reads them, at every boot.
pub fn prepare_kernel(root: &Root, exec: &mut dyn Exec) -> Result<()> {
    // A kernel with both built in has nothing to load, and one without them fails where it matters, with CRI's own
    // words: preflight has warned.
    if exec.find("modprobe").is_some() {
        let text = root.text_or_empty(MODULES, MAX)?;
        let listed = text.lines().filter(|line| !line.starts_with('#'));
        let modules: Vec<&str> = std::iter::once("-a").chain(listed).gather();
        let loaded = exec.run(&Cmd::new("modprobe", &modules))?;
        note::debug(format_args!("modprobe: status {}, ignoring: they may be built in", loaded.code));
    }
    for (path, name, value) in &wrong_knobs(root)? {
        root.set_knob(*path, value).lift(Kind::Host, || format!("set sysctl {name} to {value}"))?;
    }
    Ok(())
}

impl Step for HostFiles {
    fn id(&self) -> &'static str {
        "host-files"
    }

    fn summary(&self) -> String {
        "kernel modules and sysctls".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        for (path, text) in [(MODULES, self.modules_text().as_str()), (SYSCTLS, sysctls_text().as_str())] {
            if !cx.root.holds(path, 0o644, text.as_bytes())? {
                return Ok(Status::todo(format_args!("'{path}' is missing or different")));
            }
        }
        if cx.root.is_live()
            && let Some((_, name, value)) = wrong_knobs(cx.root)?.first()
        {
            return Ok(Status::todo(format_args!("sysctl {name} is not {value}")));
        }
        Ok(Status::Done)
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.put(MODULES, 0o644, self.modules_text().as_bytes())?;
        cx.put(SYSCTLS, 0o644, sysctls_text().as_bytes())?;
        if !cx.root.is_live() {
            return Ok(());
        }
        prepare_kernel(cx.root, cx.exec)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        // The running kernel is left as it is: others may have come to lean on it. The next boot forgets.
        cx.take_back(|path| [MODULES.as_str(), SYSCTLS.as_str()].contains(&path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;
    use crate::plan::{check_all, run, undo};

    #[test]
    fn files_come_and_go() {
        with_cx(|cx| {
            let steps: Vec<Box<dyn Step>> = vec![Box::new(HostFiles::new(vec!["rtw88_8822cs".into()]))];
            assert_eq!(run(&steps, cx).unwrap().applied, 1);
            let text = cx.root.read_text(MODULES, 999).unwrap().unwrap();
            assert_eq!(text, "# Written by edgelay.\noverlay\nbr_netfilter\nrtw88_8822cs\n");
            assert_eq!(run(&steps, cx).unwrap().applied, 0);
            let text = cx.root.read_text(SYSCTLS, 999).unwrap().unwrap();
            assert!(text.ends_with("net.ipv4.ip_forward = 1\nnet.bridge.bridge-nf-call-iptables = 1\n"), "{text}");
            cx.root.write(MODULES, 0o644, b"changed").unwrap();
            let status = check_all(&steps, cx).unwrap().remove(0).status;
            assert_eq!(status, Status::todo("'/etc/modules-load.d/edgelay.conf' is missing or different"));
            undo(&steps, cx).unwrap();
            assert!(cx.root.stat(MODULES).unwrap().is_none() && cx.root.stat(SYSCTLS).unwrap().is_none());
        });
    }
}
