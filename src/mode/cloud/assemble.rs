//! Puts the cloud side's steps together. Pure assembly: nothing is looked at or done here.

use std::net::IpAddr;
use std::path::PathBuf;

use crate::bundle::{Bundle, Component, Version as Release};
use crate::config::{CloudConfig, K3sMode, render_file};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::gather::{Gather, Grow};
use crate::host::net::{self, Iptables};
use crate::k3s::{self, Part, Settings};
use crate::kubeedge::Chart;
use crate::mode::record::Recorded;
use crate::plan::{Cx, Journal, Step};
use crate::root::Root;
use crate::service::{Manager, Service, manager_of};
use crate::steps::cloud::{
    Addons, ApiReady, CRDS, CloudCore, Data, EdgeMesh, JOIN_FILE, JoinFileStep, K3sStart, Version, WorkerImages,
    WorkerReady, WorkerToken,
};
use crate::steps::{Components, Files, HostFiles, Images};

/// Everything that the steps are made from.
#[derive(Debug)]
pub(super) struct Assembly {
    pub(super) config: Box<CloudConfig>,
    pub(super) bundle: Facts,
    pub(super) data: Data,
    chart: Chart,
    edgemesh: Option<String>,
    had_edgemesh: bool,
    advertise: Option<IpAddr>,
    manager: Manager,
    is_live: bool,
}

/// What the checks want to know of the bundle.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) architecture: crate::ids::Arch,
    pub(super) built: u64,
    pub(super) components: u64,
    pub(super) store: u64,
    pub(super) kubeedge: String,
    pub(super) k3s: Option<String>,
    pub(super) program: Option<Component>,
    pub(super) nft_image: bool,
}

/// The name of the image in this repository, as the bundle has it.
fn image_of(bundle: &Bundle, repository: &str) -> Option<String> {
    let mut names = bundle.images().iter().flat_map(|image| &image.names);
    names.find(|name| name.repository() == repository).map(ToString::to_string)
}

impl Assembly {
    pub(super) fn new(config: Box<CloudConfig>, bundle: &Bundle, root: &Root) -> Result<Box<Self>> {
        let (manifest, sizes) = (bundle.manifest(), bundle.sizes());
        let nft_image = image_of(bundle, "docker.io/kubeedge/iptables-manager-nft").is_some();
        let facts = Facts {
            architecture: manifest.architecture,
            built: manifest.built.seconds(),
            components: sizes.components,
            store: sizes.blobs.saturating_add(sizes.unpacked),
            kubeedge: manifest.kubeedge.to_string(),
            k3s: bundle.component("k3s").and_then(|c| c.version.clone()),
            program: bundle.component("k3s").cloned(),
            nft_image,
        };
        let mut chart = Chart::new(&config, manifest.kubeedge.to_string());
        chart.mosquitto = image_of(bundle, "docker.io/library/eclipse-mosquitto").is_some();
        chart.nft = nft_image && root.is_live() && net::iptables(root)? == Iptables::Nft;
        let own = if root.is_live() { net::addresses(root)? } else { config.addresses.clone() };
        Ok(Box::new(Assembly {
            edgemesh: edgemesh(&config, bundle)?,
            had_edgemesh: Journal::look(root)?.knows("edgemesh"),
            // The API's own must be of the kind of the cluster's ranges.
            advertise: config.addresses.iter().find(|ip| ip.is_ipv4() && own.contains(ip)).copied(),
            bundle: facts,
            data: Data::Keep,
            chart,
            manager: if root.is_live() { manager_of(root)? } else { Manager::Systemd },
            is_live: root.is_live(),
            config,
        }))
    }

    fn is_worker(&self) -> bool {
        self.config.server.is_some()
    }

    /// The k3s that is laid down.
    pub(super) fn own_k3s(&self) -> Option<Component> {
        self.bundle.program.clone().filter(|_| self.config.k3s == K3sMode::Managed || self.is_worker())
    }

