//! Keeps k3s's add-ons off edge nodes, which register without a taint, and lets metrics-server read edge nodes.
//!
//! Only the fields in the manifests are set; an uninstall takes them back from a k3s that stays.

use std::path::PathBuf;

use crate::config::{CloudConfig, K3sMode};
use crate::error::{Error, Kind, Result};
use crate::gather::{Gather, Grow};
use crate::json::{self, Text, Value, include_json};
use crate::k3s::{Kube, fill, lacks, list_of, pick};
use crate::kubeedge::NO_EDGE;
use crate::plan::{Cx, Status, Step};

use super::pods::text;
use super::release::OWNER;

const SYSTEM: &str = "kube-system";
const ADDON: &str = include_json!("../../k3s/manifests/addon.json");
/// Edge nodes have certificates of KubeEdge's authority, and each has a port of its own in its status. In `command`, which
/// k3s's manifest does not have: fields that it has k3s puts back at its every start.
const METRICS: &str = include_json!("../../k3s/manifests/metrics-server.json");
const TRAEFIK: &str = include_json!("../../k3s/manifests/traefik.json");
/// Keeps the job that brings a chart of k3s's in on servers, where it may run on any node else.
const CHARTED: &str = include_json!("../../k3s/manifests/chart.json");
/// What takes back each of these.
const UNDO_CHARTED: &str = r#"{"spec": {"bootstrap": null}}"#;
const UNDO: &str = include_json!("../../k3s/manifests/undo-addon.json");
const UNDO_METRICS: &str = include_json!("../../k3s/manifests/undo-metrics-server.json");
const METRICS_SERVER: &str = "metrics-server";
/// Add-ons that are Deployments.
const DEPLOYMENTS: [&str; 3] = ["deployment/coredns", "deployment/local-path-provisioner", "deployment/metrics-server"];
/// Where an object comes from that k3s made out of a file: one of the same name may be somebody else's, out of a file that
/// a site has put beside k3s's own.
const OWNER_FILE: &str = "objectset.rio.cattle.io/owner-name";
/// The files of its add-ons, as k3s names them.
const FILES: [&str; 4] = ["coredns", "local-storage", "metrics-server-deployment", "traefik"];
const CHART: &str = "helmchart/traefik";
/// All that Traefik takes.
const CHARTS: [&str; 2] = [CHART, "helmchart/traefik-crd"];
/// Servers, as that job finds them; a line for each: its version, and what it runs with.
const SERVERS: &str = "node-role.kubernetes.io/control-plane=true";
const RUNS_WITH: &str = r#"--output=jsonpath={range .items[*]}{.status.nodeInfo.kubeletVersion}{" "}{.metadata.annotations.k3s\.io/node-args}{"\n"}{end}"#;
const CHART_CONFIG: &str = "helmchartconfig/traefik";
/// Where services of type LoadBalancer are served: once one node has the label, on such nodes only.
const BALANCES: &str = "svccontroller.k3s.cattle.io/enablelb";
/// That the label was put on nodes of a cluster in which no node had it.
const FACT: &str = "balancer-nodes";

