//! Pod sandboxes.

use super::super::Map;
use crate::pb::{message, open_enum, request, response};

message! {
    /// Names of a pod; together they must be unique, so the uid is new for every attempt.
    PodSandboxMetadata {
        1 name: String,
        2 uid: String,
        3 namespace: String,
        4 attempt: u32,
    }
}

request! {
    /// What becomes `/etc/resolv.conf`.
    DnsConfig {
        1 servers: Vec<String>,
        2 searches: Vec<String>,
        3 options: Vec<String>,
    }
}

request! {
    /// A port of the host that leads into the pod; protocol 0 is TCP, 1 UDP.
    PortMapping {
        1 protocol: i32,
        2 container_port: i32,
        3 host_port: i32,
        4 host_ip: String,
    }
}

open_enum! {
    /// Whose namespace is used.
    NamespaceMode { 0 POD, 1 CONTAINER, 2 NODE, 3 TARGET }
}

request! {
    /// Namespaces of a pod or container.
    NamespaceOption {
        1 network: NamespaceMode,
        2 pid: NamespaceMode,
        3 ipc: NamespaceMode,
    }
}

request! {
    /// Rights of the pod.
    LinuxSandboxSecurityContext {
        1 namespace_options: NamespaceOption,
        6 privileged: bool,
    }
}

request! {
    /// Linux part of a pod.
    LinuxPodSandboxConfig {
        1 cgroup_parent: String,
        2 security_context: LinuxSandboxSecurityContext,
        3 sysctls: Map,
    }
}

request! {
    /// A pod.
    PodSandboxConfig {
        1 metadata: PodSandboxMetadata,
        /// Not allowed together with the network of the node.
        2 hostname: String,
        3 log_directory: String,
        4 dns_config: DnsConfig,
        5 port_mappings: Vec<PortMapping>,
        6 labels: Map,
        7 annotations: Map,
        8 linux: LinuxPodSandboxConfig,
    }
}

request! {
    /// Creates and starts a pod.
    RunPodSandboxRequest {
        1 config: PodSandboxConfig,
        /// Empty: the default.
        2 runtime_handler: String,
    }
}

response! {
    /// The pod that runs.
    RunPodSandboxResponse {
        1 pod_sandbox_id: String,
    }
}

request! {
    /// Which pod: for stop and remove.
    SandboxRequest {
        1 pod_sandbox_id: String,
    }
}

request! {
    /// Which pod.
    PodSandboxStatusRequest {
        1 pod_sandbox_id: String,
        2 verbose: bool,
    }
}

open_enum! {
    /// Whether the pod runs.
    PodSandboxState { 0 READY, 1 NOTREADY }
}

response! {
    /// A pod in detail.
    PodSandboxStatusResponse {
        1 status: Option<PodSandboxStatus>,
        2 info: Map,
    }
}

response! {
    /// A pod in detail.
    PodSandboxStatus {
        1 id: String,
        2 metadata: PodSandboxMetadata,
        3 state: PodSandboxState,
        /// Nanoseconds since 1970.
        4 created_at: i64,
        5 network: PodSandboxNetworkStatus,
        7 labels: Map,
        8 annotations: Map,
    }
}

response! {
    /// Addresses of a pod; empty if it uses the network of the node.
    PodSandboxNetworkStatus {
        1 ip: String,
        2 additional_ips: Vec<PodIp>,
    }
}

response! {
    /// One more address.
    PodIp {
        1 ip: String,
    }
}

request! {
    /// Which pods; empty fields match everything.
    PodSandboxFilter {
        1 id: String,
        3 label_selector: Map,
    }
}

request! {
    /// Which pods.
    ListPodSandboxRequest {
        1 filter: PodSandboxFilter,
    }
}

response! {
    /// All that match.
    ListPodSandboxResponse {
        1 items: Vec<PodSandbox>,
    }
}

response! {
    /// A pod in short.
    PodSandbox {
        1 id: String,
        2 metadata: PodSandboxMetadata,
        3 state: PodSandboxState,
        /// Nanoseconds since 1970.
        4 created_at: i64,
        5 labels: Map,
        6 annotations: Map,
    }
}
