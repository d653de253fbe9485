//! EdgeCore's configuration as we write it for a join without keadm: only what differs from EdgeCore's defaults.
//!
//! EdgeCore reads it over its defaults.

use crate::config::{EdgeConfig, Identity};
use crate::error::{Kind, Lift, Result};
use crate::gather::Grow;
use crate::ids::{HostPort, RelPath};
use crate::json::Text;

use super::keadm::{CLUSTER_DOMAIN, EDGEMESH_DNS};

/// The join token, which EdgeCore takes before that of its configuration; removed as soon as it is not needed.
pub const BOOTSTRAP: RelPath<'static> = RelPath::literal("etc/kubeedge/bootstrap-edgecore.conf");
/// Directories that keadm would make, and their permission bits: what holds keys is root's alone.
pub const DIRS: [(RelPath<'static>, u32); 7] = [
    (RelPath::literal("etc/kubeedge"), 0o755),
    (RelPath::literal("etc/kubeedge/config"), 0o700),
    (RelPath::literal("etc/kubeedge/ca"), 0o700),
    (RelPath::literal("etc/kubeedge/certs"), 0o700),
    (RelPath::literal("etc/kubeedge/manifests"), 0o755),
    (RelPath::literal("var/lib/kubeedge"), 0o700),
    (RelPath::literal("var/log/kubeedge"), 0o755),
];
/// CloudStream's port for edges; keadm knows no other either.
const STREAM: u16 = 10004;

/// Block maps with two-space steps, as EdgeCore writes them.
struct Yaml(String);

impl Yaml {
    fn key(&mut self, depth: usize, key: &str) -> &mut Self {
        self.0.grow(format_args!("{:1$}{key}:\n", "", depth * 2));
        self
    }

    fn plain(&mut self, depth: usize, key: &str, value: impl std::fmt::Display) -> &mut Self {
        self.line(depth, key, &value)
    }

    fn line(&mut self, depth: usize, key: &str, value: &dyn std::fmt::Display) -> &mut Self {
        self.0.grow(format_args!("{:1$}{key}: {value}\n", "", depth * 2));
        self
    }

    /// A text that could be taken for a number or a truth value is none: JSON's strings are YAML's.
    fn text(&mut self, depth: usize, key: &str, value: &str) -> &mut Self {
        self.plain(depth, key, Text(value))
    }
}

/// The file's text; it never holds the token. `version` is EdgeCore's, with its `v`: a file that names it is not written
/// back at once, with the token in it.
pub fn render(config: &EdgeConfig, identity: &Identity, version: &str, cgroup_driver: &str) -> Result<String> {
    let host = identity.websocket.host();
    let stream = HostPort::new(host, STREAM).lift(Kind::Bug, || format!("cloud host '{host}'"))?;
    let mut yaml = Yaml(String::new());
    yaml.plain(0, "apiVersion", "edgecore.config.kubeedge.io/v1alpha2").plain(0, "kind", "EdgeCore");
    yaml.text(0, "edgecoreVersion", version).key(0, "modules");
    yaml.key(1, "edgeHub").text(2, "httpServer", &format!("https://{}", identity.certificates));
    yaml.key(2, "websocket").plain(3, "enable", true).text(3, "server", &identity.websocket.to_string());
    yaml.key(1, "edgeStream").plain(2, "enable", config.edge_stream).text(2, "server", &stream.to_string());
    edged(&mut yaml, config, identity, cgroup_driver);
    yaml.key(1, "eventBus").plain(2, "enable", config.mqtt);
    yaml.key(1, "metaManager").key(2, "metaServer").plain(3, "enable", config.edgemesh);
    Ok(yaml.0)
}

fn edged(yaml: &mut Yaml, config: &EdgeConfig, identity: &Identity, cgroup_driver: &str) {
    yaml.key(1, "edged").text(2, "hostnameOverride", identity.node.as_str());
    if let Some(ip) = config.node.ip {
        yaml.text(2, "nodeIP", &ip.to_string());
    }
    if !config.node.labels.is_empty() {
        yaml.key(2, "nodeLabels");
        for (key, value) in &config.node.labels {
            yaml.text(3, &format!("{}", Text(key.as_str())), value.as_str());
        }
    }
    let endpoint = format!("unix://{}", config.containerd_address.display());
    yaml.key(2, "tailoredKubeletConfig").plain(3, "cgroupDriver", cgroup_driver);
    if config.edgemesh {
        yaml.key(3, "clusterDNS").0.grow(format_args!("      - {EDGEMESH_DNS}\n"));
        yaml.plain(3, "clusterDomain", CLUSTER_DOMAIN);
    }
    yaml.text(3, "containerRuntimeEndpoint", &endpoint).text(3, "imageServiceEndpoint", &endpoint);
    // What is not in use now cannot be pulled again later: never collect images.
    yaml.plain(3, "imageGCHighThresholdPercent", 100);
    if !config.node.taints.is_empty() {
        yaml.key(3, "registerWithTaints");
        for taint in &config.node.taints {
            yaml.0.grow(format_args!("      - effect: {}\n", taint.effect.as_str()));
            yaml.text(4, "key", taint.key.as_str()).text(4, "value", taint.value.as_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubeedge::lookup;

    #[test]
    fn whole_text() {
        let mut config = EdgeConfig::default();
        config.cloud.host = Some("2001:db8::1".into());
        config.token_file = Some("/t".into());
        config.node.name = Some("edge-1".parse().unwrap());
        config.node.ip = Some("10.0.0.7".parse().unwrap());
        config.node.labels.insert("example.org/site".parse().unwrap(), "true".parse().unwrap());
        config.node.taints.push("edge:NoSchedule".parse().unwrap());
        let text = render(&config, &config.identity().unwrap(), "v1.22.0", "systemd").unwrap();
        let expected = r#"apiVersion: edgecore.config.kubeedge.io/v1alpha2
kind: EdgeCore
edgecoreVersion: "v1.22.0"
modules:
  edgeHub:
    httpServer: "https://[2001:db8::1]:10002"
    websocket:
      enable: true
      server: "[2001:db8::1]:10000"
  edgeStream:
    enable: true
    server: "[2001:db8::1]:10004"
  edged:
    hostnameOverride: "edge-1"
    nodeIP: "10.0.0.7"
    nodeLabels:
      "example.org/site": "true"
    tailoredKubeletConfig:
      cgroupDriver: systemd
      clusterDNS:
      - 169.254.96.16
      clusterDomain: cluster.local
      containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock"
      imageServiceEndpoint: "unix:///run/containerd/containerd.sock"
      imageGCHighThresholdPercent: 100
      registerWithTaints:
      - effect: NoSchedule
        key: "edge"
        value: ""
  eventBus:
    enable: false
  metaManager:
    metaServer:
      enable: true
"#;
        assert_eq!(text, expected);
        assert_eq!(lookup(&text, "modules.edged.hostnameOverride").as_deref(), Some("edge-1"));
        config.edgemesh = false;
        let off = render(&config, &config.identity().unwrap(), "v1.22.0", "cgroupfs").unwrap();
        assert!(!off.contains("clusterDNS") && off.ends_with("    metaServer:\n      enable: false\n"), "{off}");
    }
}
