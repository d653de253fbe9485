//! The daemon's image store as an import needs it: "not there" is an answer here, and no error.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use nix::unistd::{sync, syncfs};

use super::plan::{self, EXPIRE, LEASE, Labels, MARK, PINNED};
use super::{CRI_NAMESPACE, Options, View, orphan};
use crate::clock::{Clock, rfc3339};
use crate::containerd::api::images::{Image as ApiImage, ImageRecord};
use crate::containerd::api::leases::Resource;
use crate::containerd::api::{Descriptor as ApiDescriptor, Mount};
use crate::containerd::health::without_cri;
use crate::containerd::{CallError, CallResult, Client, Code, ContentReader, LeaseId};
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::note;
use crate::oci::Descriptor;
use crate::report;
use crate::root::Root;

/// containerd keeps each snapshotter in a directory of this name below its root.
const SNAPSHOTTER_DIR: &str = "io.containerd.snapshotter.v1.";
/// The snapshotter that our configuration of containerd names.
const OVERLAY: &str = "overlayfs";

/// In the snapshotter's directory.
const SNAPSHOTS: RelPath<'static> = RelPath::literal("snapshots");

/// The store of one namespace.
#[derive(Debug)]
pub(super) struct Store<'a> {
    pub(super) client: &'a mut Client,
    pub(super) clock: &'a dyn Clock,
    /// The snapshotter that CRI uses, and containerd's directories.
    snapshotter: String,
    snapshot_dir: PathBuf,
    has_cri: bool,
}

/// What `Snapshots.Prepare` answered.
#[derive(Debug)]
pub(super) enum Prepared {
    /// How to mount the new snapshot.
    Mounts(Vec<Mount>),
    /// The key is taken.
    Exists,
}

/// An image record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) labels: Labels,
    pub(super) target: Descriptor,
}

impl<'a> Store<'a> {
    /// Asks CRI which snapshotter it uses, where there is CRI.
    pub(super) fn open(client: &'a mut Client, options: &Options<'a>) -> Result<Self> {
        if let View::Files(root) = options.view {
            let snapshotter = OVERLAY.to_owned();
            let snapshot_dir = root.join(format!("{SNAPSHOTTER_DIR}{snapshotter}"));
            return Ok(Store { clock: options.clock, snapshotter, snapshot_dir, has_cri: false, client });
        }
        let places = match client.cri_images().fs_info() {
            Err(e) if e.is(Code::Unimplemented) => {
                let hint = "start containerd with its cri plugin enabled, and see what its log says of it";
                return Err(Error::new(Kind::Runtime, without_cri(client)).hint(hint));
            }
            places => places.doing(|| "ask CRI where its images are".into())?,
        };
        let snapshot_dir = places.into_iter().next().map(|place| place.fs_id.mountpoint).unwrap_or_default();
        let snapshot_dir = PathBuf::from(snapshot_dir);
        let name = snapshot_dir.file_name().and_then(|name| name.to_str());
        let Some(snapshotter) = name.and_then(|name| name.strip_prefix(SNAPSHOTTER_DIR)) else {
            let text = format!("CRI keeps its images in '{}', which names no snapshotter", snapshot_dir.display());
            return Err(Error::new(Kind::Runtime, text));
        };
        Ok(Store { clock: options.clock, snapshotter: snapshotter.to_owned(), snapshot_dir, has_cri: true, client })
    }

    pub(super) fn snapshotter(&self) -> &str {
        &self.snapshotter
    }

