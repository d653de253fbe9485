//! Which checks a mode runs, in the order of its report; and docs/preflight.md, which is made from that.

use super::{
    CLOUD, Check, Look, Outcome, TEMPORARY, identity, machine, network, programs, runtime, services, storage,
    surroundings, target,
};
use crate::error::Result;
use crate::gather::Grow;

pub(super) const fn check(name: &'static str, probe: fn(&Look<'_>) -> Result<Outcome>, about: &'static str) -> Check {
    Check { name, about, probe }
}

/// The checks of an edge install.
pub const EDGE: [Check; 40] = [
    check("root", machine::root, "edgelay runs as root"),
    check("capabilities", machine::capabilities, "with the capabilities that containers need"),
    check("architecture", machine::architecture, "the bundle is for this processor"),
    check("board", machine::board, "which profile it has, and whether anything tells it from others of its kind"),
    check("memory", machine::memory, "at least 200 MiB; below 448 MiB a warning"),
    check(
        "kernel-features",
        machine::kernel_features,
        "overlay, bridge, veth and the netfilter parts of a pod network: tried where that loads no module",
    ),
    check("cgroups", machine::cgroups, "the controllers that EdgeCore insists on, memory among them"),
    check("kmsg", machine::kmsg, "`/dev/kmsg`, without which EdgeCore does not start"),
    check(
        "service-manager",
        services::service_manager,
        "systemd, which keadm needs, or OpenRC; elsewhere a warning: edgelay supervises by itself",
    ),
    check(
        "programs",
        services::programs,
        "`mount`, for EdgeCore; `bash` and `pidof`, which keadm calls; a missing `sudo` is bridged",
    ),
    check(
        "iptables",
        programs::iptables,
        "the program that the bridge and portmap plugins call runs, and writes rules that the board's kernels serve",
    ),
    check("libc", services::libc, "glibc, against which the official EdgeCore is linked"),
    check(
        "bundle-programs",
        programs::bundle_programs,
        "the bundle's programs find their loader; containerd and runc that are installed say their version",
    ),
    check(
        "read-only",
        storage::read_only,
        "the directories that are written to can be written to, and programs run from theirs",
    ),
    check("disk-space", storage::disk_space, "room for what the bundle holds; below 20 % left a warning"),
    check(
        "containerd-store",
        storage::containerd_store,
        "images lie on a file system that can hold them and bears an overlay; on FUSE and 9P a warning",
    ),
    check("persistence", surroundings::persistence, "what the node knows of itself survives a reboot"),
    check("limits", surroundings::limits, "inotify instances and watches for the kubelet in EdgeCore and for pods"),
    check("swap", surroundings::swap, "not on a memory card; else EdgeCore does not mind it"),
    check(
        "security-module",
        surroundings::security_module,
        "SELinux, which wants labels on new programs; AppArmor without its parser; seccomp",
    ),
    check("containerd-config", runtime::containerd_config, "an existing containerd serves CRI, with our pause image"),
    check(
        "containerd-cri",
        runtime::containerd_cri,
        "an existing containerd, asked through its socket, is ready for pods, has its pause image and no pods that EdgeCore would end",
    ),
    check(
        "foreign-containerd",
        services::foreign_containerd,
        "no other containerd uses our socket; an existing one has its own",
    ),
    check(
        "foreign-network",
        services::foreign_network,
        "no file of another network in `/etc/cni/net.d` comes before ours, so that containerd takes it",
    ),
    check("foreign-docker", services::foreign_docker, "no Docker drops the pods' traffic"),
    check(
        "foreign-kubelet",
        services::foreign_kubelet,
        "no kubelet runs, beside which EdgeCore does not start; nor k3s and the like, which have one",
    ),
    check("foreign-edgecore", services::foreign_edgecore, "no EdgeCore of another installation runs"),
    check("kubeedge-files", services::kubeedge_files, "`/etc/kubeedge` is empty or ours, as keadm demands"),
    check("kubelet-files", services::kubelet_files, "`/var/lib/kubelet` has nothing that another kubelet left"),
    check(
        "ports",
        network::ports,
        "10350, with EdgeMesh 10550 and 20006 and with MQTT 1883 are free, or held by what we installed",
    ),
    check("node-name", identity::node_name, "a name that no other machine is likely to have"),
    check(
        "clone-identity",
        identity::clone_identity,
        "machine id, host name and product UUID are not what copies of one image have in common",
    ),
    check("node-address", network::node_address, "the node IP is this machine's, or there is a default route"),
    check(
        "resolv-conf",
        network::resolv_conf,
        "`/etc/resolv.conf` is there; with EdgeMesh it names a server, but not EdgeMesh's own",
    ),
    check(
        "pod-cidr",
        network::pod_cidr,
        "the pods' range overlaps no route or address of this machine, and their bridge is no other network's",
    ),
    check(
        "clock",
        identity::clock,
        "not before the bundle was made, nor before an earlier run; synchronised where no battery keeps it",
    ),
    check("token", identity::token, "whole, and valid for ten minutes more"),
    check("cloud-address", network::cloud_address, "10002, the certificate port, is not taken for the WebSocket port"),
    check("cloud-ports", network::cloud_ports, "both of CloudCore's ports answer within 3 s"),
    check(
        "cloud-certificate",
        network::cloud_certificate,
        "the certificate that CloudCore shows is for the name or address given, and counts now; only ever a warning",
    ),
];

