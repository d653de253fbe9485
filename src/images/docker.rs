//! Images of a `docker save` archive before version 25: `manifest.json`, configs and layers by entry name.

use super::held::Held;
use super::shelf::Item;
use crate::archive::{COPY_AGAIN, Compression, MAKE_AGAIN, bad, entry_name};
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result, Trail, excerpt};
use crate::gather::Gather;
use crate::ids::ImageRef;
use crate::oci::{self, Choice, Config, Descriptor, DockerEntry, Image, Platform};

/// Media types that containerd gives to layers of such an archive. The second makes it tell the compression by the
/// first bytes, so it serves zstd too, in every version since 1.6.
const PLAIN_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const PACKED_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// What to do about images without a name.
pub(super) const SAVE_BY_NAME: &str =
    "save the image by its whole name: 'docker save -o FILE NAME:TAG', 'skopeo copy ... oci-archive:FILE:NAME:TAG'";

/// Characters of a name from an archive that a message shows.
const MAX_TOLD: usize = 300;

/// Images by `list`, the content of `manifest.json`. Into `others` goes what cannot be taken: images for other platforms,
/// and those without a name.
pub(super) fn images(list: &[u8], platform: &Platform, held: &mut Held, others: &mut Vec<Error>) -> Result<Vec<Image>> {
    let mut out = Vec::new();
    for entry in oci::docker_list(list).doing(|| "entry 'manifest.json'".to_owned())? {
        let names = names(&entry)?;
        let Some(label) = names.first().map(ToString::to_string) else {
            others.push(unnamed(&excerpt(&entry.config, MAX_TOLD)));
            continue;
        };
        match image(&entry, &label, platform, held)? {
            Choice::Ours(mut image) => {
                keep_promises(&names, &[image.manifest.digest])?;
                image.names = names;
                add(&mut out, image)?;
            }
            Choice::Foreign(e) => others.push(e),
            Choice::NoImage => {}
        }
    }
    Ok(out)
}

/// The names that Docker's list gives an image.
pub(super) fn names(entry: &DockerEntry) -> Result<Vec<ImageRef>> {
    entry.tags.iter().map(|tag| normal(tag, "manifest.json")).gather()
}

/// Says that nobody can ask for an image.
pub(super) fn unnamed(label: &str) -> Error {
    bad(format_args!("image '{label}' has no name")).hint(SAVE_BY_NAME)
}

/// A name from the document `place` in its normal form.
pub(super) fn normal(text: &str, place: &str) -> Result<ImageRef> {
    text.parse::<ImageRef>()
        .lift(Kind::Bundle, || {
            let text = excerpt(text, MAX_TOLD);
            format!("entry '{place}': image name '{text}'")
        })
        .hint("give the image a name of the form REGISTRY/PATH:TAG and save it again")
}

/// Whoever asks for an image by its digest gets that one: each digest in `names` must be one of `of`.
pub(super) fn keep_promises(names: &[ImageRef], of: &[Digest]) -> Result<()> {
    let broken = |name: &&ImageRef| name.digest().is_some_and(|digest| !of.iter().any(|of| of.to_string() == digest));
    let (Some(name), Some(is)) = (names.iter().find(broken), of.first()) else { return Ok(()) };
    Err(bad(format_args!("image name '{name}' has another digest than its image, {is}")).hint(MAKE_AGAIN))
}

/// Adds an image to those found so far: one image has one entry with all its names, one name means one image.
pub(super) fn add(images: &mut Vec<Image>, mut image: Box<Image>) -> Result<()> {
    for other in images.iter() {
        if let Some(name) = other.names.iter().find(|name| image.names.contains(name))
            && other.manifest.digest != image.manifest.digest
        {
            let what = format!(
                "name '{name}' is given to two images, {} and {}",
                other.manifest.digest, image.manifest.digest
            );
            return Err(bad(what).hint(MAKE_AGAIN));
        }
    }
    match images.iter_mut().find(|other| other.manifest.digest == image.manifest.digest) {
        Some(other) => {
            image.names.retain(|name| !other.names.contains(name));
            other.names.append(&mut image.names);
        }
        None => images.push(*image),
    }
    Ok(())
}

