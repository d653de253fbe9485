//! EdgeMesh: its resource definitions, and its agent with a key of this cluster alone and this node as the relay.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use super::pods::{Images, Pod, probed, text};
use crate::clock::wait_for;
use crate::config::{CloudConfig, K3sMode};
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result};
use crate::exec::Exec;
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::json::{self, Text, Value, include_json};
use crate::k3s::{Kube, fill, lacks, pick};
use crate::kubeedge::NAMESPACE;
use crate::plan::{Cx, Status, Step};

const AGENT: &str = include_json!("../../k3s/manifests/edgemesh.json");
const PSK: &str = include_json!("../../k3s/manifests/edgemesh-psk.json");
/// Annotation of the agents' pods that changes with their settings, so that they are started again.
const MARK: &str = "edgelay/settings";
const DAEMONSET: &str = "daemonset/edgemesh-agent";
const KEY: &str = "secret/edgemesh-agent-psk";
/// Where bundles put the definitions, and what they define.
pub const CRDS: [(&str, &str); 3] = [
    ("usr/local/share/edgelay/edgemesh/crd-destinationrule.yaml", "destinationrules.networking.istio.io"),
    ("usr/local/share/edgelay/edgemesh/crd-gateway.yaml", "gateways.networking.istio.io"),
    ("usr/local/share/edgelay/edgemesh/crd-virtualservice.yaml", "virtualservices.networking.istio.io"),
];
/// What its objects need beside themselves: the definitions in their order, and the key.
const NEEDS: [&str; 4] = [
    "crd/destinationrules.networking.istio.io",
    "crd/gateways.networking.istio.io",
    "crd/virtualservices.networking.istio.io",
    KEY,
];

/// The step.
#[derive(Debug)]
pub struct EdgeMesh {
    kubeconfig: PathBuf,
    mode: K3sMode,
    image: Option<String>,
    node: Option<String>,
    addresses: Vec<String>,
    limit: Duration,
}

impl EdgeMesh {
    /// The agent is `image`; the node of `config` relays between networks that do not see each other. Without an image it
    /// was switched off: its agents go.
    pub fn new(config: &CloudConfig, image: Option<String>) -> Self {
        EdgeMesh {
            kubeconfig: config.kubeconfig.clone(),
            mode: config.k3s,
            image,
            node: config.name.as_ref().map(ToString::to_string),
            addresses: config.addresses.iter().map(ToString::to_string).gather(),
            limit: config.ready_timeout,
        }
    }

    /// The agent's configuration. JSON is YAML.
    fn config(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(|a| Text(a).to_string()).gather();
        let relays = self.node.as_ref().map_or(String::new(), |node| {
            format!("{{\"nodeName\":{},\"advertiseAddress\":[{}]}}", Text(node), addresses.join(","))
        });
        format!(
            "{{\"modules\":{{\"edgeProxy\":{{\"enable\":true}},\
             \"edgeTunnel\":{{\"enable\":true,\"relayNodes\":[{relays}]}}}}}}"
        )
    }

    fn manifest(&self) -> String {
        let image = self.image.as_deref().unwrap_or_default();
        let [config, image, mark] = [&self.config(), image, &self.mark()].map(|text| Text(text).to_string());
        fill(AGENT, &[("config", config), ("image", image), ("mark", mark)])
    }

    /// What agents are told apart by: they read their configuration only when they start.
    fn mark(&self) -> String {
        Digest::of(format!("{:?} {}", self.image, self.config()).as_bytes()).hex()
    }

