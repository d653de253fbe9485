//! The stand-ins are only worth something if they refuse what the real programs refuse.

#[path = "standins/cloud.rs"]
mod cloud;
#[path = "standins/edgecore.rs"]
mod edgecore;
#[path = "../standins/keadm/flags.rs"]
#[allow(dead_code, reason = "its own tests are what is wanted here")]
mod flags;
#[path = "standins/keadm.rs"]
mod keadm;
#[path = "../standins/shared.rs"]
#[allow(dead_code, clippy::print_stderr, clippy::unreachable, reason = "their own tests are what is wanted here")]
mod shared;

use std::path::PathBuf;

pub(crate) use cloud::wait_for;

/// A stand-in built by cargo beside this test.
pub(crate) fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    assert!(path.exists(), "no '{}': run 'cargo build --examples' first", path.display());
    path
}
