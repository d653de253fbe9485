//! CloudCore in the cluster as it stands: whose namespace it is, what helm says, which pods run, and what they serve.

use std::time::Duration;

use crate::base64;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::exec::Exec;
use crate::gather::{Gather, Grow};
use crate::host::reach::{self, Answer};
use crate::ids::HostPort;
use crate::json::Value;
use crate::k3s::{Kube, pick};
use crate::kubeedge::{CERTIFICATES, Chart, Difference, NAMESPACE, SERVER_LABEL, WEBSOCKET};

use super::pods::{Pod, text};

/// Labels of helm's records of the release.
pub(super) const RELEASE: &str = "owner=helm,name=cloudcore";
/// A record that helm leaves when it is cut: it refuses to go on until it is gone.
pub(super) const CUT: &str = "owner=helm,name=cloudcore,status=pending-upgrade";
/// A line for each record: its number and its state.
const STATES: &str =
    r#"--output=jsonpath={range .items[*]}{.metadata.labels.version}{" "}{.metadata.labels.status}{"\n"}{end}"#;
const DEPLOYED: &str = "deployed";
/// What helm makes of the last deployed one, moments before the new one is.
const SUPERSEDED: &str = "superseded";
/// By this label we know that a namespace, or what else there can be one of only, is ours.
pub(super) const OWNER: (&str, &str) = ("app.kubernetes.io/managed-by", "edgelay");
/// Labels of CloudCore's own.
pub(super) const CORE: &str = "kubeedge=cloudcore";
/// Labels of what writes the firewall's rules on every node.
const RULES: &str = "kubeedge=iptables-manager";
/// What the chart makes that is looked at.
const SPACE: &str = "namespace/kubeedge";
const DEPLOYMENT: &str = "deployment/cloudcore";
const FIREWALL: &str = "daemonset/cloud-iptables-manager";
const BROKER: &str = "daemonset/edge-eclipse-mosquitto";
const MANAGER: &str = "deployment/kubeedge-controller-manager";
const CONFIG: &str = "configmap/cloudcore";
/// Values of that label, of what must run beside it.
const OTHERS: [&str; 2] = ["iptables-manager", "controller-manager"];
const NODES: &str = "--output=jsonpath={.items[*].spec.nodeName}";
/// A line for each pod: few bytes, however many nodes there are.
const ELSEWHERE: &str = r#"--output=jsonpath={range .items[*]}{.metadata.name}{" "}{.spec.nodeName}{" "}{.spec.containers[0].image}{" "}{.status.conditions[?(@.type=="Ready")].status}{" "}{.status.containerStatuses[*].state.waiting.reason}{"\n"}{end}"#;
/// How long a port of this machine may take to answer.
const CONNECT: Duration = Duration::from_secs(2);

/// The namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    None,
    Ours,
    /// Being deleted.
    Ending,
}

/// What is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing that works; leftovers of ours are cleared before the next try.
    Nothing(Space),
    /// A release that is not as wanted.
    Different(Difference),
    /// The release that is wanted, whether or not its pods run.
    Wanted,
}

/// Whose the namespace is; somebody else's is an error.
pub(super) fn space(kube: &mut Kube<'_>) -> Result<Space> {
    whose(&kube.some(NAMESPACE, &[SPACE])?)
}

fn whose(found: &[Value]) -> Result<Space> {
    let Some(found) = pick(found, SPACE) else { return Ok(Space::None) };
    if text(found, &["metadata", "labels", OWNER.0]) != OWNER.1 {
        let what = format!("the cluster has a namespace '{NAMESPACE}' that edgelay did not make");
        return Err(Error::new(Kind::Cluster, what)
            .hint("remove that KubeEdge first if it is not in use: nothing of it is touched"));
    }
    Ok(if text(found, &["status", "phase"]) == "Terminating" { Space::Ending } else { Space::Ours })
}

/// The state of the newest record. `None`: none was ever deployed.
fn state(records: &str) -> Option<&str> {
    let records = records.lines().filter_map(|line| line.split_once(' '));
    let records: Vec<(u32, &str)> = records.filter_map(|(n, state)| Some((n.parse().ok()?, state))).gather();
    records.iter().find(|(_, state)| [DEPLOYED, SUPERSEDED].contains(state))?;
    records.iter().max().map(|(_, state)| *state)
}

