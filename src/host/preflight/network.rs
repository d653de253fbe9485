//! Ports, addresses, routes, name servers, and the way to the cloud.

use std::net::IpAddr;

use super::identity::LAST_DATE;
use super::wanted::PortNeed;
use super::{Look, Outcome, list};
use crate::clock::rfc3339;
use crate::error::Result;
use crate::gather::Gather;
use crate::host::net::{self, Listener, Route};
use crate::host::process;
use crate::host::reach::{self, Answer};
use crate::host::served;
use crate::ids::{Cidr, NodeName};

pub(super) fn ports(look: &Look<'_>) -> Result<Outcome> {
    let needs = &look.cx.wanted.ports;
    if needs.is_empty() {
        return Ok(Outcome::skip("none needed"));
    }
    let Ports { free, ours, taken } = listeners(look, needs)?;
    if !taken.is_empty() {
        return Ok(Outcome::fail(taken.join("; "), "stop what holds the port, or move it to another one"));
    }
    let mut seen = Vec::new();
    if !free.is_empty() {
        seen.push(format!("free: {}", list(&free)));
    }
    if !ours.is_empty() {
        seen.push(format!("held by our own services: {}", list(&ours)));
    }
    Ok(Outcome::pass(seen.join("; ")))
}

/// Ports that are wanted: those that nobody holds, those that we hold, and who holds the others.
#[derive(Default)]
pub(super) struct Ports {
    free: Vec<u16>,
    ours: Vec<u16>,
    pub(super) taken: Vec<String>,
}

/// Who listens at the ports `needs`.
pub(super) fn listeners(look: &Look<'_>, needs: &[PortNeed]) -> Result<Ports> {
    let (listeners, mut found) = (net::listeners(look.cx.machine)?, Ports::default());
    for need in needs {
        match listeners.iter().find(|l| l.address.port() == need.port) {
            None => found.free.push(need.port),
            Some(listener) => match holder(look, need, listener)? {
                None => found.ours.push(need.port),
                Some(seen) => found.taken.push(seen),
            },
        }
    }
    Ok(found)
}

/// Who holds a port that is wanted. `None`: we do.
fn holder(look: &Look<'_>, need: &PortNeed, listener: &Listener) -> Result<Option<String>> {
    let process = process::holding_socket(look.cx.machine, listener.inode)?;
    let who = match process {
        Some(process) if look.is_ours(&process) => return Ok(None),
        Some(process) => format!("{} (pid {})", process.name, process.pid),
        None => "an unknown process".to_owned(),
    };
    Ok(Some(format!("{} for {} is held by {who} on {}", need.port, need.what, listener.address)))
}

/// The agent's order: the address that is set, the node's name, the default route.
pub(super) fn node_address(look: &Look<'_>) -> Result<Outcome> {
    let (machine, wanted) = (look.cx.machine, &look.cx.wanted);
    let Some(name) = &wanted.node_name else { return Ok(Outcome::skip("not joining")) };
    let own = net::addresses(machine)?;
    let local = |address: &IpAddr| !address.is_loopback() && own.contains(address);
    if let Some(ip) = wanted.node_ip {
        if local(&ip) {
            return Ok(Outcome::pass(format_args!("{ip} is an address of this machine")));
        }
        let real: Vec<&IpAddr> = own.iter().filter(|a| !a.is_loopback()).gather();
        let has = if real.is_empty() { "none".to_owned() } else { list(&real) };
        let seen = format!("{ip} is no address of this machine, which has {has}");
        return Ok(Outcome::fail(seen, "set the node IP to one of them, or leave it out"));
    }
    if let Some(interface) = net::default_route(machine)? {
        return Ok(Outcome::pass(format_args!("default route through {interface}")));
    }
    let name = name.as_ref().map_or("", NodeName::as_str);
    if let Some(address) = net::hosts_entry(machine, name)?.into_iter().find(local) {
        return Ok(Outcome::pass(format_args!("no default route, but /etc/hosts gives {address} to '{name}'")));
    }
    let seen = "no default route and no node IP, so the agent finds no address for the node";
    Ok(Outcome::fail(seen, "set the node IP, or add a default route"))
}

