//! What the checks are given: where to look, and what is wanted of the machine.

use std::net::IpAddr;
use std::time::Duration;

use super::Verdict;
use crate::clock::Clock;
use crate::config::{CloudConfig, ContainerdMode, EdgeConfig, K3sMode};
use crate::error::Result;
use crate::gather::{Gather, Grow};
use crate::ids::{Arch, Cidr, HostPort, NodeName, RelPath, Token};
use crate::root::Root;

/// Where to look, and for what.
#[derive(Debug)]
pub struct Context<'a> {
    /// The running system: `/` except in tests. `/proc`, `/sys`, programs and the network's files are read here.
    pub machine: &'a Root,
    /// Where things will be laid down; `/` on a live install. Room and leftovers are looked for here.
    pub target: &'a Root,
    /// The time.
    pub clock: &'a dyn Clock,
    /// The machine's processor ([`crate::host::architecture`]).
    pub architecture: String,
    /// How long the cloud's ports may take to answer, all together.
    pub connect_limit: Duration,
    /// What is wanted.
    pub wanted: Wanted<'a>,
}

/// Three seconds are enough for a connection over a satellite (0.6 s a round trip) with one lost packet.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

impl<'a> Context<'a> {
    /// For this very machine.
    pub fn new(machine: &'a Root, target: &'a Root, clock: &'a dyn Clock, wanted: Wanted<'a>) -> Self {
        // uname(2) cannot fail with a valid buffer; an empty name matches no bundle.
        let architecture = crate::host::architecture().unwrap_or_default();
        Context { machine, target, clock, architecture, connect_limit: CONNECT_LIMIT, wanted }
    }
}

/// What is wanted of the machine. Whatever is `None` or empty is not checked.
#[derive(Debug, Default)]
pub struct Wanted<'a> {
    /// Processor of the bundle.
    pub architecture: Option<Arch>,
    /// Memory.
    pub memory: Option<MemoryNeed>,
    /// Room that the bundle's content takes.
    pub disk: Vec<DiskNeed<'a>>,
    /// Directories that must not be on a read-only file system.
    pub writable: Vec<RelPath<'a>>,
    /// Where containerd will keep its images.
    pub containerd_store: Option<RelPath<'a>>,
    /// Whether keadm is to join this machine to a cloud; staging does without, and without a service manager.
    pub joins_with_keadm: bool,
    /// Programs besides iptables.
    pub programs: Vec<ProgramNeed>,
    /// Programs of the bundle, as far as they can be looked at.
    pub programs_to_run: Vec<ProgramToRun>,
    /// Ports that must be free.
    pub ports: Vec<PortNeed>,
    /// TCP ports that a cluster will take from whoever listens there.
    pub ingress: Vec<PortNeed>,
    /// Absolute paths of programs that the journal says are ours: processes running them are no foreigners.
    pub own_programs: Vec<String>,
    /// Whether what lies in `/etc/kubeedge` is ours by the journal.
    pub kubeedge_files_are_ours: bool,
    /// Who runs containerd.
    pub containerd: Containerd,
    /// What an existing containerd says of itself, or why it does not serve pods and what to do; none where it was not
    /// asked.
    pub cri: Option<std::result::Result<Cri, (String, &'static str)>>,
    /// Whether EdgeMesh is to run here.
    pub edgemesh: bool,
    /// The node's name, or why there is none that would do.
    pub node_name: Option<std::result::Result<NodeName, String>>,
    /// The node's address, where it is set by hand. Looked at only if there is a name, as both belong to joining.
    pub node_ip: Option<IpAddr>,
    /// Addresses of the pods on this node, and the bridge that has them.
    pub pod_cidr: Option<Cidr>,
    /// Name of our own bridge: its route and address are no clash.
    pub pod_bridge: &'a str,
    /// Time that cannot be earlier than now: when the bundle was made, or a later saved stamp. Seconds since 1970.
    pub time_floor: Option<u64>,
    /// The join token, or why it cannot be had ([`crate::config::load_token`]).
    pub token: Option<Result<Token>>,
    /// The cloud.
    pub cloud: Option<Cloud>,
    /// Ranges of a cluster that is to be made, with the settings that they come from.
    pub ranges: Vec<(&'static str, Cidr)>,
    /// Addresses that the cloud side is to be reached at.
    pub advertise: Vec<IpAddr>,
    /// The server that a worker is to join.
    pub server: Option<HostPort>,
    /// k3s, where one is wanted.
    pub k3s: Option<K3s>,
    /// Whether the bundle has KubeEdge's image for nft rules.
    pub nft_image: bool,
    /// The versions of KubeEdge and of Kubernetes, where both are known.
    pub kubernetes: Option<(String, String)>,
    /// The board, where it is known.
    pub board: Option<Board>,
}

/// What the checks want to know of the board.
#[derive(Debug, Clone)]
pub struct Board {
    /// Which profile it has, and why.
    pub seen: String,
    /// What tells it from others; or why nothing does.
    pub identity: std::result::Result<String, String>,
    /// Whether a clock runs on while it is off.
    pub rtc: bool,
    /// Arguments that its kernel needs for the memory cgroup, joined by blanks.
    pub memory_cgroup: String,
    /// The file that they belong into, if there is one.
    pub arguments_in: Option<String>,
    /// Whether the install will put them there.
    pub will_edit: bool,
    /// Which rules its kernels serve, `legacy` or `nft`, where it is only one kind.
    pub iptables: Option<&'static str>,
    /// Where programs belong instead of `/usr/local` if the root cannot be written to while it runs.
    pub prefix: Option<String>,
    /// Directories of ours that do not survive a reboot.
    pub fleeting: Vec<String>,
}

/// Whose k3s is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum K3s {
    /// One that is to be laid down.
    New,
    /// The one that we laid down.
    Ours,
    /// Somebody else's, with this kubeconfig.
    Existing(String),
}

