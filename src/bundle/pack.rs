//! Writes a bundle front to back, in its one form (docs/bundle-format.md).

use std::io::{Read, Write};

use super::head;
use super::load::sequence;
use super::manifest::Manifest;
use super::tar::{END, Header, Name, padding};
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result};
use crate::feed::Feed;
use crate::oci::{Blobs, Descriptor, Image};

/// One buffer of this size is all that a blob of any length takes in memory.
const BUFFER: usize = 64 << 10;

/// Writes the bundle that `manifest` describes: `images` are those of `manifest.images`, in the same order, and
/// `blobs` has every component and layer. Returns the bundle's identity.
///
/// The same input gives the same bytes.
pub fn write(manifest: &Manifest, images: &[Image], blobs: &mut dyn Blobs, out: &mut dyn Write) -> Result<Digest> {
    let ours = |what: String| Error::new(Kind::Bug, format_args!("bundle to be written: {what}"));
    manifest.check().map_err(ours)?;
    if !manifest.images.iter().map(|i| i.digest).eq(images.iter().map(|i| i.manifest.digest)) {
        return Err(ours("the images are not those of the manifest".into()));
    }
    let parts = sequence(manifest, images).map_err(|flaw| ours(flaw.what().to_owned()))?;
    let (identity, head) = head::render(manifest, &manifest.render()?, images)?;
    put(out, &head)?;
    for (digest, size, label) in parts {
        // The media type does not matter for finding a blob.
        let blob = Descriptor { media_type: String::new(), digest, size };
        put(out, &Header { name: Name::Blob(digest), size }.encode())?;
        copy(out, &mut *blobs.open(&blob)?, &label, size)?;
        put(out, &zeros(padding(size)))?;
    }
    put(out, &zeros(END))?;
    Ok(identity)
}

fn zeros(n: u64) -> Vec<u8> {
    vec![0; usize::try_from(n).unwrap_or_default()]
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<()> {
    out.write_all(bytes).lift(Kind::Host, || "write the bundle".into())
}

fn copy(out: &mut dyn Write, from: &mut dyn Feed, label: &str, size: u64) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    let mut done = 0u64;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) if done == size => return Ok(()),
            // The reader's contract is to fail when bytes are missing.
            Ok(0) => return Err(Error::new(Kind::Bug, format_args!("{label}: {done} bytes came, expected {size}"))),
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e).lift(Kind::Bundle, || format!("read {label}")),
        };
        put(out, buffer.get(..n).unwrap_or_default())?;
        done += n as u64;
    }
}
