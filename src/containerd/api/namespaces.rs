//! `containerd.services.namespaces.v1`.

use super::Map;
use crate::pb::{message, request, response};

message! {
    /// A namespace and its labels.
    Namespace {
        1 name: String,
        2 labels: Map,
    }
}

request! {
    /// Which one.
    GetNamespaceRequest {
        1 name: String,
    }
}

request! {
    /// Which ones.
    ListNamespacesRequest {
        1 filter: String,
    }
}

request! {
    /// The new one.
    CreateNamespaceRequest {
        1 namespace: Namespace,
    }
}

response! {
    /// Answer to get and create.
    NamespaceResponse {
        1 namespace: Option<Namespace>,
    }
}

response! {
    /// All that match.
    ListNamespacesResponse {
        1 namespaces: Vec<Namespace>,
    }
}
