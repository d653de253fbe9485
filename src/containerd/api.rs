//! Messages of containerd's API and of CRI v1: field numbers as in their `.proto` files, unchanged from 1.6 to 2.3.
//!
//! Only what we send or look at is here; unknown fields of answers are skipped.

pub mod content;
pub mod cri;
pub mod diff;
pub mod images;
pub mod introspection;
pub mod leases;
pub mod namespaces;
pub mod snapshots;
mod types;
pub mod version;

pub use types::{Descriptor, Empty, FieldMask, Mount, Platform, RpcStatus, Timestamp};

/// `map<string, string>`.
pub type Map = crate::sorted::Map<String, String>;

#[cfg(test)]
mod tests;
