//! Staging that does not come to its end: killed, told to stop, out of room, with a containerd that does not start.

use serde_json::Value;

use super::{clear, drift, files_of, jail, only_whole_images, pod, stage};
use crate::support::bed::Ended;
use crate::support::jail::Jail;

/// Any version will do: the others differ in how they store, not in how they are left.
const VERSION: &str = "1.7";

/// Runs `edge stage` and sends it `signal` when the step `step` has been at work for `ms`.
fn stage_and_signal(jail: &Jail, step: &str, ms: u64, signal: &str) -> Ended {
    let line = format!(
        r#"rm -f /root/said # what the run before said is no word of this one
        edgelay edge stage --bundle /root/edge.bundle --log-format json 2>/root/said & p=$!
        until grep -q '"step-begins","step":"{step}"' /root/said 2>/dev/null || ! kill -0 $p; do sleep 0.01; done
        sleep {}.{:03}; kill -{signal} $p; wait $p; code=$?; cat /root/said >&2; exit $code"#,
        ms / 1000,
        ms % 1000
    );
    jail.sh(&line)
}

pub(super) fn last_event(ended: &Ended) -> Value {
    serde_json::from_str(ended.err.lines().last().unwrap()).unwrap_or_else(|e| panic!("{e}: {}", ended.said()))
}

#[test]
fn killed_or_stopped_at_any_moment_it_converges() {
    let Some(jail) = jail("killed_or_stopped_at_any_moment_it_converges", VERSION) else { return };
    for step in ["components", "runtime-start"] {
        stage_and_signal(&jail, step, 5, "KILL");
    }
    let first = stage(&jail, &[]);
    assert_eq!(first.code, 0, "{}", first.said());
    let right = files_of(&jail, pod::IMAGE);
    let events = first.err.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut ends = events.filter(|event| event["event"] == "step-ends" && event["step"] == "images");
    let spent = ends.next().unwrap()["step_ms"].as_u64().unwrap();

    let (mut killed, mut stopped) = (0, 0);
    for moment in 0..6 {
        for signal in ["KILL", "TERM"] {
            clear(&jail);
            let at = format!("{signal} after {moment}/6 of {spent} ms");
            let ended = stage_and_signal(&jail, "images", spent * moment / 6, signal);
            match (signal, ended.code) {
                (_, 0) => {}
                ("KILL", 137) => killed += 1,
                ("TERM", 10) => {
                    stopped += 1;
                    assert_eq!(last_event(&ended)["kind"], "interrupted", "{at}");
                    only_whole_images(&jail, &at);
                }
                (_, code) => panic!("{at}: status {code}: {}", ended.said()),
            }
            let again = stage(&jail, &[]);
            assert_eq!((again.code, drift(&jail)), (0, vec![]), "{at}: {}", again.said());
            assert_eq!(files_of(&jail, pod::IMAGE), right, "{at}");
        }
    }
    assert!(killed > 1 && stopped > 1, "{killed} killed, {stopped} stopped");
    jail.close();
}

#[test]
fn a_containerd_that_does_not_start_says_why() {
    let Some(jail) = jail("a_containerd_that_does_not_start_says_why", VERSION) else { return };
    for (bend, words, mend) in [
        (
            "mkdir -p /run/containerd/containerd.sock/in-the-way",
            "/run/containerd/containerd.sock",
            "rm -r /run/containerd/containerd.sock",
        ),
        (
            "cd /var/lib/containerd/io.containerd.metadata.v1.bolt && rm meta.db && mkdir meta.db",
            "is a directory",
            "rm -r /var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
        ),
    ] {
        jail.sh(bend).good();
        let start = std::time::Instant::now();
        let failed = stage(&jail, &[]);
        let event = last_event(&failed);
        assert_eq!((failed.code, &event["kind"], &event["step"]), (7, &"runtime".into(), &"runtime-start".into()));
        let message = event["message"].as_str().unwrap();
        let (_, said) = message.split_once("containerd's last words: ").unwrap_or_else(|| panic!("{message}"));
        assert!(said.contains(words), "{message}");
        assert_eq!(event["hint"], "see what containerd says is wrong, mend it and run again");
        assert!(start.elapsed().as_secs() < 45, "it was waited for in vain");
        jail.sh(mend).good();
    }
    let mended = stage(&jail, &[]);
    assert_eq!((mended.code, drift(&jail)), (0, vec![]), "{}", mended.said());
    jail.close();
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing_half_done() {
    let Some(jail) = jail("a_full_disk_is_told_and_leaves_nothing_half_done", VERSION) else { return };
    let fill = |left: u64| {
        let line = format!(
            "rm -f /balloon; free=$(df --output=avail -B1M / | tail -1); fallocate -l $((free - {left}))M /balloon"
        );
        jail.sh(&line).good();
    };
    fill(60);
    let refused = stage(&jail, &[]);
    let event = last_event(&refused);
    assert_eq!((refused.code, &event["kind"]), (4, &"preflight".into()), "{}", refused.said());
    assert!(event["message"].as_str().unwrap().contains("disk-space"), "{event}");

    // Room for the programs, but not for the images.
    stage_and_signal_after_start(&jail);
    for left in [20, 30] {
        fill(left);
        let failed = stage(&jail, &["--ignore-check", "disk-space"]);
        let event = last_event(&failed);
        let (message, hint) = (event["message"].as_str().unwrap(), event["hint"].as_str().unwrap());
        assert_eq!((failed.code, &event["kind"]), (6, &"host".into()), "{}", failed.said());
        assert!(
            message.contains("no space left on device") || message.contains("No space left on device"),
            "{message}"
        );
        assert!(hint.starts_with("free space on"), "{hint}");
        only_whole_images(&jail, &format!("{left} MiB left"));
    }
    jail.sh("rm /balloon").good();
    let mended = stage(&jail, &[]);
    assert_eq!((mended.code, drift(&jail)), (0, vec![]), "{}", mended.said());
    jail.close();
}

/// Stages all but the images.
fn stage_and_signal_after_start(jail: &Jail) {
    jail.sh("rm /balloon").good();
    let ended = stage_and_signal(jail, "images", 0, "TERM");
    assert_eq!(ended.code, 10, "{}", ended.said());
}
