//! Waits until the Kubernetes API serves and this machine's node is Ready.

use std::path::PathBuf;
use std::time::Duration;

use super::pods::{probed, text};
use crate::bundle::Timestamp;
use crate::clock::{rfc3339, wait_for};
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::host::preflight::untested;
use crate::host::process::{self, Process};
use crate::json::{self, Value};
use crate::k3s::{HELD, Kube};
use crate::kubeedge::NO_EDGE;
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, Service};
use crate::steps::ready::is_fresh;

/// The step.
#[derive(Debug)]
pub struct ApiReady {
    kubeconfig: PathBuf,
    node: Option<String>,
    kubeedge: String,
    limit: Duration,
    service: Option<(Manager, Service)>,
    told: Version,
}

/// Whether the checks before the first step knew which Kubernetes it would be, and told what there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// They did.
    Told,
    /// Only the API knows.
    Untold,
}

impl ApiReady {
    /// `node` must be Ready; `kubeedge` is the version whose table says what Kubernetes it was tested with.
    pub fn new(kubeconfig: PathBuf, node: Option<String>, kubeedge: String, limit: Duration) -> Self {
        ApiReady { kubeconfig, node, kubeedge, limit, service: None, told: Version::Told }
    }

    /// The same, where `service` is to be asked for its last words, and the API for its version if that is untold.
    #[must_use]
    pub fn of(self, service: (Manager, Service), told: Version) -> Self {
        ApiReady { service: Some(service), told, ..self }
    }

    /// `None`: all is well; else what is not.
    fn lack(&self, cx: &mut Cx<'_>) -> Result<Option<String>> {
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        let answer = kube.raw("/readyz")?;
        if answer.code != 0 || answer.stdout.trim() != "ok" {
            return Ok(Some(format!("the API is not ready: {}", answer.last_words())));
        }
        let Some(name) = &self.node else { return Ok(None) };
        Ok(match kube.get("node", "default", name)? {
            None => Some(format!("node '{name}' has not registered")),
            Some(node) => {
                // What a k3s of before has said counts where we start none.
                let old = || self.service.as_ref().and_then(|_| of_before(&node, cx));
                match not_ready(&node).or_else(old) {
                    Some(why) => Some(format!("node '{name}' is not Ready: {why}")),
                    None => is_held(&node).then(|| HELD_BACK.to_owned()),
                }
            }
        })
    }

    /// A look; what holds pods back goes, as the images are there by now.
    fn look(&self, cx: &mut Cx<'_>) -> Result<Option<String>> {
        let lack = self.lack(cx)?;
        if let (Some(HELD_BACK), Some(name)) = (lack.as_deref(), &self.node) {
            Kube::new(&self.kubeconfig, cx.exec).untaint(name, HELD)?;
        }
        Ok(lack)
    }

    /// Refuses a name that no node of a cluster that runs has: it would be waited for in vain.
    pub fn guard(&self, cx: &mut Cx<'_>) -> Result<()> {
        let Some(name) = &self.node else { return Ok(()) };
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        let Ok(Some(_)) = kube.missing("default", &[&format!("node/{name}")]) else { return Ok(()) };
        // Of a thousand edges nobody wants to read.
        let nodes = kube.shown("nodes", "default", NO_EDGE, "--output=name")?;
        let some: Vec<String> = nodes
            .lines()
            .take(5)
            .filter_map(|node| node.strip_prefix("node/"))
            .map(|node| format!("'{node}'"))
            .gather();
        if some.is_empty() {
            return Ok(());
        }
        let what = format!("the cluster has no node '{name}', but {}", some.join(", "));
        Err(Error::new(Kind::Config, what).hint("set 'node.name' to the name that k3s gave this machine"))
    }

