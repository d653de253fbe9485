//! `containerd.services.leases.v1`.

use super::{Map, Timestamp};
use crate::pb::{message, request, response};

response! {
    /// A lease: what belongs to it is not collected.
    Lease {
        1 id: String,
        2 created_at: Option<Timestamp>,
        3 labels: Map,
    }
}

message! {
    /// Something that can belong to a lease: `content` and a digest, or `snapshots/<snapshotter>` and a name.
    Resource {
        1 id: String,
        2 kind: String,
    }
}

request! {
    /// A new lease; without an id the daemon makes one.
    CreateRequest {
        1 id: String,
        3 labels: Map,
    }
}

response! {
    /// The lease that was made.
    CreateResponse {
        1 lease: Option<Lease>,
    }
}

request! {
    /// The end of a lease; with `sync` the garbage is gone when the answer comes.
    DeleteRequest {
        1 id: String,
        2 sync: bool,
    }
}

request! {
    /// Which leases.
    ListRequest {
        1 filters: Vec<String>,
    }
}

response! {
    /// All that match.
    ListResponse {
        1 leases: Vec<Lease>,
    }
}

request! {
    /// Adds something that is already there to a lease.
    AddResourceRequest {
        1 id: String,
        2 resource: Resource,
    }
}

request! {
    /// Whose resources.
    ListResourcesRequest {
        1 id: String,
    }
}

response! {
    /// What belongs to a lease.
    ListResourcesResponse {
        1 resources: Vec<Resource>,
    }
}
