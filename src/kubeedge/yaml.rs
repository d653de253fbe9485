//! Reading and changing one value of edgecore.yaml, which EdgeCore and keadm write with Go's YAML printer.
//!
//! Block maps with two-space steps and plain or quoted scalars, list items at their key's depth: nothing more is
//! needed.
use crate::gather::{Gather, Grow};

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
        let mut items: Vec<String> = items.filter_map(|l| l.trim_start().strip_prefix("- ").map(unquote)).gather();
        if items.is_empty() {
            let pairs = std::iter::from_fn(|| lines.next_if(|l| self::indent(l) > indent));
            items.add_all(
                pairs
                    .filter_map(|l| l.split_once(": "))
                    .map(|(key, value)| format!("{}:{}", unquote(key), unquote(value))),
            );
        }
        return (!items.is_empty()).then(|| items.join(","));
    }
    None
}

/// What a key is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// A scalar, as it stands in the file.
    Scalar(String),
    /// A list of plain scalars.
    List(Vec<String>),
    /// A map of plain scalars.
    Map(Vec<(String, String)>),
    /// Not there: EdgeCore's default.
    Absent,
}

/// `text` with the key at `path` made to be `to`; maps on the way are made. All else stays as it is, byte for byte.
pub fn set(text: &str, path: &str, to: &To) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).gather();
    let keys: Vec<&str> = path.split('.').gather();
    let (mut start, mut end, mut depth) = (0, lines.len(), 0);
    for (n, key) in keys.iter().enumerate() {
        let rest = keys.get(n..).unwrap_or_default();
        let at = (start..end).find(|i| lines.get(*i).is_some_and(|line| is_key(line, depth, key)));
        let Some(at) = at else {
            if *to != To::Absent {
                lines.splice(end..end, render(rest, depth, to));
            }
            break;
        };
        // What belongs to the key: deeper lines, and list items at its own depth.
        let below = lines.iter().skip(at + 1).take(end - at - 1);
        let size = below.take_while(|line| belongs(line, depth)).count();
        if rest.len() == 1 {
            lines.splice(at..=at + size, render(rest, depth, to));
            break;
        }
        if size == 0 {
            // `key: {}`, or nothing at all
            if *to != To::Absent {
                lines.splice(at..=at, render(rest, depth, to));
            }
            break;
        }
        depth = lines.get(at + 1).map_or(depth + 2, |line| indent(line));
        (start, end) = (at + 1, at + 1 + size);
    }
    lines.push(String::new());
    lines.join("\n")
}

fn is_key(line: &str, depth: usize, key: &str) -> bool {
    let found = line.trim_start().split_once(':').map(|(key, _)| key.trim_matches('"'));
    indent(line) == depth && found == Some(key)
}

fn belongs(line: &str, depth: usize) -> bool {
    let at = indent(line);
    line.trim().is_empty() || at > depth || (at == depth && line.trim_start().starts_with("- "))
}

fn render(keys: &[&str], depth: usize, to: &To) -> Vec<String> {
    let mut lines: Vec<String> =
        keys.iter().enumerate().map(|(n, key)| format!("{:1$}{key}:", "", depth + 2 * n)).gather();
    let own = depth + 2 * keys.len().saturating_sub(1);
    match to {
        To::Absent => lines.clear(),
        To::Scalar(value) => {
            if let Some(last) = lines.last_mut() {
                last.grow(format_args!(" {value}"));
            }
        }
        To::Map(pairs) => lines.add_all(pairs.iter().map(|(key, value)| format!("{:1$}{key}: {value}", "", own + 2))),
        To::List(items) => lines.add_all(items.iter().map(|item| format!("{:own$}- {item}", ""))),
    }
    lines
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

    #[test]
    fn only_what_is_set_changes() {
        let scalar = |value: &str| To::Scalar(value.to_owned());
        let list = To::List(vec!["1.2.3.4".into()]);
        let kubelet = "modules.edged.tailoredKubeletConfig";
        for (path, to, from, into) in [
            (
                "modules.metaManager.metaServer.enable",
                scalar("true"),
                "metaServer:\n      enable: false",
                "metaServer:\n      enable: true",
            ),
            ("modules.edgeHub.quic.server", scalar("x:1"), "server: 10.0.0.1:10001", "server: x:1"),
            (&format!("{kubelet}.clusterDNS"), To::Absent, "      clusterDNS:\n      - 169.254.96.16\n", ""),
            (&format!("{kubelet}.clusterDNS"), list, "- 169.254.96.16", "- 1.2.3.4"),
            (
                "modules.edged.nodeIP",
                scalar("10.0.0.7"),
                "      clusterDomain: cluster.local\n",
                "      clusterDomain: cluster.local\n    nodeIP: 10.0.0.7\n",
            ),
            (
                "modules.eventBus.enable",
                scalar("false"),
                "      enable: false\n",
                "      enable: false\n  eventBus:\n    enable: false\n",
            ),
            ("modules.a.b", To::Absent, "", ""),
        ] {
            let after = set(YAML, path, &to);
            assert_eq!(after, YAML.replace(from, into), "{path}");
            assert_eq!(set(&after, path, &to), after, "{path}");
        }
        assert_eq!(set("a: {}\nb: 1\n", "a.c", &scalar("2")), "a:\n  c: 2\nb: 1\n");
        assert_eq!(set("", "a.b", &scalar("2")), "a:\n  b: 2\n");
    }
}
