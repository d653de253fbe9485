//! Blobs into the content store, each under a reference with its digest, in messages from one buffer.

use std::io::Read;

use crate::containerd::{Client, Code, Committed, Ingest, MAX_WRITE, Opened, Upload};
use crate::digest::Digest;
use crate::error::{Kind, Lift, Result, Trail};
use crate::feed::Feed;
use crate::oci::{Blobs, Descriptor, Image};
use crate::sorted::{Map, Set};
use crate::sys::signal;

use super::plan::{self, Labels};
use super::{Progress, Run};

/// What the uploads came to.
#[derive(Debug, Default)]
pub(super) struct Uploaded {
    /// Blobs that were there before.
    pub(super) present: Set<Digest>,
    /// Bytes sent, by the digest of the blob.
    pub(super) sent: Map<Digest, u64>,
    /// Bytes that went past the content store into a snapshot, likewise.
    pub(super) unpacked: Map<Digest, u64>,
}

impl Uploaded {
    /// Whether the blob is known to be in the content store.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.present.contains(digest) || self.sent.contains_key(digest)
    }
}

/// A blob on its way, with what belongs to it.
pub(super) struct Blob<'a> {
    pub(super) descriptor: &'a Descriptor,
    pub(super) labels: Labels,
    /// `layer 2 of 'docker.io/kubeedge/pause:3.6'`.
    pub(super) what: String,
}

impl Run<'_, '_> {
    /// Puts every layer of `images` into the content store, as they come cheapest from `blobs`.
    pub(super) fn upload_layers(&mut self, images: &[&Image], blobs: &mut dyn Blobs) -> Result<()> {
        let mut buffer = vec![0; MAX_WRITE];
        let mut jobs = plan::jobs(images);
        plan::sort(&mut jobs, blobs);
        for job in jobs {
            let labels = plan::layer_labels(&job.layer.diff_id);
            let blob = Blob { descriptor: &job.layer.blob, labels, what: job.what };
            // Of several layers with one blob only the first is sent.
            self.put(&blob, blobs, &mut buffer)?;
        }
        Ok(())
    }

    /// Puts configs and manifests into it; last, so that whatever refers to something comes after it.
    pub(super) fn upload_documents(&mut self, images: &[&Image]) -> Result<()> {
        let mut buffer = vec![0; MAX_WRITE];
        for image in images {
            let labels = self.config_labels(image);
            let config = Blob { descriptor: &image.config, labels, what: format!("config of '{}'", image.label()) };
            self.put(&config, &mut InMemory(&image.config_bytes), &mut buffer)?;
            let (labels, what) =
                (plan::manifest_labels(image, self.layers), format!("manifest of '{}'", image.label()));
            let manifest = Blob { descriptor: &image.manifest, labels, what };
            self.put(&manifest, &mut InMemory(&image.manifest_bytes), &mut buffer)?;
        }
        Ok(())
    }

    pub(super) fn put(&mut self, blob: &Blob<'_>, blobs: &mut dyn Blobs, buffer: &mut [u8]) -> Result<()> {
        let Descriptor { digest, size, .. } = blob.descriptor;
        if self.uploaded.has(digest) {
            return Ok(());
        }
        self.made.ingest = Some(*digest);
        let sent = send(self.store.client, blob, blobs, buffer, self.progress);
        match sent.doing(|| format!("put {}", blob.what))? {
            Sent::Bytes(bytes) => drop(self.uploaded.sent.insert(*digest, bytes)),
            Sent::Present => {
                self.uploaded.present.insert(*digest);
                self.progress.present(&blob.what, *size);
            }
        }
        self.made.ingest = None;
        Ok(())
    }
}

enum Sent {
    /// So many bytes went over the wire, and the blob has our labels.
    Bytes(u64),
    /// It was there; its labels may not be ours.
    Present,
}

fn send(
    client: &mut Client,
    blob: &Blob<'_>,
    blobs: &mut dyn Blobs,
    buffer: &mut [u8],
    progress: &mut dyn Progress,
) -> Result<Sent> {
    let Descriptor { digest, size, .. } = blob.descriptor;
    let ingest = Ingest { reference: plan::ingest(digest), digest: *digest, size: *size };
    loop {
        match client.content().write(ingest.clone())? {
            Opened::Exists => return Ok(Sent::Present),
            // All of it lies there: in another namespace of the same daemon, or sent before but not committed.
            Opened::Ready(upload) if upload.offset() == *size && *size > 0 => {
                match upload.commit(blob.labels.clone()) {
                    Ok(Committed::Stored) => return Ok(Sent::Bytes(0)),
                    Ok(Committed::Exists) => return Ok(Sent::Present),
                    // What lies there is not the blob; without it, the next turn begins at 0.
                    Err(e) if e.is(Code::FailedPrecondition) => {}
                    Err(e) => return Err(e.into()),
                }
            }
            Opened::Ready(upload) => return stream(*upload, blob, blobs, buffer, progress),
        }
        client.content().abort(&ingest.reference)?;
    }
}

/// Sends the whole blob, also if the daemon has a part of it: only a whole blob is checked before it is sent.
fn stream(
    mut upload: Upload<'_>,
    blob: &Blob<'_>,
    blobs: &mut dyn Blobs,
    buffer: &mut [u8],
    progress: &mut dyn Progress,
) -> Result<Sent> {
    let mut source = blobs.open(blob.descriptor)?;
    upload.rewind();
    loop {
        let n = fill(&mut source, buffer)?;
        let Some(data) = buffer.get(..n).filter(|data| !data.is_empty()) else { break };
        upload.write(data)?;
        progress.sent(&blob.what, data.len() as u64);
        signal::check()?;
    }
    match upload.commit(blob.labels.clone())? {
        Committed::Stored => Ok(Sent::Bytes(blob.descriptor.size)),
        Committed::Exists => Ok(Sent::Present),
    }
}

/// Reads until the buffer is full or the source ends, so that messages are as large as they may be.
fn fill(source: &mut dyn Feed, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => signal::check()?,
            Err(e) => return Err(e).lift(Kind::Bundle, || "read it".into()),
        }
    }
    Ok(filled)
}

/// The small blobs, which the image has in memory.
struct InMemory<'a>(&'a [u8]);

impl Blobs for InMemory<'_> {
    fn open(&mut self, _: &Descriptor) -> Result<Box<dyn Feed + '_>> {
        Ok(Box::new(self.0))
    }

    fn position(&self, _: &Digest) -> Option<u64> {
        Some(0)
    }

    fn rewinds(&self) -> bool {
        true
    }
}
