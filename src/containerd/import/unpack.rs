//! Layers become snapshots, base first, each checked against the uncompressed digest that the image config promises.

use crate::digest::Digest;
use crate::error::{Error, Kind, Result, Trail};
use crate::oci::{Image, Layer};
use crate::sys::signal;

use super::plan;
use super::store::{Prepared, Store};

/// Unpacks every layer of `image` that is not there yet; gives the indices of those that were.
pub(super) fn unpack(store: &mut Store<'_>, image: &Image) -> Result<Vec<usize>> {
    let mut parent: Option<Digest> = None;
    let mut unpacked = Vec::new();
    for (n, (layer, chain_id)) in image.layers.iter().zip(image.chain_ids()).enumerate() {
        let fresh = unpack_layer(store, layer, &chain_id, parent.as_ref())
            .doing(|| format!("unpack layer {} of '{}'", n + 1, image.label()))?;
        unpacked.extend(fresh.then_some(n));
        parent = Some(chain_id);
        signal::check()?;
    }
    Ok(unpacked)
}

/// False if the snapshot was there already.
fn unpack_layer(store: &mut Store<'_>, layer: &Layer, chain_id: &Digest, parent: Option<&Digest>) -> Result<bool> {
    let name = chain_id.to_string();
    if store.has_snapshot(&name)? {
        return Ok(false);
    }
    let key = plan::unpack_key(chain_id);
    let parent = parent.map(ToString::to_string).unwrap_or_default();
    let mounts = match store.prepare(&key, &parent)? {
        Prepared::Mounts(mounts) => mounts,
        Prepared::Exists => {
            // Either the snapshot was made meanwhile, or an interrupted run of ours left the key.
            if store.has_snapshot(&name)? {
                return Ok(false);
            }
            store.remove_snapshot(&key)?;
            match store.prepare(&key, &parent)? {
                Prepared::Mounts(mounts) => mounts,
                Prepared::Exists => return Err(Error::new(Kind::Runtime, format!("snapshot '{key}' is in use"))),
            }
        }
    };
    let applied = store.apply(&layer.blob, mounts).and_then(|found| match found == layer.diff_id {
        true => store.commit(&name, &key),
        false => {
            Err(Error::new(Kind::Bundle, format!("it unpacks to {found}, but the image config says {}", layer.diff_id))
                .hint("save the image again; the archive is damaged or was put together wrongly"))
        }
    });
    if applied.is_err()
        && let Err(e) = store.remove_snapshot(&key)
    {
        log::debug!("remove snapshot '{key}': {e}; ignoring: the first error counts");
    }
    applied.map(|()| true)
}
