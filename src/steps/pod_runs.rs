//! The proof that this machine runs containers: one pod with one container, started through CRI and removed again.
//!
//! CRI says Ready also where runc cannot run, where the pods' bridge cannot be made, and where EdgeCore will find no
//! `mount` for the volumes of pods.

use std::path::PathBuf;

use crate::containerd::api::cri::{
    ContainerConfig, ContainerMetadata, ContainerState, ImageSpec, PodSandboxConfig, PodSandboxFilter,
};
use crate::containerd::{CallResult, Client, health};
use crate::error::{Error, Kind, Result};
use crate::plan::{Cx, Status, Step};

/// With what a pod was last seen running.
const FACT: &str = "pod-ran-with";
const NAME: &str = "edgelay-proof";
const NAMESPACE: &str = "edgelay";

/// The step.
#[derive(Debug)]
pub struct PodRuns {
    address: PathBuf,
    image: String,
    version: String,
}

impl PodRuns {
    /// A pod of the pause `image`; `version` changes with the programs and the configuration that run it.
    pub fn new(address: PathBuf, image: String, version: String) -> Self {
        PodRuns { address, image, version }
    }

    fn prove(&self, client: &mut Client, cgroup_parent: &str) -> CallResult<ContainerState> {
        let container = ContainerConfig {
            metadata: ContainerMetadata { name: "pause".into(), attempt: 0 },
            image: ImageSpec { image: self.image.clone(), ..Default::default() },
            ..Default::default()
        };
        let id = client.cri().run_pod(pod(cgroup_parent))?;
        let container = client.cri().create_container(&id, container, pod(cgroup_parent))?;
        client.cri().start_container(&container)?;
        client.cri().container_status(&container).map(|status| status.state)
    }

    /// Of this run and of one that was cut.
    fn remove(client: &mut Client) -> CallResult<()> {
        for pod in &client.cri().list_pods(PodSandboxFilter::default())? {
            if pod.metadata.name == NAME && pod.metadata.namespace == NAMESPACE {
                client.cri().stop_pod(&pod.id)?;
                client.cri().remove_pod(&pod.id)?;
            }
        }
        Ok(())
    }
}

fn pod(cgroup_parent: &str) -> PodSandboxConfig {
    let mut pod = PodSandboxConfig::default();
    pod.metadata.name = NAME.into();
    pod.metadata.uid = NAME.into();
    pod.metadata.namespace = NAMESPACE.into();
    pod.hostname = NAME.into();
    pod.linux.cgroup_parent = cgroup_parent.into();
    pod
}

fn has_mount(cx: &Cx<'_>) -> bool {
    cx.exec.find("mount").is_some()
}

const NO_MOUNT: &str = "there is no program 'mount', with which EdgeCore mounts the volumes of pods";

impl Step for PodRuns {
    fn id(&self) -> &'static str {
        "pod-runs"
    }

    fn summary(&self) -> String {
        "a pod starts on this machine".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if !has_mount(cx) {
            return Ok(Status::todo(NO_MOUNT));
        }
        Ok(match cx.journal.fact(FACT) {
            Some(version) if version == self.version => Status::Done,
            Some(_) => Status::todo("no pod has run since runc, containerd or their configuration changed"),
            None => Status::todo("no pod has run here yet"),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        if !has_mount(cx) {
            return Err(Error::new(Kind::Host, NO_MOUNT).hint("install mount (package util-linux, or busybox)"));
        }
        // A pod of systemd's driver lies in a slice.
        let parent = match health::cgroup_driver(&self.address)? {
            "systemd" => "edgelay-proof.slice",
            _ => "/edgelay-proof",
        };
        let mut client = Client::connect(&self.address)?;
        Self::remove(&mut client)?;
        let ran = self.prove(&mut client, parent);
        let removed = Self::remove(&mut client);
        match ran {
            Ok(ContainerState::RUNNING) => removed?,
            Ok(other) => return Err(failed(&format!("its container is in the state {other:?}"))),
            Err(e) => return Err(failed(&e.to_string())),
        }
        cx.journal.remember(FACT, &self.version)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.journal.forget(FACT)
    }
}

fn failed(why: &str) -> Error {
    Error::new(Kind::Runtime, format_args!("a pod does not run on this machine: {why}")).hint(
        "mend what it names (runc, the kernel, iptables) and run again; 'edgelay preflight' looks for the usual causes",
    )
}
