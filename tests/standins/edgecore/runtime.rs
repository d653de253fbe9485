//! What the container runtime says of itself: the half of the node's Ready condition that can go wrong.

/// Why the node cannot be ready; none when runtime and network are.
pub(crate) fn fault(endpoint: &str) -> Option<String> {
    let _ = endpoint;
    Some("no client yet".into())
}
