//! Images as CRI sees them.

use super::super::Map;
use crate::pb::{message, request, response};

message! {
    /// A name or id of an image.
    ImageSpec {
        1 image: String,
        2 annotations: Map,
    }
}

request! {
    /// Which images; empty matches everything.
    ImageFilter {
        1 image: ImageSpec,
    }
}

request! {
    /// Which images.
    ListImagesRequest {
        1 filter: ImageFilter,
    }
}

response! {
    /// All that match.
    ListImagesResponse {
        1 images: Vec<Image>,
    }
}

response! {
    /// A wrapped number.
    Int64Value {
        1 value: i64,
    }
}

response! {
    /// A wrapped number.
    UInt64Value {
        1 value: u64,
    }
}

response! {
    /// An image.
    Image {
        /// Digest of its configuration.
        1 id: String,
        /// Normalised names with tags.
        2 repo_tags: Vec<String>,
        3 repo_digests: Vec<String>,
        /// Bytes in the content store or, if there are none, in the snapshots.
        4 size: u64,
        5 uid: Option<Int64Value>,
        6 username: String,
        7 spec: Option<ImageSpec>,
        /// The kubelet does not remove it; reported from 1.6.22 and 1.7.3 on.
        8 pinned: bool,
    }
}

request! {
    /// Which image.
    ImageStatusRequest {
        1 image: ImageSpec,
        2 verbose: bool,
    }
}

response! {
    /// The image, if it is there.
    ImageStatusResponse {
        1 image: Option<Image>,
        2 info: Map,
    }
}

request! {
    /// Which image: for remove.
    ImageRequest {
        1 image: ImageSpec,
    }
}

request! {
    /// Which image, without credentials: only to show that a pull fails.
    PullImageRequest {
        1 image: ImageSpec,
    }
}

response! {
    /// What was pulled.
    PullImageResponse {
        1 image_ref: String,
    }
}

response! {
    /// Where images are.
    ImageFsInfoResponse {
        1 image_filesystems: Vec<FilesystemUsage>,
    }
}

response! {
    /// One place, and how full it is.
    FilesystemUsage {
        1 timestamp: i64,
        2 fs_id: FilesystemIdentifier,
        3 used_bytes: Option<UInt64Value>,
        4 inodes_used: Option<UInt64Value>,
    }
}

response! {
    /// The place.
    FilesystemIdentifier {
        1 mountpoint: String,
    }
}
