//! `containerd.services.snapshots.v1`.

use super::{Map, Mount, Timestamp};
use crate::pb::{open_enum, request, response};

open_enum! {
    /// What a snapshot is.
    Kind { 0 UNKNOWN_KIND, 1 VIEW, 2 ACTIVE, 3 COMMITTED }
}

response! {
    /// A snapshot.
    Info {
        1 name: String,
        2 parent: String,
        3 kind: Kind,
        4 created_at: Option<Timestamp>,
        5 updated_at: Option<Timestamp>,
        6 labels: Map,
    }
}

request! {
    /// A new active snapshot on top of a committed one, or of nothing.
    PrepareSnapshotRequest {
        1 snapshotter: String,
        2 key: String,
        3 parent: String,
        4 labels: Map,
    }
}

request! {
    /// Gives an active snapshot its final name.
    CommitSnapshotRequest {
        1 snapshotter: String,
        2 name: String,
        3 key: String,
        4 labels: Map,
    }
}

request! {
    /// Which snapshot: for stat, mounts, usage and remove.
    SnapshotRequest {
        1 snapshotter: String,
        2 key: String,
    }
}

request! {
    /// Which snapshots.
    ListSnapshotsRequest {
        1 snapshotter: String,
        2 filters: Vec<String>,
    }
}

response! {
    /// How to mount a snapshot: answer to prepare and mounts.
    MountsResponse {
        1 mounts: Vec<Mount>,
    }
}

response! {
    /// The snapshot.
    StatSnapshotResponse {
        1 info: Option<Info>,
    }
}

response! {
    /// Some of the snapshots that match.
    ListSnapshotsResponse {
        1 info: Vec<Info>,
    }
}

response! {
    /// What a snapshot takes on the disk, without its parents.
    UsageResponse {
        1 size: i64,
        2 inodes: i64,
    }
}
