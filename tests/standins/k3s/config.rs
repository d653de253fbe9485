//! config.yaml and flags: the names that k3s v1.34 knows, what their values must be. The real one skips unknown keys of
//! config.yaml with the warning that is printed here; this one stops there, as a key that nobody reads is a fault.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::shared::yaml::{Yaml, parse};

const PATH: &str = "/etc/rancher/k3s/config.yaml";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Agent,
}

/// Flags of both, then those of a server alone.
const COMMON: &str = "bind-address config container-runtime-endpoint data-dir debug default-runtime \
    disable-default-registry-endpoint flannel-conf flannel-iface image-service-endpoint kube-proxy-arg kubelet-arg \
    lb-server-port log node-external-ip node-ip node-label node-name node-taint pause-image prefer-bundled-bin \
    private-registry protect-kernel-defaults resolv-conf selinux server snapshotter token token-file v vmodule with-node-id";
const SERVER: &str = "advertise-address advertise-port agent-token agent-token-file cluster-cidr cluster-dns cluster-domain \
    cluster-init datastore-endpoint disable disable-apiserver disable-cloud-controller disable-helm-controller \
    disable-kube-proxy disable-network-policy disable-scheduler egress-selector-mode embedded-registry enable-pprof \
    etcd-disable-snapshots flannel-backend helm-job-image https-listen-port kube-apiserver-arg kube-controller-manager-arg \
    kube-scheduler-arg secrets-encryption service-cidr service-node-port-range servicelb-namespace supervisor-metrics \
    system-default-registry tls-san tls-san-security write-kubeconfig write-kubeconfig-group write-kubeconfig-mode";
const PACKAGED: [&str; 7] =
    ["coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes", "cloud-controller"];

/// What was said, by flag.
#[derive(Debug)]
pub(crate) struct Config(BTreeMap<String, Vec<String>>);

impl Config {
    pub(crate) fn one(&self, flag: &str) -> Option<&str> {
        self.0.get(flag).and_then(|values| values.last()).map(String::as_str)
    }

    pub(crate) fn all(&self, flag: &str) -> Vec<&str> {
        let values = self.0.get(flag).map(Vec::as_slice).unwrap_or_default();
        values.iter().flat_map(|value| value.split(',')).filter(|value| !value.is_empty()).collect()
    }

    /// The join token: given itself, or in a file.
    pub(crate) fn token(&self) -> Result<Option<String>, String> {
        match (self.one("token"), self.one("token-file")) {
            (Some(token), _) => Ok(Some(token.to_owned())),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                let text =
                    text.map_err(|e| format!("Error: reading token from token-file: open {path}: {}", go(&e)))?;
                Ok(Some(text.trim().to_owned()))
            }
            (None, None) => Ok(None),
        }
    }
}

/// An error of the system in Go's words.
pub(crate) fn go(e: &std::io::Error) -> String {
    let text = e.to_string();
    text.split(" (os error").next().unwrap_or_default().to_ascii_lowercase()
}

/// The file first, flags over it.
pub(crate) fn load(role: Role, args: &[String]) -> Result<Config, String> {
    let mut config = Config(BTreeMap::new());
    match std::fs::read_to_string(PATH) {
        Ok(text) => file(&mut config, role, &text)?,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(format!("open {PATH}: {}", go(&e))),
    }
    let mut given: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let flag = arg.trim_start_matches('-');
        let (flag, value) = match flag.split_once('=') {
            Some((flag, value)) => (flag, value.to_owned()),
            None => (flag, args.next().cloned().unwrap_or_default()),
        };
        if !arg.starts_with("--") || !known(role, flag) {
            return Err(format!("flag provided but not defined: -{flag}"));
        }
        given.entry(flag.to_owned()).or_default().push(value);
    }
    config.0.extend(given);
    check(&config, role)?;
    Ok(config)
}

fn file(config: &mut Config, role: Role, text: &str) -> Result<(), String> {
    let Yaml::Map(map) = parse(text).map_err(|why| format!("error converting YAML to JSON: yaml: {why}"))? else {
        return Err(format!("error unmarshaling {PATH}: not a map"));
    };
    for (key, value) in map {
        if !known(role, &key) {
            super::say("warning", &format!("Unknown flag --{key} found in config.yaml, skipping"));
            return Err(format!("flag provided but not defined: -{key}"));
        }
        let values = match value {
            Yaml::List(items) => items.iter().map(scalar).collect::<Result<_, _>>(),
            value => scalar(&value).map(|value| vec![value]),
        };
        config.0.insert(key.clone(), values.map_err(|()| format!("error unmarshaling {PATH}: '{key}' is a map"))?);
    }
    Ok(())
}

