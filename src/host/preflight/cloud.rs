//! The checks of the cloud side, beyond those that it has in common with an edge.

use super::table::check;
use super::wanted::K3s;
use super::{Check, Look, Outcome, identity, list, machine, network, services, storage};
use crate::error::Result;
use crate::exec;
use crate::gather::Grow;
use crate::host::net::{self, Iptables};
use crate::host::reach::{self, Answer};
use crate::host::{Init, SMALL, init_system};
use crate::ids::RelPath;

/// The checks of the cloud side.
pub const CLOUD: [Check; 25] = [
    check("root", machine::root, "edgelay runs as root"),
    check("capabilities", machine::capabilities, "with the capabilities that containers need"),
    check("architecture", machine::architecture, "the bundle is for this processor"),
    check("memory", machine::memory, "at least 512 MiB, for a worker 384; below 1900 MiB, for a worker 900, a warning"),
    check("kernel-features", machine::kernel_features, "overlay, bridge, veth and the netfilter parts of pods"),
    check("cgroups", machine::cgroups, "the controllers that a kubelet insists on, memory among them"),
    check("service-manager", service_manager, "systemd or OpenRC, which start k3s again"),
    check("programs", services::programs, "`bash`, through which keadm runs everything"),
    check(
        "package-manager",
        package_manager,
        "`apt`, `yum` or `pacman`, without which keadm panics; one is lent to it",
    ),
    check("iptables", iptables, "the flavour of the firewall, and whether the bundle has the image for it"),
    check(
        "read-only",
        storage::read_only,
        "the directories that are written to can be written to, and programs run from theirs",
    ),
    check(
        "disk-space",
        storage::disk_space,
        "room for what the bundle holds, and for what k3s unpacks of itself, four times its program; below 20 % left a warning",
    ),
    check("foreign-docker", services::foreign_docker, "no Docker drops the pods' traffic"),
    check("foreign-kubelet", services::foreign_kubelet, "no kubelet runs beside k3s's own"),
    check("foreign-edgecore", services::foreign_edgecore, "no EdgeCore runs: a machine is of the cloud or an edge"),
    check("foreign-k3s", foreign_k3s, "no k3s of another installation, or one if it is to be used"),
    check("ports", network::ports, "6443, 6444, 10250 and 10000 to 10004 are free, or held by what we installed"),
    check(
        "ingress-ports",
        ingress_ports,
        "nobody listens at 80 and 443, which Traefik takes from them; of a worker a warning",
    ),
    check("node-address", network::node_address, "the node IP is this machine's, or there is a default route"),
    check("advertise-address", advertise_address, "one of the advertised addresses is this machine's"),
    check("cluster-ranges", ranges, "the cluster's ranges overlap no route or address of this machine"),
    check("firewall", firewall, "no firewalld and no ufw cuts off edges and pods"),
    check("server", server, "the server that a worker joins answers"),
    check("kubernetes-version", kubernetes_version, "KubeEdge was tested with this Kubernetes"),
    check("clock", identity::clock, "not before the time at which the bundle was made"),
];

fn service_manager(look: &Look<'_>) -> Result<Outcome> {
    Ok(match init_system(look.cx.machine)? {
        Init::Systemd => Outcome::pass("systemd runs as PID 1"),
        Init::OpenRc => Outcome::pass("OpenRC manages services"),
        other => {
            let seen = format!("PID 1 is {other}, so nothing starts k3s again when it ends");
            Outcome::warn(seen, "boot the machine with systemd or OpenRC")
        }
    })
}

/// What `keadm init` looks for with `command -v`; it panics if it finds none.
pub const PACKAGE_MANAGERS: [&str; 3] = ["apt", "yum", "pacman"];

fn package_manager(look: &Look<'_>) -> Result<Outcome> {
    let found = PACKAGE_MANAGERS.iter().find(|name| exec::find(look.cx.machine, name).is_some());
    Ok(Outcome::pass(match found {
        Some(name) => format!("{name} is there, as keadm wants it"),
        None => "none of apt, yum and pacman; keadm, which panics without, is lent one that does nothing".to_owned(),
    }))
}

