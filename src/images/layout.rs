//! Images of an OCI layout, and of `docker save` from version 25 on, which writes one.

use crate::gather::{Gather, Grow};
use crate::sorted::Map;

use super::docker::{keep_promises, unnamed};
use super::held::Held;
use crate::archive::{COPY_AGAIN, MAKE_AGAIN, bad};
use crate::digest::Digest;
use crate::error::{Error, Result, Trail};
use crate::ids::ImageRef;
use crate::oci::{self, Choice, Image, IndexEntry, Meaning, Platform};

/// Full name, as containerd, Docker and buildx write it.
const FULL_NAME: &str = "io.containerd.image.name";

/// The specification's own: a tag, or a full name as skopeo writes it (OCI image-spec annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Images by the layout's `index.json`; `docker_list` is the content of `manifest.json`, if there is one. Into `others`
/// goes what cannot be taken: what has a name but is no image, images for other platforms, those without a name.
pub(super) fn images(
    version: &[u8],
    docker_list: Option<&[u8]>,
    platform: &Platform,
    held: &mut Held,
    others: &mut Vec<Error>,
) -> Result<Vec<Image>> {
    oci::layout_version(version).doing(|| "entry 'oci-layout'".to_owned())?;
    let index = held.named_document("index.json")?;
    let index = index.ok_or_else(|| bad("entry 'index.json' is missing").hint(COPY_AGAIN))?;
    let tops = oci::index(&index).doing(|| "entry 'index.json'".to_owned())?;
    let tags = docker_names(docker_list)?;
    let mut out: Vec<Image> = Vec::new();
    let mut unreadable = None;
    let tops = grouped(tops)?;
    for (top, names) in &tops {
        // Without a name here, only Docker's own list can still give one.
        if (names.is_empty() && tags.is_empty()) || has_twin(top, names, &tops, platform) {
            continue;
        }
        let label = names.first().map_or_else(|| top.blob.digest.to_string(), ToString::to_string);
        let mut image = match oci::choose(top, &label, platform, held) {
            Ok(Choice::Ours(image)) => image,
            Ok(Choice::Foreign(e)) => {
                others.push(e);
                continue;
            }
            Ok(Choice::NoImage) => {
                others.add_all(if names.is_empty() { None } else { Some(no_image(top, &label)?) });
                continue;
            }
            // Nobody may have asked for it.
            Err(e) if names.is_empty() => {
                unreadable.get_or_insert(e);
                continue;
            }
            Err(e) => return Err(e),
        };
        image.names.clone_from(if names.is_empty() { tags.get(&image.config.digest).unwrap_or(names) } else { names });
        keep_promises(&image.names, &[top.blob.digest, image.manifest.digest])?;
        match image.names.is_empty() {
            true => others.push(unnamed(&label)),
            false => super::docker::add(&mut out, image)?,
        }
    }
    let found =
        |name| out.iter().any(|image| image.names.contains(name)) || tops.iter().any(|(_, names)| names.contains(name));
    match unreadable {
        Some(e) if !tags.values().flatten().all(found) => Err(e),
        unreadable => {
            others.add_all(unreadable);
            Ok(out)
        }
    }
}

/// Says what `top` is instead of an image.
fn no_image(top: &IndexEntry, label: &str) -> Result<Error> {
    let what = match Meaning::of(&top.blob.media_type) {
        Meaning::Index | Meaning::Manifest => format!("'{label}' is an artifact, expected an image"),
        _ => format!("'{label}' is a '{}', expected an image", top.blob.media_type.escape_debug()),
    };
    let e = bad(what).hint(MAKE_AGAIN);
    // Docker's old manifests are images, in a form that nothing reads any more.
    if top.blob.media_type.starts_with("application/vnd.docker.") { Err(e) } else { Ok(e) }
}

/// Whether `top` is for another processor and each of its names is also that of one for ours: the images of several
/// processors may stand side by side, without an index of their own (OCI image-spec image-layout.md has an example).
fn has_twin(top: &IndexEntry, names: &[ImageRef], tops: &[(IndexEntry, Vec<ImageRef>)], ours: &Platform) -> bool {
    let fits = |top: &IndexEntry| top.platform.as_ref().is_none_or(|platform| platform.runs_on(ours));
    let twin = |name| tops.iter().any(|(other, names)| fits(other) && names.contains(name));
    !fits(top) && !names.is_empty() && names.iter().all(twin)
}

/// Top descriptors without repetition, each with all its names: an image with two tags has two descriptors.
fn grouped(tops: Vec<IndexEntry>) -> Result<Vec<(IndexEntry, Vec<ImageRef>)>> {
    let mut out: Vec<(IndexEntry, Vec<ImageRef>)> = Vec::new();
    let mut known: Map<Digest, usize> = Map::new();
    for top in tops {
        let name = name_of(&top)?;
        // Something else that lies in the same layout; with a name it was meant to be an image.
        if name.is_none() && !matches!(Meaning::of(&top.blob.media_type), Meaning::Index | Meaning::Manifest) {
            continue;
        }
        let at = *known.or_insert_with(top.blob.digest, || out.len());
        match out.get_mut(at) {
            Some((_, names)) => names.add_all(name.filter(|name| !names.contains(name))),
            None => out.push((top, name.into_iter().gather())),
        }
    }
    Ok(out)
}

/// The name that a descriptor's annotations give. `None`: none, a tag alone, or a digest.
fn name_of(top: &IndexEntry) -> Result<Option<ImageRef>> {
    let full = |text: &&String| text.contains(['/', ':', '@']);
    let name = top.annotations.get(FULL_NAME).or_else(|| top.annotations.get(REF_NAME).filter(full));
    // The alias that CRI gives to each of its images; 'ctr images export' writes it down as a name.
    let name = name.filter(|text| text.parse::<Digest>().is_err());
    name.map(|text| super::docker::normal(text, "index.json")).transpose()
}

/// Names by config digest from Docker's list.
fn docker_names(list: Option<&[u8]>) -> Result<Map<Digest, Vec<ImageRef>>> {
    let Some(list) = list else { return Ok(Map::new()) };
    let mut out = Map::new();
    for entry in oci::docker_list(list).doing(|| "entry 'manifest.json'".to_owned())? {
        let hex = entry.config.strip_prefix("blobs/sha256/").unwrap_or(&entry.config);
        // A config under another name is none of this layout's.
        let Ok(digest) = Digest::from_hex(hex) else { continue };
        let names = super::docker::names(&entry)?;
        out.or_insert_with(digest, Vec::new).add_all(names);
    }
    Ok(out)
}
