//! The table of settings.

use std::path::Path;

use crate::gather::Gather;

use super::cloud_keys::CLOUD_KEYS;
use super::value::{Form, Raw, Refusal, parse_duration, parse_port, parse_switch, render_duration};
use super::{CloudConfig, EdgeConfig, check};

/// One of two: what belongs to an edge node's configuration, or to the cloud side's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of<E, C> {
    /// The edge node's.
    Edge(E),
    /// The cloud side's.
    Cloud(C),
}

/// A configuration to look at.
pub type ConfigRef<'a> = Of<&'a EdgeConfig, &'a CloudConfig>;
/// A configuration to fill.
pub type ConfigMut<'a> = Of<&'a mut EdgeConfig, &'a mut CloudConfig>;

impl<'a> From<&'a EdgeConfig> for ConfigRef<'a> {
    fn from(config: &'a EdgeConfig) -> Self {
        Of::Edge(config)
    }
}

impl<'a> From<&'a CloudConfig> for ConfigRef<'a> {
    fn from(config: &'a CloudConfig) -> Self {
        Of::Cloud(config)
    }
}

impl<'a> From<&'a mut EdgeConfig> for ConfigMut<'a> {
    fn from(config: &'a mut EdgeConfig) -> Self {
        Of::Edge(config)
    }
}

impl<'a> From<&'a mut CloudConfig> for ConfigMut<'a> {
    fn from(config: &'a mut CloudConfig) -> Self {
        Of::Cloud(config)
    }
}

impl ConfigMut<'_> {
    /// To look at it.
    pub(super) fn as_ref(&self) -> ConfigRef<'_> {
        match self {
            Of::Edge(config) => Of::Edge(config),
            Of::Cloud(config) => Of::Cloud(config),
        }
    }

    /// To fill it further.
    pub(super) fn again(&mut self) -> ConfigMut<'_> {
        match self {
            Of::Edge(config) => Of::Edge(config),
            Of::Cloud(config) => Of::Cloud(config),
        }
    }
}

/// A table of settings.
pub type Table = Of<(), ()>;

impl Table {
    /// Of an edge node.
    pub const EDGE: Table = Of::Edge(());
    /// Of the cloud side.
    pub const CLOUD: Table = Of::Cloud(());
    /// Both.
    pub const ALL: [Table; 2] = [Table::EDGE, Table::CLOUD];

    /// Its keys, in the order of help and documentation.
    pub fn keys(self) -> &'static [Key] {
        match self {
            Of::Edge(()) => KEYS,
            Of::Cloud(()) => CLOUD_KEYS,
        }
    }
}

/// Given the text of a single value (empty for lists and maps), and the value as it was written.
type Set<C> = fn(&mut C, &str, &Raw) -> Result<(), Refusal>;
type Show<C> = fn(&C) -> Option<Raw>;

/// One setting: everything there is to know about it.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Where it is in the JSON file: `cloud.host` is `{"cloud": {"host": …}}`.
    pub path: &'static str,
    /// Its flag, without the dashes.
    pub flag: &'static str,
    /// Its environment variable.
    pub env: &'static str,
    /// How its value is written.
    pub form: Form,
    /// What stands for the value in help.
    pub placeholder: &'static str,
    /// The default in text form; empty when there is none.
    pub default: &'static str,
    /// One line for `--help`.
    pub help: &'static str,
    /// More for docs/config.md; may be empty.
    pub more: &'static str,
    /// What keadm and others call the same thing: only suggested, never accepted.
    pub known_as: &'static [&'static str],
    pub(super) set: Of<Set<EdgeConfig>, Set<CloudConfig>>,
    pub(super) show: Of<Show<EdgeConfig>, Show<CloudConfig>>,
}

impl Key {
    /// Checks `raw` and puts it into `config`.
    pub fn set<'a>(&self, config: impl Into<ConfigMut<'a>>, raw: &Raw) -> Result<(), Refusal> {
        let text = if matches!(self.form, Form::List | Form::Map) { "" } else { raw.one()? };
        match (self.set, config.into()) {
            (Of::Edge(set), Of::Edge(config)) => set(config, text, raw),
            (Of::Cloud(set), Of::Cloud(config)) => set(config, text, raw),
            _ => Err(Refusal::new("belongs to another kind of node")),
        }
    }

    /// The value in `config`; `None` when there is none.
    pub fn show<'a>(&self, config: impl Into<ConfigRef<'a>>) -> Option<Raw> {
        match (self.show, config.into()) {
            (Of::Edge(show), Of::Edge(config)) => show(config),
            (Of::Cloud(show), Of::Cloud(config)) => show(config),
            _ => None,
        }
    }
}