/// Name of the bridge in our conflist.
const POD_BRIDGE: &str = "cni0";

impl<'a> Wanted<'a> {
    /// What an edge node of this configuration wants, as far as the configuration tells. Still to be filled in from
    /// elsewhere: bundle (`architecture`, `disk`, `time_floor`), journal (`own_programs`, `kubeedge_files_are_ours`),
    /// and `token`.
    #[allow(clippy::field_reassign_with_default, reason = "a literal copies what stays: 1 KiB of code")]
    pub fn of_edge(config: &'a EdgeConfig) -> Self {
        let mut ports = vec![PortNeed::AGENT];
        ports.extend_from_slice(if config.edgemesh { &[PortNeed::META_SERVER, PortNeed::EDGEMESH][..] } else { &[] });
        ports.add_all(config.mqtt.then_some(PortNeed::MQTT));
        let mut wanted = Wanted::default();
        wanted.joins_with_keadm = true;
        wanted.pod_bridge = POD_BRIDGE;
        wanted.memory = Some(MemoryNeed::EDGE);
        wanted.writable = Self::EDGE_WRITABLE.to_vec();
        wanted.programs = ProgramNeed::KEADM.to_vec();
        wanted.ports = ports;
        match config.containerd {
            ContainerdMode::Managed => {
                wanted.containerd_store = Some(config.containerd_root());
                wanted.containerd = Containerd::Managed;
                wanted.pod_cidr = Some(config.pod_cidr);
            }
            ContainerdMode::Existing => {
                wanted.containerd = Containerd::Existing(config.containerd_address.display().to_string());
            }
        }
        wanted.edgemesh = config.edgemesh;
        wanted.node_name = match &config.node.name {
            Some(name) => Some(Ok(name.clone())),
            None => config.node.name_problem.clone().map(Err),
        };
        wanted.node_ip = config.node.ip;
        wanted.cloud = Cloud::of(config);
        wanted
    }

