//! EdgeMesh: its resource definitions, and its agent with a key of this cluster alone and this node as the relay.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use super::pods::{Images, Pod, probed};
use crate::clock::wait_for;
use crate::config::{CloudConfig, K3sMode};
use crate::error::{Error, Kind, Lift, Result};
use crate::exec::Exec;
use crate::ids::RelPath;
use crate::json::{self, Text, Value};
use crate::k3s::{Kube, fill, lacks};
use crate::kubeedge::NAMESPACE;
use crate::plan::{Cx, Status, Step};

const AGENT: &str = include_str!("../../k3s/manifests/edgemesh.json");
const PSK: &str = include_str!("../../k3s/manifests/edgemesh-psk.json");
const SECRET: &str = "edgemesh-agent-psk";
/// Where bundles put the definitions, and what they define.
pub const CRDS: [(&str, &str); 3] = [
    ("usr/local/share/edgelay/edgemesh/crd-destinationrule.yaml", "destinationrules.networking.istio.io"),
    ("usr/local/share/edgelay/edgemesh/crd-gateway.yaml", "gateways.networking.istio.io"),
    ("usr/local/share/edgelay/edgemesh/crd-virtualservice.yaml", "virtualservices.networking.istio.io"),
];

/// The step.
#[derive(Debug)]
pub struct EdgeMesh {
    kubeconfig: PathBuf,
    mode: K3sMode,
    image: String,
    node: Option<String>,
    addresses: Vec<String>,
    limit: Duration,
}

impl EdgeMesh {
    /// The agent is `image`; the node of `config` relays between networks that do not see each other.
    pub fn new(config: &CloudConfig, image: String) -> Self {
        EdgeMesh {
            kubeconfig: config.kubeconfig.clone(),
            mode: config.k3s,
            image,
            node: config.name.as_ref().map(ToString::to_string),
            addresses: config.addresses.iter().map(ToString::to_string).collect(),
            limit: config.ready_timeout,
        }
    }

    /// The agent's configuration. JSON is YAML.
    fn config(&self) -> String {
        let addresses: Vec<String> = self.addresses.iter().map(|a| Text(a).to_string()).collect();
        let relays = self.node.as_ref().map_or(String::new(), |node| {
            format!("{{\"nodeName\":{},\"advertiseAddress\":[{}]}}", Text(node), addresses.join(","))
        });
        format!(
            "{{\"modules\":{{\"edgeProxy\":{{\"enable\":true}},\
             \"edgeTunnel\":{{\"enable\":true,\"relayNodes\":[{relays}]}}}}}}"
        )
    }

    fn manifest(&self) -> String {
        let (config, image) = (Text(&self.config()).to_string(), Text(&self.image).to_string());
        fill(AGENT, &[("config", config), ("image", image)])
    }

    /// What is not as wanted. `None`: all is.
    fn lack(&self, exec: &mut dyn Exec) -> Result<Option<String>> {
        let mut kube = Kube::new(&self.kubeconfig, exec);
        if kube.raw("/readyz")?.code != 0 {
            return Ok(Some("the Kubernetes API does not answer".to_owned()));
        }
        for (_, name) in CRDS {
            if kube.field("crd", "default", name, ".metadata.name")?.is_empty() {
                return Ok(Some(format!("there is no definition '{name}'")));
            }
        }
        if kube.field("secret", NAMESPACE, SECRET, ".metadata.name")?.is_empty() {
            return Ok(Some("EdgeMesh has no key".to_owned()));
        }
        let wanted = json::read(self.manifest().as_bytes(), 1 << 20).map_err(|e| bug(&e))?;
        for want in wanted.get("items").and_then(|items| items.items().ok()).unwrap_or_default() {
            let (kind, name) = (word(want, "kind"), want.get("metadata").map(|m| word(m, "name")).unwrap_or_default());
            let space = want.get("metadata").map(|m| word(m, "namespace")).unwrap_or_default();
            let Some(found) = kube.get(kind, if space.is_empty() { "default" } else { space }, name)? else {
                return Ok(Some(format!("there is no {kind} '{name}'")));
            };
            if let Some(path) = lacks(&found, want) {
                return Ok(Some(format!("{kind} '{name}' lacks {path}")));
            }
        }
        self.agent(&mut kube)
    }

