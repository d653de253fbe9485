//! A further node: its images are there before its k3s starts; what its server does not want of it is told; it goes again.

use super::*;

const SERVER: &str = "10.77.0.10:6443";
const TOKEN: &str = "/var/lib/rancher/k3s/server/node-token";
const STORE: &str = "/var/lib/rancher/k3s/agent/containerd";

/// A machine that has what a worker needs, but for its token.
pub(super) fn worker<'b>(bed: &'b Bed, name: &'static str) -> Machine<'b> {
    let worker = bed.machine("worker");
    worker.put(edgelay(), "/usr/local/bin/edgelay");
    worker.put(&bundle(name), "/root/cloud.bundle");
    worker
}

/// Leaves this token on the machine as a file of root's.
pub(super) fn give(worker: &Machine<'_>, token: &str) {
    worker.sh("umask 077; rm -f /root/token; : >/root/token").good();
    std::fs::write(worker.root().join("root/token"), token).unwrap();
}

pub(super) fn join(worker: &Machine<'_>, more: &[&str]) -> Ended {
    let server = format!("--server={SERVER}");
    let mut args =
        vec!["edgelay", "cloud", "worker", "install", "--bundle=/root/cloud.bundle", "--token-file=/root/token"];
    args.extend([server.as_str(), "--node-name=worker-1"]);
    // the last one counts
    args.retain(|arg| !more.iter().any(|other| other.split('=').next() == arg.split('=').next()));
    worker.run(&[&args[..], more].concat())
}

/// Starts of the agent.
fn starts(worker: &Machine<'_>) -> String {
    worker.sh("systemctl show -p ExecMainStartTimestampMonotonic -p NRestarts k3s-agent").good()
}

/// What lies in the store: blobs, and the snapshots' first directories.
fn store(worker: &Machine<'_>) -> String {
    let line = "find . \\( -path '*/blobs/*' -o -path './*/snapshots/*/fs' \\) -prune -printf '%p %i %T@\\n' | sort";
    worker.sh(&format!("cd {STORE} && {line}")).good()
}

/// What the kubelet finds when it is first started is what is there in the end.
pub(super) fn all_were_there_first(worker: &Machine<'_>) {
    let names = worker.sh("sort /run/k3s/standin-kubelet-images").good();
    let held = worker.sh("k3s ctr images ls -q | grep : | grep -v ^sha256: | grep -v @sha256: | sort").good();
    let missing: Vec<&str> = held.lines().filter(|name| !names.lines().any(|there| there == *name)).collect();
    assert!(held.contains("docker.io/rancher/mirrored-pause:3.6") && held.lines().count() >= 12, "{held}");
    assert_eq!(missing, NOTHING, "came after the kubelet, which began with: {names}");
}

