//! A clock that stands before the bundle was made: nothing is begun, exit code 21, and a first boot tries again.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use edgelay::bundle::Timestamp;
use edgelay::ids::Arch;
use edgelay::mode;
use serde_json::Value;

use crate::support::bed::run;
use crate::support::bundles::{Inputs, program};
use crate::support::jail::Jail;

const CONFIG: &str = r#"{"schema": 1, "cloud": {"host": "10.77.0.2"}, "clock_wait": "1s",
    "token_file": "/etc/edgelay/token", "node": {"name": "edge-1", "ip": "10.77.0.2"}}"#;
const TOKEN: &str = "etc/edgelay/token";
const FAR: &str = "2099-01-01T00:00:00Z";
/// There is no cloud here.
const LEFT_OUT: &str = "cloud-ports";

/// A jail with a bundle that says it was made in a distant future.
fn jail(test: &str) -> Option<Jail> {
    let jail = Jail::start(test)?;
    let scratch = tempfile::tempdir().unwrap();
    let mut request = Inputs::new(scratch.path(), Arch::Amd64).request();
    request.built = Some(FAR.parse::<Timestamp>().unwrap());
    let to = jail.root().join("root/edge.bundle");
    mode::bundle::create(&request, &to, mode::bundle::Format::Text, &mut std::io::sink()).unwrap();
    std::fs::write(jail.root().join("root/edgelay"), program(Arch::Amd64, "edgelay")).unwrap();
    std::fs::create_dir_all(jail.root().join("etc/edgelay")).unwrap();
    std::fs::write(jail.root().join("etc/edgelay/edgelay.json"), CONFIG).unwrap();
    std::fs::write(jail.root().join(TOKEN), format!("{}.e30.e30.c2ln\n", "a".repeat(64))).unwrap();
    jail.sh(&format!("chmod 600 /{TOKEN}; ip addr add 10.77.0.2/24 dev lo")).good();
    Some(jail)
}

#[test]
fn a_clock_in_the_past_stops_an_install_before_it_begins() {
    let Some(jail) = jail("a_clock_in_the_past_stops_an_install_before_it_begins") else { return };
    let files = "find / -xdev -printf '%p %C@ %s\\n' | grep -v -e '^/ ' -e '^/root ' -e '^/root/files' | sort";
    jail.sh(&format!("{files} >/root/files")).good();
    for verb in ["install", "join"] {
        let refused = jail.run(&[
            "edgelay",
            "edge",
            verb,
            "--bundle=/root/edge.bundle",
            "--config=/etc/edgelay/edgelay.json",
            "--ignore-check",
            LEFT_OUT,
        ]);
        let said = refused.said();
        refused.fails(21, "preflight check 'clock' failed");
        assert!(said.contains(&format!("before {FAR}: waiting up to 1s for it to be set")), "{said}");
    }
    let changed = jail.sh(&format!("{files} | comm -13 /root/files - | cut -d' ' -f1")).good();
    let ours = ["/var/lib/edgelay", "/var/log/edgelay", "/run/edgelay", "/var/lib ", "/var/log "];
    let other: Vec<&str> =
        changed.lines().filter(|path| !ours.iter().any(|own| format!("{path} ").starts_with(own))).collect();
    assert_eq!(other, [""; 0], "{changed}");
    let kept: Vec<&str> = changed.lines().filter(|path| path.starts_with("/var/lib/edgelay/")).collect();
    assert_eq!(kept, ["/var/lib/edgelay/journal.jsonl", "/var/lib/edgelay/lock"], "{changed}");
    let journal = std::fs::read_to_string(jail.root().join("var/lib/edgelay/journal.jsonl")).unwrap();
    assert_eq!(journal, "", "a step was begun");
    jail.close();
}

/// What the first boot left of its tries.
fn result(jail: &Jail) -> Option<Value> {
    let text = std::fs::read(jail.root().join("var/lib/edgelay/firstboot.json")).ok()?;
    serde_json::from_slice(&text).ok()
}

#[test]
fn a_first_boot_waits_for_the_clock_with_growing_pauses() {
    let Some(jail) = jail("a_first_boot_waits_for_the_clock_with_growing_pauses") else { return };
    // Staged from outside, as on an imaging line; no clock matters there.
    let mut stage = Command::new(env!("CARGO_BIN_EXE_edgelay"));
    stage.args(["edge", "stage", "--images=first-boot", "--ignore-check=all", "--cloud-host=127.0.0.1", "--root"]);
    stage.arg(jail.root()).arg("--edgelay").arg(jail.root().join("root/edgelay"));
    run(stage.arg("--bundle").arg(jail.root().join("root/edge.bundle"))).good();
    jail.put(Path::new(env!("CARGO_BIN_EXE_edgelay")), "usr/local/bin/edgelay");
    let config = "/etc/edgelay/edgelay.json";
    let line = format!("setsid edgelay firstboot --config {config} >/root/said 2>&1 </dev/null & echo $! >/root/pid");
    jail.sh(&line).good();
    let said = || std::fs::read_to_string(jail.root().join("root/said")).unwrap_or_default();
    let start = Instant::now();
    while !said().contains("trying again in 10 s") {
        assert!(start.elapsed() < Duration::from_secs(240), "{}", said());
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(said().contains("trying again in 5 s"), "{}", said());
    let failed = result(&jail).unwrap_or_else(|| panic!("{}", said()));
    assert_eq!((&failed["state"], &failed["kind"]), (&"failed".into(), &"later".into()), "{failed}");
    jail.sh("kill -TERM $(cat /root/pid); while kill -0 $(cat /root/pid) 2>/dev/null; do sleep 0.05; done").good();
    assert!(jail.root().join(TOKEN).exists(), "a token that was not used is gone");
    assert!(!jail.root().join("run/containerd").exists(), "it was begun all the same");
    jail.close();
}
