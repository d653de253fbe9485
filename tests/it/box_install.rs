//! Whole installs by edgelay in a throw-away Debian with systemd, no network but a stand-in cloud, a real containerd.

mod existing;
mod upgrade;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::standins::wait_for;
use super::support::bed::{Bed, Ended, Machine, inputs, scratch};
use super::support::peak::{USUAL, released};
use super::support::peers::skip;

const INSTALL: [&str; 6] =
    ["edgelay", "edge", "install", "--bundle=/root/edge.bundle", "--config=/root/node.json", "--node-name=edge-1"];
/// Everything that edgelay, containerd's configuration, keadm and edgecore write, but no logs.
const PLACES: &str = "/usr/local /usr/libexec /opt /etc /var/lib/edgelay /var/lib/kubeedge /var/lib/kubelet /lib/systemd /usr/lib/systemd";

fn edgelay() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_edgelay"))
}

/// A bundle with containerd of this series, made by edgelay itself, once per test run.
pub(crate) fn bundle() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let file = scratch().join("edge.bundle");
        make_bundle(inputs(), &file, "v1.22.0");
        file
    })
}

fn make_bundle(inputs: &Path, file: &Path, kubeedge: &str) {
    let mut create = Command::new(edgelay());
    create
        .args(["bundle", "create", "--role", "edge", "--arch", "amd64", "--kubeedge-version", kubeedge, "-o"])
        .arg(file);
    create.arg("--components").arg(inputs.join("components")).arg("--images").arg(inputs.join("images"));
    let done = create.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// A machine with edgelay, bundle, configuration and a token of this kind; keadm's ten seconds are 100 ms in it.
fn machine<'b>(bed: &'b Bed, name: &'static str, token: &str) -> Machine<'b> {
    let machine = bed.machine(name);
    machine.put(edgelay(), "/usr/local/bin/edgelay");
    machine.put(bundle(), "/root/edge.bundle");
    let config = r#"{"schema": 1, "cloud": {"host": "10.77.0.2"}, "token_file": "/root/token", "node": {"labels": {"site": "bed"}}}"#;
    std::fs::write(machine.root().join("root/node.json"), config).unwrap();
    give_token(&machine, &bed.token(token));
    machine.sh("mkdir -p /run/standin; echo 100 >/run/standin/keadm-tick-ms").good();
    machine
}

fn give_token(machine: &Machine<'_>, token: &str) {
    machine.sh("umask 077; : >/root/token").good();
    std::fs::write(machine.root().join("root/token"), format!("{token}\n")).unwrap();
}

fn install(machine: &Machine<'_>, more: &[&str]) -> Ended {
    machine.run(&[&INSTALL[..], more].concat())
}

/// Lines that only one of two listings has.
fn difference(before: &str, after: &str) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (before, after) = (lines(before), lines(after));
    let gone = before.difference(&after).map(|line| format!("- {line}"));
    gone.chain(after.difference(&before).map(|line| format!("+ {line}"))).collect()
}

const NOTHING: [&str; 0] = [];

#[track_caller]
fn is_green(machine: &Machine<'_>) {
    let status = machine.run(&["edgelay", "status"]);
    assert_eq!(status.code, 0, "{}\n{}", status.said(), machine.journal("edgecore"));
}

/// One line per file: path, kind, mode, owner, size, time of change, link target.
fn listing(machine: &Machine<'_>) -> String {
    // the lock is written by every run that might change something: it holds the number of its process
    machine
        .sh(&format!(
            "find {PLACES} -xdev ! -path /var/lib/edgelay/lock -printf '%p %y %m %u %s %T@ %l\\n' 2>/dev/null | sort"
        ))
        .out
}

/// The same without times, and with what the files hold; directories only by name and mode.
fn contents(machine: &Machine<'_>) -> String {
    machine.sh(&format!(
        "find {PLACES} /var/log /run/containerd -xdev \\( -type d -printf '%p %m\\n' -o -type l -printf '%p %l\\n' \\) 2>/dev/null \
         | grep -v -e '^/var/log/journal' -e '^/var/log/edgelay' | sort; find {PLACES} -xdev -type f -exec sha256sum {{}} + 2>/dev/null | sort -k2"
    ))
    .out
}

