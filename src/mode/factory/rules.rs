//! What only one machine may have, by the places where it lies.

/// What `--clean` does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// The file or the whole directory goes.
    Remove,
    /// The file is emptied: its owner and its permissions are somebody's need.
    Empty,
    /// Nothing: a person has to decide.
    Person,
}

/// One kind of unique thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// Its name.
    pub(super) name: &'static str,
    /// Where it lies; `*` stands for any part of a name, a leading [`STORE`] for containerd's root. Directories count
    /// only if something is in them.
    pub(super) places: &'static [&'static str],
    pub(super) cure: Cure,
    /// What copies would suffer from, and what to do.
    pub(super) advice: &'static str,
}

/// What stands for containerd's root in a place.
pub(super) const STORE: &str = "CONTAINERD";

const REMOVED: &str = "--clean removes it";

pub(super) const RULES: [Rule; 14] = [
    Rule {
        name: "certificates",
        places: &["etc/kubeedge/certs", "etc/kubeedge/ca", "etc/kubeedge/config", "etc/kubeedge/dmi*"],
        cure: Cure::Remove,
        advice: "copies would all be the same node to the cloud; --clean removes them",
    },
    Rule {
        name: "edgecore-db",
        places: &["var/lib/kubeedge", "var/lib/kubelet"],
        cure: Cure::Remove,
        advice: "it holds another node's pods; --clean removes it",
    },
    Rule {
        name: "tokens",
        places: &["etc/kubeedge/bootstrap-edgecore.conf", "var/lib/edgelay/token", "root/token", "etc/edgelay/token"],
        cure: Cure::Remove,
        advice: "a token in an image is in everybody's hands, and is valid for a day; --clean removes it",
    },
    Rule {
        name: "boot-tokens",
        places: &["boot/token", "boot/edgelay/token", "boot/firmware/token", "boot/firmware/edgelay/token"],
        cure: Cure::Person,
        advice: "remove it: a token is valid for a day, and is handed out at the first boot",
    },
    Rule {
        name: "pods",
        places: &[
            "CONTAINERD/io.containerd.runtime.v2.task/k8s.io",
            "CONTAINERD/io.containerd.grpc.v1.cri/sandboxes",
            "CONTAINERD/io.containerd.grpc.v1.cri/containers",
        ],
        cure: Cure::Person,
        advice: "pods ran here; run 'edgelay edge uninstall' there, and stage the system anew",
    },
    Rule { name: "pod-addresses", places: &["var/lib/cni/networks/*"], cure: Cure::Remove, advice: REMOVED },
    Rule {
        name: "ssh-host-keys",
        places: &["etc/ssh/ssh_host_*_key", "etc/ssh/ssh_host_*_key.pub", "etc/dropbear/dropbear_*_host_key"],
        cure: Cure::Remove,
        advice: "who knows one copy's key can play every other; --clean removes them, and see to it that the first boot \
                 makes new ones (ssh-keygen -A)",
    },
    Rule {
        name: "private-keys",
        places: &["root/.ssh/id_*", "home/*/.ssh/id_*"],
        cure: Cure::Person,
        advice: "remove it, or put it into the image on purpose under another name",
    },
    Rule {
        name: "leases",
        places: &[
            "var/lib/dhcp/*.lease*",
            "var/lib/dhcpcd/*.lease*",
            "var/lib/dhcpcd*/duid",
            "var/lib/dhcpcd*/secret",
            "etc/dhcpcd.duid",
            "etc/dhcpcd.secret",
            "var/lib/NetworkManager/*.lease",
            "var/lib/NetworkManager/secret_key",
            "var/lib/NetworkManager/seen-bssids",
            "var/lib/systemd/network",
            "var/lib/connman/*/data",
            "etc/udev/rules.d/70-persistent-net.rules",
        ],
        cure: Cure::Remove,
        advice: "copies would ask for the same address; --clean removes it",
    },
    Rule {
        name: "random-seed",
        places: &[
            "var/lib/systemd/random-seed",
            "var/lib/systemd/credential.secret",
            "var/lib/random-seed",
            "var/lib/urandom/random-seed",
            "var/lib/seedrng/seed*",
            "boot/loader/random-seed",
            "boot/efi/loader/random-seed",
        ],
        cure: Cure::Remove,
        advice: "copies would draw the same random numbers; --clean removes it",
    },
    Rule { name: "journald", places: &["var/log/journal/*"], cure: Cure::Remove, advice: REMOVED },
    Rule {
        name: "history",
        places: &[
            "root/.*_history",
            "root/.lesshst",
            "root/.viminfo",
            "home/*/.*_history",
            "home/*/.lesshst",
            "home/*/.viminfo",
        ],
        cure: Cure::Remove,
        advice: "what was typed here, passwords perhaps; --clean removes it",
    },
    Rule {
        name: "cloud-init",
        places: &["var/lib/cloud/instance", "var/lib/cloud/instances", "var/lib/cloud/data"],
        cure: Cure::Remove,
        advice: "copies would take themselves for the instance that was; --clean removes it",
    },
    Rule {
        name: "first-boot",
        places: &["var/lib/edgelay/firstboot.json"],
        cure: Cure::Remove,
        advice: "this system has tried its first boot already; --clean removes the trace",
    },
];
