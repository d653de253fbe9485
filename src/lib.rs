//! edgelay installs KubeEdge from one offline bundle.
//!
//! The way of the data is the way of the modules:
//! bundle → verify → plan → lay down → start → import → join → verify.

pub mod crash;
pub mod digest;
pub mod error;
pub mod ids;
pub mod json;
pub mod oci;
