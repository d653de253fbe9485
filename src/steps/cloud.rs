//! The steps of the cloud side.

mod addons;
mod api_ready;
mod carried;
mod cloudcore;
mod edgemesh;
mod join_file;
mod k3s_start;
mod localtime;
mod pods;
mod release;
mod worker;
mod worker_images;

pub use addons::Addons;
pub use api_ready::{ApiReady, Version};
pub use cloudcore::CloudCore;
pub use edgemesh::{CRDS, EdgeMesh};
pub use join_file::{JoinFileStep, PATH as JOIN_FILE};
pub use k3s_start::K3sStart;
pub use worker::{WorkerReady, WorkerToken};
pub use worker_images::WorkerImages;

/// What becomes of the data of a k3s that we laid down, when it is uninstalled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// It stays; another uninstall can remove it later.
    Keep,
    /// It goes, and the cluster with it.
    Purge,
}
