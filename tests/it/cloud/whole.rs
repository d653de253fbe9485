//! Installs that come to their end: alone, with an edge and a worker, cut on the way, on a k3s that was there.

use super::*;

/// When k3s was started, which pods there are, and which blobs in the store.
pub(super) fn running(machine: &Machine<'_>) -> String {
    let starts = machine.sh("systemctl show -p ExecMainStartTimestampMonotonic -p NRestarts k3s").good();
    let pods = kubectl(machine, &["get", "pods", "-A", "-o=name"]).good();
    let store = "cd /var/lib/rancher/k3s/agent/containerd && find . -path '*/blobs/*' -printf '%p %T@\\n' | sort";
    format!("{starts}{pods}{}", machine.sh(store).good())
}

/// Join files that are over, of another cloud, or not of one piece: each told with its cause and what to do.
fn what_no_edge_can_join_with(cloud: &Machine<'_>, join: &str, install: impl Fn(&str) -> Ended) {
    const DIR: &str = "/var/lib/rancher/k3s/server/db/cloudcore";
    let token = cloud.run(&["keadm", "gettoken", "--kube-config=/etc/rancher/k3s/k3s.yaml"]).good();
    let token = token.trim();
    let mint = |kind: &str| {
        let script = "/var/lib/rancher/k3s/data/current/apiserver/standin-cloud";
        cloud.sh(&format!("python3 -B {script} token {DIR} {kind}")).good().trim().to_owned()
    };
    let with = |token: &str, hash: &str| {
        let old = join.lines().find(|line| line.contains("\"ca_hash\"")).unwrap();
        join.replace(old, &format!("  \"ca_hash\": \"{hash}\",")).replace(&token_of(join), token)
    };
    let hash = |token: &str| token.split('.').next().unwrap().to_owned();
    let [expired, foreign, forged] = ["expired", "foreign", "forged"].map(mint);
    let new = "get a new token with 'edgelay cloud token' or 'keadm gettoken' in the cloud and run again";
    for (given, code, what, hint) in [
        (with(&expired, &hash(&expired)), 4, "the token ended at ", "fetch a new token with 'edgelay cloud token' or "),
        (
            with(token, &"a".repeat(64)),
            4,
            "join file '/root/join.json': 'ca_hash' is not that of its token",
            "write it anew in the cloud with 'edgelay cloud token', and copy it whole",
        ),
        (
            with(&foreign, &hash(&foreign)),
            8,
            "EdgeCore gets no certificate: failed to validate CA certificate. tokenCAhash: ",
            "the token belongs to another cloud: get it with 'edgelay cloud token' or 'keadm gettoken' from the cloud that cloud.host names",
        ),
        (with(&forged, &hash(&forged)), 8, "token signature is invalid", new),
        // good by the edge's clock, over by the cloud's
        (join.to_owned(), 8, "token has invalid claims: token is expired", new),
    ] {
        cloud.sh(&format!("rm -f {DIR}/clock-ahead")).good();
        if given == join {
            cloud.sh(&format!("echo 100000 >{DIR}/clock-ahead")).good();
        }
        let ended = install(&given);
        assert!(ended.said().contains(&format!("hint: {hint}")), "no hint '{hint}' in: {}", ended.said());
        ended.fails(code, what);
    }
    cloud.sh(&format!("rm {DIR}/clock-ahead")).good();
}

