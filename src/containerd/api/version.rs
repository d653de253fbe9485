//! `containerd.services.version.v1`.

use crate::pb::response;

response! {
    /// What the daemon is.
    VersionResponse {
        /// Debian appends `~ds1`; upstream starts with `v`.
        1 version: String,
        2 revision: String,
    }
}