    pub(super) fn clock(&self) -> &'a dyn Clock {
        self.clock
    }

    /// Whether CRI looks at this namespace.
    pub(super) fn is_cri(&self) -> bool {
        self.has_cri && self.client.namespace().as_str() == CRI_NAMESPACE
    }

    /// Ids of leases that imports of ours hold or have left.
    pub(super) fn our_leases(&mut self) -> Result<Vec<LeaseId>> {
        let filter = format!("labels.\"{MARK}\"");
        let leases = self.client.leases().list(&[filter])?;
        Ok(leases.into_iter().filter_map(|lease| lease.id.parse().ok()).gather())
    }

    /// Takes our lease; everything written from now on belongs to it.
    pub(super) fn take_lease(&mut self, end: u64) -> Result<()> {
        let id: LeaseId = LEASE.parse().lift(Kind::Bug, || format!("lease '{LEASE}'"))?;
        let labels = [(EXPIRE, rfc3339(end).as_str()), (MARK, "lease")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        self.client.leases().create(&id, labels.into()).doing(|| format!("take lease '{LEASE}'"))?;
        self.client.set_lease(Some(id));
        Ok(())
    }

    /// Whether the daemon still knows our lease.
    pub(super) fn is_leased(&mut self) -> Result<bool> {
        let leases = self.our_leases()?;
        Ok(self.client.lease().is_none_or(|ours| leases.contains(ours)))
    }

    /// Drops our lease and waits until what only it held is gone.
    pub(super) fn drop_lease(&mut self) -> Result<()> {
        let lease = self.client.lease().cloned();
        self.client.set_lease(None);
        lease.map_or(Ok(()), |id| self.delete_lease(&id))
    }

    pub(super) fn delete_lease(&mut self, id: &LeaseId) -> Result<()> {
        gone(self.client.leases().delete_sync(id)).doing(|| format!("drop lease '{id}'"))
    }

    pub(super) fn blob_size(&mut self, digest: &Digest) -> Result<Option<u64>> {
        let info = found(self.client.content().info(digest))?;
        Ok(info.map(|info| info.size.unsigned_abs()))
    }

    pub(super) fn read_blob(&mut self, digest: &Digest) -> Result<Option<ContentReader<'_>>> {
        found(self.client.content().read(digest, 0))
    }

    pub(super) fn label_blob(&mut self, digest: &Digest, labels: &Labels) -> Result<()> {
        self.client.content().set_labels(digest, labels)?;
        Ok(())
    }

    pub(super) fn unlabel_blob(&mut self, digest: &Digest, key: String) -> Result<()> {
        let none = Labels::from([(key, String::new())]);
        Ok(gone(self.client.content().set_labels(digest, &none).map(drop))?)
    }

    pub(super) fn abort(&mut self, ingest: &str) -> Result<()> {
        Ok(gone(self.client.content().abort(ingest))?)
    }

    pub(super) fn images(&mut self) -> Result<Vec<Record>> {
        self.client.images().list(&[]).doing(|| "list the images".into())?.into_iter().map(record).gather()
    }

    pub(super) fn image(&mut self, name: &str) -> Result<Option<Record>> {
        found(self.client.images().get(name))?.map(record).transpose()
    }

    /// Creates the record or changes its target and those of its labels that are ours.
    pub(super) fn put_image(&mut self, record: &Record) -> Result<()> {
        let target = describe(&record.target);
        let image = ImageRecord { name: record.name.clone(), labels: record.labels.clone(), target };
        match self.client.images().create(image.clone()) {
            Err(e) if e.is(Code::AlreadyExists) => {
                let paths = std::iter::once("target".to_owned());
                let paths = paths.chain([PINNED, MARK].map(|key| format!("labels.{key}"))).gather();
                self.client.images().update(image, paths)?;
            }
            created => drop(created?),
        }
        Ok(())
    }

    /// Removes the record and waits until what only it held is gone.
    pub(super) fn delete_image(&mut self, name: &str) -> Result<()> {
        gone(self.client.images().delete_sync(name)).doing(|| format!("remove image '{name}'"))
    }

    pub(super) fn has_snapshot(&mut self, name: &str) -> Result<bool> {
        Ok(found(self.client.snapshots(&self.snapshotter).stat(name))?.is_some())
    }

    /// Whether the snapshot `name` is there; if so, it belongs to our lease from now on. Whatever is built on a snapshot
    /// asks here first: what nothing refers to goes with the daemon's next collection.
    pub(super) fn hold_snapshot(&mut self, name: &str) -> Result<bool> {
        if let Some(lease) = self.client.lease().cloned()
            && self.has_snapshot(name)?
        {
            let resource = Resource { id: name.to_owned(), kind: format!("snapshots/{}", self.snapshotter) };
            self.client.leases().add_resource(&lease, resource)?;
        }
        // A lease takes any name. What was collected before it had this one is gone, nothing can take the rest.
        self.has_snapshot(name)
    }

    /// A new snapshot that is to become `name`.
    pub(super) fn prepare(&mut self, key: &str, parent: &str, name: &str) -> Result<Prepared> {
        let mut orphans = 0;
        loop {
            match self.client.snapshots(&self.snapshotter).prepare(key, parent, plan::snapshot_labels(name)) {
                Err(e) if e.is(Code::AlreadyExists) => return Ok(Prepared::Exists),
                Err(e) if orphans < orphan::MAX && orphan::remove(&e, &self.snapshot_dir)? => orphans += 1,
                mounts => return Ok(Prepared::Mounts(mounts?)),
            }
        }
    }

    /// Unpacks the layer; gives the digest of its uncompressed form.
    pub(super) fn apply(&mut self, layer: &Descriptor, mounts: Vec<Mount>) -> Result<Digest> {
        let applied = self.client.snapshots(&self.snapshotter).apply(describe(layer), mounts)?;
        applied.digest.parse().lift(Kind::Runtime, || format!("read the digest '{}' of the layer", applied.digest))
    }

    /// Gives the unpacked `key` its final name; that somebody else was faster is as good.
    pub(super) fn commit(&mut self, name: &str, key: &str) -> Result<()> {
        match self.client.snapshots(&self.snapshotter).commit(name, key, plan::snapshot_labels(name)) {
            Err(e) if e.is(Code::AlreadyExists) && self.hold_snapshot(name)? => self.remove_snapshot(key),
            committed => Ok(committed?),
        }
    }

    pub(super) fn remove_snapshot(&mut self, key: &str) -> Result<()> {
        Ok(gone(self.client.snapshots(&self.snapshotter).remove(key))?)
    }

    /// The image ID under which CRI shows `name`; it shows nothing of other namespaces than its own.
    pub(super) fn cri_id(&mut self, name: &str) -> Result<Option<String>> {
        if !self.is_cri() {
            return Ok(None);
        }
        let seen = self.client.cri_images().status(name).doing(|| format!("ask CRI for image '{name}'"))?;
        Ok(seen.map(|image| image.id))
    }

    /// Says of a full disk which one it is and what it lacks, and of a failing one where to look; `back`: whether
    /// everything was taken back.
    pub(super) fn explain(&self, e: Error, back: bool) -> Error {
        if !e.is_full() {
            return e.explain_disk();
        }
        let dir = self.snapshot_dir.display();
        let space = Root::open(&self.snapshot_dir).and_then(|root| root.space(SNAPSHOTS));
        let has = match space {
            Ok(space) => {
                let inodes = match space.inodes {
                    u64::MAX => String::new(),
                    inodes => format!(" and {inodes} inodes"),
                };
                let free = report::bytes(space.free);
                let with = if back { "with this import taken back it" } else { "it" };
                format!("{with} has {free}{inodes} free, and the import needs more")
            }
            Err(_) => "it needs more".to_owned(),
        };
        e.hint(format_args!("free space on the file system of '{dir}': {has}; then run the same command again"))
    }

    /// The file systems that hold containerd's directories.
    pub(super) fn disks(&self) -> Disks {
        let root = self.snapshot_dir.parent().unwrap_or(&self.snapshot_dir);
        Disks([root, &self.snapshot_dir].map(|dir| (dir.to_owned(), File::open(dir))))
    }
}