fn image(entry: &DockerEntry, label: &str, platform: &Platform, held: &mut Held) -> Result<Choice> {
    let item = find(&entry.config, held)?;
    let config_bytes = held.small(&item)?;
    let digest = Digest::of(&config_bytes);
    check_claim(&item, digest)?;
    let parsed = Config::parse(&config_bytes).doing(|| format!("entry '{}'", item.name))?;
    if !parsed.platform.is_for(platform) {
        return Ok(Choice::Foreign(oci::foreign(label, &[parsed.platform], platform)));
    }
    if entry.layers.len() != parsed.diff_ids.len() || entry.layers.len() > oci::MAX_LAYERS {
        let what = format!(
            "image '{label}' has {} layers, its config {} (the limit is {})",
            entry.layers.len(),
            parsed.diff_ids.len(),
            oci::MAX_LAYERS
        );
        return Err(bad(what).hint(MAKE_AGAIN));
    }
    let config = Descriptor { media_type: oci::DOCKER_CONFIG.to_owned(), digest, size: item.size };
    held.is(digest, item);
    let layers = layers(entry, &parsed, held)?;
    let manifest_bytes = oci::docker_manifest(&config, &layers)?;
    let manifest = Descriptor {
        media_type: oci::DOCKER_MANIFEST.to_owned(),
        digest: Digest::of(&manifest_bytes),
        size: u64::try_from(manifest_bytes.len()).unwrap_or(u64::MAX),
    };
    held.make(manifest.digest, manifest_bytes.clone());
    let layers = oci::check_layers(layers, &parsed, held)?;
    let platform = parsed.platform;
    let names = Vec::new();
    Ok(Choice::Ours(Box::new(Image { names, manifest, manifest_bytes, config, config_bytes, layers, platform })))
}

fn find(name: &str, held: &Held) -> Result<Item> {
    let name = entry_name(name.as_bytes()).doing(|| "entry 'manifest.json'".to_owned())?;
    match held.find(&name)? {
        Some(item) => Ok(item),
        None => Err(bad(format_args!("entry '{name}' is missing, 'manifest.json' names it")).hint(COPY_AGAIN)),
    }
}

/// A config lies under its own digest: `<hex>.json`, or as a blob of a layout.
fn check_claim(item: &Item, found: Digest) -> Result<()> {
    let name = item.name.rsplit('/').next().unwrap_or(&item.name);
    match Digest::from_hex(name.strip_suffix(".json").unwrap_or(name)) {
        Ok(claimed) if claimed != found => {
            let what = format!("entry '{}' is damaged: expected {claimed}, found {found}", item.name);
            Err(bad(what).hint(COPY_AGAIN))
        }
        _ => Ok(()),
    }
}

/// The layers' descriptors. A plain layer's digest is the one in the config; it is checked when the layer is read. A
/// compressed one has to be hashed: all of them in the order of the file, so that a compressed archive is gone through
/// once.
fn layers(entry: &DockerEntry, config: &Config, held: &mut Held) -> Result<Vec<Descriptor>> {
    let mut layers = Vec::with_capacity(entry.layers.len());
    let mut found = Vec::with_capacity(entry.layers.len());
    for (name, diff_id) in entry.layers.iter().zip(&config.diff_ids) {
        let item = find(name, held)?;
        layers.push(Descriptor { media_type: PLAIN_LAYER.to_owned(), digest: *diff_id, size: item.size });
        found.push(item);
    }
    let mut order: Vec<_> = found.into_iter().zip(&mut layers).gather();
    order.sort_by_key(|(item, _)| item.position);
    let mut last: Option<(String, Digest)> = None;
    for (item, layer) in order {
        if Compression::sniff(&item.head).doing(|| format!("entry '{}'", item.name))? != Compression::Plain {
            PACKED_LAYER.clone_into(&mut layer.media_type);
            layer.digest = match &last {
                Some((name, digest)) if *name == item.name => *digest,
                _ => held.hash(&item)?,
            };
        }
        last = Some((item.name.clone(), layer.digest));
        held.is(layer.digest, item);
    }
    Ok(layers)
}
