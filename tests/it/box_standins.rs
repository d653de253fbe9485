//! The stand-ins in a throw-away machine with a real containerd: every case that was seen with the real programs.

use std::time::Duration;

use super::standins::wait_for;
use super::support::bed::{Bed, Ended, Machine, inputs};

const PATIENCE: Duration = Duration::from_secs(40);
const JOIN: [&str; 6] =
    ["keadm", "join", "--cloudcore-ipport=10.77.0.2:10000", "--kubeedge-version=v1.22.0", "--edgenode-name=n1", "-v=0"];

/// A machine made ready with tar and ctr; `knobs` are those of `by-hand`. keadm's ten seconds are 100 ms there.
fn ready<'b>(bed: &'b Bed, name: &'static str, knobs: &str) -> Machine<'b> {
    let machine = bed.machine(name);
    let inputs = inputs().to_str().unwrap();
    bed.script("by-hand", &[&[name, inputs][..], &knobs.split_whitespace().collect::<Vec<_>>()].concat()).good();
    machine.sh("mkdir -p /run/standin; echo 100 >/run/standin/keadm-tick-ms").good();
    machine
}

fn join(machine: &Machine<'_>, token: &str, more: &[&str]) -> Ended {
    let token = format!("--token={token}");
    machine.run(&[&JOIN[..], &[&token], more].concat())
}

/// Takes away what a failed join leaves.
fn clean(machine: &Machine<'_>) {
    machine.sh("systemctl disable -q --now edgecore; pkill edgecore; rm -rf /etc/kubeedge /etc/systemd/system/edgecore.service; \
                systemctl daemon-reload; true");
}

fn ready_condition(machine: &Machine<'_>) -> Option<serde_json::Value> {
    let text = machine.run(&["curl", "-s", "http://127.0.0.1:10550/api/v1/nodes/n1"]).out;
    let node: serde_json::Value = serde_json::from_str(&text).ok()?;
    node["status"]["conditions"].as_array()?.iter().find(|c| c["type"] == "Ready").cloned()
}

#[test]
fn the_network_of_a_bed_is_closed() {
    let Some(bed) = Bed::start("the_network_of_a_bed_is_closed") else { return };
    let machine = ready(&bed, "a", "");
    bed.script("net", &["isolated"]).good();
    let image = "docker.io/library/busybox:latest";
    machine.run(&["ctr", "-n", "k8s.io", "images", "pull", image]).fails(1, "failed to resolve reference");
    machine.run(&["curl", "-sS", "-m", "5", "https://1.1.1.1"]).fails(7, "");
    let null = std::fs::metadata("/dev/null").unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&null.permissions()) & 0o777, 0o666, "/dev/null of the host");
}

#[test]
fn a_good_join_ends_with_a_ready_node() {
    let Some(bed) = Bed::start("a_good_join_ends_with_a_ready_node") else { return };
    let machine = ready(&bed, "a", "");
    let done = join(&machine, &bed.token("good"), &["--set=modules.metaManager.metaServer.enable=true"]);
    assert_eq!(done.code, 0, "{}", done.said());
    assert!(done.err.trim_end().ends_with("] 10. Install Complete!"), "{}", done.err);
    let ready = wait_for(PATIENCE, || ready_condition(&machine)).unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&"True".into(), &"EdgeReady".into()));
    assert!(bed.cloud("nodes/n1").exists());
    let root = machine.root();
    assert!(!root.join("etc/kubeedge/bootstrap-edgecore.conf").exists());
    let unit = std::fs::metadata(root.join("etc/systemd/system/edgecore.service")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&unit.permissions()) & 0o7777, 0o755);
    // joined is joined
    join(&machine, "x", &[])
        .fails(1, "Error: EdgeCore is already running on this node, please run reset to clean up first");
    // reset of this release takes the unit away and crashes
    machine.run(&["keadm", "reset", "edge", "--force"]).fails(2, "invalid memory address or nil pointer dereference");
    assert!(root.join("etc/kubeedge/config/edgecore.yaml").exists());
}

#[test]
fn the_certificate_port_joins_and_never_registers() {
    let Some(bed) = Bed::start("the_certificate_port_joins_and_never_registers") else { return };
    let machine = ready(&bed, "a", "");
    let args =
        ["keadm", "join", "-e", "10.77.0.2:10002", "--kubeedge-version=1.22.0", "-i", "n1", "-t", &bed.token("good")];
    let done = machine.run(&args);
    assert_eq!(done.code, 0, "{}", done.said());
    let seen = wait_for(PATIENCE, || machine.journal("edgecore").contains("websocket: bad handshake").then_some(()));
    assert!(seen.is_some());
    assert!(!bed.cloud("nodes/n1").exists());
}

#[test]
fn without_a_conflist_the_node_is_not_ready() {
    let Some(bed) = Bed::start("without_a_conflist_the_node_is_not_ready") else { return };
    let machine = ready(&bed, "a", "NO_CNI=1");
    let done = join(&machine, &bed.token("good"), &["--set=modules.metaManager.metaServer.enable=true"]);
    assert_eq!(done.code, 0, "{}", done.said());
    let ready = wait_for(PATIENCE, || ready_condition(&machine)).unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&"False".into(), &"KubeletNotReady".into()));
    let message = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin \
                   returns error: cni plugin not initialized";
    assert_eq!(ready["message"], message);
}

