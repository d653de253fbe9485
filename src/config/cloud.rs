//! The settings of the cloud side with their types.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::ids::{Cidr, HostPort, NodeName};

/// Everything that can be set for the cloud side. Made by [`super::resolve_cloud()`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudConfig {
    /// Addresses that edges reach CloudCore at, the main one first.
    pub addresses: Vec<IpAddr>,
    /// Names that edges reach CloudCore at.
    pub dns_names: Vec<String>,
    /// The node's name in the cluster: the configured one, or the host's.
    pub name: Option<NodeName>,
    /// Why the host's own name could not serve.
    pub name_problem: Option<String>,
    /// The node's own address; none lets k3s choose.
    pub ip: Option<IpAddr>,
    /// Whose k3s it is.
    pub k3s: K3sMode,
    /// Add-ons of k3s that are not to run, by k3s's names.
    pub disable: Vec<&'static str>,
    /// Where the cluster's kubeconfig lies, an absolute path.
    pub kubeconfig: PathBuf,
    /// Range of the pods.
    pub cluster_cidr: Cidr,
    /// Range of the services.
    pub service_cidr: Cidr,
    /// Address of the cluster's DNS; none is the tenth of the services'.
    pub cluster_dns: Option<Ipv4Addr>,
    /// How many edge nodes CloudCore takes.
    pub node_limit: u32,
    /// EdgeMesh; none means: if the bundle has it.
    pub edgemesh: Option<bool>,
    /// A worker's server.
    pub server: Option<HostPort>,
    /// File with the token that a worker joins with.
    pub token_file: Option<PathBuf>,
    /// How long each of k3s and CloudCore may take to become ready.
    pub ready_timeout: Duration,
}

/// Whose k3s it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum K3sMode {
    /// edgelay lays it down, configures and starts it.
    Managed,
    /// It is there already.
    Existing,
}

impl K3sMode {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            K3sMode::Managed => "managed",
            K3sMode::Existing => "existing",
        }
    }
}

impl Default for CloudConfig {
    fn default() -> Self {
        CloudConfig {
            addresses: Vec::new(),
            dns_names: Vec::new(),
            name: None,
            name_problem: None,
            ip: None,
            k3s: K3sMode::Managed,
            disable: Vec::new(),
            kubeconfig: PathBuf::from("/etc/rancher/k3s/k3s.yaml"),
            // k3s's own defaults.
            cluster_cidr: Cidr::literal([10, 42, 0, 0], 16),
            service_cidr: Cidr::literal([10, 43, 0, 0], 16),
            cluster_dns: None,
            node_limit: 1000,
            edgemesh: None,
            server: None,
            token_file: None,
            ready_timeout: Duration::from_secs(10 * 60),
        }
    }
}

impl CloudConfig {
    /// Address of the cluster's DNS.
    pub fn dns(&self) -> Ipv4Addr {
        let tenth = self.service_cidr.base().to_bits().saturating_add(10);
        self.cluster_dns.unwrap_or_else(|| Ipv4Addr::from_bits(tenth))
    }

    /// Whether Traefik is served at ports 80 and 443 of every node.
    pub fn has_ingress(&self) -> bool {
        !["traefik", "servicelb"].iter().any(|name| self.disable.contains(name))
    }

    /// What rules there are between settings of a server.
    pub fn check_server(&self) -> Result<()> {
        if self.addresses.is_empty() {
            return Err(Error::new(
                Kind::Config,
                "the cloud side needs 'advertise_address', which the configuration does not set",
            )
            .hint("give the addresses that edges reach this machine at: --advertise-address ADDRESS"));
        }
        if self.cluster_cidr.overlaps(self.service_cidr) {
            let what = format!("'cluster_cidr' {} overlaps 'service_cidr' {}", self.cluster_cidr, self.service_cidr);
            return Err(Error::new(Kind::Config, what).hint("choose ranges that have no address in common"));
        }
        if !self.service_cidr.contains(self.dns()) {
            let what = format!("'cluster_dns' {} is no address of 'service_cidr' {}", self.dns(), self.service_cidr);
            return Err(Error::new(Kind::Config, what).hint("choose an address inside the range of the services"));
        }
        if let (K3sMode::Managed, Some(ip @ IpAddr::V6(_))) = (self.k3s, self.ip) {
            let what =
                format!("'node.ip' is {ip}, but the cluster's ranges are of IPv4, and k3s wants one kind of both");
            return Err(Error::new(Kind::Config, what).hint(
                "give an IPv4 address of this machine; addresses of IPv6 for edges belong into 'advertise_address'",
            ));
        }
        if self.k3s == K3sMode::Managed { self.check_name() } else { Ok(()) }
    }

