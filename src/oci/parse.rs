//! The JSON documents of images: index, manifest, config, Docker's `manifest.json`, and the layout's version.
//!
//! Unknown keys are left alone: these formats grow. What decides what runs is checked to the letter.

use crate::gather::Gather;
use crate::sorted::Map;

use super::{Descriptor, Meaning, Platform};
use crate::archive::{COPY_AGAIN, MAKE_AGAIN, bad};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result, Trail, excerpt};
use crate::json::{self, JsonError, Take, Value};

/// Limit on the size of one document in bytes, for memory's sake. The largest real ones, configs of images that were
/// built in hundreds of steps, have 100 KiB.
pub const MAX_DOCUMENT: usize = 512 << 10;

/// Entries of an index or of Docker's list. Large real ones have fifty.
const MAX_ENTRIES: usize = 4096;

/// One descriptor of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// What it points to.
    pub blob: Descriptor,
    /// For whom, if the index says so.
    pub platform: Option<Platform>,
    /// Notes, among them the image's name.
    pub annotations: Map<String, String>,
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

#[derive(Default)]
struct RawDescriptor {
    media_type: Option<String>,
    digest: String,
    size: u64,
    platform: Option<RawPlatform>,
    annotations: Option<Map<String, String>>,
}

impl Take for RawDescriptor {
    fn take(&mut self, value: &Value) -> std::result::Result<(), JsonError> {
        value.read("mediaType", &mut self.media_type)?;
        value.read("digest", &mut self.digest)?;
        value.read("size", &mut self.size)?;
        value.read("platform", &mut self.platform)?;
        value.read("annotations", &mut self.annotations)
    }
}

#[derive(Default)]
struct RawPlatform {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
}

impl Take for RawPlatform {
    fn take(&mut self, value: &Value) -> std::result::Result<(), JsonError> {
        value.read("os", &mut self.os)?;
        value.read("architecture", &mut self.architecture)?;
        value.read("variant", &mut self.variant)
    }
}

/// An index or a manifest; which of the two, its lists tell.
#[derive(Default)]
struct RawDocument {
    schema_version: Option<u64>,
    media_type: Option<String>,
    manifests: Option<Vec<RawDescriptor>>,
    config: Option<RawDescriptor>,
    layers: Option<Vec<RawDescriptor>>,
}

impl Take for RawDocument {
    fn take(&mut self, value: &Value) -> std::result::Result<(), JsonError> {
        value.read("schemaVersion", &mut self.schema_version)?;
        value.read("mediaType", &mut self.media_type)?;
        value.read("manifests", &mut self.manifests)?;
        value.read("config", &mut self.config)?;
        value.read("layers", &mut self.layers)
    }
}

#[derive(Default)]
struct RawConfig {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    rootfs: Option<RawRootfs>,
}

impl Take for RawConfig {
    fn take(&mut self, value: &Value) -> std::result::Result<(), JsonError> {
        value.read("os", &mut self.os)?;
        value.read("architecture", &mut self.architecture)?;
        value.read("variant", &mut self.variant)?;
        value.read("rootfs", &mut self.rootfs)
    }
}

#[derive(Default)]
struct RawRootfs {
    diff_ids: Option<Vec<String>>,
}

impl Take for RawRootfs {
    fn take(&mut self, value: &Value) -> std::result::Result<(), JsonError> {
        value.read("diff_ids", &mut self.diff_ids)
    }
}

#[derive(Default)]
struct RawDockerEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

impl Take for RawDockerEntry {
    fn take(&mut self, value: &Value) -> std::result::Result<(), JsonError> {
        value.read("Config", &mut self.config)?;
        value.read("RepoTags", &mut self.repo_tags)?;
        value.read("Layers", &mut self.layers)
    }
}

#[derive(Default)]
struct RawLayout {
    image_layout_version: String,
}

impl Take for RawLayout {
    fn take(&mut self, value: &Value) -> std::result::Result<(), JsonError> {
        value.read("imageLayoutVersion", &mut self.image_layout_version)
    }
}

