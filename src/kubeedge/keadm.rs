//! The command line of `keadm join`, in the grammar that v1.22.0 really takes.

use super::yaml::{To, lookup};
use crate::board::Class;
use crate::config::{EdgeConfig, Identity};
use crate::exec::{Cmd, Life};
use crate::gather::Gather;
use crate::ids::Token;

/// EdgeMesh's DNS on every node.
pub(super) const EDGEMESH_DNS: &str = "169.254.96.16";
/// The only domain that EdgeMesh's DNS serves.
pub(super) const CLUSTER_DOMAIN: &str = "cluster.local";
/// What a join needs to know.
#[derive(Debug)]
pub struct Join<'a> {
    /// The node's settings.
    pub config: &'a EdgeConfig,
    /// Who and where to.
    pub identity: &'a Identity,
    /// KubeEdge's version with its `v`, as the bundle says.
    pub version: &'a str,
    /// `cgroupfs` or `systemd`: as containerd's runtime is set.
    pub cgroup_driver: &'a str,
}

/// The command; the token is marked as secret, and files that keadm makes are for root only.
pub fn join_command(join: &Join<'_>, token: &Token) -> Cmd {
    let Join { config, identity, .. } = join;
    let mut args = vec![
        "join".to_owned(),
        // The WebSocket's port, not the certificates': with 10002 here keadm says yes and the node never registers.
        format!("--cloudcore-ipport={}", identity.websocket),
        format!("--certport={}", identity.certificates.port()),
        format!("--token={}", token.reveal()),
        format!("--edgenode-name={}", identity.node),
        // Without it keadm asks the network for the latest version.
        format!("--kubeedge-version={}", join.version),
        format!("--remote-runtime-endpoint=unix://{}", config.containerd_address.display()),
        format!("--cgroupdriver={}", join.cgroup_driver),
    ];
    if !config.node.labels.is_empty() {
        let pairs = config.node.labels.iter();
        let labels: Vec<String> = pairs.map(|(key, value)| format!("{}={}", key.as_str(), value.as_str())).gather();
        args.push(format!("--labels={}", labels.join(",")));
    }
    args.push(format!("--set={}", settings(config).join(",")));
    let mut cmd = Cmd::new("keadm", &[]).limit(config.join_timeout);
    cmd.args = args;
    cmd.secrets = token.secrets();
    cmd.umask = 0o077;
    // Were we killed, it would go on, and write where the next run clears. EdgeCore is systemd's child, not its own.
    cmd.life = Life::Ours;
    cmd
}

/// The path in edgecore.yaml of a setting of the kubelet in EdgeCore.
macro_rules! kubelet {
    ($key:literal) => {
        concat!("modules.edged.tailoredKubeletConfig.", $key)
    };
}

/// A setting of EdgeCore that the node's configuration decides, also after the join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its path in edgecore.yaml.
    pub path: &'static str,
    /// What it is to be.
    pub to: To,
    /// EdgeCore's own default, which a new node need not be told.
    is_default: bool,
}

impl Setting {
    fn new(path: &'static str, want: &dyn ToString) -> Self {
        Setting { path, to: To::Scalar(want.to_string()), is_default: false }
    }

    /// For `--set`. Lists only with one element: a comma inside braces would be read as the next pair by some versions.
    fn pair(&self) -> String {
        match &self.to {
            To::Scalar(want) => format!("{}={want}", self.path),
            To::List(items) => format!("{}={{{}}}", self.path, items.join(",")),
            To::Map(pairs) => format!("{}={{{}}}", self.path, joined(pairs)),
            To::Absent => format!("{}=", self.path),
        }
    }

    /// How edgecore.yaml differs from it. What is to be absent is only EdgeMesh's: another value is somebody's choice.
    pub fn difference(&self, yaml: &str) -> Option<String> {
        let found = lookup(yaml, self.path).unwrap_or_default();
        let want = match &self.to {
            To::Scalar(want) => want.clone(),
            To::List(items) => items.join(","),
            To::Map(pairs) => joined(pairs),
            To::Absent if found == EDGEMESH_DNS => String::new(),
            To::Absent => return None,
        };
        (found != want).then(|| format!("{} is '{found}', wanted '{want}'", self.path))
    }
}

fn joined(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(key, value)| format!("{key}:{value}")).gather::<Vec<_>>().join(",")
}

/// The switches, as keadm's `--set` takes them and as edgecore.yaml then has them.
pub fn switches(config: &EdgeConfig) -> Vec<Setting> {
    let dns = match config.edgemesh {
        true => To::List(vec![EDGEMESH_DNS.to_owned()]),
        false => To::Absent,
    };
    let mut set = vec![Setting { path: kubelet!("clusterDNS"), to: dns, is_default: !config.edgemesh }];
    if config.edgemesh {
        set.push(Setting::new(kubelet!("clusterDomain"), &CLUSTER_DOMAIN));
    }
    let server = Setting::new("modules.metaManager.metaServer.enable", &config.edgemesh);
    set.push(Setting { is_default: !config.edgemesh, ..server });
    // What is not in use now cannot be pulled again later: never collect images.
    set.push(Setting::new(kubelet!("imageGCHighThresholdPercent"), &100));
    set.push(Setting::new("modules.edgeStream.enable", &config.edge_stream));
    set.push(Setting::new("modules.eventBus.enable", &config.mqtt));
    if let Some(ip) = config.node.ip {
        // keadm's `--set` knows it by another name.
        set.push(Setting { is_default: true, ..Setting::new("modules.edged.nodeIP", &ip) });
    }
    set
}

