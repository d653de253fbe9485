//! k3s's config.yaml. Its keys are the names of k3s's flags.

use std::net::IpAddr;

use crate::config::CloudConfig;
use crate::gather::{Gather, Grow};
use crate::ids::{HostPort, NodeName};
use crate::json::Text;
use crate::kubeedge::SERVER_LABEL;

use super::{HELD, WORKER_TOKEN};

/// What depends on more than the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The configuration.
    pub config: &'a CloudConfig,
    /// Address that the API gives to its own nodes; it must be this machine's.
    pub advertise: Option<IpAddr>,
}

/// Where k3s may run the pods that stand for a service of type LoadBalancer: once one node has it, only on such nodes.
const BALANCES: &str = "svccontroller.k3s.cattle.io/enablelb=true";

/// A server's.
pub fn server_config(settings: Settings<'_>) -> String {
    let Settings { config, advertise } = settings;
    let mut out = Yaml::new();
    out.one("write-kubeconfig-mode", "0600");
    out.one_opt("node-name", config.name.as_ref().map(NodeName::as_str));
    out.one_opt("node-ip", config.ip.map(|ip| ip.to_string()).as_deref());
    out.one_opt("advertise-address", advertise.map(|ip| ip.to_string()).as_deref());
    let names = config.addresses.iter().map(ToString::to_string).chain(config.dns_names.iter().cloned());
    out.list("tls-san", &names.gather::<Vec<_>>());
    out.list("disable", &config.disable.iter().map(ToString::to_string).gather::<Vec<_>>());
    out.one("cluster-cidr", &config.cluster_cidr.to_string());
    out.one("service-cidr", &config.service_cidr.to_string());
    out.one("cluster-dns", &config.dns().to_string());
    // The API must reach edge nodes through CloudCore, not through the tunnel that k3s's own nodes hold open, and
    // CloudCore's certificate is not of k3s's authority: without these two, logs and exec end in 502 and x509.
    out.one("egress-selector-mode", "disabled");
    out.list("kube-apiserver-arg", &["kubelet-certificate-authority=".to_owned()]);
    out.list("node-label", &[BALANCES.to_owned(), format!("{}={}", SERVER_LABEL.0, SERVER_LABEL.1)]);
    // A node registers once: when it is started again later, nothing is held back.
    out.list("node-taint", &[format!("{HELD}=awaited:NoSchedule")]);
    out.0
}

/// A worker's. The token is in a file of its own.
pub fn agent_config(server: &HostPort, name: Option<&NodeName>, ip: Option<IpAddr>) -> String {
    let mut out = Yaml::new();
    out.one("server", &format!("https://{server}"));
    out.one("token-file", &WORKER_TOKEN.to_string());
    out.one_opt("node-name", name.map(NodeName::as_str));
    out.one_opt("node-ip", ip.map(|ip| ip.to_string()).as_deref());
    out.list("node-label", &[BALANCES.to_owned()]);
    out.0
}

/// A YAML map; a JSON string is a quoted YAML scalar.
struct Yaml(String);

impl Yaml {
    fn new() -> Self {
        Yaml(
            "# Written by edgelay; changes are overwritten by the next install. Own ones go into config.yaml.d.\n"
                .into(),
        )
    }

    fn one(&mut self, key: &str, value: &str) {
        self.0.grow(format_args!("{key}: {}\n", Text(value)));
    }

    fn one_opt(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.one(key, value);
        }
    }

    fn list(&mut self, key: &str, values: &[String]) {
        if !values.is_empty() {
            self.0.grow(format_args!("{key}:\n"));
            for value in values {
                self.0.grow(format_args!("- {}\n", Text(value)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_files() {
        let config = CloudConfig {
            addresses: vec!["192.0.2.10".parse().unwrap(), "2001:db8::1".parse().unwrap()],
            dns_names: vec!["cloud.example".into()],
            name: Some("cloud-1".parse().unwrap()),
            ip: Some("10.0.0.5".parse().unwrap()),
            disable: vec!["traefik", "servicelb"],
            ..CloudConfig::default()
        };
        let advertise = Some("192.0.2.10".parse().unwrap());
        let expected =
            "# Written by edgelay; changes are overwritten by the next install. Own ones go into config.yaml.d.
write-kubeconfig-mode: \"0600\"
node-name: \"cloud-1\"
node-ip: \"10.0.0.5\"
advertise-address: \"192.0.2.10\"
tls-san:
- \"192.0.2.10\"
- \"2001:db8::1\"
- \"cloud.example\"
disable:
- \"traefik\"
- \"servicelb\"
cluster-cidr: \"10.42.0.0/16\"
service-cidr: \"10.43.0.0/16\"
cluster-dns: \"10.43.0.10\"
egress-selector-mode: \"disabled\"
kube-apiserver-arg:
- \"kubelet-certificate-authority=\"
node-label:
- \"svccontroller.k3s.cattle.io/enablelb=true\"
- \"edgelay-server=here\"
node-taint:
- \"edgelay/images=awaited:NoSchedule\"
";
        assert_eq!(server_config(Settings { config: &config, advertise }), expected);
        let server = HostPort::new("192.0.2.10", 6443).unwrap();
        let expected =
            "# Written by edgelay; changes are overwritten by the next install. Own ones go into config.yaml.d.
server: \"https://192.0.2.10:6443\"
token-file: \"/etc/rancher/k3s/worker-token\"
node-name: \"worker-1\"
node-label:
- \"svccontroller.k3s.cattle.io/enablelb=true\"
";
        assert_eq!(agent_config(&server, Some(&"worker-1".parse().unwrap()), None), expected);
    }
}
