//! Clearing what a join or a runtime left: processes, pods, mounts, directories. Only what the journal calls ours.

use std::path::Path;

use crate::containerd::Client;
use crate::containerd::api::cri::{PodSandbox, PodSandboxFilter};
use crate::containerd::health::KUBELETS;
use crate::error::{Kind, Lift, Result};
use crate::exec::Cmd;
use crate::gather::Gather;
use crate::host::process;
use crate::ids::RelPath;
use crate::kubeedge::service;
use crate::note;
use crate::plan::Cx;
use crate::root::Root;
use crate::service::manager_of;

use super::firewall;

/// A bridge with the address of EdgeMesh's DNS.
pub(super) const EDGEMESH: &str = "edgemesh0";
const MOUNTS: RelPath<'static> = RelPath::literal("proc/self/mountinfo");
/// `/proc/self/mountinfo` of a node with hundred pods has some hundred KiB.
const MAX_MOUNTS: usize = 8 << 20;

/// Takes back what a join made: EdgeCore stops, keadm's pod goes, mounts and directories of ours go.
pub(super) fn clear_join(address: &Path, cx: &mut Cx<'_>) -> Result<()> {
    let manager = manager_of(cx.root)?;
    cx.services(manager).stop(&service())?;
    // keadm's pod that copies EdgeCore out of its image; keadm itself only tries to remove it.
    remove_pods(address, cx, |pod| pod.metadata.name == "edgecore" && pod.metadata.namespace == "kubeedge");
    for dir in &super::join::MADE {
        unmount_below(*dir, cx)?;
    }
    cx.remove_made(|path| super::join::MADE.iter().any(|made| made.as_str() == path))
}

/// Removes the firewall's chains and the groups of pods that the kubelet in EdgeCore made, and the device that EdgeMesh's
/// agent listens on and leaves, where no other kubelet has the same.
pub(super) fn forget_kubelet(cx: &mut Cx<'_>) -> Result<()> {
    let mut others = process::named(cx.root, &process::WITH_KUBELET)?;
    others.append(&mut process::named(cx.root, &["kubelet"])?);
    if others.iter().all(|process| process.contained) {
        firewall::remove(cx, &["KUBE-"]);
        if cx.root.is_live() {
            remove_cgroups(cx.root);
        }
        remove_link(EDGEMESH, cx)?;
    }
    Ok(())
}

/// Where nobody else clears away behind a process, as without systemd, the groups of killed pods stay; and a kubelet that
/// starts later spends three seconds on each before it makes a pod.
pub(super) fn remove_cgroups(root: &Root) {
    const CGROUPS: RelPath<'static> = RelPath::literal("sys/fs/cgroup");
    let all = CGROUPS.as_str();
    // With the first version of cgroups each controller has a tree of its own.
    let controllers = root.list(CGROUPS).ok().flatten().unwrap_or_default();
    for tree in ["kubepods", "kubepods.slice"] {
        for name in &controllers {
            remove_empty(root, &format!("{all}/{name}/{tree}"));
        }
        remove_empty(root, &format!("{all}/{tree}"));
    }
}

/// Removes the directories at and below `path` that have no process, or anything else, in them.
fn remove_empty(root: &Root, path: &str) {
    let Ok(dir) = RelPath::parse(path) else { return };
    let Ok(Some(names)) = root.list(dir) else { return };
    for name in &names {
        remove_empty(root, &format!("{path}/{name}"));
    }
    // ignoring: this file system cannot be synced, and what stays costs only time
    let _ = root.remove_empty_dir(dir);
}

/// Ends every pod that CRI knows, with its network.
pub(super) fn end_pods(address: &Path, cx: &Cx<'_>) {
    remove_pods(address, cx, |_| true);
}

/// Ends the pods that EdgeCore's kubelet made; a containerd that is not ours may have others.
pub(super) fn end_kubelets_pods(address: &Path, cx: &Cx<'_>) {
    remove_pods(address, cx, |pod| pod.labels.contains_key(KUBELETS));
}

