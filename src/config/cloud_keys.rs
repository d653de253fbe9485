//! The table of settings of the cloud side.

use super::check;
use super::keys::{Key, Of, one, path};
use super::value::{Form, Raw, parse_duration, parse_switch, render_duration};
use crate::gather::Gather;

/// Every setting of the cloud side, in the order of help and documentation.
pub static CLOUD_KEYS: &[Key] = &[
    Key {
        path: "advertise_address",
        flag: "advertise-address",
        env: "EDGELAY_ADVERTISE_ADDRESS",
        form: Form::List,
        placeholder: "IP[,IP]",
        default: "",
        help: "addresses that edges reach the cloud at, the main one first",
        more: "Every address that any edge uses, also that of a NAT or a second network: CloudCore's certificate is made \
               for them. The first one is k3s's own and goes first into the join file. A server needs at least one.",
        known_as: &["external-ip", "addresses", "cloudcore-ip"],
        set: Of::Cloud(|config, _, raw| {
            config.addresses = check::addresses(raw.list())?;
            Ok(())
        }),
        show: Of::Cloud(|config| Some(Raw::List(config.addresses.iter().map(ToString::to_string).gather()))),
    },
    Key {
        path: "dns_names",
        flag: "dns-names",
        env: "EDGELAY_DNS_NAMES",
        form: Form::List,
        placeholder: "NAME[,NAME]",
        default: "",
        help: "names that edges reach the cloud at",
        more: "Go into the certificates of CloudCore and of k3s, beside the addresses.",
        known_as: &["tls-san"],
        set: Of::Cloud(|config, _, raw| {
            config.dns_names = check::dns_names(raw.list())?;
            Ok(())
        }),
        show: Of::Cloud(|config| Some(Raw::List(config.dns_names.clone()))),
    },
    Key {
        path: "node.name",
        flag: "node-name",
        env: "EDGELAY_NODE_NAME",
        form: Form::Text,
        placeholder: "NAME",
        default: "",
        help: "name of this node in the cluster [default: the host name]",
        more: "Lower-cased. With an existing k3s its own name for this node counts; EdgeMesh's relay is found by it.",
        known_as: &["hostname-override"],
        set: Of::Cloud(|config, text, _| {
            config.name = Some(check::node_name(text)?);
            Ok(())
        }),
        show: Of::Cloud(|config| config.name.as_ref().and_then(one)),
    },
    Key {
        path: "node.ip",
        flag: "node-ip",
        env: "EDGELAY_NODE_IP",
        form: Form::Text,
        placeholder: "ADDRESS",
        default: "",
        help: "address of this node [default: that of the default route]",
        more: "k3s does not start on a machine without a default route unless this is set.",
        known_as: &[],
        set: Of::Cloud(|config, text, _| {
            config.ip = Some(check::node_ip(text)?);
            Ok(())
        }),
        show: Of::Cloud(|config| config.ip.and_then(one)),
    },
    Key {
        path: "k3s",
        flag: "k3s",
        env: "EDGELAY_K3S",
        form: Form::Text,
        placeholder: "MODE",
        default: "managed",
        help: "managed: from the bundle; existing: use this machine's",
        more: "With `existing` nothing of k3s is laid down, configured or restarted; images, CloudCore and EdgeMesh are \
               brought into the cluster that runs. It must have been started with `--egress-selector-mode=disabled` \
               for `kubectl logs` of edge nodes.",
        known_as: &[],
        set: Of::Cloud(|config, text, _| {
            config.k3s = check::k3s(text)?;
            Ok(())
        }),
        show: Of::Cloud(|config| one(config.k3s.as_str())),
    },
    Key {
        path: "disable",
        flag: "disable",
        env: "EDGELAY_DISABLE",
        form: Form::List,
        placeholder: "NAME[,NAME]",
        default: "",
        help: "add-ons of k3s that are not to run, such as traefik",
        more: "`traefik`, `servicelb`, `metrics-server`, `local-storage`. With the first two ports 80 and 443 of every node are \
               Traefik's: without one of them they stay free. One that runs goes, with what it was made of; with an \
               existing k3s this has no meaning.",
        known_as: &["disable-components"],
        set: Of::Cloud(|config, _, raw| {
            config.disable = check::addons(raw.list())?;
            Ok(())
        }),
        show: Of::Cloud(|config| Some(Raw::List(config.disable.iter().map(ToString::to_string).gather()))),
    },
    Key {
        path: "kubeconfig",
        flag: "kubeconfig",
        env: "EDGELAY_KUBECONFIG",
        form: Form::Text,
        placeholder: "FILE",
        default: "/etc/rancher/k3s/k3s.yaml",
        help: "kubeconfig of the cluster",
        more: "",
        known_as: &["kube-config"],
        set: Of::Cloud(|config, text, _| {
            config.kubeconfig = check::absolute(text)?;
            Ok(())
        }),
        show: Of::Cloud(|config| path(&config.kubeconfig)),
    },
    Key {
        path: "cluster_cidr",
        flag: "cluster-cidr",
        env: "EDGELAY_CLUSTER_CIDR",
        form: Form::Text,
        placeholder: "RANGE",
        default: "10.42.0.0/16",
        help: "IPv4 range of the cluster's pods",
        more: "Not to be changed after the first install.",
        known_as: &["pod-network-cidr"],
        set: Of::Cloud(|config, text, _| {
            config.cluster_cidr = check::pod_cidr(text)?;
            Ok(())
        }),
        show: Of::Cloud(|config| one(config.cluster_cidr)),
    },
    Key {
        path: "service_cidr",
        flag: "service-cidr",
        env: "EDGELAY_SERVICE_CIDR",
        form: Form::Text,
        placeholder: "RANGE",
        default: "10.43.0.0/16",
        help: "IPv4 range of the cluster's services",
        more: "Not to be changed after the first install.",
        known_as: &["service-cluster-ip-range"],
        set: Of::Cloud(|config, text, _| {
            config.service_cidr = check::pod_cidr(text)?;
            Ok(())
        }),
        show: Of::Cloud(|config| one(config.service_cidr)),
    },
    Key {
        path: "cluster_dns",
        flag: "cluster-dns",
        env: "EDGELAY_CLUSTER_DNS",
        form: Form::Text,
        placeholder: "ADDRESS",
        default: "",
        help: "address of the cluster's DNS [default: the tenth of the services']",
        more: "",
        known_as: &[],
        set: Of::Cloud(|config, text, _| {
            config.cluster_dns = Some(check::ipv4(text)?);
            Ok(())
        }),
        show: Of::Cloud(|config| config.cluster_dns.and_then(one)),
    },
    Key {
        path: "node_limit",
        flag: "node-limit",
        env: "EDGELAY_NODE_LIMIT",
        form: Form::Number,
        placeholder: "COUNT",
        default: "1000",
        help: "how many edge nodes CloudCore takes",
        more: "",
        known_as: &[],
        set: Of::Cloud(|config, text, _| {
            config.node_limit = check::node_limit(text)?;
            Ok(())
        }),
        show: Of::Cloud(|config| one(config.node_limit)),
    },
    Key {
        path: "edgemesh",
        flag: "edgemesh",
        env: "EDGELAY_EDGEMESH",
        form: Form::Switch,
        placeholder: "BOOL",
        default: "",
        help: "EdgeMesh [default: on if the bundle has it]",
        more: "`true` is refused if the bundle lacks its image or its resource definitions. Its key is made anew for \
               every cluster.",
        known_as: &[],
        set: Of::Cloud(|config, text, _| {
            config.edgemesh = Some(parse_switch(text)?);
            Ok(())
        }),
        show: Of::Cloud(|config| config.edgemesh.and_then(one)),
    },
    Key {
        path: "server",
        flag: "server",
        env: "EDGELAY_SERVER",
        form: Form::Text,
        placeholder: "HOST:PORT",
        default: "",
        help: "for a worker: the k3s server that it joins",
        more: "The port is 6443 unless it was mapped.",
        known_as: &["cloud-host"],
        set: Of::Cloud(|config, text, _| {
            config.server = Some(check::server(text)?);
            Ok(())
        }),
        show: Of::Cloud(|config| config.server.as_ref().and_then(one)),
    },
    Key {
        path: "token_file",
        flag: "token-file",
        env: "EDGELAY_TOKEN_FILE",
        form: Form::Text,
        placeholder: "FILE",
        default: "",
        help: "for a worker: file with the server's token",
        more: "On the server it lies in `/var/lib/rancher/k3s/server/node-token`. A file that others than its owner and \
               group can read or write is refused.",
        known_as: &["agent-token-file"],
        set: Of::Cloud(|config, text, _| {
            config.token_file = Some(check::token_file(text)?);
            Ok(())
        }),
        show: Of::Cloud(|config| config.token_file.as_deref().and_then(path)),
    },
    Key {
        path: "ready_timeout",
        flag: "ready-timeout",
        env: "EDGELAY_READY_TIMEOUT",
        form: Form::Duration,
        placeholder: "TIME",
        default: "10m",
        help: "how long each of k3s and CloudCore may take: 600, 600s, 10m",
        more: "",
        known_as: &["timeout"],
        set: Of::Cloud(|config, text, _| {
            config.ready_timeout = parse_duration(text)?;
            Ok(())
        }),
        show: Of::Cloud(|config| one(render_duration(config.ready_timeout))),
    },
];
