//! What lets a node work today and fail later: directories that a reboot empties, limits, swap, a security module.

use nix::errno::Errno;
use nix::sys::inotify::{InitFlags, Inotify};

use super::{Look, Outcome, list};
use crate::error::Result;
use crate::exec;
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::sys::apart::has_seccomp;

/// Where the node keeps who it is.
const KEPT: [RelPath<'static>; 3] =
    [RelPath::literal("etc/kubeedge"), RelPath::literal("var/lib/kubeedge"), RelPath::literal("var/lib/edgelay")];

const OVERLAY: u64 = 0x794c_7630;

pub(super) fn persistence(look: &Look<'_>) -> Result<Outcome> {
    let mut lost = look.cx.wanted.board.as_ref().map(|board| board.fleeting.clone()).unwrap_or_default();
    let mut layered = Vec::new();
    for path in &KEPT {
        let space = look.cx.target.space(*path)?;
        let shown = path.to_string();
        if space.is_fleeting() && !lost.contains(&shown) {
            lost.push(shown);
        } else if space.magic == OVERLAY {
            layered.push(shown);
        }
    }
    if !lost.is_empty() {
        let seen = format!("not there any more after a reboot: {}", list(&lost));
        return Ok(Outcome::warn(seen, "bind directories of a persistent disk over them, or the node forgets itself"));
    }
    if !layered.is_empty() {
        let seen = format!("on an overlay: {}", list(&layered));
        let advice = "make sure that its upper layer is a disk; an overlay root in memory forgets at each boot";
        return Ok(Outcome::warn(seen, advice));
    }
    Ok(Outcome::pass("what the node writes about itself is still there after a reboot"))
}

/// A node with some pods takes some dozens; distributions give 128 (inotify(7)).
const INSTANCES: u64 = 128;
/// Each file that a pod watches is one.
const WATCHES: u64 = 8192;

pub(super) fn limits(look: &Look<'_>) -> Result<Outcome> {
    const KNOBS: [(RelPath<'static>, &str, u64); 2] = [
        (RelPath::literal("proc/sys/fs/inotify/max_user_instances"), "fs.inotify.max_user_instances", INSTANCES),
        (RelPath::literal("proc/sys/fs/inotify/max_user_watches"), "fs.inotify.max_user_watches", WATCHES),
    ];
    let mut low = Vec::new();
    for (path, name, least) in &KNOBS {
        let text = look.cx.machine.read_text(*path, super::super::SMALL)?;
        let Some(number) = text.and_then(|text| text.trim().parse::<u64>().ok()) else { continue };
        if number < *least {
            low.push(format!("{name} is {number}, less than {least}"));
        }
    }
    // What is left of them only the kernel knows; one is made and closed again.
    if look.cx.machine.is_live() && matches!(Inotify::init(InitFlags::IN_CLOEXEC), Err(Errno::EMFILE)) {
        low.push("all inotify instances of root are in use".to_owned());
    }
    if low.is_empty() {
        return Ok(Outcome::pass("enough inotify instances and watches"));
    }
    Ok(Outcome::warn(low.join("; "), "raise them in a file of /etc/sysctl.d"))
}

pub(super) fn swap(look: &Look<'_>) -> Result<Outcome> {
    let text = look.cx.machine.text_or_empty(RelPath::literal("proc/swaps"), super::super::SMALL)?;
    let areas: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).gather();
    if areas.is_empty() {
        return Ok(Outcome::pass("none"));
    }
    if let Some(card) = areas.iter().find(|area| area.contains("mmcblk")) {
        let seen = format!("{card} is on a memory card, which swapping wears out");
        return Ok(Outcome::warn(seen, "use compressed memory (zram) instead, or a disk"));
    }
    Ok(Outcome::pass(format_args!("{}; EdgeCore does not mind", list(&areas))))
}

pub(super) fn security_module(look: &Look<'_>) -> Result<Outcome> {
    let enforcing = look.cx.machine.read_text(RelPath::literal("sys/fs/selinux/enforce"), 16)?;
    if enforcing.is_some_and(|text| text.trim() == "1") {
        let advice = "label what is installed with 'restorecon -RF /usr/local /opt/cni /etc /var/lib', or set SELinux to permissive";
        return Ok(Outcome::warn("SELinux enforces, and new files carry no labels of their own", advice));
    }
    let apparmor = look.cx.machine.read_text(RelPath::literal("sys/module/apparmor/parameters/enabled"), 16)?;
    if apparmor.is_some_and(|text| text.trim() == "Y") && exec::find(look.cx.machine, "apparmor_parser").is_none() {
        let seen = "AppArmor is on, but there is no apparmor_parser, without which some containerds start no container";
        return Ok(Outcome::warn(seen, "install the package apparmor, or boot with the kernel argument 'apparmor=0'"));
    }
    if look.cx.machine.is_live() && !has_seccomp() {
        let advice = "boot a kernel with CONFIG_SECCOMP_FILTER if pods are not to be trusted with every system call";
        return Ok(Outcome::warn("the kernel has no seccomp filters, so pods run without", advice));
    }
    Ok(Outcome::pass("none that keeps new programs from running"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Pass, Warn};
    use super::super::testing::{Bed, told};

    #[test]
    fn what_a_profile_says_is_lost() {
        let bed = Bed::new();
        let found = bed.one("persistence", |w| w.board.as_mut().unwrap().fleeting = vec!["/etc/kubeedge".into()]);
        assert_eq!(found.0, Warn);
        assert!(found.1.starts_with("not there any more after a reboot: /etc/kubeedge"), "{}", found.1);
        assert_eq!(found.2, "bind directories of a persistent disk over them, or the node forgets itself");
    }

    #[test]
    fn limits_and_swap() {
        assert_eq!(Bed::new().one("limits", |_| {}), told(Pass, "enough inotify instances and watches", ""));
        let low = Bed::new().with(|tree| tree.file("proc/sys/fs/inotify/max_user_instances", "16\n"));
        let seen = "fs.inotify.max_user_instances is 16, less than 128";
        assert_eq!(low.one("limits", |_| {}), told(Warn, seen, "raise them in a file of /etc/sysctl.d"));

        let swaps = |line: &str| {
            let text = format!("Filename\t\tType\tSize\tUsed\tPriority\n{line}");
            Bed::new().with(|tree| tree.file("proc/swaps", &text)).one("swap", |_| {})
        };
        assert_eq!(swaps(""), told(Pass, "none", ""));
        assert_eq!(swaps("/dev/zram0 partition 1 0 100\n"), told(Pass, "/dev/zram0; EdgeCore does not mind", ""));
        let seen = "/dev/mmcblk0p3 is on a memory card, which swapping wears out";
        let advice = "use compressed memory (zram) instead, or a disk";
        assert_eq!(swaps("/dev/mmcblk0p3 partition 1 0 -2\n"), told(Warn, seen, advice));
    }

    #[test]
    fn security_modules() {
        let one = |bed: &Bed| bed.one("security-module", |_| {});
        assert_eq!(one(&Bed::new()).0, Pass);
        let apparmor = Bed::new().with(|tree| tree.file("sys/module/apparmor/parameters/enabled", "Y\n"));
        let found = one(&apparmor);
        let seen = "AppArmor is on, but there is no apparmor_parser, without which some containerds start no container";
        assert_eq!((found.0, found.1.as_str()), (Warn, seen));
        assert_eq!(one(&apparmor.with(|tree| tree.program("usr/sbin/apparmor_parser"))).0, Pass);
        let permissive = Bed::new().with(|tree| tree.file("sys/fs/selinux/enforce", "0"));
        assert_eq!(one(&permissive).0, Pass);
        let enforcing = permissive.with(|tree| tree.file("sys/fs/selinux/enforce", "1"));
        let found = one(&enforcing);
        assert_eq!((found.0, found.1.as_str()), (Warn, "SELinux enforces, and new files carry no labels of their own"));
    }
}
