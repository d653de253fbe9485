//! The stand-ins are only worth something if they refuse what the real programs refuse.

#[path = "standins/cloud.rs"]
mod cloud;
#[path = "standins/edgecore.rs"]
mod edgecore;
#[path = "standins/keadm.rs"]
mod keadm;

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