fn token_of(join: &str) -> String {
    join.split("\"token\": \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned()
}

fn join_edge(bed: &Bed, cloud: &Machine<'_>) {
    let edge = bed.machine("edge");
    edge.put(edgelay(), "/usr/local/bin/edgelay");
    edge.put(&bundle("edge"), "/root/edge.bundle");
    edge.sh("mkdir -p /run/standin; echo 100 >/run/standin/keadm-tick-ms; umask 077; : >/root/join.json").good();
    let join = std::fs::read_to_string(cloud.root().join(&JOIN_FILE[1..])).unwrap();
    let install = |join: &str| {
        std::fs::write(edge.root().join("root/join.json"), join).unwrap();
        let args = ["--bundle=/root/edge.bundle", "--join-file=/root/join.json", "--node-name=edge-1"];
        edge.run(&[&["edgelay", "edge", "install"][..], &args].concat())
    };
    what_no_edge_can_join_with(cloud, &join, install);
    let done = install(&join);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), edge.journal("edgecore"));
    let known = wait_for(PATIENCE, || (kubectl(cloud, &["get", "node", "edge-1"]).code == 0).then_some(()));
    assert!(known.is_some(), "{}", kubectl(cloud, &["get", "nodes"]).said());
    assert_eq!(edge.run(&["edgelay", "status"]).code, 0);
    // EdgeMesh was asked for by the join file
    let yaml = std::fs::read_to_string(edge.root().join("etc/kubeedge/config/edgecore.yaml")).unwrap();
    assert!(yaml.contains("clusterDNS:\n") && yaml.contains("- 169.254.96.16\n"), "{yaml}");
    let server = yaml.split("metaServer:").nth(1).unwrap_or_default();
    assert!(server.lines().take(20).any(|line| line.trim() == "enable: true"), "{yaml}");
    // of all that runs in the cloud only EdgeMesh's agent was sent to the edge
    let sent = kubectl(cloud, &["get", "pods", "-A", "--field-selector=spec.nodeName=edge-1", "-o=name"]).good();
    assert!(sent.starts_with("pod/edgemesh-agent-") && sent.lines().count() == 1, "{sent}");
}

fn join_worker(bed: &Bed, cloud: &Machine<'_>) {
    let worker = worker::worker(bed, "mesh");
    worker::give(&worker, &cloud.sh("cat /var/lib/rancher/k3s/server/node-token").good());
    let done = worker::join(&worker, &[]);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), worker.journal("k3s-agent"));
    worker::all_were_there_first(&worker);
    // its own pods run there, from its own images
    let path = "-o=jsonpath={.items[?(@.spec.nodeName==\"worker-1\")].status.phase}";
    let runs = wait_for(PATIENCE, || {
        let phases = kubectl(cloud, &["get", "pods", "-n=kubeedge", path]).out;
        (!phases.is_empty() && phases.split(' ').all(|phase| phase == "Running")).then_some(())
    });
    assert!(runs.is_some(), "{}", kubectl(cloud, &["get", "pods", "-A", "-o=wide"]).said());
}