    /// What is not as wanted. `None`: all is.
    fn lack(&self, exec: &mut dyn Exec) -> Result<Option<String>> {
        let mut kube = Kube::new(&self.kubeconfig, exec);
        if self.image.is_none() {
            let is_gone = kube.missing(NAMESPACE, &[DAEMONSET])?.is_some();
            return Ok((!is_gone).then(|| format!("there is still a '{DAEMONSET}'")));
        }
        if let Some(name) = kube.missing(NAMESPACE, &NEEDS)? {
            return Ok(Some(format!("there is no '{name}'")));
        }
        let wanted = json::read(self.manifest().as_bytes(), 1 << 20).map_err(|e| bug(&e))?;
        let wanted = wanted.items_at(&["items"]);
        // One of them lies in another namespace than the rest, some in none.
        let (apart, there): (Vec<&Value>, Vec<&Value>) =
            wanted.iter().partition(|want| text(want, &["metadata", "namespace"]) == "default");
        for (space, objects) in [(NAMESPACE, there), ("default", apart)] {
            let name = |want: &&Value| format!("{}/{}", text(want, &["kind"]), text(want, &["metadata", "name"]));
            let names: Vec<String> = objects.iter().map(name).gather();
            let found = kube.some(space, &names.iter().map(String::as_str).gather::<Vec<_>>())?;
            for (want, name) in objects.iter().zip(&names) {
                match pick(&found, name).map(|found| lacks(found, want)) {
                    None => return Ok(Some(format!("there is no '{name}'"))),
                    Some(Some(path)) => return Ok(Some(format!("'{name}' lacks {path}"))),
                    Some(None) => {}
                }
            }
        }
        self.agent(&mut kube)
    }

    /// What the agent on this node lacks; those of other nodes have their images from elsewhere.
    fn agent(&self, kube: &mut Kube<'_>) -> Result<Option<String>> {
        let Some(node) = &self.node else { return Ok(None) };
        let pods = kube.pods(NAMESPACE, "kubeedge=edgemesh-agent", Some(node))?;
        let mut pods = pods.iter().map(Pod).filter(|pod| !pod.is_ending());
        Ok(match pods.next() {
            None => Some(format!("there is no pod of edgemesh-agent on node '{node}'")),
            Some(pod) if text(pod.0, &["metadata", "annotations", MARK]) != self.mark() => {
                Some(format!("pod '{}' still runs with older settings", pod.name()))
            }
            Some(pod) => pod.lack().map(|why| format!("pod '{}' is not Ready: {why}", pod.name())),
        })
    }

    /// The agents and what they may do. Their key stays, for another time; the definitions may be in use by others.
    fn remove(&self, exec: &mut dyn Exec) -> Result<()> {
        let mut kube = Kube::new(&self.kubeconfig, exec);
        for kind in ["daemonset", "clusterrolebinding", "clusterrole"] {
            kube.delete(kind, NAMESPACE, "edgemesh-agent")?;
        }
        Ok(())
    }

    fn wait(&self, cx: &mut Cx<'_>) -> Result<()> {
        let (clock, mut images) = (cx.clock, Images::new(self.node.as_deref(), &[NAMESPACE]));
        let waited = wait_for(clock, "EdgeMesh's agent to be ready", self.limit, || {
            let mut kube = Kube::new(&self.kubeconfig, cx.exec);
            let lack = self.agent(&mut kube).and_then(|lack| Ok(images.look(&mut kube, clock)?.or(lack)));
            let seen = probed(lack)?;
            images.verdict()?;
            Ok(seen)
        });
        waited.map_err(|e| match e.kind() {
            Kind::Runtime => Error::new(Kind::Cluster, e.to_string())
                .hint("look at 'k3s kubectl -n kubeedge logs daemonset/edgemesh-agent'; then run again"),
            _ => e,
        })
    }
}
fn bug(e: &json::JsonError) -> Error {
    Error::new(Kind::Bug, format_args!("manifest of EdgeMesh: {e}"))
}

