//! The settings with their types.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Kind, Lift, Result};
use crate::gather::{Gather, Grow};
use crate::ids::{Cidr, HostPort, NodeName, RelPath};
use crate::sorted::Map;

use super::{LabelKey, LabelValue, Taint};

/// Everything that can be set for an edge node. Made by [`super::resolve()`]; the default is a node without identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeConfig {
    /// The cloud this node joins.
    pub cloud: Cloud,
    /// File that holds the join token.
    pub token_file: Option<PathBuf>,
    /// The node itself.
    pub node: Node,
    /// Range that pods on this node get their addresses from (bridge with host-local).
    pub pod_cidr: Cidr,
    /// Prepare the node for EdgeMesh: its DNS for pods, and EdgeCore's metaServer.
    pub edgemesh: bool,
    /// Tunnel to the cloud for `kubectl logs` and `kubectl exec`.
    pub edge_stream: bool,
    /// EdgeCore's event bus to an MQTT broker on this node.
    pub mqtt: bool,
    /// Whose containerd it is.
    pub containerd: ContainerdMode,
    /// Its socket, an absolute path.
    pub containerd_address: PathBuf,
    /// Where its images and snapshots lie, an absolute path; none for the board's choice, else its own.
    pub containerd_root: Option<String>,
    /// How long one `keadm join` may take.
    pub join_timeout: Duration,
    /// Who joins the node.
    pub join_method: JoinMethod,
    /// The board underneath.
    pub board: BoardSettings,
    /// How long a clock that stands before the bundle's making may take to be set.
    pub clock_wait: Duration,
}

/// What may be done to the board, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoardSettings {
    /// Id of its profile; none lets it be found.
    pub profile: Option<String>,
    /// Directory with further profiles.
    pub profiles: Option<PathBuf>,
    /// Whether the kernel's arguments may be edited where the memory cgroup needs it.
    pub kernel_arguments: bool,
    /// Whether the machine may be rebooted for them.
    pub reboot: Reboot,
}

/// Whether a run may reboot the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// It ends with exit code 20 instead.
    Never,
    /// At most once for the same arguments.
    Once,
}

impl Reboot {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reboot::Never => "never",
            Reboot::Once => "once",
        }
    }
}

/// The cloud side's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cloud {
    /// IPv4, IPv6 (without brackets) or DNS name, without port.
    pub host: Option<String>,
    /// CloudHub's WebSocket, for keadm's `--cloudcore-ipport`.
    pub websocket_port: u16,
    /// CloudHub's HTTPS for certificates, for keadm's `--certport`.
    pub cert_port: u16,
}

/// The node itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// Its name in the cluster: the configured one, or the host's.
    pub name: Option<NodeName>,
    /// Why the host's own name could not serve as the name; only where no name was configured.
    pub name_problem: Option<String>,
    /// Address that it registers with; none lets EdgeCore choose.
    pub ip: Option<IpAddr>,
    /// Labels that it registers with.
    pub labels: Map<LabelKey, LabelValue>,
    /// Taints that it registers with, in the order written.
    pub taints: Vec<Taint>,
}

/// Whose containerd the node uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerdMode {
    /// edgelay lays it down, configures and starts it.
    Managed,
    /// It is there already; edgelay only imports images.
    Existing,
}

impl ContainerdMode {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            ContainerdMode::Managed => "managed",
            ContainerdMode::Existing => "existing",
        }
    }
}

/// Who joins the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinMethod {
    /// keadm where all that it needs is there, else we do.
    Auto,
    /// `keadm join`.
    Keadm,
    /// We do, without keadm.
    Native,
}

impl JoinMethod {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            JoinMethod::Auto => "auto",
            JoinMethod::Keadm => "keadm",
            JoinMethod::Native => "native",
        }
    }
}

/// Pods get 65534 addresses, away from what neighbours use by default; docs/config.md has the list.
const POD_CIDR: Cidr = Cidr::literal([10, 87, 0, 0], 16);

/// k3s's ranges for pods and services.
const K3S: [Cidr; 2] = [Cidr::literal([10, 42, 0, 0], 16), Cidr::literal([10, 43, 0, 0], 16)];

/// Host names that vendors' images come with: the second box with the same one pushes the first out of the cluster.
pub const VENDOR_NAMES: [&str; 12] = [
    "alpine",
    "armbian",
    "debian",
    "dietpi",
    "jetson",
    "linaro",
    "nvidia",
    "openwrt",
    "orangepi",
    "raspberrypi",
    "rock",
    "ubuntu",
];

