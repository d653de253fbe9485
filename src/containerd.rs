//! containerd through its socket: the services that an import and a check need, on every version from 1.6 on.
//!
//! ```no_run
//! # fn main() -> edgelay::error::Result<()> {
//! use edgelay::containerd::{Client, SOCKET};
//! let mut client = Client::connect(std::path::Path::new(SOCKET))?;
//! let version = client.version()?;
//! for image in client.images().list(&[])? {
//!     log::info!("{} on containerd {}", image.name, version.version);
//! }
//! # Ok(())
//! # }
//! ```

pub mod api;
mod client;
pub mod config;
mod content;
mod cri;
pub mod health;
mod images;
pub mod import;
mod introspection;
mod leases;
pub mod mounts;
mod names;
mod namespaces;
pub mod private;
mod snapshots;
mod socket;

pub use crate::rpc::grpc::CallError;
pub use crate::rpc::status::Code;
pub use client::Client;
pub use content::{Committed, Content, ContentReader, Ingest, MAX_WRITE, Opened, Upload};
pub use cri::{CriImages, CriRuntime};
pub use images::Images;
pub use introspection::Introspection;
pub use leases::Leases;
pub use names::{LeaseId, Namespace};
pub use namespaces::Namespaces;
pub use snapshots::Snapshots;

/// Result of a call: [`CallError`] keeps the daemon's code, and `?` turns it into our error.
pub type CallResult<T> = std::result::Result<T, CallError>;

/// Where containerd listens unless its configuration says otherwise.
pub const SOCKET: &str = "/run/containerd/containerd.sock";
