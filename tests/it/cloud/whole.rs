//! Installs that come to their end: alone, with an edge and a worker, cut on the way, on a k3s that was there.

use super::*;

/// When k3s was started, which pods there are, and which blobs in the store.
fn running(machine: &Machine<'_>) -> String {
    let starts = machine.sh("systemctl show -p ExecMainStartTimestampMonotonic -p NRestarts k3s").good();
    let pods = kubectl(machine, &["get", "pods", "-A", "-o=name"]).good();
    let store = "cd /var/lib/rancher/k3s/agent/containerd && find . -path '*/blobs/*' -printf '%p %T@\\n' | sort";
    format!("{starts}{pods}{}", machine.sh(store).good())
}

fn join_edge(bed: &Bed, cloud: &Machine<'_>) {
    let edge = bed.machine("edge");
    edge.put(edgelay(), "/usr/local/bin/edgelay");
    edge.put(bundle("edge"), "/root/edge.bundle");
    edge.sh("mkdir -p /run/standin; echo 100 >/run/standin/keadm-tick-ms; umask 077; : >/root/join.json").good();
    let join = std::fs::read_to_string(cloud.root().join(&JOIN_FILE[1..])).unwrap();
    let install = |join: &str| {
        std::fs::write(edge.root().join("root/join.json"), join).unwrap();
        let args = ["--bundle=/root/edge.bundle", "--join-file=/root/join.json", "--node-name=edge-1"];
        edge.run(&[&["edgelay", "edge", "install"][..], &args].concat())
    };
    let token = cloud.run(&["keadm", "gettoken", "--kube-config=/etc/rancher/k3s/k3s.yaml"]).good();
    let mint = "python3 -B /var/lib/rancher/k3s/data/*/apiserver/standin-cloud token /var/lib/rancher/k3s/server/db/cloudcore expired";
    let expired = cloud.sh(mint).good();
    let late = install(&join.replace(token.trim(), expired.trim()));
    assert!(late.said().contains("the token ended at "), "{}", late.said());
    assert_eq!(late.code, 4, "{}", late.said());
    let done = install(&join);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), edge.journal("edgecore"));
    let known = wait_for(PATIENCE, || (kubectl(cloud, &["get", "node", "edge-1"]).code == 0).then_some(()));
    assert!(known.is_some(), "{}", kubectl(cloud, &["get", "nodes"]).said());
    assert_eq!(edge.run(&["edgelay", "status"]).code, 0);
    // nothing of the cloud's was sent to the edge
    let path = "-o=jsonpath={.items[?(@.spec.nodeName==\"edge-1\")].metadata.name}";
    assert_eq!(kubectl(cloud, &["get", "pods", "-A", path]).good(), "");
}

fn join_worker(bed: &Bed, cloud: &Machine<'_>) {
    let worker = bed.machine("worker");
    worker.put(edgelay(), "/usr/local/bin/edgelay");
    worker.put(bundle("cloud"), "/root/cloud.bundle");
    let token = cloud.sh("cat /var/lib/rancher/k3s/server/node-token").good();
    let give = |token: &str| {
        worker.sh("umask 077; : >/root/token").good();
        std::fs::write(worker.root().join("root/token"), token).unwrap();
    };
    let install = || {
        worker.run(&[
            "edgelay",
            "cloud",
            "worker",
            "install",
            "--bundle=/root/cloud.bundle",
            "--server=10.77.0.10:6443",
            "--token-file=/root/token",
            "--node-name=worker-1",
        ])
    };
    let wrong = format!("{}{}\n", &token.trim()[..token.trim().len() - 8], "00000000");
    give(&wrong);
    let refused = install();
    assert!(!refused.said().contains(wrong.trim().rsplit(':').next().unwrap()), "the token is in the output");
    refused.fails(8, "401 Unauthorized");
    give(&token);
    let done = install();
    assert_eq!(done.code, 0, "{}\n{}", done.said(), worker.journal("k3s-agent"));
    let ready = kubectl(cloud, &["wait", "--for=condition=Ready", "node/worker-1", "--timeout=60s"]);
    assert_eq!(ready.code, 0, "{}", ready.said());
    // its own pods run there, from its own images
    let path = "-o=jsonpath={.items[?(@.spec.nodeName==\"worker-1\")].status.phase}";
    let runs = wait_for(PATIENCE, || {
        let phases = kubectl(cloud, &["get", "pods", "-n=kubeedge", path]).out;
        (!phases.is_empty() && phases.split(' ').all(|phase| phase == "Running")).then_some(())
    });
    assert!(runs.is_some(), "{}", kubectl(cloud, &["get", "pods", "-A", "-o=wide"]).said());
}

#[test]
fn a_cloud_is_made_and_an_edge_and_a_worker_join_it() {
    let Some(bed) = Bed::start("a_cloud_is_made_and_an_edge_and_a_worker_join_it") else { return };
    let machine = cloud(&bed);
    let said = good(install(&machine, &[]), &machine);
    assert!(said.contains("Pre-imported 4 KubeEdge images"), "{said}");
    is_green(&machine);
    let token = machine.run(&["keadm", "gettoken", "--kube-config=/etc/rancher/k3s/k3s.yaml"]).good();
    assert!(!said.contains(token.trim().rsplit('.').next().unwrap()), "the token is in the output");
    assert_eq!(machine.sh(&format!("stat -c %a {JOIN_FILE} /etc/rancher/k3s/k3s.yaml")).good(), "600\n600\n");
    let yaml =
        kubectl(&machine, &["get", "-n=kubeedge", "cm/cloudcore", "-o=jsonpath={.data.cloudcore\\.yaml}"]).good();
    assert!(yaml.contains("dynamicController:\n    enable: true\n"), "{yaml}");
    assert!(yaml.contains(&format!("advertiseAddress:\n    - {ADDRESS}\n")), "{yaml}");

    let before = (listing(&machine), running(&machine));
    good(install(&machine, &[]), &machine);
    assert_eq!(difference(&before.0, &listing(&machine)), NOTHING, "a second run touched files");
    assert_eq!(difference(&before.1, &running(&machine)), NOTHING, "a second run started or sent something");

    join_edge(&bed, &machine);
    join_worker(&bed, &machine);

    machine.reboot();
    let back = wait_for(PATIENCE, || (machine.run(&["edgelay", "cloud", "status"]).code == 0).then_some(()));
    assert!(back.is_some(), "{}", machine.run(&["edgelay", "cloud", "status"]).said());
    machine.run(&["edgelay", "cloud", "token", "-o", "/root/new.json"]).good();
    assert_eq!(machine.sh("stat -c %a /root/new.json").good(), "600\n");
}

