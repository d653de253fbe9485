//! Text → typed value, for the values that have rules of their own.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use crate::error::excerpt;
use crate::gather::Gather;
use crate::ids::{BadName, Cidr, HostPort, NodeName, RelPath};
use crate::sorted::Map;

use super::value::{Refusal, parse_port};
use super::{ContainerdMode, JoinMethod, K3sMode, LabelKey, LabelValue, Reboot, Taint};

/// CloudHub's HTTPS port for certificates.
pub(super) const CERT_PORT: u16 = 10002;

/// `sun_path` of a Unix socket holds 108 bytes with the final NUL (unix(7)).
const MAX_SOCKET_PATH: usize = 107;

const HOST_ONLY: &str =
    "give the bare host; the ports have settings of their own: cloud.websocket_port and cloud.cert_port";

impl From<BadName> for Refusal {
    fn from(bad: BadName) -> Self {
        Refusal::new(bad.to_string())
    }
}

/// IPv4, IPv6 (brackets are dropped) or DNS name, without port.
pub(super) fn cloud_host(text: &str) -> Result<String, Refusal> {
    if text.contains("://") {
        return Err(Refusal::new("is a URL, not a host").with_hint(HOST_ONLY));
    }
    let v6 = text.parse::<std::net::Ipv6Addr>().is_ok() || text.ends_with(']');
    if !v6 && let Some((_, port)) = text.rsplit_once(':') {
        return Err(match port {
            "10002" => Refusal::new(
                "carries port 10002, which only hands out certificates: a node joined through it never registers",
            )
            .with_hint(HOST_ONLY),
            _ => Refusal::new("carries a port").with_hint(HOST_ONLY),
        });
    }
    // Any port: only the host is looked at here.
    let host = HostPort::new(text, CERT_PORT)?.host().to_owned();
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified() || ip.is_multicast()) {
        return Err(Refusal::new("is not the address of one machine"));
    }
    Ok(host)
}

/// Any port but the one that a well-meaning user takes from the certificate side.
pub(super) fn websocket_port(text: &str) -> Result<u16, Refusal> {
    match parse_port(text)? {
        CERT_PORT => Err(Refusal::new(
            "only hands out certificates: keadm would report success, and the node would never register",
        )
        .with_hint("give CloudCore's WebSocket port, which is 10000 unless it is mapped")),
        port => Ok(port),
    }
}

/// A name that can be told from other machines' names.
pub(super) fn node_name(text: &str) -> Result<NodeName, Refusal> {
    let name: NodeName = text.parse()?;
    match name.as_str() {
        "localhost" | "localhost.localdomain" => {
            Err(Refusal::new("is every machine's name, and no two nodes can share one")
                .with_hint("choose a name that no other node has, such as one with the serial number"))
        }
        "default-edge-node" => {
            Err(Refusal::new("is what keadm calls machines whose host name is unfit, and no two nodes can share one")
                .with_hint("choose a name that no other node has, such as one with the serial number"))
        }
        _ => Ok(name),
    }
}

/// The address of this machine on some network.
pub(super) fn node_ip(text: &str) -> Result<IpAddr, Refusal> {
    let ip: IpAddr = text.parse().map_err(|e: std::net::AddrParseError| Refusal::new(format_args!("is {e}")))?;
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return Err(Refusal::new("is not an address that others reach this machine by"));
    }
    Ok(ip)
}

/// A range that a bridge can hand out.
pub(super) fn pod_cidr(text: &str) -> Result<Cidr, Refusal> {
    const NEVER: [Cidr; 4] = [
        Cidr::literal([0, 0, 0, 0], 8),
        Cidr::literal([127, 0, 0, 0], 8),
        // Also EdgeMesh's bridge and its DNS, and the metaServer.
        Cidr::literal([169, 254, 0, 0], 16),
        Cidr::literal([224, 0, 0, 0], 3),
    ];
    let range: Cidr = text.parse()?;
    // A bridge needs its own address, the network's and the broadcast one; fewer than 13 pods is surely a mistake.
    if !(8..=28).contains(&range.prefix()) {
        return Err(Refusal::new("has a prefix length that is not between 8 and 28"));
    }
    match NEVER.into_iter().find(|never| never.overlaps(range)) {
        Some(never) => Err(Refusal::new(format_args!("overlaps {never}, which pods cannot have"))),
        None => Ok(range),
    }
}

/// A path of this machine; relative ones count from the working directory.
pub(super) fn token_file(text: &str) -> Result<PathBuf, Refusal> {
    if text == "-" {
        return Err(Refusal::new("is the standard input, which a second run would not find again")
            .with_hint("write the token to a file that only root can read"));
    }
    path(text)
}

