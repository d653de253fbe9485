//! The real programs that tests run against, as `tests/fetch-peers` laid them down.

use std::path::PathBuf;

/// The containerd versions that Debian carries and every test of the wire runs against.
pub(crate) const VERSIONS: [&str; 3] = ["1.6", "1.7", "2.1"];

/// Says that `test` cannot run here because of `reason`; where the programs are required, that is a failure.
pub(crate) fn skip(test: &str, reason: &str) {
    let required = std::env::var_os("EDGELAY_TEST_REQUIRE").is_some_and(|v| v == "1");
    assert!(!required, "{test}: {reason}");
    println!("SKIP {test}: {reason}");
}

/// The directory of the programs; `None` after a SKIP line.
pub(crate) fn peers(test: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("EDGELAY_TEST_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/edgelay-tests"));
    let found = cache.or_else(home).map(|dir| dir.join("peers")).filter(|dir| dir.join("complete").exists());
    if found.is_none() {
        skip(test, "no containerd to test with: run tests/fetch-peers");
    }
    found
}

/// [`peers`], for tests that also need to be root (namespaces, mounts, containers).
pub(crate) fn peers_as_root(test: &str) -> Option<PathBuf> {
    if !nix::unistd::geteuid().is_root() {
        skip(test, "not root");
        return None;
    }
    peers(test)
}