/// The key of an edge node at `path`.
pub fn key_of_path(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

pub(super) fn one(value: impl ToString) -> Option<Raw> {
    Some(Raw::One(value.to_string()))
}

/// Both the file and the operating system's own paths are UTF-8 here: they came from text.
pub(super) fn path(value: &Path) -> Option<Raw> {
    one(value.display())
}

/// Every setting of an edge node, in the order of help and documentation.
pub static KEYS: &[Key] = &[
    Key {
        path: "cloud.host",
        flag: "cloud-host",
        env: "EDGELAY_CLOUD_HOST",
        form: Form::Text,
        placeholder: "HOST",
        default: "",
        help: "address or DNS name of the cloud side, without a port",
        more: "IPv4, IPv6 or a DNS name; CloudCore's certificate must have been made for it. `edge join` needs it, \
               `edge stage` does not.",
        known_as: &["cloudcore-ipport", "cloudcore", "server", "cloud"],
        set: Of::Edge(|config, text, _| {
            config.cloud.host = Some(check::cloud_host(text)?);
            Ok(())
        }),
        show: Of::Edge(|config| config.cloud.host.as_ref().and_then(one)),
    },
    Key {
        path: "cloud.websocket_port",
        flag: "cloud-websocket-port",
        env: "EDGELAY_CLOUD_WEBSOCKET_PORT",
        form: Form::Number,
        placeholder: "PORT",
        default: "10000",
        help: "port of CloudCore's WebSocket, over which the node lives",
        more: "Cannot be 10002 or the same as `cloud.cert_port`: keadm would report success, and the node would \
               never register. Behind a NodePort or NAT give the outer number.",
        known_as: &["websocket-port"],
        set: Of::Edge(|config, text, _| {
            config.cloud.websocket_port = check::websocket_port(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.cloud.websocket_port)),
    },
    Key {
        path: "cloud.cert_port",
        flag: "cloud-cert-port",
        env: "EDGELAY_CLOUD_CERT_PORT",
        form: Form::Number,
        placeholder: "PORT",
        default: "10002",
        help: "port of CloudCore's HTTPS, which hands out certificates",
        more: "",
        known_as: &["certport", "cert-port"],
        set: Of::Edge(|config, text, _| {
            config.cloud.cert_port = parse_port(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.cloud.cert_port)),
    },
    Key {
        path: "token_file",
        flag: "token-file",
        env: "EDGELAY_TOKEN_FILE",
        form: Form::Text,
        placeholder: "FILE",
        default: "",
        help: "file with the join token; must not be readable by everyone",
        more: "The token itself is never a setting: command lines and environments are visible to others. \
               A file that others than its owner and group can read or write is refused; `chmod 600` it.",
        known_as: &[],
        set: Of::Edge(|config, text, _| {
            config.token_file = Some(check::token_file(text)?);
            Ok(())
        }),
        show: Of::Edge(|config| config.token_file.as_deref().and_then(path)),
    },
    Key {
        path: "node.name",
        flag: "node-name",
        env: "EDGELAY_NODE_NAME",
        form: Form::Text,
        placeholder: "NAME",
        default: "",
        help: "name of the node in the cluster [default: the host name]",
        more: "Lower-cased. `localhost` and keadm's `default-edge-node` are refused: no two nodes can share a name.",
        known_as: &["edgenode-name", "hostname-override"],
        set: Of::Edge(|config, text, _| {
            config.node.name = Some(check::node_name(text)?);
            Ok(())
        }),
        show: Of::Edge(|config| config.node.name.as_ref().and_then(one)),
    },
    Key {
        path: "node.ip",
        flag: "node-ip",
        env: "EDGELAY_NODE_IP",
        form: Form::Text,
        placeholder: "ADDRESS",
        default: "",
        help: "address of the node [default: that of the default route]",
        more: "Needed on machines without a default route, and useful on those with several networks.",
        known_as: &["edgenode-ip"],
        set: Of::Edge(|config, text, _| {
            config.node.ip = Some(check::node_ip(text)?);
            Ok(())
        }),
        show: Of::Edge(|config| config.node.ip.and_then(one)),
    },
    Key {
        path: "node.labels",
        flag: "node-labels",
        env: "EDGELAY_NODE_LABELS",
        form: Form::Map,
        placeholder: "K=V[,K=V]",
        default: "",
        help: "labels that the node registers with",
        more: "Kubernetes' rules: keys of up to 63 letters, digits, `-`, `_` and `.`, with an optional DNS prefix \
               (`example.org/site`); values likewise, or empty. keadm can carry all of them.",
        known_as: &["labels"],
        set: Of::Edge(|config, _, raw| {
            config.node.labels = check::labels(raw.map())?;
            Ok(())
        }),
        show: Of::Edge(|config| {
            let pairs = config.node.labels.iter();
            Some(Raw::Map(pairs.map(|(k, v)| (k.as_str().to_owned(), v.as_str().to_owned())).gather()))
        }),
    },
    Key {
        path: "node.taints",
        flag: "node-taints",
        env: "EDGELAY_NODE_TAINTS",
        form: Form::List,
        placeholder: "TAINT[,TAINT]",
        default: "",
        help: "taints that the node registers with: KEY[=VALUE]:EFFECT",
        more: "EFFECT is `NoSchedule`, `PreferNoSchedule` or `NoExecute`. A value that looks like a number or a truth \
               value (`a=true:NoSchedule`) is refused, since keadm's `--set` would turn it into one and then not \
               take it for text; leave the value out (`a:NoSchedule`) or use a word.",
        known_as: &["taints", "with-edge-taint"],
        set: Of::Edge(|config, _, raw| {
            config.node.taints = check::taints(raw.list())?;
            Ok(())
        }),
        show: Of::Edge(|config| Some(Raw::List(config.node.taints.iter().map(ToString::to_string).gather()))),
    },
    Key {
        path: "pod_cidr",
        flag: "pod-cidr",
        env: "EDGELAY_POD_CIDR",
        form: Form::Text,
        placeholder: "RANGE",
        default: "10.87.0.0/16",
        help: "IPv4 range for the pods of this node",
        more: "Every node may have the same range: it ends at the node's own bridge, and EdgeMesh addresses pods by \
               node. It must not overlap the node's networks, nor the cloud's ranges for pods and services. The \
               default stays away from k3s (10.42.0.0/16, 10.43.0.0/16), kubeadm and flannel (10.244.0.0/16, \
               10.96.0.0/12), Weave (10.32.0.0/12), Podman (10.88.0.0/16), Docker (172.17.0.0/16 and up, \
               192.168.0.0/16) and EdgeMesh (169.254.96.0/24).",
        known_as: &["cluster-cidr", "pod-network-cidr"],
        set: Of::Edge(|config, text, _| {
            config.pod_cidr = check::pod_cidr(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.pod_cidr)),
    },
    Key {
        path: "edgemesh",
        flag: "edgemesh",
        env: "EDGELAY_EDGEMESH",
        form: Form::Switch,
        placeholder: "BOOL",
        default: "true",
        help: "prepare for EdgeMesh: cluster DNS and the metaServer",
        more: "Sets clusterDNS 169.254.96.16 and clusterDomain cluster.local, and turns EdgeCore's metaServer on.",
        known_as: &[],
        set: Of::Edge(|config, text, _| {
            config.edgemesh = parse_switch(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.edgemesh)),
    },
    Key {
        path: "edge_stream",
        flag: "edge-stream",
        env: "EDGELAY_EDGE_STREAM",
        form: Form::Switch,
        placeholder: "BOOL",
        default: "true",
        help: "tunnel for `kubectl logs` and `exec` (port 10004)",
        more: "On, unlike keadm's default: without it `kubectl logs` and `exec` fail for pods on this node. Where \
               the cloud does not listen on port 10004 EdgeCore tries again every few seconds, and nothing else \
               suffers.",
        known_as: &["edgestream"],
        set: Of::Edge(|config, text, _| {
            config.edge_stream = parse_switch(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.edge_stream)),
    },
    Key {
        path: "mqtt",
        flag: "mqtt",
        env: "EDGELAY_MQTT",
        form: Form::Switch,
        placeholder: "BOOL",
        default: "false",
        help: "EdgeCore's event bus to an MQTT broker on this node",
        more: "Off, unlike keadm's default: without a broker at 127.0.0.1:1883 EdgeCore complains every 5 seconds.",
        known_as: &["with-mqtt"],
        set: Of::Edge(|config, text, _| {
            config.mqtt = parse_switch(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.mqtt)),
    },
    Key {
        path: "containerd",
        flag: "containerd",
        env: "EDGELAY_CONTAINERD",
        form: Form::Text,
        placeholder: "MODE",
        default: "managed",
        help: "managed: from the bundle; existing: use this machine's",
        more: "With `existing` nothing of containerd, runc or CNI is laid down, configured or restarted; preflight \
               says what its configuration lacks. EdgeCore ends pods there that it does not know; an uninstall ends EdgeCore's, \
               and leaves all else; of the images it takes the pin.",
        known_as: &["runtimetype"],
        set: Of::Edge(|config, text, _| {
            config.containerd = check::containerd(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.containerd.as_str())),
    },
    Key {
        path: "containerd_address",
        flag: "containerd-address",
        env: "EDGELAY_CONTAINERD_ADDRESS",
        form: Form::Text,
        placeholder: "SOCKET",
        default: "/run/containerd/containerd.sock",
        help: "containerd's socket",
        more: "An absolute path; `unix://` in front of it is dropped.",
        known_as: &["remote-runtime-endpoint", "container-runtime-endpoint"],
        set: Of::Edge(|config, text, _| {
            config.containerd_address = check::socket(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| path(&config.containerd_address)),
    },
    Key {
        path: "containerd_root",
        flag: "containerd-root",
        env: "EDGELAY_CONTAINERD_ROOT",
        form: Form::Text,
        placeholder: "DIR",
        default: "",
        help: "where containerd keeps images [default: the board's]",
        more: "An absolute path on a file system that an overlay can lie on, such as a disk beside a small root. The \
               board's profile says where it belongs, `/var/lib/containerd` on most. It is settled by the first install and \
               cannot be changed after it.",
        known_as: &["containerd-data-dir", "data-root"],
        set: Of::Edge(|config, text, _| {
            config.containerd_root = Some(check::store(text)?);
            Ok(())
        }),
        show: Of::Edge(|config| config.containerd_root.as_ref().and_then(one)),
    },
    Key {
        path: "join.method",
        flag: "join-method",
        env: "EDGELAY_JOIN_METHOD",
        form: Form::Text,
        placeholder: "METHOD",
        default: "auto",
        help: "auto, keadm, or native: without keadm",
        more: "`native` takes EdgeCore out of the bundle and writes its configuration and service itself: it needs \
               neither systemd nor bash, pidof and sudo, and takes over a node object that the cloud still has of \
               this name. `auto` is keadm where all that it needs is there, and native elsewhere.",
        known_as: &[],
        set: Of::Edge(|config, text, _| {
            config.join_method = check::join_method(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.join_method.as_str())),
    },
    Key {
        path: "join_timeout",
        flag: "join-timeout",
        env: "EDGELAY_JOIN_TIMEOUT",
        form: Form::Duration,
        placeholder: "TIME",
        default: "10m",
        help: "how long joining may take: 600, 600s, 10m",
        more: "keadm gives up by itself after waiting five minutes for EdgeCore; a shorter time cuts it off before \
               it has said why.",
        known_as: &["timeout"],
        set: Of::Edge(|config, text, _| {
            config.join_timeout = parse_duration(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(render_duration(config.join_timeout))),
    },
    Key {
        path: "board.profile",
        flag: "board-profile",
        env: "EDGELAY_BOARD_PROFILE",
        form: Form::Text,
        placeholder: "ID",
        default: "",
        help: "board profile [default: the one that fits best]",
        more: "`edgelay board list` shows all. Staging a system below `--root` cannot look at its board, so there \
               nothing of a board is heeded unless this names it.",
        known_as: &["board"],
        set: Of::Edge(|config, text, _| {
            config.board.profile = Some(check::board_profile(text)?);
            Ok(())
        }),
        show: Of::Edge(|config| config.board.profile.as_ref().and_then(one)),
    },
    Key {
        path: "board.profiles",
        flag: "board-profiles",
        env: "EDGELAY_BOARD_PROFILES",
        form: Form::Text,
        placeholder: "DIR",
        default: "",
        help: "directory with further board profiles",
        more: "Those of the same id replace the ones that are built in. The format is in board-profiles/README.md.",
        known_as: &[],
        set: Of::Edge(|config, text, _| {
            config.board.profiles = Some(check::directory(text)?);
            Ok(())
        }),
        show: Of::Edge(|config| config.board.profiles.as_deref().and_then(path)),
    },
    Key {
        path: "board.kernel_arguments",
        flag: "board-kernel-arguments",
        env: "EDGELAY_BOARD_KERNEL_ARGUMENTS",
        form: Form::Switch,
        placeholder: "BOOL",
        default: "true",
        help: "edit the kernel's arguments if the memory cgroup needs it",
        more: "In the file that the board's profile names, with a copy kept beside it; a reboot is needed then, and \
               the run ends with exit code 20. Only where the running kernel lacks the memory cgroup.",
        known_as: &[],
        set: Of::Edge(|config, text, _| {
            config.board.kernel_arguments = parse_switch(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.board.kernel_arguments)),
    },
    Key {
        path: "board.reboot",
        flag: "board-reboot",
        env: "EDGELAY_BOARD_REBOOT",
        form: Form::Text,
        placeholder: "WHEN",
        default: "never",
        help: "never, or once: reboot for changed kernel arguments",
        more: "`once`: at most one reboot for the same arguments; if they do not help, the run fails and says so.",
        known_as: &["reboot"],
        set: Of::Edge(|config, text, _| {
            config.board.reboot = check::reboot(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(config.board.reboot.as_str())),
    },
    Key {
        path: "clock_wait",
        flag: "clock-wait",
        env: "EDGELAY_CLOCK_WAIT",
        form: Form::Duration,
        placeholder: "TIME",
        default: "1m",
        help: "how long a clock that stands in the past may take to be set",
        more: "Before the bundle's making, or before the time of an earlier run, is the past. If nobody sets the \
               clock meanwhile, the run ends with exit code 21: try again later. Preflight does not wait.",
        known_as: &[],
        set: Of::Edge(|config, text, _| {
            config.clock_wait = parse_duration(text)?;
            Ok(())
        }),
        show: Of::Edge(|config| one(render_duration(config.clock_wait))),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_path() {
        for key in Table::ALL.into_iter().flat_map(Table::keys) {
            assert_eq!(key.flag, key.path.replace(['.', '_'], "-"));
            assert_eq!(key.env, format!("EDGELAY_{}", key.path.replace('.', "_").to_ascii_uppercase()));
            assert!(!key.help.is_empty() && !key.help.ends_with('.'), "{}", key.path);
        }
        for keys in Table::ALL.map(Table::keys) {
            let flags: std::collections::BTreeSet<_> = keys.iter().map(|key| key.flag).collect();
            assert_eq!(flags.len(), keys.len());
            assert!(keys.iter().all(|key| key.known_as.iter().all(|name| keys.iter().all(|k| k.flag != *name))));
        }
    }

    #[test]
    fn defaults_are_those_of_the_type() {
        for key in KEYS {
            let mut config = EdgeConfig::default();
            let shown = key.show(&config).map(|raw| raw.to_string()).unwrap_or_default();
            assert_eq!(shown, key.default, "{}", key.path);
            if !key.default.is_empty() {
                key.set(&mut config, &Raw::parse(key.form, key.default).unwrap()).unwrap();
                assert_eq!(config, EdgeConfig::default(), "{}", key.path);
            }
        }
        for key in CLOUD_KEYS {
            let mut config = CloudConfig::default();
            let shown = key.show(&config).map(|raw| raw.to_string()).unwrap_or_default();
            assert_eq!(shown, key.default, "{}", key.path);
            if !key.default.is_empty() {
                key.set(&mut config, &Raw::parse(key.form, key.default).unwrap()).unwrap();
                assert_eq!(config, CloudConfig::default(), "{}", key.path);
            }
            assert_eq!(key.show(&EdgeConfig::default()), None);
        }
    }
}
