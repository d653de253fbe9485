//! Programs that are needed, and programs and files that are in the way.

use super::runtime::CONFIG;
use super::wanted::Containerd;
use super::{Look, Outcome, Verdict, list};
use crate::error::Result;
use crate::exec;
use crate::gather::Gather;
use crate::host::process::{self, Process};
use crate::host::{Init, init_system};
use crate::ids::{Arch, RelPath};
use crate::root::Type;

pub(super) fn service_manager(look: &Look<'_>) -> Result<Outcome> {
    match init_system(look.cx.machine)? {
        Init::Systemd => Ok(Outcome::pass("systemd runs as PID 1")),
        other if look.cx.wanted.joins_with_keadm => {
            let seen = format!("PID 1 is {other}, not systemd, with which keadm starts edgecore");
            Ok(Outcome::fail(seen, "boot the machine with systemd, or set join.method to 'native'"))
        }
        Init::OpenRc => Ok(Outcome::pass("OpenRC has brought the system up")),
        other => {
            let seen = format!("PID 1 is {other}, no service manager that we know: edgelay supervises by itself");
            Ok(Outcome::warn(
                seen,
                "let the board's boot hook start 'edgelay supervise' (see 'edgelay help supervise')",
            ))
        }
    }
}

pub(super) fn programs(look: &Look<'_>) -> Result<Outcome> {
    let needs = &look.cx.wanted.programs;
    if needs.is_empty() {
        return Ok(Outcome::skip("none needed"));
    }
    let mut missing = Vec::new();
    for need in needs {
        if exec::find(look.cx.machine, need.name).is_none() {
            missing.push(need);
        }
    }
    let Some(verdict) = missing.iter().map(|need| need.missing).max() else {
        let names: Vec<&str> = needs.iter().map(|need| need.name).gather();
        return Ok(Outcome::pass(format_args!("{} are there", list(&names))));
    };
    let seen: Vec<String> = missing.iter().map(|need| format!("no {} ({})", need.name, need.why)).gather();
    let names: Vec<&str> = missing.iter().map(|need| need.name).gather();
    let advice = format!("install {}", list(&names));
    let advice = (verdict > Verdict::Pass).then_some(advice.into());
    Ok(Outcome::new(verdict, seen.join("; ").into(), advice))
}

