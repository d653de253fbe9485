//! Keeps k3s's add-ons off edge nodes, which register without a taint, and lets metrics-server read edge nodes.
//!
//! Only the fields in the manifests are set; an uninstall takes them back from a k3s that stays.

use std::path::PathBuf;

use crate::config::{CloudConfig, K3sMode};
use crate::error::{Error, Kind, Result};
use crate::json::{self, Text, Value};
use crate::k3s::{Kube, fill, lacks, list_of, pick};
use crate::plan::{Cx, Status, Step};

use super::pods::text;

const SYSTEM: &str = "kube-system";
const ADDON: &str = include_str!("../../k3s/manifests/addon.json");
const METRICS: &str = include_str!("../../k3s/manifests/metrics-server.json");
const TRAEFIK: &str = include_str!("../../k3s/manifests/traefik.json");
const BALANCER: &str = include_str!("../../k3s/manifests/balancer-node.json");
/// What takes back each of these.
const UNDO: &str = include_str!("../../k3s/manifests/undo-addon.json");
const UNDO_METRICS: &str = include_str!("../../k3s/manifests/undo-metrics-server.json");
const UNLABEL: &str = include_str!("../../k3s/manifests/undo-balancer-node.json");
/// The arguments that metrics-server had before ours.
const FACT: &str = "metrics-server-args";
const METRICS_SERVER: &str = "metrics-server";
/// Add-ons that are Deployments.
const DEPLOYMENTS: [&str; 3] = ["deployment/coredns", "deployment/local-path-provisioner", "deployment/metrics-server"];
const CHART: &str = "helmchart/traefik";
const CHART_CONFIG: &str = "helmchartconfig/traefik";
/// Edge nodes have certificates of KubeEdge's authority, and each has a port of its own in its status.
const METRICS_ARGS: [&str; 2] = ["--kubelet-insecure-tls", "--kubelet-use-node-status-port"];

/// The step.
#[derive(Debug)]
pub struct Addons {
    kubeconfig: PathBuf,
    mode: K3sMode,
    node: Option<String>,
}

/// An object to set, and what the cluster has of it.
struct Wish {
    kind: &'static str,
    name: String,
    manifest: String,
    found: Value,
}

impl Addons {
    /// Those of the cluster of `config`.
    pub fn new(config: &CloudConfig) -> Self {
        let node = config.name.as_ref().map(ToString::to_string);
        Addons { kubeconfig: config.kubeconfig.clone(), mode: config.k3s, node }
    }

    /// What is to be set of the add-ons that are there; k3s may run without any of them.
    fn wishes(&self, kube: &mut Kube<'_>) -> Result<Vec<Wish>> {
        let mut wishes = Vec::new();
        for found in kube.some(SYSTEM, &DEPLOYMENTS)? {
            let name = text(&found, &["metadata", "name"]).to_owned();
            let manifest = match name.as_str() {
                METRICS_SERVER => fill(METRICS, &[("args", metrics_args(&found))]),
                _ => fill(ADDON, &[("name", Text(&name).to_string())]),
            };
            wishes.push(Wish { kind: "deployment", name, manifest, found });
        }
        let traefik = kube.some(SYSTEM, &[CHART, CHART_CONFIG])?;
        if pick(&traefik, CHART).is_some() {
            let found = pick(&traefik, CHART_CONFIG).cloned().unwrap_or_else(nothing);
            wishes.push(Wish {
                kind: "helmchartconfig",
                name: "traefik".to_owned(),
                manifest: TRAEFIK.to_owned(),
                found,
            });
        }
        // A k3s of ours was given the label in its configuration.
        if let (K3sMode::Existing, Some(node)) = (self.mode, &self.node)
            && let Some(found) = kube.get("node", "default", node)?
        {
            let manifest = fill(BALANCER, &[("node", Text(node).to_string())]);
            wishes.push(Wish { kind: "node", name: node.clone(), manifest, found });
        }
        Ok(wishes)
    }
}

fn nothing() -> Value {
    Value { place: json::Place { line: 1, column: 1 }, data: json::Data::Object(Vec::new()) }
}

