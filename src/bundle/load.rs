//! Reads and checks the metadata of a bundle: everything before the first component.

use crate::gather::Grow;
use crate::sorted::Map;

use super::Bundle;
use super::cursor::Cursor;
use super::fault::{Fault, Flaw, Sound};
use super::image::{assemble, parse_manifest};
use super::index;
use super::manifest::{ImageEntry, Manifest};
use super::tape::Tape;
use super::tar::{Found, Name};
use crate::digest::Digest;
use crate::oci::Image;

/// All image manifests and configs together, since they are kept in memory; those of twenty images have 200 KiB.
const MAX_ALL_METADATA: u64 = 4 << 20;
/// Components and layers together.
const MAX_PARTS: usize = 8192;

pub(super) fn load(mut tape: Tape, name: String) -> Sound<Bundle> {
    layout(&mut tape)?;
    let index_header = match tape.header()? {
        Found::Entry(header) if header.name == Name::Index => header,
        _ => return Err(Flaw::damaged("'index.json' is not where it belongs")),
    };
    let index_bytes = tape.body(&index_header)?;
    let blob = index::find_manifest(&index_bytes)?;
    let manifest_bytes = tape.small(blob.digest, blob.size)?;
    let manifest = Manifest::parse(&manifest_bytes)?;
    if index::render(&manifest, &blob) != index_bytes {
        return Err(Flaw::damaged("index.json does not say what the edgelay manifest says"));
    }
    let mut budget = MAX_ALL_METADATA;
    let mut images: Vec<Image> = Vec::with_capacity(manifest.images.len());
    for entry in &manifest.images {
        let label = entry.names.first().map_or_else(|| entry.digest.to_string(), ToString::to_string);
        let image = image(&mut tape, &manifest, entry, &images, &mut budget);
        images.push(image.map_err(|flaw| flaw.on(&format_args!("image '{label}'")))?);
    }
    let parts = sequence(&manifest, &images)?;
    let cursor = Cursor::new(tape, parts)?;
    Ok(Bundle { name, identity: blob.digest, manifest, manifest_bytes, images, cursor })
}

/// The first entry, by which a bundle is told from anything else.
fn layout(tape: &mut Tape) -> Sound<()> {
    let not = |what: String| Flaw::new(Fault::NotABundle, format_args!("not a bundle: {what}"));
    let header = match tape.first_header()? {
        Ok(Found::Entry(header)) if header.name == Name::Layout => header,
        Ok(Found::Entry(header)) => return Err(not(format!("its first entry is '{}'", header.name))),
        Ok(Found::End) => return Err(not("it begins with zeros".into())),
        Err(Some(name)) => return Err(not(format!("its first entry is '{name}', in another form than a bundle's"))),
        Err(None) => return Err(not("it does not begin with a tar header".into())),
    };
    match tape.body(&header)? {
        bytes if bytes == index::LAYOUT => Ok(()),
        _ => Err(Flaw::damaged("'oci-layout' does not have the content that it has in a bundle")),
    }
}

fn image(tape: &mut Tape, bundle: &Manifest, entry: &ImageEntry, before: &[Image], budget: &mut u64) -> Sound<Image> {
    let mut spend = |size: u64| -> Sound<()> {
        *budget = budget.checked_sub(size).ok_or_else(|| {
            Flaw::damaged(format_args!("manifests and configs of all images together exceed {MAX_ALL_METADATA} bytes"))
        })?;
        Ok(())
    };
    spend(entry.size)?;
    let manifest_bytes = tape.small(entry.digest, entry.size)?;
    let manifest = parse_manifest(&manifest_bytes)?;
    // A config that images share is stored once, but held in memory for each.
    spend(manifest.config.size)?;
    let known = before.iter().find(|image| image.config == manifest.config).map(|image| image.config_bytes.clone());
    let config_bytes = match known {
        Some(bytes) => bytes,
        None => tape.small(manifest.config.digest, manifest.config.size)?,
    };
    assemble(entry, manifest, [manifest_bytes, config_bytes], bundle.architecture)
}

/// The blobs that follow the metadata, in order: components, then layers at their first use.
pub(super) fn sequence(manifest: &Manifest, images: &[Image]) -> Sound<Vec<(Digest, u64, String)>> {
    let mut parts = Vec::new();
    let mut seen: Map<Digest, Option<u64>> = Map::new();
    for image in images {
        seen.add_all([(image.manifest.digest, None), (image.config.digest, None)]);
    }
    for component in &manifest.components {
        let label = format!("component '{}'", component.name);
        if seen.insert(component.digest, None).is_some() {
            return Err(Flaw::damaged(format_args!("{label} is the same as another blob")));
        }
        parts.push((component.digest, component.size, label));
    }
    for image in images {
        if parts.len() > MAX_PARTS {
            return Err(Flaw::damaged(format_args!("has more components and layers than the limit of {MAX_PARTS}")));
        }
        for (number, layer) in image.layers.iter().enumerate() {
            let label = || format!("layer {} of '{}'", number + 1, image.label());
            match seen.insert(layer.blob.digest, Some(layer.blob.size)) {
                None => parts.push((layer.blob.digest, layer.blob.size, label())),
                Some(Some(size)) if size == layer.blob.size => {}
                Some(Some(size)) => {
                    let what = format!("{} has {} bytes in one image and {size} in another", label(), layer.blob.size);
                    return Err(Flaw::damaged(what));
                }
                Some(None) => return Err(Flaw::damaged(format_args!("{} is the same as another blob", label()))),
            }
        }
    }
    Ok(parts)
}
