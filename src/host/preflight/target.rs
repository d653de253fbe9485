//! The checks of a system that does not run: what its files tell. The machine that prepares it is not judged by them.

use super::{Look, Outcome, list};
use crate::bundle::Program;
use crate::error::Result;
use crate::feed;
use crate::gather::Gather;
use crate::host::kernel::{FEATURES, Kernel, State};
use crate::host::{Init, init_installed};
use crate::ids::{Arch, RelPath};
use crate::root::Root;

pub(super) fn root(_look: &Look<'_>) -> Result<Outcome> {
    let uid = nix::unistd::geteuid();
    if uid.is_root() {
        return Ok(Outcome::pass("running as root"));
    }
    Ok(Outcome::fail(format_args!("running as user {uid}"), "run edgelay as root: images hold files of all owners"))
}

/// Programs that tell for which processor a system is; the first that is there counts.
const WITNESSES: [RelPath<'static>; 6] = [
    RelPath::literal("sbin/init"),
    RelPath::literal("bin/sh"),
    RelPath::literal("bin/busybox"),
    RelPath::literal("usr/bin/env"),
    RelPath::literal("lib/systemd/systemd"),
    RelPath::literal("usr/sbin/init"),
];

/// The processor that the programs below `root` are for. `None`: there are none, or they are for another one yet.
pub fn architecture_of(root: &Root) -> Result<Option<(Arch, RelPath<'static>)>> {
    for path in &WITNESSES {
        let Some(mut file) = root.open_file(*path)? else { continue };
        // A directory, say: another witness may tell.
        let head = feed::first(&mut file, Program::HEAD).unwrap_or_default();
        if let Program::For(arch) = Program::of(&head) {
            return Ok(Some((arch, *path)));
        }
    }
    Ok(None)
}

pub(super) fn architecture(look: &Look<'_>) -> Result<Outcome> {
    let Some(bundle) = look.cx.wanted.architecture else { return Ok(Outcome::skip("no bundle given")) };
    Ok(match architecture_of(look.cx.target)? {
        Some((arch, path)) if arch == bundle => Outcome::pass(format_args!("{path} is for {arch}, as the bundle")),
        Some((arch, path)) => {
            let advice = format!("use a bundle made with --arch {arch}, or mount the right image");
            Outcome::fail(format_args!("{path} is for {arch}, the bundle for {bundle}"), advice)
        }
        None => Outcome::warn("no program there tells the processor", "look whether the right file system is mounted"),
    })
}

pub(super) fn kernel_features(look: &Look<'_>) -> Result<Outcome> {
    let kernels = Kernel::installed(look.cx.target)?;
    let lacks = |kernel: &Kernel<'_>, state| -> Vec<&str> {
        FEATURES.iter().filter(|f| kernel.state(f) == state).map(|f| f.name).gather()
    };
    let Some(first) = kernels.first() else {
        let advice =
            "install the kernel before the image is sealed, or see to it that the one it boots has what pods need";
        return Ok(Outcome::warn("no kernel has modules below /lib/modules", advice));
    };
    // Which one boots is the boot loader's choice.
    for kernel in &kernels {
        let absent = lacks(kernel, State::Absent);
        if !absent.is_empty() {
            let seen = format!("kernel {} has no {}", kernel.release, list(&absent));
            let advice = "install the modules of this kernel, or one that was built with them";
            return Ok(Outcome::fail(seen, advice));
        }
    }
    let unknown = lacks(first, State::Unknown);
    let releases: Vec<&str> = kernels.iter().map(|kernel| kernel.release.as_str()).gather();
    let releases = list(&releases);
    if unknown.is_empty() {
        return Ok(Outcome::pass(format_args!("kernel {releases} has all {} features", FEATURES.len())));
    }
    let seen = format!("kernel {releases} has all modules; not told: {}", list(&unknown));
    Ok(Outcome::pass(seen))
}

/// Only its profile knows what it keeps: where it is mounted now says nothing of that.
pub(super) fn persistence(look: &Look<'_>) -> Result<Outcome> {
    let Some(board) = &look.cx.wanted.board else { return Ok(Outcome::skip("no profile is named")) };
    if board.fleeting.is_empty() {
        return Ok(Outcome::pass("its profile keeps all that a node writes about itself"));
    }
    let seen = format!("not kept over a reboot, by its profile: {}", list(&board.fleeting));
    Ok(Outcome::warn(seen, "bind directories of a persistent disk over them, or each node forgets itself"))
}

pub(super) fn service_manager(look: &Look<'_>) -> Result<Outcome> {
    Ok(match init_installed(look.cx.target)? {
        Some(Init::Systemd) => Outcome::pass("systemd is installed"),
        Some(Init::OpenRc) => Outcome::pass("OpenRC is installed"),
        _ => Outcome::warn(
            "neither systemd nor OpenRC is installed, so nothing starts what is laid down",
            "start 'edgelay firstboot' from its own init script",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::Tree;

    const ARM64: &[u8] = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7\0";

    #[test]
    fn what_a_profile_keeps() {
        use crate::host::preflight::TARGET;
        use crate::host::preflight::Verdict::{Pass, Skip, Warn};
        use crate::host::preflight::testing::{Bed, told};
        let bed = Bed::new();
        let one = |fleeting: &[&str]| {
            bed.one_of(&TARGET, "persistence", |w| {
                w.board.as_mut().unwrap().fleeting = fleeting.iter().map(|path| (*path).to_owned()).collect();
            })
        };
        assert_eq!(one(&[]), told(Pass, "its profile keeps all that a node writes about itself", ""));
        let seen = "not kept over a reboot, by its profile: /etc/kubeedge and /var/lib/containerd";
        let advice = "bind directories of a persistent disk over them, or each node forgets itself";
        assert_eq!(one(&["/etc/kubeedge", "/var/lib/containerd"]), told(Warn, seen, advice));
        assert_eq!(bed.one_of(&TARGET, "persistence", |w| w.board = None), told(Skip, "no profile is named", ""));
    }

    #[test]
    fn the_first_program_tells_the_processor() {
        let tree = Tree::new().bytes("usr/bin/dash", ARM64).link("bin", "usr/bin").link("usr/bin/sh", "dash");
        let (arch, path) = architecture_of(&tree.root()).unwrap().unwrap();
        assert_eq!((arch, path.to_string().as_str()), (Arch::Arm64, "/bin/sh"));
        // Not this machine's.
        let tree = Tree::new().link("sbin/init", "/bin/true").file("usr/bin/env", "#!/bin/sh\n").dir("bin/sh");
        assert!(architecture_of(&tree.root()).unwrap().is_none());
    }
}