/// EdgeMesh runs with a key of its own and this node as the relay; returns the key as the cluster has it.
fn meshed(machine: &Machine<'_>, said: &str) -> String {
    let key = field(machine, "secret/edgemesh-agent-psk", ".data.psk");
    let plain = machine.sh(&format!("echo {key} | base64 -d")).good();
    assert!(plain.len() == 64 && plain.bytes().all(|b| b.is_ascii_hexdigit()), "'{plain}' is no key of 32 bytes");
    assert!(!said.contains(&plain), "the key is in the output");
    let holders = machine
        .sh(&format!("grep -rlI {plain} /var/lib/edgelay /var/log /etc /root /run /tmp; journalctl | grep {plain}"));
    assert_eq!(holders.said(), "", "the key is on the disk");
    let config = field(machine, "cm/edgemesh-agent-cfg", ".data.edgemesh-agent\\.yaml");
    assert!(
        config.contains(&format!(r#""relayNodes":[{{"nodeName":"cloud-1","advertiseAddress":["{ADDRESS}"]}}]"#)),
        "{config}"
    );
    let label = "-o=jsonpath={.metadata.labels}";
    let labels = kubectl(machine, &["get", "service", "kubernetes", "-n=default", label]).good();
    assert!(labels.contains(r#""service.edgemesh.kubeedge.io/service-proxy-name":"""#), "{labels}");
    for kind in ["destinationrules", "gateways", "virtualservices"] {
        kubectl(machine, &["get", &format!("crd/{kind}.networking.istio.io")]).good();
    }
    let ready = r#"-o=jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#;
    let agent =
        ["get", "pods", "-n=kubeedge", "-l=kubeedge=edgemesh-agent", "--field-selector=spec.nodeName=cloud-1", ready];
    assert_eq!(kubectl(machine, &agent).good(), "True");
    key
}

/// Nodes by the hundred, as large as real ones are: no answer of kubectl is longer than what is kept of a program's words.
fn a_crowd_joins(machine: &Machine<'_>) {
    const EDGES: usize = 300;
    const WORKERS: usize = 150;
    let node = |(name, role): (String, &str)| {
        let image = |n: usize| format!(r#"{{"names":["registry.example/team/{n}@sha256:{n:064}"],"sizeBytes":{n}}}"#);
        let images: Vec<String> = (0..50).map(image).collect();
        format!(
            r#"{{"apiVersion":"v1","kind":"Node","metadata":{{"name":"{name}","labels":{{{role}}}}},"spec":{{}},"status":{{"images":[{}]}}}}"#,
            images.join(",")
        )
    };
    let edges = (0..EDGES).map(|n| (format!("crowd-edge-{n}"), r#""node-role.kubernetes.io/edge":"""#));
    let workers = (0..WORKERS).map(|n| (format!("crowd-worker-{n}"), ""));
    let nodes: Vec<String> = edges.chain(workers).map(node).collect();
    let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{}]}}"#, nodes.join(","));
    std::fs::write(machine.root().join("root/crowd.json"), list).unwrap();
    kubectl(machine, &["create", "--filename=/root/crowd.json"]).good();
    let pods = |output: &str| kubectl(machine, &["get", "pods", "-n=kubeedge", "-l=kubeedge=iptables-manager", output]);
    let there = wait_for(PATIENCE, || (pods("-o=name").good().lines().count() > WORKERS).then_some(()));
    assert!(there.is_some(), "{}", pods("-o=wide").out);
    assert!(pods("-o=json").good().len() > 256 << 10, "the crowd is too small to show anything");
    is_green(machine);
    good(install(machine, &[]), machine);
    kubectl(machine, &["delete", "--filename=/root/crowd.json", "--wait=false"]).good();
}

/// Another address: CloudCore has it in its certificate, EdgeMesh's agents are started again with it on every node.
fn an_address_is_added(machine: &Machine<'_>) {
    const BOTH: &str = "10.77.0.10,192.0.2.77";
    let agents = || {
        let agents = ["get", "pods", "-n=kubeedge", "-l=kubeedge=edgemesh-agent", "-o=name"];
        kubectl(machine, &agents).good().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, key) = (agents(), field(machine, "secret/edgemesh-agent-psk", ".data.psk"));
    assert_eq!(before.len(), 3, "{before:?}");
    // cut when keadm is done, and CloudCore neither has its new certificate nor was started again
    machine.sh("mkdir -p /run/standin; : >/run/standin/keadm-last").good();
    assert_eq!(install(machine, &[&format!("--advertise-address={BOTH}")]).code, 137);
    machine.sh("rm /run/standin/keadm-last").good();
    machine.run(&["edgelay", "cloud", "status"]).fails(11, "CloudCore was not started again");
    good(install(machine, &[&format!("--advertise-address={BOTH}")]), machine);
    is_green(machine);
    let anew = wait_for(PATIENCE, || {
        let now = agents();
        (now.len() == before.len() && now.iter().all(|agent| !before.contains(agent))).then_some(())
    });
    assert!(anew.is_some(), "{before:?}, then {:?}", agents());
    let config = field(machine, "cm/edgemesh-agent-cfg", ".data.edgemesh-agent\\.yaml");
    assert!(config.contains(r#""advertiseAddress":["10.77.0.10","192.0.2.77"]"#), "{config}");
    assert_eq!(field(machine, "secret/edgemesh-agent-psk", ".data.psk"), key);
    let shown = machine
        .sh("openssl s_client -connect 127.0.0.1:10002 </dev/null 2>/dev/null | openssl x509 -noout -ext subjectAltName")
        .good();
    assert!(shown.contains("192.0.2.77"), "{shown}");
    let join = std::fs::read_to_string(machine.root().join(&JOIN_FILE[1..])).unwrap();
    assert!(join.contains(r#""addresses": ["10.77.0.10", "192.0.2.77"]"#), "no second address in the join file");
}

#[test]
fn a_cloud_is_made_and_an_edge_and_a_worker_join_it() {
    let Some(bed) = Bed::start("a_cloud_is_made_and_an_edge_and_a_worker_join_it") else { return };
    let machine = cloud(&bed, "mesh");
    let said = good(install(&machine, &[]), &machine);
    assert!(said.contains("Pre-imported 4 KubeEdge images"), "{said}");
    is_green(&machine);
    let token = machine.run(&["keadm", "gettoken", "--kube-config=/etc/rancher/k3s/k3s.yaml"]).good();
    assert!(!said.contains(token.trim().rsplit('.').next().unwrap()), "the token is in the output");
    assert_eq!(machine.sh(&format!("stat -c %a {JOIN_FILE} /etc/rancher/k3s/k3s.yaml")).good(), "600\n600\n");
    let yaml = field(&machine, "cm/cloudcore", ".data.cloudcore\\.yaml");
    assert!(yaml.contains("dynamicController:\n    enable: true\n"), "{yaml}");
    assert!(yaml.contains(&format!("advertiseAddress:\n    - {ADDRESS}\n")), "{yaml}");

    // none waits for its image: done is done
    let pods = "-o=jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}";
    assert_eq!(kubectl(&machine, &["get", "pods", "-A", pods]).good(), "");
    let key = meshed(&machine, &said);

    let before = (listing(&machine), running(&machine));
    good(install(&machine, &[]), &machine);
    assert_eq!(difference(&before.0, &listing(&machine)), NOTHING, "a second run touched files");
    assert_eq!(difference(&before.1, &running(&machine)), NOTHING, "a second run started or sent something");
    assert_eq!(field(&machine, "secret/edgemesh-agent-psk", ".data.psk"), key);

    join_edge(&bed, &machine);
    join_worker(&bed, &machine);
    an_address_is_added(&machine);

    machine.reboot();
    let back = wait_for(PATIENCE, || (machine.run(&["edgelay", "cloud", "status"]).code == 0).then_some(()));
    assert!(back.is_some(), "{}", machine.run(&["edgelay", "cloud", "status"]).said());
    machine.run(&["edgelay", "cloud", "token", "-o", "/root/new.json"]).good();
    assert_eq!(machine.sh("stat -c %a /root/new.json").good(), "600\n");

    a_crowd_joins(&machine);

    // EdgeMesh is switched off: its agents go, and edges are told
    good(install(&machine, &["--edgemesh=false"]), &machine);
    is_green(&machine);
    let left = ["get", "pods,daemonsets", "-n=kubeedge", "-l=kubeedge=edgemesh-agent", "-o=name"];
    let gone = wait_for(PATIENCE, || kubectl(&machine, &left).good().is_empty().then_some(()));
    assert!(gone.is_some(), "{}", kubectl(&machine, &left).out);
    let join = std::fs::read_to_string(machine.root().join(&JOIN_FILE[1..])).unwrap();
    assert!(join.contains(r#""edgemesh": false"#), "the join file says otherwise");
}

#[test]
fn what_was_made_goes_and_the_data_with_purge_only() {
    let Some(bed) = Bed::start("what_was_made_goes_and_the_data_with_purge_only") else { return };
    let machine = cloud(&bed, "cloud");
    let files = "find /usr/local /usr/libexec /etc /opt /root /run/edgelay /var/lib/kubelet /var/lib/edgelay /run/k3s /var/lib/rancher -xdev ! -path /etc/mtab -printf '%p %y %m %s\\n' \
                 2>/dev/null | sort";
    // UTC, without a file that says so
    machine.sh("rm -f /etc/localtime").good();
    let before = machine.sh(files).out;
    // keadm panics on a host without a package manager: it gets one, for its one call
    machine.sh("rm /usr/bin/apt; ! command -v apt && ! command -v yum && ! command -v pacman").good();
    // nor does it have to wait for the cluster's DNS, as a newer one would
    machine.sh("mkdir -p /run/standin; : >/run/standin/keadm-preflight").good();
    good(install(&machine, &[]), &machine);
    // as a cut leaves it between its writing and its removal
    machine.sh("echo secret >/var/lib/edgelay/manifest.json").good();
    // a pod's network, which lasts as long as it is mounted, and one of somebody else's
    let pod = "ip netns add mine; ip netns add cni-1; cd /sys/fs/cgroup/pids; mkdir -p kubepods; \
               setsid nsenter --net=/run/netns/cni-1 sleep 1000 >/dev/null 2>&1 & echo $! >kubepods/cgroup.procs";
    machine.sh(pod).good();
    machine.run(&["edgelay", "cloud", "uninstall", "--yes"]).good();
    assert_eq!(machine.sh("ip netns list; pgrep -a sleep").out, "mine\n");
    let left = difference(&before, &machine.sh(files).out);
    let kept = ["/rancher", "/var/lib/edgelay/journal.jsonl ", "/var/lib/edgelay/lock ", "/var/lib/edgelay "];
    assert!(left.iter().all(|line| kept.iter().any(|kept| line.contains(kept))), "{left:?}");
    assert!(machine.root().join("var/lib/rancher/k3s/server/db/standin.json").exists(), "the data is gone");
    assert_eq!(machine.sh("pgrep -l 'k3s|containerd|kubectl'").out, "");
    // the cluster comes back as it was, but for what is no longer wanted
    let traefik = ["get", "helmcharts,jobs,deployments,daemonsets", "-n=kube-system", "-o=name"];
    good(install(&machine, &["--disable=traefik"]), &machine);
    is_green(&machine);
    let found = kubectl(&machine, &traefik).good();
    assert!(found.contains("metrics-server") && !found.contains("traefik"), "{found}");
    machine.sh("rm -r /root/.kube").good();
    machine.run(&["edgelay", "cloud", "uninstall", "--purge", "--yes"]).good();
    assert_eq!(difference(&before, &machine.sh(files).out), NOTHING);
    assert_eq!(machine.sh("systemctl list-unit-files --no-legend k3s.service").out, "");
}

/// Kills the install as soon as its journal tells that this step has begun, or shortly after.
pub(super) fn cut(machine: &Machine<'_>, step: &str, after: &str) {
    let line = INSTALL.join(" ");
    let done = machine.sh(&format!(
        "{line} >/dev/null 2>&1 & pid=$!; for n in $(seq 2400); do grep -qs '\"{step}\"' /var/lib/edgelay/journal.jsonl && break; \
         kill -0 $pid || exit 3; sleep 0.05; done; sleep {after}; kill -9 $pid; wait $pid 2>/dev/null; true"
    ));
    assert_eq!(done.code, 0, "the install ended before step '{step}': {}", done.said());
}

/// k3s has made its pods, and none may fail for want of its image.
fn no_pod_is_given_out(machine: &Machine<'_>) {
    let made = wait_for(PATIENCE, || {
        kubectl(machine, &["get", "pods", "-A", "-o=name"]).out.contains("coredns").then_some(())
    });
    assert!(made.is_some(), "{}", machine.journal("k3s"));
    assert_eq!(kubectl(machine, &["get", "pods", "-A", "-o=jsonpath={.items[*].spec.nodeName}"]).good(), "");
    machine
        .run(&["edgelay", "cloud", "status"])
        .fails(11, "the node takes no pods, as if its images were still awaited");
}

#[test]
fn a_cut_install_goes_on() {
    let Some(bed) = Bed::start("a_cut_install_goes_on") else { return };
    let machine = cloud(&bed, "cloud");
    for (step, after) in
        [("components", "0.1"), ("k3s-start", "0.5"), ("images", "0"), ("cloudcore", "0.4"), ("cloudcore", "3")]
    {
        cut(&machine, step, after);
        if step == "images" {
            no_pod_is_given_out(&machine);
        }
    }
    good(install(&machine, &[]), &machine);
    is_green(&machine);
    let before = running(&machine);
    good(install(&machine, &[]), &machine);
    assert_eq!(difference(&before, &running(&machine)), NOTHING);
    let set = field(&machine, "daemonsets", ".items[*].spec.template.spec.containers[*].image");
    assert_eq!(set, "kubeedge/iptables-manager:v1.22.0", "a broker, or rules, without their image in the bundle");
    an_upgrade_goes_on(&machine);
}

/// A newer KubeEdge on the cloud that runs. The upgrade ends in the middle: keadm dies when half of the release's objects
/// are the new ones, CloudCore's among them; then edgelay is killed.
fn an_upgrade_goes_on(machine: &Machine<'_>) {
    let versions = || field(machine, "pods", ".items[*].spec.containers[0].image");
    let token = |machine: &Machine<'_>| machine.sh(&format!("grep -o '\"ca_hash\".*' {JOIN_FILE}")).good();
    let (k3s, trust) = (machine.sh("systemctl show -p ExecMainStartTimestampMonotonic k3s").good(), token(machine));
    machine.put(&bundle("newer"), "/root/cloud.bundle");
    machine.sh("mkdir -p /run/standin; echo 20 >/run/standin/keadm-cut").good();
    let failed = install(machine, &[]);
    assert!(failed.said().contains("Pre-imported 5 KubeEdge images"), "{}", failed.said());
    failed.fails(8, "keadm upgrade cloud");
    let release = ["get", "secrets", "-n=kubeedge", "-l=owner=helm", "-o=jsonpath={.items[*].metadata.labels.status}"];
    assert!(kubectl(machine, &release).good().contains("pending-upgrade"));
    let core = field(machine, "deployment/cloudcore", ".spec.template.spec.containers[0].image");
    assert_eq!(core, "kubeedge/cloudcore:v1.22.1");
    // once more, when all that is left to do is to say that it is done
    machine.sh("echo 1000 >/run/standin/keadm-cut").good();
    install(machine, &[]).fails(8, "keadm upgrade cloud");
    assert_eq!(kubectl(machine, &release).good(), "superseded pending-upgrade");
    machine.sh("rm /run/standin/keadm-cut").good();
    let broker = || field(machine, "daemonset/edge-eclipse-mosquitto", ".metadata.name");
    machine.run(&["edgelay", "cloud", "status"]).fails(11, "CloudCore's last upgrade is 'pending-upgrade'");
    let line = INSTALL.join(" ");
    machine.sh(&format!("{line} >/dev/null 2>&1 & sleep 2; kill -9 $!; wait; true")).good();
    good(install(machine, &[]), machine);
    is_green(machine);
    // what only this bundle has is used: the broker, and rules as this host's iptables writes them
    assert_eq!(broker(), "edge-eclipse-mosquitto");
    let firewall = field(machine, "daemonset/cloud-iptables-manager", ".spec.template.spec.containers[0].image");
    assert_eq!(firewall, "kubeedge/iptables-manager-nft:v1.22.1");
    let found = versions();
    assert!(found.contains("kubeedge/controller-manager:v1.22.1") && !found.contains("v1.22.0"), "{found}");
    assert!(!kubectl(machine, &release).good().contains("pending"));
    assert!(std::fs::read_to_string(machine.root().join(&JOIN_FILE[1..])).unwrap().contains("\"v1.22.1\""));
    // edges go on trusting it, and k3s was left alone
    assert_eq!(token(machine), trust);
    assert_eq!(machine.sh("systemctl show -p ExecMainStartTimestampMonotonic k3s").good(), k3s);
    let before = running(machine);
    good(install(machine, &[]), machine);
    assert_eq!(difference(&before, &running(machine)), NOTHING);
}

#[test]
fn a_k3s_that_was_there_is_used_and_left() {
    let Some(bed) = Bed::start("a_k3s_that_was_there_is_used_and_left") else { return };
    let machine = cloud(&bed, "cloud");
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
    let all = || {
        let store = "find /var/lib/rancher/k3s/agent/containerd -path '*/blobs/*' | sort; k3s kubectl get namespace kubeedge -o=yaml; k3s kubectl get pods,deployments,services,secrets,configmaps -n kubeedge -o=yaml; true";
        format!("{}{}", listing(&machine), machine.sh(store).good())
    };
    let untouched = |before: &str| {
        let mut found = difference(before, &all());
        found.retain(|line| !line.contains("/var/lib/edgelay"));
        assert_eq!(found, NOTHING);
    };
    let before = all();
    let refused = machine.run(&init);
    assert!(refused.said().contains("hint: remove that KubeEdge first if it is not in use: nothing of it is touched"));
    refused.fails(8, "the cluster has a namespace 'kubeedge' that edgelay did not make");
    untouched(&before);
    kubectl(&machine, &["delete", "namespace", "kubeedge", "--timeout=60s"]).good();
    // nor is a node waited for that the cluster does not have
    let before = all();
    let misnamed = machine.run(&[&init[..], &["--node-name=cloud-2"]].concat());
    assert!(misnamed.said().contains("hint: set 'node.name' to the name that k3s gave this machine"));
    misnamed.fails(3, "the cluster has no node 'cloud-2', but 'cloud-1'");
    untouched(&before);
    // what a failed attempt of ours left is cleared: its namespace, helm's record, an object that helm would not adopt
    let left = "apiVersion: v1\nkind: Namespace\nmetadata: {name: kubeedge, labels: {app.kubernetes.io/managed-by: edgelay}}\n---\n\
        apiVersion: v1\nkind: Secret\nmetadata: {name: sh.helm.release.v1.cloudcore.v1, namespace: kubeedge, labels: {owner: helm, \
        name: cloudcore, status: failed, version: \"1\"}}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: cloudcore, namespace: kubeedge}\n";
    std::fs::write(machine.root().join("root/left.yaml"), left).unwrap();
    kubectl(&machine, &["create", "--filename=/root/left.yaml"]).good();
    // the scheduler would take this one first, which edges know nothing of
    let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"another"},"spec":{}}"#;
    std::fs::write(machine.root().join("root/node.json"), node).unwrap();
    kubectl(&machine, &["create", "--filename=/root/node.json"]).good();
    let said = good(machine.run(&init), &machine);
    assert!(said.contains("clearing what an earlier attempt to bring up CloudCore left"), "{said}");
    let labelled = |label: &str| kubectl(&machine, &["get", "nodes", &format!("-l={label}"), "-o=name"]).good();
    let balancer = "svccontroller.k3s.cattle.io/enablelb=true";
    assert_eq!(labelled("edgelay-server=here"), "node/cloud-1\n");
    assert_eq!(labelled(balancer), "node/another\nnode/cloud-1\n", "one lost its load balancer");
    let nodes = ["get", "pods", "-n=kubeedge", "-l=kubeedge=cloudcore", "-o=jsonpath={.items[*].spec.nodeName}"];
    assert_eq!(kubectl(&machine, &nodes).good(), "cloud-1");
    // its version is known only by asking it
    assert_eq!(said.matches("was tested with Kubernetes 1.29 to 1.31, this is v1.34").count(), 1, "{said}");
    is_green(&machine);
    machine.run(&["edgelay", "cloud", "uninstall", "--yes"]).good();
    assert_eq!(machine.sh("systemctl show -p ExecMainStartTimestampMonotonic k3s").good(), starts);
    let gone = wait_for(PATIENCE, || (kubectl(&machine, &["get", "namespace", "kubeedge"]).code == 1).then_some(()));
    assert!(gone.is_some());
    assert_eq!((labelled("edgelay-server"), labelled(balancer)), (String::new(), String::new()));
    assert!(machine.root().join("usr/local/bin/k3s").exists());
}
