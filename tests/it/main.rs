//! The one integration binary; one module per subject.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "tests may use the machine directly")]

mod archives;
mod box_firstboot;
mod box_install;
mod box_standins;
mod bundles;
mod cli;
mod clock;
mod cloud;
#[cfg(feature = "crash-points")]
mod crash;
mod docs;
mod factory;
mod fault;
mod formats;
mod grpc_daemon;
mod grpc_h2;
mod import;
mod initramfs;
mod kubectl;
mod layers;
mod manifests;
mod native;
mod policy;
mod powercut;
mod preflight;
mod signatures;
mod stage;
mod standins;
mod supervise;
#[allow(dead_code, reason = "not every helper has its user yet")]
mod support;
mod tools;
mod unpack;
