//! Kernel features that are tried instead of read about, where trying changes nothing: in namespaces that end with the
//! attempt, and only what needs no module to be loaded first. The rest is believed to its module lists.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;

use super::kernel::{FEATURES, Kernel};
use crate::clock::SystemClock;
use crate::error::meaning;
use crate::exec::{Cmd, Exec, Host};
use crate::gather::{Gather, Grow};
use crate::ids::RelPath;
use crate::note;
use crate::root::Root;
use crate::sorted::Map;
use crate::sys::apart::{apart, make_link, overlay};

/// What came of the attempts, by the feature's name. One that could not be tried is not in it.
pub type Tried = Map<&'static str, bool>;

/// Features that are a kind of network link.
const LINKS: [&str; 2] = ["veth", "bridge"];

/// Features that a rule in the nat table needs, each with the words of it.
const RULE: [(&str, &[&str]); 7] = [
    ("xt_multiport", &["-p", "tcp", "-m", "multiport", "--dports", "1,2"]),
    ("xt_comment", &["-m", "comment", "--comment", "edgelay"]),
    ("xt_mark", &["-m", "mark", "--mark", "1"]),
    ("xt_conntrack", &["-m", "conntrack", "--ctstate", "NEW"]),
    ("xt_addrtype", &["-m", "addrtype", "--src-type", "LOCAL"]),
    ("xt_MASQUERADE", &["-j", "MASQUERADE"]),
    ("iptables nat", &["-j", "ACCEPT"]),
];

/// What a rule brings along, besides the modules of the features.
const TABLES: [&str; 6] = ["ip_tables", "iptable_nat", "nf_tables", "nft_chain_nat", "nft_compat", "xt_nat"];

/// Tries what can be tried on the running system `machine`.
pub fn features(machine: &Root, kernel: &Kernel<'_>) -> Tried {
    let free = |name: &str| FEATURES.iter().any(|f| f.name == name && !kernel.would_load(f.modules()));
    let rules = RULE.iter().all(|(name, _)| free(name)) && free("nf_nat") && !kernel.would_load(&TABLES);
    let mut tried = Vec::new();
    let entered = apart(&mut || {
        if free("overlay") {
            tried.add_all(verdict(overlay(Path::new("/etc"))).map(|works| ("overlay", works)));
        }
        for kind in LINKS.into_iter().filter(|kind| free(kind)) {
            tried.add_all(verdict(make_link(kind)).map(|works| (kind, works)));
        }
        if rules {
            tried.add_all(rule(machine));
        }
    });
    if let Err(e) = entered {
        note::debug(format_args!(
            "try features apart: {}, ignoring: without the right to namespaces nothing can be tried",
            meaning(e)
        ));
    }
    tried.into_iter().gather()
}

/// What an error number says of a feature: nothing, unless the kernel does not know it.
fn verdict(attempt: nix::Result<()>) -> Option<bool> {
    match attempt {
        Ok(()) => Some(true),
        Err(Errno::ENODEV | Errno::EOPNOTSUPP) => Some(false),
        Err(_) => None,
    }
}

/// One rule with everything; only if it is refused, each part of it.
fn rule(machine: &Root) -> Vec<(&'static str, bool)> {
    let clock = SystemClock::default();
    let mut host = Host::new(machine, &clock);
    let mut takes = |words: &[&str]| {
        let args = [&["-t", "nat", "-A", "POSTROUTING"], words].concat();
        host.run(&Cmd::new("iptables", &args).limit(Duration::from_secs(1))).map(|output| output.code == 0)
    };
    let all: Vec<&str> = RULE.iter().take(RULE.len() - 1).flat_map(|(_, words)| words.iter().copied()).gather();
    match takes(&all) {
        Ok(true) => RULE.iter().map(|(name, _)| (*name, true)).chain([("nf_nat", true)]).gather(),
        // Even a plain rule is refused: it may be the program and not the kernel, so that it tells nothing of the rest.
        Ok(false) if matches!(takes(&["-j", "ACCEPT"]), Ok(true)) => {
            RULE.iter().filter_map(|(name, words)| Some((*name, takes(words).ok()?))).gather()
        }
        _ => Vec::new(),
    }
}

/// Whether an overlay can be mounted over what is on the file system of the directory `path` of the running system.
/// `None`: it could not be tried.
pub fn overlay_over(machine: &Root, kernel: &Kernel<'_>, path: RelPath<'_>) -> Option<nix::Result<()>> {
    if kernel.would_load(&["overlay", "overlayfs"]) {
        return None;
    }
    let path = machine.absolute(path);
    let lower = path.ancestors().find(|dir| dir.is_dir())?.to_owned();
    let mut tried = None;
    apart(&mut || tried = Some(overlay(&lower))).ok()?;
    tried
}

#[cfg(test)]
mod tests {
    use super::super::kernel::State;
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn only_a_kernel_that_does_not_know_it_lacks_it() {
        assert_eq!(verdict(Ok(())), Some(true));
        assert_eq!((verdict(Err(Errno::ENODEV)), verdict(Err(Errno::EOPNOTSUPP))), (Some(false), Some(false)));
        assert_eq!((verdict(Err(Errno::EPERM)), verdict(Err(Errno::EINVAL))), (None, None));
    }

    /// What lies there as a module that is not loaded would be loaded by trying, and that is a change.
    #[test]
    fn what_would_load_a_module_is_not_tried() {
        let dep = "kernel/veth.ko:\nkernel/bridge.ko:\nkernel/overlay.ko:\nkernel/nf_tables.ko:\n";
        let tree = Tree::new()
            .file("proc/sys/kernel/osrelease", "6.1.0-edge\n")
            .file("lib/modules/6.1.0-edge/modules.dep", dep)
            .file("lib/modules/6.1.0-edge/modules.builtin", "");
        let root = tree.root();
        let kernel = Kernel::load(&root).unwrap();
        assert!(features(&root, &kernel).is_empty());
        assert_eq!(overlay_over(&root, &kernel, RelPath::literal("etc")), None);
    }

    #[test]
    fn the_running_kernel_is_tried_and_believed() {
        let root = Root::open(Path::new("/")).unwrap();
        let mut kernel = Kernel::load(&root).unwrap();
        kernel.tried = features(&root, &kernel);
        for (name, works) in kernel.tried.clone() {
            let feature = FEATURES.iter().find(|f| f.name == name).unwrap();
            assert_eq!(kernel.state(feature), if works { State::Present } else { State::Absent }, "{name}");
        }
        if apart(&mut || ()).is_err() {
            assert!(kernel.tried.is_empty(), "without the right to namespaces nothing is tried");
            return;
        }
        let untouched = LINKS.iter().all(|name| kernel.tried.get(name).is_some() || kernel.would_load(&[name]));
        assert!(untouched, "{:?}", kernel.tried);
    }
}