/// When the services were started last, and how often systemd started them anew.
fn starts(machine: &Machine<'_>) -> String {
    machine.sh("systemctl show -p Id -p ExecMainStartTimestampMonotonic -p NRestarts containerd edgecore").good()
}

fn blobs(machine: &Machine<'_>) -> String {
    machine.sh("cd /var/lib/containerd && find . -path '*/blobs/*' -printf '%p %T@\\n' | sort; ls io.containerd.snapshotter*/snapshots").good()
}

/// Files below the whole system that hold this text.
fn holders(machine: &Machine<'_>, text: &str) -> Vec<String> {
    let list =
        machine.sh(&format!("grep -rlFs -e '{text}' / --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev")).out;
    list.lines().map(str::to_owned).collect()
}

/// The token is where it was given, and nowhere else: no log, journal, plan, record, unit or configuration.
#[track_caller]
fn token_is_nowhere(machine: &Machine<'_>, token: &str, said: &str) {
    // the middle of each part, so that a shortened or re-wrapped token is found, too
    for part in token.split('.').chain([token]) {
        assert!(!said.contains(part), "the output holds '{part}'");
        if part != token.split('.').next().unwrap_or_default() && part.len() > 20 {
            assert_eq!(holders(machine, part), ["/root/token"], "'{part}'");
        }
    }
    let journal = machine.run(&["journalctl", "--no-pager", "-o", "verbose"]).out;
    assert!(!journal.contains(token), "the machine's journal holds the token");
}

#[test]
fn an_install_is_green_stays_as_it_is_and_survives_a_reboot() {
    let Some(bed) = Bed::start("an_install_is_green_stays_as_it_is_and_survives_a_reboot") else { return };
    let machine = machine(&bed, "edge", "good");
    let token = std::fs::read_to_string(machine.root().join("root/token")).unwrap().trim().to_owned();

    let first = install(&machine, &[]);
    assert_eq!(first.code, 0, "{}\n{}", first.said(), machine.journal("edgecore"));
    is_green(&machine);
    assert!(bed.cloud("nodes/edge-1").exists(), "the cloud does not know the node");
    token_is_nowhere(&machine, &token, &first.said());

    let (files, services, store) = (listing(&machine), starts(&machine), blobs(&machine));
    let second = install(&machine, &[]);
    assert_eq!(second.code, 0, "{}", second.said());
    assert_eq!(difference(&files, &listing(&machine)), NOTHING, "a second run touched files");
    assert_eq!(starts(&machine), services, "a second run restarted something");
    let mut store = difference(&store, &blobs(&machine));
    // containerd removes the snapshots of the first run's sandbox, whose names are numbers, when it has time.
    store.retain(|line| line.strip_prefix("- ").is_none_or(|name| !name.bytes().all(|b| b.is_ascii_digit())));
    assert_eq!(store, NOTHING, "a second run sent a blob");

    machine.reboot();
    let back = wait_for(Duration::from_secs(90), || (machine.run(&["edgelay", "status"]).code == 0).then_some(()));
    assert!(back.is_some(), "{}", machine.run(&["edgelay", "status"]).said());
    let shown: Value = serde_json::from_str(&machine.run(&["edgelay", "status", "-o", "json"]).good()).unwrap();
    assert!(shown.is_object(), "{shown}");
}