/// Where EdgeMesh answers DNS queries on every node; it must not ask itself.
const EDGEMESH_DNS: &str = "169.254.96.16";

pub(super) fn resolv_conf(look: &Look<'_>) -> Result<Outcome> {
    let edgemesh = look.cx.wanted.edgemesh;
    let Some(servers) = net::name_servers(look.cx.machine)? else {
        let seen = "/etc/resolv.conf is missing, and no pod starts without it";
        return Ok(Outcome::fail(seen, "create /etc/resolv.conf; an empty file is enough without EdgeMesh"));
    };
    if servers.iter().any(|server| server == EDGEMESH_DNS) {
        let seen = format!("/etc/resolv.conf names {EDGEMESH_DNS}, which is EdgeMesh itself");
        return Ok(Outcome::fail(seen, "put the address of a real name server there"));
    }
    if servers.is_empty() {
        if edgemesh {
            let seen = "/etc/resolv.conf has no 'nameserver' line, and EdgeMesh does not start without one";
            return Ok(Outcome::fail(seen, "add a 'nameserver' line with any address that is not EdgeMesh's own"));
        }
        return Ok(Outcome::pass("/etc/resolv.conf without name servers"));
    }
    let loopback = |server: &String| server.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if !edgemesh && servers.iter().all(loopback) {
        let seen = format!("/etc/resolv.conf names only {}, which pods cannot reach", list(&servers));
        let advice = "link /etc/resolv.conf to a file with the real name servers if pods are to resolve names";
        return Ok(Outcome::warn(seen, advice));
    }
    Ok(Outcome::pass(format_args!("name server {}", list(&servers))))
}

pub(super) fn pod_cidr(look: &Look<'_>) -> Result<Outcome> {
    let wanted = &look.cx.wanted;
    let Some(cidr) = wanted.pod_cidr else { return Ok(Outcome::skip("no pod network wanted")) };
    let routes = net::routes(look.cx.machine)?;
    let addresses = net::addresses(look.cx.machine)?;
    let theirs = |route: &&Route| route.interface == wanted.pod_bridge && !route.range.overlaps(cidr);
    if let Some(Route { range, interface }) = routes.iter().find(theirs) {
        let seen = format!("{interface} is the bridge of another pod network, {range}, and ours cannot have it");
        let advice = format!("stop what it belongs to, or remove what that left: ip link delete {interface}");
        return Ok(Outcome::fail(seen, advice));
    }
    let cloud = wanted.cloud.as_ref().and_then(|cloud| cloud.websocket.host().parse().ok());
    match clash(cidr, &routes, &addresses, cloud, wanted.pod_bridge) {
        Some(with) => {
            let advice = "choose another pod CIDR, one that is used nowhere in this site's network";
            Ok(Outcome::fail(format_args!("pod CIDR {cidr} overlaps {with}"), advice))
        }
        None => Ok(Outcome::pass(format_args!("{cidr} overlaps no route or address of this machine"))),
    }
}

pub(super) fn clash(
    cidr: Cidr,
    routes: &[Route],
    addresses: &[IpAddr],
    cloud: Option<IpAddr>,
    bridge: &str,
) -> Option<String> {
    let inside = |ip: &IpAddr| matches!(ip, IpAddr::V4(v4) if cidr.contains(*v4));
    if let Some(ip) = cloud.filter(inside) {
        return Some(format!("the cloud's address {ip}"));
    }
    let (bridges, others): (Vec<&Route>, Vec<&Route>) = routes.iter().partition(|r| r.interface == bridge);
    if let Some(route) = others.iter().find(|r| !r.is_default() && r.range.overlaps(cidr)) {
        return Some(format!("the route to {} through {}", route.range, route.interface));
    }
    let on_bridge = |ip: &IpAddr| matches!(ip, IpAddr::V4(v4) if bridges.iter().any(|r| r.range.contains(*v4)));
    let address = addresses.iter().find(|ip| inside(ip) && !on_bridge(ip))?;
    Some(format!("this machine's address {address}"))
}

