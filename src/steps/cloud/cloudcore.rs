//! CloudCore: `keadm init` or `keadm upgrade cloud`, with what it silently needs, our own waiting, and the one restart
//! after which the CA that it serves is the one that is stored.

use std::path::PathBuf;
use std::time::Duration;

use super::localtime;
use super::pods::{Images, probed, text};
use super::release::{self, CORE, CUT, Found, RELEASE, Space};
use crate::clock::{Probe, wait_for};
use crate::config::{CloudConfig, K3sMode};
use crate::error::{Error, Kind, Result, Trail};
use crate::exec::{Cmd, Life};
use crate::gather::Grow;
use crate::host::preflight::PACKAGE_MANAGERS;
use crate::ids::RelPath;
use crate::json::{Value, include_json};
use crate::k3s::Kube;
use crate::kubeedge::{Chart, Difference, NAMESPACE, SERVER_LABEL};
use crate::note;
use crate::plan::{Cx, Status, Step};
use crate::report::printable;
use crate::steps::firewall;

/// The CA's hash as it was when CloudCore had been restarted once, with all that is set; or one of the next two.
pub(super) const FACT: &str = "cloudcore-ca";
/// In its place from before an upgrade: it is to be started again.
const SET: &str = "to be started again";
/// The same, and is to make its certificate anew: it makes one only where there is none.
const NAMED: &str = "to be started again with other names";
/// A namespace with running pods takes half a minute to go.
const GONE: Duration = Duration::from_secs(180);
const NAMESPACE_JSON: &str = include_json!("../../k3s/manifests/namespace.json");
/// Stands in for a package manager where there is none that keadm knows; not below /run, which may be mounted noexec.
const APT: RelPath<'static> = RelPath::literal("var/lib/edgelay/shim/apt");
const APT_TEXT: &str = "#!/bin/sh\n# Written by edgelay: keadm panics on hosts without apt, yum and pacman.\nexit 1\n";
/// What the chart makes outside the namespace.
const CLUSTER_WIDE: [&str; 6] = [
    "cloudcore",
    "cloudcore-common",
    "cloudcore-feature",
    "controller-manager",
    "iptables-manager",
    "kubeedge-admission",
];

/// Namespaces whose pods on this node have their images from our bundle.
const SPACES: [&str; 2] = [NAMESPACE, "kube-system"];

/// So many of further nodes' pods are named.
const TOLD: usize = 5;

/// The step.
#[derive(Debug)]
pub struct CloudCore {
    chart: Chart,
    kubeconfig: PathBuf,
    mode: K3sMode,
    limit: Duration,
}

impl CloudCore {
    /// CloudCore as `chart` says, in the cluster of `config`.
    pub fn new(config: &CloudConfig, chart: Chart) -> Self {
        let (kubeconfig, mode, limit) = (config.kubeconfig.clone(), config.k3s, config.ready_timeout);
        CloudCore { chart, kubeconfig, mode, limit }
    }

    /// Refuses a cluster in which somebody else runs KubeEdge; to be called before anything is brought into it.
    pub fn guard(&self, cx: &mut Cx<'_>) -> Result<()> {
        release::space(&mut Kube::new(&self.kubeconfig, cx.exec)).map(|_| ())
    }

