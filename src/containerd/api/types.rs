//! Messages that several services share.

use super::Map;
use crate::pb::{message, response};

message! {
    /// `google.protobuf.Empty`: still a message, and always sent (a request without one is never answered).
    Empty {}
}

message! {
    /// `containerd.types.Descriptor`: what a blob is.
    Descriptor {
        1 media_type: String,
        /// `sha256:...`
        2 digest: String,
        3 size: i64,
        5 annotations: Map,
    }
}

message! {
    /// `containerd.types.Mount`: handed back to the daemon exactly as it came.
    Mount {
        1 kind: String,
        2 source: String,
        3 target: String,
        4 options: Vec<String>,
    }
}

message! {
    /// `containerd.types.Platform`.
    Platform {
        1 os: String,
        2 architecture: String,
        3 variant: String,
    }
}

message! {
    /// `google.protobuf.FieldMask`: which fields an update touches, for example `labels.<key>`.
    FieldMask {
        1 paths: Vec<String>,
    }
}

message! {
    /// `google.protobuf.Timestamp`, since 1970-01-01 UTC.
    Timestamp {
        1 seconds: i64,
        2 nanos: i32,
    }
}

response! {
    /// `google.rpc.Status`.
    RpcStatus {
        1 code: i32,
        2 message: String,
    }
}