/// CloudCore's certificate port by default.
const CERTIFICATE_PORT: u16 = 10002;

/// A check of its own: no time will mend it.
pub(super) fn cloud_address(look: &Look<'_>) -> Result<Outcome> {
    let Some(cloud) = &look.cx.wanted.cloud else { return Ok(Outcome::skip("no cloud given")) };
    let port = cloud.websocket.port();
    if port == CERTIFICATE_PORT || port == cloud.certificate.port() {
        let seen = format!(
            "{} is CloudCore's certificate port: with port {port} joining reports success, but the node never registers",
            cloud.websocket
        );
        return Ok(Outcome::fail(seen, "use CloudCore's WebSocket port, 10000 by default"));
    }
    Ok(Outcome::pass(format_args!("{}, certificates from port {}", cloud.websocket, cloud.certificate.port())))
}

pub(super) fn cloud_ports(look: &Look<'_>) -> Result<Outcome> {
    let Some(cloud) = &look.cx.wanted.cloud else { return Ok(Outcome::skip("no cloud given")) };
    let targets = [&cloud.websocket, &cloud.certificate];
    let answers = look.answers.get_or_init(|| reach::try_all(&targets, look.cx.connect_limit));
    let seen: Vec<String> = targets.iter().zip(answers).map(|(to, answer)| format!("{to} {answer}")).gather();
    let seen = seen.join(", ");
    let Some(bad) = answers.iter().find(|answer| **answer != Answer::Open) else {
        return Ok(Outcome::pass(seen));
    };
    let advice = match bad {
        Answer::Refused => "start CloudCore, or correct the cloud's address and ports",
        Answer::TimedOut => "open both ports in every firewall between here and the cloud, or correct cloud.host",
        Answer::NoRoute => "connect this machine to the cloud's network, or add a route to it",
        Answer::NoAddress => "give the cloud's IP address, or add its name to /etc/hosts",
        Answer::Open | Answer::Other(_) => "look at this machine's own firewall and network",
    };
    Ok(Outcome::fail(seen, advice))
}

