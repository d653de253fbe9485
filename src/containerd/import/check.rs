//! Looks whether an image is there, whole; touches nothing.

use crate::digest::Digest;
use crate::error::Result;
use crate::gather::Next;
use crate::oci::{Descriptor, Image};

use super::plan::PINNED;
use super::store::Store;
use super::{Client, Layers, Options, Unpack, clean};

/// Whether an image is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Records, content, snapshots, pin and CRI's view are all as an import leaves them, and the store was synced after.
    Complete,
    /// The first thing that is not.
    Lacking(String),
}

/// Whether `image` is in containerd as [`super::import`] would leave it.
///
/// # Errors
/// Only if the daemon cannot be asked; an image that is not there is no error.
pub fn check(client: &mut Client, image: &Image, options: &Options<'_>) -> Result<Presence> {
    look(&mut Store::open(client, options)?, image, options)
}

pub(super) fn look(store: &mut Store<'_>, image: &Image, options: &Options<'_>) -> Result<Presence> {
    let mut lacking = records(store, image)?;
    if lacking.is_none() {
        lacking = match options.unpack {
            Unpack::None => documents(store, image)?,
            Unpack::Direct | Unpack::Daemon => parts(store, image)?,
        };
    }
    if lacking.is_none() && (options.layers == Layers::Kept || options.unpack == Unpack::None) {
        lacking = layers(store, image)?;
    }
    Ok(lacking.map_or(Presence::Complete, Presence::Lacking))
}

/// What of content and snapshots is missing first. An image that is unpacked needs its layers' blobs no more.
pub(super) fn parts(store: &mut Store<'_>, image: &Image) -> Result<Option<String>> {
    match documents(store, image)? {
        None => snapshots(store, image),
        lacking => Ok(lacking),
    }
}

fn documents(store: &mut Store<'_>, image: &Image) -> Result<Option<String>> {
    blobs(store, image, &mut [&image.manifest, &image.config].into_iter())
}

fn layers(store: &mut Store<'_>, image: &Image) -> Result<Option<String>> {
    blobs(store, image, &mut image.layers.iter().map(|layer| &layer.blob))
}

fn records(store: &mut Store<'_>, image: &Image) -> Result<Option<String>> {
    for name in &image.names {
        let Some(record) = store.image(name.as_str())? else {
            return Ok(Some(format!("no image '{name}'")));
        };
        if record.target.digest != image.manifest.digest {
            let (found, want) = (record.target.digest, image.manifest.digest);
            return Ok(Some(format!("image '{name}' is {found}, expected {want}")));
        }
        if !clean::is_trusted(&record) {
            return Ok(Some(format!("image '{name}' was not imported to the end by edgelay")));
        }
        if record.labels.get(PINNED).is_none_or(|value| value != "pinned") {
            return Ok(Some(format!("image '{name}' is not pinned")));
        }
        if store.is_cri() && store.cri_id(name.as_str())? != Some(image.config.digest.to_string()) {
            return Ok(Some(format!("CRI does not show image '{name}'")));
        }
    }
    Ok(None)
}

fn blobs(store: &mut Store<'_>, image: &Image, blobs: &mut dyn Next<&Descriptor>) -> Result<Option<String>> {
    while let Some(blob) = blobs.step() {
        let Descriptor { digest, size, .. } = blob;
        match store.blob_size(digest)? {
            Some(found) if found == *size => {}
            Some(found) => return Ok(Some(format!("blob {digest} has {found} bytes, expected {size}"))),
            None => return Ok(Some(format!("blob {digest} of '{}' is missing", image.label()))),
        }
    }
    Ok(None)
}

fn snapshots(store: &mut Store<'_>, image: &Image) -> Result<Option<String>> {
    let missing = |chain_id: &Digest| format!("snapshot {chain_id} of '{}' is missing", image.label());
    for chain_id in image.chain_ids() {
        if !store.has_snapshot(&chain_id.to_string())? {
            return Ok(Some(missing(&chain_id)));
        }
    }
    Ok(None)
}
