//! The whole life of a staged host: staged, staged again, bent and mended, and as it was before.

use std::time::Duration;

use super::{applied, containerd, ctr, drift, jail, outcomes, pod, stage};
use crate::support::jail::Jail;

/// The steps of staging.
const STEPS: [&str; 8] = [
    "record",
    "components",
    "own-program",
    "host-files",
    "runtime-files",
    "runtime-start",
    "images",
    "kernel-arguments",
];
/// edgelay lies in its place already, and this kernel has what it needs.
const RIGHT_ALREADY: [&str; 2] = ["own-program", "kernel-arguments"];

pub(super) fn staging_twice_drifting_and_uninstalling(version: &str) {
    let Some(jail) = jail("stage", version) else { return };
    jail.sh("mkdir /etc/containerd && echo '# theirs' >/etc/containerd/config.toml && chmod 640 /etc/containerd/config.toml")
        .good();
    let before = tree(&jail);

    let first = stage(&jail, &[]);
    assert_eq!(first.code, 0, "{}", first.said());
    assert_eq!(applied(&first), STEPS.into_iter().filter(|step| !RIGHT_ALREADY.contains(step)).collect::<Vec<_>>());
    assert_eq!(drift(&jail), []);
    let pod = pod::start(&jail);
    pod.works(&jail, "10.87.0.0/16");

    nothing_changes(&jail);
    bent_and_mended(&jail);
    pod.works(&jail, "10.87.0.0/16");

    // As if the first run had been killed right after it started containerd.
    jail.sh("rm /run/edgelay/containerd.pid").good();
    assert_eq!(drift(&jail), []);
    jail.run(&["edgelay", "edge", "uninstall", "--yes"]).good();
    assert_eq!(changes(&before, &tree(&jail)), [""; 0], "containerd {version}");
    assert_eq!(jail.sh("cat /etc/containerd/config.toml").good(), "# theirs\n");
    assert_eq!(jail.sh("ls /var/log/edgelay").good(), "install.log\n");
    assert_eq!(jail.sh("ls /sys/class/net").good(), "lo\n");
    assert_eq!(jail.sh("grep -E 'containerd|cni' /proc/mounts | cat").good(), "");
    let processes = jail.sh("ps -eo comm= | grep -vE '^(bash|sleep|ps|grep|cat)$' | cat").good();
    assert_eq!(processes, "");
    jail.run(&["edgelay", "edge", "uninstall", "--yes"]).good();
    jail.close();
}

/// Type, mode, owner, size and target of every file, without what holds the runs' own traces.
fn tree(jail: &Jail) -> Vec<String> {
    let line = r"find / /run \( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /root \
        -o -path /var/log/edgelay -o -path /var/log/pods \) -prune -o -printf '%p %y %m %U:%G %l %s\n' | sed 's|\(^[^ ]* d .*\) .*|\1|' | sort -u";
    jail.sh(line).good().lines().map(ToOwned::to_owned).collect()
}

/// Lines that only one of two lists has.
fn changes(before: &[String], after: &[String]) -> Vec<String> {
    let only = |mark: &str, a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).map(|line| format!("{mark} {line}")).collect()
    };
    [only("-", before, after), only("+", after, before)].concat()
}

/// What would show a change: times of files, and all that containerd has written.
fn traces(jail: &Jail) -> String {
    let files = "find /etc /usr /opt /var/lib/edgelay /var/lib/containerd /var/lib/cni ! -name lock \
        -printf '%p %i %T@ %C@ %s\n' | sort";
    let pid = containerd(jail);
    let io = format!("echo {pid}; grep ^write_bytes /proc/{pid}/io");
    jail.sh(&format!("{files}; {io}")).good()
}

fn nothing_changes(jail: &Jail) {
    let mut fastest = Duration::MAX;
    const QUICK: Duration = Duration::from_secs(1);
    // containerd may still be collecting garbage of its own accord, and the machine be busy with other tests; if it were us, it
    // would be so each time.
    let mut changed = Vec::new();
    for _ in 0..5 {
        let before = traces(jail);
        let again = stage(jail, &[]);
        assert_eq!(again.code, 0, "{}", again.said());
        assert_eq!(outcomes(&again), STEPS.map(|step| (step.to_owned(), "skipped".to_owned())));
        let last: serde_json::Value = serde_json::from_str(again.err.lines().last().unwrap()).unwrap();
        fastest = fastest.min(Duration::from_millis(last["ms"].as_u64().unwrap()));
        changed = changes(&lines(&before), &lines(&traces(jail)));
        if changed.is_empty() && fastest < QUICK {
            break;
        }
    }
    assert_eq!(changed, [""; 0]);
    println!("a second stage took {fastest:?}");
    assert!(fastest < QUICK, "a second stage took {fastest:?}");
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(ToOwned::to_owned).collect()
}