#[test]
fn joins_fail_where_the_real_ones_fail() {
    let Some(bed) = Bed::start("joins_fail_where_the_real_ones_fail") else { return };
    let machine = ready(&bed, "a", "");
    let root = machine.root();
    let good = bed.token("good");
    let untouched = || assert!(!root.join("etc/kubeedge").exists(), "something was written");

    // before step 4: nothing is written
    machine.run(&["keadm", "join"]).fails(1, "Error: get current host and port failed: missing port in address");
    std::fs::write(bed.cloud("nodes/n1"), "").unwrap();
    let taken = "Error: node already exists or internal error occurred, cannot register again";
    join(&machine, &good, &[]).fails(1, taken);
    std::fs::remove_file(bed.cloud("nodes/n1")).unwrap();
    std::fs::write(bed.cloud("fail-node"), "").unwrap();
    join(&machine, &good, &[]).fails(1, taken);
    std::fs::remove_file(bed.cloud("fail-node")).unwrap();
    let refused = "Error: error making request: Get \"https://10.77.0.2:9/node/n1\": dial tcp 10.77.0.2:9: connect: connection refused";
    join(&machine, &good, &["--certport=9"]).fails(1, refused);
    untouched();

    // after step 4: no second try without cleaning
    let unset = join(&machine, &good, &["--set=modules.edged.rootDirectory=/x"]);
    unset.fails(
        1,
        "Error: edge node join failed: create edge config file failed: Modules.Edged.: No such field:  in Config",
    );
    assert!(root.join("etc/systemd/system/edgecore.service").exists());
    join(&machine, &good, &[])
        .fails(1, "Error: the management directory /etc/kubeedge/ is not clean, please remove it first");
    clean(&machine);
    join(&machine, &good, &["--cgroupdriver=foo"]).fails(1, "unsupported CGroupDriver: foo");
    clean(&machine);
    join(&machine, &good, &["--edgenode-name=Bad_Name"]).fails(1, "HostnameOverride: Invalid value");
    clean(&machine);

    // an expired token is found out by edgecore; all that keadm knows is that time ran out
    join(&machine, &bed.token("expired"), &[])
        .fails(1, "Error: edge node join failed: timed out waiting for the condition");
    assert!(machine.journal("edgecore").contains("token has invalid claims: token is expired"));
    assert_eq!(machine.sh("systemctl is-enabled edgecore").out, "enabled\n");
    clean(&machine);

    // programs that the machine lacks
    machine.sh("mkdir /away; mv /usr/bin/sudo /away").good();
    let line =
        "bash -c sudo systemctl daemon-reload && sudo systemctl enable edgecore && sudo systemctl start edgecore";
    let lost = format!("start edgecore failed: failed to exec [{line}], err: bash: line 1: sudo: command not found");
    join(&machine, &good, &[]).fails(1, &lost);
    assert!(root.join("etc/kubeedge/config/edgecore.yaml").exists());
    clean(&machine);
    machine.sh("mv /away/sudo /usr/bin; mv $(readlink -f /usr/bin/pidof) /away").good();
    join(&machine, &good, &[])
        .fails(1, "Error: check KubeEdge edgecore process status failed: failed to exec [bash -c pidof edgecore 2>&1]");
    untouched();
}

#[test]
fn joins_fail_over_the_container_runtime() {
    let Some(bed) = Bed::start("joins_fail_over_the_container_runtime") else { return };
    let good = bed.token("good");
    for (knobs, why) in [
        (
            "NO_PACKAGE=1",
            "pull Images failed: failed to pull image kubeedge/installation-package:v1.22.0, err: failed to pull and \
                          unpack image \"docker.io/kubeedge/installation-package:v1.22.0\": failed to resolve reference",
        ),
        (
            "NO_PAUSE=1",
            "copy resources failed: rpc error: code = Unknown desc = failed to get sandbox image \"docker.io/kubeedge/pause:3.6\"",
        ),
        ("SYSTEMD_CGROUP=true", "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups"),
    ] {
        let machine = ready(&bed, "a", knobs);
        join(&machine, &good, &[]).fails(1, why);
        assert!(machine.root().join("etc/kubeedge/config").exists(), "{knobs}");
    }
    let machine = ready(&bed, "a", "");
    machine.run(&["systemctl", "stop", "containerd"]).good();
    let down = "failed to new remote image service, err: validate service connection: validate CRI v1 image API for endpoint \
                \"unix:///run/containerd/containerd.sock\": rpc error: code = Unavailable";
    join(&machine, &good, &[]).fails(1, down);
}

#[test]
fn edgecore_minds_a_kubelet() {
    let Some(bed) = Bed::start("edgecore_minds_a_kubelet") else { return };
    let machine = ready(&bed, "a", "");
    machine.sh("cp /bin/sleep /root/kubelet; (setsid /root/kubelet 600 >/dev/null 2>&1 &)").good();
    join(&machine, &bed.token("good"), &[]).fails(1, "timed out waiting for the condition");
    let why =
        "failed to check the running environment: kubelet should not be running on edge node when starting edgecore";
    assert!(machine.journal("edgecore").contains(why), "{}", machine.journal("edgecore"));
}
