//! `containerd.services.content.v1`.

use super::{FieldMask, Map, Timestamp};
use crate::pb::{message, open_enum, request, response};

response! {
    /// A blob in the store.
    Info {
        1 digest: String,
        2 size: i64,
        3 created_at: Option<Timestamp>,
        4 updated_at: Option<Timestamp>,
        5 labels: Map,
    }
}

message! {
    /// The parts of [`Info`] that an update may carry.
    InfoUpdate {
        1 digest: String,
        5 labels: Map,
    }
}

request! {
    /// Which blob.
    InfoRequest {
        1 digest: String,
    }
}

response! {
    /// Answer to info and update.
    InfoResponse {
        1 info: Option<Info>,
    }
}

request! {
    /// Changes the labels that the mask names; a label that is named but not given is removed.
    UpdateRequest {
        1 info: InfoUpdate,
        2 update_mask: FieldMask,
    }
}

request! {
    /// Which blobs.
    ListContentRequest {
        1 filters: Vec<String>,
    }
}

response! {
    /// Some of the blobs that match.
    ListContentResponse {
        1 info: Vec<Info>,
    }
}

request! {
    /// Which blob.
    DeleteContentRequest {
        1 digest: String,
    }
}

request! {
    /// Which part of which blob; size 0 is everything to the end.
    ReadContentRequest {
        1 digest: String,
        2 offset: i64,
        3 size: i64,
    }
}

response! {
    /// The next bytes.
    ReadContentResponse {
        1 offset: i64,
        2 data: Vec<u8>,
    }
}

response! {
    /// An unfinished write.
    Status {
        1 started_at: Option<Timestamp>,
        2 updated_at: Option<Timestamp>,
        3 reference: String,
        4 offset: i64,
        5 total: i64,
        6 expected: String,
    }
}

request! {
    /// Which write.
    StatusRequest {
        1 reference: String,
    }
}

response! {
    /// The write.
    StatusResponse {
        1 status: Option<Status>,
    }
}

request! {
    /// Which writes.
    ListStatusesRequest {
        1 filters: Vec<String>,
    }
}

response! {
    /// All that match.
    ListStatusesResponse {
        1 statuses: Vec<Status>,
    }
}

request! {
    /// Which write to forget.
    AbortRequest {
        1 reference: String,
    }
}

open_enum! {
    /// What a [`WriteContentRequest`] is for.
    WriteAction { 0 STAT, 1 WRITE, 2 COMMIT }
}

request! {
    /// One step of a write. Its data (field 6) is sent separately, after these bytes.
    WriteContentRequest {
        1 action: WriteAction,
        2 reference: String,
        3 total: i64,
        4 expected: String,
        /// A commit without it truncates the blob.
        5 offset: i64,
        7 labels: Map,
    }
}

response! {
    /// Where the write is now.
    WriteContentResponse {
        1 action: WriteAction,
        2 started_at: Option<Timestamp>,
        3 updated_at: Option<Timestamp>,
        4 offset: i64,
        5 total: i64,
        6 digest: String,
    }
}