fn path(text: &str) -> Result<PathBuf, Refusal> {
    match text.bytes().position(|b| b.is_ascii_control()) {
        Some(at) => Err(BadName::Byte(at).into()),
        None => Ok(PathBuf::from(text)),
    }
}

/// An absolute path, or the same as a `unix://` address, as keadm and crictl write it.
pub fn socket(text: &str) -> Result<PathBuf, Refusal> {
    let text = text.strip_prefix("unix://").unwrap_or(text);
    if !text.starts_with('/') {
        return Err(Refusal::new("is not an absolute path"));
    }
    if text.len() > MAX_SOCKET_PATH {
        return Err(BadName::TooLong(MAX_SOCKET_PATH).into());
    }
    path(text)
}

/// A directory that will stand in containerd's configuration and in the options of mounts.
pub(super) fn store(text: &str) -> Result<String, Refusal> {
    if text == "/" {
        return Err(Refusal::new("is no directory of its own"));
    }
    let text = text.trim_end_matches('/');
    RelPath::from_absolute(text)?;
    match text.contains([',', ':', '"', '\\']) || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        true => Err(Refusal::new("has a character that cannot stand in the options of a mount")),
        false => Ok(text.to_owned()),
    }
}

pub(super) fn join_method(text: &str) -> Result<JoinMethod, Refusal> {
    let all = [JoinMethod::Auto, JoinMethod::Keadm, JoinMethod::Native];
    let found = all.into_iter().find(|method| method.as_str() == text);
    found.ok_or_else(|| Refusal::new("is neither 'auto', 'keadm' nor 'native'"))
}

pub(super) fn containerd(text: &str) -> Result<ContainerdMode, Refusal> {
    match text {
        "managed" => Ok(ContainerdMode::Managed),
        "existing" => Ok(ContainerdMode::Existing),
        _ => Err(Refusal::new("is neither 'managed' nor 'existing'")),
    }
}

/// An absolute path.
pub(super) fn absolute(text: &str) -> Result<PathBuf, Refusal> {
    if text.starts_with('/') { path(text) } else { Err(Refusal::new("is not an absolute path")) }
}

pub(super) fn k3s(text: &str) -> Result<K3sMode, Refusal> {
    match text {
        "managed" => Ok(K3sMode::Managed),
        "existing" => Ok(K3sMode::Existing),
        _ => Err(Refusal::new("is neither 'managed' nor 'existing'")),
    }
}

/// Names and addresses in one certificate; more is surely a mistake.
const MAX_NAMES: usize = 32;

/// Addresses that edges reach the cloud at.
pub(super) fn addresses(list: &[String]) -> Result<Vec<IpAddr>, Refusal> {
    let mut found = Vec::new();
    for text in few(list)? {
        let ip = node_ip(text).map_err(|r| {
            let what = format!("has '{}', which {}", shown(text), r.what());
            Refusal::new(what).with_hint("give bare addresses, such as 192.0.2.10; names belong into 'dns_names'")
        })?;
        if found.contains(&ip) {
            return Err(Refusal::new(format_args!("has '{ip}' twice")));
        }
        found.push(ip);
    }
    Ok(found)
}

/// Names that edges reach the cloud at.
pub(super) fn dns_names(list: &[String]) -> Result<Vec<String>, Refusal> {
    let mut found = Vec::new();
    for text in few(list)? {
        let name = HostPort::new(text, CERT_PORT)
            .map_err(|e| Refusal::new(format_args!("has '{}', which {e}", shown(text))))?;
        if name.host().parse::<IpAddr>().is_ok() {
            let what = format!("has '{}', which is an address", shown(text));
            return Err(Refusal::new(what).with_hint("addresses belong into 'advertise_address'"));
        }
        found.push(name.host().to_owned());
    }
    Ok(found)
}

/// Add-ons of k3s. Without its DNS nothing in the cluster works.
pub(super) fn addons(list: &[String]) -> Result<Vec<&'static str>, Refusal> {
    const ADDONS: [&str; 4] = ["traefik", "servicelb", "metrics-server", "local-storage"];
    let known = |text: &String| {
        let what = || Refusal::new(format_args!("has '{}', which is none of {}", shown(text), ADDONS.join(", ")));
        ADDONS.into_iter().find(|name| name == text).ok_or_else(what)
    };
    list.iter().map(known).gather()
}

fn few(list: &[String]) -> Result<&[String], Refusal> {
    if list.len() > MAX_NAMES { Err(Refusal::new(format_args!("has more than {MAX_NAMES} parts"))) } else { Ok(list) }
}

