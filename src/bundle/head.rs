//! The head of a bundle: its metadata, everything before the first component.

use std::io::Cursor;

use crate::sorted::Set;

use super::load::load;
use super::tape::Tape;
use super::tar::{Header, Name, padding};
use super::{Bundle, MEDIA_TYPE, Manifest, index};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::oci::{Descriptor, Image};

impl Bundle {
    /// The bytes of this bundle up to the first component, for a node to remember what was installed.
    /// [`Bundle::from_pipe`] reads them as it reads the whole.
    pub fn head(&self) -> Result<Vec<u8>> {
        render(&self.manifest, &self.manifest_bytes, &self.images).map(|(_, head)| head)
    }
}

/// The bundle's identity and its head; `manifest_bytes` are those of `manifest`.
pub(super) fn render(manifest: &Manifest, manifest_bytes: &[u8], images: &[Image]) -> Result<(Digest, Vec<u8>)> {
    let identity = Digest::of(manifest_bytes);
    let blob = Descriptor { media_type: MEDIA_TYPE.into(), digest: identity, size: manifest_bytes.len() as u64 };
    let index = index::render(manifest, &blob);
    let mut out = Vec::new();
    add(&mut out, Name::Layout, index::LAYOUT)?;
    add(&mut out, Name::Index, &index)?;
    add(&mut out, Name::Blob(identity), manifest_bytes)?;
    let mut configs = Set::new();
    for image in images {
        add(&mut out, Name::Blob(image.manifest.digest), &image.manifest_bytes)?;
        // Two images may share one config, which is stored once.
        if configs.insert(image.config.digest) {
            add(&mut out, Name::Blob(image.config.digest), &image.config_bytes)?;
        }
    }
    Ok((identity, out))
}

/// Refuses what a reader would refuse, for one of its limits.
pub(super) fn check(manifest: &Manifest, images: &[Image]) -> Result<()> {
    let (_, head) = render(manifest, &manifest.render()?, images)?;
    load(Tape::pipe(Box::new(Cursor::new(head))), String::new()).map(drop).map_err(|flaw| {
        Error::new(Kind::Bundle, format_args!("cannot make the bundle: {flaw}"))
            .hint("leave out images that the role does not need; import them with 'edgelay image import'")
    })
}

fn add(out: &mut Vec<u8>, name: Name, bytes: &[u8]) -> Result<()> {
    let size = bytes.len() as u64;
    out.extend_from_slice(&Header { name, size }.encode());
    out.extend_from_slice(bytes);
    let padding = usize::try_from(padding(size)).map_err(|e| Error::new(Kind::Bug, "tar padding").because(e))?;
    out.resize(out.len() + padding, 0);
    Ok(())
}
