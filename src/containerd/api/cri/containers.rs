//! Containers in a pod.

use super::super::Map;
use super::images::ImageSpec;
use super::sandboxes::{NamespaceOption, PodSandboxConfig};
use crate::pb::{message, open_enum, request, response};

message! {
    /// Name of a container in its pod.
    ContainerMetadata {
        1 name: String,
        2 attempt: u32,
    }
}

request! {
    /// An environment variable.
    KeyValue {
        1 key: String,
        2 value: String,
    }
}

request! {
    /// A directory or file of the host in the container.
    MountSpec {
        1 container_path: String,
        2 host_path: String,
        3 readonly: bool,
    }
}

request! {
    /// Capabilities on top of, or less than, the default ones.
    Capability {
        1 add_capabilities: Vec<String>,
        2 drop_capabilities: Vec<String>,
    }
}

request! {
    /// Rights of a container.
    LinuxContainerSecurityContext {
        1 capabilities: Capability,
        2 privileged: bool,
        3 namespace_options: NamespaceOption,
    }
}

request! {
    /// Linux part of a container.
    LinuxContainerConfig {
        2 security_context: LinuxContainerSecurityContext,
    }
}

request! {
    /// A container.
    ContainerConfig {
        1 metadata: ContainerMetadata,
        2 image: ImageSpec,
        /// Replaces the image's entry point; empty keeps it.
        3 command: Vec<String>,
        4 args: Vec<String>,
        5 working_dir: String,
        6 envs: Vec<KeyValue>,
        7 mounts: Vec<MountSpec>,
        9 labels: Map,
        10 annotations: Map,
        /// Below the pod's log directory.
        11 log_path: String,
        15 linux: LinuxContainerConfig,
    }
}

request! {
    /// Creates a container in a pod; `sandbox_config` is the pod's own.
    CreateContainerRequest {
        1 pod_sandbox_id: String,
        2 config: ContainerConfig,
        3 sandbox_config: PodSandboxConfig,
    }
}

response! {
    /// The container that was made.
    CreateContainerResponse {
        1 container_id: String,
    }
}

request! {
    /// Which container: for start and remove.
    ContainerRequest {
        1 container_id: String,
    }
}

request! {
    /// Which container, and how many seconds it has before it is killed.
    StopContainerRequest {
        1 container_id: String,
        2 timeout: i64,
    }
}

request! {
    /// Which container.
    ContainerStatusRequest {
        1 container_id: String,
        2 verbose: bool,
    }
}

open_enum! {
    /// Life of a container.
    ContainerState { 0 CREATED, 1 RUNNING, 2 EXITED, 3 STATE_UNKNOWN }
}

response! {
    /// A container in detail.
    ContainerStatusResponse {
        1 status: Option<ContainerStatus>,
        2 info: Map,
    }
}

response! {
    /// A container in detail; times are nanoseconds since 1970.
    ContainerStatus {
        1 id: String,
        2 metadata: ContainerMetadata,
        3 state: ContainerState,
        4 created_at: i64,
        5 started_at: i64,
        6 finished_at: i64,
        7 exit_code: i32,
        8 image: ImageSpec,
        9 image_ref: String,
        10 reason: String,
        11 message: String,
        12 labels: Map,
        13 annotations: Map,
        15 log_path: String,
    }
}

request! {
    /// Which containers; empty fields match everything.
    ContainerFilter {
        1 id: String,
        3 pod_sandbox_id: String,
        4 label_selector: Map,
    }
}

request! {
    /// Which containers.
    ListContainersRequest {
        1 filter: ContainerFilter,
    }
}

response! {
    /// All that match.
    ListContainersResponse {
        1 containers: Vec<Container>,
    }
}

response! {
    /// A container in short.
    Container {
        1 id: String,
        2 pod_sandbox_id: String,
        3 metadata: ContainerMetadata,
        4 image: ImageSpec,
        5 image_ref: String,
        6 state: ContainerState,
        7 created_at: i64,
        8 labels: Map,
        9 annotations: Map,
    }
}

request! {
    /// Runs a program in a container; 0 seconds is no limit.
    ExecSyncRequest {
        1 container_id: String,
        2 cmd: Vec<String>,
        3 timeout: i64,
    }
}

response! {
    /// What it wrote, and its exit status.
    ExecSyncResponse {
        1 stdout: Vec<u8>,
        2 stderr: Vec<u8>,
        3 exit_code: i32,
    }
}
