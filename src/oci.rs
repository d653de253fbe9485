//! Images as data: descriptors, platforms, and what one image consists of (OCI image-spec v1.1).
//!
//! No I/O here. Archives and layouts that hold images are read elsewhere, through [`Blobs`].

mod docker;
mod media;
mod parse;
mod select;

pub use docker::{DOCKER_CONFIG, DOCKER_MANIFEST, docker_manifest};
pub use media::{LayerForm, Meaning};
pub use parse::{Config, DockerEntry, IndexEntry, MAX_DOCUMENT, Manifest, docker_list, index, layout_version};
pub use select::{Choice, Found, MAX_LAYERS, Store, check_layers, choose, foreign};

use std::fmt;

use crate::archive::Window;
use crate::digest::Digest;
use crate::error::{Result, excerpt};
use crate::feed::Feed;
use crate::ids::ImageRef;

/// What identifies a blob: its digest, its size in bytes, and what its bytes mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Media type, as written in the manifest or index.
    pub media_type: String,
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
}

/// Operating system and processor that an image is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    /// Go's name of the operating system: `linux`.
    pub os: String,
    /// Go's name of the processor: `amd64`, `arm64`.
    pub architecture: String,
    /// `v8`, or empty.
    pub variant: String,
}

impl Platform {
    /// `linux` on the processor with Go's name `architecture`.
    pub fn linux(architecture: &str) -> Self {
        Platform { os: "linux".into(), architecture: architecture.into(), variant: String::new() }
    }

    /// Whether an image for `self` is to be taken for `host` out of several. `v8` of arm64 and `v1` of amd64 are no
    /// variants; others are left to those who ask for them, as containerd does.
    pub fn runs_on(&self, host: &Platform) -> bool {
        fn variant(p: &Platform) -> &str {
            match (p.architecture.as_str(), p.variant.as_str()) {
                ("arm64", "v8" | "8") | ("amd64", "v1" | "1") => "",
                (_, variant) => variant,
            }
        }
        self.is_for(host) && variant(self) == variant(host)
    }

    /// Whether an image for `self` is one for `host` where there is no other to choose: its variant does not matter
    /// then, to containerd as to Docker.
    pub fn is_for(&self, host: &Platform) -> bool {
        self.os == host.os && self.architecture == host.architecture
    }
}

impl fmt::Display for Platform {
    /// `linux/arm64/v8`. The words come from outside: they are cut and escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| -> String { excerpt(text, 32) };
        write!(f, "{}/{}", shown(&self.os), shown(&self.architecture))?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", shown(&self.variant)) }
    }
}

/// One layer: the blob that carries it and the digest of its uncompressed tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The blob as it is stored: plain, gzip or zstd.
    pub blob: Descriptor,
    /// SHA-256 of the uncompressed tar, from the image config's `rootfs.diff_ids`.
    pub diff_id: Digest,
}

/// One image for one platform, with everything that is small in memory and its layers by descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Normalised names; an image in an archive may have several, or none.
    pub names: Vec<ImageRef>,
    /// Descriptor of `manifest_bytes`; the target of the image record.
    pub manifest: Descriptor,
    /// The manifest itself, byte for byte.
    pub manifest_bytes: Vec<u8>,
    /// Descriptor of `config_bytes`; its digest is the image ID that CRI shows.
    pub config: Descriptor,
    /// The image config, byte for byte.
    pub config_bytes: Vec<u8>,
    /// Base layer first.
    pub layers: Vec<Layer>,
    /// From the config.
    pub platform: Platform,
}

impl Image {
    /// Name for messages: the first name, or the manifest's digest.
    pub fn label(&self) -> String {
        self.names.first().map_or_else(|| self.manifest.digest.to_string(), ToString::to_string)
    }

    /// The snapshot name of each layer, base first (OCI image-spec, config.md, "Layer ChainID").
    pub fn chain_ids(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            let next = match chain.last() {
                None => layer.diff_id,
                Some(below) => Digest::of(format!("{below} {}", layer.diff_id).as_bytes()),
            };
            chain.push(next);
        }
        chain
    }
}

/// A place that holds blobs: an image archive, an OCI layout, a bundle.
pub trait Blobs {
    /// A reader of exactly the bytes of `blob`. It checks size and digest as it goes and ends only if both matched
    /// ([`crate::digest::Verified`]); its errors are of [`crate::error::Kind::Bundle`] and name the file and entry.
    ///
    /// A place that can only be read forward (a pipe) refuses a blob that has already gone by.
    fn open(&mut self, blob: &Descriptor) -> Result<Box<dyn Feed + '_>>;

    /// Where the blob lies, so that callers can ask for several in the order in which they come cheapest.
    /// `None`: not there.
    fn position(&self, blob: &Digest) -> Option<u64>;

    /// What a decoder of its blobs may hold.
    fn window(&self) -> Window {
        Window::Whole
    }

    /// Whether blobs can be opened in any order and again at little cost. If not, they are to be taken in the order of
    /// their [`Blobs::position`].
    fn rewinds(&self) -> bool;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_ids_follow_the_specification() {
        let layer = |n: u8| Layer {
            blob: Descriptor { media_type: String::new(), digest: Digest::of(&[n]), size: 1 },
            diff_id: Digest::of(&[n]),
        };
        let empty = Descriptor { media_type: String::new(), digest: Digest::of(b""), size: 0 };
        let image = Image {
            names: vec![],
            manifest: empty.clone(),
            manifest_bytes: vec![],
            config: empty,
            config_bytes: vec![],
            layers: vec![layer(1), layer(2), layer(3)],
            platform: Platform::linux("amd64"),
        };
        let one = Digest::of(&[1]);
        let two = Digest::of(format!("{one} {}", Digest::of(&[2])).as_bytes());
        let three = Digest::of(format!("{two} {}", Digest::of(&[3])).as_bytes());
        assert_eq!(image.chain_ids(), [one, two, three]);
    }

    #[test]
    fn variants() {
        let on = |arch: &str, variant: &str| Platform { variant: variant.into(), ..Platform::linux(arch) };
        assert!(on("arm64", "v8").runs_on(&on("arm64", "")) && on("arm64", "").runs_on(&on("arm64", "v8")));
        assert!(!on("arm64", "").runs_on(&on("amd64", "")) && !on("arm64", "v9").runs_on(&on("arm64", "")));
        assert!(on("amd64", "v1").runs_on(&on("amd64", "")) && !on("amd64", "v2").runs_on(&on("amd64", "")));
        assert!(on("amd64", "v2").is_for(&on("amd64", "")) && !on("amd64", "").is_for(&on("arm64", "")));
    }
}