fn scalar(value: &Yaml) -> Result<String, ()> {
    match value {
        Yaml::Str(text) => Ok(text.clone()),
        Yaml::Int(number) => Ok(number.to_string()),
        Yaml::Bool(value) => Ok(value.to_string()),
        Yaml::Null => Ok(String::new()),
        Yaml::List(_) | Yaml::Map(_) => Err(()),
    }
}

fn known(role: Role, flag: &str) -> bool {
    let in_list = |list: &str| list.split_whitespace().any(|one| one == flag);
    in_list(COMMON) || (role == Role::Server && in_list(SERVER))
}

fn check(config: &Config, role: Role) -> Result<(), String> {
    for flag in ["advertise-address", "node-ip", "node-external-ip", "bind-address", "cluster-dns"] {
        for value in config.all(flag) {
            value.parse::<IpAddr>().map_err(|_| format!("Error: invalid {flag}: invalid ip format '{value}'"))?;
        }
    }
    for flag in ["cluster-cidr", "service-cidr"] {
        for value in config.all(flag) {
            let parts = value
                .split_once('/')
                .map(|(ip, bits)| (ip.parse::<IpAddr>().is_ok(), bits.parse::<u8>().is_ok_and(|b| b <= 128)));
            if parts != Some((true, true)) {
                return Err(format!("Error: invalid {flag} {value}: invalid CIDR address: {value}"));
            }
        }
    }
    if let Some(mode) = config.one("write-kubeconfig-mode") {
        u32::from_str_radix(mode, 8)
            .map_err(|_| format!("Error: strconv.ParseInt: parsing \"{mode}\": invalid syntax"))?;
    }
    let mode = config.one("egress-selector-mode").unwrap_or("agent");
    if !["disabled", "agent", "pod", "cluster"].contains(&mode) {
        return Err(format!("Error: invalid egress-selector-mode {mode}"));
    }
    for name in config.all("disable") {
        if !PACKAGED.contains(&name) {
            return Err(format!("Error: unknown packaged component '{name}' in --disable"));
        }
    }
    for value in config.all("node-label") {
        if !value.contains('=') {
            return Err(format!("Error: invalid node-label '{value}': no '='"));
        }
    }
    match (role, config.one("server")) {
        (Role::Agent, None) => Err("Error: --server is required".into()),
        (_, Some(server)) if !server.starts_with("https://") => {
            Err(format!("Error: only https:// URLs are supported, invalid scheme: {server}"))
        }
        (Role::Agent, Some(_)) if config.one("token").is_none() && config.one("token-file").is_none() => {
            Err("Error: --token is required".into())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(role: Role, text: &str) -> Result<Config, String> {
        let mut config = Config(BTreeMap::new());
        file(&mut config, role, text)?;
        check(&config, role)?;
        Ok(config)
    }

    #[test]
    fn what_k3s_does_not_know_or_cannot_read_is_refused() {
        for (text, why) in [
            ("advertise-adress: 10.0.0.1", "flag provided but not defined: -advertise-adress"),
            ("node-ip: 10.0.0", "Error: invalid node-ip: invalid ip format '10.0.0'"),
            ("cluster-cidr: 10.42.0.0", "Error: invalid cluster-cidr 10.42.0.0: invalid CIDR address: 10.42.0.0"),
            ("write-kubeconfig-mode: \"0900\"", "Error: strconv.ParseInt: parsing \"0900\": invalid syntax"),
            ("egress-selector-mode: off", "Error: invalid egress-selector-mode off"),
            ("disable:\n- traefic", "Error: unknown packaged component 'traefic' in --disable"),
        ] {
            assert_eq!(read(Role::Server, text).unwrap_err(), why);
        }
        assert_eq!(read(Role::Agent, "tls-san: x").unwrap_err(), "flag provided but not defined: -tls-san");
        assert_eq!(read(Role::Agent, "node-name: x").unwrap_err(), "Error: --server is required");
    }

    #[test]
    fn lists_and_scalars_are_kept() {
        let config = read(Role::Server, "tls-san:\n- a\n- \"b\"\nnode-name: n\ndisable: traefik,servicelb\n").unwrap();
        assert_eq!((config.all("tls-san"), config.one("node-name")), (vec!["a", "b"], Some("n")));
        assert_eq!(config.all("disable"), ["traefik", "servicelb"]);
    }
}
