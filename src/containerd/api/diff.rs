//! `containerd.services.diff.v1`.

use super::{Descriptor, Mount};
use crate::pb::{request, response};

request! {
    /// Unpacks a layer from the content store into a mounted snapshot.
    ApplyRequest {
        /// The layer; its media type decides how it is decompressed.
        1 diff: Descriptor,
        /// As `Prepare` answered them.
        2 mounts: Vec<Mount>,
        /// Flush the file system afterwards; daemons before 1.7.14 do not know it.
        4 sync_fs: bool,
    }
}

response! {
    /// What was unpacked.
    ApplyResponse {
        /// Its digest is that of the uncompressed layer.
        1 applied: Option<Descriptor>,
    }
}