    fn kube<'a>(&'a self, cx: &'a mut Cx<'_>) -> Kube<'a> {
        Kube::new(&self.kubeconfig, cx.exec)
    }

    /// Brings a release about that is as wanted.
    fn release(&self, cx: &mut Cx<'_>) -> Result<()> {
        let found = release::look(&mut self.kube(cx), &self.chart)?;
        match found {
            Found::Wanted => Ok(()),
            Found::Different(difference) => self.upgrade(difference, cx),
            Found::Nothing(space) => {
                self.clear(space, cx)?;
                Kube::new(&self.kubeconfig, cx.exec).apply(cx.root, NAMESPACE_JSON)?;
                let knows = cx.exec.run(&self.chart.init_help())?.stdout;
                self.keadm(self.chart.init(&knows), cx).doing(|| "keadm init".to_owned())
            }
        }
    }

    /// An attempt of ours that failed, or was cut, leaves a release that keadm takes for a good one.
    fn clear(&self, space: Space, cx: &mut Cx<'_>) -> Result<()> {
        if space == Space::None || (space == Space::Ours && !self.kube(cx).has("secrets", NAMESPACE, RELEASE)?) {
            return Ok(());
        }
        cx.report.info("clearing what an earlier attempt to bring up CloudCore left");
        cx.journal.forget(FACT)?;
        self.kube(cx).delete("namespace", "default", NAMESPACE)?;
        self.until_gone(cx)
    }

    /// Makes this node of a k3s that was there the one that CloudCore may run on: edges are told its addresses, and no
    /// other has the images.
    fn mark_node(&self, cx: &mut Cx<'_>) -> Result<()> {
        match (self.mode, &self.chart.node) {
            (K3sMode::Existing, Some(node)) => {
                self.kube(cx).label_nodes(node, &format!("{}={}", SERVER_LABEL.0, SERVER_LABEL.1))
            }
            _ => Ok(()),
        }
    }

    fn until_gone(&self, cx: &mut Cx<'_>) -> Result<()> {
        wait_for(cx.clock, "namespace 'kubeedge' to be gone", GONE, || {
            Ok(match Kube::new(&self.kubeconfig, cx.exec).get("namespace", "default", NAMESPACE)? {
                None => Probe::Ready,
                Some(found) => Probe::NotYet(why_it_stays(&found)),
            })
        })
    }

    fn upgrade(&self, difference: Difference, cx: &mut Cx<'_>) -> Result<()> {
        // On disk first: when it is done and we are cut, nothing else tells that CloudCore runs with what was before.
        let named = matches!(difference, Difference::Names(_)) || cx.journal.fact(FACT) == Some(NAMED);
        cx.journal.remember(FACT, if named { NAMED } else { SET })?;
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        kube.delete_all("secrets", NAMESPACE, CUT)?;
        self.keadm(self.chart.upgrade(), cx).doing(|| "keadm upgrade cloud".to_owned())
    }

    /// Starts CloudCore again after an upgrade, perhaps one of a run that was cut.
    fn follow_up(&self, cx: &mut Cx<'_>) -> Result<bool> {
        let Some(fact @ (SET | NAMED)) = cx.journal.fact(FACT) else { return Ok(false) };
        if fact == NAMED {
            self.kube(cx).delete("secret", NAMESPACE, "cloudcoresecret")?;
        }
        self.restart(cx).map(|()| true)
    }

    /// Its ReplicaSet starts another one; a rollout would wait for ports that the old one holds.
    fn restart(&self, cx: &mut Cx<'_>) -> Result<()> {
        self.kube(cx).delete_all("pods", NAMESPACE, CORE)
    }

    fn keadm(&self, mut cmd: Cmd, cx: &mut Cx<'_>) -> Result<()> {
        cmd.path_first.add_all(lend_package_manager(cx)?);
        // Were we killed, it would go on, and write its release between what the next run clears and makes.
        cmd.life = Life::Ours;
        let output = cx.exec.run(&cmd)?;
        note::debug(format_args!("keadm said: {}", printable(&format!("{}\n{}", output.stdout, output.stderr))));
        if output.code == 0 {
            return Ok(());
        }
        // On an error keadm prints how it is used, after the error.
        let said = format!("{}\n{}", output.stderr, output.stdout);
        let line = said.lines().find(|line| line.contains("rror")).unwrap_or(said.trim());
        Err(Error::new(Kind::Cluster, printable(line.trim()).to_string())
            .hint("look at 'k3s kubectl -n kubeedge get pods'; then run again"))
    }

    /// In a k3s that was there kube-system is not ours.
    fn images(&self) -> Images<'_> {
        let spaces = if self.mode == K3sMode::Existing { SPACES.get(..1) } else { None };
        Images::new(self.chart.node.as_deref(), spaces.unwrap_or(&SPACES))
    }

    /// What is not ready. `None`: all is.
    fn lack(&self, images: &mut Images<'_>, cx: &mut Cx<'_>) -> Result<Option<String>> {
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        let lack = release::lack(&mut kube, &self.chart)?;
        if lack.is_some() {
            // Of an upgrade: the new pod cannot run while an old one holds the host's ports.
            release::evict_old(&mut kube, &self.chart)?;
        }
        Ok(images.look(&mut kube, cx.clock)?.or(lack))
    }

    fn wait(&self, cx: &mut Cx<'_>) -> Result<()> {
        let (clock, mut images) = (cx.clock, self.images());
        let waited = wait_for(clock, "CloudCore to be ready", self.limit, || {
            let seen = probed(self.lack(&mut images, cx))?;
            images.verdict()?;
            Ok(seen)
        });
        waited.map_err(|e| match e.kind() {
            Kind::Runtime => Error::new(Kind::Cluster, e.to_string())
                .hint("look at 'k3s kubectl -n kubeedge describe pods'; then run again"),
            _ => e,
        })
    }
}

