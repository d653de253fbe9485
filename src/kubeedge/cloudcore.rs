//! keadm's command lines in the cloud, and what they bring about: the values of CloudCore's chart, read back from the
//! configuration that CloudCore runs with (KubeEdge v1.22).

use std::time::Duration;

use crate::config::{CloudConfig, K3sMode};
use crate::exec::Cmd;
use crate::gather::{Gather, Grow};

use super::lookup;

/// The namespace of everything.
pub const NAMESPACE: &str = "kubeedge";
/// CloudHub's WebSocket.
pub const WEBSOCKET: u16 = 10000;
/// CloudHub's HTTPS for certificates.
pub const CERTIFICATES: u16 = 10002;
/// Without waiting, creating all objects takes seconds; on a slow disk some more.
const LIMIT: Duration = Duration::from_secs(300);

/// What CloudCore is to be.
#[derive(Debug, Clone)]
pub struct Chart {
    /// KubeEdge's version with its `v`.
    pub version: String,
    /// Kubeconfig.
    pub kubeconfig: String,
    /// Addresses for edges.
    pub addresses: Vec<String>,
    /// Names for edges.
    pub dns_names: Vec<String>,
    /// Edge nodes at most.
    pub node_limit: u32,
    /// An MQTT broker on every edge node.
    pub mosquitto: bool,
    /// Firewall rules of nf_tables.
    pub nft: bool,
    /// The node that edges are told of, and whose images are ours.
    pub node: Option<String>,
    /// Whether CloudCore and the controller manager are held on nodes with [`SERVER_LABEL`].
    pub pinned: bool,
}

/// Label of the nodes that CloudCore may run on: edges know no other. Without a dot, which `--set` would split at.
pub const SERVER_LABEL: (&str, &str) = ("edgelay-server", "here");

/// Selects the nodes that are no edges: CloudCore labels those, as does keadm.
pub const NO_EDGE: &str = "!node-role.kubernetes.io/edge";

impl Chart {
    /// As `config` says.
    pub fn new(config: &CloudConfig, version: String) -> Self {
        Chart {
            version,
            kubeconfig: config.kubeconfig.display().to_string(),
            addresses: config.addresses.iter().map(ToString::to_string).gather(),
            dns_names: config.dns_names.clone(),
            node_limit: config.node_limit,
            mosquitto: false,
            nft: false,
            node: config.name.as_ref().map(ToString::to_string),
            pinned: config.k3s == K3sMode::Managed || config.name.is_some(),
        }
    }

    /// The chart's values that are not its defaults.
    fn values(&self) -> Vec<String> {
        const HUB: &str = "cloudCore.modules.cloudHub";
        const MANAGED: &str = "controllerManager.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution\
            .nodeSelectorTerms[0].matchExpressions[0]";
        let mut values = vec![
            // EdgeMesh and the edges' metaServer live from it.
            "cloudCore.modules.dynamicController.enable=true".to_owned(),
            "cloudCore.modules.cloudStream.enable=true".to_owned(),
            format!("{HUB}.nodeLimit={}", self.node_limit),
            // The next pod cannot run beside the old one: they share the host's ports.
            "cloudCore.strategy.type=Recreate".to_owned(),
            "controllerManager.enable=true".to_owned(),
            format!("mosquitto.enable={}", self.mosquitto),
        ];
        let names = self.dns_names.iter().enumerate();
        values.add_all(names.map(|(i, name)| format!("{HUB}.dnsNames[{i}]={name}")));
        if self.pinned {
            values.push(format!("cloudCore.nodeSelector.{}={}", SERVER_LABEL.0, SERVER_LABEL.1));
            // Its chart knows no nodeSelector. A further node may have the images of an older version only.
            values.push(format!("{MANAGED}.key={}", SERVER_LABEL.0));
            values.push(format!("{MANAGED}.operator=Exists"));
        }
        if self.nft {
            values.push("iptablesManager.framework=nft".to_owned());
        }
        values
    }

    /// `keadm init`. It does not wait: we do so ourselves, and longer. What it `knows` is its help: one newer than
    /// v1.23 refuses a cluster whose DNS is not Ready at that moment, as that of a server which has just got its images.
    pub fn init(&self, knows: &str) -> Cmd {
        const UNCHECKED: &str = "--skip-preflight-checks";
        let mut cmd = self.command(&["init"]);
        cmd.args.add_all(knows.contains(UNCHECKED).then(|| UNCHECKED.to_owned()));
        cmd
    }

    /// What `keadm init` can be given.
    pub fn init_help(&self) -> Cmd {
        Cmd::new("keadm", &["init", "--help"])
    }

    /// `keadm upgrade cloud`, which also sets changed values.
    pub fn upgrade(&self) -> Cmd {
        self.command(&["upgrade", "cloud"])
    }

