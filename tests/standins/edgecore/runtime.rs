//! What the container runtime says of itself: the half of the node's Ready condition that can go wrong.

use std::path::Path;

use edgelay::containerd::Client;

/// Why the node cannot be ready; none when runtime and network are.
pub(crate) fn fault(endpoint: &str) -> Option<String> {
    let path = endpoint.strip_prefix("unix://").unwrap_or(endpoint);
    let down = || Some("container runtime is down".to_string());
    let Ok(mut client) = Client::connect(Path::new(path)) else { return down() };
    let Ok(answer) = client.cri().status() else { return down() };
    let mut faults = Vec::new();
    for (kind, what) in [("RuntimeReady", "container runtime"), ("NetworkReady", "container runtime network")] {
        match answer.status.conditions.iter().find(|condition| condition.kind == kind) {
            Some(condition) if condition.status => {}
            Some(condition) => faults.push(format!(
                "{what} not ready: {kind}=false reason:{} message:{}",
                condition.reason, condition.message
            )),
            None => faults.push(format!("{what} status check may not have completed yet")),
        }
    }
    match faults.len() {
        0 => None,
        // several are listed in brackets, as Go prints an aggregate
        1 => faults.pop(),
        _ => Some(format!("[{}]", faults.join(", "))),
    }
}
