//! EdgeCore: where its files are, its unit, whether it is healthy.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::http;
use crate::error::Result;
use crate::host::process;
use crate::ids::RelPath;
use crate::root::{Root, Type};
use crate::service::Service;

/// The agent, which `keadm join` copies out of the installation-package image.
pub const EDGECORE: RelPath<'static> = RelPath::literal("usr/local/bin/edgecore");
/// Its configuration; EdgeCore itself rewrites it.
pub const EDGECORE_YAML: RelPath<'static> = RelPath::literal("etc/kubeedge/config/edgecore.yaml");
/// What it knows of the cluster, in SQLite.
pub const DATABASE: RelPath<'static> = RelPath::literal("var/lib/kubeedge/edgecore.db");
/// EdgeCore writes some ten KiB.
pub const MAX_YAML: usize = 1 << 20;
/// Where every kubelet, EdgeCore's and k3s's among them, makes a place for plugins that nobody has.
pub const PLUGINS: RelPath<'static> = RelPath::literal("usr/libexec/kubernetes");
/// The node's certificate, which names it to the cloud.
pub const CERTIFICATE: RelPath<'static> = RelPath::literal("etc/kubeedge/certs/server.crt");
/// The three files that exist once the cloud has taken the node in.
const CERTIFICATES: [RelPath<'static>; 3] =
    [RelPath::literal("etc/kubeedge/ca/rootCA.crt"), CERTIFICATE, RelPath::literal("etc/kubeedge/certs/server.key")];

/// EdgeCore's own kubelet: `/healthz`.
const HEALTH: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10350);
/// The API for edge applications, where it is switched on.
pub const METASERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 10550);

/// EdgeCore as a service, in place of keadm's unit, which names no configuration and no order.
pub fn service() -> Service {
    Service {
        name: "edgecore",
        description: "KubeEdge edge node agent",
        command: vec![EDGECORE.to_string(), format!("--config={EDGECORE_YAML}")],
        after: &["network-online.target", "containerd.service", "time-sync.target"],
        wants: &["network-online.target", "containerd.service"],
        // KillMode as keadm has it: pods go on while EdgeCore restarts.
        settings: &["Type=simple", "Restart=always", "RestartSec=10", "KillMode=process", "LimitNOFILE=1048576"],
    }
}

/// Whether all three certificate files are there and hold something.
pub fn certificates_there(root: &Root) -> Result<bool> {
    for path in &CERTIFICATES {
        if !root.stat(*path)?.is_some_and(|meta| meta.kind == Type::File && meta.size > 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `Ok` if EdgeCore says that it is healthy, else what was seen.
pub fn healthy() -> std::result::Result<(), String> {
    match http::get(HEALTH, "/healthz", Duration::from_secs(3)) {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(format!("http://{HEALTH}/healthz answers {}", answer.status)),
        Err(e) => Err(format!("http://{HEALTH}/healthz: {e}")),
    }
}

/// The kernel's tables of a busy node have some thousand lines.
const MAX_TABLE: usize = 16 << 20;
/// TCP_ESTABLISHED of the kernel's tcp_states.h.
const ESTABLISHED: &str = "01";

/// EdgeCore's connection to CloudHub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it: one that is made anew has another.
    inode: u64,
    /// EdgeCore's process.
    pub pid: u32,
}

/// The TCP connection of EdgeCore to `port` somewhere, if one stands: it keeps one to CloudHub.
pub fn link(root: &Root, port: u16) -> Result<Option<Link>> {
    for path in [RelPath::literal("proc/net/tcp"), RelPath::literal("proc/net/tcp6")] {
        let text = root.text_or_empty(path, MAX_TABLE)?;
        for line in text.lines().filter(|line| is_established(line, port)) {
            // The tenth field. The port may be a common one, such as 443, that others talk to as well.
            let Some(inode) = line.split_whitespace().nth(9).and_then(|inode| inode.parse().ok()) else { continue };
            if let Some(holder) = process::holding_socket(root, inode)?
                && holder.name == "edgecore"
            {
                return Ok(Some(Link { inode, pid: holder.pid }));
            }
        }
    }
    Ok(None)
}

/// `sl local_address rem_address st ...`, addresses as hex with the port behind the colon (proc(5)).
fn is_established(line: &str, port: u16) -> bool {
    let mut words = line.split_whitespace().skip(2);
    let (remote, state) = (words.next().unwrap_or_default(), words.next());
    let found = remote.rsplit_once(':').and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
    state == Some(ESTABLISHED) && found == Some(port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::Tree;

    #[test]
    fn connections_are_told_from_listeners_and_closing_ones() {
        for (line, connected) in [
            ("   1: 0A4D000A:C350 FE4D000A:2710 01 00000000:00000000 02:0000 00000000 0 0 123", true),
            ("   1: 0A4D000A:C350 FE4D000A:2712 01 00000000:00000000 02:0000 00000000 0 0 123", false),
            ("   1: 0A4D000A:C350 FE4D000A:2710 06 00000000:00000000 02:0000 00000000 0 0 123", false),
            ("   1: 00000000:2710 00000000:0000 0A 00000000:00000000 00:0000 00000000 0 0 123", false),
            ("  sl  local_address rem_address   st tx_queue rx_queue", false),
            ("", false),
        ] {
            assert_eq!(is_established(line, 10000), connected, "{line}");
        }
    }

    #[test]
    fn only_edgecores_own_connection_counts() {
        let line =
            "   1: 0A4D000A:C350 FE4D000A:2710 01 00000000:00000000 02:00000000 00000000     0        0 4711 1\n";
        let tree = |program| {
            Tree::new().file("proc/net/tcp", line).process(7, program, &[program]).link("proc/7/fd/5", "socket:[4711]")
        };
        let found = link(&tree("/usr/local/bin/edgecore").root(), 10000).unwrap();
        assert_eq!(found, Some(Link { inode: 4711, pid: 7 }));
        assert_eq!(link(&tree("/usr/local/bin/edgecore").root(), 10001).unwrap(), None);
        assert_eq!(link(&tree("/usr/bin/curl").root(), 10000).unwrap(), None);
        assert_eq!(link(&Tree::new().file("proc/net/tcp", line).root(), 10000).unwrap(), None);
    }
}