#[test]
fn what_its_server_does_not_want_is_told() {
    let Some(bed) = Bed::start("what_its_server_does_not_want_is_told") else { return };
    let cloud = cloud(&bed, "cloud");
    good(install(&cloud, &[]), &cloud);
    let token = cloud.sh(&format!("cat {TOKEN}")).good();
    let (hash, password) = token.trim().trim_start_matches("K10").split_once("::").unwrap();
    // a server does not become a worker, and nothing of it is touched
    give(&cloud, &token);
    let before = (listing(&cloud), whole::running(&cloud));
    join(&cloud, &["--node-name=cloud-1"]).fails(3, "'k3s' is 'worker', but this machine was installed with 'managed'");
    assert_eq!((listing(&cloud), whole::running(&cloud)), before);

    let worker = worker(&bed, "cloud");
    let nothing =
        || worker.sh("ls -d /usr/local/bin/k3s /var/lib/edgelay/config.json /etc/rancher /var/lib/rancher").out;
    give(&worker, &token);
    worker.sh("chmod 644 /root/token").good();
    told(join(&worker, &[]), 3, "token file '/root/token'", "run 'chmod 600 /root/token'");
    give(&worker, &token);
    let hint = "start k3s on the server, let its port through every firewall in between, or correct the address";
    let closed = "--server=10.77.0.10:6444";
    told(join(&worker, &[closed]), 4, "10.77.0.10:6444 ", hint);
    worker.sh("python3 -c \"import socket; socket.sethostname('not_a_name')\"").good();
    let unnamed = worker.run(&[
        "edgelay",
        "cloud",
        "worker",
        "install",
        "--bundle=/root/cloud.bundle",
        "--token-file=/root/token",
        "--server=10.77.0.10:6443",
    ]);
    told(unnamed, 3, "not_a_name", "set 'node.name', or give --node-name NAME");
    worker.sh("mount -t tmpfs -o noexec none /var/lib").good();
    told(
        join(&worker, &[]),
        4,
        "mounted noexec, so no program runs from there: /var/lib/rancher",
        "remount it with 'mount -o remount,exec'",
    );
    worker.sh("umount /var/lib").good();
    assert_eq!(nothing(), "");

    // too little room for what k3s carries, let alone for images
    worker.sh("mkdir /var/lib/rancher && mount -t tmpfs -o size=20m none /var/lib/rancher").good();
    let seen = "/var/lib/rancher and /var/lib/rancher/k3s/data (what k3s unpacks of itself): needs ";
    join(&worker, &[]).fails(4, seen);
    let hint = "k3s needs room below '/var/lib/rancher', where it unpacks its programs, and programs must be allowed to run there";
    told(join(&worker, &["--ignore-check=disk-space"]), 6, "No space left on device", hint);
    assert_eq!(
        worker.sh("ls -A /var/lib/rancher/k3s/data; ls -d /etc/systemd/system/k3s-agent.service").out,
        ".lock\n"
    );
    worker.sh("umount /var/lib/rancher && rmdir /var/lib/rancher").good();

    // from here on only the server can tell; the images are in by then
    let mut first = None;
    let mut refused = |given: &str, more: &[&str], what: &str, hint: &str| {
        give(&worker, given);
        let ended = join(&worker, more);
        assert_eq!(ended.said().contains("Pre-imported 4 KubeEdge images"), first.is_none(), "{}", ended.said());
        let secret = given.trim().rsplit([':', '.']).next().unwrap();
        assert!(secret.len() < 8 || !ended.said().contains(secret), "the token is in the output");
        told(ended, 8, what, hint);
        let now = store(&worker);
        assert_eq!(first.get_or_insert_with(|| now.clone()), &now, "images were brought in again");
        assert!(!worker.root().join("run/k3s/containerd/containerd.sock").exists());
    };
    let whole = "give the token that lies on the server in '/var/lib/rancher/k3s/server/node-token', whole; one of 'k3s token create' ends after a day";
    let foreign = "the token is of another cluster, or of this one before it was made anew: see that 'server' is right, and give the token that lies there now";
    let other = "a".repeat(64);
    for (given, what, hint) in [
        (
            format!("K10{hash}::{}00000000\n", &password[..password.len() - 8]),
            "failed to retrieve configuration from server: not authorized",
            whole,
        ),
        (
            format!("K10{hash}::abcdef.0123456789abcdef\n"),
            "failed to retrieve configuration from server: not authorized",
            whole,
        ),
        (
            format!("K10{other}::{password}\n"),
            &format!(
                "Failed to validate connection to cluster at https://{SERVER}: token CA hash does not match the Cluster CA certificate hash: {other} != {hash}"
            ),
            foreign,
        ),
        (format!("K10{}::{password}\n", &hash[1..]), "invalid token CA hash length", whole),
        (format!("K10{hash}\n"), "invalid token format", whole),
    ] {
        refused(&given, &[], what, hint);
    }
    let name = "give a name that no other node has: --node-name NAME; or, if this is that very node made anew, run 'k3s kubectl delete node NAME' on the server; then run again";
    refused(&token, &["--node-name=cloud-1"], "the server refuses this node: time=", name);
    let away =
        "see that k3s runs on the server and that every firewall in between lets this machine reach it; then run again";
    let ignored = [closed, "--ignore-check=server", "--ready-timeout=10s"];
    refused(&token, &ignored, "failed to get CA certs: Get \\\"https://127.0.0.1:6444/cacerts\\\": read tcp", away);
    assert_eq!(worker.sh("journalctl -u k3s-agent | grep -c 'Running containerd'").out, "0\n");

    let done = join(&worker, &[]);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), worker.journal("k3s-agent"));
    assert_eq!(store(&worker), first.unwrap(), "images were brought in again");
    all_were_there_first(&worker);
}