fn parse<T: Take + Default>(bytes: &[u8], what: &str) -> Result<T> {
    json::parse(bytes, MAX_DOCUMENT).map_err(|e| {
        let hint = if matches!(e.reason(), json::Reason::Syntax(..)) { COPY_AGAIN } else { MAKE_AGAIN };
        Error::new(Kind::Bundle, format_args!("is not {what}")).because(e).hint(hint)
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
        let shown = excerpt(text, 80);
        bad(format_args!("digest '{shown}'")).because(e).hint(MAKE_AGAIN)
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
            return Err(bad(format_args!("is {what} of schemaVersion {version}, expected 2")).hint(MAKE_AGAIN));
        }
        let said = document.media_type.as_deref().unwrap_or("");
        if !said.is_empty() && Meaning::of(said) != meaning {
            let said = excerpt(said, 80);
            return Err(bad(format_args!("says that it is a '{said}', expected {what}")).hint(MAKE_AGAIN));
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
    let document = RawDocument::parse(bytes, "an image index", Meaning::Index)?;
    let manifests =
        document.manifests.ok_or_else(|| bad("is not an image index: 'manifests' is missing").hint(MAKE_AGAIN))?;
    few(manifests.len())?;
    manifests.into_iter().map(RawDescriptor::check).gather()
}

impl Manifest {
    /// Reads an image manifest (OCI image-spec manifest.md; Docker manifest v2, schema 2).
    pub fn parse(bytes: &[u8]) -> Result<Manifest> {
        let document = RawDocument::parse(bytes, "an image manifest", Meaning::Manifest)?;
        let missing = |key: &str| bad(format_args!("is not an image manifest: '{key}' is missing")).hint(MAKE_AGAIN);
        let config = document.config.ok_or_else(|| missing("config"))?.check()?.blob;
        let layers = document.layers.ok_or_else(|| missing("layers"))?;
        let layers: Result<Vec<_>> = layers.into_iter().map(|layer| Ok(layer.check()?.blob)).gather();
        Ok(Manifest { config, layers: layers? })
    }
}

impl Config {
    /// Reads an image config (OCI image-spec config.md; Docker image v1.2).
    pub fn parse(bytes: &[u8]) -> Result<Config> {
        let raw: RawConfig = parse(bytes, "an image config")?;
        let missing = |key: &str| bad(format_args!("is not an image config: '{key}' is missing")).hint(MAKE_AGAIN);
        let platform = RawPlatform { os: raw.os, architecture: raw.architecture, variant: raw.variant };
        let platform = platform.check().ok_or_else(|| missing("os' or 'architecture"))?;
        let ids = raw.rootfs.and_then(|rootfs| rootfs.diff_ids).ok_or_else(|| missing("rootfs.diff_ids"))?;
        let diff_ids: Result<Vec<_>> = ids.iter().map(|id| parse_digest(id)).gather();
        Ok(Config { platform, diff_ids: diff_ids.doing(|| "rootfs.diff_ids".to_owned())? })
    }
}

/// Reads Docker's `manifest.json` (moby image-spec v1.2).
pub fn docker_list(bytes: &[u8]) -> Result<Vec<DockerEntry>> {
    let entries: Vec<RawDockerEntry> = parse(bytes, "a list of Docker images")?;
    few(entries.len())?;
    let entry = |raw: RawDockerEntry| DockerEntry {
        config: raw.config,
        tags: raw.repo_tags.unwrap_or_default(),
        layers: raw.layers.unwrap_or_default(),
    };
    Ok(entries.into_iter().map(entry).gather())
}

fn few(entries: usize) -> Result<()> {
    if entries > MAX_ENTRIES {
        return Err(bad(format_args!("has {entries} images, the limit is {MAX_ENTRIES}")).hint(MAKE_AGAIN));
    }
    Ok(())
}

/// Reads `oci-layout` and checks its version (OCI image-spec image-layout.md).
pub fn layout_version(bytes: &[u8]) -> Result<()> {
    let layout: RawLayout = parse(bytes, "an OCI layout")?;
    match layout.image_layout_version.as_str() {
        "1.0.0" => Ok(()),
        other => {
            let other = excerpt(other, 40);
            Err(bad(format_args!("OCI layout has version '{other}', expected '1.0.0'")).hint(MAKE_AGAIN))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn why<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn index_entries_keep_platform_and_notes() {
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[
              {{"mediaType":"m","digest":"{ABC}","size":3,"platform":{{"os":"linux","architecture":"arm64","variant":"v8"}},
                "annotations":{{"k":"v\u0021"}},"urls":[],"artifactType":"x"}},
              {{"digest":"{ABC}","size":0,"platform":{{"architecture":"amd64"}},"annotations":null}}]}}"#
        );
        let blob =
            |media_type: &str, size| Descriptor { media_type: media_type.into(), digest: Digest::of(b"abc"), size };
        let arm = Platform { variant: "v8".into(), ..Platform::linux("arm64") };
        let notes = Map::from([("k".to_owned(), "v!".to_owned())]);
        let want = [
            IndexEntry { blob: blob("m", 3), platform: Some(arm), annotations: notes },
            IndexEntry { blob: blob("", 0), platform: None, annotations: Map::new() },
        ];
        assert_eq!(index(text.as_bytes()).unwrap(), want);
    }

    #[test]
    fn documents_are_what_they_are_read_as() {
        let blob = format!(r#"{{"mediaType":"x","digest":"{ABC}","size":3}}"#);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[{blob}]}}"#);
        let read = Manifest::parse(manifest.as_bytes()).unwrap();
        assert_eq!((read.config.size, read.layers.len()), (3, 1));
        for (text, message) in [
            (r#"{"schemaVersion":1}"#.to_owned(), "is an image manifest of schemaVersion 1, expected 2"),
            (
                r#"{"mediaType":"application/vnd.oci.image.index.v1+json"}"#.to_owned(),
                "says that it is a 'application/vnd.oci.image.index.v1+json', expected an image manifest",
            ),
            (
                format!(r#"{{"config":{blob},"layers":[],"manifests":[]}}"#),
                "is a manifest and an index at the same time",
            ),
            (r#"{"layers":[]}"#.to_owned(), "is not an image manifest: 'config' is missing"),
            (format!(r#"{{"config":{blob}}}"#), "is not an image manifest: 'layers' is missing"),
            (
                r#"{"config":{"digest":"sha512:00","size":1},"layers":[]}"#.to_owned(),
                "digest 'sha512:00': not a sha256 digest",
            ),
            (
                r#"{"config":{"digest":"","size":-1}}"#.to_owned(),
                "is not an image manifest: line 1, column 31: 'config.size' must be a whole number of 64 bits, found the \
                 number -1",
            ),
            (
                "{".to_owned(),
                "is not an image manifest: line 1, column 2: expected a key in double quotes, found the end of the text",
            ),
        ] {
            assert_eq!(why(Manifest::parse(text.as_bytes())), message, "{text}");
        }
        assert_eq!(why(index(b"{}")), "is not an image index: 'manifests' is missing");
        let blob = format!(r#"{{"digest":"sha256:{}","size":1}}"#, "0".repeat(64));
        let many = vec![blob; MAX_ENTRIES + 1].join(",");
        let list = vec![r#"{"Config":"c"}"#; MAX_ENTRIES + 1].join(",");
        let limit = "has 4097 images, the limit is 4096";
        assert_eq!(why(index(format!(r#"{{"manifests":[{many}]}}"#).as_bytes())), limit);
        assert_eq!(why(docker_list(format!("[{list}]").as_bytes())), limit);
        let large = vec![b' '; MAX_DOCUMENT + 1];
        assert_eq!(why(index(&large)), "is not an image index: line 1, column 1: the text is larger than 524288 bytes");
    }

    #[test]
    fn config_says_for_whom_and_what() {
        let text =
            format!(r#"{{"architecture":"arm64","os":"linux","variant":"v8","rootfs":{{"diff_ids":["{ABC}"]}}}}"#);
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.platform.to_string(), "linux/arm64/v8");
        assert_eq!(config.diff_ids, [Digest::of(b"abc")]);
        for (text, message) in [
            ("{}", "is not an image config: 'os' or 'architecture' is missing"),
            (
                r#"{"os":"linux","architecture":"amd64","rootfs":{}}"#,
                "is not an image config: 'rootfs.diff_ids' is missing",
            ),
            (
                r#"{"os":"linux","architecture":"amd64","rootfs":{"diff_ids":["x"]}}"#,
                "rootfs.diff_ids: digest 'x': not a sha256 digest",
            ),
        ] {
            assert_eq!(why(Config::parse(text.as_bytes())), message);
        }
    }

    #[test]
    fn docker_lists_may_lack_tags() {
        let text =
            br#"[{"Config":"c.json","RepoTags":null,"Layers":["a/layer.tar"]},{"Config":"d","RepoTags":["x:1"]}]"#;
        let want = [
            DockerEntry { config: "c.json".into(), tags: vec![], layers: vec!["a/layer.tar".into()] },
            DockerEntry { config: "d".into(), tags: vec!["x:1".into()], layers: vec![] },
        ];
        assert_eq!(docker_list(text).unwrap(), want);
        assert_eq!(
            why(docker_list(b"[{}]")),
            "is not a list of Docker images: line 1, column 2: key 'Config' is missing in '[0]'"
        );
        assert!(layout_version(br#"{"imageLayoutVersion":"1.0.0"}"#).is_ok());
        assert_eq!(
            why(layout_version(br#"{"imageLayoutVersion":"9"}"#)),
            "OCI layout has version '9', expected '1.0.0'"
        );
    }
}