fn iptables(look: &Look<'_>) -> Result<Outcome> {
    Ok(match (net::iptables(look.cx.machine)?, look.cx.wanted.nft_image) {
        (Iptables::Nft, false) => Outcome::warn(
            "iptables writes nft rules, but KubeEdge's image for these is not in the bundle",
            "add the image kubeedge/iptables-manager-nft to the bundle, or 'kubectl logs' of edge nodes may fail",
        ),
        (Iptables::Nft, true) => Outcome::pass("iptables writes nft rules"),
        (Iptables::Legacy, _) => Outcome::pass("iptables writes legacy rules"),
        (Iptables::None, _) => Outcome::pass("no iptables program; k3s brings its own"),
    })
}

const SOCKET: RelPath<'static> = RelPath::literal("run/k3s/containerd/containerd.sock");
const K3S_DATA: RelPath<'static> = RelPath::literal("var/lib/rancher/k3s");

fn foreign_k3s(look: &Look<'_>) -> Result<Outcome> {
    let mut running = Vec::new();
    for name in ["k3s-server", "k3s-agent", "k3s"] {
        running.add_all(look.foreign(name)?.map(|p| format!("{} (pid {})", p.name, p.pid)));
    }
    Ok(match (&look.cx.wanted.k3s, running.as_slice()) {
        (None, _) => Outcome::skip("not asked for"),
        (Some(K3s::Ours), _) => Outcome::pass("k3s is ours"),
        (Some(K3s::Existing(kubeconfig)), _)
            if look.cx.machine.stat(RelPath::from_absolute(kubeconfig).unwrap_or(K3S_DATA))?.is_none() =>
        {
            let seen = format!("an existing k3s is to be used, but there is no {kubeconfig}");
            Outcome::fail(seen, "start k3s, or name its kubeconfig in 'kubeconfig'")
        }
        (Some(K3s::Existing(_)), _) if exec::find(look.cx.machine, "k3s").is_none() => {
            let seen = "an existing k3s is to be used, but there is no program 'k3s'".to_owned();
            Outcome::fail(seen, "run this on a server of k3s: clusters of kubeadm, RKE2, k0s and others cannot be used")
        }
        (Some(K3s::Existing(_)), _) if look.cx.machine.stat(SOCKET)?.is_none() => {
            let seen = format!("an existing k3s is to be used, but its containerd has no socket '{SOCKET}'");
            Outcome::fail(seen, "start k3s, with its own containerd: images cannot be brought to Docker or another one")
        }
        (Some(K3s::Existing(kubeconfig)), _) => Outcome::pass(format_args!("an existing one, by {kubeconfig}")),
        (Some(K3s::New), []) if look.cx.target.list(K3S_DATA)?.is_none_or(|names| names.is_empty()) => {
            Outcome::pass("none runs")
        }
        (Some(K3s::New), []) => {
            let seen = format!("'{K3S_DATA}' holds the data of a k3s that edgelay did not install");
            Outcome::fail(seen, "set k3s to 'existing' to use that k3s, or save its data and remove the directory")
        }
        (Some(K3s::New), running) => Outcome::fail(
            format_args!("{} runs and was not installed by edgelay", list(running)),
            "set k3s to 'existing' to use it, or uninstall it first",
        ),
    })
}

/// k3s's load balancer does not listen: its firewall rules lead what comes to these ports to Traefik, and whoever does
/// listen there gets nothing any more.
fn ingress_ports(look: &Look<'_>) -> Result<Outcome> {
    let wanted = &look.cx.wanted;
    let taken = network::listeners(look, &wanted.ingress)?.taken;
    Ok(match (taken.is_empty(), &wanted.server) {
        (true, _) if wanted.ingress.is_empty() => Outcome::skip("none are taken"),
        (true, _) => Outcome::pass("nobody listens at 80 and 443"),
        (false, Some(_)) => Outcome::warn(
            format_args!("{}, which gets nothing any more if the server's k3s has Traefik", taken.join("; ")),
            "stop it, or move it to another port, unless the server has 'disable' set to 'traefik'",
        ),
        (false, None) => Outcome::fail(
            format_args!("{}, which would get nothing any more", taken.join("; ")),
            "set 'disable' to 'traefik' if the cluster needs no Ingress, or stop what listens, or move it to another port",
        ),
    })
}

