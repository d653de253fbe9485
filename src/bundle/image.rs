//! The images of a bundle: OCI manifests and configs, already in memory, turned into [`oci::Image`]s.

use super::fault::{Fault, Flaw, Sound};
use super::index::IMAGE_TYPE;
use super::manifest::{ImageEntry, MAX_METADATA};
use crate::digest::Digest;
use crate::ids::Arch;
use crate::json::{self, JsonError, Value};
use crate::oci::{Descriptor, Image, Layer, Platform};

/// Media types of layers that a bundle may hold (OCI image-spec, layer.md).
pub(super) const LAYER_TYPES: [&str; 3] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
];
/// Media type of an image config.
pub(super) const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// Layers of one image; overlayfs takes 500.
const MAX_LAYERS: usize = 500;

/// What an image manifest names.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
}

impl Parts {
    /// Reads an OCI image manifest of a bundle.
    pub(super) fn parse(bytes: &[u8]) -> Sound<Self> {
        let read = || -> Result<Parts, JsonError> {
            let value = json::read(bytes, MAX_METADATA)?;
            kind(&value, &[IMAGE_TYPE])?;
            let config = descriptor(value.need("config")?, &[CONFIG_TYPE]).map_err(|e| e.inside("config"))?;
            let list = value.need("layers")?;
            let layers: Vec<_> = list
                .items()?
                .iter()
                .map(|item| descriptor(item, &LAYER_TYPES))
                .collect::<Result<_, _>>()
                .map_err(|e| e.inside("layers"))?;
            if layers.len() > MAX_LAYERS {
                return Err(JsonError::at(list.place, format!("has more than {MAX_LAYERS} layers")));
            }
            Ok(Parts { config, layers })
        };
        read().map_err(|e| Flaw::damaged(format!("image manifest: {e}")))
    }

    /// Puts the image together; `config` are the bytes of its config.
    pub(super) fn image(self, entry: &ImageEntry, manifest: Vec<u8>, config: Vec<u8>, arch: Arch) -> Sound<Image> {
        let (platform, diff_ids) = parse_config(&config).map_err(|e| Flaw::damaged(format!("image config: {e}")))?;
        if !platform.runs_on(&Platform::linux(arch.as_str())) {
            return Err(Flaw::new(
                Fault::WrongArchitecture,
                format!("is for {platform}, but the bundle is for linux/{arch}"),
            ));
        }
        if diff_ids.len() != self.layers.len() {
            let (layers, ids) = (self.layers.len(), diff_ids.len());
            return Err(Flaw::damaged(format!("has {layers} layers, but {ids} diff ids in its config")));
        }
        let layers = self.layers.into_iter().zip(diff_ids).map(|(blob, diff_id)| Layer { blob, diff_id }).collect();
        Ok(Image {
            names: entry.names.clone(),
            manifest: Descriptor { media_type: IMAGE_TYPE.into(), digest: entry.digest, size: entry.size },
            manifest_bytes: manifest,
            config: self.config,
            config_bytes: config,
            layers,
            platform,
        })
    }
}

fn kind(value: &Value, allowed: &[&str]) -> Result<String, JsonError> {
    let media_type = value.need("mediaType")?;
    let text = media_type.text()?;
    if allowed.contains(&text) {
        return Ok(text.to_owned());
    }
    Err(JsonError::at(media_type.place, format!("must be one of: {}", allowed.join(", "))).inside("mediaType"))
}

fn descriptor(value: &Value, allowed: &[&str]) -> Result<Descriptor, JsonError> {
    let digest = value.need("digest")?;
    Ok(Descriptor {
        media_type: kind(value, allowed)?,
        digest: parse_digest(digest).map_err(|e| e.inside("digest"))?,
        size: value.need("size")?.whole()?,
    })
}

fn parse_digest(value: &Value) -> Result<Digest, JsonError> {
    value.text()?.parse().map_err(|why| JsonError::at(value.place, format!("is no digest: {why}")))
}

fn parse_config(bytes: &[u8]) -> Result<(Platform, Vec<Digest>), JsonError> {
    let value = json::read(bytes, MAX_METADATA)?;
    let text = |key: &'static str| value.need(key).and_then(|v| v.text().map(str::to_owned));
    let platform = Platform {
        os: text("os")?,
        architecture: text("architecture")?,
        variant: value.get("variant").map_or(Ok(""), Value::text)?.to_owned(),
    };
    let ids = value.need("rootfs")?.need("diff_ids")?.items()?;
    Ok((platform, ids.iter().map(parse_digest).collect::<Result<_, _>>()?))
}