/// The arguments of a Deployment's first container.
fn args_of(deployment: &Value) -> Vec<&str> {
    let path = ["spec", "template", "spec", "containers"];
    let containers = path.iter().try_fold(deployment, |value, key| value.get(key)).and_then(|c| c.items().ok());
    let args = containers.and_then(<[Value]>::first).and_then(|c| c.get("args")).and_then(|a| a.items().ok());
    args.unwrap_or_default().iter().filter_map(|arg| arg.text().ok()).collect()
}

/// The arguments that metrics-server has, and ours: a list is set as a whole.
fn metrics_args(deployment: &Value) -> String {
    let mut args = args_of(deployment);
    for ours in METRICS_ARGS {
        if !args.contains(&ours) {
            args.push(ours);
        }
    }
    quoted(&args)
}

fn quoted(texts: &[&str]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| Text(text).to_string()).collect();
    format!("[{}]", quoted.join(","))
}

fn wanted(manifest: &str) -> Result<Value> {
    json::read(manifest.as_bytes(), 1 << 20).map_err(|e| Error::new(Kind::Bug, format!("manifest: {e}")))
}

impl Step for Addons {
    fn id(&self) -> &'static str {
        "addons"
    }

    fn summary(&self) -> String {
        "k3s's add-ons stay off edge nodes".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        for wish in self.wishes(&mut kube)? {
            if let Some(path) = lacks(&wish.found, &wanted(&wish.manifest)?) {
                return Ok(Status::Todo(format!("{} '{}' lacks {path}", wish.kind, wish.name)));
            }
        }
        Ok(Status::Done)
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let root = cx.root;
        let wishes = self.wishes(&mut Kube::new(&self.kubeconfig, cx.exec))?;
        let metrics = wishes.iter().find(|wish| wish.name == METRICS_SERVER);
        if let (Some(wish), None) = (metrics, cx.journal.fact(FACT)) {
            cx.journal.remember(FACT, &quoted(&args_of(&wish.found)))?;
        }
        let objects: Vec<String> = wishes.into_iter().map(|wish| wish.manifest).collect();
        Kube::new(&self.kubeconfig, cx.exec).apply_part(root, &list_of(&objects))
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        if self.mode == K3sMode::Managed {
            return Ok(());
        }
        let args = cx.journal.fact(FACT).unwrap_or_default().to_owned();
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        for wish in self.wishes(&mut kube)? {
            let patch = match wish.name.as_str() {
                _ if wish.kind == "helmchartconfig" => {
                    kube.delete(wish.kind, SYSTEM, &wish.name)?;
                    continue;
                }
                _ if wish.kind == "node" => UNLABEL.to_owned(),
                METRICS_SERVER if !args.is_empty() => fill(UNDO_METRICS, &[("args", args.clone())]),
                _ => UNDO.to_owned(),
            };
            let space = if wish.kind == "node" { "default" } else { SYSTEM };
            kube.patch(wish.kind, space, &wish.name, &patch)?;
        }
        cx.journal.forget(FACT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_server_keeps_its_own_arguments() {
        let text =
            r#"{"spec":{"template":{"spec":{"containers":[{"name":"m","args":["--a=1","--kubelet-insecure-tls"]}]}}}}"#;
        let found = json::read(text.as_bytes(), 999).unwrap();
        let want = r#"["--a=1","--kubelet-insecure-tls","--kubelet-use-node-status-port"]"#;
        assert_eq!(metrics_args(&found), want);
        assert_eq!(metrics_args(&nothing()), r#"["--kubelet-insecure-tls","--kubelet-use-node-status-port"]"#);
        let manifest = fill(METRICS, &[("args", metrics_args(&found))]);
        assert!(lacks(&found, &wanted(&manifest).unwrap()).is_some());
    }

    #[test]
    fn every_manifest_is_json() {
        for text in [ADDON, METRICS, TRAEFIK, BALANCER, UNDO, UNDO_METRICS, UNLABEL] {
            wanted(text).unwrap();
        }
    }
}