    /// What the agent on this node lacks; those of other nodes have their images from elsewhere.
    fn agent(&self, kube: &mut Kube<'_>) -> Result<Option<String>> {
        let Some(node) = &self.node else { return Ok(None) };
        let pods = kube.pods_on(node, NAMESPACE, "kubeedge=edgemesh-agent")?;
        let mut pods = pods.iter().map(Pod).filter(|pod| !pod.is_ending());
        Ok(match pods.next() {
            None => Some(format!("there is no pod of edgemesh-agent on node '{node}'")),
            Some(pod) => pod.lack().map(|why| format!("pod '{}' is not Ready: {why}", pod.name())),
        })
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
    Error::new(Kind::Bug, format!("manifest of EdgeMesh: {e}"))
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(|v| v.text().ok()).unwrap_or_default()
}

/// 32 bytes that nobody can guess, in hex: EdgeMesh takes any text.
fn fresh_key(cx: &Cx<'_>) -> Result<String> {
    const SOURCE: RelPath<'static> = RelPath::literal("dev/urandom");
    let mut bytes = [0; 32];
    let source = cx.root.open_file(SOURCE)?;
    let mut source = source.ok_or_else(|| Error::new(Kind::Host, format!("'{SOURCE}' is not there")))?;
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
        "EdgeMesh with a key of its own".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        Ok(self.lack(cx.exec)?.map_or(Status::Done, Status::Todo))
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let root = cx.root;
        for (path, name) in CRDS {
            let path = root.absolute(RelPath::literal(path));
            let mut kube = Kube::new(&self.kubeconfig, cx.exec);
            if kube.field("crd", "default", name, ".metadata.name")?.is_empty() {
                kube.apply_file(&path)?;
            }
        }
        // A key that is there is in use by edges already.
        let there = Kube::new(&self.kubeconfig, cx.exec).field("secret", NAMESPACE, SECRET, ".metadata.name")?;
        if there.is_empty() {
            let key = fresh_key(cx)?;
            Kube::new(&self.kubeconfig, cx.exec).apply(root, &fill(PSK, &[("psk", Text(&key).to_string())]))?;
        }
        Kube::new(&self.kubeconfig, cx.exec).apply(root, &self.manifest())?;
        self.wait(cx)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        if self.mode == K3sMode::Managed {
            return Ok(());
        }
        // What lies in the namespace goes with it; the definitions may be in use by others.
        let mut kube = Kube::new(&self.kubeconfig, cx.exec);
        kube.delete("daemonset", NAMESPACE, "edgemesh-agent")?;
        kube.delete("clusterrolebinding", "default", "edgemesh-agent")?;
        kube.delete("clusterrole", "default", "edgemesh-agent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;

    fn step() -> EdgeMesh {
        let config = CloudConfig {
            addresses: vec!["192.0.2.10".parse().unwrap()],
            name: Some("cloud-1".parse().unwrap()),
            ..CloudConfig::default()
        };
        EdgeMesh::new(&config, "docker.io/kubeedge/edgemesh-agent:v1.17.0".into())
    }

    #[test]
    fn the_manifest_holds_image_and_relay() {
        let wanted = json::read(step().manifest().as_bytes(), 1 << 20).unwrap();
        let items = wanted.get("items").unwrap().items().unwrap();
        let of = |kind: &str| items.iter().find(|item| word(item, "kind") == kind).unwrap();
        let config = of("ConfigMap").get("data").unwrap().get("edgemesh-agent.yaml").unwrap().text().unwrap();
        let want = r#"{"modules":{"edgeProxy":{"enable":true},"edgeTunnel":{"enable":true,"relayNodes":[{"nodeName":"cloud-1","advertiseAddress":["192.0.2.10"]}]}}}"#;
        assert_eq!(config, want);
        assert!(step().manifest().contains("\"docker.io/kubeedge/edgemesh-agent:v1.17.0\""));
        assert!(json::read(PSK.as_bytes(), 9999).is_ok() && !PSK.contains("JugH9HP1"));
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
