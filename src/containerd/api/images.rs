//! `containerd.services.images.v1`.

use super::{Descriptor, FieldMask, Map, Timestamp};
use crate::pb::{message, request, response};

response! {
    /// An image record: a name for a descriptor.
    Image {
        1 name: String,
        2 labels: Map,
        3 target: Descriptor,
        7 created_at: Option<Timestamp>,
        8 updated_at: Option<Timestamp>,
    }
}

message! {
    /// The parts of [`Image`] that we set. `target` is always sent: without it the daemon dies.
    ImageRecord {
        1 name: String,
        2 labels: Map,
        3 target: Descriptor,
    }
}

request! {
    /// Which image.
    GetImageRequest {
        1 name: String,
    }
}

request! {
    /// Which images.
    ListImagesRequest {
        1 filters: Vec<String>,
    }
}

request! {
    /// The new record.
    CreateImageRequest {
        1 image: ImageRecord,
    }
}

request! {
    /// The fields that the mask names.
    UpdateImageRequest {
        1 image: ImageRecord,
        2 update_mask: FieldMask,
    }
}

request! {
    /// Which record; with `sync` the garbage is gone when the answer comes.
    DeleteImageRequest {
        1 name: String,
        2 sync: bool,
    }
}

response! {
    /// Answer to get, create and update.
    ImageResponse {
        1 image: Option<Image>,
    }
}

response! {
    /// All that match.
    ListImagesResponse {
        1 images: Vec<Image>,
    }
}