    fn command(&self, verb: &[&str]) -> Cmd {
        let mut cmd = Cmd::new("keadm", verb).limit(LIMIT);
        cmd.args.push(format!("--advertise-address={}", self.addresses.join(",")));
        // Without it keadm asks the network for the latest version.
        cmd.args.push(format!("--kubeedge-version={}", self.version));
        cmd.args.push(format!("--kube-config={}", self.kubeconfig));
        cmd.args.push("--force".to_owned());
        cmd.args.add_all(self.values().iter().map(|value| format!("--set={value}")));
        cmd
    }

    /// `keadm gettoken`: it prints the token.
    pub fn gettoken(&self) -> Cmd {
        Cmd::new("keadm", &["gettoken", &format!("--kube-config={}", self.kubeconfig)])
    }

    /// What `cloudcore.yaml`, as CloudCore itself writes it, says differently.
    pub fn differs(&self, yaml: &str) -> Option<Difference> {
        const HUB: &str = "modules.cloudHub";
        let [names, values]: [fn(String) -> Difference; 2] = [Difference::Names, Difference::Values];
        let mut wanted = vec![
            (format!("{HUB}.advertiseAddress"), self.addresses.join(","), names),
            ("modules.dynamicController.enable".to_owned(), "true".to_owned(), values),
            ("modules.cloudStream.enable".to_owned(), "true".to_owned(), values),
            (format!("{HUB}.nodeLimit"), self.node_limit.to_string(), values),
        ];
        if !self.dns_names.is_empty() {
            wanted.push((format!("{HUB}.dnsNames"), self.dns_names.join(","), names));
        }
        wanted.into_iter().find_map(|(path, want, difference)| {
            let found = lookup(yaml, &path).unwrap_or_default();
            let text = || format!("CloudCore's {path} is '{found}', wanted '{want}'");
            (found != want).then(|| difference(text()))
        })
    }
}

/// What differs, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// What the server's certificate was made for: it must be made anew.
    Names(String),
    /// Anything else.
    Values(String),
}

impl Difference {
    /// The words.
    pub fn text(self) -> String {
        match self {
            Difference::Names(text) | Difference::Values(text) => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let config = CloudConfig {
            addresses: vec!["192.0.2.10".parse().unwrap(), "10.0.0.5".parse().unwrap()],
            dns_names: vec!["cloud.example".into()],
            ..CloudConfig::default()
        };
        Chart::new(&config, "v1.22.0".into())
    }

    #[test]
    fn whole_lines() {
        let values = "--advertise-address=192.0.2.10,10.0.0.5 --kubeedge-version=v1.22.0 \
            --kube-config=/etc/rancher/k3s/k3s.yaml --force --set=cloudCore.modules.dynamicController.enable=true \
            --set=cloudCore.modules.cloudStream.enable=true --set=cloudCore.modules.cloudHub.nodeLimit=1000 \
            --set=cloudCore.strategy.type=Recreate --set=controllerManager.enable=true --set=mosquitto.enable=false \
            --set=cloudCore.modules.cloudHub.dnsNames[0]=cloud.example --set=cloudCore.nodeSelector.edgelay-server=here \
            --set=controllerManager.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution\
            .nodeSelectorTerms[0].matchExpressions[0].key=edgelay-server \
            --set=controllerManager.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution\
            .nodeSelectorTerms[0].matchExpressions[0].operator=Exists";
        assert_eq!(chart().init("").to_string(), format!("keadm init {values}"));
        let newer = chart().init("      --set string\n      --skip-preflight-checks   Skip pre-flight checks");
        assert_eq!(newer.to_string(), format!("keadm init {values} --skip-preflight-checks"));
        let nft = Chart { nft: true, mosquitto: true, ..chart() }.upgrade().to_string();
        let more = values.replace("mosquitto.enable=false", "mosquitto.enable=true");
        assert_eq!(nft, format!("keadm upgrade cloud {more} --set=iptablesManager.framework=nft"));
        assert_eq!(chart().gettoken().to_string(), "keadm gettoken --kube-config=/etc/rancher/k3s/k3s.yaml");
    }

    #[test]
    fn what_cloudcore_runs_with_is_compared() {
        let yaml = "modules:\n  cloudHub:\n    advertiseAddress:\n    - 192.0.2.10\n    - 10.0.0.5\n    dnsNames:\n    \
            - cloud.example\n    nodeLimit: 1000\n  cloudStream:\n    enable: true\n  dynamicController:\n    \
            enable: true\n";
        assert_eq!(chart().differs(yaml), None);
        for (from, to, want) in [
            (
                "enable: true\n  dyn",
                "enable: false\n  dyn",
                "CloudCore's modules.cloudStream.enable is 'false', wanted 'true'",
            ),
            ("1000", "10", "CloudCore's modules.cloudHub.nodeLimit is '10', wanted '1000'"),
        ] {
            assert_eq!(chart().differs(&yaml.replace(from, to)), Some(Difference::Values(want.into())));
        }
        let want = "CloudCore's modules.cloudHub.dnsNames is 'old.example', wanted 'cloud.example'";
        assert_eq!(chart().differs(&yaml.replace("cloud.ex", "old.ex")), Some(Difference::Names(want.into())));
    }
}