fn advertise_address(look: &Look<'_>) -> Result<Outcome> {
    let wanted = &look.cx.wanted.advertise;
    if wanted.is_empty() {
        return Ok(Outcome::skip("none wanted"));
    }
    let own = net::addresses(look.cx.machine)?;
    Ok(match wanted.iter().find(|ip| own.contains(ip)) {
        Some(ip) => Outcome::pass(format_args!("{ip} is an address of this machine")),
        None => Outcome::warn(
            format_args!("{} is no address of this machine", list(wanted)),
            "see to it that packets to it arrive here, at ports 10000 to 10004",
        ),
    })
}

fn ranges(look: &Look<'_>) -> Result<Outcome> {
    let wanted = &look.cx.wanted.ranges;
    let (routes, addresses) = (net::routes(look.cx.machine)?, net::addresses(look.cx.machine)?);
    for (key, range) in wanted {
        if let Some(with) = network::clash(*range, &routes, &addresses, None, "") {
            let advice =
                "choose ranges for 'cluster_cidr' and 'service_cidr' that are used nowhere in this site's network";
            return Ok(Outcome::fail(format_args!("{key} {range} overlaps {with}"), advice));
        }
    }
    Ok(match wanted.is_empty() {
        true => Outcome::skip("no cluster is to be made"),
        false => Outcome::pass("they overlap no route or address of this machine"),
    })
}

/// Both drop what comes to the host, and some of what is forwarded, unless they are told otherwise.
fn firewall(look: &Look<'_>) -> Result<Outcome> {
    const UFW: RelPath<'static> = RelPath::literal("etc/ufw/ufw.conf");
    let ufw = look.cx.machine.text_or_empty(UFW, SMALL)?;
    let found = if look.foreign("firewalld")?.next().is_some() {
        "firewalld runs"
    } else if ufw.lines().any(|line| line.trim() == "ENABLED=yes") {
        "ufw is enabled"
    } else {
        return Ok(Outcome::pass("neither firewalld nor ufw"));
    };
    Ok(Outcome::warn(
        format_args!("{found}, and drops what edges and pods send unless it is told to let it in"),
        "let in TCP 6443, 10000, 10002 and 10004, between nodes TCP 10250 and UDP 8472, and all from the ranges of pods and services",
    ))
}

/// k3s's agent would say nothing for long and try for ever.
fn server(look: &Look<'_>) -> Result<Outcome> {
    let Some(server) = &look.cx.wanted.server else { return Ok(Outcome::skip("this is no new worker")) };
    let advice = "start k3s on the server, let its port through every firewall in between, or correct the address";
    Ok(match reach::try_all(&[server], look.cx.connect_limit).first() {
        Some(answer) if *answer != Answer::Open => Outcome::fail(format_args!("{server} {answer}"), advice),
        _ => Outcome::pass(format_args!("{server} {}", Answer::Open)),
    })
}

/// For each KubeEdge by its minor version, the oldest and the newest minor version of Kubernetes that it was tested
/// with (README of that release).
const TESTED: [(&str, u32, u32); 5] =
    [("v1.19.", 27, 29), ("v1.20.", 28, 30), ("v1.21.", 28, 30), ("v1.22.", 29, 31), ("v1.23.", 30, 32)];

/// What is to be said about `kubernetes` (`v1.34.2+k3s1`) under `kubeedge` (`v1.22.0`). `None`: nothing.
pub fn untested(kubeedge: &str, kubernetes: &str) -> Option<String> {
    let minor: u32 = kubernetes.trim_start_matches('v').split('.').nth(1)?.parse().ok()?;
    let (_, oldest, newest) = TESTED.iter().find(|(version, ..)| kubeedge.starts_with(version))?;
    (!(*oldest..=*newest).contains(&minor)).then(|| {
        format!("KubeEdge {kubeedge} was tested with Kubernetes 1.{oldest} to 1.{newest}, this is {kubernetes}")
    })
}

