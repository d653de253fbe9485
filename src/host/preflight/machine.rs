//! The machine itself: rights, processor, memory, kernel, control groups.

use super::{Look, Outcome, list};
use crate::error::Result;
use crate::gather::Gather;
use crate::host;
use crate::host::cgroup::{Cgroups, Version};
use crate::host::kernel::{FEATURES, Kernel, State};
use crate::host::privilege::Privilege;
use crate::host::trial;
use crate::ids::RelPath;

pub(super) fn root(look: &Look<'_>) -> Result<Outcome> {
    let uid = Privilege::load(look.cx.machine)?.uid;
    if uid == 0 {
        return Ok(Outcome::pass("running as root"));
    }
    Ok(Outcome::fail(format_args!("running as user {uid}"), "run edgelay as root, for example with sudo"))
}

pub(super) fn capabilities(look: &Look<'_>) -> Result<Outcome> {
    let privilege = Privilege::load(look.cx.machine)?;
    let missing = privilege.missing();
    if !missing.is_empty() {
        let seen = format!("without {}", list(&missing));
        return Ok(Outcome::fail(seen, "run edgelay on the machine itself, or in a container with all privileges"));
    }
    if !privilege.can_lower_oom_score() {
        return Ok(Outcome::pass("without CAP_SYS_RESOURCE; containerd will run with restrict_oom_score_adj"));
    }
    Ok(Outcome::pass("all that containers need"))
}

pub(super) fn architecture(look: &Look<'_>) -> Result<Outcome> {
    let (machine, bundle) = (look.cx.architecture.as_str(), look.cx.wanted.architecture);
    let Some(bundle) = bundle else { return Ok(Outcome::skip(format_args!("{machine}; no bundle given"))) };
    if machine == bundle.as_str() {
        return Ok(Outcome::pass(format_args!("{machine}, as the bundle")));
    }
    let advice = format!("use a bundle made with --arch {machine}");
    Ok(Outcome::fail(format_args!("this machine is {machine}, the bundle is for {bundle}"), advice))
}

pub(super) fn memory(look: &Look<'_>) -> Result<Outcome> {
    let total = host::memory(look.cx.machine)?;
    let seen = format!("{} MiB", total >> 20);
    let Some(need) = look.cx.wanted.memory else { return Ok(Outcome::skip(seen)) };
    if total < need.least {
        return Ok(Outcome::fail(
            format_args!("{seen}, less than {} MiB", need.least >> 20),
            "use a machine with more memory",
        ));
    }
    if total < need.fair {
        let advice = "keep EdgeMesh and MQTT switched off and the number of pods small";
        return Ok(Outcome::warn(format_args!("{seen}, less than {} MiB", need.fair >> 20), advice));
    }
    Ok(Outcome::pass(seen))
}

/// The oldest major release of the kernel with an overlay file system that containerd can use.
const OLDEST_KERNEL: u32 = 4;

pub(super) fn kernel_features(look: &Look<'_>) -> Result<Outcome> {
    let mut kernel = Kernel::load(look.cx.machine)?;
    if look.cx.machine.is_live() {
        kernel.tried = trial::features(look.cx.machine, &kernel);
    }
    if kernel.major() < OLDEST_KERNEL {
        let seen = format!("kernel {}, older than {OLDEST_KERNEL}.0", kernel.release);
        return Ok(Outcome::fail(seen, "boot a newer kernel"));
    }
    let of = |state| -> Vec<&str> { FEATURES.iter().filter(|f| kernel.state(f) == state).map(|f| f.name).gather() };
    let absent = of(State::Absent);
    if !absent.is_empty() {
        let seen = format!("kernel {} has no {}", kernel.release, list(&absent));
        return Ok(Outcome::fail(seen, "install the modules of this kernel, or boot one that was built with them"));
    }
    let unknown = of(State::Unknown);
    if !unknown.is_empty() {
        let seen = format!("kernel {} does not tell whether it has {}", kernel.release, list(&unknown));
        return Ok(Outcome::warn(seen, "try them with modprobe, or go on and look at the pod network afterwards"));
    }
    let tried = FEATURES.iter().filter(|f| kernel.tried.get(f.name).is_some()).count();
    let tried = if tried > 0 { format!(", {tried} of them tried") } else { String::new() };
    Ok(Outcome::pass(format_args!("kernel {} has all {} features{tried}", kernel.release, FEATURES.len())))
}