/// Removes the network device `name`, if there is one: of a pod network, on which nothing hangs without pods.
pub(super) fn remove_link(name: &str, cx: &mut Cx<'_>) -> Result<()> {
    let path = format!("sys/class/net/{name}");
    let Ok(path) = RelPath::parse(&path) else { return Ok(()) };
    if cx.root.is_live() && cx.root.lstat(path)?.is_some() && cx.exec.find("ip").is_some() {
        cx.exec.succeed(&Cmd::new("ip", &["link", "delete", name]))?;
    }
    Ok(())
}

/// A daemon that does not answer has no pods that could be ended through it; a pod that stays is told.
fn remove_pods(address: &Path, cx: &Cx<'_>, wanted: fn(&PodSandbox) -> bool) {
    let Ok(mut client) = Client::connect(address) else { return };
    let pods = match client.cri().list_pods(PodSandboxFilter::default()) {
        Ok(pods) => pods,
        Err(e) => {
            note::debug(format_args!("list pods: {}, ignoring: nothing to end", crate::error::Error::from(e)));
            return;
        }
    };
    for pod in pods.iter().filter(|pod| wanted(pod)) {
        let ended = client.cri().stop_pod(&pod.id).and_then(|()| client.cri().remove_pod(&pod.id));
        if let Err(e) = ended {
            let name = format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
            cx.report.warn(&format!("pod '{name}' could not be removed: {}; going on", crate::error::Error::from(e)));
        }
    }
}

/// Unmounts everything mounted below `dir` on the live host, deepest first. What is mounted at `dir` itself, a disk for
/// images perhaps, is none of ours; but `dir` mounted on itself is, as the kubelet in EdgeCore does it.
pub(super) fn unmount_below(dir: RelPath<'_>, cx: &Cx<'_>) -> Result<()> {
    if !cx.root.is_live() {
        return Ok(());
    }
    let text = cx.root.text_or_empty(MOUNTS, MAX_MOUNTS)?;
    mounts_below(&text, &dir.to_string()).iter().try_for_each(|path| unmount(path))
}

fn unmount(path: &str) -> Result<()> {
    note::debug(format_args!("unmount {path}"));
    nix::mount::umount2(Path::new(path), nix::mount::MntFlags::MNT_DETACH)
        .lift(Kind::Host, || format!("unmount '{path}'"))
}

/// Forgets network namespaces, each named as `/proc/PID/ns/net` names it: mounts keep those of pods alive, with their
/// devices, when the last process in them has ended.
pub(super) fn forget_networks(networks: &[String], cx: &Cx<'_>) -> Result<()> {
    let text = cx.root.text_or_empty(MOUNTS, MAX_MOUNTS)?;
    for path in places_of(&text, networks) {
        unmount(&path)?;
        if let Ok(path) = RelPath::from_absolute(&path) {
            cx.root.remove(path)?;
        }
    }
    Ok(())
}

fn places_of(mountinfo: &str, sources: &[String]) -> Vec<String> {
    let mounts = mountinfo.lines().filter_map(Mount::parse).filter(|mount| sources.contains(&mount.source));
    mounts.map(|mount| mount.place).gather()
}

/// Mount points below `dir`, last mounted first, and `dir` as often as it is mounted on itself (proc(5): the second
/// field is the parent's number, the fourth the directory within the file system, the fifth the place; blanks as octal
/// escapes).
fn mounts_below(mountinfo: &str, dir: &str) -> Vec<String> {
    let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).gather();
    let ours = |mount: &&Mount<'_>| {
        let below = mount.place.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        below || (mount.place == dir && mount.is_of_itself(&mounts))
    };
    mounts.iter().filter(ours).map(|mount| mount.place.clone()).rev().gather()
}