/// An IPv4 address.
pub(super) fn ipv4(text: &str) -> Result<Ipv4Addr, Refusal> {
    text.parse().map_err(|e: std::net::AddrParseError| Refusal::new(format_args!("is {e}")))
}

/// CloudCore's own limit has no upper bound; beyond this the number is a mistake.
pub(super) fn node_limit(text: &str) -> Result<u32, Refusal> {
    match text.parse::<u32>() {
        Ok(limit @ 1..=100_000) => Ok(limit),
        _ => Err(Refusal::new("is not a number between 1 and 100000")),
    }
}

/// `HOST:PORT`, also as a URL, as k3s writes it.
pub(super) fn server(text: &str) -> Result<HostPort, Refusal> {
    let bare = text.strip_prefix("https://").unwrap_or(text);
    let Some((host, port)) = bare.rsplit_once(':') else {
        return Err(Refusal::new("has no port").with_hint("write HOST:6443"));
    };
    Ok(HostPort::new(host, parse_port(port)?)?)
}

/// The id of a board profile; whether there is one is known only once they are read.
pub(super) fn board_profile(text: &str) -> Result<String, Refusal> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || !text.bytes().all(plain) {
        return Err(Refusal::new("is no id of a board profile: lower-case letters, digits and '-'")
            .with_hint("'edgelay board list' shows all"));
    }
    Ok(text.to_owned())
}

/// A directory of this machine.
pub(super) fn directory(text: &str) -> Result<PathBuf, Refusal> {
    path(text)
}

pub(super) fn reboot(text: &str) -> Result<Reboot, Refusal> {
    match text {
        "never" => Ok(Reboot::Never),
        "once" => Ok(Reboot::Once),
        _ => Err(Refusal::new("is neither 'never' nor 'once'")),
    }
}

/// More would not fit into one command line argument with certainty (128 KiB), and nobody needs them.
const MAX_LABELS: usize = 64;

pub(super) fn labels(pairs: &[(String, String)]) -> Result<Map<LabelKey, LabelValue>, Refusal> {
    if pairs.len() > MAX_LABELS {
        return Err(Refusal::new(format_args!("has more than {MAX_LABELS} labels")));
    }
    let mut labels = Map::new();
    for (key, value) in pairs {
        let bad =
            |e: BadName| Refusal::new(format_args!("has a label '{}' that {e}", shown(&format!("{key}={value}"))));
        let name: LabelKey = key.parse().map_err(bad)?;
        if labels.insert(name, value.parse().map_err(bad)?).is_some() {
            return Err(Refusal::new(format_args!("has the label '{key}' twice")));
        }
    }
    Ok(labels)
}

pub(super) fn taints(list: &[String]) -> Result<Vec<Taint>, Refusal> {
    if list.len() > MAX_LABELS {
        return Err(Refusal::new(format_args!("has more than {MAX_LABELS} taints")));
    }
    let mut taints: Vec<Taint> = Vec::new();
    for text in list {
        let taint: Taint =
            text.parse().map_err(|e: BadName| Refusal::new(format_args!("has a taint '{}' that {e}", shown(text))))?;
        // Kubernetes: unique by key and effect.
        if taints.iter().any(|other| other.key == taint.key && other.effect == taint.effect) {
            return Err(Refusal::new(format_args!(
                "has two taints for '{}:{}'",
                taint.key.as_str(),
                taint.effect.as_str()
            )));
        }
        taints.push(taint);
    }
    Ok(taints)
}

