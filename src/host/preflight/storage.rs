//! File systems: writable, roomy, of a kind that containerd can use.

use crate::gather::Gather;
use crate::sorted::Map;

use nix::errno::Errno;

use super::{K3s, Look, Outcome, Verdict, list};
use crate::error::{Result, meaning};
use crate::host::kernel::Kernel;
use crate::host::trial;
use crate::ids::RelPath;
use crate::root::Space;

/// Where programs are laid down and started from.
const PROGRAMS: [RelPath<'static>; 3] =
    [RelPath::literal("usr/local/bin"), RelPath::literal("usr/local/sbin"), RelPath::literal("opt/cni/bin")];
/// Where k3s unpacks those that it carries.
const CARRIED: RelPath<'static> = RelPath::literal("var/lib/rancher");

pub(super) fn read_only(look: &Look<'_>) -> Result<Outcome> {
    let wanted = &look.cx.wanted.writable;
    if wanted.is_empty() {
        return Ok(Outcome::skip("nothing to write"));
    }
    let mut closed = Vec::new();
    for path in wanted {
        if look.cx.target.space(*path)?.read_only {
            closed.push(path.to_string());
        }
    }
    if !closed.is_empty() {
        return Ok(refuse(&closed, look.cx.wanted.board.as_ref().and_then(|board| board.prefix.as_deref())));
    }
    if look.cx.target.is_live() {
        let mut barred = Vec::new();
        // The others come with a containerd of ours.
        let managed = look.cx.wanted.containerd_store.is_some();
        let programs = PROGRAMS.into_iter().take(if managed { PROGRAMS.len() } else { 1 });
        for path in programs.chain(matches!(look.cx.wanted.k3s, Some(K3s::New | K3s::Ours)).then_some(CARRIED)) {
            if look.cx.target.space(path)?.no_exec {
                barred.push(path.to_string());
            }
        }
        if !barred.is_empty() {
            let seen = format!("mounted noexec, so no program runs from there: {}", list(&barred));
            return Ok(Outcome::fail(seen, "remount it with 'mount -o remount,exec', and so in /etc/fstab"));
        }
    }
    // The agent sets kernel parameters when it starts.
    if look.cx.machine.space(RelPath::literal("proc/sys"))?.read_only {
        return Ok(Outcome::fail("read-only: /proc/sys", "run edgelay on the machine itself, not in a container"));
    }
    let paths: Vec<String> = wanted.iter().map(ToString::to_string).gather();
    Ok(Outcome::pass(format_args!("{} can be written", list(&paths))))
}

/// Paths of programs stand in units and in keadm itself: they stay, and what is below them moves to the `prefix` of the
/// board's profile.
fn refuse(closed: &[String], prefix: Option<&str>) -> Outcome {
    let seen = format!("read-only: {}", list(closed));
    match prefix.filter(|prefix| *prefix != "/usr/local" && closed.iter().any(|path| path.starts_with("/usr/"))) {
        Some(prefix) => {
            let advice = "at each boot over /usr/local, as its profile has it for a read-only root";
            Outcome::fail(seen, format_args!("bind {prefix} {advice}"))
        }
        None => Outcome::fail(seen, "remount them writable, or bind a writable directory over them"),
    }
}

/// Below 15 % free the agent reports DiskPressure and deletes images, which cannot be pulled again; 20 % leave it room.
const KEEP_FREE_PERCENT: u64 = 20;
/// An unpacked Debian image has some 10 000 files.
const KEEP_INODES: u64 = 20_000;

/// What is needed on one file system.
struct Device {
    space: Space,
    bytes: u64,
    paths: Vec<String>,
}

impl Device {
    fn short(&self) -> bool {
        self.space.free < self.bytes
    }

    fn left(&self) -> u64 {
        self.space.free.saturating_sub(self.bytes)
    }

    fn percent_left(&self) -> u64 {
        self.left().saturating_mul(100) / self.space.total.max(1)
    }

    fn show(&self) -> String {
        format!("{}: needs {}, free {}", list(&self.paths), mib(self.bytes), mib(self.space.free))
    }
}

/// Rounded up: a need of one byte is not none.
fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

pub(super) fn disk_space(look: &Look<'_>) -> Result<Outcome> {
    let mut devices: Map<u64, Device> = Map::new();
    for need in &look.cx.wanted.disk {
        let space = look.cx.target.space(need.path)?;
        let device = devices.or_insert_with(space.device, || Device { space, bytes: 0, paths: Vec::new() });
        device.bytes = device.bytes.saturating_add(need.bytes);
        let path = need.path.to_string();
        device.paths.push(need.what.map_or_else(|| path.clone(), |what| format!("{path} ({what})")));
    }
    Ok(judge(&devices.into_values().gather::<Vec<_>>()))
}

fn judge(devices: &[Device]) -> Outcome {
    let show = |which: &dyn Fn(&Device) -> bool| {
        let shown: Vec<String> = devices.iter().filter(|d| which(d)).map(Device::show).gather();
        shown.join("; ")
    };
    if devices.is_empty() {
        return Outcome::skip("no bundle given, or nothing of it to lay down");
    }
    if let Some(first) = devices.iter().find(|d| d.short()) {
        let more = mib(first.bytes.saturating_sub(first.space.free));
        let place = first.paths.first().map_or("/", String::as_str);
        return Outcome::fail(show(&Device::short), format_args!("free {more} more on the file system of {place}"));
    }
    let tight = |d: &Device| d.percent_left() < KEEP_FREE_PERCENT;
    if let Some(first) = devices.iter().find(|d| tight(d)) {
        let seen = format!("{} ({} % would be left)", show(&tight), first.percent_left());
        let advice = format!("keep {KEEP_FREE_PERCENT} % free, as below 15 % the node deletes images and evicts pods");
        return Outcome::warn(seen, advice);
    }
    if let Some(first) = devices.iter().find(|d| d.space.inodes < KEEP_INODES) {
        let seen = format!("{}: only {} inodes are free", list(&first.paths), first.space.inodes);
        return Outcome::warn(seen, "delete small files, or make the file system with more inodes");
    }
    Outcome::pass(show(&|_| true))
}

/// File systems by their magic numbers (statfs(2), magic.h) on which the overlay snapshotter fails.
const UNFIT: [(u64, &str); 5] =
    [(0x794c_7630, "overlay"), (0x6969, "NFS"), (0x4d44, "FAT"), (0x2011_bab0, "exFAT"), (0x7366_746e, "NTFS")];
/// Those that bear an overlay, but mostly not its upper layer, into which a container writes.
const DOUBTFUL: [(u64, &str); 2] = [(0x6573_5546, "FUSE"), (0x0102_1997, "9P")];
/// Those that are empty after a reboot.
const FLEETING: [(u64, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];

pub(super) fn containerd_store(look: &Look<'_>) -> Result<Outcome> {
    let Some(path) = look.cx.wanted.containerd_store else { return Ok(Outcome::skip("containerd is not ours")) };
    let space = look.cx.target.space(path)?;
    let mut outcome = fit(&path.to_string(), &space);
    // What is tried below is the lower layer, without a trace on the disk.
    let known = outcome.0.verdict == Verdict::Fail || find(&DOUBTFUL, space.magic).is_some();
    if known || !look.cx.machine.is_live() || !look.cx.target.is_live() {
        return Ok(outcome);
    }
    let kernel = Kernel::load(look.cx.machine)?;
    Ok(match trial::overlay_over(look.cx.machine, &kernel, path) {
        Some(Ok(())) => {
            outcome.0.seen += "; an overlay over it works";
            outcome
        }
        // That the kernel has none at all is for another check to say.
        None | Some(Err(Errno::ENODEV)) => outcome,
        Some(Err(e)) => Outcome::warn(
            format_args!("{path} is on a file system that refuses an overlay over it: {}", meaning(e)),
            format_args!("mount an ext4, xfs or btrfs file system on {path}"),
        ),
    })
}

fn find(table: &[(u64, &'static str)], magic: u64) -> Option<&'static str> {
    table.iter().find(|(m, _)| *m == magic).map(|(_, name)| *name)
}

fn fit(path: &str, space: &Space) -> Outcome {
    let name = |table: &[(u64, &'static str)]| find(table, space.magic);
    if space.untyped {
        let seen = format!("{path} is on an xfs whose directories keep no file types, which containerd refuses");
        return Outcome::fail(
            seen,
            format_args!("make it anew with 'mkfs.xfs -n ftype=1', or mount another on {path}"),
        );
    }
    if let Some(name) = name(&DOUBTFUL) {
        let seen = format!("{path} is on {name}, on which containers can mostly not write");
        return Outcome::warn(seen, format_args!("mount an ext4, xfs or btrfs file system on {path}"));
    }
    if let Some(name) = name(&UNFIT) {
        let seen = format!("{path} is on {name}, on which images cannot be unpacked");
        return Outcome::fail(seen, format_args!("mount an ext4, xfs or btrfs file system on {path}"));
    }
    if let Some(name) = name(&FLEETING) {
        let seen = format!("{path} is on {name}, so all images are gone after a reboot");
        return Outcome::warn(seen, format_args!("mount an ext4, xfs or btrfs file system on {path}"));
    }
    Outcome::pass(format_args!("{path} is on a file system that holds images"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::Bed;
    use super::*;

    fn device(free_mib: u64, total_mib: u64, needs_mib: u64, path: &str) -> Device {
        let space = Space {
            free: free_mib << 20,
            total: total_mib << 20,
            inodes: 50_000,
            device: 1,
            read_only: false,
            no_exec: false,
            magic: 0,
            untyped: false,
        };
        Device { space, bytes: needs_mib << 20, paths: vec![path.into()] }
    }

    #[test]
    fn room() {
        let told = |devices: &[Device]| judge(devices).told();
        assert_eq!(told(&[]), (Verdict::Skip, "no bundle given, or nothing of it to lay down".into(), String::new()));

        let both = [device(900, 1000, 100, "/var/lib/containerd"), device(50, 60, 1, "/usr/local/bin")];
        let seen = "/var/lib/containerd: needs 100 MiB, free 900 MiB; /usr/local/bin: needs 1 MiB, free 50 MiB";
        assert_eq!(told(&both), (Verdict::Pass, seen.into(), String::new()));

        let short = [device(900, 1000, 100, "/a"), device(50, 60, 80, "/b")];
        let advice = "free 30 MiB more on the file system of /b";
        assert_eq!(told(&short), (Verdict::Fail, "/b: needs 80 MiB, free 50 MiB".into(), advice.into()));

        let tight = [device(300, 1000, 101, "/a")];
        let seen = "/a: needs 101 MiB, free 300 MiB (19 % would be left)";
        let advice = "keep 20 % free, as below 15 % the node deletes images and evicts pods";
        assert_eq!(told(&tight), (Verdict::Warn, seen.into(), advice.into()));
        assert_eq!(told(&[device(300, 1000, 100, "/a")]).0, Verdict::Pass);

        let mut few = device(900, 1000, 1, "/a");
        few.space.inodes = 19_999;
        assert_eq!(told(&[few]).1, "/a: only 19999 inodes are free");
    }

    #[test]
    fn a_read_only_root_is_refused_with_what_its_profile_knows() {
        let advice = |closed: &[&str], prefix| {
            let closed: Vec<String> = closed.iter().map(|path| (*path).to_owned()).collect();
            let (verdict, seen, advice) = refuse(&closed, prefix).told();
            assert_eq!((verdict, seen), (Verdict::Fail, format!("read-only: {}", list(&closed))));
            advice
        };
        let usual = "remount them writable, or bind a writable directory over them";
        assert_eq!(advice(&["/usr/local/bin"], None), usual);
        assert_eq!(advice(&["/usr/local/bin"], Some("/usr/local")), usual);
        assert_eq!(advice(&["/etc"], Some("/data/local")), usual);
        let bind = "bind /data/local at each boot over /usr/local, as its profile has it for a read-only root";
        assert_eq!(advice(&["/etc", "/usr/local/bin"], Some("/data/local")), bind);
    }

    #[test]
    fn kinds_of_file_systems() {
        let told = |magic, untyped| {
            let space = Space { magic, untyped, ..device(1, 1, 1, "/s").space };
            fit("/s", &space).told()
        };
        let seen = "/s is on overlay, on which images cannot be unpacked";
        let advice = "mount an ext4, xfs or btrfs file system on /s";
        assert_eq!(told(0x794c_7630, false), (Verdict::Fail, seen.into(), advice.into()));
        let seen = "/s is on tmpfs, so all images are gone after a reboot";
        assert_eq!(told(0x0102_1994, false), (Verdict::Warn, seen.into(), advice.into()));
        let seen = "/s is on FUSE, on which containers can mostly not write";
        assert_eq!(told(0x6573_5546, false), (Verdict::Warn, seen.into(), advice.into()));
        let seen = "/s is on a file system that holds images";
        assert_eq!(told(0xef53, false), (Verdict::Pass, seen.into(), String::new()));
        assert_eq!(told(0x5846_5342, false).0, Verdict::Pass);
        let seen = "/s is on an xfs whose directories keep no file types, which containerd refuses";
        let advice = "make it anew with 'mkfs.xfs -n ftype=1', or mount another on /s";
        assert_eq!(told(0x5846_5342, true), (Verdict::Fail, seen.into(), advice.into()));
    }

    #[test]
    fn needs_on_one_file_system_are_added_up() {
        let need = |path, bytes| super::super::DiskNeed { path: RelPath::parse(path).unwrap(), bytes, what: None };
        let programs = super::super::DiskNeed { what: Some("programs"), ..need("usr/local/bin", 1 << 60) };
        let disk = || vec![need("var/lib/containerd", 1 << 60), programs];
        let (verdict, seen, advice) = Bed::new().one("disk-space", |w| w.disk = disk());
        assert_eq!(verdict, Verdict::Fail);
        let begin = "/var/lib/containerd and /usr/local/bin (programs): needs 2199023255552 MiB, free ";
        assert!(seen.starts_with(begin), "{seen}");
        assert!(advice.ends_with(" MiB more on the file system of /var/lib/containerd"), "{advice}");
    }

    #[test]
    fn what_must_be_writable() {
        let seen = "/etc, /opt, /usr/local/bin, /var/lib and /var/log can be written";
        let (verdict, found, advice) = Bed::new().one("read-only", |_| {});
        assert_eq!((verdict, found.as_str(), advice.as_str()), (Verdict::Pass, seen, ""));
        assert_eq!(Bed::new().one("read-only", |w| w.writable.clear()).0, Verdict::Skip);
    }
}