    /// The word for the run.
    pub(super) fn verb(&self) -> &'static str {
        match self.config.k3s {
            _ if self.is_worker() => "worker install",
            K3sMode::Managed => "install",
            K3sMode::Existing => "init",
        }
    }

    /// What is there when all went well.
    pub(super) fn outcome(&self) -> String {
        match &self.config.server {
            Some(server) => format!("this machine is a node of the cluster at {server}"),
            None if !self.is_live => {
                "k3s is laid down, and nothing starts it: the first boot of this system needs this command again"
                    .to_owned()
            }
            None => format!(
                "the cloud side works; edges join with '{JOIN_FILE}', which is as secret as a password: \
                 'edgelay edge install --join-file FILE'"
            ),
        }
    }

    /// Refuses a cluster that is in use by somebody else, before anything is brought into it, and tells if KubeEdge was
    /// not tested with it.
    pub(super) fn guard(&self, cx: &mut Cx<'_>) -> Result<()> {
        if self.config.k3s != K3sMode::Existing || self.is_worker() {
            return Ok(());
        }
        CloudCore::new(&self.config, self.chart.clone()).guard(cx)?;
        self.api_ready().guard(cx)?;
        self.api_ready().warn_of_arguments(cx)?;
        self.api_ready().warn_of_version(cx)
    }

    fn api_ready(&self) -> ApiReady {
        let (config, kubeedge) = (&self.config, self.bundle.kubeedge.clone());
        let node = config.name.as_ref().map(ToString::to_string);
        ApiReady::new(config.kubeconfig.clone(), node, kubeedge, config.ready_timeout)
    }

    /// Of a k3s that was there it is told before the first step; a bundle may not know the version of its own.
    fn version(&self) -> Version {
        if self.bundle.k3s.is_some() { Version::Told } else { Version::Untold }
    }

    /// The step that writes the join file; a worker has none.
    pub(super) fn join_file(&self) -> Option<JoinFileStep> {
        let step = || JoinFileStep::new(&self.config, self.chart.clone(), self.edgemesh.is_some());
        (!self.is_worker()).then(step)
    }

    /// The steps, in order.
    pub(super) fn steps(&self, bundle: &Bundle) -> Result<Vec<Box<dyn Step>>> {
        let mut steps: Vec<Box<dyn Step>> = vec![Box::new(Recorded::new(bundle, render_file(&*self.config))?)];
        let managed = self.config.k3s == K3sMode::Managed || self.is_worker();
        let wanted = |c: &&Component| match c.name.as_str() {
            "k3s" => managed,
            _ => !self.is_worker(),
        };
        steps.push(Box::new(Components::new(bundle.components().iter().filter(wanted).cloned().gather())));
        if managed {
            self.k3s(bundle, &mut steps)?;
        }
        // A target that does not run has no cluster; its first boot does the rest.
        if self.is_live {
            let images = self.images(bundle);
            let images = if managed && self.data == Data::Purge { images.stored_in(k3s::DATA) } else { images };
            steps.push(Box::new(if self.is_worker() { images.proving() } else { images }));
            self.cluster(&mut steps);
        }
        Ok(steps)
    }

    fn images(&self, bundle: &Bundle) -> Images {
        let images = Images::new(bundle.images().to_vec(), PathBuf::from(k3s::SOCKET));
        images.counting(self.bundle.kubeedge.clone())
    }

    fn service(&self) -> Service {
        k3s::service(if self.is_worker() { Part::Agent } else { Part::Server })
    }

    fn k3s(&self, bundle: &Bundle, steps: &mut Vec<Box<dyn Step>>) -> Result<()> {
        let config = match self.is_worker() {
            true => {
                let (server, token_file) = self.config.worker()?;
                steps.push(Box::new(WorkerToken::new(token_file)));
                k3s::agent_config(&server, self.config.name.as_ref(), self.config.ip)
            }
            false => k3s::server_config(Settings { config: &self.config, advertise: self.advertise }),
        };
        let service = self.service();
        let files = vec![(k3s::CONFIG, 0o600, config.into_bytes())];
        let files =
            Files::new("k3s-files", "k3s's configuration and unit", files, (self.manager, &service)).inside(k3s::ETC);
        // A board without a battery starts in 1970, and so would the CA that k3s makes: the install looks at the clock first.
        let files = if self.is_live { files } else { files.unstarted() };
        let program = bundle.component("k3s").map(|c| c.digest.to_string()).unwrap_or_default();
        let version = Digest::of(format!("{program} {}", files.version()).as_bytes()).to_string();
        steps.push(Box::new(HostFiles::default()));
        if self.is_worker() && self.is_live {
            // Before the unit, which a boot after a cut would start.
            let unit = (self.manager, service.clone());
            steps.push(Box::new(WorkerImages::new(self.images(bundle), unit, self.data)));
        }
        steps.push(Box::new(files));
        if self.is_live {
            let start = K3sStart::new(self.manager, service, version, self.config.ready_timeout);
            steps.push(Box::new(start.with_data(self.data)));
        }
        Ok(())
    }

    fn cluster(&self, steps: &mut Vec<Box<dyn Step>>) {
        let (config, limit) = (&self.config, self.config.ready_timeout);
        let node = config.name.as_ref().map(ToString::to_string);
        if self.is_worker() {
            let service = (self.manager, self.service());
            steps.push(Box::new(WorkerReady::new(node.unwrap_or_default(), limit, service)));
            return;
        }
        let ready = self.api_ready();
        steps.push(Box::new(match config.k3s {
            K3sMode::Managed => ready.of((self.manager, self.service()), self.version()),
            K3sMode::Existing => ready,
        }));
        steps.push(Box::new(CloudCore::new(config, self.chart.clone())));
        steps.push(Box::new(Addons::new(config)));
        if self.edgemesh.is_some() || self.had_edgemesh {
            steps.push(Box::new(EdgeMesh::new(config, self.edgemesh.clone())));
        }
        steps.add_all(self.join_file().map(|step| Box::new(step) as Box<dyn Step>));
    }
}