/// Kills the install as soon as it is at its images, or shortly after. What it ran for them ends with it.
fn cut(worker: &Machine<'_>, after: &str) {
    let line = format!(
        "edgelay cloud worker install --bundle=/root/cloud.bundle --token-file=/root/token --server={SERVER} --node-name=worker-1"
    );
    let done = worker.sh(&format!(
        "{line} >/dev/null 2>&1 & pid=$!; for n in $(seq 2400); do grep -qs '\"images\"' /var/lib/edgelay/journal.jsonl && break; \
         kill -0 $pid || exit 3; sleep 0.02; done; sleep {after}; kill -9 $pid; wait $pid 2>/dev/null; sleep 0.3; \
         pgrep -af '[r]un/edgelay/stage'; true"
    ));
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.said());
    // a boot now starts no k3s whose images are not there
    let images = worker.sh("grep -c '\"finished\",\"key\":\"images\"' /var/lib/edgelay/journal.jsonl").out;
    let unit = worker.sh("ls -d /etc/systemd/system/k3s-agent.service /run/k3s").out;
    assert!(unit.is_empty() || images != "0\n", "{unit}");
}

#[test]
fn a_further_node_comes_and_goes() {
    let Some(bed) = Bed::start("a_further_node_comes_and_goes") else { return };
    let cloud = cloud(&bed, "cloud");
    good(install(&cloud, &[]), &cloud);
    let worker = worker(&bed, "cloud");
    let files = "find /usr/local /usr/libexec /etc /opt /run/edgelay /var/lib/kubelet /var/lib/edgelay /run/k3s /var/lib/rancher -xdev ! -path /etc/mtab -printf '%p %y %m %s\n' 2>/dev/null | sort";
    let before = worker.sh(files).out;
    give(&worker, &cloud.sh(&format!("cat {TOKEN}")).good());
    // how long they take depends on the machine: later cuts may find k3s started
    for after in ["0", "0.2", "0.4", "0.6", "0.8"] {
        cut(&worker, after);
    }
    let done = join(&worker, &[]);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), worker.journal("k3s-agent"));
    all_were_there_first(&worker);
    assert_eq!(worker.sh("stat -c %a /var/lib/rancher/k3s/agent; ls /run/edgelay | grep stage").out, "700\n");
    let green = || {
        let status = worker.run(&["edgelay", "cloud", "status"]);
        assert_eq!(status.code, 0, "{}\n{}", status.said(), worker.journal("k3s-agent"));
    };
    green();
    let ready = kubectl(&cloud, &["wait", "--for=condition=Ready", "node/worker-1", "--timeout=60s"]);
    assert_eq!(ready.code, 0, "{}", ready.said());

    // the token's file may go; nothing differs, so nothing is done
    worker.sh("rm /root/token").good();
    let (begun, held) = (starts(&worker), store(&worker));
    assert_eq!(join(&worker, &[]).code, 0);
    assert_eq!((starts(&worker), store(&worker)), (begun.clone(), held.clone()));
    // what is missing comes through the containerd that runs
    let gone = "docker.io/kubeedge/admission:v1.22.0";
    worker.sh(&format!("k3s ctr images rm --sync {gone}")).good();
    worker.run(&["edgelay", "cloud", "status"]).fails(11, gone);
    good(join(&worker, &[]), &worker);
    assert!(worker.sh("k3s ctr images ls -q").good().lines().any(|name| name == gone));
    assert_eq!(starts(&worker), begun);
    // so do those of a newer bundle
    worker.put(&bundle("newer"), "/root/cloud.bundle");
    good(join(&worker, &[]), &worker);
    assert!(worker.sh("k3s ctr images ls -q").good().contains("docker.io/kubeedge/cloudcore:v1.22.1\n"));
    assert_eq!(starts(&worker), begun);
    green();
    // another token counts when k3s starts
    let token = cloud.sh(&format!("cat {TOKEN}")).good();
    give(&worker, &token.replace("::server:", "::node:"));
    good(join(&worker, &[]), &worker);
    assert_ne!(starts(&worker), begun);
    green();
    // stopped, it is started again, and its images are known to be there
    worker.run(&["systemctl", "stop", "k3s-agent"]).good();
    let held = store(&worker);
    let stopped = worker.run(&["edgelay", "cloud", "status"]);
    stopped.fails(11, "k3s-agent is not running");
    let begun = worker.sh("sleep 4; date -u +%FT%TZ").good();
    good(join(&worker, &[]), &worker);
    let ready = "-o=jsonpath={.status.conditions[?(@.type==\"Ready\")].lastHeartbeatTime}";
    let heard = kubectl(&cloud, &["get", "node", "worker-1", ready]).good();
    assert!(heard.as_str() >= begun.trim(), "called ready by what was said before: {heard}, {begun}");
    assert_eq!(store(&worker), held);
    green();

    worker.reboot();
    let back = wait_for(PATIENCE, || (worker.run(&["edgelay", "cloud", "status"]).code == 0).then_some(()));
    assert!(back.is_some(), "{}", worker.run(&["edgelay", "cloud", "status"]).said());
    all_were_there_first(&worker);

    // it goes without its server
    cloud.run(&["systemctl", "stop", "k3s"]).good();
    let ended = worker.run(&["edgelay", "cloud", "uninstall", "--yes"]);
    assert!(ended.said().contains("until 'k3s kubectl delete node worker-1' is run on the server"), "{}", ended.said());
    ended.good();
    assert_eq!(worker.sh("pgrep -l 'k3s|containerd|kubectl'").out, "");
    worker.run(&["edgelay", "cloud", "uninstall", "--purge", "--yes"]).good();
    assert_eq!(difference(&before, &worker.sh(files).out), NOTHING);
}

