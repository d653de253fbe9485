//! Control groups: which version, which controllers.

use std::fmt;

use super::{SMALL, TABLE};
use crate::error::Result;
use crate::gather::{Gather, Grow};
use crate::ids::RelPath;
use crate::root::Root;
use crate::sorted::Set;

/// How the hierarchies are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Nothing is mounted.
    None,
    /// One hierarchy per controller.
    V1,
    /// The one unified hierarchy.
    V2,
    /// Controllers in version 1 hierarchies, and a version 2 hierarchy beside them.
    Hybrid,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::None => "none mounted",
            Version::V1 => "v1",
            Version::V2 => "v2",
            Version::Hybrid => "hybrid",
        })
    }
}

/// What the kernel offers and what is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    /// How it is mounted.
    pub version: Version,
    /// Controllers that can be used: mounted (v1), or offered by the root of the hierarchy (v2).
    pub usable: Set<String>,
    /// Controllers that the kernel has but that are switched off (`cgroup_disable=`; v1 naming, also told under v2).
    pub disabled: Set<String>,
    /// Where a hierarchy is mounted read-only: no pod can get a group of its own.
    pub read_only: Option<String>,
    /// Where the one unified hierarchy is mounted if that is not where the edge agent and runc look.
    pub elsewhere: Option<String>,
}

/// Where the edge agent and runc look, and tell the version by.
const PLACE: &str = "/sys/fs/cgroup";

/// The edge agent's own lists. v1: it refuses to start without them; v2: its top-level groups cannot be made.
const NEEDED_V1: [&str; 4] = ["cpu", "cpuacct", "cpuset", "memory"];
const NEEDED_V2: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

impl Cgroups {
    /// Reads the mounts and `/proc/cgroups`, under v2 also `cgroup.controllers` of the mounted hierarchy.
    pub fn load(root: &Root) -> Result<Self> {
        let mounts = root.text_or_empty(RelPath::literal("proc/self/mounts"), TABLE)?;
        let (mut v1, mut unified, mut read_only) = (Set::new(), None, None);
        for line in mounts.lines() {
            let mut words = line.split_whitespace().skip(1);
            let (Some(at), Some(kind), Some(options)) = (words.next(), words.next(), words.next()) else { continue };
            if matches!(kind, "cgroup" | "cgroup2") && options.split(',').any(|option| option == "ro") {
                read_only = read_only.or(Some(at.to_owned()));
            }
            match kind {
                "cgroup" => v1.add_all(options.split(',').filter(|o| is_controller(o)).map(str::to_owned)),
                "cgroup2" if at == PLACE => unified = Some(at),
                "cgroup2" => unified = unified.or(Some(at)),
                _ => {}
            }
        }
        let version = match (v1.is_empty(), unified) {
            (true, None) => Version::None,
            (true, Some(_)) => Version::V2,
            (false, None) => Version::V1,
            (false, Some(_)) => Version::Hybrid,
        };
        let usable = match unified {
            Some(at) if version == Version::V2 => controllers(root, at)?,
            _ => v1,
        };
        let elsewhere = unified.filter(|at| version == Version::V2 && *at != PLACE).map(str::to_owned);
        Ok(Cgroups { version, usable, disabled: disabled(root)?, read_only, elsewhere })
    }

    /// Controllers that the edge agent needs and cannot have.
    pub fn missing(&self) -> Vec<&'static str> {
        let needed = if self.version == Version::V2 { NEEDED_V2 } else { NEEDED_V1 };
        needed.into_iter().filter(|name| !self.usable.contains(*name)).gather()
    }
}

/// Among the options of a cgroup mount stand flags (`rw`), settings (`name=systemd`) and controllers.
fn is_controller(option: &str) -> bool {
    matches!(
        option,
        "cpu"
            | "cpuacct"
            | "cpuset"
            | "memory"
            | "pids"
            | "blkio"
            | "devices"
            | "freezer"
            | "hugetlb"
            | "net_cls"
            | "net_prio"
            | "perf_event"
            | "rdma"
    )
}

fn controllers(root: &Root, mounted_at: &str) -> Result<Set<String>> {
    let path = format!("{mounted_at}/cgroup.controllers");
    let Ok(path) = RelPath::from_absolute(&path) else { return Ok(Set::new()) };
    let text = root.text_or_empty(path, SMALL)?;
    Ok(text.split_whitespace().map(str::to_owned).gather())
}

/// Lines of `/proc/cgroups`: name, hierarchy, number of groups, enabled.
fn disabled(root: &Root) -> Result<Set<String>> {
    let text = root.text_or_empty(RelPath::literal("proc/cgroups"), SMALL)?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let off = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        (words.nth(2)? == "0").then(|| name.to_owned())
    });
    Ok(off.gather())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    const V1: &str = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0\n\
        cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0\n\
        cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
        cgroup /sys/fs/cgroup/systemd cgroup rw,xattr,name=systemd 0 0\n";
    const UNIFIED: &str = "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0\n";

    fn load(mounts: &str, extra: impl FnOnce(Tree) -> Tree) -> Cgroups {
        let tree = extra(Tree::new().file("proc/7/mounts", mounts).link("proc/self", "7"));
        Cgroups::load(&tree.root()).unwrap()
    }

    #[test]
    fn versions_and_controllers() {
        let found = load(V1, |t| t);
        assert_eq!((found.version, found.missing()), (Version::V1, vec![]));
        assert_eq!(Vec::from_iter(found.usable), ["cpu", "cpuacct", "cpuset", "memory"]);

        let found = load(&format!("{V1}{UNIFIED}"), |t| t);
        assert_eq!((found.version, found.missing()), (Version::Hybrid, vec![]));

        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        let found = load(v2, |t| t.file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n"));
        assert_eq!((found.version, found.missing()), (Version::V2, vec![]));

        assert_eq!(found.elsewhere, None);

        let aside = "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n".to_owned() + UNIFIED;
        let found = load(&aside, |t| t.file("sys/fs/cgroup/unified/cgroup.controllers", "cpuset cpu io memory pids\n"));
        assert_eq!((found.version, found.elsewhere.as_deref()), (Version::V2, Some("/sys/fs/cgroup/unified")));

        let found = load("", |t| t);
        assert_eq!((found.version, found.missing()), (Version::None, NEEDED_V1.to_vec()));
    }

    #[test]
    fn memory_switched_off_as_on_a_raspberry_pi() {
        let table = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t0\t50\t1\nmemory\t0\t50\t0\n";
        let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        let found = load(v2, |t| {
            t.file("proc/cgroups", table).file("sys/fs/cgroup/cgroup.controllers", "cpuset cpu io pids\n")
        });
        assert_eq!(found.missing(), ["memory"]);
        assert_eq!(Vec::from_iter(found.disabled), ["memory"]);
    }
}