impl Default for EdgeConfig {
    fn default() -> Self {
        EdgeConfig {
            cloud: Cloud { host: None, websocket_port: 10000, cert_port: super::check::CERT_PORT },
            token_file: None,
            node: Node::default(),
            pod_cidr: POD_CIDR,
            edgemesh: true,
            edge_stream: true,
            mqtt: false,
            containerd: ContainerdMode::Managed,
            containerd_address: PathBuf::from("/run/containerd/containerd.sock"),
            containerd_root: None,
            // keadm itself gives up after five minutes of waiting; ours must not end before it has said why.
            join_timeout: Duration::from_secs(10 * 60),
            board: BoardSettings { profile: None, profiles: None, kernel_arguments: true, reboot: Reboot::Never },
            // A time server answers within seconds once the network is up, which takes a modem half a minute.
            clock_wait: Duration::from_secs(60),
            join_method: JoinMethod::Auto,
        }
    }
}

/// Who this node is and where it belongs: what `edge join` needs beyond `edge stage`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name in the cluster.
    pub node: NodeName,
    /// CloudHub's WebSocket.
    pub websocket: HostPort,
    /// CloudHub's HTTPS for certificates.
    pub certificates: HostPort,
    /// File that holds the join token.
    pub token_file: PathBuf,
}

impl EdgeConfig {
    /// Where containerd's images and snapshots lie.
    pub fn containerd_root(&self) -> RelPath<'_> {
        const USUAL: RelPath<'static> = RelPath::literal("var/lib/containerd");
        // Whatever sets it has checked it; the fallback keeps this total without a panic.
        self.containerd_root.as_deref().and_then(|path| RelPath::from_absolute(path).ok()).unwrap_or(USUAL)
    }

    /// The identity, or one error that names everything missing.
    pub fn identity(&self) -> Result<Identity> {
        let (Some(host), Some(node), Some(token_file)) = (&self.cloud.host, &self.node.name, &self.token_file) else {
            return Err(self.lacking());
        };
        let at = |port| HostPort::new(host, port).lift(Kind::Bug, || format!("cloud host '{host}'"));
        Ok(Identity {
            node: node.clone(),
            websocket: at(self.cloud.websocket_port)?,
            certificates: at(self.cloud.cert_port)?,
            token_file: token_file.clone(),
        })
    }

    fn lacking(&self) -> Error {
        let mut missing = Vec::new();
        for (path, there) in [
            ("cloud.host", self.cloud.host.is_some()),
            ("token_file", self.token_file.is_some()),
            ("node.name", self.node.name.is_some()),
        ] {
            if !there {
                missing.push(path);
            }
        }
        let names: Vec<String> = missing.iter().map(|path| format!("'{path}'")).gather();
        let mut what = format!("a join needs {}, which the configuration does not set", names.join(", "));
        if let Some(problem) = &self.node.name_problem {
            what.grow(format_args!(" ({problem})"));
        }
        let ways = missing.iter().filter_map(|path| super::key_of_path(path));
        let ways: Vec<String> = ways.map(|key| format!("--{} {}", key.flag, key.placeholder)).gather();
        Error::new(Kind::Config, what).hint(format_args!("set it in the --config file, or give {}", ways.join(" ")))
    }

    /// What is allowed but often a mistake. Each ends in what happens.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for range in K3S.into_iter().filter(|range| self.pod_cidr.overlaps(*range)) {
            warnings.push(format!(
                "pod_cidr '{}' overlaps {range}, which k3s uses in the cloud by default: pods may not reach services",
                self.pod_cidr
            ));
        }
        if let Some(name) = self.node.name.as_ref().filter(|name| VENDOR_NAMES.contains(&name.as_str())) {
            warnings.push(format!("node name '{name}' is a common default: a second node of that name cannot join"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_whole_or_names_what_is_missing() {
        let mut config = EdgeConfig::default();
        config.node.name_problem = Some("the host name 'localhost' is every machine's name".into());
        let e = config.identity().unwrap_err();
        assert_eq!(
            e.to_string(),
            "a join needs 'cloud.host', 'token_file', 'node.name', which the configuration does not set \
             (the host name 'localhost' is every machine's name)"
        );
        assert_eq!(
            (e.kind(), e.hint_text()),
            (
                Kind::Config,
                Some("set it in the --config file, or give --cloud-host HOST --token-file FILE --node-name NAME")
            )
        );

        config.node = Node { name: Some("edge-1".parse().unwrap()), ..Node::default() };
        config.cloud.host = Some("2001:db8::1".into());
        config.token_file = Some("/run/token".into());
        let identity = config.identity().unwrap();
        assert_eq!(identity.websocket.to_string(), "[2001:db8::1]:10000");
        assert_eq!(identity.certificates.to_string(), "[2001:db8::1]:10002");
    }

    #[test]
    fn suspicious_values_are_warned_about() {
        let mut config = EdgeConfig::default();
        assert_eq!(config.warnings(), [""; 0]);
        config.pod_cidr = "10.42.8.0/24".parse().unwrap();
        config.node.name = Some("raspberrypi".parse().unwrap());
        assert_eq!(
            config.warnings(),
            [
                "pod_cidr '10.42.8.0/24' overlaps 10.42.0.0/16, which k3s uses in the cloud by default: \
                 pods may not reach services",
                "node name 'raspberrypi' is a common default: a second node of that name cannot join",
            ]
        );
    }
}
