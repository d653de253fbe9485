//! The CNI network of an edge node: one conflist (CNI spec 1.0, "Configuration format").

use crate::error::Result;
use crate::ids::{Cidr, RelPath};
use crate::json;
use serde::Serialize;

/// Where the conflist lies. The number puts it before what distributions ship.
pub const CONFLIST: RelPath<'static> = RelPath::literal("etc/cni/net.d/10-edgelay.conflist");
/// Where conflists lie.
pub const CONF_DIR: &str = "/etc/cni/net.d";
/// Where the plugins lie.
pub const BIN_DIR: &str = "/opt/cni/bin";
/// Where host-local keeps the addresses it gave out.
pub const STATE: RelPath<'static> = RelPath::literal("var/lib/cni");
/// The bridge that pods hang on.
pub const BRIDGE: &str = "cni0";
/// Plugins that the conflist and containerd (loopback) call.
pub const PLUGINS: [&str; 4] = ["bridge", "host-local", "portmap", "loopback"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Conflist<'a> {
    cni_version: &'a str,
    name: &'a str,
    plugins: (Bridge<'a>, Portmap<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bridge<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    bridge: &'a str,
    is_gateway: bool,
    ip_masq: bool,
    hairpin_mode: bool,
    ipam: Ipam<'a>,
}

#[derive(Serialize)]
struct Ipam<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    ranges: [[Range; 1]; 1],
    routes: [Route<'a>; 1],
}

#[derive(Serialize)]
struct Range {
    subnet: String,
}

#[derive(Serialize)]
struct Route<'a> {
    dst: &'a str,
}

#[derive(Serialize)]
struct Portmap<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    capabilities: Capabilities,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Capabilities {
    port_mappings: bool,
}

/// The conflist for pods in `pods`: a bridge with masquerading and host-local addresses, then port mappings.
///
/// Version 0.4.0 is read by every plugin and containerd from 1.6 on; 1.1.0 only by the newest pair.
pub fn conflist(pods: Cidr) -> Result<Vec<u8>> {
    let ipam = Ipam {
        kind: "host-local",
        ranges: [[Range { subnet: pods.to_string() }]],
        routes: [Route { dst: "0.0.0.0/0" }],
    };
    let bridge = Bridge { kind: "bridge", bridge: BRIDGE, is_gateway: true, ip_masq: true, hairpin_mode: true, ipam };
    let portmap = Portmap { kind: "portmap", capabilities: Capabilities { port_mappings: true } };
    let mut text = json::to_vec(&Conflist { cni_version: "0.4.0", name: "edgelay", plugins: (bridge, portmap) })?;
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preflight_knows_its_name() {
        assert_eq!(CONFLIST.split().1, crate::host::preflight::NETWORK);
    }

    #[test]
    fn exact_text() {
        let text = String::from_utf8(conflist("10.87.0.0/16".parse().unwrap()).unwrap()).unwrap();
        let expected = concat!(
            r#"{"cniVersion":"0.4.0","name":"edgelay","plugins":["#,
            r#"{"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":true,"hairpinMode":true,"#,
            r#""ipam":{"type":"host-local","ranges":[[{"subnet":"10.87.0.0/16"}]],"routes":[{"dst":"0.0.0.0/0"}]}},"#,
            r#"{"type":"portmap","capabilities":{"portMappings":true}}]}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }
}
