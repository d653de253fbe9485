//! Layers go from the file straight into the snapshots' directories: every unpacked byte is written once, by us.
//!
//! The daemon is asked for a snapshot (`Prepare`), the layer is applied to its directory by [`crate::unpack`] while
//! the blob and the tar in it are hashed, and only if both digests are right it becomes the layer's chain ID
//! (`Commit`). A chain that is there already is not read at all.
//!
//! A layer can only be applied on top of its parents. Where blobs lie in another order in a place that is read
//! forward, the one that comes too early is put into the content store, and the daemon unpacks it as soon as its
//! parent is there. So it does with all of them where the directories cannot be written by us (see
//! [`crate::containerd::mounts`]). Such blobs go with the lease, unless layers are kept.

use crate::sorted::Set;

use crate::containerd::api::Mount;
use crate::containerd::{Client, Ingest, MAX_WRITE, Opened, Upload, mounts};
use crate::digest::Digest;
use crate::error::{Error, Kind, Result, Trail};
use crate::note;
use crate::oci::{Blobs, Descriptor, Image, Layer};
use crate::unpack::Target;

use super::blobs::Blob;
use super::intake::Intake;
use super::plan::{self, Job, Labels};
use super::store::Prepared;
use super::{Layers, Run, stream};

/// The snapshotter whose directories we know how to write.
const OVERLAYFS: &str = "overlayfs";

/// What came of a job.
enum Done {
    /// Its snapshot is there.
    Ready,
    /// It must wait for its parent, or for the daemon.
    Later,
}

/// How to go on with a snapshot.
enum Way {
    There,
    Apply(Target),
    /// By the daemon, because of this.
    Daemon(String),
}

impl Run<'_, '_> {
    /// Makes the snapshots of all `images`, taking layers in the order in which they come cheapest.
    pub(super) fn unpack_directly(&mut self, images: &[&Image], blobs: &mut dyn Blobs) -> Result<()> {
        let mut jobs = plan::jobs(images);
        let rewinds = blobs.rewinds();
        if !rewinds {
            plan::sort(&mut jobs, blobs);
        }
        let mut direct = Direct { ready: Set::new(), by_daemon: self.store.snapshotter() != OVERLAYFS };
        let mut later: Vec<&Job<'_>> = Vec::new();
        for job in &jobs {
            self.progress.doing(&format!("unpack {}", job.what));
            // What passes by once cannot be applied twice.
            let once =
                rewinds || jobs.iter().filter(|other| other.layer.blob.digest == job.layer.blob.digest).count() == 1;
            match self.take(job, once, &mut direct, blobs)? {
                Done::Ready => {}
                Done::Later => later.push(job),
            }
            self.settle(&mut later, &mut direct)?;
        }
        match later.first() {
            None => Ok(()),
            Some(job) => Err(Error::new(Kind::Bug, format_args!("{} has no parent", job.what))),
        }
    }

    fn take(&mut self, job: &Job<'_>, once: bool, direct: &mut Direct, blobs: &mut dyn Blobs) -> Result<Done> {
        let keep = self.layers == Layers::Kept;
        let doing = || format!("unpack {}", job.what);
        match self.way(job, once, direct).doing(doing)? {
            Way::There => {
                self.progress.present(&job.what, job.layer.blob.size);
                if keep {
                    self.store_layer(job, blobs)?;
                }
                Ok(Done::Ready)
            }
            Way::Apply(target) => {
                let applied = self.apply(job, &target, blobs);
                if applied.is_err() {
                    give_back(&target);
                }
                self.finish(job, applied).doing(doing)?;
                direct.ready.insert(job.chain);
                Ok(Done::Ready)
            }
            Way::Daemon(why) => {
                note::debug(format_args!("{}: {why}; the daemon unpacks it", job.what));
                self.store_layer(job, blobs)?;
                Ok(Done::Later)
            }
        }
    }

    /// Prepares the snapshot of `job` if it can be written now.
    fn way(&mut self, job: &Job<'_>, once: bool, direct: &mut Direct) -> Result<Way> {
        if direct.ready.contains(&job.chain) {
            return Ok(Way::There);
        }
        if !once || direct.by_daemon || !self.is_ready(job.parent, direct)? {
            let there = self.store.hold_snapshot(&job.chain.to_string())?;
            return Ok(if there { Way::There } else { Way::Daemon("it comes before its parent, or only once".into()) });
        }
        let mounts = match super::unpack::prepare(self.store, &job.chain, job.parent.as_ref())? {
            Prepared::Mounts(mounts) => mounts,
            Prepared::Exists => {
                direct.ready.insert(job.chain);
                return Ok(Way::There);
            }
        };
        match self.target(&mounts) {
            Ok(target) => Ok(Way::Apply(target)),
            Err(why) => {
                direct.by_daemon = true;
                self.store.remove_snapshot(&plan::unpack_key(&job.chain))?;
                Ok(Way::Daemon(format!("its snapshot cannot be written directly: {why}")))
            }
        }
    }

