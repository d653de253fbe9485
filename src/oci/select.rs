//! From a descriptor to the one image for our platform, through any indexes.

use crate::gather::{Gather, Grow};
use crate::sorted::Set;

use super::media::is_layer;
use super::parse::index;
use super::{Config, Descriptor, Image, IndexEntry, Layer, LayerForm, Manifest, Meaning, Platform};
use crate::archive::{COPY_AGAIN, Compression, MAKE_AGAIN, bad};
use crate::error::{Error, Result, Trail, excerpt};

/// Indexes within indexes. Real archives have two levels; more than this only serves to keep us busy.
const MAX_NESTING: usize = 4;

/// Layers of one image. Docker makes at most 127, and overlayfs takes 500.
pub const MAX_LAYERS: usize = 500;

/// Other platforms that a message names. Images that are made for everything have ten.
const MAX_TOLD: usize = 16;

/// What to do about encrypted layers.
const DECRYPT: &str = "decrypt the image: 'skopeo copy --decryption-key KEY ...'";

/// What a place knows of a blob without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Number of bytes.
    pub size: u64,
    /// Compression, told by the first bytes.
    pub compression: Compression,
}

/// A place with blobs, as far as choosing an image needs it.
pub trait Store {
    /// The bytes of a document, verified against the descriptor. `None`: not there.
    fn document(&mut self, blob: &Descriptor) -> Result<Option<Vec<u8>>>;
    /// What is known of a layer. `None`: not there.
    fn layer(&mut self, blob: &Descriptor) -> Result<Option<Found>>;
    /// What a blob is called there, for messages: `entry 'blobs/sha256/...'`.
    fn name(&self, blob: &Descriptor) -> String;
}

/// What a descriptor stands for.
#[derive(Debug)]
pub enum Choice {
    /// The image for our platform. It has no names yet.
    Ours(Box<Image>),
    /// An image that is only for other platforms, in words that say for which.
    Foreign(Error),
    /// Something else than an image.
    NoImage,
}

/// Finds the image for `wanted` that `top` stands for; `label` names it in messages.
///
/// Manifests for other platforms, among them attestations (`unknown/unknown`), are not looked at and need not be there.
pub fn choose(top: &IndexEntry, label: &str, wanted: &Platform, store: &mut dyn Store) -> Result<Choice> {
    let mut search = Search { wanted, store, seen: Set::new(), others: Vec::new(), missing: None };
    if let Some(image) = search.descend(top, 0)? {
        return Ok(Choice::Ours(image));
    }
    match search.missing {
        _ if !search.others.is_empty() => Ok(Choice::Foreign(foreign(label, &search.others, wanted))),
        Some(missing) => Err(missing),
        None => Ok(Choice::NoImage),
    }
}

/// Says that an image is for others than `wanted`.
pub fn foreign(label: &str, others: &[Platform], wanted: &Platform) -> Error {
    let others: Vec<String> = others.iter().take(MAX_TOLD).map(ToString::to_string).gather();
    let what = format!("image '{label}' is for {}, expected {wanted}", others.join(", "));
    bad(what).hint("take the image for this machine's processor")
}

struct Search<'a> {
    wanted: &'a Platform,
    store: &'a mut dyn Store,
    /// Blobs looked at: each is read once, however often hostile indexes name it.
    seen: Set<crate::digest::Digest>,
    /// Platforms that were there instead.
    others: Vec<Platform>,
    /// The first blob that should have been there; told only if nothing better turns up.
    missing: Option<Error>,
}