#[test]
fn uninstall_gives_the_machine_back() {
    let Some(bed) = Bed::start("uninstall_gives_the_machine_back") else { return };
    let machine = machine(&bed, "edge", "good");
    // a file of ours will take this one's place; it must come back
    machine.sh("mkdir -p /etc/containerd /etc/kubeedge; echo '# mine' >/etc/containerd/config.toml").good();
    let before = contents(&machine);
    let done = install(&machine, &[]);
    assert_eq!(done.code, 0, "{}", done.said());
    is_green(&machine);
    assert!(machine.sh("iptables-save").good().contains("-A INPUT -j KUBE-FIREWALL"));
    // as the kubelet in the real EdgeCore leaves them; both versions of cgroups
    let groups = "find /sys/fs/cgroup -name 'kubepods*'";
    machine.sh("for tree in /sys/fs/cgroup /sys/fs/cgroup/memory; do mkdir -p $tree/kubepods/burstable/pod1; done 2>/dev/null; true").good();
    assert_ne!(machine.sh(groups).good(), "");
    // as EdgeMesh's agent leaves it, however it ends
    machine.sh("ip link add edgemesh0 type bridge; ip address add 169.254.96.16/32 dev edgemesh0").good();
    machine.run(&["edgelay", "edge", "uninstall", "--yes"]).good();
    assert_eq!(machine.sh(groups).good(), "");
    assert_eq!(machine.sh("(iptables-save; ip6tables-save) | grep -e KUBE- -e CNI-").out, "");
    assert_eq!(difference(&before, &contents(&machine)), NOTHING);
    assert_eq!(machine.sh("pgrep -l 'containerd|edgecore|pause'").out, "");
    assert_eq!(
        machine.sh("grep -E 'containerd|kubelet|netns' /proc/mounts; ls /sys/class/net | grep -v -e lo -e eth0").out,
        ""
    );
    assert_eq!(machine.sh("systemctl list-unit-files --no-legend containerd.service edgecore.service").out, "");
}