/// Looks at namespace, release, version and configuration.
pub(super) fn look(kube: &mut Kube<'_>, chart: &Chart) -> Result<Found> {
    let found = kube.some(NAMESPACE, &[SPACE, DEPLOYMENT, MANAGER, FIREWALL, BROKER, CONFIG])?;
    let space = whose(&found)?;
    if space != Space::Ours {
        return Ok(Found::Nothing(space));
    }
    match state(&kube.shown("secrets", NAMESPACE, RELEASE, STATES)?) {
        None => return Ok(Found::Nothing(space)),
        Some(DEPLOYED) => {}
        // Some of it may be there, and some not.
        Some(cut) => return Ok(Found::Different(Difference::Values(format!("CloudCore's last upgrade is '{cut}'")))),
    }
    let image = pick(&found, DEPLOYMENT).map(image_of).unwrap_or_default();
    if image.rsplit(':').next() != Some(&chart.version) {
        let what = format!("CloudCore's image is '{image}', wanted version {}", chart.version);
        return Ok(Found::Different(Difference::Values(what)));
    }
    if let Some(what) = placed(&found, chart).or_else(|| daemons(&found, chart)) {
        return Ok(Found::Different(Difference::Values(what)));
    }
    let yaml = pick(&found, CONFIG).map(|found| text(found, &["data", "cloudcore.yaml"])).unwrap_or_default();
    Ok(chart.differs(yaml).map_or(Found::Wanted, Found::Different))
}

