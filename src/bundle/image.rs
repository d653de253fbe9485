//! The images of a bundle: OCI manifests and configs, already in memory, turned into [`crate::oci::Image`]s.

use super::fault::{Fault, Flaw, Sound};
use super::index::IMAGE_TYPE;
use super::manifest::ImageEntry;
use crate::error::Error;
use crate::gather::Gather;
use crate::ids::Arch;
use crate::oci::{Config, Descriptor, Image, Layer, MAX_LAYERS, Manifest, Platform};

/// Media types of layers that a bundle may hold (OCI image-spec, layer.md): plain, gzip, zstd.
pub(super) const LAYER_TYPES: [&str; 3] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];
/// Media type of an image config.
pub(super) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";

/// Reads an image manifest of a bundle: its config and layers have OCI's media types.
pub(super) fn parse_manifest(bytes: &[u8]) -> Sound<Manifest> {
    let manifest = Manifest::parse(bytes).map_err(damaged)?;
    let all = manifest.layers.iter().map(|layer| (layer, &LAYER_TYPES[..]));
    for (blob, allowed) in all.chain([(&manifest.config, &[CONFIG_TYPE][..])]) {
        if !allowed.contains(&blob.media_type.as_str()) {
            let found = blob.media_type.escape_debug();
            let what = format!("image manifest: a '{found}' stands where '{}' belongs", allowed.join("' or '"));
            return Err(Flaw::damaged(what));
        }
    }
    if manifest.layers.len() > MAX_LAYERS {
        let found = manifest.layers.len();
        return Err(Flaw::damaged(format_args!("image manifest: has {found} layers, the limit is {MAX_LAYERS}")));
    }
    Ok(manifest)
}

/// Puts an image together; `bytes` are those of its manifest and of its config.
pub(super) fn assemble(entry: &ImageEntry, manifest: Manifest, bytes: [Vec<u8>; 2], arch: Arch) -> Sound<Image> {
    let [manifest_bytes, config_bytes] = bytes;
    let Config { platform, diff_ids } = Config::parse(&config_bytes).map_err(damaged)?;
    if !platform.runs_on(&Platform::linux(arch.as_str())) {
        let what = format!("is for {platform}, but the bundle is for linux/{arch}");
        return Err(Flaw::new(Fault::WrongArchitecture, what));
    }
    if diff_ids.len() != manifest.layers.len() {
        let (layers, ids) = (manifest.layers.len(), diff_ids.len());
        return Err(Flaw::damaged(format_args!("has {layers} layers, but {ids} diff ids in its config")));
    }
    let layers = manifest.layers.into_iter().zip(diff_ids).map(|(blob, diff_id)| Layer { blob, diff_id }).gather();
    Ok(Image {
        names: entry.names.clone(),
        manifest: Descriptor { media_type: IMAGE_TYPE.into(), digest: entry.digest, size: entry.size },
        manifest_bytes,
        config: manifest.config,
        config_bytes,
        layers,
        platform,
    })
}

fn damaged(e: Error) -> Flaw {
    Flaw::damaged(e.to_string())
}
