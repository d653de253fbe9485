//! CRI v1: pods, containers and images the way the kubelet and EdgeCore see them.

use std::time::Duration;

use super::api::Empty;
use super::api::cri::{
    Container, ContainerConfig, ContainerFilter, ContainerRequest, ContainerStatus, ContainerStatusRequest,
    ContainerStatusResponse, CreateContainerRequest, CreateContainerResponse, ExecSyncRequest, ExecSyncResponse,
    FilesystemUsage, Image, ImageFsInfoResponse, ImageRequest, ImageSpec, ImageStatusRequest, ImageStatusResponse,
    ListContainersRequest, ListContainersResponse, ListImagesRequest, ListImagesResponse, ListPodSandboxRequest,
    ListPodSandboxResponse, PodSandbox, PodSandboxConfig, PodSandboxFilter, PodSandboxStatus, PodSandboxStatusRequest,
    PodSandboxStatusResponse, PullImageRequest, PullImageResponse, RunPodSandboxRequest, RunPodSandboxResponse,
    RuntimeConfigResponse, SandboxRequest, StatusRequest, StatusResponse, StopContainerRequest, VersionRequest,
    VersionResponse,
};
use super::client::nonsense;
use super::{CallResult, Client};
use crate::gather::Gather;
use crate::rpc::conn::Patience;
use crate::rpc::grpc::Method;

/// Starting and stopping run runc and CNI plugins, which may take long on a small board; the kubelet waits as long.
const WORK: Patience = Patience::Total(Duration::from_secs(240));

/// As much as the daemon sends: a node with many images or pods.
const LIST_LIMIT: usize = 16 * 1024 * 1024;

macro_rules! runtime {
    ($name:literal) => {
        Method::unary(concat!("/runtime.v1.RuntimeService/", $name))
    };
}

macro_rules! image {
    ($name:literal) => {
        Method::unary(concat!("/runtime.v1.ImageService/", $name))
    };
}

/// See [`Client::cri`].
#[derive(Debug)]
pub struct CriRuntime<'c>(&'c mut Client);

impl<'c> CriRuntime<'c> {
    pub(super) fn new(client: &'c mut Client) -> Self {
        CriRuntime(client)
    }

    /// Who answers. Right after its start the daemon may answer [`super::Code::Unavailable`] (1.x:
    /// [`super::Code::Unknown`]), and [`super::Code::Unimplemented`] if the plugin did not load.
    pub fn version(&mut self) -> CallResult<VersionResponse> {
        self.0.unary(runtime!("Version"), &VersionRequest::default())
    }

    /// Conditions and, in `info["config"]`, the configuration as JSON.
    pub fn status(&mut self) -> CallResult<StatusResponse> {
        self.0.unary(runtime!("Status"), &StatusRequest { verbose: true })
    }

    /// The cgroup driver; [`super::Code::Unimplemented`] before containerd 2.0.
    pub fn runtime_config(&mut self) -> CallResult<RuntimeConfigResponse> {
        self.0.unary(runtime!("RuntimeConfig"), &Empty {})
    }

    /// Creates and starts a pod: its id.
    pub fn run_pod(&mut self, config: PodSandboxConfig) -> CallResult<String> {
        let request = RunPodSandboxRequest { config, runtime_handler: String::new() };
        let answer: RunPodSandboxResponse = self.0.unary(runtime!("RunPodSandbox").within(WORK), &request)?;
        Ok(answer.pod_sandbox_id)
    }

    /// Stops a pod and everything in it; a pod that is not there is stopped.
    pub fn stop_pod(&mut self, id: &str) -> CallResult<()> {
        let request = SandboxRequest { pod_sandbox_id: id.to_owned() };
        self.0.unary(runtime!("StopPodSandbox").within(WORK), &request).map(|Empty {}| ())
    }

    /// Removes a stopped pod; a pod that is not there is removed.
    pub fn remove_pod(&mut self, id: &str) -> CallResult<()> {
        let request = SandboxRequest { pod_sandbox_id: id.to_owned() };
        self.0.unary(runtime!("RemovePodSandbox").within(WORK), &request).map(|Empty {}| ())
    }

    /// A pod in detail.
    pub fn pod_status(&mut self, id: &str) -> CallResult<PodSandboxStatus> {
        const METHOD: Method = runtime!("PodSandboxStatus");
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
        let answer: PodSandboxStatusResponse = self.0.unary(METHOD, &request)?;
        answer.status.ok_or_else(|| nonsense(METHOD, "no status"))
    }

    /// Pods that match.
    pub fn list_pods(&mut self, filter: PodSandboxFilter) -> CallResult<Vec<PodSandbox>> {
        let method = Method { limit: LIST_LIMIT, ..runtime!("ListPodSandbox") };
        let answer: ListPodSandboxResponse = self.0.unary(method, &ListPodSandboxRequest { filter })?;
        Ok(answer.items)
    }