/// The official edgecore is linked dynamically against glibc; its program interpreter per processor.
const INTERPRETERS: [(Arch, RelPath<'static>); 2] = [
    (Arch::Amd64, RelPath::literal("lib64/ld-linux-x86-64.so.2")),
    (Arch::Arm64, RelPath::literal("lib/ld-linux-aarch64.so.1")),
];

pub(super) fn libc(look: &Look<'_>) -> Result<Outcome> {
    let Some((_, path)) = INTERPRETERS.iter().find(|(arch, _)| arch.as_str() == look.cx.architecture) else {
        return Ok(Outcome::skip("not known for this processor"));
    };
    if look.cx.machine.stat(*path)?.is_some() {
        return Ok(Outcome::pass(format_args!("glibc: {path}")));
    }
    let seen = format!("no {path}, so an edgecore that is linked against glibc does not start");
    Ok(Outcome::warn(seen, "install glibc, or use a statically linked edgecore"))
}

const SOCKET: &str = "/run/containerd/containerd.sock";

/// Whether this containerd uses the socket or the configuration that ours is to use.
fn clashes(containerd: &Process) -> bool {
    match containerd.option(&["--address", "-a"]) {
        Some(address) => address.trim_start_matches("/var") == SOCKET,
        // Elsewhere the configuration file names another socket, as Docker's own does.
        None => containerd.option(&["--config", "-c"]).is_none_or(|config| config == CONFIG),
    }
}

pub(super) fn foreign_containerd(look: &Look<'_>) -> Result<Outcome> {
    if let Containerd::Existing(socket) = &look.cx.wanted.containerd {
        return existing(look, socket);
    }
    let all: Vec<&Process> = look.foreign("containerd")?.filter(|p| !p.contained).gather();
    if let Some(process) = all.iter().find(|p| clashes(p)) {
        let seen = format!("{} runs and is not ours", show(process));
        return Ok(Outcome::fail(seen, "stop and disable it, or set containerd to 'existing' to use it"));
    }
    match all.first() {
        Some(process) => {
            let seen = format!("{} runs beside ours, on its own socket", show(process));
            Ok(Outcome::warn(seen, "stop and disable it unless you need it"))
        }
        None => Ok(Outcome::pass("none runs")),
    }
}

fn existing(look: &Look<'_>, socket: &str) -> Result<Outcome> {
    let meta = match RelPath::from_absolute(socket) {
        Ok(path) => look.cx.machine.stat(path)?,
        Err(_) => None,
    };
    if meta.is_some_and(|meta| meta.kind == Type::Socket) {
        return Ok(Outcome::pass(format_args!("an existing one at {socket}")));
    }
    let seen = format!("an existing one is to be used, but there is no socket {socket}");
    Ok(Outcome::fail(seen, "start containerd, or correct the address of its socket"))
}

const NETWORKS: RelPath<'static> = RelPath::literal("etc/cni/net.d");
/// The name of our network's file there.
pub const NETWORK: &str = "10-edgelay.conflist";

/// What another cluster or runtime left: containerd takes the first file by name, whoever's it is.
pub(super) fn foreign_network(look: &Look<'_>) -> Result<Outcome> {
    if look.cx.wanted.containerd_store.is_none() {
        return Ok(Outcome::skip("containerd is not ours, and neither is its network"));
    }
    let mut names = look.cx.target.list_or_empty(NETWORKS)?;
    names.retain(|name| {
        name.as_str() < NETWORK && [".conf", ".conflist", ".json"].iter().any(|end| name.ends_with(end))
    });
    if names.is_empty() {
        return Ok(Outcome::pass(format_args!("none in {NETWORKS} that would be taken for ours")));
    }
    let seen =
        format!("containerd would give pods the network of {NETWORKS}/{}, which comes before ours", shown(&names));
    Ok(Outcome::fail(seen, format_args!("move it out of {NETWORKS}, if what it belongs to is no longer wanted")))
}

pub(super) fn foreign_docker(look: &Look<'_>) -> Result<Outcome> {
    match look.foreign("dockerd")?.find(|p| !p.contained) {
        Some(process) => {
            let seen = format!("{} runs; its firewall rules drop forwarded traffic of pods", show(process));
            Ok(Outcome::warn(seen, "stop and disable docker, or allow forwarding from and to the pod network"))
        }
        None => Ok(Outcome::pass("none runs")),
    }
}

/// In a container or not: the edge agent looks at process names alone.
pub(super) fn foreign_kubelet(look: &Look<'_>) -> Result<Outcome> {
    Ok(match look.foreign("kubelet")?.next() {
        Some(process) => {
            let (process, cloud) = (show(process), look.cx.wanted.k3s.is_some());
            let own = if cloud { "k3s has a kubelet of its own" } else { "EdgeCore does not start" };
            let seen = format!("{process} runs, beside which {own}");
            let advice = if cloud {
                "take a machine that is no node of another cluster, or take it out of that one: stop and disable kubelet"
            } else {
                "stop and disable kubelet"
            };
            Outcome::fail(seen, advice)
        }
        None if look.cx.wanted.k3s.is_some() => Outcome::pass("none runs"),
        None => {
            match look.rivals()?.iter().find(|p| process::WITH_KUBELET.contains(&p.name.as_str()) && !p.contained) {
                Some(process) => {
                    let seen = format!("{} runs, whose own kubelet ends pods that it does not know", show(process));
                    Outcome::warn(seen, "stop and disable it, unless it runs without an agent")
                }
                None => Outcome::pass("none runs"),
            }
        }
    })
}

pub(super) fn foreign_edgecore(look: &Look<'_>) -> Result<Outcome> {
    Ok(match look.foreign("edgecore")?.find(|p| !p.contained) {
        Some(process) => {
            let seen = format!("{} runs and was not installed by edgelay", show(process));
            Outcome::fail(seen, "stop it and remove that installation first")
        }
        None => Outcome::pass("none runs"),
    })
}

/// Names shown of a directory with leftovers.
const SHOWN: usize = 4;

pub(super) fn shown(names: &[String]) -> String {
    let first = names.get(..SHOWN).unwrap_or(names).join(", ");
    if names.len() > SHOWN { format!("{first} and more") } else { first }
}

pub(super) fn kubeedge_files(look: &Look<'_>) -> Result<Outcome> {
    let dir = RelPath::literal("etc/kubeedge");
    let names = look.cx.target.list_or_empty(dir)?;
    if names.is_empty() {
        return Ok(Outcome::pass(format_args!("{dir} is not there or empty")));
    }
    if look.cx.wanted.kubeedge_files_are_ours {
        return Ok(Outcome::pass(format_args!("{dir} is ours")));
    }
    let seen = format!("{dir} is not empty and not ours: {}", shown(&names));
    Ok(Outcome::fail(seen, format_args!("save what you need of {dir} and remove it")))
}

const KUBELET: RelPath<'static> = RelPath::literal("var/lib/kubelet");

/// EdgeCore's own kubelet takes over what lies there: pods, volumes and plugins of another cluster.
pub(super) fn kubelet_files(look: &Look<'_>) -> Result<Outcome> {
    let names = look.cx.target.list_or_empty(KUBELET)?;
    if names.is_empty() {
        return Ok(Outcome::pass(format_args!("{KUBELET} is not there or empty")));
    }
    if look.cx.wanted.kubeedge_files_are_ours {
        return Ok(Outcome::pass(format_args!("{KUBELET} is our node's")));
    }
    let seen = format!("{KUBELET} has what another kubelet left: {}", shown(&names));
    Ok(Outcome::warn(
        seen,
        format_args!("unmount what is mounted below {KUBELET}, save what you need of it, and remove it"),
    ))
}

fn show(process: &Process) -> String {
    format!("{} (pid {})", process.program, process.pid)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Fail, Pass, Skip, Warn};
    use super::super::testing::{Bed, told};
    use super::*;

    #[test]
    fn networks_that_come_before_ours() {
        let with = |name: &str| Bed::new().with(|tree| tree.file(&format!("etc/cni/net.d/{name}"), "{}"));
        let one = |bed: &Bed| bed.one("foreign-network", |_| {});
        let pass = told(Pass, "none in /etc/cni/net.d that would be taken for ours", "");
        for harmless in ["87-podman.conflist", "05-flannel.conflist.saved", NETWORK, "README"] {
            assert_eq!(one(&with(harmless)), pass, "{harmless}");
        }
        for before in ["05-cilium.conflist", "10-calico.conflist", "00-x.json", "10-containerd-net.conf"] {
            let (verdict, seen, advice) = one(&with(before));
            assert!(verdict == Fail && seen.contains(&format!("/etc/cni/net.d/{before}, which")), "{seen}");
            assert!(advice.starts_with("move it out of /etc/cni/net.d"), "{advice}");
        }
        assert_eq!(with("00-x.conf").one("foreign-network", |w| w.containerd_store = None).0, Skip);
    }

    #[test]
    fn service_managers() {
        let one = |bed: &Bed| bed.one("service-manager", |_| {});
        assert_eq!(one(&Bed::new()), told(Pass, "systemd runs as PID 1", ""));
        let advice = "boot the machine with systemd, or set join.method to 'native'";
        let openrc = Bed::new().with(|tree| tree.without("run/systemd/system").dir("run/openrc"));
        let seen = "PID 1 is OpenRC, not systemd, with which keadm starts edgecore";
        assert_eq!(one(&openrc), told(Fail, seen, advice));
        let none = Bed::new().with(|tree| tree.without("run/systemd/system").file("proc/1/comm", "tini\n"));
        let seen = "PID 1 is 'tini', not systemd, with which keadm starts edgecore";
        assert_eq!(one(&none), told(Fail, seen, advice));
        let staged = none.one("service-manager", |w| w.joins_with_keadm = false);
        let seen = "PID 1 is 'tini', no service manager that we know: edgelay supervises by itself";
        let advice = "let the board's boot hook start 'edgelay supervise' (see 'edgelay help supervise')";
        assert_eq!(staged, told(Warn, seen, advice));
    }

    #[test]
    fn programs_that_are_called() {
        let without = |path: &str| Bed::new().with(|tree| tree.without(path));
        assert_eq!(Bed::new().one("programs", |_| {}), told(Pass, "bash, pidof, sudo and mount are there", ""));
        let seen = "no sudo (keadm starts edgecore with it; it will be bridged)";
        assert_eq!(without("usr/bin/sudo").one("programs", |_| {}), told(Warn, seen, "install sudo"));
        let both = without("usr/bin/sudo").with(|tree| tree.without("usr/bin/pidof"));
        let seen = "no pidof (keadm looks for a running edgecore with it); \
            no sudo (keadm starts edgecore with it; it will be bridged)";
        assert_eq!(both.one("programs", |_| {}), told(Fail, seen, "install pidof and sudo"));

        assert_eq!(Bed::new().one("libc", |_| {}), told(Pass, "glibc: /lib/ld-linux-aarch64.so.1", ""));
        let seen = "no /lib/ld-linux-aarch64.so.1, so an edgecore that is linked against glibc does not start";
        let advice = "install glibc, or use a statically linked edgecore";
        assert_eq!(without("lib/ld-linux-aarch64.so.1").one("libc", |_| {}), told(Warn, seen, advice));
    }

    fn running(exe: &str, args: &[&str]) -> Bed {
        Bed::new().with(|tree| tree.process(77, exe, args).link("proc/1/ns/pid", "pid:[4026531836]"))
    }

    #[test]
    fn containerds() {
        let one = |bed: &Bed| bed.one("foreign-containerd", |_| {});
        assert_eq!(one(&Bed::new()), told(Pass, "none runs", ""));
        let exe = "/usr/bin/containerd";
        let advice = "stop and disable it, or set containerd to 'existing' to use it";
        let seen = "/usr/bin/containerd (pid 77) runs and is not ours";
        for args in [
            &[exe][..],
            &[exe, "--config", "/etc/containerd/config.toml"],
            &[exe, "-c", "/x.toml", "-a", "/run/containerd/containerd.sock"],
            &[exe, "--address=/var/run/containerd/containerd.sock"],
        ] {
            assert_eq!(one(&running(exe, args)), told(Fail, seen, advice), "{args:?}");
        }
        let seen = "/usr/bin/containerd (pid 77) runs beside ours, on its own socket";
        let advice = "stop and disable it unless you need it";
        for args in [
            &[exe, "--config", "/var/run/docker/containerd/containerd.toml"][..],
            &[exe, "-c", "/y.toml", "-a", "/run/k3s/containerd/containerd.sock"],
        ] {
            assert_eq!(one(&running(exe, args)), told(Warn, seen, advice), "{args:?}");
        }
        let contained = running(exe, &[exe]).with(|tree| tree.link("proc/77/ns/pid", "pid:[5]"));
        assert_eq!(one(&contained).0, Pass);
        let ours = |w: &mut super::super::Wanted<'_>| w.own_programs = vec![exe.into()];
        assert_eq!(running(exe, &[exe]).one("foreign-containerd", ours), told(Pass, "none runs", ""));
    }

    #[test]
    fn an_existing_containerd_has_a_socket() {
        let exe = "/usr/bin/containerd";
        let socket = "/run/containerd/containerd.sock";
        let existing =
            |bed: &Bed| bed.one("foreign-containerd", |w| w.containerd = Containerd::Existing(socket.into()));
        let bed = running(exe, &[exe]);
        let seen = "an existing one is to be used, but there is no socket /run/containerd/containerd.sock";
        let advice = "start containerd, or correct the address of its socket";
        assert_eq!(existing(&bed), told(Fail, seen, advice));
        let bed = bed.with(|tree| tree.socket("run/containerd/containerd.sock"));
        assert_eq!(existing(&bed), told(Pass, "an existing one at /run/containerd/containerd.sock", ""));
    }

    #[test]
    fn docker_kubelet_and_edgecore() {
        for name in ["foreign-docker", "foreign-kubelet", "foreign-edgecore"] {
            assert_eq!(Bed::new().one(name, |_| {}), told(Pass, "none runs", ""));
        }
        let docker = running("/usr/bin/dockerd", &["dockerd"]);
        let seen = "/usr/bin/dockerd (pid 77) runs; its firewall rules drop forwarded traffic of pods";
        let advice = "stop and disable docker, or allow forwarding from and to the pod network";
        assert_eq!(docker.one("foreign-docker", |_| {}), told(Warn, seen, advice));

        let kubelet = running("/usr/bin/kubelet", &["kubelet"]).with(|tree| tree.link("proc/77/ns/pid", "pid:[5]"));
        let seen = "/usr/bin/kubelet (pid 77) runs, beside which EdgeCore does not start";
        assert_eq!(kubelet.one("foreign-kubelet", |_| {}), told(Fail, seen, "stop and disable kubelet"));
        let seen = "/usr/bin/kubelet (pid 77) runs, beside which k3s has a kubelet of its own";
        let advice =
            "take a machine that is no node of another cluster, or take it out of that one: stop and disable kubelet";
        let cloud = kubelet.one_of(&super::super::CLOUD, "foreign-kubelet", |w| w.k3s = Some(super::super::K3s::New));
        assert_eq!(cloud, told(Fail, seen, advice));

        // Its kubelet has no process of its own.
        let k3s = running("/usr/local/bin/k3s", &["k3s server"]).with(|tree| tree.file("proc/77/comm", "k3s-server\n"));
        let seen = "/usr/local/bin/k3s (pid 77) runs, whose own kubelet ends pods that it does not know";
        let advice = "stop and disable it, unless it runs without an agent";
        assert_eq!(k3s.one("foreign-kubelet", |_| {}), told(Warn, seen, advice));

        let exe = "/usr/local/bin/edgecore";
        let edgecore = running(exe, &["edgecore"]);
        let seen = "/usr/local/bin/edgecore (pid 77) runs and was not installed by edgelay";
        let advice = "stop it and remove that installation first";
        assert_eq!(edgecore.one("foreign-edgecore", |_| {}), told(Fail, seen, advice));
        assert_eq!(edgecore.one("foreign-edgecore", |w| w.own_programs = vec![exe.into()]).0, Pass);
    }

    #[test]
    fn leftovers_of_a_kubelet() {
        let one = |bed: &Bed| bed.one("kubelet-files", |_| {});
        assert_eq!(one(&Bed::new()), told(Pass, "/var/lib/kubelet is not there or empty", ""));
        let full = Bed::new().with(|tree| tree.file("var/lib/kubelet/config.yaml", "x").dir("var/lib/kubelet/pods"));
        let seen = "/var/lib/kubelet has what another kubelet left: config.yaml, pods";
        let advice = "unmount what is mounted below /var/lib/kubelet, save what you need of it, and remove it";
        assert_eq!(one(&full), told(Warn, seen, advice));
        assert_eq!(full.one("kubelet-files", |w| w.kubeedge_files_are_ours = true).0, Pass);
    }

    #[test]
    fn leftovers() {
        let one = |bed: &Bed| bed.one("kubeedge-files", |_| {});
        assert_eq!(one(&Bed::new()), told(Pass, "/etc/kubeedge is not there or empty", ""));
        let advice = "save what you need of /etc/kubeedge and remove it";
        let full = Bed::new().with(|tree| tree.file("etc/kubeedge/config/edgecore.yaml", "x").dir("etc/kubeedge/ca"));
        assert_eq!(one(&full), told(Fail, "/etc/kubeedge is not empty and not ours: ca, config", advice));
        let ours = full.one("kubeedge-files", |w| w.kubeedge_files_are_ours = true);
        assert_eq!(ours, told(Pass, "/etc/kubeedge is ours", ""));
        let more = full.with(|tree| ["a", "b", "c"].iter().fold(tree, |t, n| t.dir(&format!("etc/kubeedge/{n}"))));
        let seen = "/etc/kubeedge is not empty and not ours: a, b, c, ca and more";
        assert_eq!(one(&more), told(Fail, seen, advice));
    }
}
