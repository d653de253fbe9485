//! The CNI network of an edge node: one conflist (CNI spec 1.0, "Configuration format").

use crate::ids::{Cidr, RelPath};

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

/// A bridge with masquerading and host-local addresses, then port mappings.
///
/// Version 0.4.0 is read by every plugin and containerd from 1.6 on; 1.1.0 only by the newest pair.
const TEXT: &str = concat!(
    r#"{"cniVersion":"0.4.0","name":"edgelay","plugins":["#,
    r#"{"type":"bridge","bridge":"{bridge}","isGateway":true,"ipMasq":true,"hairpinMode":true,"#,
    r#""ipam":{"type":"host-local","ranges":[[{"subnet":"{pods}"}]],"routes":[{"dst":"0.0.0.0/0"}]}},"#,
    r#"{"type":"portmap","capabilities":{"portMappings":true}}]}"#,
    "\n"
);

/// The conflist for pods in `pods`.
pub fn conflist(pods: Cidr) -> String {
    TEXT.replace("{bridge}", BRIDGE).replace("{pods}", &pods.to_string())
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
        let text = conflist("10.87.0.0/16".parse().unwrap());
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