pub(super) fn cgroups(look: &Look<'_>) -> Result<Outcome> {
    let found = Cgroups::load(look.cx.machine)?;
    if let Some(at) = &found.read_only {
        let seen = format!("{} mounted read-only at {at}", found.version);
        return Ok(Outcome::fail(
            seen,
            "run edgelay on the machine itself, or mount cgroups writable in its container",
        ));
    }
    if let Some(at) = &found.elsewhere {
        let seen = format!("{} mounted at {at}, where the edge agent does not look", found.version);
        return Ok(Outcome::fail(seen, "mount cgroup2 on /sys/fs/cgroup when booting; no other cgroups beside it"));
    }
    let missing = found.missing();
    if missing.is_empty() {
        return Ok(Outcome::pass(format_args!("{} with all controllers that are needed", found.version)));
    }
    if found.version == Version::None {
        return Ok(Outcome::fail("no cgroup file system is mounted", "mount cgroup2 on /sys/fs/cgroup when booting"));
    }
    let seen = format!("{} without {}", found.version, list(&missing));
    let off: Vec<&str> = missing.iter().copied().filter(|name| found.disabled.contains(*name)).gather();
    if off.is_empty() && !missing.contains(&"memory") {
        return Ok(Outcome::fail(seen, "boot a kernel that has them, with the controllers mounted or enabled"));
    }
    Ok(memory_cgroup_off(look, &missing, seen))
}

/// What switches the memory cgroup on where no profile says more.
const MEMORY_CGROUP: &str = "cgroup_enable=memory cgroup_memory=1";

fn memory_cgroup_off(look: &Look<'_>, missing: &[&str], seen: String) -> Outcome {
    let board = look.cx.wanted.board.as_ref().filter(|board| !board.memory_cgroup.is_empty());
    let arguments = board.map_or(MEMORY_CGROUP, |board| &board.memory_cgroup);
    let file = board.and_then(|board| board.arguments_in.as_deref());
    match file {
        Some(file) if missing == ["memory"] && board.is_some_and(|board| board.will_edit) => {
            let seen = format!("{seen}; '{arguments}' will be added in {file}, and a reboot is needed then");
            Outcome::warn(seen, "keep a way to start this machine again, such as a second card, within reach")
        }
        Some(file) => {
            Outcome::fail(seen, format_args!("add '{arguments}' to the kernel's arguments in {file} and reboot"))
        }
        None => Outcome::fail(seen, format_args!("add '{arguments}' to the kernel's command line and reboot")),
    }
}

/// What the machine is; nothing of it can be wrong but that nothing names it.
pub(super) fn board(look: &Look<'_>) -> Result<Outcome> {
    let Some(board) = &look.cx.wanted.board else { return Ok(Outcome::skip("not known")) };
    Ok(match &board.identity {
        Ok(identity) => Outcome::pass(format_args!("{}; {identity}", board.seen)),
        // A name that is set by hand needs no serial number.
        Err(why) if matches!(look.cx.wanted.node_name, Some(Ok(_))) => {
            Outcome::pass(format_args!("{}; {why}", board.seen))
        }
        Err(why) => {
            let seen = format!("{}; {why}", board.seen);
            Outcome::warn(seen, "give each node a name of its own; a template has nothing to make one from")
        }
    })
}

