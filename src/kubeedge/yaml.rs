//! Reading one value out of edgecore.yaml, which EdgeCore and keadm write with Go's YAML printer.
//!
//! Block maps with two-space steps and plain or quoted scalars, list items at their key's depth: nothing more is
//! needed, and nothing is ever written here.

/// The scalar at `path` (`modules.edgeHub.websocket.server`); of a list, its items joined by `,`; of a map of scalars,
/// its `key:value` pairs joined by `,`. `None`: not there.
pub fn lookup(text: &str, path: &str) -> Option<String> {
    let mut wanted = path.split('.').peekable();
    let mut depth = 0;
    let mut lines = text.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with('#')).peekable();
    while let Some(line) = lines.next() {
        let indent = indent(line);
        if indent < depth {
            // The map that was entered ended without the key.
            return None;
        }
        if indent > depth {
            continue;
        }
        let Some((key, value)) = line.trim_start().split_once(':') else { continue };
        if Some(&key.trim_matches('"')) != wanted.peek() {
            continue;
        }
        wanted.next();
        if wanted.peek().is_some() {
            depth = self::indent(lines.peek()?);
            if depth <= indent {
                return None;
            }
            continue;
        }
        let value = value.trim();
        if !value.is_empty() {
            return Some(unquote(value));
        }
        let items =
            std::iter::from_fn(|| lines.next_if(|l| self::indent(l) >= indent && l.trim_start().starts_with("- ")));
        let mut items: Vec<String> = items.filter_map(|l| l.trim_start().strip_prefix("- ").map(unquote)).collect();
        if items.is_empty() {
            let pairs = std::iter::from_fn(|| lines.next_if(|l| self::indent(l) > indent));
            items.extend(
                pairs
                    .filter_map(|l| l.split_once(": "))
                    .map(|(key, value)| format!("{}:{}", unquote(key), unquote(value))),
            );
        }
        return (!items.is_empty()).then(|| items.join(","));
    }
    None
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn unquote(value: &str) -> String {
    let value = value.trim();
    let inner = |q: char| value.strip_prefix(q).and_then(|v| v.strip_suffix(q));
    inner('"').or_else(|| inner('\'')).unwrap_or(value).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const YAML: &str = "apiVersion: edgecore.config.kubeedge.io/v1alpha2
kind: EdgeCore
modules:
  edgeHub:
    enable: true
    quic:
      server: 10.0.0.1:10001
    websocket:
      # where the cloud is
      enable: true
      server: \"10.0.0.1:10000\"
  edged:
    hostnameOverride: edge-1
    tailoredKubeletConfig:
      clusterDNS:
      - 169.254.96.16
      clusterDomain: cluster.local
  metaManager:
    metaServer:
      enable: false
";

    #[test]
    fn values_by_path() {
        for (path, value) in [
            ("kind", Some("EdgeCore")),
            ("modules.edgeHub.websocket.server", Some("10.0.0.1:10000")),
            ("modules.edgeHub.quic.server", Some("10.0.0.1:10001")),
            ("modules.edged.hostnameOverride", Some("edge-1")),
            ("modules.edged.tailoredKubeletConfig.clusterDNS", Some("169.254.96.16")),
            ("modules.edged.tailoredKubeletConfig.clusterDomain", Some("cluster.local")),
            ("modules.metaManager.metaServer.enable", Some("false")),
            ("modules.edgeHub.websocket", Some("enable:true,server:10.0.0.1:10000")),
            ("modules.edgeStream.enable", None),
            ("server", None),
            ("modules.edgeHub.server", None),
        ] {
            assert_eq!(lookup(YAML, path).as_deref(), value, "{path}");
        }
        assert_eq!(lookup("", "a"), None);
        assert_eq!(lookup("a:", "a.b"), None);
    }
}