/// 32 bytes that nobody can guess, in hex: EdgeMesh takes any text.
fn fresh_key(cx: &Cx<'_>) -> Result<String> {
    const SOURCE: RelPath<'static> = RelPath::literal("dev/urandom");
    let mut bytes = [0; 32];
    let source = cx.root.open_file(SOURCE)?;
    let mut source = source.ok_or_else(|| Error::new(Kind::Host, format_args!("'{SOURCE}' is not there")))?;
    source.read_exact(&mut bytes).lift(Kind::Host, || format!("read '{SOURCE}'"))?;
    Ok(bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail; ignoring: there is no error to see.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

impl Step for EdgeMesh {
    fn id(&self) -> &'static str {
        "edgemesh"
    }

    fn summary(&self) -> String {
        if self.image.is_some() { "EdgeMesh with a key of its own" } else { "EdgeMesh is switched off" }.to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        Ok(self.lack(cx.exec)?.map_or(Status::Done, Status::Todo))
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        if self.image.is_none() {
            return self.remove(cx.exec);
        }
        let root = cx.root;
        for ((path, _), name) in CRDS.iter().zip(NEEDS) {
            let path = root.absolute(RelPath::literal(path));
            let mut kube = Kube::new(&self.kubeconfig, cx.exec);
            if kube.missing(NAMESPACE, &[name])?.is_some() {
                kube.apply_file(&path)?;
            }
        }
        // A key that is there is in use by edges already.
        if Kube::new(&self.kubeconfig, cx.exec).missing(NAMESPACE, &[KEY])?.is_some() {
            let key = fresh_key(cx)?;
            Kube::new(&self.kubeconfig, cx.exec).apply(root, &fill(PSK, &[("psk", Text(&key).to_string())]))?;
        }
        Kube::new(&self.kubeconfig, cx.exec).apply(root, &self.manifest())?;
        self.wait(cx)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        if self.mode == K3sMode::Managed { Ok(()) } else { self.remove(cx.exec) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;
    use crate::plan::tests::with_cx;

    fn step() -> EdgeMesh {
        let config = CloudConfig {
            addresses: vec!["192.0.2.10".parse().unwrap()],
            name: Some("cloud-1".parse().unwrap()),
            ..CloudConfig::default()
        };
        EdgeMesh::new(&config, Some("docker.io/kubeedge/edgemesh-agent:v1.17.0".into()))
    }

    #[test]
    fn the_manifest_holds_image_and_relay() {
        let wanted = json::read(step().manifest().as_bytes(), 1 << 20).unwrap();
        let items = wanted.get("items").unwrap().items().unwrap();
        let of = |kind: &str| items.iter().find(|item| text(item, &["kind"]) == kind).unwrap();
        let config = of("ConfigMap").get("data").unwrap().get("edgemesh-agent.yaml").unwrap().text().unwrap();
        let want = r#"{"modules":{"edgeProxy":{"enable":true},"edgeTunnel":{"enable":true,"relayNodes":[{"nodeName":"cloud-1","advertiseAddress":["192.0.2.10"]}]}}}"#;
        assert_eq!(config, want);
        assert!(step().manifest().contains("\"docker.io/kubeedge/edgemesh-agent:v1.17.0\""));
        // Where it is missing, and that means UTC, an edge's containerd would make a directory there, which stays.
        assert!(!step().manifest().contains("/etc/localtime"));
        assert!(json::read(PSK.as_bytes(), 9999).is_ok() && !PSK.contains("JugH9HP1"));
    }

    #[test]
    fn an_agent_with_older_settings_is_not_taken_for_done() {
        let (old, mut new) = (step(), step());
        new.addresses.push("192.0.2.11".into());
        assert_ne!(old.mark(), new.mark());
        assert_ne!(old.mark(), EdgeMesh { image: Some("x:v1".into()), ..step() }.mark());
        assert!(new.manifest().contains(&format!(r#"{{"edgelay/settings":"{}"}}"#, new.mark())));
        let line = "k3s kubectl --kubeconfig=/etc/rancher/k3s/k3s.yaml get pods --namespace=kubeedge \
            '--field-selector=status.phase!=Failed,spec.nodeName=cloud-1' --selector=kubeedge=edgemesh-agent --output=json";
        let pods = format!(
            r#"{{"items":[{{"metadata":{{"name":"a-1","annotations":{{"edgelay/settings":"{}"}}}},
                "status":{{"conditions":[{{"type":"Ready","status":"True"}}]}}}}]}}"#,
            old.mark()
        );
        for (step, want) in [(old, None), (new, Some("pod 'a-1' still runs with older settings"))] {
            let mut script = Script::default().expect(line, 0, &pods);
            let lack = step.agent(&mut Kube::new(&step.kubeconfig, &mut script)).unwrap();
            assert_eq!(lack.as_deref(), want);
        }
    }

    #[test]
    fn a_key_is_as_long_as_the_source_gives_or_none() {
        with_cx(|cx| {
            cx.root.write(RelPath::literal("dev/urandom"), 0o600, &[7; 64]).unwrap();
            assert_eq!(fresh_key(cx).unwrap(), "07".repeat(32));
            cx.root.write(RelPath::literal("dev/urandom"), 0o600, &[7; 31]).unwrap();
            assert!(fresh_key(cx).is_err());
        });
    }
}
