//! edgelay installs KubeEdge from one offline bundle.
//!
//! The way of the data is the way of the modules:
//! bundle → verify → plan → lay down → start → import → join → verify.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests prepare their scratch directories themselves"))]
#![cfg_attr(test, allow(clippy::cast_possible_truncation, reason = "tests build bytes from small numbers"))]

pub mod archive;
pub mod base64;
pub mod board;
pub mod boot;
pub mod bundle;
pub mod cli;
pub mod clock;
pub mod cni;
pub mod config;
pub mod containerd;
pub mod crash;
pub mod digest;
pub mod error;
pub mod exec;
pub mod feed;
pub mod gather;
pub mod host;
pub mod ids;
pub mod images;
pub mod initramfs;
pub mod json;
pub mod k3s;
pub mod kubeedge;
pub mod mode;
pub mod note;
pub mod oci;
pub mod pb;
pub mod plan;
pub mod report;
pub mod root;
pub mod rpc;
pub mod service;
pub mod sorted;
pub mod steps;
pub mod sys;
#[cfg(test)]
mod testing;
pub mod unpack;
