//! Snapshots and Diff services: unpacking layers.

use super::api::diff::{ApplyRequest, ApplyResponse};
use super::api::snapshots::{
    CommitSnapshotRequest, Info, ListSnapshotsRequest, ListSnapshotsResponse, MountsResponse, PrepareSnapshotRequest,
    SnapshotRequest, StatSnapshotResponse, UsageResponse,
};
use super::api::{Descriptor, Empty, Map, Mount};
use super::client::SLOW;
use super::{CallResult, Client};
use crate::gather::Grow;
use crate::rpc::grpc::Method;

macro_rules! method {
    ($name:literal) => {
        Method::unary(concat!("/containerd.services.snapshots.v1.Snapshots/", $name))
    };
}

/// See [`Client::snapshots`].
#[derive(Debug)]
pub struct Snapshots<'c> {
    client: &'c mut Client,
    snapshotter: &'c str,
}

impl<'c> Snapshots<'c> {
    pub(super) fn new(client: &'c mut Client, snapshotter: &'c str) -> Self {
        Snapshots { client, snapshotter }
    }

    fn named(&self, key: &str) -> SnapshotRequest {
        SnapshotRequest { snapshotter: self.snapshotter.to_owned(), key: key.to_owned() }
    }

    /// A snapshot; [`super::Code::NotFound`] if there is none of that name.
    pub fn stat(&mut self, key: &str) -> CallResult<Info> {
        let request = self.named(key);
        let answer: StatSnapshotResponse = self.client.unary(method!("Stat"), &request)?;
        Ok(answer.info.unwrap_or_default())
    }

    /// A new active snapshot on top of `parent` (empty: of nothing), and how to mount it.
    pub fn prepare(&mut self, key: &str, parent: &str, labels: Map) -> CallResult<Vec<Mount>> {
        let (snapshotter, key, parent) = (self.snapshotter.to_owned(), key.to_owned(), parent.to_owned());
        let request = PrepareSnapshotRequest { snapshotter, key, parent, labels };
        let answer: MountsResponse = self.client.unary(method!("Prepare"), &request)?;
        Ok(answer.mounts)
    }

    /// Ends the writing to `key`, which is called `name` from then on.
    pub fn commit(&mut self, name: &str, key: &str, labels: Map) -> CallResult<()> {
        let (snapshotter, name, key) = (self.snapshotter.to_owned(), name.to_owned(), key.to_owned());
        let request = CommitSnapshotRequest { snapshotter, name, key, labels };
        self.client.unary(method!("Commit").within(SLOW), &request).map(|Empty {}| ())
    }

    /// Removes a snapshot that has no children.
    pub fn remove(&mut self, key: &str) -> CallResult<()> {
        let request = self.named(key);
        self.client.unary(method!("Remove").within(SLOW), &request).map(|Empty {}| ())
    }

    /// How to mount a snapshot.
    pub fn mounts(&mut self, key: &str) -> CallResult<Vec<Mount>> {
        let request = self.named(key);
        let answer: MountsResponse = self.client.unary(method!("Mounts"), &request)?;
        Ok(answer.mounts)
    }

    /// What a snapshot takes on the disk.
    pub fn usage(&mut self, key: &str) -> CallResult<UsageResponse> {
        let request = self.named(key);
        self.client.unary(method!("Usage").within(SLOW), &request)
    }

    /// Snapshots that match a filter such as `parent==x`, or all.
    pub fn list(&mut self, filters: &[String]) -> CallResult<Vec<Info>> {
        let request = ListSnapshotsRequest { snapshotter: self.snapshotter.to_owned(), filters: filters.to_vec() };
        let mut all = Vec::new();
        self.client.stream(method!("List"), &request, |some: ListSnapshotsResponse| all.add_all(some.info))?;
        Ok(all)
    }

    /// Unpacks the layer `diff`, which is in the content store, into mounted snapshots. The answer's digest is that of
    /// the uncompressed layer.
    pub fn apply(&mut self, diff: Descriptor, mounts: Vec<Mount>) -> CallResult<Descriptor> {
        let method = Method::unary("/containerd.services.diff.v1.Diff/Apply").within(SLOW);
        let answer: ApplyResponse = self.client.unary(method, &ApplyRequest { diff, mounts, sync_fs: true })?;
        Ok(answer.applied.unwrap_or_default())
    }
}
