//! The cloud side in a throw-away Debian with systemd and no route: k3s, keadm and CloudCore are stand-ins, containerd
//! and kubectl are real. An edge and a further node join it with what it wrote.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use super::standins::wait_for;
use super::support::bed::{Bed, Ended, Machine, inputs, run, scratch, script};

#[cfg(feature = "crash-points")]
mod cuts;
mod openrc;
mod refused;
mod whole;
mod worker;

const PATIENCE: Duration = Duration::from_secs(120);
/// The first machine of a bed has this address.
const ADDRESS: &str = "10.77.0.10";
const CONFIG: &str = r#"{"schema": 1, "advertise_address": ["10.77.0.10"], "node": {"name": "cloud-1"}}"#;
const INSTALL: [&str; 5] = ["edgelay", "cloud", "install", "--bundle=/root/cloud.bundle", "--config=/root/cloud.json"];
const JOIN_FILE: &str = "/var/lib/edgelay/join.json";

fn edgelay() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_edgelay"))
}

/// k3s with all that it carries, keadm, twelve images; the same with a newer KubeEdge; EdgeMesh. Made once per test run.
fn cloud_inputs() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let path = scratch().join("cloud-inputs");
        let mut examples = std::env::current_exe().unwrap();
        examples.pop();
        examples.pop();
        examples.push("examples");
        run(Command::new(script("make-cloud-inputs")).arg(&path).env("EXAMPLES", examples)).good();
        path
    })
}

fn create(role: &str, inputs: &[PathBuf], file: &Path, kubeedge: &str) -> Ended {
    let mut create = Command::new(edgelay());
    create
        .args(["bundle", "create", "--role", role, "--arch", "amd64", "--kubeedge-version", kubeedge, "-o"])
        .arg(file);
    for inputs in inputs {
        create.arg("--components").arg(inputs.join("components")).arg("--images").arg(inputs.join("images"));
    }
    run(&mut create)
}

/// The bundle of this name, made once per test run: `cloud`, `mesh` with EdgeMesh, `newer` with a newer KubeEdge, `edge`.
fn bundle(name: &'static str) -> PathBuf {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = scratch().join(format!("cloud-{name}.bundle"));
    if !file.exists() {
        let cloud = || cloud_inputs().clone();
        let (role, inputs) = match name {
            "edge" => ("edge", vec![inputs().clone()]),
            "mesh" => ("cloud", vec![cloud(), cloud().join("mesh")]),
            "newer" => ("cloud", vec![cloud().join("newer")]),
            _ => ("cloud", vec![cloud()]),
        };
        create(role, &inputs, &file, if name == "newer" { "v1.22.1" } else { "v1.22.0" }).good();
    }
    file
}

/// The first machine of the bed, ready for an install from this bundle.
fn cloud<'b>(bed: &'b Bed, name: &'static str) -> Machine<'b> {
    let machine = bed.machine("server");
    machine.put(edgelay(), "/usr/local/bin/edgelay");
    machine.put(&bundle(name), "/root/cloud.bundle");
    std::fs::write(machine.root().join("root/cloud.json"), CONFIG).unwrap();
    machine
}

fn install(machine: &Machine<'_>, more: &[&str]) -> Ended {
    machine.run(&[&INSTALL[..], more].concat())
}

#[track_caller]
fn good(done: Ended, machine: &Machine<'_>) -> String {
    assert_eq!(done.code, 0, "{}\n{}", done.said(), machine.journal("k3s"));
    done.said()
}

/// How it ended, with which words, and what it told to do.
#[track_caller]
fn told(ended: Ended, code: i32, what: &str, hint: &str) {
    assert!(ended.said().contains(&format!("hint: {hint}")), "no hint '{hint}' in: {}", ended.said());
    ended.fails(code, what);
}

#[track_caller]
fn is_green(machine: &Machine<'_>) {
    let status = machine.run(&["edgelay", "cloud", "status"]);
    assert_eq!(status.code, 0, "{}\n{}", status.said(), machine.journal("k3s"));
}

fn kubectl(machine: &Machine<'_>, args: &[&str]) -> Ended {
    machine.run(&[&["k3s", "kubectl"], args].concat())
}

/// One line per file of ours and of k3s that is not its data: path, kind, mode, owner, size, time of change.
fn listing(machine: &Machine<'_>) -> String {
    machine
        .sh("find /usr/local /etc /opt /var/lib/edgelay /lib/systemd -xdev ! -path /var/lib/edgelay/lock \
             ! -path '/var/lib/edgelay/join.json' -printf '%p %y %m %u %s %T@\\n' | sort")
        .good()
}

/// Lines that only one of two listings has.
fn difference(before: &str, after: &str) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    gone.chain(after.difference(&before).map(|line| format!("+ {line}"))).collect()
}

/// One field of an object in the namespace of KubeEdge; empty if there is none.
fn field(machine: &Machine<'_>, object: &str, path: &str) -> String {
    kubectl(machine, &["get", "-n=kubeedge", "--ignore-not-found", object, &format!("-o=jsonpath={{{path}}}")]).good()
}

const NOTHING: [&str; 0] = [];