/// The agent's image, if EdgeMesh is to run.
fn edgemesh(config: &CloudConfig, bundle: &Bundle) -> Result<Option<String>> {
    const AGENT: &str = "docker.io/kubeedge/edgemesh-agent";
    if config.edgemesh == Some(false) || config.server.is_some() {
        return Ok(None);
    }
    let image = image_of(bundle, AGENT);
    let has = |path: &str| bundle.components().iter().any(|c| c.destination().as_str() == path);
    let mut missing: Vec<String> =
        CRDS.iter().filter(|(path, _)| !has(path)).map(|(path, _)| format!("'{path}'")).gather();
    if image.is_none() {
        missing.insert(0, format!("image '{AGENT}'"));
    }
    match (missing.is_empty(), config.edgemesh) {
        (true, _) => Ok(image),
        (false, None) => Ok(None),
        (false, Some(_)) => {
            let what = format!("bundle '{}' lacks what EdgeMesh needs: {}", bundle.name(), missing.join(", "));
            Err(Error::new(Kind::Bundle, what).hint(
                "make a bundle with the agent's image and its three resource definitions, or set edgemesh to false",
            ))
        }
    }
}

/// What may not change under a cluster that runs.
pub(super) fn refuse(old: &CloudConfig, new: &CloudConfig) -> Result<()> {
    let role = |c: &CloudConfig| if c.server.is_some() { "worker" } else { c.k3s.as_str() }.to_owned();
    let text = |value: &dyn std::fmt::Display| value.to_string();
    let pairs = [
        ("k3s", role(old), role(new)),
        ("cluster_cidr", text(&old.cluster_cidr), text(&new.cluster_cidr)),
        ("service_cidr", text(&old.service_cidr), text(&new.service_cidr)),
        ("cluster_dns", text(&old.dns()), text(&new.dns())),
        (
            "node.name",
            old.name.as_ref().map(text_of).unwrap_or_default(),
            new.name.as_ref().map(text_of).unwrap_or_default(),
        ),
    ];
    match pairs.iter().find(|(_, old, new)| old != new) {
        None => Ok(()),
        Some((key, old, new)) => {
            let what = format!("'{key}' is '{new}', but this machine was installed with '{old}'");
            Err(Error::new(Kind::Config, what)
                .hint(format_args!("give '{old}', or run 'edgelay cloud uninstall --purge' before changing it")))
        }
    }
}

/// What a newer minor release has stored an older one need not understand: k3s's database, CloudCore's objects.
pub(super) fn refuse_older(runs: &Bundle, brings: &Bundle, journal: &Journal) -> Result<()> {
    let kubeedge = |bundle: &Bundle| Some(bundle.manifest().kubeedge.clone());
    let k3s = |bundle: &Bundle| bundle.component("k3s")?.version.as_deref()?.parse::<Release>().ok();
    let all =
        [("cloudcore", "KubeEdge", kubeedge(runs), kubeedge(brings)), ("k3s-start", "k3s", k3s(runs), k3s(brings))];
    for (step, what, runs, brings) in all {
        if let (true, Some(runs), Some(brings)) = (journal.knows(step), runs, brings)
            && brings.release() < runs.release()
        {
            let seen = format!("the bundle brings {what} {brings}, but this machine runs {runs}");
            let hint = format!(
                "give a bundle with {} or newer: what it has stored, an older one need not understand",
                runs.minor()
            );
            return Err(Error::new(Kind::Bundle, seen).hint(hint));
        }
    }
    Ok(())
}

fn text_of(name: &crate::ids::NodeName) -> String {
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_running_cluster_cannot_follow_is_refused() {
        let old = CloudConfig { name: Some("a".parse().unwrap()), ..CloudConfig::default() };
        assert!(refuse(&old, &CloudConfig { node_limit: 7, edgemesh: Some(false), ..old.clone() }).is_ok());
        let e = refuse(&old, &CloudConfig { k3s: K3sMode::Existing, ..old.clone() }).unwrap_err();
        assert_eq!(e.to_string(), "'k3s' is 'existing', but this machine was installed with 'managed'");
        let e = refuse(&old, &CloudConfig { name: Some("b".parse().unwrap()), ..old.clone() }).unwrap_err();
        assert_eq!(e.to_string(), "'node.name' is 'b', but this machine was installed with 'a'");
    }
}
