//! `containerd.services.introspection.v1`.

use super::{Map, Platform, RpcStatus, Timestamp};
use crate::pb::{request, response};

request! {
    /// Which plugins to list.
    PluginsRequest {
        1 filters: Vec<String>,
    }
}

response! {
    /// All plugins that match.
    PluginsResponse {
        1 plugins: Vec<Plugin>,
    }
}

response! {
    /// One plugin, loaded or not.
    Plugin {
        /// Such as `io.containerd.snapshotter.v1`.
        1 kind: String,
        2 id: String,
        3 requires: Vec<String>,
        4 platforms: Vec<Platform>,
        /// Such as the root directory.
        5 exports: Map,
        6 capabilities: Vec<String>,
        /// Why it is not loaded; absent if it is.
        7 init_err: Option<RpcStatus>,
    }
}

response! {
    /// The daemon itself.
    ServerResponse {
        1 uuid: String,
        /// Process id, from 1.6.25 and 1.7.0 on; 0 before.
        2 pid: u64,
        3 pidns: u64,
        4 deprecations: Vec<DeprecationWarning>,
    }
}

response! {
    /// Something in the daemon's configuration or use that will go away.
    DeprecationWarning {
        1 id: String,
        2 message: String,
        3 last_occurrence: Option<Timestamp>,
    }
}
