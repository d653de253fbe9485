//! Imports images into containerd: content, snapshots, and the image record last.
//!
//! One lease holds everything while it is incomplete, so a failed import is taken back by dropping it, and a killed one
//! by the next run. Nothing of a layer's size is ever held: layers pass from [`Blobs`] to their files, or to the daemon,
//! in one buffer.
//! Success is reported only after CRI shows the images and the daemon's file system was synced.

use std::path::Path;

use crate::clock::Clock;
use crate::digest::Digest;
use crate::error::{Kind, Result, Trail};
use crate::gather::Gather;
use crate::ids::ImageRef;
use crate::note;
use crate::oci::{Blobs, Image};
use crate::sorted::Map;

use super::Client;

mod again;
mod blobs;
mod check;
mod clean;
mod direct;
mod file;
mod intake;
mod list;
mod orphan;
mod plan;
mod record;
mod store;
mod stream;
mod unpack;

pub use check::{Presence, check};
pub use clean::unpin;
pub use file::open_file;
pub use list::{Listed, State, list};

use blobs::Uploaded;
use clean::Made;
use store::Store;

/// The namespace in which CRI keeps its images. In any other, nothing is confirmed by CRI.
pub const CRI_NAMESPACE: &str = "k8s.io";

/// How to import.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// For the lease's end and for waiting.
    pub clock: &'a dyn Clock,
    /// Who unpacks.
    pub unpack: Unpack,
    /// What becomes of the layers' blobs.
    pub layers: Layers,
    /// Who tells where images lie, and shows them at the end.
    pub view: View<'a>,
}

impl<'a> Options<'a> {
    /// The usual way.
    pub fn new(clock: &'a dyn Clock) -> Self {
        Options { clock, unpack: Unpack::default(), layers: Layers::default(), view: View::Cri }
    }
}

/// Who turns layers into snapshots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unpack {
    /// We do, from the file straight into the snapshots' directories; where that is impossible, the daemon does.
    #[default]
    Direct,
    /// The daemon, from blobs in the content store.
    Daemon,
    /// Nobody: CRI does at the first container. The layers' blobs must be kept for it.
    None,
}

impl Unpack {
    /// Every value, with the word for it.
    pub const WORDS: [(&'static str, Unpack); 3] =
        [("direct", Unpack::Direct), ("daemon", Unpack::Daemon), ("none", Unpack::None)];
}

/// What becomes of the blobs of layers that were unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layers {
    /// They are not in the content store afterwards; the image runs, but cannot be exported or pushed. containerd's own
    /// `discard_unpacked_layers` leaves the same.
    #[default]
    Dropped,
    /// They are.
    Kept,
}

/// Who tells where images lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View<'a> {
    /// CRI; what was imported counts only when CRI shows it.
    Cri,
    /// Nobody: a containerd without CRI that has this root directory, and the overlay snapshotter of every node of ours.
    Files(&'a Path),
}

/// Hears how an import goes on.
pub trait Progress {
    /// `bytes` more of `what` were sent; `what` reads like `layer 2 of 'docker.io/kubeedge/pause:3.6'`.
    fn sent(&mut self, what: &str, bytes: u64);
    /// `what`, of so many bytes, was there already.
    fn present(&mut self, what: &str, bytes: u64);
    /// Something without a size is being done: `unpack 'docker.io/kubeedge/pause:3.6'`.
    fn doing(&mut self, what: &str);
    /// Something that the user should know, but that does not stop the import.
    fn warn(&mut self, what: &str) {
        note::debug(format_args!("{what}"));
    }
}

/// Hears nothing.
impl Progress for () {
    fn sent(&mut self, _: &str, _: u64) {}
    fn present(&mut self, _: &str, _: u64) {}
    fn doing(&mut self, _: &str) {}
}

/// What was done for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The image's names.
    pub names: Vec<ImageRef>,
    /// Digest of its manifest, the record's target.
    pub manifest: Digest,
    /// What was done.
    pub action: Action,
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was there, whole, from an earlier import of ours; nothing was touched.
    Kept,
    /// Imported; so many bytes of blobs were taken in. A blob that several images share counts for the first.
    Imported {
        /// Bytes of blobs that became files or went to the daemon.
        sent: u64,
    },
}

/// Imports `images` into the client's namespace, all or none, taking layers from `blobs` in the order in which they lie there.
///
/// Images that [`check`] finds complete are skipped without reading a blob of theirs; what was imported counts when it
/// finds that complete, too. Whatever a restart of the daemon or somebody's hand took away meanwhile is made again.
/// One import at a time: a second one takes the first for a leftover and stops it.
///
/// # Errors
/// [`crate::error::Kind::Bundle`] for a damaged or impossible image, [`crate::error::Kind::Runtime`] for what the
/// daemon refuses. After an error nothing of the images is left behind.
pub fn import(
    client: &mut Client,
    images: &[Image],
    blobs: &mut dyn Blobs,
    options: &Options<'_>,
    progress: &mut dyn Progress,
) -> Result<Vec<Outcome>> {
    plan::check(images)?;
    let kept =
        |image: &Image| Outcome { names: image.names.clone(), manifest: image.manifest.digest, action: Action::Kept };
    let mut outcomes: Vec<_> = images.iter().map(kept).gather();
    let mut first = None;
    for _ in 1..again::GOES {
        let daemon = client.process();
        let done = attempt(client, images, blobs, options, progress, &mut outcomes);
        let Err(e) = done else { return Ok(outcomes) };
        // What came through a pipe has gone by: the error before is the one that says why.
        if e.kind() == Kind::Bundle {
            return Err(first.unwrap_or(e));
        }
        first = Some(again::worth_it(e, daemon, client, options, progress)?);
    }
    attempt(client, images, blobs, options, progress, &mut outcomes).map(|()| outcomes)
}