/// Each bend: what is done, which steps see it and how, and which steps mend it.
fn bent_and_mended(jail: &Jail) {
    const PAUSE: &str = "docker.io/kubeedge/pause:3.6";
    // Not the pause image: containerd 2.x pins that one by itself.
    let unpin = format!("/root/ctr -n k8s.io images label {} io.cri-containerd.pinned=", pod::IMAGE);
    let remove = format!("/root/ctr -n k8s.io images rm {PAUSE}");
    let pid = containerd(jail);
    for (bend, step, seen) in [
        ("rm /opt/cni/bin/portmap", "components", "missing or different: portmap"),
        ("chmod 700 /usr/local/sbin/runc", "components", "missing or different: runc"),
        ("echo >>/usr/local/bin/keadm", "components", "missing or different: keadm"),
        ("sysctl -qw net.ipv4.ip_forward=0", "host-files", "sysctl net.ipv4.ip_forward is not 1"),
        (
            "echo >>/etc/containerd/config.toml",
            "runtime-files",
            "'/etc/containerd/config.toml' is missing or different",
        ),
        (
            "echo >>/etc/cni/net.d/10-edgelay.conflist",
            "runtime-files",
            "'/etc/cni/net.d/10-edgelay.conflist' is missing or different",
        ),
        (&unpin, "images", "image 'docker.io/kubeedge/installation-package:v1.22.0' is not pinned"),
        (&remove, "images", "no image 'docker.io/kubeedge/pause:3.6'"),
    ] {
        bend_and_mend(jail, bend, &[(step, seen)], &[step]);
        assert_eq!(containerd(jail), pid, "{bend}: containerd was started again");
    }
    // containerd sees this one at once.
    let seen = [
        ("runtime-files", "'/etc/cni/net.d/10-edgelay.conflist' is missing or different"),
        ("runtime-start", "NetworkReady is false: Network plugin returns error: cni plugin not initialized"),
    ];
    bend_and_mend(jail, "rm /etc/cni/net.d/10-edgelay.conflist", &seen, &["runtime-files"]);
    assert!(ctr(jail, "images ls").contains("io.cri-containerd.pinned=pinned"));

    // With nobody to start it again, containerd stays dead, and that is seen.
    let supervisor = std::fs::read_to_string(jail.root().join("run/edgelay/supervise.lock")).unwrap();
    // Not by its command line, which is gone before its socket is closed: it would be seen as running and deaf.
    let end = |pid: &str| {
        jail.sh(&format!("kill -9 {pid}; while ps -o stat= -p {pid} | grep -qv ^Z; do sleep 0.01; done")).good()
    };
    end(supervisor.trim());
    assert_eq!(drift(jail), [], "containerd outlives its supervisor");
    end(&pid);
    let seen = drift(jail);
    let steps: Vec<&str> = seen.iter().map(|(step, _)| step.as_str()).collect();
    assert_eq!((steps.as_slice(), seen[0].1.as_str()), (&["runtime-start", "images"][..], "containerd is not running"));
    assert_eq!(applied(&stage(jail, &[])), ["runtime-start"]);
    assert_eq!(drift(jail), []);
}

/// Runs `bend`, asserts what `status` sees of it, and that the next run applies the steps `mending` and no other.
fn bend_and_mend(jail: &Jail, bend: &str, seen: &[(&str, &str)], mending: &[&str]) {
    jail.sh(bend).good();
    let found = drift(jail);
    let found: Vec<(&str, &str)> = found.iter().map(|(step, seen)| (step.as_str(), seen.as_str())).collect();
    assert_eq!(found, seen, "{bend}");
    let mended = stage(jail, &[]);
    assert_eq!(mended.code, 0, "{bend}: {}", mended.said());
    assert_eq!(applied(&mended), mending, "{bend}");
    assert_eq!(drift(jail), [], "{bend}");
}