#[test]
fn a_dry_run_touches_nothing_and_says_what_it_would_do() {
    let Some(bed) = Bed::start("a_dry_run_touches_nothing_and_says_what_it_would_do") else { return };
    let machine = machine(&bed, "edge", "good");
    let token = std::fs::read_to_string(machine.root().join("root/token")).unwrap().trim().to_owned();
    let before = contents(&machine);
    let dry = install(&machine, &["--dry-run"]);
    assert_eq!(dry.code, 0, "{}", dry.said());
    assert_eq!(difference(&before, &contents(&machine)), NOTHING);
    assert!(dry.out.contains("join"), "{}", dry.out);
    token_is_nowhere(&machine, &token, &dry.said());
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_written() {
    let Some(bed) = Bed::start("what_cannot_work_is_refused_before_anything_is_written") else { return };
    let machine = machine(&bed, "edge", "good");
    let before = contents(&machine);
    // a refusal is logged, and the lock and an empty journal stay
    let untouched = |case: &str| {
        let mut found = difference(&before, &contents(&machine));
        found.retain(|line| !line.contains("/var/lib/edgelay"));
        assert_eq!(found, NOTHING, "{case}");
        let journal = std::fs::read_to_string(machine.root().join("var/lib/edgelay/journal.jsonl"));
        assert_eq!(journal.unwrap_or_default(), "", "{case}");
    };

    install(&machine, &["--cloud-websocket-port=10002"]).fails(3, "10002");
    untouched("the certificates' port");
    bed.script("cloud", &["down"]).good();
    install(&machine, &[]).fails(21, "10.77.0.2:10000 connection refused");
    untouched("no cloud");
    bed.script("cloud", &["up"]).good();
    bed.script("net", &["drop", "10002"]).good();
    let start = std::time::Instant::now();
    install(&machine, &[]).fails(21, "10.77.0.2:10002");
    assert!(start.elapsed() < Duration::from_secs(60), "keadm would have waited for over two minutes");
    bed.script("net", &["pass", "10002"]).good();
    untouched("packets that vanish");
    give_token(&machine, &bed.token("expired"));
    install(&machine, &[]).fails(4, "the token ended at ");
    untouched("an expired token");
    give_token(&machine, &bed.token("garbled"));
    let garbled = install(&machine, &[]);
    assert!([3, 4].contains(&garbled.code), "{}", garbled.said());
    untouched("a garbled token");
    give_token(&machine, &bed.token("good"));

    machine.sh("mount -t tmpfs -o noexec tmpfs /opt").good();
    install(&machine, &[]).fails(4, "mounted noexec, so no program runs from there: /opt/cni/bin");
    machine.sh("umount /opt").good();
    untouched("programs that may not run");

    machine.sh("mkdir -p /etc/kubeedge/config; echo theirs >/etc/kubeedge/config/edgecore.yaml").good();
    let theirs = install(&machine, &[]);
    assert_ne!(theirs.code, 0, "{}", theirs.said());
    assert!(theirs.said().contains("/etc/kubeedge"), "{}", theirs.said());
    let kept = std::fs::read_to_string(machine.root().join("etc/kubeedge/config/edgecore.yaml")).unwrap();
    assert_eq!(kept, "theirs\n");
}

/// keadm itself would wait for five minutes, and leave the token in two files.
fn a_token_that_the_cloud_refuses_ends_keadm(bed: &Bed, machine: &Machine<'_>) {
    let tick = "/run/standin/keadm-tick-ms";
    let before = machine.sh(&format!("cat {tick}; echo 10000 >{tick}")).good();
    let forged = bed.token("forged");
    give_token(machine, &forged);
    let start = std::time::Instant::now();
    let refused = install(machine, &[]);
    assert!(start.elapsed() < Duration::from_secs(200), "it was waited for in vain");
    let said = refused.said();
    refused.fails(8, "EdgeCore gets no certificate: failed to get edge certificate from the cloudcore");
    assert!(said.contains("get a new token"), "{said}");
    token_is_nowhere(machine, &forged, &said);
    assert_eq!(machine.sh("pgrep -l 'keadm|edgecore'").out, "", "it goes on failing");
    machine.sh(&format!("echo {} >{tick}", before.trim())).good();
    give_token(machine, &bed.token("good"));
}

/// The next run clears what keadm made, so none of an earlier run may go on making it.
fn keadm_ends_with_us(machine: &Machine<'_>) {
    let tick = "/run/standin/keadm-tick-ms";
    let before = machine.sh(&format!("cat {tick}; echo 10000 >{tick}")).good();
    let line = INSTALL.join(" ");
    for (signal, status) in [("KILL", 137), ("HUP", 10)] {
        let cut = machine.sh(&format!(
            "{line} >/dev/null 2>&1 & pid=$!; for n in $(seq 1200); do pgrep -x keadm && pgrep -x edgecore && break; \
             kill -0 $pid || exit 3; sleep 0.05; done >/dev/null; kill -{signal} $pid; wait $pid; echo ended with $?; \
             sleep 0.5; ! pgrep -lx keadm"
        ));
        assert!(cut.code == 0 && cut.out.contains(&format!("ended with {status}")), "{signal}: {}", cut.said());
    }
    machine.sh("test ! -e /etc/kubeedge/bootstrap-edgecore.conf").good();
    machine.sh(&format!("echo {} >{tick}", before.trim())).good();
}

#[test]
fn our_own_failed_attempt_is_cleared_and_a_missing_sudo_bridged() {
    let Some(bed) = Bed::start("our_own_failed_attempt_is_cleared_and_a_missing_sudo_bridged") else { return };
    let machine = machine(&bed, "edge", "good");
    // an empty directory, a mounted one perhaps, is ours to fill and to clear
    machine.sh("rm /usr/bin/sudo; mkdir /etc/kubeedge").good();
    a_token_that_the_cloud_refuses_ends_keadm(&bed, &machine);
    // the cloud refuses to sign: keadm gives up after its (shortened) five minutes and leaves everything behind
    std::fs::write(bed.cloud("fail-sign"), "").unwrap();
    keadm_ends_with_us(&machine);
    let failed = install(&machine, &[]);
    assert_eq!(failed.code, 8, "{}", failed.said());
    assert!(machine.root().join("etc/kubeedge/config/edgecore.yaml").exists());
    let token = std::fs::read_to_string(machine.root().join("root/token")).unwrap().trim().to_owned();
    assert!(!failed.said().contains(&token));
    std::fs::remove_file(bed.cloud("fail-sign")).unwrap();
    let done = install(&machine, &[]);
    assert_eq!(done.code, 0, "{}", done.said());
    is_green(&machine);
    assert_eq!(machine.sh("command -v sudo").out, "", "the bridge over the missing sudo was left behind");
}

/// The cloud knows the node, and nobody has synced the certificates that it came with.
#[test]
fn a_node_that_a_cut_left_registered_is_taken_over() {
    let Some(bed) = Bed::start("a_node_that_a_cut_left_registered_is_taken_over") else { return };
    let machine = machine(&bed, "edge", "good");
    let tick = "/run/standin/keadm-tick-ms";
    machine.sh(&format!("echo 10000 >{tick}")).good();
    let line = INSTALL.join(" ");
    machine.sh(&format!("{line} >/dev/null 2>&1 & echo $! >/root/pid")).good();
    let registered = wait_for(Duration::from_secs(60), || bed.cloud("nodes/edge-1").exists().then_some(()));
    assert!(registered.is_some(), "{}", machine.journal("edgecore"));
    machine.sh("kill -KILL $(cat /root/pid); systemctl stop edgecore; : >/etc/kubeedge/certs/server.crt").good();
    for method in ["keadm", "auto"] {
        let done = install(&machine, &["--join-method", method]);
        match method {
            "keadm" => done.fails(8, "keadm join: node already exists or internal error occurred"),
            _ => assert!(done.code == 0 && done.said().contains("to take it over"), "{}", done.said()),
        }
    }
    is_green(&machine);
}

#[test]
fn a_node_that_the_cloud_knows_already_is_refused_in_keadms_words() {
    let Some(bed) = Bed::start("a_node_that_the_cloud_knows_already_is_refused_in_keadms_words") else { return };
    let machine = machine(&bed, "edge", "good");
    std::fs::write(bed.cloud("nodes/edge-1"), "").unwrap();
    let token = std::fs::read_to_string(machine.root().join("root/token")).unwrap().trim().to_owned();
    let refused = install(&machine, &["--log-format=json"]);
    let said = refused.said();
    refused.fails(8, "keadm join: node already exists or internal error occurred, cannot register again");
    // a failure does not spill the token either, not into one event
    for line in said.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|event| event.is_object()), "{line}");
    }
    token_is_nowhere(&machine, &token, &said);
}