/// The checks of a system that is staged but does not run.
pub const TARGET: [Check; 16] = [
    check("root", target::root, "edgelay runs as root"),
    check("architecture", target::architecture, "its programs are for the bundle's processor"),
    check("kernel-features", target::kernel_features, "every kernel below its `/lib/modules` has what pods need"),
    check("service-manager", target::service_manager, "systemd or OpenRC is installed"),
    check("iptables", programs::iptables, "it has the program that the bridge and portmap plugins call"),
    check("libc", services::libc, "it has glibc, against which the official EdgeCore is linked"),
    check("bundle-programs", programs::bundle_programs, "the bundle's programs find their loader in it"),
    check("read-only", storage::read_only, "the directories that are written to can be written to"),
    check("disk-space", storage::disk_space, "room for what the bundle holds; below 20 % left a warning"),
    check("containerd-store", storage::containerd_store, "its images will lie on a file system that can hold them"),
    check(
        "persistence",
        target::persistence,
        "what its copies will know of themselves survives a reboot, by its profile",
    ),
    check(
        "foreign-network",
        services::foreign_network,
        "no file of another network in `/etc/cni/net.d` comes before ours, so that containerd takes it",
    ),
    check("kubeedge-files", services::kubeedge_files, "its `/etc/kubeedge` is empty or ours"),
    check("kubelet-files", services::kubelet_files, "its `/var/lib/kubelet` has nothing that another kubelet left"),
    check("node-name", identity::node_name, "one that is given is a name that no other machine is likely to have"),
    check("token", identity::token, "one that is given is whole, and valid for ten minutes more"),
];

/// docs/preflight.md
pub fn render_doc() -> String {
    let mut out = String::from(
        "# Preflight checks\n\n\
         <!-- Made from the table in src/host/preflight/table.rs: UPDATE_DOCS=1 cargo test --test it docs -->\n\n\
         All checks run, in this order, and change nothing. Each ends in `pass`, `warn` (goes on; also: could not be\n\
         found out), `fail` or `skip` (not asked for). Names are a contract: `--ignore-check NAME[,NAME]` turns a failure\n\
         into a warning, `all` does so for every one. Exit code 4 if a check failed; 21 if only those marked with * did,\n\
         as time may mend them.\n\n\
         | check | what is looked at |\n| --- | --- |\n",
    );
    for (title, checks) in
        [("", &EDGE[..]), ("\nFor the cloud side:\n\n| check | what is looked at |\n| --- | --- |\n", &CLOUD)]
    {
        out.push_str(title);
        for Check { name, about, .. } in checks {
            let mark = if TEMPORARY.contains(name) { " *" } else { "" };
            out.grow(format_args!("| `{name}`{mark} | {about} |\n"));
        }
    }
    out.push_str(
        "\nWhat can be tried is tried instead of read about: links, an overlay over the store's file system, an iptables\n\
         rule, all in namespaces of a thread of preflight's own, which end with it; programs are asked for their version. What\n\
         would load a kernel module is not tried, but looked up among the modules, and in the kernel's configuration. Without\n\
         `cloud.host` nothing is sent over the network, and all of it takes less than a second.\n\n\
         Not looked at, as edgelay speaks no TLS: whether CloudCore knows a node of this name already (EdgeCore and keadm\n\
         tell), and whether its CA is the one that the token names. The certificate that `cloud-certificate` reads is shown by\n\
         servers of TLS 1.2 before any key is exchanged; one that wants TLS 1.3 shows it to nobody who cannot, which is a\n\
         warning.\n\
         \n## Systems that do not run\n\n\
         With `--root` it is the system below that directory that is judged, by its files, and not the machine that\n\
         prepares it. Only these are looked at:\n\n\
         | check | what is looked at |\n| --- | --- |\n",
    );
    for Check { name, about, .. } in TARGET {
        out.grow(format_args!("| `{name}` | {about} |\n"));
    }
    out.push_str(
        "\n## JSON\n\n\
         `-o json` prints one object. Fields are only ever added; `schema` changes if one has to change its meaning.\n\n\
         | field | what |\n| --- | --- |\n\
         | `schema` | 1 |\n\
         | `verdict` | the worst of all: `pass`, `warn` or `fail` |\n\
         | `count` | object: how many of `pass`, `warn`, `fail`, `skip` |\n\
         | `findings` | list of objects in the order above |\n\
         | `findings[].check` | the check's name |\n\
         | `findings[].verdict` | `pass`, `warn`, `fail` or `skip` |\n\
         | `findings[].seen` | what was seen, for people |\n\
         | `findings[].advice` | what to do, or null |\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_kebab_case() {
        let names: std::collections::BTreeSet<&str> = EDGE.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), EDGE.len());
        assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        assert!(TARGET.iter().all(|check| names.contains(check.name)));
        assert!(TEMPORARY.iter().all(|name| names.contains(name)));
    }
}