/// The step.
#[derive(Debug)]
pub struct Addons {
    kubeconfig: PathBuf,
    mode: K3sMode,
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
        Addons { kubeconfig: config.kubeconfig.clone(), mode: config.k3s }
    }

    /// What is to be set of the add-ons that are there; k3s may run without any of them.
    fn wishes(&self, kube: &mut Kube<'_>) -> Result<Vec<Wish>> {
        let mut wishes = Vec::new();
        for found in kube.some(SYSTEM, &DEPLOYMENTS)? {
            let name = text(&found, &["metadata", "name"]).to_owned();
            if !is_by_k3s(&found) {
                continue;
            }
            let manifest = match name.as_str() {
                METRICS_SERVER => METRICS.to_owned(),
                _ => fill(ADDON, &[("name", Text(&name).to_string())]),
            };
            wishes.push(Wish { kind: "deployment", name, manifest, found });
        }
        let traefik = kube.some(SYSTEM, &[CHARTS[0], CHARTS[1], CHART_CONFIG])?;
        let charts = CHARTS.iter().filter_map(|name| pick(&traefik, name));
        let charts: Vec<&Value> = charts.filter(|one| is_by_k3s(one)).gather();
        let is_held = |one: &&Value| one.get("spec").is_some_and(|spec| spec.get("bootstrap").is_some());
        if !charts.is_empty()
            && (charts.iter().all(is_held) || holds_jobs(&kube.shown("nodes", "default", SERVERS, RUNS_WITH)?))
        {
            wishes.add_all(charts.into_iter().map(|found| {
                let name = text(found, &["metadata", "name"]).to_owned();
                let manifest = fill(CHARTED, &[("name", Text(&name).to_string())]);
                Wish { kind: "helmchart", name, manifest, found: found.clone() }
            }));
        }
        let config = pick(&traefik, CHART_CONFIG);
        // There can be one only: where the user has one, it says how Traefik is to be.
        if pick(&traefik, CHART).is_some() && config.is_none_or(is_ours) {
            wishes.push(Wish {
                kind: "helmchartconfig",
                name: "traefik".to_owned(),
                manifest: TRAEFIK.to_owned(),
                found: config.cloned().unwrap_or_else(nothing),
            });
        }
        Ok(wishes)
    }

    /// Whether nodes of a k3s that was there are still to get the label. One of ours was given it in its configuration; and
    /// whoever gave it to some has chosen.
    fn unlabelled(&self, cx: &mut Cx<'_>) -> Result<bool> {
        let ours = cx.journal.fact(FACT).is_some();
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        Ok(self.mode == K3sMode::Existing
            && (ours || !kube.has("nodes", "default", BALANCES)?)
            && kube.has("nodes", "default", &format!("{NO_EDGE},!{BALANCES}"))?)
    }
}

/// Whether servers can run that job: it asks them for chart and API at 127.0.0.1, and before v1.34.2 at a port that has
/// no charts (k3s's pull request 12990).
fn holds_jobs(servers: &str) -> bool {
    const SINCE: [u32; 3] = [1, 34, 2];
    let holds = |line: &str| {
        let (version, args) = line.split_once(' ').unwrap_or((line, ""));
        let version = version.trim_start_matches('v').split(['.', '+', '-']).map_while(|n| n.parse().ok());
        version.take(3).gather::<Vec<u32>>().as_slice() >= &SINCE[..] && !args.contains("--bind-address")
    };
    !servers.is_empty() && servers.lines().all(holds)
}

fn is_by_k3s(object: &Value) -> bool {
    FILES.contains(&text(object, &["metadata", "annotations", OWNER_FILE]))
}

fn is_ours(config: &Value) -> bool {
    text(config, &["metadata", "labels", OWNER.0]) == OWNER.1
}

fn nothing() -> Value {
    Value { place: json::Place { line: 1, column: 1 }, data: json::Data::Object(Vec::new()) }
}