/// A namespace that is being deleted tells what it waits for: an API that does not answer, say, which has nothing to do
/// with us, holds up all of them.
fn why_it_stays(namespace: &Value) -> String {
    let told = namespace.items_at(&["status", "conditions"]).iter().find(|c| text(c, &["status"]) == "True");
    let told = told.map(|c| format!(": {}", text(c, &["message"])));
    format!("it is still being deleted{}", told.unwrap_or_default())
}

/// A directory with an `apt` that does nothing, where the host has no package manager that keadm knows.
fn lend_package_manager(cx: &mut Cx<'_>) -> Result<Option<PathBuf>> {
    if PACKAGE_MANAGERS.iter().any(|name| cx.exec.find(name).is_some()) {
        return Ok(None);
    }
    cx.put(APT, 0o755, APT_TEXT.as_bytes())?;
    Ok(APT.split().0.map(|dir| cx.root.absolute(dir)))
}

impl Step for CloudCore {
    fn id(&self) -> &'static str {
        "cloudcore"
    }

    fn summary(&self) -> String {
        format!("CloudCore {} runs and is set for edges", self.chart.version)
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        match release::look(&mut kube, &self.chart)? {
            Found::Nothing(_) => return Ok(Status::todo("CloudCore is not installed")),
            Found::Different(difference) => return Ok(Status::Todo(difference.text())),
            Found::Wanted => {}
        }
        let lack = release::lack(&mut kube, &self.chart)?;
        if let Some(why) = self.images().look(&mut kube, cx.clock)?.or(lack) {
            return Ok(Status::Todo(why));
        }
        let hash = match release::ca_hash(&self.kubeconfig, cx.exec) {
            Ok(hash) => hash.hex(),
            Err(e) if e.kind() == Kind::Interrupted => return Err(e),
            Err(e) => return Ok(Status::Todo(e.to_string())),
        };
        Ok(match cx.journal.fact(FACT) == Some(hash.as_str()) {
            true => Status::Done,
            false => Status::todo("CloudCore was not started again with the CA that it made, or what was set"),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        localtime::provide(cx)?;
        self.mark_node(cx)?;
        self.release(cx)?;
        let is_started = self.follow_up(cx)?;
        self.wait(cx)?;
        let elsewhere = release::elsewhere(&mut self.kube(cx), &self.chart)?;
        for pod in elsewhere.iter().take(TOLD) {
            cx.report.warn(&format!("{pod}; run 'edgelay cloud worker install' there with this bundle"));
        }
        if let Some(more @ 1..) = elsewhere.len().checked_sub(TOLD) {
            cx.report.warn(&format!("{more} more pods of further nodes are not Ready, or of another version"));
        }
        let hash = release::ca_hash(&self.kubeconfig, cx.exec).map(|digest| digest.hex());
        if hash.is_ok_and(|hash| cx.journal.fact(FACT) == Some(hash.as_str())) {
            return Ok(());
        }
        if !is_started {
            // Two instances at the very first start can each make a CA; the second start takes the one that was stored.
            self.restart(cx)?;
            self.wait(cx)?;
        }
        let hash = release::ca_hash(&self.kubeconfig, cx.exec)?.hex();
        cx.journal.remember(FACT, &hash)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        if self.mode == K3sMode::Existing {
            let mut kube = Kube::new(&self.kubeconfig, cx.exec);
            if release::space(&mut kube)? != Space::None {
                kube.delete("namespace", "default", NAMESPACE)?;
            }
            for name in &CLUSTER_WIDE {
                kube.delete("clusterrolebinding", "default", name)?;
                kube.delete("clusterrole", "default", name)?;
            }
            if kube.has("nodes", "default", SERVER_LABEL.0)? {
                kube.label_nodes(&format!("--selector={}", SERVER_LABEL.0), &format!("{}-", SERVER_LABEL.0))?;
            }
            self.until_gone(cx)?;
            firewall::remove(cx, &["TUNNEL-PORT"]);
            localtime::undo(cx)?;
        }
        cx.journal.forget(FACT)?;
        cx.take_back_file(APT.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;
    use crate::json::read;
    use crate::plan::tests::with_cx;

    #[test]
    fn what_an_upgrade_is_followed_by_outlives_a_cut() {
        let config = CloudConfig { kubeconfig: "/k".into(), ..CloudConfig::default() };
        let chart = Chart::new(&config, "v1.22.0".into());
        let step = CloudCore::new(&config, chart.clone());
        let delete = |what: &str| format!("k3s kubectl --kubeconfig=/k delete {what} --ignore-not-found --wait=false");
        let restart = delete(&format!("pods --namespace=kubeedge --selector={CORE}"));
        let cut = delete(&format!("secrets --namespace=kubeedge --selector={CUT}"));
        let secret = delete("secret cloudcoresecret --namespace=kubeedge");
        let keadm = chart.upgrade().to_string();
        with_cx(|cx| {
            let mut script = Script::default();
            script.programs.push("apt".into());
            // Names differ; then, when that was cut, values do; then nothing.
            script = script.expect(&cut, 0, "").expect(&keadm, 1, "Error: cut");
            script = script.expect(&cut, 0, "").expect(&keadm, 0, "").expect(&secret, 0, "").expect(&restart, 0, "");
            let Cx { root, clock, report, .. } = *cx;
            let cx = &mut Cx { exec: &mut script, root, clock, report, journal: cx.journal, blobs: None };
            assert!(!step.follow_up(cx).unwrap());
            step.upgrade(Difference::Names("x".into()), cx).unwrap_err();
            step.upgrade(Difference::Values("x".into()), cx).unwrap();
            assert!(step.follow_up(cx).unwrap());
            assert!(script.done());
        });
    }

    #[test]
    fn a_namespace_that_stays_tells_why() {
        let ending = r#"{"status":{"phase":"Terminating","conditions":[
            {"type":"NamespaceDeletionContentFailure","status":"False","message":"All content deleted"},
            {"type":"NamespaceDeletionDiscoveryFailure","status":"True","message":"1 failing: metrics.k8s.io/v1beta1"}]}}"#;
        let why = |text: &str| why_it_stays(&read(text.as_bytes(), 9999).unwrap());
        assert_eq!(why(ending), "it is still being deleted: 1 failing: metrics.k8s.io/v1beta1");
        assert_eq!(why(r#"{"status":{"phase":"Terminating"}}"#), "it is still being deleted");
    }
}