/// What of the chart's Deployments may run on another node than edges know, which may lack the images: an older edgelay did
/// not hold all of them.
fn placed(found: &[Value], chart: &Chart) -> Option<String> {
    let spec = |of: &str| pick(found, of)?.get("spec")?.get("template")?.get("spec");
    let core = || Some(text(spec(DEPLOYMENT)?, &["nodeSelector", SERVER_LABEL.0]) == SERVER_LABEL.1);
    let manager = || {
        let required = spec(MANAGER)?.get("affinity")?.get("nodeAffinity")?;
        let terms = required.items_at(&["requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]);
        // Of the terms one is enough, of a term's expressions all are needed.
        let holds =
            |term: &Value| term.items_at(&["matchExpressions"]).iter().any(|e| text(e, &["key"]) == SERVER_LABEL.0);
        Some(!terms.is_empty() && terms.iter().all(holds))
    };
    let held: [(&str, &dyn Fn() -> Option<bool>); 2] = [("CloudCore", &core), ("the controller manager", &manager)];
    let free = held.iter().find(|(_, is_held)| chart.pinned && is_held() != Some(true));
    free.map(|(name, _)| format!("{name} is not held on the nodes with the label '{}'", SERVER_LABEL.0))
}

/// What the chart's DaemonSets are that depend on host and bundle.
fn daemons(found: &[Value], chart: &Chart) -> Option<String> {
    let firewall = pick(found, FIREWALL).map(image_of);
    let is_nft = firewall.is_some_and(|image| image.contains("-nft:"));
    if is_nft != chart.nft {
        let wanted = if chart.nft { "nft" } else { "legacy" };
        return Some(format!(
            "iptables-manager's image is '{}', wanted one for {wanted} rules",
            firewall.unwrap_or_default()
        ));
    }
    let broker = pick(found, BROKER).is_some();
    let (is, wanted) = if broker { ("there", "none") } else { ("missing", "one") };
    (broker != chart.mosquitto).then(|| format!("the MQTT broker of edge nodes is {is}, wanted {wanted}"))
}

/// Of the first container.
fn image_of(deployment: &Value) -> &str {
    let first = deployment.items_at(&["spec", "template", "spec", "containers"]).first();
    first.map(|container| container.text_at(&["image"])).unwrap_or_default()
}

/// What is not ready yet. `None`: pods are Ready, ports answer, secrets are there.
pub(super) fn lack(kube: &mut Kube<'_>, chart: &Chart) -> Result<Option<String>> {
    let core = kube.pods(NAMESPACE, CORE, None)?;
    if let Some(why) = unready("cloudcore", &core, chart) {
        return Ok(Some(why));
    }
    let node = chart.node.as_deref();
    let here = kube.pods(NAMESPACE, &format!("kubeedge in ({})", OTHERS.join(",")), node)?;
    for name in OTHERS {
        let mut why = unready(name, &here, chart);
        if let (Some(own), false) = (node, here.iter().map(Pod).any(|pod| pod.counts_as(name))) {
            // On another node its images are another installation's; or it has no node yet.
            let label = format!("kubeedge={name}");
            let placed = kube.pods_elsewhere(own, NAMESPACE, &label, NODES)?;
            why = match placed.trim() {
                "" => unready(name, &kube.pods(NAMESPACE, &label, None)?, chart),
                _ => None,
            };
        }
        if why.is_some() {
            return Ok(why);
        }
    }
    let core = core.iter().map(Pod).find(|pod| pod.counts_as("cloudcore"));
    let (host, ends) = core.map(|pod| (text(pod.0, &["status", "hostIP"]), pod.ends())).unwrap_or_default();
    if let Some(why) = ports(host) {
        return Ok(Some(format!("{why}{ends}")));
    }
    let missing = kube.missing(NAMESPACE, &["secret/casecret", "secret/tokensecret"])?;
    Ok(missing.map(|name| format!("CloudCore has not made the secret '{}' yet", name.trim_start_matches("secret/"))))
}

/// What the pods of one part lack.
fn unready(name: &str, pods: &[Value], chart: &Chart) -> Option<String> {
    let mut seen = false;
    for pod in pods.iter().map(Pod).filter(|pod| pod.counts_as(name)) {
        seen = true;
        if let Some(why) = pod.lack() {
            return Some(format!("pod '{}' is not Ready: {why}", pod.name()));
        }
        if pod.version() != chart.version {
            return Some(format!("a pod of {name} still runs version {}", pod.version()));
        }
    }
    (!seen).then(|| format!("there is no pod of {name}"))
}

/// Pods on other nodes that are not Ready, or of another version, each in words. They have their images from their own
/// installation, which may be an older one.
pub(super) fn elsewhere(kube: &mut Kube<'_>, chart: &Chart) -> Result<Vec<String>> {
    let Some(own) = &chart.node else { return Ok(Vec::new()) };
    let lines = kube.pods_elsewhere(own, NAMESPACE, RULES, ELSEWHERE)?;
    let told = lines.lines().filter_map(|line| match line.splitn(5, ' ').gather::<Vec<_>>().as_slice() {
        [_, "", ..] => None,
        [name, node, image, "True", _] => {
            let version = image.rsplit(':').next().unwrap_or_default();
            (version != chart.version).then(|| format!("pod '{name}' on node '{node}' still runs version {version}"))
        }
        [name, node, _, _, why] => {
            Some(format!("pod '{name}' on node '{node}' is not Ready: {why}").trim_end_matches([' ', ':']).to_owned())
        }
        _ => None,
    });
    Ok(told.gather())
}

/// Ends the pods of CloudCore that run another version than wanted, until the right one gets the ports, and that of this
/// node's firewall rules: a DaemonSet replaces one pod at a time, and would wait for a node that lacks the image.
pub(super) fn evict_old(kube: &mut Kube<'_>, chart: &Chart) -> Result<()> {
    let mut pods = kube.pods(NAMESPACE, CORE, None)?;
    if let Some(node) = &chart.node {
        pods.add_all(kube.pods(NAMESPACE, RULES, Some(node))?);
    }
    for pod in pods.iter().map(Pod) {
        if !pod.is_ending() && pod.version() != chart.version {
            kube.delete("pod", NAMESPACE, pod.name())?;
        }
    }
    Ok(())
}

fn ports(host: &str) -> Option<String> {
    let targets: Vec<HostPort> = [WEBSOCKET, CERTIFICATES].iter().filter_map(|p| HostPort::new(host, *p).ok()).gather();
    let targets: Vec<&HostPort> = targets.iter().gather();
    let answers = reach::try_all(&targets, CONNECT);
    if targets.is_empty() {
        return Some("CloudCore's pod has no address".to_owned());
    }
    let bad = targets.iter().zip(answers).find(|(_, answer)| *answer != Answer::Open);
    bad.map(|(target, answer)| format!("CloudCore does not answer: {target} {answer}"))
}

/// SHA-256 of the CA that CloudCore has stored; it must be the one that it serves.
pub(super) fn ca_hash(kubeconfig: &std::path::Path, exec: &mut dyn Exec) -> Result<Digest> {
    const SERVED: &str = "/api/v1/namespaces/kubeedge/services/https:cloudcore:10002/proxy/ca.crt";
    let mut kube = Kube::new(kubeconfig, exec);
    let stored = kube.field("secret", NAMESPACE, "casecret", ".data.cadata")?;
    let stored = base64::decode(stored.trim().trim_end_matches('='), base64::USUAL);
    let stored = stored.filter(|der| !der.is_empty()).map(|der| Digest::of(&der));
    let served = kube.raw(SERVED)?;
    let bytes = served.binary.as_deref().unwrap_or(served.stdout.as_bytes());
    match stored {
        _ if served.code != 0 || bytes.is_empty() => {
            Err(Error::new(Kind::Cluster, format_args!("CloudCore does not serve its CA: {}", served.last_words()))
                .hint("look at 'k3s kubectl -n kubeedge logs deployment/cloudcore'; then run again"))
        }
        Some(stored) if stored == Digest::of(bytes) => Ok(stored),
        _ => Err(Error::new(Kind::Cluster, "CloudCore serves another CA than the one in the secret 'casecret'")
            .hint("edges would not trust it: run again, which restarts CloudCore")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;

    const KUBECTL: &str = "k3s kubectl --kubeconfig=/k";

    fn get(names: &str) -> String {
        format!("{KUBECTL} get {names} --namespace=kubeedge --ignore-not-found --output=json")
    }

    fn chart() -> Chart {
        let config = crate::config::CloudConfig {
            addresses: vec!["192.0.2.10".parse().unwrap()],
            name: Some("c1".parse().unwrap()),
            ..crate::config::CloudConfig::default()
        };
        Chart::new(&config, "v1.22.1".into())
    }

    fn workload(kind: &str, name: &str, image: &str) -> String {
        let spec = format!(r#"{{"template":{{"spec":{{"containers":[{{"image":"kubeedge/{image}"}}]}}}}}}"#);
        format!(r#"{{"kind":"{kind}","metadata":{{"name":"{name}"}},"spec":{spec}}}"#)
    }

    const OURS: &str = r#"{"kind":"Namespace","metadata":{"name":"kubeedge","labels":{"app.kubernetes.io/managed-by":"edgelay"}},"status":{"phase":"Active"}}"#;

    #[test]
    fn what_is_there_decides_what_is_done() {
        let helm = format!("{KUBECTL} get secrets --namespace=kubeedge --selector={RELEASE} '{STATES}'");
        let all = get(&[SPACE, DEPLOYMENT, MANAGER, FIREWALL, BROKER, CONFIG].join(" "));
        let begin = |objects: &str, release: &str| {
            let list = format!(r#"{{"kind":"List","items":[{OURS}{objects}]}}"#);
            Script::default().expect(&all, 0, &list).expect(&helm, 0, release)
        };
        let ending = format!(r#"{{"items":[{}]}}"#, OURS.replace("Active", "Terminating"));
        let yaml = "modules:\\n  cloudHub:\\n    advertiseAddress:\\n    - 192.0.2.10\\n    nodeLimit: 1000\\n  \
                    cloudStream:\\n    enable: true\\n  dynamicController:\\n    enable: true\\n";
        let core = |version: &str| {
            let core = workload("Deployment", "cloudcore", &format!("cloudcore:{version}"));
            core.replace(r#"{"containers""#, r#"{"nodeSelector":{"edgelay-server":"here"},"containers""#)
        };
        let manager = |key: &str| {
            let affinity = format!(
                r#""affinity":{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":[
                    {{"matchExpressions":[{{"key":"{key}","operator":"Exists"}}]}}]}}}}}}"#
            );
            let manager = workload("Deployment", "kubeedge-controller-manager", "controller-manager:v1.22.1");
            manager.replace(r#"{"containers""#, &format!(r#"{{{affinity},"containers""#))
        };
        let firewall = |image: &str| workload("DaemonSet", "cloud-iptables-manager", &format!("{image}:v1.22.1"));
        let broker = workload("DaemonSet", "edge-eclipse-mosquitto", "eclipse-mosquitto:1.6.15");
        let config = |yaml: &str| {
            format!(r#"{{"kind":"ConfigMap","metadata":{{"name":"cloudcore"}},"data":{{"cloudcore.yaml":"{yaml}"}}}}"#)
        };
        let with = |objects: &[String]| begin(&format!(",{}", objects.join(",")), "2 deployed\n1 superseded\n");
        let held = manager("edgelay-server");
        let running = |yaml: &str| with(&[core("v1.22.1"), held.clone(), firewall("iptables-manager"), config(yaml)]);
        let differs = |what: &str| Found::Different(Difference::Values(what.into()));
        let free = |name: &str| differs(&format!("{name} is not held on the nodes with the label 'edgelay-server'"));
        let old = "CloudCore's image is 'kubeedge/cloudcore:v1.22.0', wanted version v1.22.1";
        let addresses = "CloudCore's modules.cloudHub.advertiseAddress is '192.0.2.11', wanted '192.0.2.10'";
        for (script, want) in [
            (Script::default().expect(&all, 0, ""), Found::Nothing(Space::None)),
            (Script::default().expect(&all, 0, &ending), Found::Nothing(Space::Ending)),
            (begin("", ""), Found::Nothing(Space::Ours)),
            (begin("", "1 pending-install\n"), Found::Nothing(Space::Ours)),
            (begin("", "1 failed\n"), Found::Nothing(Space::Ours)),
            (
                begin("", "10 pending-upgrade\n8 superseded\n9 deployed\n"),
                differs("CloudCore's last upgrade is 'pending-upgrade'"),
            ),
            // cut just before its end: edges trust what there is
            (begin("", "2 pending-upgrade\n1 superseded\n"), differs("CloudCore's last upgrade is 'pending-upgrade'")),
            (begin("", "1 superseded\n"), differs("CloudCore's last upgrade is 'superseded'")),
            (with(&[core("v1.22.0")]), differs(old)),
            // as an older edgelay made them, or somebody's hand
            (with(&[workload("Deployment", "cloudcore", "cloudcore:v1.22.1"), held.clone()]), free("CloudCore")),
            (with(&[core("v1.22.1"), manager("node-role.kubernetes.io/edge")]), free("the controller manager")),
            (with(&[core("v1.22.1")]), free("the controller manager")),
            (
                with(&[core("v1.22.1"), held.clone(), firewall("iptables-manager-nft")]),
                differs(
                    "iptables-manager's image is 'kubeedge/iptables-manager-nft:v1.22.1', wanted one for legacy rules",
                ),
            ),
            (
                with(&[core("v1.22.1"), held.clone(), firewall("iptables-manager"), broker]),
                differs("the MQTT broker of edge nodes is there, wanted none"),
            ),
            (running(&yaml.replace("2.10", "2.11")), Found::Different(Difference::Names(addresses.into()))),
            (running(yaml), Found::Wanted),
        ] {
            let mut script = script;
            let found = look(&mut Kube::new(std::path::Path::new("/k"), &mut script), &chart());
            assert_eq!(found.unwrap(), want);
            assert!(script.done());
        }
    }

    fn pods(selector: &str, node: &str) -> String {
        let fields = format!("'--field-selector=status.phase!=Failed{node}'");
        format!("{KUBECTL} get pods --namespace=kubeedge {fields} {selector}")
    }

    fn pod(part: &str, ready: &str) -> String {
        format!(
            r#"{{"metadata":{{"name":"{part}-1","labels":{{"kubeedge":"{part}"}}}},"spec":{{"containers":[{{"image":"x:v1.22.1"}}]}},
                "status":{{"conditions":[{{"type":"Ready","status":"{ready}","reason":"R"}}]}}}}"#
        )
    }

    #[test]
    fn pods_of_this_node_and_those_that_have_none_count() {
        let list = |pods: &[String]| format!(r#"{{"kind":"List","items":[{}]}}"#, pods.join(","));
        let core = pods("--selector=kubeedge=cloudcore --output=json", "");
        let here =
            pods("'--selector=kubeedge in (iptables-manager,controller-manager)' --output=json", ",spec.nodeName=c1");
        let manager = "--selector=kubeedge=controller-manager";
        let placed = pods(&format!("{manager} '{NODES}'"), ",spec.nodeName!=c1");
        let anywhere = pods(&format!("{manager} --output=json"), "");
        let begin = |ready: &str| Script::default().expect(&core, 0, &list(&[pod("cloudcore", ready)]));
        let firewall = list(&[pod("iptables-manager", "True")]);
        let unset = "CloudCore's pod has no address";
        for (script, want) in [
            (begin("False"), "pod 'cloudcore-1' is not Ready: R"),
            (
                begin("True").expect(&here, 0, &list(&[pod("iptables-manager", "False")])),
                "pod 'iptables-manager-1' is not Ready: R",
            ),
            // on another node, on none yet, nowhere
            (begin("True").expect(&here, 0, &firewall).expect(&placed, 0, "w1 w2"), unset),
            (
                begin("True").expect(&here, 0, &firewall).expect(&placed, 0, " ").expect(
                    &anywhere,
                    0,
                    &list(&[pod("controller-manager", "False")]),
                ),
                "pod 'controller-manager-1' is not Ready: R",
            ),
            (
                begin("True").expect(&here, 0, &firewall).expect(&placed, 0, "").expect(&anywhere, 0, &list(&[])),
                "there is no pod of controller-manager",
            ),
        ] {
            let mut script = script;
            let lack = lack(&mut Kube::new(std::path::Path::new("/k"), &mut script), &chart());
            assert_eq!(lack.unwrap().as_deref(), Some(want));
            assert!(script.done());
        }
    }

    #[test]
    fn old_pods_of_this_node_are_ended() {
        let core = pods("--selector=kubeedge=cloudcore --output=json", "");
        let rules = pods(&format!("--selector={RULES} --output=json"), ",spec.nodeName=c1");
        let old = |part: &str| format!(r#"{{"items":[{}]}}"#, pod(part, "True").replace("v1.22.1", "v1.22.0"));
        let delete =
            |name: &str| format!("{KUBECTL} delete pod {name} --namespace=kubeedge --ignore-not-found --wait=false");
        let new = format!(r#"{{"items":[{}]}}"#, pod("cloudcore", "False"));
        for (found, ended) in [(old("cloudcore"), Some("cloudcore-1")), (new, None)] {
            let mut script = Script::default().expect(&core, 0, &found).expect(&rules, 0, &old("iptables-manager"));
            for name in ended.into_iter().chain(["iptables-manager-1"]) {
                script = script.expect(&delete(name), 0, "");
            }
            evict_old(&mut Kube::new(std::path::Path::new("/k"), &mut script), &chart()).unwrap();
            assert!(script.done());
        }
    }

    #[test]
    fn of_further_nodes_those_are_told_that_are_not_ready_or_old() {
        let all = pods(&format!("--selector={RULES} '{ELSEWHERE}'"), ",spec.nodeName!=c1");
        let lines = "a w1 x/y:v1.22.1 True \nb w2 x:v1.22.1 False ImagePullBackOff\nc  x False \nd w3 x  \ne w4 h:5/x:v1.22.0 True \n";
        let mut script = Script::default().expect(&all, 0, lines);
        let told = elsewhere(&mut Kube::new(std::path::Path::new("/k"), &mut script), &chart()).unwrap();
        let want = [
            "pod 'b' on node 'w2' is not Ready: ImagePullBackOff",
            "pod 'd' on node 'w3' is not Ready",
            "pod 'e' on node 'w4' still runs version v1.22.0",
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn somebody_elses_namespace_is_refused() {
        let theirs = OURS.replace("edgelay", "helm");
        let mut script = Script::default().expect(&get(SPACE), 0, &theirs);
        let e = space(&mut Kube::new(std::path::Path::new("/k"), &mut script)).unwrap_err();
        assert_eq!(e.to_string(), "the cluster has a namespace 'kubeedge' that edgelay did not make");
        assert_eq!(e.kind(), Kind::Cluster);
    }

    #[test]
    fn a_ca_that_is_not_the_stored_one_is_refused() {
        let stored = format!(
            "{KUBECTL} get secret casecret --namespace=kubeedge --ignore-not-found '--output=jsonpath={{.data.cadata}}'"
        );
        let served =
            format!("{KUBECTL} get --raw=/api/v1/namespaces/kubeedge/services/https:cloudcore:10002/proxy/ca.crt");
        for (data, ca, want) in [
            ("Zm9v", "foo", Ok(Digest::of(b"foo"))),
            ("Zm9v", "bar", Err("CloudCore serves another CA than the one in the secret 'casecret'")),
            ("", "bar", Err("CloudCore serves another CA than the one in the secret 'casecret'")),
            ("Zm9v", "", Err("CloudCore does not serve its CA: ")),
        ] {
            let mut script = Script::default().expect(&stored, 0, data).expect(&served, 0, ca);
            let found = ca_hash(std::path::Path::new("/k"), &mut script).map_err(|e| e.to_string());
            assert_eq!(found, want.map_err(str::to_owned));
        }
    }
}