fn wanted(manifest: &str) -> Result<Value> {
    json::read(manifest.as_bytes(), 1 << 20).map_err(|e| Error::new(Kind::Bug, format_args!("manifest: {e}")))
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
        Ok(match self.unlabelled(cx)? {
            true => Status::todo("services of type LoadBalancer may be served by edge nodes"),
            false => Status::Done,
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let root = cx.root;
        let wishes = self.wishes(&mut Kube::new(&self.kubeconfig, cx.exec))?;
        let objects: Vec<String> = wishes.into_iter().map(|wish| wish.manifest).gather();
        if !objects.is_empty() {
            Kube::new(&self.kubeconfig, cx.exec).apply_part(root, &list_of(&objects))?;
        }
        if self.unlabelled(cx)? {
            cx.journal.remember(FACT, "ours")?;
            let which = format!("--selector={NO_EDGE}");
            Kube::new(&self.kubeconfig, cx.exec).label_nodes(&which, &format!("{BALANCES}=true"))?;
        }
        Ok(())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        if self.mode == K3sMode::Managed {
            return Ok(());
        }
        let ours = cx.journal.fact(FACT).is_some();
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        for wish in self.wishes(&mut kube)? {
            match (wish.kind, wish.name.as_str()) {
                ("helmchartconfig", name) => kube.delete(wish.kind, SYSTEM, name),
                // A kind of k3s's own knows no other form.
                ("helmchart", name) => kube.patch(wish.kind, SYSTEM, name, ("merge", UNDO_CHARTED)),
                (kind, METRICS_SERVER) => kube.patch(kind, SYSTEM, METRICS_SERVER, ("strategic", UNDO_METRICS)),
                (kind, name) => kube.patch(kind, SYSTEM, name, ("strategic", UNDO)),
            }?;
        }
        if ours && kube.has("nodes", "default", BALANCES)? {
            kube.label_nodes(&format!("--selector={BALANCES}"), &format!("{BALANCES}-"))?;
        }
        cx.journal.forget(FACT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_somebody_elses_is_left_alone() {
        use crate::exec::Script;
        let get = |names: &[&str]| {
            let names = names.join(" ");
            format!("k3s kubectl --kubeconfig=/k get {names} --namespace=kube-system --ignore-not-found --output=json")
        };
        let object = |kind: &str, name: &str, label: &str| {
            let told = format!(r#""labels":{{{label}}},"annotations":{{{label}}}"#);
            format!(r#"{{"kind":"{kind}","metadata":{{"name":"{name}",{told}}}}}"#)
        };
        let list = |objects: &[String]| format!(r#"{{"items":[{}]}}"#, objects.join(","));
        let (k3s, ours) =
            (r#""objectset.rio.cattle.io/owner-name":"traefik""#, r#""app.kubernetes.io/managed-by":"edgelay""#);
        let chart = || object("HelmChart", "traefik", k3s);
        let crds = || object("HelmChart", "traefik-crd", k3s);
        let held = || chart().replacen('{', r#"{"spec":{"bootstrap":true},"#, 1);
        let config = |label: &str| object("HelmChartConfig", "traefik", label);
        let nodes = format!(
            "k3s kubectl --kubeconfig=/k get nodes --namespace=default --selector={SERVERS} '{}'",
            RUNS_WITH.replace('\'', "")
        );
        let (new, old) =
            (Some("v1.34.2+k3s1 [\"server\"]\nv1.35.0+k3s3 \n"), Some("v1.34.2+k3s1 []\nv1.34.1+k3s1 []\n"));
        let bound = Some("v1.36.0+k3s1 [\"server\",\"--bind-address\",\"10.0.0.1\"]\n");
        let (job, jobs, values) = ("helmchart/traefik", "helmchart/traefik-crd", "helmchartconfig/traefik");
        for (traefik, servers, want) in [
            (vec![chart(), crds()], new, vec![job, jobs, values]),
            (vec![chart(), crds(), config(ours)], old, vec![values]),
            (vec![chart(), config("")], bound, vec![]),
            // so that its undoing finds it
            (vec![held()], None, vec![job, values]),
            (vec![chart(), config("")], Some(""), vec![]),
            (vec![object("HelmChart", "traefik", "")], None, vec![values]),
            (vec![], None, vec![]),
        ] {
            let deployments = [
                object("Deployment", "coredns", k3s),
                object("Deployment", METRICS_SERVER, &k3s.replace("traefik", "site")),
            ];
            let mut script = Script::default().expect(&get(&DEPLOYMENTS), 0, &list(&deployments));
            script = script.expect(&get(&[CHARTS[0], CHARTS[1], CHART_CONFIG]), 0, &list(&traefik));
            if let Some(servers) = servers {
                script = script.expect(&nodes, 0, servers);
            }
            let step = Addons::new(&CloudConfig { kubeconfig: "/k".into(), ..CloudConfig::default() });
            let found = step.wishes(&mut Kube::new(&step.kubeconfig, &mut script)).unwrap();
            let found: Vec<String> = found.iter().map(|wish| format!("{}/{}", wish.kind, wish.name)).collect();
            assert_eq!(found, [&["deployment/coredns"], &want[..]].concat());
            assert!(script.done());
        }
    }

    #[test]
    fn every_manifest_is_json() {
        for text in [ADDON, METRICS, TRAEFIK, CHARTED, UNDO, UNDO_METRICS, UNDO_CHARTED] {
            wanted(text).unwrap();
        }
    }
}