/// File systems that are written to. Held from before the first write: that something could not be written back is told
/// once to each handle that was open by then, and to none that is opened after somebody else has heard of it (syncfs(2)).
#[derive(Debug)]
pub(super) struct Disks([(PathBuf, io::Result<File>); 2]);

impl Disks {
    /// Brings everything to the disk. containerd itself does not sync unpacked files.
    pub(super) fn sync(&self) -> Result<()> {
        self.0.iter().try_for_each(|(dir, held)| match held {
            Ok(held) => syncfs(held).lift(Kind::Host, || format!("sync the file system of '{}'", dir.display())),
            // The daemon sees another tree than we do (a container, say): sync all there is.
            Err(e) => {
                note::debug(format_args!("open '{}': {e}; syncing every file system instead", dir.display()));
                sync();
                Ok(())
            }
        })
    }
}

fn record(image: ApiImage) -> Result<Record> {
    let ApiImage { name, labels, target, .. } = image;
    let digest = target.digest.parse().lift(Kind::Runtime, || format!("read the target of image '{name}'"))?;
    let target = Descriptor { media_type: target.media_type, digest, size: target.size.unsigned_abs() };
    Ok(Record { name, labels, target })
}

fn describe(blob: &Descriptor) -> ApiDescriptor {
    ApiDescriptor {
        media_type: blob.media_type.clone(),
        digest: blob.digest.to_string(),
        // The API counts in signed numbers; no blob is that large.
        size: i64::try_from(blob.size).unwrap_or(i64::MAX),
        ..Default::default()
    }
}

fn found<T>(answer: CallResult<T>) -> Result<Option<T>> {
    match answer {
        Err(e) if e.is(Code::NotFound) => Ok(None),
        answer => Ok(Some(answer?)),
    }
}

/// What is to be removed may be gone already.
fn gone(answer: CallResult<()>) -> std::result::Result<(), CallError> {
    match answer {
        Err(e) if e.is(Code::NotFound) => Ok(()),
        answer => answer,
    }
}
