//! The JSON documents of images: index, manifest, config, Docker's `manifest.json`, and the layout's version.
//!
//! Unknown keys are left alone: these formats grow. What decides what runs is checked to the letter.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Descriptor, Meaning, Platform};
use crate::archive::{COPY_AGAIN, MAKE_AGAIN, bad};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result, Trail};
use crate::json;

/// Limit on the size of one document in bytes; registries have the same one for manifests.
pub const MAX_DOCUMENT: usize = 4 << 20;

/// One descriptor of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// What it points to.
    pub blob: Descriptor,
    /// For whom, if the index says so.
    pub platform: Option<Platform>,
    /// Notes, among them the image's name.
    pub annotations: BTreeMap<String, String>,
}

/// An image manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The image config.
    pub config: Descriptor,
    /// Base layer first.
    pub layers: Vec<Descriptor>,
}

/// What matters of an image config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// For whom.
    pub platform: Platform,
    /// Digests of the uncompressed layers, base first.
    pub diff_ids: Vec<Digest>,
}

/// One image in Docker's `manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerEntry {
    /// Entry that holds the config.
    pub config: String,
    /// Names, as they were given to Docker.
    pub tags: Vec<String>,
    /// Entries that hold the layers, base first.
    pub layers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    media_type: Option<String>,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct RawPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

/// An index or a manifest; which of the two, its lists tell.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
struct RawConfig {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    rootfs: Option<RawRootfs>,
}

#[derive(Deserialize)]
struct RawRootfs {
    diff_ids: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawDockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLayout {
    image_layout_version: String,
}

fn parse<T: DeserializeOwned>(bytes: &[u8], what: &str) -> Result<T> {
    json::parse(bytes, MAX_DOCUMENT).map_err(|e| {
        let hint = if matches!(e.reason(), json::Reason::Syntax(..)) { COPY_AGAIN } else { MAKE_AGAIN };
        Error::new(Kind::Bundle, format!("is no {what}")).because(e).hint(hint)
    })
}

impl RawDescriptor {
    fn check(self) -> Result<IndexEntry> {
        let digest = parse_digest(&self.digest)?;
        Ok(IndexEntry {
            blob: Descriptor { media_type: self.media_type.unwrap_or_default(), digest, size: self.size },
            platform: self.platform.and_then(RawPlatform::check),
            annotations: self.annotations.unwrap_or_default(),
        })
    }
}

fn parse_digest(text: &str) -> Result<Digest> {
    text.parse().map_err(|e| {
        let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
        bad(format!("digest '{shown}'")).because(e).hint(MAKE_AGAIN)
    })
}

impl RawPlatform {
    /// `None` if it does not say for whom.
    fn check(self) -> Option<Platform> {
        Some(Platform { os: self.os?, architecture: self.architecture?, variant: self.variant.unwrap_or_default() })
    }
}

impl RawDocument {
    fn parse(bytes: &[u8], what: &str, meaning: Meaning) -> Result<RawDocument> {
        let document: RawDocument = parse(bytes, what)?;
        if let Some(version) = document.schema_version.filter(|version| *version != 2) {
            return Err(bad(format!("is {what} with schemaVersion {version}, expected 2")).hint(MAKE_AGAIN));
        }
        let said = document.media_type.as_deref().unwrap_or("");
        if !said.is_empty() && Meaning::of(said) != meaning {
            let said: String = said.chars().take(80).flat_map(char::escape_debug).collect();
            return Err(bad(format!("says that it is a '{said}', expected {what}")).hint(MAKE_AGAIN));
        }
        // Read as a manifest by one and as an index by another tool, one digest would be two images.
        if document.manifests.is_some() && (document.layers.is_some() || document.config.is_some()) {
            return Err(bad("is a manifest and an index at the same time").hint(MAKE_AGAIN));
        }
        Ok(document)
    }
}

/// Reads an index (OCI image-spec image-index.md; Docker manifest list).
pub fn index(bytes: &[u8]) -> Result<Vec<IndexEntry>> {
    let document = RawDocument::parse(bytes, "image index", Meaning::Index)?;
    let manifests = document.manifests.ok_or_else(|| bad("is no image index: 'manifests' is missing"))?;
    manifests.into_iter().map(RawDescriptor::check).collect()
}

impl Manifest {
    /// Reads an image manifest (OCI image-spec manifest.md; Docker manifest v2, schema 2).
    pub fn parse(bytes: &[u8]) -> Result<Manifest> {
        let document = RawDocument::parse(bytes, "image manifest", Meaning::Manifest)?;
        let missing = |key: &str| bad(format!("is no image manifest: '{key}' is missing")).hint(MAKE_AGAIN);
        let config = document.config.ok_or_else(|| missing("config"))?.check()?.blob;
        let layers = document.layers.ok_or_else(|| missing("layers"))?;
        let layers: Result<Vec<_>> = layers.into_iter().map(|layer| Ok(layer.check()?.blob)).collect();
        Ok(Manifest { config, layers: layers? })
    }
}

impl Config {
    /// Reads an image config (OCI image-spec config.md; Docker image v1.2).
    pub fn parse(bytes: &[u8]) -> Result<Config> {
        let raw: RawConfig = parse(bytes, "image config")?;
        let missing = |key: &str| bad(format!("is no image config: '{key}' is missing")).hint(MAKE_AGAIN);
        let platform = RawPlatform { os: raw.os, architecture: raw.architecture, variant: raw.variant };
        let platform = platform.check().ok_or_else(|| missing("os' or 'architecture"))?;
        let ids = raw.rootfs.and_then(|rootfs| rootfs.diff_ids).ok_or_else(|| missing("rootfs.diff_ids"))?;
        let diff_ids: Result<Vec<_>> = ids.iter().map(|id| parse_digest(id)).collect();
        Ok(Config { platform, diff_ids: diff_ids.doing(|| "rootfs.diff_ids".to_owned())? })
    }
}

/// Reads Docker's `manifest.json` (moby image-spec v1.2).
pub fn docker_list(bytes: &[u8]) -> Result<Vec<DockerEntry>> {
    let entries: Vec<RawDockerEntry> = parse(bytes, "list of Docker images")?;
    let entry = |raw: RawDockerEntry| DockerEntry {
        config: raw.config,
        tags: raw.repo_tags.unwrap_or_default(),
        layers: raw.layers.unwrap_or_default(),
    };
    Ok(entries.into_iter().map(entry).collect())
}

/// Reads `oci-layout` and checks its version (OCI image-spec image-layout.md).
pub fn layout_version(bytes: &[u8]) -> Result<()> {
    let layout: RawLayout = parse(bytes, "OCI layout")?;
    match layout.image_layout_version.as_str() {
        "1.0.0" => Ok(()),
        other => {
            let other: String = other.chars().take(40).flat_map(char::escape_debug).collect();
            Err(bad(format!("OCI layout has version '{other}', expected '1.0.0'")).hint(MAKE_AGAIN))
        }
    }
}