pub(super) fn kmsg(look: &Look<'_>) -> Result<Outcome> {
    if look.cx.machine.stat(RelPath::literal("dev/kmsg"))?.is_some() {
        return Ok(Outcome::pass("/dev/kmsg is there"));
    }
    let advice = "make the device with 'mknod /dev/kmsg c 1 11'";
    Ok(Outcome::fail("/dev/kmsg is missing, and the edge agent does not start without it", advice))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Fail, Pass, Skip, Warn};
    use super::super::testing::{Bed, told};

    #[test]
    fn rights() {
        let status = |uid, caps| {
            let text = format!("Uid:\t0\t{uid}\t0\t0\nCapEff:\t{caps}\n");
            Bed::new().with(|tree| tree.file("proc/1/status", &text))
        };
        assert_eq!(Bed::new().one("root", |_| {}), told(Pass, "running as root", ""));
        let advice = "run edgelay as root, for example with sudo";
        assert_eq!(status(1000, "0").one("root", |_| {}), told(Fail, "running as user 1000", advice));

        let one = |caps| status(0, caps).one("capabilities", |_| {});
        assert_eq!(one("000001ffffffffff"), told(Pass, "all that containers need", ""));
        let seen = "without CAP_SYS_RESOURCE; containerd will run with restrict_oom_score_adj";
        assert_eq!(one("000001fffeffffff"), told(Pass, seen, ""));
        // What a container gets by default.
        let advice = "run edgelay on the machine itself, or in a container with all privileges";
        assert_eq!(one("00000000a80425fb"), told(Fail, "without CAP_NET_ADMIN and CAP_SYS_ADMIN", advice));
    }

    #[test]
    fn processor_and_memory() {
        let mut bed = Bed::new();
        assert_eq!(bed.one("architecture", |_| {}), told(Pass, "arm64, as the bundle", ""));
        assert_eq!(bed.one("architecture", |w| w.architecture = None), told(Skip, "arm64; no bundle given", ""));
        bed.architecture = "amd64";
        let seen = "this machine is amd64, the bundle is for arm64";
        assert_eq!(bed.one("architecture", |_| {}), told(Fail, seen, "use a bundle made with --arch amd64"));

        let one = |kib: u32| {
            let text = format!("MemTotal: {kib} kB\n");
            Bed::new().with(|tree| tree.file("proc/meminfo", &text)).one("memory", |_| {})
        };
        assert_eq!(one(1_995_824), told(Pass, "1949 MiB", ""));
        let advice = "keep EdgeMesh and MQTT switched off and the number of pods small";
        assert_eq!(one(400_000), told(Warn, "390 MiB, less than 448 MiB", advice));
        let advice = "use a machine with more memory";
        assert_eq!(one(120_000), told(Fail, "117 MiB, less than 200 MiB", advice));
    }

    #[test]
    fn kernels() {
        let config = |text: &str| {
            let bed = Bed::new().with(|tree| tree.file("boot/config-6.1.0-18-arm64", text));
            bed.one("kernel-features", |_| {})
        };
        let fit = Bed::new();
        assert_eq!(fit.one("kernel-features", |_| {}), told(Pass, "kernel 6.1.0-18-arm64 has all 14 features", ""));

        let bare = "CONFIG_NET_NS=y\nCONFIG_OVERLAY_FS=y\nCONFIG_VETH=y\nCONFIG_BRIDGE=y\nCONFIG_NF_CONNTRACK=y\n\
            CONFIG_NF_NAT=y\nCONFIG_NFT_COMPAT=m\nCONFIG_IP_NF_NAT=y\nCONFIG_IP_NF_TARGET_MASQUERADE=y\n\
            CONFIG_NETFILTER_XT_MARK=y\nCONFIG_NETFILTER_XT_MATCH_CONNTRACK=y\n\
            CONFIG_NETFILTER_XT_MATCH_ADDRTYPE=y\n";
        let advice = "install the modules of this kernel, or boot one that was built with them";
        let seen = "kernel 6.1.0-18-arm64 has no br_netfilter, xt_comment and xt_multiport";
        assert_eq!(config(bare), told(Fail, seen, advice));

        // EdgeMesh's device is a bridge, so it wants no dummy.
        let no_dummy = format!(
            "{bare}CONFIG_BRIDGE_NETFILTER=y\nCONFIG_NETFILTER_XT_MATCH_COMMENT=y\n\
             CONFIG_NETFILTER_XT_MATCH_MULTIPORT=y\n"
        );
        assert_eq!(config(&no_dummy), told(Pass, "kernel 6.1.0-18-arm64 has all 14 features", ""));

        let bed = Bed::new().with(|tree| {
            tree.without("boot/config-6.1.0-18-arm64")
                .file("proc/filesystems", "nodev\toverlay\n")
                .dir("sys/module/veth")
        });
        let (verdict, seen, _) = bed.one("kernel-features", |w| w.edgemesh = false);
        assert_eq!(verdict, Warn);
        assert!(seen.starts_with("kernel 6.1.0-18-arm64 does not tell whether it has namespaces, bridge, "), "{seen}");

        let old = Bed::new().with(|tree| tree.file("proc/sys/kernel/osrelease", "3.10.0-1160.el7\n"));
        let seen = "kernel 3.10.0-1160.el7, older than 4.0";
        assert_eq!(old.one("kernel-features", |_| {}), told(Fail, seen, "boot a newer kernel"));
    }

    #[test]
    fn control_groups() {
        let pass = "v2 with all controllers that are needed";
        assert_eq!(Bed::new().one("cgroups", |_| {}), told(Pass, pass, ""));

        let hybrid = "cgroup /a cgroup rw,cpu,cpuacct 0 0\ncgroup /b cgroup rw,cpuset 0 0\n\
            cgroup /c cgroup rw,memory 0 0\ncgroup2 /d cgroup2 rw 0 0\n";
        let bed = Bed::new().with(|tree| tree.file("proc/1/mounts", hybrid));
        assert_eq!(bed.one("cgroups", |_| {}), told(Pass, "hybrid with all controllers that are needed", ""));

        let bed = Bed::new().with(|tree| tree.file("proc/1/mounts", "proc /proc proc rw 0 0\n"));
        let advice = "mount cgroup2 on /sys/fs/cgroup when booting";
        assert_eq!(bed.one("cgroups", |_| {}), told(Fail, "no cgroup file system is mounted", advice));

        let closed =
            Bed::new().with(|tree| tree.file("proc/1/mounts", "cgroup2 /sys/fs/cgroup cgroup2 ro,nosuid 0 0\n"));
        let advice = "run edgelay on the machine itself, or mount cgroups writable in its container";
        assert_eq!(closed.one("cgroups", |_| {}), told(Fail, "v2 mounted read-only at /sys/fs/cgroup", advice));

        let mounts = "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let aside = Bed::new().with(|tree| {
            tree.file("proc/1/mounts", mounts)
                .file("sys/fs/cgroup/unified/cgroup.controllers", "cpuset cpu io memory pids\n")
        });
        let seen = "v2 mounted at /sys/fs/cgroup/unified, where the edge agent does not look";
        let advice = "mount cgroup2 on /sys/fs/cgroup when booting; no other cgroups beside it";
        assert_eq!(aside.one("cgroups", |_| {}), told(Fail, seen, advice));

        let no_pids = Bed::new().with(|tree| tree.file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory\n"));
        let advice = "boot a kernel that has them, with the controllers mounted or enabled";
        assert_eq!(no_pids.one("cgroups", |_| {}), told(Fail, "v2 without pids", advice));
    }

    #[test]
    fn memory_cgroup_that_is_switched_off() {
        let off = || {
            Bed::new().with(|tree| {
                tree.file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")
                    .file("proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t9\t0\n")
            })
        };
        let args = "cgroup_enable=memory cgroup_memory=1";
        let advice = format!("add '{args}' to the kernel's command line and reboot");
        assert_eq!(off().one("cgroups", |w| w.board = None), told(Fail, "v2 without memory", &advice));

        let pi = |will_edit| {
            off().one("cgroups", |w| {
                let board = w.board.as_mut().unwrap();
                board.memory_cgroup = args.into();
                board.arguments_in = Some("/boot/firmware/cmdline.txt".into());
                board.will_edit = will_edit;
            })
        };
        let advice = format!("add '{args}' to the kernel's arguments in /boot/firmware/cmdline.txt and reboot");
        assert_eq!(pi(false), told(Fail, "v2 without memory", &advice));
        let seen = format!(
            "v2 without memory; '{args}' will be added in /boot/firmware/cmdline.txt, and a reboot is needed then"
        );
        let advice = "keep a way to start this machine again, such as a second card, within reach";
        assert_eq!(pi(true), told(Warn, &seen, advice));
    }

    #[test]
    fn boards() {
        let bed = Bed::new();
        let seen = "raspberry-pi-4: device tree; memory class large; device-tree 10000000a1b2c3d4";
        assert_eq!(bed.one("board", |_| {}), told(Pass, seen, ""));
        assert_eq!(bed.one("board", |w| w.board = None), told(Skip, "not known", ""));
        let nameless = |named: bool| {
            bed.one("board", |w| {
                w.board.as_mut().unwrap().identity = Err("nothing tells this board from others".into());
                if !named {
                    w.node_name = None;
                }
            })
        };
        assert_eq!(nameless(true).0, Pass);
        let advice = "give each node a name of its own; a template has nothing to make one from";
        let seen = "raspberry-pi-4: device tree; memory class large; nothing tells this board from others";
        assert_eq!(nameless(false), told(Warn, seen, advice));
    }

    #[test]
    fn kernel_messages() {
        assert_eq!(Bed::new().one("kmsg", |_| {}), told(Pass, "/dev/kmsg is there", ""));
        let bed = Bed::new().with(|tree| tree.without("dev/kmsg"));
        let seen = "/dev/kmsg is missing, and the edge agent does not start without it";
        assert_eq!(bed.one("kmsg", |_| {}), told(Fail, seen, "make the device with 'mknod /dev/kmsg c 1 11'"));
    }
}
