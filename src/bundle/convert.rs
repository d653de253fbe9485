//! Images of any origin → pure OCI images, as a bundle holds them: configs and layers unchanged, manifests rewritten
//! only where they use Docker's media types.

use crate::gather::Gather;
use crate::sorted::Map;

use super::image::{CONFIG_TYPE, LAYER_TYPES, parse_manifest};
use super::index::IMAGE_TYPE;
use crate::archive::{Compression, HEAD, layer_reader};
use crate::digest::{Digest, measure};
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::feed::{self, Feed};
use crate::oci::{Blobs, Descriptor, Image};

/// What is known of layers that were looked at, by the digest of their blobs.
#[derive(Debug, Default)]
pub(super) struct Layers(Map<Digest, Known>);

#[derive(Debug, Clone, Copy)]
struct Known {
    compression: Compression,
    /// Digest and size of the uncompressed tar.
    diff_id: Digest,
    unpacked: u64,
}

impl Layers {
    /// Size of the uncompressed layer in `blob`, which was looked at before.
    pub(super) fn unpacked(&self, blob: &Digest) -> u64 {
        self.0.get(blob).map_or(0, |known| known.unpacked)
    }

    /// Reads a layer, unless its digests say all: a blob that is its own diff id is a plain tar.
    fn look(&mut self, blob: &Descriptor, diff_id: Digest, blobs: &mut dyn Blobs) -> Result<Known> {
        if let Some(known) = self.0.get(&blob.digest) {
            return Ok(*known);
        }
        let known = if blob.digest == diff_id {
            Known { compression: Compression::Plain, diff_id, unpacked: blob.size }
        } else {
            let mut head = [0; HEAD];
            let length = fill(&mut *blobs.open(blob)?, &mut head)?;
            let compression = Compression::sniff(head.get(..length).unwrap_or_default())?;
            let unpacked = measure(&mut *layer_reader(blobs.open(blob)?)?);
            let (diff_id, unpacked) = unpacked.lift(Kind::Bundle, || "unpack it".into())?;
            Known { compression, diff_id, unpacked }
        };
        self.0.insert(blob.digest, known);
        Ok(known)
    }
}

/// As many of the first bytes as there are.
fn fill(from: &mut dyn Feed, head: &mut [u8]) -> Result<usize> {
    let bytes = feed::first(from, head.len()).lift(Kind::Bundle, || "read it".into())?;
    for (to, byte) in head.iter_mut().zip(&bytes) {
        *to = *byte;
    }
    Ok(bytes.len())
}

/// Gives `image` OCI media types throughout; its layers are checked against their diff ids on the way.
pub(super) fn to_oci(image: &mut Image, blobs: &mut dyn Blobs, layers: &mut Layers) -> Result<()> {
    let label = image.label();
    for (number, layer) in image.layers.iter_mut().enumerate() {
        let on = || format!("layer {} of image '{label}'", number + 1);
        let known = layers.look(&layer.blob, layer.diff_id, blobs).doing(on)?;
        if known.diff_id != layer.diff_id {
            let (found, want) = (known.diff_id, layer.diff_id);
            return Err(Error::new(Kind::Bundle, format_args!("{}: unpacks to {found}, expected {want}", on()))
                .hint("save the image again"));
        }
        let [plain, gzip, zstd] = LAYER_TYPES;
        layer.blob.media_type = match known.compression {
            Compression::Plain => plain,
            Compression::Gzip => gzip,
            Compression::Zstd => zstd,
        }
        .to_owned();
    }
    image.config.media_type = CONFIG_TYPE.into();
    let as_it_is = image.manifest.media_type == IMAGE_TYPE
        && parse_manifest(&image.manifest_bytes)
            .is_ok_and(|p| p.config == image.config && p.layers.iter().eq(image.layers.iter().map(|l| &l.blob)));
    if !as_it_is {
        image.manifest_bytes = manifest(&image.config, image.layers.iter().map(|l| &l.blob));
        let digest = Digest::of(&image.manifest_bytes);
        image.manifest = Descriptor { media_type: IMAGE_TYPE.into(), digest, size: image.manifest_bytes.len() as u64 };
    }
    Ok(())
}

/// An OCI image manifest: compact, keys in the order of the specification (manifest.md).
fn manifest<'a>(config: &Descriptor, layers: impl Iterator<Item = &'a Descriptor>) -> Vec<u8> {
    // Media types here are ours, and digests and sizes have nothing to escape.
    let show =
        |d: &Descriptor| format!(r#"{{"mediaType":"{}","digest":"{}","size":{}}}"#, d.media_type, d.digest, d.size);
    let layers: Vec<String> = layers.map(show).gather();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{IMAGE_TYPE}","config":{},"layers":[{}]}}"#,
        show(config),
        layers.join(",")
    )
    .into_bytes()
}
