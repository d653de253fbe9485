//! The network as the kernel's tables show it: listeners, routes, own addresses, name servers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::TABLE;
use crate::error::Result;
use crate::gather::{Gather, Grow};
use crate::ids::{Cidr, RelPath};
use crate::root::Root;

/// A TCP socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// Number of the socket, to find its process with.
    pub inode: u64,
}

/// Every listening TCP socket of this network namespace (`/proc/net/tcp`, `tcp6`).
pub fn listeners(root: &Root) -> Result<Vec<Listener>> {
    let mut found = Vec::new();
    for path in [RelPath::literal("proc/net/tcp"), RelPath::literal("proc/net/tcp6")] {
        let text = root.text_or_empty(path, TABLE)?;
        found.add_all(text.lines().filter_map(listener));
    }
    Ok(found)
}

/// TCP_LISTEN of the kernel's tcp_states.h.
const LISTEN: &str = "0A";

/// `sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ...`
fn listener(line: &str) -> Option<Listener> {
    let mut words = line.split_whitespace();
    let (local, state, inode) = (words.nth(1)?, words.nth(1)?, words.nth(5)?);
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let address = match address.len() {
        8 => IpAddr::V4(hex_v4(address)?),
        _ => IpAddr::V6(hex_v6(address)?),
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Listener { address: SocketAddr::new(address, port), inode: inode.parse().ok()? })
}

/// The kernel prints the four bytes, which lie in network order, as one number of the machine's order.
fn hex_v4(hex: &str) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(u32::from_str_radix(hex, 16).ok()?.to_ne_bytes()))
}

fn hex_v6(hex: &str) -> Option<Ipv6Addr> {
    let mut bytes = [0; 16];
    if hex.len() != 32 {
        return None;
    }
    for (i, quad) in bytes.chunks_exact_mut(4).enumerate() {
        quad.copy_from_slice(&hex_v4(hex.get(i * 8..i * 8 + 8)?)?.octets());
    }
    Some(Ipv6Addr::from(bytes))
}

/// A route for IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Interface.
    pub interface: String,
    /// Where it leads to.
    pub range: Cidr,
}

impl Route {
    /// Whether it leads everywhere.
    pub fn is_default(&self) -> bool {
        self.range.prefix() == 0
    }
}

const RTF_UP: u32 = 1;
const RTF_REJECT: u32 = 0x200;

