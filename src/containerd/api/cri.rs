//! CRI `runtime.v1`: what a smoke pod and a health check need. Types in requests have only the fields that we set.

mod containers;
mod images;
mod sandboxes;

pub use containers::{
    Capability, Container, ContainerConfig, ContainerFilter, ContainerMetadata, ContainerRequest, ContainerState,
    ContainerStatus, ContainerStatusRequest, ContainerStatusResponse, CreateContainerRequest, CreateContainerResponse,
    ExecSyncRequest, ExecSyncResponse, KeyValue, LinuxContainerConfig, LinuxContainerSecurityContext,
    ListContainersRequest, ListContainersResponse, MountSpec, StopContainerRequest,
};
pub use images::{
    FilesystemIdentifier, FilesystemUsage, Image, ImageFilter, ImageFsInfoResponse, ImageRequest, ImageSpec,
    ImageStatusRequest, ImageStatusResponse, Int64Value, ListImagesRequest, ListImagesResponse, PullImageRequest,
    PullImageResponse, UInt64Value,
};
pub use sandboxes::{
    DnsConfig, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, ListPodSandboxRequest, ListPodSandboxResponse,
    NamespaceMode, NamespaceOption, PodIp, PodSandbox, PodSandboxConfig, PodSandboxFilter, PodSandboxMetadata,
    PodSandboxNetworkStatus, PodSandboxState, PodSandboxStatus, PodSandboxStatusRequest, PodSandboxStatusResponse,
    PortMapping, RunPodSandboxRequest, RunPodSandboxResponse, SandboxRequest,
};

use super::Map;
use crate::pb::{open_enum, request, response};

request! {
    /// The version of CRI that we speak; ignored by containerd.
    VersionRequest {
        1 version: String,
    }
}

response! {
    /// Who answers.
    VersionResponse {
        /// Of the kubelet API: `0.1.0`.
        1 version: String,
        /// `containerd`.
        2 runtime_name: String,
        3 runtime_version: String,
        /// `v1`.
        4 runtime_api_version: String,
    }
}

request! {
    /// Verbose adds the configuration to the answer.
    StatusRequest {
        1 verbose: bool,
    }
}

response! {
    /// Health of the runtime.
    StatusResponse {
        1 status: RuntimeStatus,
        /// `config` is JSON.
        2 info: Map,
    }
}

response! {
    /// What works.
    RuntimeStatus {
        1 conditions: Vec<RuntimeCondition>,
    }
}

response! {
    /// `RuntimeReady`, `NetworkReady`, ...
    RuntimeCondition {
        1 kind: String,
        2 status: bool,
        3 reason: String,
        4 message: String,
    }
}

open_enum! {
    /// Who manages cgroups.
    CgroupDriver { 0 SYSTEMD, 1 CGROUPFS }
}

response! {
    /// Configuration of the runtime, from containerd 2.0 on.
    RuntimeConfigResponse {
        1 linux: Option<LinuxRuntimeConfiguration>,
    }
}

response! {
    /// Its Linux part.
    LinuxRuntimeConfiguration {
        1 cgroup_driver: CgroupDriver,
    }
}
