//! `edge stage` for real, where no service manager is: in a jail, with containerd 1.6, 1.7 and 2.1, runc and CNI plugins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use crate::import::on_every_containerd;
use crate::support::bed::{Ended, make_inputs, run, scratch};
use crate::support::jail::Jail;
use crate::support::peers;

mod arguments;
mod changed;
mod cut;
pub(crate) mod pod;
mod whole;

/// Where tests put bundles in a jail.
const BUNDLE: &str = "root/edge.bundle";

/// A bundle with containerd `version`, made once per run of the tests.
fn bundle(version: &str) -> PathBuf {
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = made.get(version) {
        return path.clone();
    }
    let inputs = make_inputs(&scratch().join(format!("inputs-{version}")), version, "v1.22.0");
    let path = create(&inputs, &format!("edge-{version}.bundle"));
    made.insert(version.to_owned(), path.clone());
    path
}

/// `edgelay bundle create` of all that is in `inputs`.
fn create(inputs: &Path, name: &str) -> PathBuf {
    let path = scratch().join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgelay"));
    command.args(["bundle", "create", "--role", "edge", "--arch", "amd64", "--components"]);
    run(command.arg(inputs.join("components")).arg("--images").arg(inputs.join("images")).arg("-o").arg(&path)).good();
    path
}

/// A jail with the bundle and `ctr` of `version` in `/root`, nothing staged yet.
fn jail(test: &str, version: &str) -> Option<Jail> {
    let jail = Jail::start(test)?;
    jail.put(&bundle(version), BUNDLE);
    jail.put(&peers::peers(test)?.join(version).join("usr/bin/ctr"), "root/ctr");
    Some(jail)
}

/// `edge stage` of the bundle, with `flags`.
fn stage(jail: &Jail, flags: &[&str]) -> Ended {
    let args = ["edgelay", "edge", "stage", "--bundle", "/root/edge.bundle", "--log-format", "json"];
    jail.run(&[&args, flags].concat())
}

/// What became of each step, by its events.
fn outcomes(ended: &Ended) -> Vec<(String, String)> {
    let events = ended.err.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ends = events.filter(|event| event["event"] == "step-ends");
    ends.map(|e| (e["step"].as_str().unwrap().to_owned(), e["outcome"].as_str().unwrap().to_owned())).collect()
}

/// Steps that were not skipped.
fn applied(ended: &Ended) -> Vec<String> {
    outcomes(ended).into_iter().filter(|(_, outcome)| outcome != "skipped").map(|(step, _)| step).collect()
}

/// What `status` finds amiss: step and what is seen of it. The exit code must agree.
fn drift(jail: &Jail) -> Vec<(String, String)> {
    let ended = jail.run(&["edgelay", "status", "-o", "json"]);
    let report: Value = serde_json::from_str(&ended.out).unwrap_or_else(|e| panic!("{e}: {}", ended.said()));
    let text = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    let steps = report["steps"].as_array().unwrap().iter().filter(|step| step["status"] != "ok");
    let steps: Vec<_> = steps.map(|step| (text(step, "step"), text(step, "seen"))).collect();
    assert_eq!(ended.code, if steps.is_empty() { 0 } else { 11 }, "{}", ended.said());
    steps
}

/// Runs `ctr` in the jail, in the namespace of CRI.
fn ctr(jail: &Jail, line: &str) -> String {
    jail.sh(&format!("/root/ctr -n k8s.io {line}")).good()
}

/// Process number of containerd, as the jail counts.
fn containerd(jail: &Jail) -> String {
    std::fs::read_to_string(jail.root().join("run/edgelay/containerd.pid")).unwrap().trim().to_owned()
}

/// Digest of all files of an image, by path and content, as a container would see them.
fn files_of(jail: &Jail, image: &str) -> String {
    let line = format!(
        "mkdir -p /mnt/image && /root/ctr -n k8s.io images mount {image} /mnt/image >/dev/null && cd /mnt/image && \
         find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum; \
         cd / && /root/ctr -n k8s.io images unmount --rm /mnt/image >/dev/null"
    );
    jail.sh(&line).good()
}

/// Everything that an import may leave in containerd.
fn in_store(jail: &Jail) -> String {
    let each = ["images ls -q", "content ls -q", "content active", "leases ls -q", "snapshots ls"];
    let lists: Vec<String> = each.iter().map(|list| ctr(jail, list)).collect();
    lists.concat().lines().filter(|line| !line.starts_with("REF") && !line.starts_with("KEY")).collect()
}

/// What is in the store belongs to whole images: nothing is open, and nothing is there that could be collected.
fn only_whole_images(jail: &Jail, at: &str) {
    let open = ["content active", "leases ls -q", "snapshots ls"].map(|list| ctr(jail, list)).concat();
    let open: Vec<_> = open.lines().filter(|l| !l.starts_with("REF") && !l.starts_with("KEY")).collect();
    assert!(open.iter().all(|line| line.trim_end().ends_with(" Committed")), "{at}: {open:?}");
    let before = in_store(jail);
    collect(jail);
    assert_eq!(in_store(jail), before, "{at}: something is left that belongs to no image");
}

/// Removes all images with all that is theirs.
fn clear(jail: &Jail) {
    let remove = "for i in $(/root/ctr -n k8s.io images ls -q); do /root/ctr -n k8s.io images rm --sync $i; done";
    jail.sh(remove).good();
    collect(jail);
    assert_eq!(in_store(jail), "");
}

/// A lease that ends collects what belongs to nothing.
fn collect(jail: &Jail) {
    // A kill after the last image leaves our lease, which nobody needs any more and which ends by itself in a day.
    jail.sh("/root/ctr -n k8s.io leases rm edgelay-import 2>/dev/null || true").good();
    ctr(jail, "leases create --id collect");
    ctr(jail, "leases rm --sync collect");
}

on_every_containerd!(staging_twice_drifting_and_uninstalling);

fn staging_twice_drifting_and_uninstalling(version: &str) {
    whole::staging_twice_drifting_and_uninstalling(version);
}
