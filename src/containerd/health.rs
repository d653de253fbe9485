//! Whether containerd is fit for pods, in one look.

use std::path::Path;
use std::time::Duration;

use super::api::cri::{CgroupDriver, PodSandbox, PodSandboxFilter, PodSandboxState, StatusResponse};
use super::{Client, Code};
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::host::preflight::Cri;
use crate::json;

/// The runtime's configuration as CRI shows it; a few ten KiB.
const MAX_CONFIG: usize = 4 << 20;

/// Label that a kubelet, and so EdgeCore, gives every pod that it makes.
pub const KUBELETS: &str = "io.kubernetes.pod.uid";

/// Namespaces of pods that edgelay and keadm make for a moment; a cut may leave them.
const OURS: [&str; 2] = ["edgelay", "kubeedge"];

/// Why containerd is not fit, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It may become fit by itself.
    Yet(String),
    /// It stays so until it is started again.
    ForGood(String),
}

impl Unfit {
    /// What was seen.
    pub fn seen(self) -> String {
        match self {
            Unfit::Yet(seen) | Unfit::ForGood(seen) => seen,
        }
    }
}

/// What CRI says of itself, if the daemon answers: all that importing images needs.
pub fn answers(address: &Path) -> std::result::Result<StatusResponse, Unfit> {
    status(&mut Client::connect(address).map_err(|e| Unfit::Yet(e.to_string()))?)
}

fn status(client: &mut Client) -> std::result::Result<StatusResponse, Unfit> {
    let yet = |e: Error| Unfit::Yet(e.to_string());
    client.version().map_err(|e| yet(e.into()))?;
    client.cri().status().map_err(|e| match e.is(Code::Unimplemented) {
        // The daemon answers nobody before its plugins are loaded: this one will not come.
        true => Unfit::ForGood(without_cri(client)),
        false => yet(e.into()),
    })
}

/// Plugins without which there is no CRI, causes first. What keeps the first from its work is nearly always the disk.
const NEEDED: [&str; 3] = ["overlayfs", "bolt", "cri"];

/// Says that there is no CRI, and what the daemon tells about the reason.
pub(super) fn without_cri(client: &mut Client) -> String {
    let plugins = client.introspection().plugins(&[]).unwrap_or_default();
    let failed = |id: &&str| plugins.iter().find(|plugin| plugin.id == **id && plugin.init_err.is_some());
    let why = NEEDED.iter().find_map(failed).and_then(|plugin| {
        let e = plugin.init_err.as_ref()?;
        Some(format!(": plugin '{}': {}", plugin.id, e.message))
    });
    format!("containerd runs without CRI, which could not be loaded{}", why.unwrap_or_default())
}

/// `Ok` if the daemon answers and CRI says that runtime and pod network are ready.
pub fn probe(address: &Path) -> std::result::Result<(), Unfit> {
    let status = answers(address)?;
    for wanted in ["RuntimeReady", "NetworkReady"] {
        match status.status.conditions.iter().find(|c| c.kind == wanted) {
            Some(condition) if condition.status => {}
            Some(condition) => return Err(Unfit::Yet(format!("{wanted} is false: {}", condition.message))),
            None => return Err(Unfit::Yet(format!("CRI does not tell {wanted}"))),
        }
    }
    Ok(())
}

/// What a containerd that somebody else runs says of itself within this time, for the checks.
pub fn survey(address: &Path, limit: Duration) -> std::result::Result<Cri, Unfit> {
    let yet = |e: Error| Unfit::Yet(e.to_string());
    let mut client = Client::connect_within(address, limit).map_err(yet)?;
    let status = status(&mut client)?;
    look(&mut client, &status).map_err(yet)
}

fn look(client: &mut Client, status: &StatusResponse) -> Result<Cri> {
    let version = client.version()?.version;
    let unmet = status.status.conditions.iter().filter(|condition| !condition.status);
    // Only 1.x tells; 2.x pins it, so that it is in its store or never was.
    let config = status.info.get("config").and_then(|text| json::read(text.as_bytes(), MAX_CONFIG).ok());
    let pause = config.as_ref().and_then(|config| config.get("sandboxImage")?.text().ok().map(str::to_owned));
    let pause = match pause.filter(|name| !name.is_empty()) {
        Some(name) => {
            let there = client.cri_images().status(&name)?.is_some();
            Some((name, there))
        }
        None => None,
    };
    let pods = client.cri().list_pods(PodSandboxFilter::default())?;
    let strange = |pod: &&PodSandbox| {
        let kubelets = pod.labels.contains_key(KUBELETS) || OURS.contains(&pod.metadata.namespace.as_str());
        pod.state == PodSandboxState::READY && !kubelets
    };
    let name = |pod: &PodSandbox| format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
    Ok(Cri {
        strangers: pods.iter().filter(strange).map(name).gather(),
        version,
        not_ready: unmet.map(|condition| (condition.kind.clone(), condition.message.clone())).gather(),
        cgroup_driver: driver(client).ok(),
        pause,
    })
}

/// The cgroup driver that CRI's runtime uses: `cgroupfs` or `systemd`, as keadm wants to be told.
///
/// containerd 2.x tells directly, 1.x in its configuration.
pub fn cgroup_driver(address: &Path) -> Result<&'static str> {
    driver(&mut Client::connect(address)?)
}

fn driver(client: &mut Client) -> Result<&'static str> {
    match client.cri().runtime_config() {
        Ok(config) => match config.linux.map(|linux| linux.cgroup_driver) {
            Some(CgroupDriver::CGROUPFS) => return Ok("cgroupfs"),
            // An absent field is the first of the enumeration.
            Some(_) => return Ok("systemd"),
            None => {}
        },
        Err(e) if e.is(Code::Unimplemented) => {}
        Err(e) => return Err(e.into()),
    }
    let status = client.cri().status()?;
    let systemd = systemd_cgroup(&status).ok_or_else(|| {
        Error::new(Kind::Runtime, "containerd does not tell which cgroup driver its runtime runc uses")
            .hint("let edgelay manage containerd, or write the option SystemdCgroup into its config")
    })?;
    Ok(if systemd { "systemd" } else { "cgroupfs" })
}

/// `containerd.runtimes.<default>.options.SystemdCgroup`; an option that is not there is false.
fn systemd_cgroup(status: &StatusResponse) -> Option<bool> {
    let config = json::read(status.info.get("config")?.as_bytes(), MAX_CONFIG).ok()?;
    let containerd = config.get("containerd")?;
    let name = containerd.get("defaultRuntimeName").and_then(|n| n.text().ok()).unwrap_or("runc");
    let runtime = containerd.get("runtimes")?.get(name)?;
    let option = runtime.get("options").and_then(|o| o.get("SystemdCgroup"));
    Some(option.and_then(|o| o.flag().ok()).unwrap_or(false))
}
