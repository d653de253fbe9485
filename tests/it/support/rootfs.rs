//! What containerd unpacked, as a list that can be compared.

use std::io::Read;
use std::process::Command;

use edgelay::digest::Digest;

use super::daemon::Daemon;

/// A line for everything in the file system that snapshot `chain_id` gives: path, type, mode, owner, time to the
/// nanosecond, link target, device number, extended attributes, digest of the content. The root directory itself is
/// left out: no layer describes it.
///
/// GNU tar makes the list, so that nothing of edgelay judges its own work.
pub(crate) fn list(daemon: &Daemon, namespace: &str, chain_id: &str) -> Vec<String> {
    let bytes = tar(daemon, namespace, chain_id);
    let mut archive = tar::Archive::new(&bytes[..]);
    archive.entries().unwrap().map(|entry| describe(entry.unwrap())).collect()
}

fn describe(mut entry: tar::Entry<'_, &[u8]>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = entry.pax_extensions().unwrap().into_iter().flatten().map(Result::unwrap);
    let mut pax: Vec<String> =
        records.map(|record| format!("{}={}", text(record.key_bytes()), text(record.value_bytes()))).collect();
    let header = entry.header().clone();
    let mut mtime = header.mtime().unwrap().to_string();
    // A directory that the topmost layers only pass through gets the time of unpacking; layers of tests are old.
    if header.entry_type().is_dir() && header.mtime().unwrap() > 1_700_000_000 {
        pax.retain(|record| !record.starts_with("mtime="));
        mtime = "now".into();
    }
    let link = entry.link_name_bytes().map(|link| text(&link)).unwrap_or_default();
    let device = (header.device_major().ok().flatten(), header.device_minor().ok().flatten());
    let path = text(&entry.path_bytes());
    let mut content = Vec::new();
    entry.read_to_end(&mut content).unwrap();
    format!(
        "{path} {:?} {:o} {}:{} {mtime} '{link}' {device:?} {pax:?} {}",
        header.entry_type(),
        header.mode().unwrap(),
        header.uid().unwrap(),
        header.gid().unwrap(),
        Digest::of(&content)
    )
}

fn tar(daemon: &Daemon, namespace: &str, chain_id: &str) -> Vec<u8> {
    let key = format!("copy-of-{}", &chain_id[chain_id.len().saturating_sub(12)..]);
    let target = daemon.scratch().join(&key);
    std::fs::create_dir_all(&target).unwrap();
    let target = target.to_str().unwrap();
    let ctr = |args: &[&str]| {
        let out = Command::new(daemon.peers().join(daemon.version()).join("usr/bin/ctr"))
            .args(["--address", &daemon.address(), "--namespace", namespace])
            .args(args)
            .output()
            .unwrap();
        assert!(out.status.success(), "ctr {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    // Not "view": ctr protects only what it prepares from the garbage collector.
    let mount = ctr(&["snapshots", "prepare", "--target", target, &key, chain_id]);
    // In a mount namespace of its own, so that nothing stays mounted whatever happens.
    let script = r#"eval "$1" && cd "$2" && find . -mindepth 1 -maxdepth 1 -printf '%P\0' | LC_ALL=C sort -z |
        tar --format=pax --pax-option=exthdr.name=%d/pax/%f,delete=atime,delete=ctime --sort=name --numeric-owner \
            --xattrs --xattrs-include='*' --null --files-from=- -cf -"#;
    let out = daemon
        .inside("unshare")
        .args(["--mount", "bash", "-o", "pipefail", "-c", script, "tar", &mount, target])
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "list {chain_id}: {err}");
    ctr(&["snapshots", "rm", &key]);
    out.stdout
}