#[test]
fn drift_is_seen_and_mended() {
    let Some(bed) = Bed::start("drift_is_seen_and_mended") else { return };
    let machine = machine(&bed, "edge", "good");
    install(&machine, &[]).good();
    let ctr = super::support::peers::peers("drift").unwrap().join("1.6/usr/bin/ctr");
    machine.put(&ctr, "/root/ctr");
    for (spoil, what) in [
        ("echo '# x' >>/etc/containerd/config.toml", "a changed file"),
        ("/root/ctr -n k8s.io images rm docker.io/kubeedge/pause:3.6", "a lost image"),
        ("systemctl stop edgecore", "a stopped edgecore"),
        ("rm /usr/local/sbin/runc", "a lost program"),
        (
            "cd /usr/local/sbin; head -c 1000 runc >half; chmod 755 half; mv half runc",
            "a program of which a card lost the rest",
        ),
        ("cd /usr/local/bin; head -c 1000 edgecore >half; chmod 755 half; mv half edgecore", "the same of EdgeCore"),
        // got anew with the token, which keadm cannot do
        ("rm /etc/kubeedge/certs/server.crt", "a lost certificate"),
    ] {
        machine.sh(spoil).good();
        assert_eq!(machine.run(&["edgelay", "status"]).code, 11, "{what} is not seen");
        let mended = install(&machine, &[]);
        assert_eq!(mended.code, 0, "{what}: {}", mended.said());
        is_green(&machine);
    }
}

/// Runs the words behind it, and keeps what the process itself held at its peak; the kernel's account of a child that has
/// ended holds the children's peaks, too, and so keadm's.
const WATCH: &str = r#"watch() { "$@" & while now=$(grep VmHWM /proc/$!/status); do last=$now; sleep 0.01; done
    echo "$last" >/root/used; wait $!; }; watch "#;