/// The main table's routes for IPv4 that are up (`/proc/net/route`).
pub fn routes(root: &Root) -> Result<Vec<Route>> {
    let text = root.text_or_empty(RelPath::literal("proc/net/route"), TABLE)?;
    Ok(text.lines().filter_map(route).gather())
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT`
fn route(line: &str) -> Option<Route> {
    let mut words = line.split_whitespace();
    let (interface, to, flags, mask) = (words.next()?, words.next()?, words.nth(1)?, words.nth(3)?);
    let flags = u32::from_str_radix(flags, 16).ok()?;
    if flags & RTF_UP == 0 || flags & RTF_REJECT != 0 {
        return None;
    }
    let prefix = hex_v4(mask)?.to_bits().leading_ones();
    let range = format!("{}/{prefix}", hex_v4(to)?).parse().ok()?;
    Some(Route { interface: interface.to_owned(), range })
}

/// Interface of the default route: IPv4's, else IPv6's. `None`: there is no way out.
pub fn default_route(root: &Root) -> Result<Option<String>> {
    if let Some(route) = routes(root)?.into_iter().find(Route::is_default) {
        return Ok(Some(route.interface));
    }
    let text = root.text_or_empty(RelPath::literal("proc/net/ipv6_route"), TABLE)?;
    Ok(text.lines().find_map(default_v6))
}

/// `destination length source length gateway metric references use flags interface`
fn default_v6(line: &str) -> Option<String> {
    let mut words = line.split_whitespace();
    let (to, length, flags, interface) = (words.next()?, words.next()?, words.nth(6)?, words.next()?);
    let flags = u32::from_str_radix(flags, 16).ok()?;
    let good = flags & RTF_UP != 0 && flags & RTF_REJECT == 0 && interface != "lo";
    (good && length == "00" && to.bytes().all(|b| b == b'0')).then(|| interface.to_owned())
}

/// Addresses of this machine, loopback included (`/proc/net/fib_trie`, `if_inet6`).
pub fn addresses(root: &Root) -> Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    let text = root.text_or_empty(RelPath::literal("proc/net/fib_trie"), TABLE)?;
    let mut last = None;
    for line in text.lines().map(str::trim) {
        // A leaf `|-- 10.0.0.1`, then what it is: `/32 host LOCAL`.
        if let Some(leaf) = line.strip_prefix("|-- ") {
            last = leaf.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last.take()
        {
            found.push(IpAddr::V4(address));
        }
    }
    let text = root.text_or_empty(RelPath::literal("proc/net/if_inet6"), TABLE)?;
    let v6 = text.lines().filter_map(|line| u128::from_str_radix(line.split_whitespace().next()?, 16).ok());
    found.add_all(v6.map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))));
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Which kind of rules the host's `iptables` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iptables {
    /// nf_tables.
    Nft,
    /// The older x_tables.
    Legacy,
    /// There is no such program.
    None,
}

/// By the name of the program that `iptables` is a link to: `xtables-nft-multi`, `xtables-legacy-multi`. A program
/// that is no link is taken for a legacy one, as it was before there were two.
pub fn iptables(root: &Root) -> Result<Iptables> {
    /// iptables → /etc/alternatives/iptables → iptables-nft → xtables-nft-multi
    const LINKS: usize = 8;
    let Some(found) = crate::exec::find(root, "iptables") else { return Ok(Iptables::None) };
    let mut path = found.display().to_string();
    for _ in 0..LINKS {
        let Some(target) = RelPath::from_absolute(&path).ok().and_then(|p| root.read_link(p).ok()?) else { break };
        path = match (target.starts_with('/'), path.rsplit_once('/')) {
            (false, Some((dir, _))) => format!("{dir}/{target}"),
            _ => target,
        };
    }
    Ok(if path.contains("nft") { Iptables::Nft } else { Iptables::Legacy })
}

/// Addresses that `/etc/hosts` gives to `name`.
pub fn hosts_entry(root: &Root, name: &str) -> Result<Vec<IpAddr>> {
    let text = root.text_or_empty(RelPath::literal("etc/hosts"), TABLE)?;
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(name)) {
            found.push(address);
        }
    }
    Ok(found)
}

/// Name servers of `/etc/resolv.conf` as they stand there. `None`: there is no such file, or a link leads nowhere.
pub fn name_servers(root: &Root) -> Result<Option<Vec<String>>> {
    let text = root.read_text(RelPath::literal("etc/resolv.conf"), TABLE)?;
    Ok(text.map(|text| {
        let servers = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then(|| words.next().map(str::to_owned)).flatten()
        });
        servers.gather()
    }))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn listening_sockets_only() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 0100007F:286E 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 107 1 0 100 0\n\
            \x20  1: 020200C0:AAE0 507100CB:0050 01 00000000:00000000 03:0000098F 00000000     0        0 108 3 0\n";
        let tcp6 = "  sl  local_address remote_address st ...\n\
            \x20  0: 00000000000000000000000000000000:075B 00000000000000000000000000000000:0000 0A 00000000:00000000 \
            00:00000000 00000000     0        0 33 1 0 100 0 0 10 0\n\
            \x20  1: B80D0120000000000000000001000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 \
            00:00000000 00000000     0        0 34 1 0 100 0 0 10 0\n\
            \x20  broken\n";
        let tree = Tree::new().file("proc/net/tcp", tcp).file("proc/net/tcp6", tcp6);
        let found: Vec<_> = listeners(&tree.root()).unwrap().iter().map(|l| (l.address.to_string(), l.inode)).collect();
        let want = [("127.0.0.1:10350", 107), ("[::]:1883", 33), ("[2001:db8::1]:22", 34)];
        assert_eq!(found, want.map(|(address, inode)| (address.to_owned(), inode)));
        assert_eq!(listeners(&Tree::new().root()).unwrap(), []);
    }

    #[test]
    fn routes_and_the_way_out() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            eth1\t0000000A\t00000000\t0000\t0\t0\t0\t000000FF\t0\t0\t0\n";
        let tree = Tree::new().file("proc/net/route", table);
        let found: Vec<_> = routes(&tree.root()).unwrap().iter().map(|r| r.range.to_string()).collect();
        assert_eq!(found, ["0.0.0.0/0", "192.0.2.0/24"]);
        assert_eq!(default_route(&tree.root()).unwrap().as_deref(), Some("eth0"));

        let zero = "0".repeat(32);
        let v6 = format!(
            "{zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200 lo\n\
             {zero} 00 {zero} 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003 wlan0\n"
        );
        let tree = Tree::new().file("proc/net/ipv6_route", &v6);
        assert_eq!(default_route(&tree.root()).unwrap().as_deref(), Some("wlan0"));
        assert_eq!(default_route(&Tree::new().root()).unwrap(), None);
    }

    #[test]
    fn own_addresses() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 192.0.2.2\n        \
            /32 host LOCAL\nLocal:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.2\n        /32 host LOCAL\n";
        let inet6 = "fe80000000000000004301fffe000001 02 40 20 80     eth0\n";
        let tree = Tree::new().file("proc/net/fib_trie", trie).file("proc/net/if_inet6", inet6);
        let found: Vec<_> = addresses(&tree.root()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["127.0.0.1", "192.0.2.2", "fe80::43:1ff:fe00:1"]);
    }

    #[test]
    fn names() {
        let tree = Tree::new()
            .file("etc/hosts", "127.0.0.1 localhost\n10.0.0.5\tedge-1.site Edge-1 # comment other\n")
            .file("etc/resolv.conf", "# nameserver 1.1.1.1\nsearch x\nnameserver 10.0.0.1\n nameserver\n");
        let entry = |name| hosts_entry(&tree.root(), name).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(entry("edge-1"), ["10.0.0.5"]);
        assert_eq!(entry("other"), [""; 0]);
        assert_eq!(name_servers(&tree.root()).unwrap(), Some(vec!["10.0.0.1".to_owned()]));
        let tree = Tree::new().link("etc/resolv.conf", "/run/nowhere");
        assert_eq!(name_servers(&tree.root()).unwrap(), None);
    }
}