/// A value as it may be shown in a message: short, and without anything that moves a terminal's cursor.
pub(super) fn shown(text: &str) -> String {
    const MAX: usize = 80;
    let mut out = excerpt(text, MAX);
    if text.chars().nth(MAX).is_some() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (text, host) in [
            ("10.0.0.1", "10.0.0.1"),
            ("cloud.example", "cloud.example"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            assert_eq!(cloud_host(text), Ok(host.to_owned()));
        }
        for (text, what) in [
            (
                "10.0.0.1:10002",
                "carries port 10002, which only hands out certificates: a node joined through it never registers",
            ),
            ("10.0.0.1:10000", "carries a port"),
            ("[2001:db8::1]:10000", "carries a port"),
            ("https://cloud", "is a URL, not a host"),
            ("0.0.0.0", "is not the address of one machine"),
            ("300.1.1.1", "looks like an IPv4 address but is none"),
            ("a b", "has a character that is not allowed, at position 1"),
        ] {
            assert_eq!(cloud_host(text).unwrap_err().what(), what, "{text}");
        }
    }

    #[test]
    fn names_and_addresses() {
        assert_eq!(node_name("Edge-1").unwrap().as_str(), "edge-1");
        for bad in ["localhost", "LOCALHOST", "localhost.localdomain", "default-edge-node", "a_b", ""] {
            assert!(node_name(bad).is_err(), "{bad}");
        }
        for good in ["10.1.1.1", "2001:db8::1"] {
            assert_eq!(node_ip(good).unwrap().to_string(), good);
        }
        for bad in ["127.0.0.1", "::", "0.0.0.0", "224.0.0.1", "10.1.1", "10.1.1.1/24"] {
            assert!(node_ip(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges() {
        for good in ["10.87.0.0/16", "192.168.100.0/24", "100.64.0.0/10"] {
            assert_eq!(pod_cidr(good).unwrap().to_string(), good);
        }
        for bad in ["10.0.0.1/8", "10.0.0.0/29", "0.0.0.0/0", "127.0.0.0/8", "169.254.96.0/24", "240.0.0.0/8", "::/64"]
        {
            assert!(pod_cidr(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(socket("unix:///run/c.sock"), Ok("/run/c.sock".into()));
        assert_eq!(socket("/run/c.sock"), Ok("/run/c.sock".into()));
        for bad in ["run/c.sock", "unix://run/c.sock", "tcp://1.2.3.4:1", "/a\nb", &format!("/{}", "a".repeat(107))] {
            assert!(socket(bad).is_err(), "{bad}");
        }
        assert!(token_file("-").is_err());
        assert_eq!(store("/data/"), Ok("/data".into()));
        assert_eq!(store("/").unwrap_err().what(), "is no directory of its own");
        assert_eq!(token_file("token"), Ok("token".into()));
    }

    #[test]
    fn what_the_cloud_side_is_given() {
        let list = |items: &[&str]| -> Vec<String> { items.iter().map(|i| (*i).to_owned()).collect() };
        assert_eq!(addresses(&list(&["192.0.2.1", "2001:db8::1"])).unwrap().len(), 2);
        for (bad, what) in [
            (&["192.0.2.300"][..], "has '192.0.2.300', which is invalid IP address syntax"),
            (&["127.0.0.1"], "has '127.0.0.1', which is not an address that others reach this machine by"),
            (&["10.0.0.1", "10.0.0.1"], "has '10.0.0.1' twice"),
        ] {
            assert_eq!(addresses(&list(bad)).unwrap_err().what(), what);
        }
        let hint = addresses(&list(&["cloud.example"])).unwrap_err().hint();
        assert_eq!(hint, Some("give bare addresses, such as 192.0.2.10; names belong into 'dns_names'"));
        assert_eq!(dns_names(&list(&["cloud.example"])), Ok(list(&["cloud.example"])));
        assert_eq!(dns_names(&list(&["10.0.0.1"])).unwrap_err().what(), "has '10.0.0.1', which is an address");
        assert!(dns_names(&list(&["a b"])).is_err() && dns_names(&vec!["a".to_owned(); 33]).is_err());
        for good in ["10.0.0.1:6443", "https://10.0.0.1:6443", "cloud:6443", "[2001:db8::1]:6443"] {
            assert!(server(good).is_ok(), "{good}");
        }
        for bad in ["10.0.0.1", "10.0.0.1:0", ":6443", "http://a:1"] {
            assert!(server(bad).is_err(), "{bad}");
        }
        assert_eq!((node_limit("1"), node_limit("0").is_err(), node_limit("x").is_err()), (Ok(1), true, true));
        assert!(absolute("k3s.yaml").is_err() && k3s("mine").is_err() && ipv4("::1").is_err());
    }

    #[test]
    fn labels_and_taints() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        assert_eq!(labels(&[pair("a", "1"), pair("b", "")]).unwrap().len(), 2);
        assert_eq!(labels(&[pair("a", "1"), pair("a", "2")]).unwrap_err().what(), "has the label 'a' twice");
        assert_eq!(
            labels(&[pair("a", "x,y")]).unwrap_err().what(),
            "has a label 'a=x,y' that has a character that is not allowed, at position 1"
        );
        let list = |items: &[&str]| -> Vec<String> { items.iter().map(|i| (*i).to_owned()).collect() };
        assert_eq!(taints(&list(&["a:NoSchedule", "a:NoExecute"])).unwrap().len(), 2);
        assert_eq!(
            taints(&list(&["a:NoSchedule", "a=b:NoSchedule"])).unwrap_err().what(),
            "has two taints for 'a:NoSchedule'"
        );
        assert_eq!(
            taints(&list(&["a"])).unwrap_err().what(),
            "has a taint 'a' that is not key=value:Effect or key:Effect"
        );
    }
}