    /// What the cloud side wants as far as its configuration tells.
    #[allow(clippy::field_reassign_with_default, reason = "a literal copies what stays: 1 KiB of code")]
    pub fn of_cloud(config: &CloudConfig) -> Self {
        let mut wanted = Wanted::default();
        wanted.k3s = Some(K3s::New);
        wanted.writable = Self::EDGE_WRITABLE.to_vec();
        if config.server.is_some() {
            wanted.memory = Some(MemoryNeed::WORKER);
            wanted.ports = vec![PortNeed::INNER, PortNeed::KUBELET];
        } else {
            wanted.memory = Some(MemoryNeed::SERVER);
            wanted.programs = ProgramNeed::KEADM.first().into_iter().copied().gather();
            wanted.ports = PortNeed::SERVER.to_vec();
            if config.k3s == K3sMode::Managed {
                wanted.ranges = vec![("cluster_cidr", config.cluster_cidr), ("service_cidr", config.service_cidr)];
            }
        }
        // Of a worker it is the server that knows.
        if config.server.is_some() || config.has_ingress() {
            wanted.ingress = PortNeed::INGRESS.to_vec();
        }
        wanted.node_name = config.name.clone().map(Ok);
        wanted.node_ip = config.ip;
        wanted.advertise = config.addresses.clone();
        wanted.server = config.server.clone();
        wanted
    }

    /// Directories that an edge install writes to.
    pub const EDGE_WRITABLE: [RelPath<'static>; 5] = [
        RelPath::literal("etc"),
        RelPath::literal("opt"),
        RelPath::literal("usr/local/bin"),
        RelPath::literal("var/lib"),
        RelPath::literal("var/log"),
    ];
}

/// Memory below which an install fails or is warned about, in bytes as [`crate::host::memory`] counts them.
#[derive(Debug, Clone, Copy)]
pub struct MemoryNeed {
    /// Less than this is refused.
    pub least: u64,
    /// Less than this is warned about.
    pub fair: u64,
}

impl MemoryNeed {
    /// An edge node: boards sold with 256 and 512 MiB, less what kernel and firmware keep for themselves.
    pub const EDGE: MemoryNeed = MemoryNeed { least: 200 << 20, fair: 448 << 20 };
    /// A k3s server with CloudCore: k3s asks for 2 GiB, and takes half of it without much load.
    pub const SERVER: MemoryNeed = MemoryNeed { least: 512 << 20, fair: 1900 << 20 };
    /// A k3s agent.
    pub const WORKER: MemoryNeed = MemoryNeed { least: 384 << 20, fair: 900 << 20 };
}

/// Room that something takes.
#[derive(Debug, Clone, Copy)]
pub struct DiskNeed<'a> {
    /// Where it will lie; needs on the same file system are added up.
    pub path: RelPath<'a>,
    /// How much.
    pub bytes: u64,
    /// What it is, where that is not to be seen in the bundle.
    pub what: Option<&'static str>,
}

/// A program that must be on the fixed path.
#[derive(Debug, Clone, Copy)]
pub struct ProgramNeed {
    /// Its name.
    pub name: &'static str,
    /// What its absence means.
    pub missing: Verdict,
    /// Who calls it and what happens without it.
    pub why: &'static str,
}

impl ProgramNeed {
    /// What `keadm join` calls through `bash -c`. A missing sudo is bridged for that one call.
    pub const KEADM: [ProgramNeed; 4] = [
        ProgramNeed { name: "bash", missing: Verdict::Fail, why: "keadm runs every command through it" },
        ProgramNeed { name: "pidof", missing: Verdict::Fail, why: "keadm looks for a running edgecore with it" },
        ProgramNeed { name: "sudo", missing: Verdict::Warn, why: "keadm starts edgecore with it; it will be bridged" },
        ProgramNeed::MOUNT,
    ];
    /// What a join without keadm needs.
    pub const NATIVE: [ProgramNeed; 1] = [ProgramNeed::MOUNT];
    const MOUNT: ProgramNeed =
        ProgramNeed { name: "mount", missing: Verdict::Fail, why: "edgecore mounts the volumes of pods with it" };
}

/// A program of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramToRun {
    /// Its name.
    pub name: String,
    /// The loader that it names, an absolute path; none for a static one.
    pub loader: Option<String>,
    /// Why it is for no machine of this kind, in words that follow its name.
    pub misfit: Option<String>,
}

/// What a containerd says of itself through CRI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cri {
    /// Its version: `1.7.27`, `v2.1.4`.
    pub version: String,
    /// Conditions that are not met, and why.
    pub not_ready: Vec<(String, String)>,
    /// `systemd` or `cgroupfs`, where it tells.
    pub cgroup_driver: Option<&'static str>,
    /// Running pods that no kubelet made, each as `namespace/name`.
    pub strangers: Vec<String>,
    /// Its pause image, where it tells, and whether that is in its store.
    pub pause: Option<(String, bool)>,
}