impl Search<'_> {
    fn descend(&mut self, entry: &IndexEntry, depth: usize) -> Result<Option<Box<Image>>> {
        if depth > MAX_NESTING {
            let what = format!("indexes are nested deeper than the limit of {MAX_NESTING}");
            return Err(bad(what).hint(MAKE_AGAIN));
        }
        let meaning = Meaning::of(&entry.blob.media_type);
        let fits = entry.platform.as_ref().map(|platform| self.fits(platform, depth));
        if meaning == Meaning::Manifest && fits == Some(false) {
            self.others.add_all(entry.platform.clone().filter(is_told));
            return Ok(None);
        }
        if !matches!(meaning, Meaning::Index | Meaning::Manifest) || !self.seen.insert(entry.blob.digest) {
            return Ok(None);
        }
        let Some(bytes) = self.store.document(&entry.blob)? else {
            let missing = self.lacks(&entry.blob);
            if fits == Some(true) {
                return Err(if depth == 0 { missing } else { self.lacks_ours(&entry.blob) });
            }
            self.missing.get_or_insert(missing);
            return Ok(None);
        };
        let name = self.store.name(&entry.blob);
        if meaning == Meaning::Manifest {
            return self.image(entry, bytes, depth).doing(|| name);
        }
        for child in index(&bytes).doing(|| name)? {
            if let Some(image) = self.descend(&child, depth + 1)? {
                return Ok(Some(image));
            }
        }
        Ok(None)
    }

    fn lacks(&self, blob: &Descriptor) -> Error {
        bad(format_args!("{} is missing", self.store.name(blob))).hint(COPY_AGAIN)
    }

    /// An image that was saved for some processors keeps the index of all.
    fn lacks_ours(&self, blob: &Descriptor) -> Error {
        let what = format!("{}, the image for {}, is missing", self.store.name(blob), self.wanted);
        let with = format!("--platform {}", self.wanted);
        bad(what).hint(format_args!("save the image for it: 'ctr images export {with} ...', 'docker save {with} ...'"))
    }

    /// What stands in no index has nothing beside it to choose from.
    fn fits(&self, platform: &Platform, depth: usize) -> bool {
        if depth == 0 { platform.is_for(self.wanted) } else { platform.runs_on(self.wanted) }
    }

    /// The image under a manifest, if its config is for our platform. Signatures and attestations may have an image's
    /// config, but have no layer of one.
    fn image(&mut self, entry: &IndexEntry, manifest_bytes: Vec<u8>, depth: usize) -> Result<Option<Box<Image>>> {
        let manifest = Manifest::parse(&manifest_bytes)?;
        let artifact = !manifest.layers.is_empty() && !manifest.layers.iter().any(|layer| is_layer(&layer.media_type));
        if artifact || Meaning::of(&manifest.config.media_type) != Meaning::Config {
            return Ok(None);
        }
        let Some(config_bytes) = self.store.document(&manifest.config)? else {
            return Err(self.lacks(&manifest.config));
        };
        let config = Config::parse(&config_bytes).doing(|| self.store.name(&manifest.config))?;
        if !self.fits(&config.platform, depth) {
            if entry.platform.is_some() {
                let what = format!("config is for {}, its index says {}", config.platform, self.wanted);
                return Err(bad(what).hint(MAKE_AGAIN));
            }
            self.others.add_all(Some(config.platform).filter(is_told));
            return Ok(None);
        }
        let layers = check_layers(manifest.layers, &config, self.store)?;
        Ok(Some(Box::new(Image {
            names: Vec::new(),
            manifest: entry.blob.clone(),
            manifest_bytes,
            config: manifest.config,
            config_bytes,
            layers,
            platform: config.platform,
        })))
    }
}

/// Attestations are for nobody.
fn is_told(platform: &Platform) -> bool {
    platform.os != "unknown"
}