/// Imports what is lacking, and looks whether it stayed.
fn attempt(
    client: &mut Client,
    images: &[Image],
    blobs: &mut dyn Blobs,
    options: &Options<'_>,
    progress: &mut dyn Progress,
    outcomes: &mut [Outcome],
) -> Result<()> {
    let mut store = Store::open(client, options)?;
    clean::leftovers(&mut store)
        .doing(|| "clear what an interrupted import left".into())
        .map_err(|e| store.explain(e, false))?;
    let mut todo = Vec::new();
    for (image, outcome) in images.iter().zip(&mut *outcomes) {
        if check::look(&mut store, image, options)? != Presence::Complete {
            todo.push(image);
            if outcome.action == Action::Kept {
                outcome.action = Action::Imported { sent: 0 };
            }
        }
    }
    if todo.is_empty() {
        return Ok(());
    }
    let uploaded = run(&mut store, &todo, blobs, options, progress)?;
    account(outcomes, &todo, uploaded);
    todo.into_iter().try_for_each(|image| match check::look(&mut store, image, options)? {
        Presence::Complete => Ok(()),
        Presence::Lacking(why) => Err(again::gone(image, why)),
    })
}

/// One go; nothing is left of one that failed.
fn run(
    store: &mut Store<'_>,
    images: &[&Image],
    blobs: &mut dyn Blobs,
    options: &Options<'_>,
    progress: &mut dyn Progress,
) -> Result<Uploaded> {
    store.take_lease(plan::lease_end(options.clock.unix())).map_err(|e| store.explain(e, true))?;
    let (uploaded, made) = (Uploaded::default(), Made::default());
    let layers = if options.unpack == Unpack::None { Layers::Kept } else { options.layers };
    let mut run = Run { store, progress, unpack: options.unpack, layers, uploaded, made };
    let done = run.all(images, blobs);
    let Run { store, uploaded, made, .. } = run;
    if let Err(e) = done {
        let held = e.kind() == Kind::Interrupted || store.is_leased().unwrap_or(true);
        let e = if held { e } else { again::lost(&e) };
        let back = clean::roll_back(store, &made);
        return Err(store.explain(e, back));
    }
    store.drop_lease()?;
    Ok(uploaded)
}

/// Bytes that [`import`] would send if the daemon had nothing yet: every layer once. For progress bars.
pub fn total(images: &[Image]) -> u64 {
    let layers = images.iter().flat_map(|image| &image.layers);
    let sizes: Map<Digest, u64> = layers.map(|layer| (layer.blob.digest, layer.blob.size)).gather();
    // Sizes that a bundle out of a pipe claims may be any.
    sizes.values().fold(0, |sum, size| sum.saturating_add(*size))
}

/// Writes the bytes sent into the outcomes, each blob at the first image that has it.
fn account(outcomes: &mut [Outcome], images: &[&Image], mut uploaded: Uploaded) {
    let mut taken = |digest| {
        let unpacked = uploaded.unpacked.remove(digest);
        uploaded.sent.remove(digest).or(unpacked)
    };
    for image in images {
        let layers = image.layers.iter().map(|layer| &layer.blob.digest);
        let blobs = [&image.manifest.digest, &image.config.digest].into_iter().chain(layers);
        let bytes: u64 = blobs.filter_map(&mut taken).sum();
        let outcome = outcomes.iter_mut().find(|o| o.manifest == image.manifest.digest && o.names == image.names);
        if let Some(Outcome { action: Action::Imported { sent }, .. }) = outcome {
            *sent += bytes;
        }
    }
}

/// One import under way.
struct Run<'a, 's> {
    store: &'a mut Store<'s>,
    progress: &'a mut dyn Progress,
    unpack: Unpack,
    layers: Layers,
    uploaded: Uploaded,
    made: Made,
}

impl Run<'_, '_> {
    fn all(&mut self, images: &[&Image], blobs: &mut dyn Blobs) -> Result<()> {
        let direct = self.unpack == Unpack::Direct;
        let disks = self.store.disks();
        if direct {
            self.distrust(images)?;
            self.unpack_directly(images, blobs)?;
        } else {
            self.upload_layers(images, blobs)?;
        }
        self.upload_documents(images)?;
        if !direct {
            self.distrust(images)?;
        }
        images.iter().try_for_each(|image| self.settle_content(image))?;
        images.iter().try_for_each(|image| self.record(image))?;
        if self.store.is_cri() {
            images.iter().try_for_each(|image| record::confirm(self.store, image))?;
        }
        self.progress.doing("sync the image store");
        disks.sync()?;
        images.iter().try_for_each(|image| record::seal(self.store, image))
    }

    fn distrust(&mut self, images: &[&Image]) -> Result<()> {
        images
            .iter()
            .try_for_each(|image| clean::distrust(self.store, image).doing(|| format!("replace '{}'", image.label())))
    }

    /// Lets the daemon unpack what nobody else has unpacked, and gives blobs their labels.
    fn settle_content(&mut self, image: &Image) -> Result<()> {
        let mut unpacked = Vec::new();
        if self.unpack == Unpack::Daemon {
            self.progress.doing(&format!("unpack '{}'", image.label()));
            unpacked = unpack::unpack(self.store, image)?;
        }
        self.label_present(image, &unpacked)
    }

    /// An image that is not unpacked has no snapshot to name.
    fn config_labels(&self, image: &Image) -> plan::Labels {
        match self.unpack {
            Unpack::None => plan::Labels::new(),
            Unpack::Direct | Unpack::Daemon => plan::config_labels(image, self.store.snapshotter()),
        }
    }
}