struct Mount<'a> {
    id: &'a str,
    parent: &'a str,
    device: &'a str,
    source: String,
    place: String,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(' ');
        let (id, parent, device) = (fields.next()?, fields.next()?, fields.next()?);
        Some(Mount { id, parent, device, source: unescape(fields.next()?), place: unescape(fields.next()?) })
    }

    /// Whether it shows, of its parent's file system, the very directory that lies below it.
    fn is_of_itself(&self, all: &[Mount<'_>]) -> bool {
        let Some(parent) = all.iter().find(|mount| mount.id == self.parent) else { return false };
        let inner = self.place.strip_prefix(parent.place.trim_end_matches('/')).unwrap_or(&self.place);
        parent.device == self.device && self.source == format!("{}{inner}", parent.source.trim_end_matches('/'))
    }
}

fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_pods_go_but_for_those_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let groups = dir.path().join("sys/fs/cgroup");
        for group in
            ["memory/kubepods.slice/a.slice/b.scope", "memory/system.slice", "kubepods/pod1/c", "kubepods/pod2"]
        {
            std::fs::create_dir_all(groups.join(group)).unwrap();
        }
        std::fs::write(groups.join("kubepods/pod2/in-use"), "").unwrap();
        remove_cgroups(&Root::open(dir.path()).unwrap());
        let there = |group: &str| groups.join(group).exists();
        assert!(!there("memory/kubepods.slice") && !there("kubepods/pod1"));
        assert!(there("memory/system.slice") && there("kubepods/pod2/in-use"));
    }

    #[test]
    fn only_mounts_below_and_the_last_first() {
        let text = "22 1 8:1 / / rw - ext4 /dev/sda rw
30 22 0:5 / /run/containerd/a rw - tmpfs shm rw
31 22 0:5 / /run/containerd/a/with\\040blank rw - overlay overlay rw
32 22 0:5 / /run/containerd2 rw - tmpfs shm rw
33 22 0:5 / /run/containerd rw - tmpfs shm rw";
        let found = mounts_below(text, "/run/containerd");
        assert_eq!(found, ["/run/containerd/a/with blank", "/run/containerd/a"]);
    }

    #[test]
    fn networks_are_found_where_they_are_mounted() {
        let text = "22 1 8:1 / / rw - ext4 /dev/sda rw
50 22 0:4 net:[4026532001] /run/netns/cni-a rw shared:9 - nsfs nsfs rw
51 22 0:4 net:[4026532002] /run/netns/mine rw - nsfs nsfs rw";
        assert_eq!(places_of(text, &["net:[4026532001]".into(), "net:[4026531840]".into()]), ["/run/netns/cni-a"]);
    }

    #[test]
    fn a_directory_mounted_on_itself_is_ours_and_a_disk_is_not() {
        let kubelet = "/var/lib/kubelet";
        for (line, ours) in [
            ("40 22 8:1 /var/lib/kubelet /var/lib/kubelet rw shared:1 - ext4 /dev/sda rw", true),
            ("40 22 8:1 /data/kubelet /var/lib/kubelet rw - ext4 /dev/sda rw", false),
            ("40 22 8:2 / /var/lib/kubelet rw - ext4 /dev/sdb rw", false),
        ] {
            let text = format!(
                "22 1 8:1 / / rw - ext4 /dev/sda rw\n{line}\n41 40 0:5 / /var/lib/kubelet/pods/a/volumes/b rw - tmpfs tmpfs rw"
            );
            let mut expected = vec!["/var/lib/kubelet/pods/a/volumes/b"];
            expected.extend(ours.then_some(kubelet));
            assert_eq!(mounts_below(&text, kubelet), expected, "{line}");
        }
        let apart = "22 1 8:1 / / rw - ext4 a rw\n23 22 8:3 / /var rw - ext4 b rw\n24 23 8:3 /lib/kubelet /var/lib/kubelet rw - ext4 b rw";
        assert_eq!(mounts_below(apart, kubelet), [kubelet]);
    }
}