fn kubernetes_version(look: &Look<'_>) -> Result<Outcome> {
    let Some((kubeedge, kubernetes)) = &look.cx.wanted.kubernetes else {
        return Ok(Outcome::skip("the bundle does not tell the version of its k3s"));
    };
    Ok(match untested(kubeedge, kubernetes) {
        Some(seen) => Outcome::warn(seen, "test your applications, or take a k3s of these versions"),
        None => Outcome::pass(format_args!("Kubernetes {kubernetes}, KubeEdge {kubeedge}")),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Fail, Pass, Skip, Warn};
    use super::super::testing::{Bed, told};
    use super::super::wanted::{PortNeed, Wanted};
    use super::*;
    use crate::config::CloudConfig;

    #[test]
    fn other_installations_of_k3s() {
        let one = |bed: &Bed, k3s: K3s| bed.one_of(&CLOUD, "foreign-k3s", |w| w.k3s = Some(k3s));
        assert_eq!(one(&Bed::new(), K3s::New), told(Pass, "none runs", ""));
        let data = Bed::new().with(|tree| tree.file("var/lib/rancher/k3s/server/token", "x"));
        let advice = "set k3s to 'existing' to use that k3s, or save its data and remove the directory";
        let seen = "'/var/lib/rancher/k3s' holds the data of a k3s that edgelay did not install";
        assert_eq!(one(&data, K3s::New), told(Fail, seen, advice));
        assert_eq!(one(&data, K3s::Ours), told(Pass, "k3s is ours", ""));
        let runs = Bed::new().with(|tree| tree.process(77, "/usr/local/bin/k3s-server", &["k3s", "server"]));
        let seen = "k3s-server (pid 77) runs and was not installed by edgelay";
        assert_eq!(one(&runs, K3s::New), told(Fail, seen, "set k3s to 'existing' to use it, or uninstall it first"));
        let existing = || K3s::Existing("/etc/rancher/k3s/k3s.yaml".into());
        let seen = "an existing k3s is to be used, but there is no /etc/rancher/k3s/k3s.yaml";
        let advice = "start k3s, or name its kubeconfig in 'kubeconfig'";
        assert_eq!(one(&runs, existing()), told(Fail, seen, advice));
        let there = runs.with(|tree| tree.file("etc/rancher/k3s/k3s.yaml", "x"));
        let seen = "an existing k3s is to be used, but there is no program 'k3s'";
        let advice = "run this on a server of k3s: clusters of kubeadm, RKE2, k0s and others cannot be used";
        assert_eq!(one(&there, existing()), told(Fail, seen, advice));
        let there = there.with(|tree| tree.program("usr/local/bin/k3s"));
        let seen =
            "an existing k3s is to be used, but its containerd has no socket '/run/k3s/containerd/containerd.sock'";
        let advice = "start k3s, with its own containerd: images cannot be brought to Docker or another one";
        assert_eq!(one(&there, existing()), told(Fail, seen, advice));
        let there = there.with(|tree| tree.socket("run/k3s/containerd/containerd.sock"));
        assert_eq!(one(&there, existing()).0, Pass);
    }

    #[test]
    fn what_is_only_told() {
        let one = |bed: &Bed, name: &str| {
            bed.one_of(&CLOUD, name, |w| {
                w.advertise = vec!["192.0.2.9".parse().unwrap()];
                w.kubernetes = Some(("v1.22.0".into(), "v1.34.2+k3s1".into()));
            })
        };
        let bed = Bed::new();
        assert_eq!(one(&bed, "advertise-address").0, Warn);
        assert_eq!(
            bed.one_of(&CLOUD, "advertise-address", |w| w.advertise = vec!["10.0.0.5".parse().unwrap()]).0,
            Pass
        );
        let seen = "KubeEdge v1.22.0 was tested with Kubernetes 1.29 to 1.31, this is v1.34.2+k3s1";
        assert_eq!(one(&bed, "kubernetes-version").1, seen);
        assert_eq!(bed.one_of(&CLOUD, "kubernetes-version", |_| {}).0, Skip);
        assert_eq!((untested("v1.22.0", "v1.30.4"), untested("v9.1.0", "v1.2")), (None, None));
        assert_eq!(one(&bed, "package-manager").0, Pass);
        let nft = Bed::new().with(|t| {
            t.without("usr/sbin/iptables")
                .program("usr/sbin/xtables-nft-multi")
                .link("usr/sbin/iptables", "xtables-nft-multi")
        });
        assert_eq!(nft.one_of(&CLOUD, "iptables", |_| {}).0, Warn);
        assert_eq!(nft.one_of(&CLOUD, "iptables", |w| w.nft_image = true), told(Pass, "iptables writes nft rules", ""));
        assert_eq!(one(&bed, "iptables"), told(Pass, "iptables writes legacy rules", ""));
        let none = Bed::new().with(|tree| tree.without("run/systemd/system").file("proc/1/comm", "tini\n"));
        assert_eq!(none.one_of(&CLOUD, "service-manager", |_| {}).0, Warn);
    }

    #[test]
    fn what_cuts_off_pods_and_edges() {
        let one = |bed: &Bed| bed.one_of(&CLOUD, "firewall", |_| {});
        let advice = "let in TCP 6443, 10000, 10002 and 10004, between nodes TCP 10250 and UDP 8472, and all from the ranges of pods and services";
        assert_eq!(one(&Bed::new()), told(Pass, "neither firewalld nor ufw", ""));
        let off = Bed::new().with(|tree| tree.file("etc/ufw/ufw.conf", "# x\nENABLED=no\n"));
        assert_eq!(one(&off).0, Pass);
        let ufw = Bed::new().with(|tree| tree.file("etc/ufw/ufw.conf", "# x\nENABLED=yes\n"));
        let seen = "ufw is enabled, and drops what edges and pods send unless it is told to let it in";
        assert_eq!(one(&ufw), told(Warn, seen, advice));
        // A script: the kernel shows its own name, not that of python.
        let firewalld = Bed::new().with(|tree| {
            tree.process(77, "/usr/bin/python3.11", &["/usr/bin/python3", "-s", "/usr/sbin/firewalld"])
                .without("proc/77/comm")
                .file("proc/77/comm", "firewalld\n")
        });
        assert_eq!(one(&firewalld).0, Warn);
    }

    #[test]
    fn ranges_that_are_taken() {
        let one = |range: &str| {
            let range = range.parse().unwrap();
            Bed::new().one_of(&CLOUD, "cluster-ranges", |w| {
                w.ranges = vec![("cluster_cidr", "10.42.0.0/16".parse().unwrap()), ("service_cidr", range)];
            })
        };
        assert_eq!(one("10.43.0.0/16"), told(Pass, "they overlap no route or address of this machine", ""));
        let seen = "service_cidr 10.0.0.0/16 overlaps the route to 10.0.0.0/24 through eth0";
        let advice = "choose ranges for 'cluster_cidr' and 'service_cidr' that are used nowhere in this site's network";
        assert_eq!(one("10.0.0.0/16"), told(Fail, seen, advice));
        assert_eq!(Bed::new().one_of(&CLOUD, "cluster-ranges", |_| {}), told(Skip, "no cluster is to be made", ""));
    }

    #[test]
    fn a_server_that_does_not_answer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let one = || {
            Bed::new()
                .one_of(&CLOUD, "server", |w| w.server = Some(crate::ids::HostPort::new("127.0.0.1", port).unwrap()))
        };
        assert_eq!(one(), told(Pass, &format!("127.0.0.1:{port} open"), ""));
        drop(listener);
        assert_eq!(one().0, Fail);
        assert_eq!(Bed::new().one_of(&CLOUD, "server", |_| {}), told(Skip, "this is no new worker", ""));
    }

    #[test]
    fn who_would_lose_its_ports_to_traefik() {
        let one = |bed: &Bed, worker: bool| {
            bed.one_of(&CLOUD, "ingress-ports", |w| {
                w.ingress = PortNeed::INGRESS.to_vec();
                w.server = worker.then(|| crate::ids::HostPort::new("192.0.2.1", 6443).unwrap());
            })
        };
        assert_eq!(Bed::new().one_of(&CLOUD, "ingress-ports", |_| {}), told(Skip, "none are taken", ""));
        assert_eq!(one(&Bed::new(), false), told(Pass, "nobody listens at 80 and 443", ""));
        let nginx = Bed::new().listening(443, 812, "/usr/sbin/nginx");
        let seen = "443 for Traefik is held by nginx (pid 812) on 127.0.0.1:443, which would get nothing any more";
        let advice = "set 'disable' to 'traefik' if the cluster needs no Ingress, or stop what listens, or move it to another port";
        assert_eq!(one(&nginx, false), told(Fail, seen, advice));
        assert_eq!(one(&nginx, true).0, Warn);
        let config = |disable: &[&'static str]| {
            Wanted::of_cloud(&CloudConfig { disable: disable.to_vec(), ..CloudConfig::default() }).ingress.len()
        };
        assert_eq!(
            [config(&[]), config(&["metrics-server"]), config(&["traefik"]), config(&["servicelb"])],
            [2, 2, 0, 0]
        );
    }

    #[test]
    fn names_are_unique() {
        let names: crate::sorted::Set<&str> = CLOUD.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CLOUD.len());
    }
}