/// A TCP port that must be free.
#[derive(Debug, Clone, Copy)]
pub struct PortNeed {
    /// Its number.
    pub port: u16,
    /// What will listen there.
    pub what: &'static str,
}

impl PortNeed {
    /// The edge agent's own port.
    pub const AGENT: PortNeed = PortNeed { port: 10350, what: "edgecore" };
    /// The local API server, which EdgeMesh needs.
    pub const META_SERVER: PortNeed = PortNeed { port: 10550, what: "metaServer" };
    /// How EdgeMesh's agents reach each other.
    pub const EDGEMESH: PortNeed = PortNeed { port: 20006, what: "EdgeMesh" };
    /// What a server with CloudCore listens on.
    pub const SERVER: [PortNeed; 8] = [
        PortNeed { port: 6443, what: "the Kubernetes API" },
        PortNeed::INNER,
        PortNeed::KUBELET,
        PortNeed { port: 10000, what: "CloudCore's WebSocket" },
        PortNeed { port: 10001, what: "CloudCore's QUIC" },
        PortNeed { port: 10002, what: "CloudCore's certificates" },
        PortNeed { port: 10003, what: "CloudCore's stream" },
        PortNeed { port: 10004, what: "CloudCore's tunnel" },
    ];
    /// What a k3s agent listens on.
    pub const KUBELET: PortNeed = PortNeed { port: 10250, what: "the kubelet" };
    /// Where k3s has the API for itself: the server's own, or an agent's way to it.
    pub const INNER: PortNeed = PortNeed { port: 6444, what: "k3s's own way to the API" };
    /// What services of type LoadBalancer take on every node: by firewall rules, without listening.
    pub const INGRESS: [PortNeed; 2] =
        [PortNeed { port: 80, what: "Traefik" }, PortNeed { port: 443, what: "Traefik" }];
    /// The MQTT broker.
    pub const MQTT: PortNeed = PortNeed { port: 1883, what: "MQTT" };
}

/// Who runs containerd.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Containerd {
    /// We lay it down and start it.
    #[default]
    Managed,
    /// It is there already, run by somebody else, with this socket.
    Existing(String),
}

/// Where CloudCore listens.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// The WebSocket port, 10000 by default.
    pub websocket: HostPort,
    /// The certificate port, 10002 by default.
    pub certificate: HostPort,
}

impl Cloud {
    fn of(config: &EdgeConfig) -> Option<Self> {
        // The host was checked when the configuration was read; ignoring: a bad one cannot be there.
        let at = |port| HostPort::new(config.cloud.host.as_deref()?, port).ok();
        Some(Cloud { websocket: at(config.cloud.websocket_port)?, certificate: at(config.cloud.cert_port)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_decides_what_is_looked_at() {
        let mut config = EdgeConfig::default();
        let ports = |wanted: &Wanted<'_>| wanted.ports.iter().map(|need| need.port).collect::<Vec<_>>();
        let wanted = Wanted::of_edge(&config);
        assert_eq!(ports(&wanted), [10350, 10550, 20006]);
        assert_eq!((wanted.containerd, wanted.cloud.is_none()), (Containerd::Managed, true));
        assert_eq!((wanted.node_name, wanted.pod_cidr), (None, Some(config.pod_cidr)));

        config.edgemesh = false;
        config.mqtt = true;
        config.containerd = ContainerdMode::Existing;
        config.cloud.host = Some("cloud.example".into());
        config.node.name_problem = Some("no name".into());
        let wanted = Wanted::of_edge(&config);
        assert_eq!(ports(&wanted), [10350, 1883]);
        assert_eq!(wanted.containerd, Containerd::Existing("/run/containerd/containerd.sock".into()));
        assert_eq!(wanted.cloud.unwrap().websocket.to_string(), "cloud.example:10000");
        assert_eq!((wanted.node_name, wanted.pod_cidr), (Some(Err("no name".into())), None));
    }
}