#[test]
fn what_was_made_goes_and_the_data_with_purge_only() {
    let Some(bed) = Bed::start("what_was_made_goes_and_the_data_with_purge_only") else { return };
    let machine = cloud(&bed);
    let files = "find /usr/local /etc /opt /var/lib/kubelet /run/k3s /var/lib/rancher -xdev ! -path /etc/mtab -printf '%p %y %m %s\\n' \
                 2>/dev/null | sort";
    let before = machine.sh(files).out;
    good(install(&machine, &[]), &machine);
    machine.run(&["edgelay", "cloud", "uninstall", "--yes"]).good();
    let left = difference(&before, &machine.sh(files).out);
    assert!(left.iter().all(|line| line.contains("/rancher")), "{left:?}");
    assert!(machine.root().join("var/lib/rancher/k3s/server/db/standin.json").exists(), "the data is gone");
    assert_eq!(machine.sh("pgrep -l 'k3s|containerd|kubectl'").out, "");
    // the cluster comes back as it was
    good(install(&machine, &[]), &machine);
    is_green(&machine);
    machine.run(&["edgelay", "cloud", "uninstall", "--purge", "--yes"]).good();
    assert_eq!(difference(&before, &machine.sh(files).out), NOTHING);
    assert_eq!(machine.sh("systemctl list-unit-files --no-legend k3s.service").out, "");
}

/// Kills the install as soon as its journal tells that this step has begun, or shortly after.
fn cut(machine: &Machine<'_>, step: &str, after: &str) {
    let line = INSTALL.join(" ");
    let done = machine.sh(&format!(
        "{line} >/dev/null 2>&1 & pid=$!; for n in $(seq 2400); do grep -qs '\"{step}\"' /var/lib/edgelay/journal.jsonl && break; \
         kill -0 $pid || exit 3; sleep 0.05; done; sleep {after}; kill -9 $pid; wait $pid 2>/dev/null; true"
    ));
    assert_eq!(done.code, 0, "the install ended before step '{step}': {}", done.said());
}

#[test]
fn a_cut_install_goes_on() {
    let Some(bed) = Bed::start("a_cut_install_goes_on") else { return };
    let machine = cloud(&bed);
    for (step, after) in
        [("components", "0.1"), ("k3s-start", "0.5"), ("images", "0.2"), ("cloudcore", "0.4"), ("cloudcore", "3")]
    {
        cut(&machine, step, after);
    }
    good(install(&machine, &[]), &machine);
    is_green(&machine);
    let before = running(&machine);
    good(install(&machine, &[]), &machine);
    assert_eq!(difference(&before, &running(&machine)), NOTHING);
}

#[test]
fn a_k3s_that_was_there_is_used_and_left() {
    let Some(bed) = Bed::start("a_k3s_that_was_there_is_used_and_left") else { return };
    let machine = cloud(&bed);
    machine.put(&cloud_inputs().join("components/k3s"), "/usr/local/bin/k3s");
    machine
        .sh("mkdir -p /etc/rancher/k3s; printf 'node-name: cloud-1\\negress-selector-mode: disabled\\n' >/etc/rancher/k3s/config.yaml; \
             printf '[Service]\\nType=notify\\nKillMode=process\\nExecStart=/usr/local/bin/k3s server\\n' >/etc/systemd/system/k3s.service; \
             systemctl start k3s")
        .good();
    let starts = machine.sh("systemctl show -p ExecMainStartTimestampMonotonic k3s").good();
    let init = ["edgelay", "cloud", "init", "--bundle=/root/cloud.bundle", "--config=/root/cloud.json"];
    // somebody else's KubeEdge is not touched
    let space = "apiVersion: v1\\nkind: Namespace\\nmetadata: {name: kubeedge}";
    machine.sh(&format!("printf '{space}\\n' | k3s kubectl create -f -")).good();
    let refused = machine.run(&init);
    assert_eq!(refused.code, 8, "{}", refused.said());
    kubectl(&machine, &["delete", "namespace", "kubeedge", "--timeout=60s"]).good();
    let said = good(machine.run(&init), &machine);
    // its version is known only by asking it
    assert_eq!(said.matches("was tested with Kubernetes 1.29 to 1.31, this is v1.34").count(), 1, "{said}");
    is_green(&machine);
    machine.run(&["edgelay", "cloud", "uninstall", "--yes"]).good();
    assert_eq!(machine.sh("systemctl show -p ExecMainStartTimestampMonotonic k3s").good(), starts);
    let gone = wait_for(PATIENCE, || (kubectl(&machine, &["get", "namespace", "kubeedge"]).code == 1).then_some(()));
    assert!(gone.is_some());
    assert!(machine.root().join("usr/local/bin/k3s").exists());
}
