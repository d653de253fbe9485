//! A cloud side that is cut on a machine that runs, from CloudCore to the join file.
//!
//! Before that, where only files are laid down, it is cut everywhere by a test of its own (tests/it/crash.rs). Each run
//! goes on where the one before was cut, and is cut a bit later, until its step ends: so every cut is followed by a run
//! that has to live with it. About every [`STRIDE`]-th durable write is cut; with `EDGELAY_TEST_CUTS=N` every N-th: with 1
//! there are some 35 cuts, as a step does not do again what it finds done.

use super::*;
use crate::crash::{AT, DIR, VERB};

const STRIDE: usize = 4;
/// Ended by SIGABRT, as a shell tells it.
const CUT: i32 = 134;

/// One run of this very program, which can be cut.
fn try_once(machine: &Machine<'_>, at: usize) -> Ended {
    let (dir, verb, at) = (format!("{DIR}=/"), format!("{VERB}=live-cloud"), format!("{AT}={at}"));
    let mut ended =
        machine.run(&["env", &dir, &verb, &at, "/root/it", "--exact", "crash::child", "--ignored", "--nocapture"]);
    // Its verdict is not one of this run.
    ended.out = ended.out.lines().map(|line| format!("| {line}\n")).collect();
    ended
}

/// Whatever was cut: secrets are for root alone, and the join file is whole or not there.
fn nothing_is_half_done(machine: &Machine<'_>, at: &str) {
    let open =
        machine.sh("cd /var/lib/edgelay && find . -maxdepth 1 -name '*.json*' -perm /077 ! -name config.json").out;
    assert_eq!(open, "", "{at}");
    if let Ok(join) = std::fs::read_to_string(machine.root().join(&JOIN_FILE[1..])) {
        assert!(join.ends_with("\"v1.22.0\"\n}\n"), "{at}: half a join file");
    }
}

#[test]
fn a_cloud_that_is_cut_anywhere_goes_on() {
    let Some(bed) = Bed::start("a_cloud_that_is_cut_anywhere_goes_on") else { return };
    let machine = cloud(&bed, "mesh");
    machine.put(&std::env::current_exe().unwrap(), "/root/it");
    whole::cut(&machine, "cloudcore", "0");
    let finished =
        || machine.sh("grep -o '\"finished\",\"key\":\"[^\"]*' /var/lib/edgelay/journal.jsonl | sort -u").good();
    let stride = std::env::var("EDGELAY_TEST_CUTS").map_or(STRIDE, |text| text.parse().unwrap());
    let (mut at, mut cuts, mut done) = (0, 0, finished());
    loop {
        let ended = try_once(&machine, at);
        let told = format!("cut {at} after {}", done.lines().last().unwrap_or_default());
        assert!([0, CUT].contains(&ended.code), "{told}: {}\n{}", ended.code, ended.said());
        nothing_is_half_done(&machine, &told);
        if ended.code == 0 {
            break;
        }
        cuts += 1;
        let now = finished();
        at = if now == done { at + stride } else { cuts % stride };
        done = now;
    }
    assert!(cuts * stride > 24, "only {cuts} cuts");
    is_green(&machine);
    let left = machine
        .sh("find /etc /usr/local /var/lib/edgelay /run/edgelay -name '*.edgelay-new' -o -name manifest.json")
        .out;
    assert_eq!(left, "");
    let before = whole::running(&machine);
    good(install(&machine, &[]), &machine);
    assert_eq!(difference(&before, &whole::running(&machine)), NOTHING);
    assert_eq!(
        field(&machine, "secrets", ".items[?(@.metadata.labels.owner==\"helm\")].metadata.labels.status"),
        "deployed"
    );
}