/// As a user has it, the program that is released, and what a whole install with it holds in memory.
#[test]
fn newer_containerds_carry_a_node_as_well_in_little_memory() {
    let test = "newer_containerds_carry_a_node_as_well_in_little_memory";
    let Some(bed) = Bed::start(test) else { return };
    if !released().exists() {
        return skip(test, "nothing in dist: run make dist");
    }
    for series in ["1.7", "2.1"] {
        let machine = machine(&bed, "edge", "good");
        let folder = tempfile::tempdir().unwrap();
        let inputs = super::support::bed::make_inputs(&folder.path().join("inputs"), series, "v1.22.0");
        make_bundle(&inputs, &folder.path().join("edge.bundle"), "v1.22.0");
        machine.put(&folder.path().join("edge.bundle"), "/root/edge.bundle");
        machine.put(&released(), "/usr/local/bin/edgelay");
        let done = machine.sh(&format!("{WATCH}{}", INSTALL.join(" ")));
        assert_eq!(done.code, 0, "{series}: {}", done.said());
        let used = std::fs::read_to_string(machine.root().join("root/used")).unwrap();
        let peak = used.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10;
        println!("containerd {series}: an install holds {} KiB at its peak", peak >> 10);
        assert!(peak <= USUAL, "{series}: {peak} bytes");
        is_green(&machine);
        assert!(machine.run(&["containerd", "--version"]).good().contains(&format!(" {series}.")), "{series}");
        std::fs::remove_file(bed.cloud("nodes/edge-1")).unwrap();
    }
}

#[test]
fn a_box_without_what_keadm_needs_joins_natively_and_takes_its_node_over() {
    let Some(bed) = Bed::start("a_box_without_what_keadm_needs_joins_natively_and_takes_its_node_over") else { return };
    let machine = machine(&bed, "edge", "good");
    machine.sh("rm /bin/pidof /usr/bin/sudo").good();
    let before = contents(&machine);
    std::fs::write(bed.cloud("nodes/edge-1"), "").unwrap();
    // the cloud has not noticed yet that the one before is gone: its object is Ready
    machine.sh("echo 6000 >/run/standin/status-delay-ms").good();
    let token = std::fs::read_to_string(machine.root().join("root/token")).unwrap().trim().to_owned();
    // its images on another disk, say
    let elsewhere = "--containerd-root=/srv/pods/images";
    let plan = install(&machine, &["--dry-run", elsewhere]).good();
    assert!(plan.contains("start containerd (in /srv/pods/images) and wait for CRI"), "{plan}");
    assert!(plan.contains("without keadm (keadm needs 'pidof', which is not on this machine)"), "{plan}");
    let done = install(&machine, &[elsewhere]);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), machine.journal("edgecore"));
    assert!(std::fs::metadata(bed.cloud("nodes/edge-1")).unwrap().len() > 0, "it has not registered");
    machine.sh("rm /run/standin/status-delay-ms").good();
    is_green(&machine);
    machine
        .sh("test -s /srv/pods/images/io.containerd.metadata.v1.bolt/meta.db && test ! -e /var/lib/containerd")
        .good();
    let moved = install(&machine, &["--containerd-root=/srv/other"]);
    moved.fails(3, "'containerd_root' is '/srv/other', but this host was installed with '/srv/pods/images'");
    assert_eq!(install(&machine, &[]).code, 0, "what was settled need not be said again");
    token_is_nowhere(&machine, &token, &done.said());
    let mode = machine.sh("stat -c '%a %n' /etc/kubeedge/config/edgecore.yaml; ls /etc/kubeedge").good();
    assert!(mode.starts_with("600 ") && !mode.contains("bootstrap"), "{mode}");
    // as the kubelet in the real EdgeCore leaves it
    machine.sh("mount --bind /var/lib/kubelet /var/lib/kubelet").good();
    machine.run(&["edgelay", "edge", "uninstall", "--yes"]).good();
    assert_eq!(difference(&before, &contents(&machine)), NOTHING);
    machine.sh("test ! -e /srv/pods").good();
}