/// What EdgeCore would say in an endless loop of its log, before anything is laid down. Only ever a warning: what a server
/// shows without being asked for a proof may be anybody's.
pub(super) fn cloud_certificate(look: &Look<'_>) -> Result<Outcome> {
    let Some(cloud) = &look.cx.wanted.cloud else { return Ok(Outcome::skip("no cloud given")) };
    if look.answers.get().and_then(|answers| answers.get(1)) != Some(&Answer::Open) {
        return Ok(Outcome::skip(format_args!("{} does not answer", cloud.certificate)));
    }
    let (host, now) = (cloud.certificate.host(), look.cx.clock.unix());
    let certificate = match served::certificate(&cloud.certificate, look.cx.connect_limit) {
        Ok(certificate) => certificate,
        Err(why) => {
            let seen = format!("{} shows no certificate: {why}", cloud.certificate);
            return Ok(Outcome::warn(seen, "look whether CloudCore listens there, and nothing else, such as a proxy"));
        }
    };
    let date = |time: u64| rfc3339(time.min(LAST_DATE));
    let (begin, end) = (date(certificate.not_before), date(certificate.not_after));
    Ok(if !certificate.is_for(host) {
        let names = if certificate.names.is_empty() { "no name".to_owned() } else { list(&certificate.names) };
        let seen = format!("CloudCore's certificate is for {names}, not for {host}, so EdgeCore will refuse it");
        let advice = "set cloud.host to one of its names, or have CloudCore make its certificate anew with this one";
        Outcome::warn(seen, advice)
    } else if now < certificate.not_before {
        let seen = format!("CloudCore's certificate begins at {begin}, and here it is {}", date(now));
        Outcome::warn(seen, "set the clock, or wait for its synchronisation: EdgeCore does not start before")
    } else if now > certificate.not_after {
        let seen = format!("CloudCore's certificate ended at {end}, and here it is {}", date(now));
        Outcome::warn(seen, "correct the clock, or have CloudCore make its certificate anew")
    } else {
        Outcome::pass(format_args!("CloudCore's certificate is for {host}, until {end}"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Fail, Pass, Skip, Warn};
    use super::super::testing::{Bed, told};
    use super::*;
    use crate::ids::HostPort;

    #[test]
    fn the_certificate_that_is_shown() {
        let one = |bed: &Bed, host: Option<&str>| {
            bed.one("cloud-certificate", |w| {
                let cloud = w.cloud.as_mut().unwrap();
                if let Some(host) = host {
                    cloud.certificate = HostPort::new(host, cloud.certificate.port()).unwrap();
                }
            })
        };
        let mut bed = Bed::new();
        let seen = "CloudCore's certificate is for 127.0.0.1, until 2036-02-01T00:00:00Z";
        assert_eq!(one(&bed, None), told(Pass, seen, ""));
        let seen = "CloudCore's certificate is for 127.0.0.1, not for localhost, so EdgeCore will refuse it";
        let advice = "set cloud.host to one of its names, or have CloudCore make its certificate anew with this one";
        assert_eq!(one(&bed, Some("localhost")), told(Warn, seen, advice));
        bed.now = 1_600_000_000;
        let seen = "CloudCore's certificate begins at 2026-02-01T00:00:00Z, and here it is 2020-09-13T12:26:40Z";
        let advice = "set the clock, or wait for its synchronisation: EdgeCore does not start before";
        assert_eq!(one(&bed, None), told(Warn, seen, advice));
        bed.now = 2_100_000_000;
        let seen = "CloudCore's certificate ended at 2036-02-01T00:00:00Z, and here it is 2036-07-18T13:20:00Z";
        assert_eq!((one(&bed, None).0, one(&bed, None).1.as_str()), (Warn, seen));
        assert_eq!(bed.one("cloud-certificate", |w| w.cloud = None), told(Skip, "no cloud given", ""));
    }

    #[test]
    fn a_port_without_tls_shows_none() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = std::io::Write::write_all(&mut stream.unwrap(), b"HTTP/1.0 400 Bad Request\r\n\r\n");
            }
        });
        let found = Bed::new().one("cloud-certificate", |w| {
            w.cloud.as_mut().unwrap().certificate = HostPort::new("127.0.0.1", port).unwrap();
        });
        let seen = format!("127.0.0.1:{port} shows no certificate: it speaks no TLS");
        let advice = "look whether CloudCore listens there, and nothing else, such as a proxy";
        assert_eq!(found, told(Warn, &seen, advice));
    }

    #[test]
    fn ports_that_must_be_free() {
        assert_eq!(Bed::new().one("ports", |_| {}), told(Pass, "free: 10350, 10550 and 1883", ""));
        assert_eq!(Bed::new().one("ports", |w| w.ports.clear()), told(Skip, "none needed", ""));
        let advice = "stop what holds the port, or move it to another one";
        let broker = Bed::new().listening(1883, 812, "/usr/sbin/mosquitto");
        let seen = "1883 for MQTT is held by mosquitto (pid 812) on 127.0.0.1:1883";
        assert_eq!(broker.one("ports", |_| {}), told(Fail, seen, advice));
        let hidden = broker.with(|tree| tree.without("proc/812/fd/3"));
        let seen = "1883 for MQTT is held by an unknown process on 127.0.0.1:1883";
        assert_eq!(hidden.one("ports", |_| {}), told(Fail, seen, advice));
    }

    #[test]
    fn a_port_of_our_own_agent_or_its_pods_is_no_clash() {
        let own = |w: &mut super::super::Wanted<'_>| w.own_programs = vec!["/usr/local/bin/edgecore".into()];
        let agent = Bed::new().listening(10350, 90, "/usr/local/bin/edgecore");
        assert_eq!(agent.one("ports", own), told(Pass, "free: 10550 and 1883; held by our own services: 10350", ""));
        assert_eq!(agent.one("ports", |_| {}).0, Fail);

        let pod = Bed::new().listening(1883, 812, "/usr/sbin/mosquitto").with(|tree| {
            tree.file("proc/812/cgroup", "0::/kubepods/besteffort/x\n").process(
                90,
                "/usr/local/bin/edgecore",
                &["edgecore"],
            )
        });
        assert_eq!(pod.one("ports", own).0, Pass);
        assert_eq!(pod.one("ports", |_| {}).0, Fail, "a pod of somebody else's agent");
    }

    #[test]
    fn addresses_of_the_node() {
        let one = |bed: &Bed, ip: &str| {
            let ip = ip.parse().ok();
            bed.one("node-address", |w| w.node_ip = ip)
        };
        let bed = Bed::new();
        assert_eq!(one(&bed, ""), told(Pass, "default route through eth0", ""));
        assert_eq!(one(&bed, "10.0.0.5"), told(Pass, "10.0.0.5 is an address of this machine", ""));
        let advice = "set the node IP to one of them, or leave it out";
        let seen = "10.0.0.6 is no address of this machine, which has 10.0.0.5";
        assert_eq!(one(&bed, "10.0.0.6"), told(Fail, seen, advice));
        assert_eq!(one(&bed, "127.0.0.1").0, Fail);

        let closed = bed.with(|tree| tree.file("proc/1/net/route", "Iface\n"));
        let seen = "no default route and no node IP, so the agent finds no address for the node";
        assert_eq!(one(&closed, ""), told(Fail, seen, "set the node IP, or add a default route"));
        let named = closed.with(|tree| tree.file("etc/hosts", "127.0.1.1 edge-1\n10.0.0.5 edge-1\n"));
        let seen = "no default route, but /etc/hosts gives 10.0.0.5 to 'edge-1'";
        assert_eq!(one(&named, ""), told(Pass, seen, ""));
        assert_eq!(named.one("node-address", |w| w.node_name = None), told(Skip, "not joining", ""));
    }

    #[test]
    fn name_servers() {
        let with = |text: &str| Bed::new().with(|tree| tree.file("etc/resolv.conf", text));
        let plain = |bed: &Bed| bed.one("resolv-conf", |w| w.edgemesh = false);
        let mesh = |bed: &Bed| bed.one("resolv-conf", |_| {});
        assert_eq!(mesh(&Bed::new()), told(Pass, "name server 10.0.0.1", ""));

        let missing = Bed::new().with(|tree| tree.link("etc/resolv.conf", "/run/nowhere"));
        let seen = "/etc/resolv.conf is missing, and no pod starts without it";
        let advice = "create /etc/resolv.conf; an empty file is enough without EdgeMesh";
        assert_eq!(plain(&missing), told(Fail, seen, advice));

        let empty = with("# nothing\n");
        assert_eq!(plain(&empty), told(Pass, "/etc/resolv.conf without name servers", ""));
        let seen = "/etc/resolv.conf has no 'nameserver' line, and EdgeMesh does not start without one";
        let advice = "add a 'nameserver' line with any address that is not EdgeMesh's own";
        assert_eq!(mesh(&empty), told(Fail, seen, advice));

        let ring = with("nameserver 169.254.96.16\nnameserver 10.0.0.1\n");
        let seen = "/etc/resolv.conf names 169.254.96.16, which is EdgeMesh itself";
        assert_eq!(plain(&ring), told(Fail, seen, "put the address of a real name server there"));

        let stub = with("nameserver 127.0.0.53\n");
        let seen = "/etc/resolv.conf names only 127.0.0.53, which pods cannot reach";
        let advice = "link /etc/resolv.conf to a file with the real name servers if pods are to resolve names";
        assert_eq!(plain(&stub), told(Warn, seen, advice));
        assert_eq!(mesh(&stub), told(Pass, "name server 127.0.0.53", ""));
    }

    #[test]
    fn the_pod_network() {
        let one = |cidr: &str| {
            let cidr = cidr.parse().unwrap();
            Bed::new().one("pod-cidr", |w| w.pod_cidr = Some(cidr))
        };
        assert_eq!(one("10.88.0.0/24"), told(Pass, "10.88.0.0/24 overlaps no route or address of this machine", ""));
        let seen = "pod CIDR 10.0.0.0/8 overlaps the route to 10.0.0.0/24 through eth0";
        let advice = "choose another pod CIDR, one that is used nowhere in this site's network";
        assert_eq!(one("10.0.0.0/8"), told(Fail, seen, advice));

        let route = |range: &str| {
            let routes =
                format!("Iface\tDestination\tGateway\nx\ncni0\t{range}\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n");
            let bed = Bed::new().with(|tree| tree.file("proc/1/net/route", &routes));
            bed.one("pod-cidr", |w| w.pod_cidr = Some("10.88.0.0/16".parse().unwrap()))
        };
        assert_eq!(route("0000580A").0, Pass, "our own, of an earlier run");
        let seen = "cni0 is the bridge of another pod network, 10.42.0.0/24, and ours cannot have it";
        let advice = "stop what it belongs to, or remove what that left: ip link delete cni0";
        assert_eq!(route("00002A0A"), told(Fail, seen, advice));
    }

    #[test]
    fn the_way_to_the_cloud() {
        let bed = Bed::new();
        let (websocket, certificate) = (bed.websocket_port(), bed.certificate_port());
        let seen = format!("127.0.0.1:{websocket} open, 127.0.0.1:{certificate} open");
        assert_eq!(bed.one("cloud-ports", |_| {}), told(Pass, &seen, ""));
        assert_eq!(bed.one("cloud-ports", |w| w.cloud = None), told(Skip, "no cloud given", ""));

        // Port 1 of the loopback interface: nobody listens there.
        let refused = bed.one("cloud-ports", |w| {
            w.cloud.as_mut().unwrap().certificate = HostPort::new("127.0.0.1", 1).unwrap();
        });
        let seen = format!("127.0.0.1:{websocket} open, 127.0.0.1:1 connection refused");
        assert_eq!(refused, told(Fail, &seen, "start CloudCore, or correct the cloud's address and ports"));
    }

    #[test]
    fn the_certificate_port_is_not_the_cloud_s_address() {
        let bed = Bed::new();
        let seen = format!("127.0.0.1:{}, certificates from port {}", bed.websocket_port(), bed.certificate_port());
        assert_eq!(bed.one("cloud-address", |_| {}), told(Pass, &seen, ""));
        let wrong = Bed::new().one("cloud-address", |w| {
            w.cloud.as_mut().unwrap().websocket = HostPort::new("127.0.0.1", 10002).unwrap();
        });
        let seen = "127.0.0.1:10002 is CloudCore's certificate port: with port 10002 joining reports success, but the \
            node never registers";
        assert_eq!(wrong, told(Fail, seen, "use CloudCore's WebSocket port, 10000 by default"));
        let same = Bed::new().one("cloud-address", |w| {
            let cloud = w.cloud.as_mut().unwrap();
            cloud.websocket = cloud.certificate.clone();
        });
        assert_eq!(same.0, Fail);
    }

    #[test]
    fn overlaps_of_the_pod_network() {
        let route = |interface: &str, range: &str| Route { interface: interface.into(), range: range.parse().unwrap() };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let routes = [route("eth0", "0.0.0.0/0"), route("eth0", "10.0.0.0/24"), route("cni0", "10.88.0.0/24")];
        let addresses = [ip("127.0.0.1"), ip("10.0.0.5"), ip("10.88.0.1"), ip("10.99.0.1"), ip("fe80::1")];
        for (cidr, cloud, want) in [
            ("10.88.0.0/24", None, None),
            ("172.30.0.0/16", None, None),
            ("10.0.0.0/16", None, Some("the route to 10.0.0.0/24 through eth0")),
            ("10.99.0.0/24", None, Some("this machine's address 10.99.0.1")),
            ("10.88.0.0/24", Some(ip("10.88.0.9")), Some("the cloud's address 10.88.0.9")),
        ] {
            let found = clash(cidr.parse().unwrap(), &routes, &addresses, cloud, "cni0");
            assert_eq!(found.as_deref(), want, "{cidr}");
        }
        let strange = clash("10.88.0.0/24".parse().unwrap(), &routes, &addresses, None, "other");
        assert_eq!(strange.as_deref(), Some("the route to 10.88.0.0/24 through cni0"));
    }
}