    fn target(&self, mounts: &[Mount]) -> std::result::Result<Target, String> {
        mounts::target(mounts, self.store.client.process())
    }

    fn is_ready(&mut self, chain: Option<Digest>, direct: &mut Direct) -> Result<bool> {
        let Some(chain) = chain.filter(|chain| !direct.ready.contains(chain)) else { return Ok(true) };
        let there = self.store.hold_snapshot(&chain.to_string())?;
        if there {
            direct.ready.insert(chain);
        }
        Ok(there)
    }

    /// Reads the blob once: into the snapshot and, if layers are kept, into the content store.
    fn apply(&mut self, job: &Job<'_>, target: &Target, blobs: &mut dyn Blobs) -> Result<()> {
        let Layer { blob, diff_id } = job.layer;
        let wanted = self.layers == Layers::Kept && !self.uploaded.has(&blob.digest);
        let upload = match wanted {
            true => {
                self.made.ingest = Some(blob.digest);
                open_upload(self.store.client, blob)?
            }
            false => None,
        };
        if wanted && upload.is_none() {
            self.uploaded.present.insert(blob.digest);
        }
        let window = blobs.window();
        let mut intake = Intake::new(blobs.open(blob)?, &job.what, self.progress, upload);
        let applied = stream::apply(&mut intake, window, job.layer, target);
        // What is wrong with the blob says more than what is wrong with the tar in it.
        let found = match applied {
            Err(e) if e.kind() == Kind::Bundle => return Err(intake.drain().err().unwrap_or(e)),
            applied => applied?,
        };
        intake.drain()?;
        let upload = intake.into_upload()?;
        if found != *diff_id {
            return Err(wrong_layer(found, *diff_id));
        }
        if let Some(upload) = upload {
            upload.commit(plan::layer_labels(diff_id))?;
            self.uploaded.sent.insert(blob.digest, blob.size);
        }
        Ok(())
    }

    /// Gives the snapshot its name, or takes it back.
    fn finish(&mut self, job: &Job<'_>, applied: Result<()>) -> Result<()> {
        let (name, key) = (job.chain.to_string(), plan::unpack_key(&job.chain));
        let done = applied.and_then(|()| self.store.commit(&name, &key));
        if done.is_err() {
            super::unpack::take_back(self.store, &key);
        }
        done?;
        self.made.ingest = None;
        self.uploaded.unpacked.insert(job.layer.blob.digest, job.layer.blob.size);
        Ok(())
    }

    /// Puts the blob into the content store.
    fn store_layer(&mut self, job: &Job<'_>, blobs: &mut dyn Blobs) -> Result<()> {
        let labels = Labels::new();
        let blob = Blob { descriptor: &job.layer.blob, labels, what: job.what.clone() };
        self.put(&blob, blobs, &mut vec![0; MAX_WRITE])
    }

    /// Lets the daemon unpack what has waited for its parent.
    fn settle(&mut self, later: &mut Vec<&Job<'_>>, direct: &mut Direct) -> Result<()> {
        let mut at = 0;
        while let Some(job) = later.get(at).copied() {
            if !self.is_ready(job.parent, direct)? {
                at += 1;
                continue;
            }
            super::unpack::unpack_layer(self.store, job.layer, &job.chain, job.parent.as_ref())
                .doing(|| format!("unpack {}", job.what))?;
            direct.ready.insert(job.chain);
            later.remove(at);
            // It may be what one before it has waited for.
            at = 0;
        }
        Ok(())
    }
}

/// What is known on the way.
struct Direct {
    /// Chains that are there, and belong to our lease.
    ready: Set<Digest>,
    /// Whether the daemon has to do it all.
    by_daemon: bool,
}

/// Frees the space of a layer that failed. On a full disk the daemon could not even note that its snapshot is to go.
pub(super) fn give_back(target: &Target) {
    if let Err(e) = target.clear() {
        note::debug(format_args!("{e}; ignoring: the first error counts"));
    }
}

/// `None`: the blob is there.
fn open_upload<'c>(client: &'c mut Client, blob: &Descriptor) -> Result<Option<Box<Upload<'c>>>> {
    let ingest = Ingest { reference: plan::ingest(&blob.digest), digest: blob.digest, size: blob.size };
    match client.content().write(ingest)? {
        Opened::Exists => Ok(None),
        Opened::Ready(mut upload) => {
            upload.rewind();
            Ok(Some(upload))
        }
    }
}

pub(super) fn wrong_layer(found: Digest, want: Digest) -> Error {
    Error::new(Kind::Bundle, format_args!("it unpacks to {found}, but the image config says {want}"))
        .hint("save the image again; the archive is damaged or was put together wrongly")
}
