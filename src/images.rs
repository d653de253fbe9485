//! Image files on disk → images as data, and a place that hands out their blobs.
//!
//! Read-only. Taken are `docker save` archives, old and new, and OCI layouts as tar or directory; a tar may be gzip or
//! zstd as a whole. Documents of at most 512 KiB, 640 KiB altogether, are held in memory, layers never are.

mod directory;
mod docker;
mod held;
mod layout;
mod packed;
mod shelf;
mod tarball;

use std::path::Path;

use crate::archive::{MAKE_AGAIN, bad};
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::gather::Gather;
use crate::oci::{Blobs, Image, Platform};

use held::Held;
use shelf::Shelf;

/// What an image file holds for one platform.
pub struct Loaded {
    /// Images with at least one name, in the order of the file. An image without a name cannot be asked for.
    pub images: Vec<Image>,
    /// What else lies there and is not taken, each in words that say why: images for other platforms or without a name,
    /// named things that are no images (signatures, charts).
    pub others: Vec<String>,
    /// Where their blobs come from: manifests, configs and layers of `images`.
    pub blobs: Box<dyn Blobs>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("images", &self.images).finish_non_exhaustive()
    }
}

/// Loads the images for `platform` from the archive or layout directory `path`.
///
/// Everything that can be told without reading whole layers is checked here: documents against their digests, presence
/// and size of every layer, platform, names. The layers themselves are checked while they are read.
///
/// Fails with [`Kind::Bundle`], naming file and entry, if anything of that is not as it should be, or if there is no
/// image to take.
pub fn load(path: &Path, platform: &Platform) -> Result<Loaded> {
    let file = path.display().to_string();
    let load = || {
        let meta = std::fs::metadata(path).lift(Kind::Host, || "look at it".to_owned())?;
        let shelf: Box<dyn Shelf> = if meta.is_dir() {
            Box::new(directory::Directory::open(path)?)
        } else {
            Box::new(tarball::Tarball::open(path)?)
        };
        from_shelf(Held::new(shelf, file.clone()), platform)
    };
    load().doing(|| format!("image file '{file}'"))
}

fn from_shelf(mut held: Held, platform: &Platform) -> Result<Loaded> {
    let mut others = Vec::new();
    let list = held.named_document("manifest.json")?;
    let images = match held.named_document("oci-layout")? {
        Some(version) => layout::images(&version, list.as_deref(), platform, &mut held, &mut others)?,
        None => match list {
            Some(list) => docker::images(&list, platform, &mut held, &mut others)?,
            None => {
                let what = "is no image archive: it has neither an entry 'manifest.json' nor 'oci-layout'";
                return Err(bad(what).hint(MAKE_AGAIN));
            }
        },
    };
    let told: Vec<String> = others.iter().map(ToString::to_string).gather();
    if images.is_empty() {
        return Err(match others.first().and_then(Error::hint_text) {
            Some(hint) => bad(told.join(", ")).hint(hint.to_owned()),
            None => bad("holds no tagged image").hint(docker::SAVE_BY_NAME),
        });
    }
    held.settle();
    Ok(Loaded { images, others: told, blobs: Box::new(held) })
}
