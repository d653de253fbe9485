//! Leaves nothing half-done behind: what a killed run of ours left, what a failed run made, and images that cannot be
//! trusted to be whole.
//!
//! containerd syncs its metadata and its blobs, but not the files of a snapshot. After a power cut an image may be
//! there by every answer of the daemon while its files are empty, and importing it again changes nothing, because the
//! snapshot exists. So a record counts only once its mark says that the store was synced after it; anything else is
//! removed down to its snapshots before it is imported.

use crate::digest::Digest;
use crate::error::Result;
use crate::note;
use crate::oci::Image;

use super::plan::{self, MARK, PENDING, PINNED};
use super::store::{Record, Store};
use super::{Client, Options};

/// Drops leases and images of our own runs that did not come to their end.
pub(super) fn leftovers(store: &mut Store<'_>) -> Result<()> {
    for record in store.images()? {
        if is_pending(&record) {
            note::debug(format_args!("image '{}' was left by an interrupted import; removing it", record.name));
            forget(store, &record.name)?;
        }
    }
    for lease in store.our_leases()? {
        note::debug(format_args!("lease '{lease}' was left by an interrupted import; removing it"));
        store.delete_lease(&lease)?;
    }
    Ok(())
}

fn is_pending(record: &Record) -> bool {
    record.labels.get(MARK).is_some_and(|mark| mark == PENDING)
}

/// Whether the record's own mark says that the store was synced after it was made.
pub(super) fn is_trusted(record: &Record) -> bool {
    record.labels.get(MARK).is_some_and(|mark| *mark == record.target.digest.to_string())
}

/// Removes what is there of `image` but was not (wholly) imported by us, so that its snapshots are made anew.
///
/// Called with our lease held, which keeps the blobs; the config's own reference to the snapshots must go, or the
/// lease would keep those too. Snapshots that containers or other images use stay.
pub(super) fn distrust(store: &mut Store<'_>, image: &Image) -> Result<()> {
    let alias = image.config.digest.to_string();
    let mut stale = Vec::new();
    for record in store.images()? {
        let same_target = record.target.digest == image.manifest.digest;
        if same_target && is_trusted(&record) {
            return Ok(());
        }
        // CRI's alias may have outlived the name that it was made for.
        let named = image.names.iter().any(|name| name.as_str() == record.name);
        let same = named && (same_target || store.cri_id(&record.name)?.as_ref() == Some(&alias));
        if same || (store.is_cri() && record.name == alias) {
            stale.push(record.name);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    store.unlabel_blob(&image.config.digest, plan::snapshot_label(store.snapshotter()))?;
    stale.iter().try_for_each(|name| forget(store, name))
}

/// Removes the record `name` and the alias `sha256:<config>` that CRI made of it; the unreferenced rest goes with them.
fn forget(store: &mut Store<'_>, name: &str) -> Result<()> {
    // The alias first: after a cut in between, the name still says what is to be removed.
    if let Some(id) = store.cri_id(name)?.filter(|id| id.parse::<Digest>().is_ok()) {
        store.delete_image(&id)?;
    }
    store.delete_image(name)
}

/// Leaves every image of ours to the kubelet's image collection, as images of others are.
pub fn unpin(client: &mut Client, options: &Options<'_>) -> Result<()> {
    let mut store = Store::open(client, options)?;
    for mut record in store.images()? {
        if record.labels.contains_key(MARK) && record.labels.remove(PINNED).is_some() {
            store.put_image(&record)?;
        }
    }
    Ok(())
}

/// What a run has made so far that its lease does not hold.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// Names of new records.
    pub(super) records: Vec<String>,
    /// Records as they were before they were changed.
    pub(super) changed: Vec<Record>,
    /// The ingest that was being written.
    pub(super) ingest: Option<Digest>,
}

/// Takes back a failed run; whether all of it could be. Goes through to its end; failures are logged, because the first
/// error is the one to report.
pub(super) fn roll_back(store: &mut Store<'_>, made: &Made) -> bool {
    let mut all = true;
    let mut note = |what: String, result: Result<()>| {
        if let Err(e) = result {
            note::debug(format_args!("{what}: {e}; ignoring: the first error counts"));
            all = false;
        }
    };
    if let Some(blob) = &made.ingest {
        note(format!("abort the upload of {blob}"), store.abort(&plan::ingest(blob)));
    }
    for record in &made.changed {
        note(format!("restore image '{}'", record.name), store.put_image(record));
    }
    for name in &made.records {
        note(format!("remove image '{name}'"), forget(store, name));
    }
    note("drop the lease".into(), store.drop_lease());
    all
}
