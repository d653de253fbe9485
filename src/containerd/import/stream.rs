//! A layer's way from its blob to its files, in two threads where there are two processors.
//!
//! This thread reads the blob, hashes it and decompresses; the other one hashes the tar and writes the files. Between
//! them is a bounded ring. Neither side commits anything: the caller does, after both digests.

use crate::archive::{Compression, Window, layer_stream, unreadable};
use crate::digest::{Digest, Hashing};
use crate::error::Result;
use crate::feed::Feed;
use crate::oci::Layer;
use crate::sys::{cores, thread};
use crate::unpack::{self, Target, ring};

/// Blobs smaller than this are done before a thread would have begun.
const WORTH_A_THREAD: u64 = 256 << 10;

/// Stack of the thread. What is deepest in it is the kernel's list of attributes: 64 KiB, and on the heap.
const STACK: usize = 256 << 10;

/// Applies the layer whose blob `blob` gives to `target`; the digest of its tar.
///
/// `blob` may not be read to its end, where its own digest is checked: that is left to the caller.
pub(super) fn apply(blob: &mut (dyn Feed + '_), window: Window, layer: &Layer, target: &Target) -> Result<Digest> {
    let (how, mut tar) = layer_stream(Box::new(blob), window)?;
    // A tar that is its own blob is hashed there already.
    let known = (how == Compression::Plain && layer.blob.digest == layer.diff_id).then_some(layer.diff_id);
    if layer.blob.size < WORTH_A_THREAD || cores::count() < 2 {
        return write(target, &mut *tar, known);
    }
    let (filler, mut drawer) = ring::ring();
    let both = thread::beside(STACK, move || write(target, &mut drawer, known), || filler.pass(&mut *tar));
    match both {
        // What is wrong with the source says more than that it ended too early for the other side.
        Ok((written, passed)) => passed.map_err(|e| unreadable(e, "the layer")).and(written),
        Err(_) => write(target, &mut *tar, known),
    }
}

fn write(target: &Target, tar: &mut dyn Feed, known: Option<Digest>) -> Result<Digest> {
    if let Some(digest) = known {
        return unpack::apply(target, tar).map(|()| digest);
    }
    let mut tar = Hashing::new(tar);
    unpack::apply(target, &mut tar)?;
    Ok(tar.finish().0)
}