/// A DaemonSet replaces one pod at a time, on nodes in no order, and a Deployment's pod may be given to any node: neither may
/// make the server wait for images that a further node has not got yet.
#[test]
fn an_upgrade_does_not_wait_for_further_nodes() {
    let Some(bed) = Bed::start("an_upgrade_does_not_wait_for_further_nodes") else { return };
    let cloud = cloud(&bed, "cloud");
    good(install(&cloud, &[]), &cloud);
    let worker = worker(&bed, "cloud");
    give(&worker, &cloud.sh(&format!("cat {TOKEN}")).good());
    good(join(&worker, &[]), &worker);
    let pods = |output: &str| {
        let rules = kubectl(&cloud, &["get", "pods", "-n=kubeedge", "-l=kubeedge=iptables-manager", output]).good();
        rules.trim().to_owned()
    };
    let ready = r#"-o=jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#;
    assert!(wait_for(PATIENCE, || (pods(ready) == "True True").then_some(())).is_some(), "{}", pods("-o=yaml"));

    cloud.put(&bundle("newer"), "/root/cloud.bundle");
    let said = good(install(&cloud, &["--ready-timeout=60s"]), &cloud);
    // Its pod is the new one, which lacks its image, or still the old one.
    let hint = "; run 'edgelay cloud worker install' there with this bundle";
    let told = said.lines().find(|line| line.contains("on node 'worker-1' ")).unwrap_or_default();
    assert!(told.ends_with(hint) && (told.contains("Pull") || told.contains("still runs version v1.22.0")), "{said}");
    is_green(&cloud);
    let manager = field(&cloud, "pods", ".items[?(@.metadata.labels.kubeedge==\"controller-manager\")].spec.nodeName");
    assert_eq!(manager, "cloud-1");

    worker.put(&bundle("newer"), "/root/cloud.bundle");
    good(join(&worker, &[]), &worker);
    assert!(wait_for(PATIENCE, || (pods(ready) == "True True").then_some(())).is_some(), "{}", pods("-o=yaml"));
    assert!(!pods("-o=jsonpath={.items[*].spec.containers[0].image}").contains("v1.22.0"));
}
