//! Layers become snapshots, base first, each checked against the uncompressed digest that the image config promises.

use crate::containerd::mounts;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result, Trail};
use crate::gather::Grow;
use crate::note;
use crate::oci::{Image, Layer};
use crate::sys::signal;

use super::direct::wrong_layer;
use super::plan;
use super::store::{Prepared, Store};

/// Unpacks every layer of `image` that is not there yet; gives the indices of those that were.
pub(super) fn unpack(store: &mut Store<'_>, image: &Image) -> Result<Vec<usize>> {
    let mut parent: Option<Digest> = None;
    let mut unpacked = Vec::new();
    for (n, (layer, chain_id)) in image.layers.iter().zip(image.chain_ids()).enumerate() {
        let fresh = unpack_layer(store, layer, &chain_id, parent.as_ref())
            .doing(|| format!("unpack layer {} of '{}'", n + 1, image.label()))?;
        unpacked.add_all(fresh.then_some(n));
        parent = Some(chain_id);
        signal::check()?;
    }
    Ok(unpacked)
}

/// False if the snapshot was there already.
pub(super) fn unpack_layer(
    store: &mut Store<'_>,
    layer: &Layer,
    chain_id: &Digest,
    parent: Option<&Digest>,
) -> Result<bool> {
    let Prepared::Mounts(mounts) = prepare(store, chain_id, parent)? else { return Ok(false) };
    let (name, key) = (chain_id.to_string(), plan::unpack_key(chain_id));
    let applied = store.apply(&layer.blob, mounts.clone()).and_then(|found| match found == layer.diff_id {
        true => store.commit(&name, &key),
        false => Err(wrong_layer(found, layer.diff_id)),
    });
    if applied.is_err() {
        if let Ok(target) = mounts::target(&mounts, store.client.process()) {
            super::direct::give_back(&target);
        }
        take_back(store, &key);
    }
    applied.map(|()| true)
}

/// A new snapshot for `chain_id`, unless it is there; then it belongs to our lease from now on.
pub(super) fn prepare(store: &mut Store<'_>, chain_id: &Digest, parent: Option<&Digest>) -> Result<Prepared> {
    let (name, key) = (chain_id.to_string(), plan::unpack_key(chain_id));
    let parent = parent.map(ToString::to_string).unwrap_or_default();
    for _ in 0..2 {
        if let Prepared::Mounts(mounts) = store.prepare(&key, &parent, &name)? {
            return Ok(Prepared::Mounts(mounts));
        }
        // containerd before 1.7 does not add it to the lease by itself.
        if store.hold_snapshot(&name)? {
            return Ok(Prepared::Exists);
        }
        // An interrupted run of ours left the key, or the snapshot went just now.
        store.remove_snapshot(&key)?;
    }
    Err(Error::new(Kind::Runtime, format_args!("snapshot '{key}' is in use")))
}

/// Removes the snapshot of a layer that could not be unpacked.
pub(super) fn take_back(store: &mut Store<'_>, key: &str) {
    if let Err(e) = store.remove_snapshot(key) {
        note::debug(format_args!("remove snapshot '{key}': {e}; ignoring: the first error counts"));
    }
}