    /// Creates a container in the pod `pod`, whose configuration is `sandbox_config`: its id.
    pub fn create_container(
        &mut self,
        pod: &str,
        config: ContainerConfig,
        sandbox_config: PodSandboxConfig,
    ) -> CallResult<String> {
        let request = CreateContainerRequest { pod_sandbox_id: pod.to_owned(), config, sandbox_config };
        let answer: CreateContainerResponse = self.0.unary(runtime!("CreateContainer").within(WORK), &request)?;
        Ok(answer.container_id)
    }

    /// Starts a container.
    pub fn start_container(&mut self, id: &str) -> CallResult<()> {
        let request = ContainerRequest { container_id: id.to_owned() };
        self.0.unary(runtime!("StartContainer").within(WORK), &request).map(|Empty {}| ())
    }

    /// Stops a container; it is killed if it still runs after `grace` (whole seconds).
    pub fn stop_container(&mut self, id: &str, grace: Duration) -> CallResult<()> {
        let timeout = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
        let request = StopContainerRequest { container_id: id.to_owned(), timeout };
        self.0.unary(runtime!("StopContainer").within(WORK), &request).map(|Empty {}| ())
    }

    /// Removes a stopped container.
    pub fn remove_container(&mut self, id: &str) -> CallResult<()> {
        let request = ContainerRequest { container_id: id.to_owned() };
        self.0.unary(runtime!("RemoveContainer").within(WORK), &request).map(|Empty {}| ())
    }

    /// A container in detail.
    pub fn container_status(&mut self, id: &str) -> CallResult<ContainerStatus> {
        const METHOD: Method = runtime!("ContainerStatus");
        let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
        let answer: ContainerStatusResponse = self.0.unary(METHOD, &request)?;
        answer.status.ok_or_else(|| nonsense(METHOD, "no status"))
    }

    /// Containers that match.
    pub fn list_containers(&mut self, filter: ContainerFilter) -> CallResult<Vec<Container>> {
        let method = Method { limit: LIST_LIMIT, ..runtime!("ListContainers") };
        let answer: ListContainersResponse = self.0.unary(method, &ListContainersRequest { filter })?;
        Ok(answer.containers)
    }

    /// Runs a program in a container and waits for its end, at most `limit` (whole seconds).
    pub fn exec(&mut self, id: &str, cmd: &[&str], limit: Duration) -> CallResult<ExecSyncResponse> {
        let timeout = i64::try_from(limit.as_secs().max(1)).unwrap_or(i64::MAX);
        let cmd = cmd.iter().map(|part| (*part).to_owned()).gather();
        let request = ExecSyncRequest { container_id: id.to_owned(), cmd, timeout };
        // The daemon ends it first, with a status that says so.
        let patience = Patience::Total(limit.saturating_add(Duration::from_secs(30)));
        self.0.unary(runtime!("ExecSync").within(patience), &request)
    }
}

/// See [`Client::cri_images`].
#[derive(Debug)]
pub struct CriImages<'c>(&'c mut Client);

impl<'c> CriImages<'c> {
    pub(super) fn new(client: &'c mut Client) -> Self {
        CriImages(client)
    }

    /// All images.
    pub fn list(&mut self) -> CallResult<Vec<Image>> {
        let method = Method { limit: LIST_LIMIT, ..image!("ListImages") };
        let answer: ListImagesResponse = self.0.unary(method, &ListImagesRequest::default())?;
        Ok(answer.images)
    }

    /// The image of this name or id, if it is there.
    pub fn status(&mut self, name: &str) -> CallResult<Option<Image>> {
        let request = ImageStatusRequest { image: spec(name), verbose: false };
        let answer: ImageStatusResponse = self.0.unary(image!("ImageStatus"), &request)?;
        Ok(answer.image)
    }

    /// Removes an image with all its names; one that is not there is removed.
    pub fn remove(&mut self, name: &str) -> CallResult<()> {
        let request = ImageRequest { image: spec(name) };
        self.0.unary(image!("RemoveImage").within(WORK), &request).map(|Empty {}| ())
    }

    /// Pulls an image from its registry: only for tests which show that this fails without a network.
    pub fn pull(&mut self, name: &str) -> CallResult<String> {
        let request = PullImageRequest { image: spec(name) };
        let answer: PullImageResponse = self.0.unary(image!("PullImage").within(WORK), &request)?;
        Ok(answer.image_ref)
    }

    /// Where the images of CRI are, and how much they take.
    pub fn fs_info(&mut self) -> CallResult<Vec<FilesystemUsage>> {
        let answer: ImageFsInfoResponse = self.0.unary(image!("ImageFsInfo"), &Empty {})?;
        Ok(answer.image_filesystems)
    }

    /// Name of the snapshotter that CRI uses: `overlayfs` for `.../io.containerd.snapshotter.v1.overlayfs`.
    pub fn snapshotter(&mut self) -> CallResult<Option<String>> {
        let places = self.fs_info()?;
        let name = places.first().and_then(|place| place.fs_id.mountpoint.rsplit('/').next());
        Ok(name.and_then(|name| name.strip_prefix("io.containerd.snapshotter.v1.")).map(str::to_owned))
    }
}

fn spec(name: &str) -> ImageSpec {
    ImageSpec { image: name.to_owned(), annotations: Default::default() }
}
