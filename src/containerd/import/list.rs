//! The images of a namespace, and how much of each is there.

use crate::digest::{Digest, Verified};
use crate::error::{Kind, Lift, Result};
use crate::feed;
use crate::gather::Gather;
use crate::oci::{Config, Descriptor, Image, Layer, MAX_DOCUMENT, Manifest, Meaning, Platform, index};

use super::plan::PINNED;
use super::store::{Record, Store};
use super::{Client, Options, check, clean};

/// Indexes within indexes; real ones have two levels.
const MAX_NESTING: usize = 8;

/// One image record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The record's name, as it is stored.
    pub name: String,
    /// Digest of the manifest or index that it stands for.
    pub target: Digest,
    /// Bytes of manifest, config and layers; 0 if even those are not known.
    pub size: u64,
    /// Whether the kubelet's image collection leaves it alone.
    pub pinned: bool,
    /// How much of it is there.
    pub state: State,
}

/// How much of an image is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Content and snapshots, imported to the end by edgelay.
    Whole,
    /// Content and snapshots, from somebody else; nothing says whether the files were synced to the disk.
    Unpacked,
    /// Not all of it; what is missing first.
    Lacking(String),
}

/// All images of the namespace by name, without the aliases that CRI makes (`sha256:<image ID>`). Of an index, what is
/// for `platform` counts.
///
/// # Errors
/// Only if the daemon cannot be asked; a broken image is in the list as [`State::Lacking`].
pub fn list(client: &mut Client, platform: &Platform, options: &Options<'_>) -> Result<Vec<Listed>> {
    let mut store = Store::open(client, options)?;
    let mut records = store.images()?;
    records.retain(|record| record.name.parse::<Digest>().is_err());
    records.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    records.into_iter().map(|record| look(&mut store, record, platform)).gather()
}

fn look(store: &mut Store<'_>, record: Record, platform: &Platform) -> Result<Listed> {
    let (size, state) = match find(store, &record.target, platform, 0)? {
        Found::Image(image) => {
            let layers = image.layers.iter().map(|layer| layer.blob.size);
            let size = layers.chain([image.manifest.size, image.config.size]).fold(0, u64::saturating_add);
            (size, state(store, &record, &image)?)
        }
        Found::Not(why) => (0, State::Lacking(why)),
    };
    let pinned = record.labels.get(PINNED).is_some_and(|value| value == "pinned");
    Ok(Listed { name: record.name, target: record.target.digest, size, pinned, state })
}

fn state(store: &mut Store<'_>, record: &Record, image: &Image) -> Result<State> {
    Ok(match check::parts(store, image)? {
        Some(lacking) => State::Lacking(lacking),
        None if clean::is_trusted(record) => State::Whole,
        None => State::Unpacked,
    })
}

enum Found {
    Image(Box<Image>),
    /// Why there is no image.
    Not(String),
}

/// The image that `target` stands for.
fn find(store: &mut Store<'_>, target: &Descriptor, platform: &Platform, depth: usize) -> Result<Found> {
    let bytes = match document(store, target)? {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Found::Not(why)),
    };
    match Meaning::of(&target.media_type) {
        Meaning::Manifest => manifest(store, target, bytes),
        Meaning::Index if depth < MAX_NESTING => {
            let entries = match index(&bytes) {
                Ok(entries) => entries,
                Err(e) => return Ok(Found::Not(e.to_string())),
            };
            for entry in entries {
                if entry.platform.is_none_or(|platform_of| platform_of.runs_on(platform))
                    && let Found::Image(image) = find(store, &entry.blob, platform, depth + 1)?
                {
                    return Ok(Found::Image(image));
                }
            }
            Ok(Found::Not(format!("no image for {platform}")))
        }
        _ => Ok(Found::Not(format!("'{}' is no image", target.media_type))),
    }
}

fn manifest(store: &mut Store<'_>, target: &Descriptor, manifest_bytes: Vec<u8>) -> Result<Found> {
    let manifest = match Manifest::parse(&manifest_bytes) {
        Ok(manifest) => manifest,
        Err(e) => return Ok(Found::Not(e.to_string())),
    };
    let config_bytes = match document(store, &manifest.config)? {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Found::Not(why)),
    };
    let config = match Config::parse(&config_bytes) {
        Ok(config) => config,
        Err(e) => return Ok(Found::Not(e.to_string())),
    };
    if manifest.layers.len() != config.diff_ids.len() {
        let (layers, ids) = (manifest.layers.len(), config.diff_ids.len());
        return Ok(Found::Not(format!("manifest has {layers} layers, its config {ids}")));
    }
    let layers = manifest.layers.into_iter().zip(config.diff_ids);
    Ok(Found::Image(Box::new(Image {
        names: Vec::new(),
        manifest: target.clone(),
        manifest_bytes,
        config: manifest.config,
        config_bytes,
        layers: layers.map(|(blob, diff_id)| Layer { blob, diff_id }).gather(),
        platform: config.platform,
    })))
}

/// The bytes of a small blob; the inner error says why there are none to use.
fn document(store: &mut Store<'_>, blob: &Descriptor) -> Result<std::result::Result<Vec<u8>, String>> {
    let Descriptor { digest, size, .. } = blob;
    if *size > MAX_DOCUMENT as u64 {
        return Ok(Err(format!("blob {digest} has {size} bytes, the limit is {MAX_DOCUMENT}")));
    }
    let Some(reader) = store.read_blob(digest)? else {
        return Ok(Err(format!("blob {digest} is missing")));
    };
    let bytes = feed::first(&mut Verified::new(reader, *digest, *size), MAX_DOCUMENT + 1);
    match bytes.lift(Kind::Runtime, || format!("read blob {digest}")) {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(e) if e.kind() == Kind::Bundle => Ok(Err(e.to_string())),
        Err(e) => Err(e),
    }
}
