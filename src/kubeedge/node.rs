//! The node's own Ready condition, read through EdgeCore's metaServer.

use std::net::SocketAddr;
use std::time::Duration;

use super::http;
use crate::bundle::Timestamp;
use crate::ids::NodeName;
use crate::json;

/// The metaServer asks the cloud and waits up to ten seconds for it.
const LIMIT: Duration = Duration::from_secs(15);
/// A node with many images lists them all.
const MAX_NODE: usize = 4 << 20;

/// What is known of the Ready condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// The node is Ready, and when it last said so: seconds since 1970 by this machine's own clock, as the kubelet in
    /// EdgeCore writes it.
    Yes(Option<u64>),
    /// It is not; reason and message as EdgeCore gives them.
    No(String),
    /// The metaServer does not tell; what was seen.
    Unknown(String),
}

/// Asks `server` for the node object and looks at its condition of type Ready.
pub fn ready_condition(server: SocketAddr, node: &NodeName) -> Ready {
    match http::get(server, &format!("/api/v1/nodes/{node}"), LIMIT) {
        Ok(answer) if answer.status == 200 => parse(&answer.body),
        Ok(answer) => Ready::Unknown(format!("metaServer answers {} for node '{node}'", answer.status)),
        Err(e) => Ready::Unknown(format!("metaServer {server}: {e}")),
    }
}

fn parse(body: &[u8]) -> Ready {
    let Ok(node) = json::read(body, MAX_NODE) else { return Ready::Unknown("metaServer's node is no JSON".into()) };
    for condition in node.items_at(&["status", "conditions"]) {
        let text = |key| condition.text_at(&[key]);
        if text("type") != "Ready" {
            continue;
        }
        return match text("status") {
            "True" => Ready::Yes(text("lastHeartbeatTime").parse().ok().map(Timestamp::seconds)),
            "False" => Ready::No(format!("{}: {}", text("reason"), text("message"))),
            other => Ready::Unknown(format!("condition Ready is '{other}': {}", text("message"))),
        };
    }
    Ready::Unknown("the node has no condition of type Ready yet".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let node = |status: &str| {
            format!(
                r#"{{"kind":"Node","status":{{"conditions":[{{"type":"MemoryPressure","status":"False"}},
                {{"type":"Ready","status":"{status}","reason":"KubeletNotReady","message":"cni plugin not initialized"}}]}}}}"#
            )
        };
        assert_eq!(parse(node("True").as_bytes()), Ready::Yes(None));
        let heard = node("True").replace(r#""reason""#, r#""lastHeartbeatTime":"2026-11-30T09:00:00Z","reason""#);
        assert_eq!(parse(heard.as_bytes()), Ready::Yes(Some(1_796_029_200)));
        assert_eq!(parse(node("False").as_bytes()), Ready::No("KubeletNotReady: cni plugin not initialized".into()));
        for vague in [node("Unknown").as_str(), "{}", "{\"status\":{\"conditions\":[]}}", "nonsense", ""] {
            assert!(matches!(parse(vague.as_bytes()), Ready::Unknown(_)), "{vague}");
        }
    }
}