/// What follows from how much memory there is; nothing where upstream's defaults fit. The defaults evict pods below
/// 100 MiB of free memory, which a board with 256 MiB never has, and keep 50 MiB of log for each container.
pub fn memory_settings(class: Class) -> Vec<Setting> {
    let (free, log) = match class {
        Class::Tiny => ("24Mi", "1Mi"),
        Class::Small => ("48Mi", "2Mi"),
        Class::Medium | Class::Large => return Vec::new(),
    };
    // The map is replaced as a whole, so the other defaults are said again; in the order in which it is printed.
    let thresholds = [
        ("imagefs.available", "15%"),
        ("imagefs.inodesFree", "5%"),
        ("memory.available", free),
        ("nodefs.available", "10%"),
        ("nodefs.inodesFree", "5%"),
    ];
    let map = thresholds.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    vec![
        Setting { path: kubelet!("evictionHard"), to: To::Map(map), is_default: false },
        Setting::new(kubelet!("containerLogMaxSize"), &log),
    ]
}

/// `key=value` pairs for a join. Fields of embedded structs go by their Go names.
fn settings(config: &EdgeConfig) -> Vec<String> {
    let told = switches(config).into_iter().filter(|setting| !setting.is_default);
    let mut set: Vec<String> = told.map(|setting| setting.pair()).gather();
    if let Some(ip) = config.node.ip {
        set.push(format!("Modules.Edged.NodeIP={ip}"));
    }
    for (i, taint) in config.node.taints.iter().enumerate() {
        let at = format!("Modules.Edged.TailoredKubeletConfig.RegisterWithTaints[{i}]");
        set.push(format!("{at}.Key={}", taint.key.as_str()));
        if !taint.value.as_str().is_empty() {
            set.push(format!("{at}.Value={}", taint.value.as_str()));
        }
        set.push(format!("{at}.Effect={}", taint.effect.as_str()));
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(change: impl FnOnce(&mut EdgeConfig)) -> Cmd {
        let mut config = EdgeConfig::default();
        config.cloud.host = Some("10.0.0.1".into());
        config.node.name = Some("edge-1".parse().unwrap());
        config.token_file = Some("/t".into());
        change(&mut config);
        let identity = config.identity().unwrap();
        let token = format!("{}.aa.bb.cc", "0".repeat(64)).parse().unwrap();
        join_command(
            &Join { config: &config, identity: &identity, version: "v1.22.0", cgroup_driver: "cgroupfs" },
            &token,
        )
    }

    #[test]
    fn the_whole_line_without_the_token() {
        let shown = join(|c| {
            c.node.ip = Some("10.0.0.7".parse().unwrap());
            c.node.labels.insert("site".parse().unwrap(), "a".parse().unwrap());
            c.node.taints.push("edge=x:NoSchedule".parse().unwrap());
        })
        .to_string();
        let expected = "keadm join --cloudcore-ipport=10.0.0.1:10000 --certport=10002 '--token=(hidden)' \
            --edgenode-name=edge-1 --kubeedge-version=v1.22.0 \
            --remote-runtime-endpoint=unix:///run/containerd/containerd.sock --cgroupdriver=cgroupfs --labels=site=a \
            '--set=modules.edged.tailoredKubeletConfig.clusterDNS={169.254.96.16},\
            modules.edged.tailoredKubeletConfig.clusterDomain=cluster.local,\
            modules.metaManager.metaServer.enable=true,\
            modules.edged.tailoredKubeletConfig.imageGCHighThresholdPercent=100,\
            modules.edgeStream.enable=true,modules.eventBus.enable=false,Modules.Edged.NodeIP=10.0.0.7,\
            Modules.Edged.TailoredKubeletConfig.RegisterWithTaints[0].Key=edge,\
            Modules.Edged.TailoredKubeletConfig.RegisterWithTaints[0].Value=x,\
            Modules.Edged.TailoredKubeletConfig.RegisterWithTaints[0].Effect=NoSchedule'";
        assert_eq!(shown, expected);
    }

    #[test]
    fn switches() {
        let set = |change: fn(&mut EdgeConfig)| join(change).args.last().unwrap().clone();
        let off = set(|c| (c.edgemesh, c.edge_stream, c.mqtt) = (false, false, true));
        assert!(!off.contains("clusterDNS") && !off.contains("metaServer"), "{off}");
        assert!(off.contains("modules.edgeStream.enable=false,modules.eventBus.enable=true"), "{off}");
        let cmd = join(|c| c.cloud.host = Some("2001:db8::1".into()));
        assert_eq!((cmd.args[1].as_str(), cmd.umask), ("--cloudcore-ipport=[2001:db8::1]:10000", 0o077));
    }
}
