//! k3s on this machine: its files, its service, its configuration, and the cluster through its kubectl.

mod config;
mod kube;
mod manifest;

pub use config::{Settings, agent_config, server_config};
pub use kube::{HOME, Kube, MANIFEST, pick};
pub use manifest::{fill, lacks, list_of};

use crate::ids::RelPath;
use crate::service::Service;

/// The program.
pub const PROGRAM: &str = "/usr/local/bin/k3s";
/// Its containerd.
pub const SOCKET: &str = "/run/k3s/containerd/containerd.sock";
/// Its configuration: not a line of flags, so that nothing secret is in a command line.
pub const CONFIG: RelPath<'static> = RelPath::literal("etc/rancher/k3s/config.yaml");
/// Settings of the user's, which k3s reads after ours.
pub const OWN_CONFIG: RelPath<'static> = RelPath::literal("etc/rancher/k3s/config.yaml.d");
/// A worker's copy of the server's token: k3s reads it at every start.
pub const WORKER_TOKEN: RelPath<'static> = RelPath::literal("etc/rancher/k3s/worker-token");
/// Taint that a server registers with: no pod is given to it before its images are there. Nothing of k3s bears it.
pub const HELD: &str = "edgelay/images";
/// With it a worker can ask for its own node.
pub const KUBELET_CONFIG: &str = "/var/lib/rancher/k3s/agent/kubelet.kubeconfig";
/// Its data: datastore, certificates, images.
pub const DATA: RelPath<'static> = RelPath::literal("var/lib/rancher");
/// Where it unpacks what it carries, each release into a directory of its own; `current` leads to one.
pub const CARRIED: RelPath<'static> = RelPath::literal("var/lib/rancher/k3s/data");
/// Its configuration, and the password that it knows its node by.
pub const ETC: RelPath<'static> = RelPath::literal("etc/rancher");

/// What k3s is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The cluster, and a node of it.
    Server,
    /// A further node.
    Agent,
}

/// k3s as a service. It reports readiness only when the API serves; images are imported earlier, so nobody waits for
/// that report.
pub fn service(part: Part) -> Service {
    let (name, description, verb) = match part {
        Part::Server => ("k3s", "Kubernetes by k3s, installed by edgelay", "server"),
        Part::Agent => ("k3s-agent", "Kubernetes node by k3s, installed by edgelay", "agent"),
    };
    Service {
        name,
        description,
        command: vec![PROGRAM.to_owned(), verb.to_owned()],
        after: &["network-online.target"],
        wants: &["network-online.target"],
        settings: &[
            "KillMode=process",
            "Delegate=yes",
            "LimitNOFILE=1048576",
            "LimitNPROC=infinity",
            "LimitCORE=infinity",
            "TasksMax=infinity",
            "Restart=always",
            "RestartSec=5s",
        ],
    }
}