/// Checks that the layers of a manifest are there, can be unpacked, and are as many as the config says.
pub fn check_layers(blobs: Vec<Descriptor>, config: &Config, store: &mut dyn Store) -> Result<Vec<Layer>> {
    if blobs.len() != config.diff_ids.len() || blobs.len() > MAX_LAYERS {
        let what = format!(
            "manifest has {} layers, its config {} (the limit is {MAX_LAYERS})",
            blobs.len(),
            config.diff_ids.len()
        );
        return Err(bad(what).hint(MAKE_AGAIN));
    }
    let mut layers = Vec::with_capacity(blobs.len());
    for (blob, diff_id) in blobs.into_iter().zip(&config.diff_ids) {
        let name = store.name(&blob);
        let Some(form) = LayerForm::of(&blob.media_type) else {
            if blob.media_type.ends_with("+encrypted") {
                return Err(bad(format_args!("{name} is an encrypted layer")).hint(DECRYPT));
            }
            let media_type = excerpt(&blob.media_type, 80);
            return Err(bad(format_args!("{name} is a '{media_type}', expected a layer")).hint(MAKE_AGAIN));
        };
        let Some(found) = store.layer(&blob)? else {
            return Err(bad(format_args!("{name} is missing")).hint(COPY_AGAIN));
        };
        if found.size != blob.size {
            let what = format!("{name} has {} bytes, expected {}", found.size, blob.size);
            return Err(bad(what).hint(COPY_AGAIN));
        }
        if form == LayerForm::Raw && found.compression != Compression::Plain {
            let what = format!("{name} is compressed, its media type '{}' says it is not", blob.media_type);
            return Err(bad(what).hint(MAKE_AGAIN));
        }
        layers.push(Layer { blob, diff_id: *diff_id });
    }
    Ok(layers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::json::Text;
    use crate::sorted::Map;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

    /// Blobs in memory.
    #[derive(Default)]
    struct Memory {
        blobs: Map<Digest, Vec<u8>>,
        reads: usize,
    }

    impl Store for Memory {
        fn document(&mut self, blob: &Descriptor) -> Result<Option<Vec<u8>>> {
            self.reads += 1;
            Ok(self.blobs.get(&blob.digest).cloned())
        }
        fn layer(&mut self, blob: &Descriptor) -> Result<Option<Found>> {
            let bytes = self.blobs.get(&blob.digest);
            Ok(bytes.map(|b| Found { size: b.len() as u64, compression: Compression::sniff(b).unwrap() }))
        }
        fn name(&self, blob: &Descriptor) -> String {
            format!("blob {}", &blob.digest.hex()[..4])
        }
    }

    fn json(d: &Descriptor, platform: &str) -> String {
        let media_type = Text(&d.media_type);
        format!("{{\"mediaType\":{media_type},\"digest\":\"{}\",\"size\":{}{platform}}}", d.digest, d.size)
    }

    impl Memory {
        fn put(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
            let digest = Digest::of(bytes);
            self.blobs.insert(digest, bytes.to_vec());
            Descriptor { media_type: media_type.into(), digest, size: bytes.len() as u64 }
        }

        fn image(&mut self, arch: &str, layer_type: &str, layer: &[u8]) -> Descriptor {
            let layer = self.put(layer_type, layer);
            let config = format!(
                "{{\"os\":\"linux\",\"architecture\":\"{arch}\",\"rootfs\":{{\"diff_ids\":[\"{}\"]}}}}",
                layer.digest
            );
            let config = self.put(CONFIG, config.as_bytes());
            let manifest = format!("{{\"config\":{},\"layers\":[{}]}}", json(&config, ""), json(&layer, ""));
            self.put(MANIFEST, manifest.as_bytes())
        }

        fn index(&mut self, entries: &[String]) -> Descriptor {
            self.put(INDEX, format!("{{\"manifests\":[{}]}}", entries.join(",")).as_bytes())
        }
    }

    fn on(arch: &str) -> String {
        format!(",\"platform\":{{\"os\":\"linux\",\"architecture\":\"{arch}\"}}")
    }

    fn pick(top: &Descriptor, store: &mut Memory) -> std::result::Result<Option<Digest>, String> {
        let top = IndexEntry { blob: top.clone(), platform: None, annotations: Map::new() };
        match choose(&top, "x", &Platform::linux("arm64"), store) {
            Ok(Choice::Ours(image)) => Ok(Some(image.manifest.digest)),
            Ok(Choice::NoImage) => Ok(None),
            Ok(Choice::Foreign(e)) | Err(e) => Err(e.to_string()),
        }
    }

    #[test]
    fn ours_is_taken_and_the_others_need_not_be_there() {
        let mut store = Memory::default();
        let [amd, arm] = ["amd64", "arm64"].map(|arch| store.image(arch, LAYER, arch.as_bytes()));
        let silent = [json(&amd, ""), json(&arm, "")];
        let told = [json(&amd, &on("amd64")), json(&arm, &on("arm64"))];
        let silent = store.index(&silent);
        assert_eq!(pick(&silent, &mut store), Ok(Some(arm.digest)), "by the config");
        store.blobs.remove(&amd.digest);
        let told = store.index(&told);
        let outer = store.index(&[json(&told, "")]);
        assert_eq!(pick(&outer, &mut store), Ok(Some(arm.digest)), "by the index");
        store.blobs.remove(&arm.digest);
        let missing = |what: &str| Err(format!("blob {}{what} is missing", &arm.digest.hex()[..4]));
        assert_eq!(pick(&outer, &mut store), missing(", the image for linux/arm64,"));
        assert_eq!(pick(&arm, &mut store), missing(""));
    }

    #[test]
    fn other_platforms_are_named() {
        let mut store = Memory::default();
        let amd = store.image("amd64", LAYER, b"layer");
        let unknown = ",\"platform\":{\"os\":\"unknown\",\"architecture\":\"unknown\"}";
        let index = store.index(&[json(&amd, &on("amd64")), json(&amd, &on("riscv64")), json(&amd, unknown)]);
        let why = "image 'x' is for linux/amd64, linux/riscv64, expected linux/arm64";
        assert_eq!(pick(&index, &mut store), Err(why.into()));
        assert_eq!(pick(&amd, &mut store), Err("image 'x' is for linux/amd64, expected linux/arm64".into()));
        let lie = store.index(&[json(&amd, &on("arm64"))]);
        let why = format!("blob {}: config is for linux/amd64, its index says linux/arm64", &amd.digest.hex()[..4]);
        assert_eq!(pick(&lie, &mut store), Err(why));
        let odd = store.image("x\\u001b\\nerror: y", LAYER, b"layer");
        let why = "image 'x' is for linux/x\\u{1b}\\nerror: y, expected linux/arm64";
        assert_eq!(pick(&odd, &mut store), Err(why.into()));
        let many: Vec<String> = (0..900).map(|n| json(&amd, &on(&format!("{n:050}")))).collect();
        let many = store.index(&many);
        assert!(pick(&many, &mut store).unwrap_err().len() < 16 * 42 + 60);
        let artifact = store.put("application/x", b"{}");
        assert_eq!(pick(&artifact, &mut store), Ok(None));
    }

    #[test]
    fn layers_must_be_what_the_manifest_says() {
        let mut store = Memory::default();
        let gzip = store.image("arm64", LAYER, b"\x1f\x8b\x08");
        assert!(pick(&gzip, &mut store).unwrap_err().ends_with(
            "is compressed, its media type \
            'application/vnd.oci.image.layer.v1.tar' says it is not"
        ));
        let secret = format!("{LAYER}+gzip+encrypted");
        let other = store.image("arm64", &secret, b"hello");
        assert!(pick(&other, &mut store).unwrap_err().ends_with("is an encrypted layer"));
        let squashed = format!("{LAYER}.squashfs");
        let other = store.image("arm64", &squashed, b"hello");
        assert!(pick(&other, &mut store).unwrap_err().ends_with(&format!("is a '{squashed}', expected a layer")));
        let signature = store.image("arm64", "text/plain", b"hello");
        assert_eq!(pick(&signature, &mut store), Ok(None));
        let whole = store.image("arm64", LAYER, b"whole");
        store.blobs.remove(&Digest::of(b"whole"));
        assert!(pick(&whole, &mut store).unwrap_err().ends_with("is missing"));
        store.blobs.insert(Digest::of(b"whole"), b"who".to_vec());
        assert!(pick(&whole, &mut store).unwrap_err().ends_with("has 3 bytes, expected 5"));
    }

    /// Five levels of an index that names the level below a hundred times: 10^10 ways to the bottom.
    #[test]
    fn each_index_is_read_once() {
        let mut store = Memory::default();
        let mut below = store.image("amd64", LAYER, b"layer");
        for level in 0..MAX_NESTING {
            let entries: Vec<String> = (0..100).map(|_| json(&below, &format!(",\"level\":{level}"))).collect();
            below = store.index(&entries);
        }
        assert_eq!(pick(&below, &mut store), Err("image 'x' is for linux/amd64, expected linux/arm64".into()));
        assert_eq!(store.reads, MAX_NESTING + 2);
        below = store.index(&[json(&below, "")]);
        let why = pick(&below, &mut store).unwrap_err();
        assert!(why.ends_with("indexes are nested deeper than the limit of 4"), "{why}");
    }
}