    /// Tells if a k3s that was there runs without what `kubectl logs` of edge nodes needs; it writes its arguments down at
    /// its node, those of its configuration, too.
    pub fn warn_of_arguments(&self, cx: &mut Cx<'_>) -> Result<()> {
        const ARGUMENTS: &str = r".metadata.annotations.k3s\.io/node-args";
        const NEEDS: [(&str, &str); 2] = [
            (r#""--egress-selector-mode","disabled""#, "--egress-selector-mode=disabled"),
            (r#""kubelet-certificate-authority=""#, "--kube-apiserver-arg=kubelet-certificate-authority="),
        ];
        let Some(name) = &self.node else { return Ok(()) };
        let given = Kube::new(&self.kubeconfig, cx.exec).field("node", "default", name, ARGUMENTS)?;
        let lacks = NEEDS.iter().filter(|(words, _)| !given.contains(words)).map(|(_, flag)| format!("'{flag}'"));
        let lacks: Vec<String> = lacks.gather();
        if !given.is_empty() && !lacks.is_empty() {
            let lacks = lacks.join(" and ");
            cx.report.warn(&format!("k3s runs without {lacks}: 'kubectl logs' and 'exec' of edge nodes need it"));
        }
        Ok(())
    }

    /// Tells if KubeEdge was not tested with the Kubernetes that serves.
    pub fn warn_of_version(&self, cx: &mut Cx<'_>) -> Result<()> {
        let answer = Kube::new(&self.kubeconfig, cx.exec).raw("/version")?;
        let version = json::read(answer.stdout.as_bytes(), 64 << 10).ok();
        let version = version.as_ref().and_then(|v| v.get("gitVersion")).and_then(|v| v.text().ok());
        if let Some(warning) = version.and_then(|version| untested(&self.kubeedge, version)) {
            cx.report.warn(&warning);
        }
        Ok(())
    }
}

const HELD_BACK: &str = "the node takes no pods, as if its images were still awaited";

fn is_held(node: &Value) -> bool {
    node.items_at(&["spec", "taints"]).iter().any(|taint| text(taint, &["key"]) == HELD)
}

/// A kubelet says how it is as soon as it runs. Where one did not for so long, the cluster no longer calls its node Ready:
/// its controller gives it 50 s, from its own start at the latest.
const YOUNG: u64 = 120;

/// Why that a node is Ready is no word of the kubelet that runs, which is k3s itself, but of one of before. `None`: it is.
pub(super) fn of_before(node: &Value, cx: &Cx<'_>) -> Option<String> {
    let own = running(cx);
    if own.is_empty() {
        return Some("k3s does not run".to_owned());
    }
    // None: this machine does not tell when its processes were started.
    let started = own.iter().filter_map(|one| process::started(cx.root, one.pid)).min()?;
    let heard = condition(node).map(|ready| text(ready, &["lastHeartbeatTime"]).parse().ok().map(Timestamp::seconds));
    let heard = heard.flatten();
    if cx.clock.unix().saturating_sub(started) >= YOUNG || is_fresh(heard, started, cx.clock) {
        return None;
    }
    let heard = heard.map_or_else(|| "an untold time".to_owned(), rfc3339);
    Some(format!("it is called so as of {heard}, when this k3s did not run"))
}

/// k3s by its name, or, should it have another one, by its program and what it is told to be.
fn running(cx: &Cx<'_>) -> Vec<Process> {
    // The last one is that of a k3s that has not unpacked itself yet.
    const NAMES: [&str; 3] = ["k3s-server", "k3s-agent", "k3s"];
    let mut own = process::named(cx.root, &NAMES).unwrap_or_default();
    own.retain(|one| !one.contained);
    if own.is_empty() {
        let is_own = |one: &Process| {
            !one.contained
                && one.program.ends_with("/k3s")
                && one.args.iter().any(|arg| arg.contains("server") || arg.contains("agent"))
        };
        own = process::picked(cx.root, is_own).unwrap_or_default();
    }
    own
}

fn condition(object: &Value) -> Option<&Value> {
    object.items_at(&["status", "conditions"]).iter().find(|one| text(one, &["type"]) == "Ready")
}

/// Why a node or pod is not Ready. `None`: it is.
pub(super) fn not_ready(object: &Value) -> Option<String> {
    match condition(object) {
        Some(ready) if text(ready, &["status"]) == "True" => None,
        Some(ready) => Some(format!("{} {}", text(ready, &["reason"]), text(ready, &["message"])).trim().to_owned()),
        None => Some("it has no condition Ready yet".to_owned()),
    }
}

impl Step for ApiReady {
    fn id(&self) -> &'static str {
        "api-ready"
    }

    fn summary(&self) -> String {
        "Kubernetes serves and its node is Ready".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        Ok(match self.lack(cx) {
            Ok(None) => Status::Done,
            Ok(Some(why)) => Status::Todo(why),
            Err(e) if e.kind() == Kind::Interrupted => return Err(e),
            Err(e) => Status::Todo(e.to_string()),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let waited = wait_for(cx.clock, "Kubernetes to serve", self.limit, || probed(self.look(cx)));
        match waited {
            Ok(()) if self.told == Version::Told => Ok(()),
            Ok(()) => self.warn_of_version(cx),
            Err(e) if e.kind() == Kind::Interrupted => Err(e),
            Err(e) => {
                let said = self.service.as_ref().map(|(manager, service)| cx.services(*manager).last_words(service));
                let said = said.map(|said| format!("; k3s's last words: {said}")).unwrap_or_default();
                Err(Error::new(Kind::Cluster, cx.report.mask(&format!("{e}{said}")))
                    .hint("see what k3s says is wrong, mend it and run again"))
            }
        }
    }

    fn undo(&self, _cx: &mut Cx<'_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::CountingClock;
    use crate::exec::Script;
    use crate::host::tree::Tree;
    use crate::k3s::{Part, service};
    use crate::plan::tests::with_cx;

    fn of_node() -> ApiReady {
        ApiReady::new("/k".into(), Some("n".into()), "v1.22.0".into(), Duration::from_secs(1))
    }

    fn with_script<T>(script: &mut Script, test: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        with_cx(|cx| {
            let Cx { root, clock, report, .. } = *cx;
            test(&mut Cx { exec: script, root, clock, report, journal: cx.journal, blobs: None })
        })
    }

    const READYZ: &str = "k3s kubectl --kubeconfig=/k get --raw=/readyz";
    const NODE: &str = "k3s kubectl --kubeconfig=/k get node/n --namespace=default --ignore-not-found --output=json";
    const READY: &str = r#"{"status":{"conditions":[{"type":"Ready","status":"True"}]}}"#;
    const NOT: &str = r#"{"status":{"conditions":[{"type":"Ready","status":"False","reason":"R","message":"m"}]}}"#;

    #[test]
    fn what_is_not_there_is_told() {
        let step = ApiReady::new("/k".into(), Some("n".into()), "v1.22.0".into(), Duration::from_secs(1));
        for (script, want) in [
            (Script::default().expect(READYZ, 1, "refused"), "the API is not ready: refused"),
            (Script::default().expect(READYZ, 0, "ok").expect(NODE, 0, ""), "node 'n' has not registered"),
            (Script::default().expect(READYZ, 0, "ok").expect(NODE, 0, NOT), "node 'n' is not Ready: R m"),
            (Script::default().expect(READYZ, 0, "ok").expect(NODE, 0, READY), ""),
        ] {
            let mut script = script;
            assert_eq!(with_script(&mut script, |cx| step.lack(cx)).unwrap().unwrap_or_default(), want);
            assert!(script.done());
        }
    }

    #[test]
    fn what_a_k3s_of_before_has_said_proves_nothing() {
        let now = 1_796_029_200;
        let mut clock = CountingClock::default();
        clock.epoch = now;
        // as it names itself, and before it has unpacked itself
        for name in ["k3s-agent", "k3s-server", "k3s"] {
            let k3s = |age: u64| {
                let stat = format!("7 (k3s) S{} {} 1\n", " 0".repeat(18), (9000 - age) * 100);
                let args = ["/usr/local/bin/k3s agent"];
                let tree = Tree::new().process(7, &format!("/usr/local/bin/{name}"), &args);
                tree.file("proc/7/stat", &stat).file("proc/stat", &format!("btime {}\n", now - 9000))
            };
            let told = |tree: &Tree, heard: &str| {
                let node = READY.replace(r#""Ready""#, &format!(r#""Ready","lastHeartbeatTime":"{heard}""#));
                let (root, node) = (tree.root(), json::read(node.as_bytes(), 999).unwrap());
                assert_eq!(not_ready(&node), None);
                with_cx(|cx| {
                    let Cx { report, .. } = *cx;
                    let mut script = Script::default();
                    let (root, exec, clock) = (&root, &mut script, &clock);
                    of_before(&node, &Cx { root, exec, clock, report, journal: cx.journal, blobs: None })
                })
            };
            let old = |heard| Some(format!("it is called so as of {heard}, when this k3s did not run"));
            assert_eq!(told(&k3s(10), &rfc3339(now - 9)), None);
            assert_eq!(told(&k3s(10), &rfc3339(now - 30)), old(rfc3339(now - 30)));
            assert_eq!(told(&k3s(10), "?"), old("an untold time".to_owned()));
            // by then the cluster has missed it, and a clock may have been set
            assert_eq!(told(&k3s(3600), &rfc3339(now - 90_000)), None);
            // nor does every machine tell
            assert_eq!(told(&k3s(10).file("proc/stat", "cpu 1\n"), &rfc3339(now - 90_000)), None);
            // under another name
            let exe = "/var/lib/rancher/k3s/data/x/bin/k3s";
            let other = |arg| k3s(10).process(7, exe, &[arg]).file("proc/7/comm", "main\n");
            assert_eq!(told(&other("k3s server"), &rfc3339(now - 9)), None);
            let none = told(&other("k3s kubectl"), &rfc3339(now - 9));
            assert_eq!(none.as_deref(), Some("k3s does not run"));
            // one in a container is none
            let contained = k3s(3600).link("proc/7/ns/pid", "pid:[99]").link("proc/self/ns/pid", "pid:[1]");
            assert_eq!(told(&contained, &rfc3339(now)).as_deref(), Some("k3s does not run"));
        }
        // of a k3s that somebody else starts nothing is asked
        for (service, want) in [(None, None), (Some((Manager::Systemd, service(Part::Server))), Some("n"))] {
            let mut script = Script::default().expect(READYZ, 0, "ok").expect(NODE, 0, READY);
            let step = ApiReady { service, ..of_node() };
            let lack = with_script(&mut script, |cx| step.lack(cx)).unwrap();
            assert_eq!(lack, want.map(|name| format!("node '{name}' is not Ready: k3s does not run")));
        }
    }

    #[test]
    fn a_name_that_no_node_has_is_refused_at_once() {
        for (nodes, want) in [
            (["", "node/a\nnode/b\n"], Some("the cluster has no node 'n', but 'a', 'b'")),
            (["node/n\n", ""], None),
            (["", ""], None),
        ] {
            with_cx(|cx| {
                let step = ApiReady::new("/k".into(), Some("n".into()), "v1.22.0".into(), Duration::ZERO);
                let get = "k3s kubectl --kubeconfig=/k get";
                let own = format!("{get} node/n --namespace=default --ignore-not-found --output=name");
                let some = format!("{get} nodes --namespace=default '--selector={NO_EDGE}' --output=name");
                let mut script = Script::default().expect(&own, 0, nodes[0]);
                if nodes[0].is_empty() {
                    script = script.expect(&some, 0, nodes[1]);
                }
                let Cx { root, clock, report, .. } = *cx;
                let mut cx = Cx { exec: &mut script, root, clock, report, journal: cx.journal, blobs: None };
                let found = step.guard(&mut cx).map_err(|e| (e.to_string(), e.kind()));
                assert_eq!(found.err(), want.map(|what| (what.to_owned(), Kind::Config)));
            });
        }
    }

    #[test]
    fn a_k3s_that_cannot_reach_edge_nodes_is_told() {
        let get = r"k3s kubectl --kubeconfig=/k get node n --namespace=default --ignore-not-found '--output=jsonpath={.metadata.annotations.k3s\.io/node-args}'";
        for (args, want) in [
            (
                r#"["server","--egress-selector-mode","disabled","--kube-apiserver-arg","kubelet-certificate-authority="]"#,
                "",
            ),
            (
                r#"["server","--disable","traefik"]"#,
                "k3s runs without '--egress-selector-mode=disabled' and \
                 '--kube-apiserver-arg=kubelet-certificate-authority=': 'kubectl logs' and 'exec' of edge nodes need it",
            ),
            ("", ""),
        ] {
            with_cx(|cx| {
                let step = ApiReady::new("/k".into(), Some("n".into()), "v1.22.0".into(), Duration::ZERO);
                let mut script = Script::default().expect(get, 0, args);
                let Cx { root, clock, report, .. } = *cx;
                let mut cx = Cx { exec: &mut script, root, clock, report, journal: cx.journal, blobs: None };
                step.warn_of_arguments(&mut cx).unwrap();
                assert_eq!(report.warnings().concat(), want);
            });
        }
    }

    #[test]
    fn pods_are_held_back_no_longer_than_until_then() {
        with_cx(|cx| {
            let step = ApiReady::new("/k".into(), Some("n".into()), "v1.22.0".into(), Duration::from_secs(9));
            let held =
                READY.replacen('{', r#"{"spec":{"taints":[{"key":"a"},{"key":"edgelay/images","value":"x"}]},"#, 1);
            let mut script = Script::default().expect(READYZ, 0, "ok").expect(NODE, 0, &held);
            assert_eq!(with_script(&mut script, |cx| step.lack(cx)).unwrap().as_deref(), Some(HELD_BACK));
            let mut script = Script::default().expect(READYZ, 0, "ok").expect(NODE, 0, &held);
            script = script.expect("k3s kubectl --kubeconfig=/k taint node n edgelay/images-", 0, "");
            script = script.expect(READYZ, 0, "ok").expect(NODE, 0, READY);
            let Cx { root, clock, report, .. } = *cx;
            step.apply(&mut Cx { exec: &mut script, root, clock, report, journal: cx.journal, blobs: None }).unwrap();
            assert!(script.done());
        });
    }

    #[test]
    fn an_untested_kubernetes_is_told() {
        const VERSION: &str = "k3s kubectl --kubeconfig=/k get --raw=/version";
        for (says, want) in
            [(r#"{"gitVersion":"v1.34.2+k3s1"}"#, 1), (r#"{"gitVersion":"v1.30.1"}"#, 0), ("no JSON", 0)]
        {
            with_cx(|cx| {
                let step = ApiReady::new("/k".into(), None, "v1.22.0".into(), Duration::ZERO);
                let mut script = Script::default().expect(VERSION, 0, says);
                let Cx { root, clock, report, .. } = *cx;
                let mut cx = Cx { exec: &mut script, root, clock, report, journal: cx.journal, blobs: None };
                step.warn_of_version(&mut cx).unwrap();
                assert_eq!(report.warnings().len(), want, "{says}");
            });
        }
    }

    #[test]
    fn an_api_that_never_comes_ends_with_what_was_seen_last() {
        with_cx(|cx| {
            let step = ApiReady::new("/k".into(), None, "v1.22.0".into(), Duration::ZERO);
            let mut script = Script::default().expect(READYZ, 1, "connection refused");
            let mut cx = Cx {
                exec: &mut script,
                root: cx.root,
                clock: cx.clock,
                report: cx.report,
                journal: cx.journal,
                blobs: None,
            };
            let e = step.apply(&mut cx).unwrap_err();
            let want = "waited 0 s for Kubernetes to serve; last seen: the API is not ready: connection refused";
            assert_eq!((e.to_string().as_str(), e.kind()), (want, Kind::Cluster));
        });
    }
}