    /// What rules there are between settings of a worker.
    pub fn check_worker(&self) -> Result<()> {
        self.worker()?;
        self.check_name()
    }

    /// k3s would take a host name that no node can have, and its kubelet could never register.
    fn check_name(&self) -> Result<()> {
        match &self.name_problem {
            Some(problem) if self.name.is_none() => {
                Err(Error::new(Kind::Config, problem.clone()).hint("set 'node.name', or give --node-name NAME"))
            }
            _ => Ok(()),
        }
    }

    /// What a worker needs, or one error that names everything missing.
    pub fn worker(&self) -> Result<(HostPort, PathBuf)> {
        match (&self.server, &self.token_file) {
            (Some(server), Some(token_file)) => Ok((server.clone(), token_file.clone())),
            (server, token_file) => {
                let flags = [("--server HOST:6443", server.is_none()), ("--token-file FILE", token_file.is_none())];
                let missing: Vec<&str> = flags.iter().filter(|(_, missing)| *missing).map(|(flag, _)| *flag).gather();
                Err(Error::new(Kind::Config, format_args!("a worker needs {}", missing.join(" and ")))
                    .hint("the token lies on the server in '/var/lib/rancher/k3s/server/node-token'"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_between_settings() {
        type Change = fn(&mut CloudConfig);
        let table: [(Change, &str); 6] = [
            (|_| {}, ""),
            (|c| c.addresses.clear(), "the cloud side needs 'advertise_address', which the configuration does not set"),
            (
                |c| c.service_cidr = Cidr::literal([10, 42, 128, 0], 20),
                "'cluster_cidr' 10.42.0.0/16 overlaps 'service_cidr' 10.42.128.0/20",
            ),
            (
                |c| c.cluster_dns = Some([10, 44, 0, 10].into()),
                "'cluster_dns' 10.44.0.10 is no address of 'service_cidr' 10.43.0.0/16",
            ),
            (
                |c| c.ip = Some("2001:db8::1".parse().unwrap()),
                "'node.ip' is 2001:db8::1, but the cluster's ranges are of IPv4, and k3s wants one kind of both",
            ),
            (|c| c.name_problem = Some("the host name 'x_y' is bad".into()), "the host name 'x_y' is bad"),
        ];
        for (change, want) in table {
            let mut config = CloudConfig { addresses: vec![[192, 0, 2, 1].into()], ..CloudConfig::default() };
            change(&mut config);
            assert_eq!(config.check_server().map_err(|e| e.to_string()).err().unwrap_or_default(), want);
        }
        assert_eq!(CloudConfig::default().dns().to_string(), "10.43.0.10");
        let e = CloudConfig::default().worker().unwrap_err();
        assert_eq!(e.to_string(), "a worker needs --server HOST:6443 and --token-file FILE");
        let (server, token_file) = ("192.0.2.1:6443".parse().ok(), Some("token".into()));
        let mut worker = CloudConfig { server, token_file, ..CloudConfig::default() };
        assert!(worker.check_worker().is_ok());
        worker.name_problem = Some("the host name 'x_y' is bad".into());
        assert_eq!(worker.check_worker().unwrap_err().to_string(), "the host name 'x_y' is bad");
        worker.name = "x".parse().ok();
        assert!(worker.check_worker().is_ok());
    }
}
