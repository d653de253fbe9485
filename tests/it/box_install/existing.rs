//! A machine whose containerd is somebody else's: their containers, images and files stay as they are.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use edgelay::containerd::Client;
use edgelay::containerd::api::cri::{PodSandboxConfig, PodSandboxFilter, PodSandboxMetadata, PodSandboxState};

use super::{Bed, Machine, NOTHING, difference, inputs, install, is_green, machine};

/// As a distribution sets containerd up: program, unit, configuration, network; and what its users run.
const THEIRS: &str = r#"
set -e
tar -C /usr -xzf /root/inputs/components/containerd-*.tar.gz
install -m 755 /root/inputs/components/runc.amd64 /usr/bin/runc
mkdir -p /opt/cni/bin /etc/cni/net.d /etc/containerd
tar -C /opt/cni/bin -xzf /root/inputs/components/cni-plugins-*.tgz
cat >/etc/containerd/config.toml <<'TOML'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/kubeedge/pause:3.6"
  restrict_oom_score_adj = true
TOML
cat >/etc/cni/net.d/10-bed.conflist <<'JSON'
{"cniVersion": "1.0.0", "name": "bed", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
JSON
cat >/lib/systemd/system/containerd.service <<'UNIT'
[Unit]
After=network.target
[Service]
ExecStart=/usr/bin/containerd
Type=notify
Delegate=yes
KillMode=process
Restart=always
[Install]
WantedBy=multi-user.target
UNIT
systemctl daemon-reload
systemctl enable --quiet --now containerd
for namespace in default k8s.io; do
    ctr -n $namespace images import /root/inputs/images/docker.io-kubeedge-installation-package-v1.22.0.tar >/dev/null
    ctr -n $namespace images tag docker.io/kubeedge/installation-package:v1.22.0 example.org/theirs:1 >/dev/null
    ctr -n $namespace run -d --runc-binary /usr/bin/runc example.org/theirs:1 work-$namespace sleep 100000
done
ctr -n k8s.io images rm docker.io/kubeedge/installation-package:v1.22.0 >/dev/null
"#;

/// What of theirs an install might disturb.
fn theirs(machine: &Machine<'_>) -> String {
    let seen = machine
        .sh("systemctl show -p ExecMainStartTimestampMonotonic -p NRestarts -p FragmentPath -p UnitFileState containerd
             for namespace in default k8s.io; do ctr -n $namespace tasks ls; ctr -n $namespace containers ls; done | grep work
             ctr -n default images ls; ctr -n k8s.io images ls | grep example.org
             ls /proc/$(ctr -n k8s.io tasks ls | awk '/^work-k8s.io /{ print $2 }')/root/bin")
        .good();
    // Columns are as wide as what is in them.
    seen.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// Everything but edgelay's own record.
fn files(machine: &Machine<'_>) -> String {
    let all = super::contents(machine);
    all.lines()
        .filter(|line| !line.contains("/var/lib/edgelay") && !line.starts_with("/run/containerd"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn set_up<'b>(bed: &'b Bed, name: &'static str) -> Machine<'b> {
    let machine = machine(bed, name, "good");
    machine.sh("mkdir -p /root/inputs/components /root/inputs/images").good();
    for place in ["components", "images"] {
        for file in std::fs::read_dir(inputs().join(place)).unwrap() {
            let file = file.unwrap();
            machine.put(&file.path(), &format!("/root/inputs/{place}/{}", file.file_name().into_string().unwrap()));
        }
    }
    machine.sh(THEIRS).good();
    machine
}

/// The machine's containerd, spoken to from here: its socket is seen through a process of the machine.
fn client(machine: &Machine<'_>) -> Client {
    let mark = "root/node.json";
    // Other machines have disks that were made in the same way.
    let file = |path: PathBuf| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
    let here = file(machine.root().join(mark));
    let inside = |process: &PathBuf| {
        std::fs::read_to_string(process.join("comm")).is_ok_and(|comm| comm.trim() == "containerd")
            && file(process.join("root").join(mark)) == here
    };
    let process = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path()).find(inside).unwrap();
    Client::connect(&process.join("root/run/containerd/containerd.sock")).unwrap()
}

/// Starts a pod named `name` with this label.
fn start_pod(client: &mut Client, name: &str, label: &str) {
    let metadata =
        PodSandboxMetadata { name: name.into(), uid: name.into(), namespace: "site".into(), ..Default::default() };
    let labels = [(label.to_owned(), name.to_owned())].into();
    let config = PodSandboxConfig { metadata, hostname: name.into(), labels, ..Default::default() };
    client.cri().run_pod(config).unwrap();
}

/// Names of the pods that are Ready.
fn pods(client: &mut Client) -> Vec<String> {
    let mut pods = client.cri().list_pods(PodSandboxFilter::default()).unwrap();
    pods.retain(|pod| pod.state == PodSandboxState::READY);
    let mut names: Vec<_> = pods.into_iter().map(|pod| pod.metadata.name).collect();
    names.sort();
    names
}

#[test]
fn an_existing_containerd_is_used_and_nothing_of_it_disturbed() {
    let test = "an_existing_containerd_is_used_and_nothing_of_it_disturbed";
    let Some(bed) = Bed::start(test) else { return };
    let machine = set_up(&bed, "theirs");
    let (before, files_before) = (theirs(&machine), files(&machine));

    // Unless it is told so, it is no ground for ours, and is left alone.
    install(&machine, &[]).fails(4, "set containerd to 'existing' to use it");
    assert_eq!(difference(&before, &theirs(&machine)), NOTHING);
    assert_eq!(difference(&files_before, &files(&machine)), NOTHING);

    machine.sh("ctr -n k8s.io images import /root/inputs/images/docker.io-kubeedge-pause-3.6.tar").good();
    let mut client = client(&machine);
    start_pod(&mut client, "theirs", "site");
    let before = theirs(&machine);
    let first = install(&machine, &["--containerd=existing"]);
    assert_eq!(first.code, 0, "{}\n{}", first.said(), machine.journal("edgecore"));
    let ends = "runs pods that EdgeCore does not know and will end: site/theirs";
    assert!(first.said().contains(ends), "{}", first.said());
    is_green(&machine);
    start_pod(&mut client, "edgecores", "io.kubernetes.pod.uid");
    assert_eq!(difference(&before, &theirs(&machine)), NOTHING);
    assert_eq!(pods(&mut client), ["edgecores", "theirs"]);
    let again = install(&machine, &["--containerd=existing"]);
    assert_eq!(again.code, 0, "{}", again.said());
    assert_eq!(difference(&before, &theirs(&machine)), NOTHING);

    // Once EdgeCore is gone, nobody would end its pods.
    let gone = machine.run(&["edgelay", "edge", "uninstall", "--yes"]);
    assert_eq!(gone.code, 0, "{}", gone.said());
    assert_eq!(pods(&mut client), ["theirs"]);
    // Our images may be in use by now; they are theirs, to keep or to collect.
    let left = machine.sh("ctr -n k8s.io images ls").good();
    assert!(left.contains("docker.io/kubeedge/pause:3.6") && !left.contains("pinned"), "{left}");
    assert_eq!(difference(&before, &theirs(&machine)), NOTHING);
    assert_eq!(difference(&files_before, &files(&machine)), NOTHING);

    // What is there is taken up again, up to the join, which the cloud refuses, as it has a node of this name.
    install(&machine, &["--containerd=existing"]).fails(8, "node already exists");
    assert_eq!(machine.sh("ctr -n k8s.io images ls | grep -c pinned=pinned").good(), "2\n");
    assert_eq!(difference(&before, &theirs(&machine)), NOTHING);
    is_waited_for_when_it_comes(&machine);
}

/// A start, as of a package's upgrade, is waited for; nobody waits for a containerd that was stopped.
fn is_waited_for_when_it_comes(machine: &Machine<'_>) {
    let import = ["edgelay", "image", "import", "/root/inputs/images/docker.io-kubeedge-pause-3.6.tar"];
    machine.sh("systemctl stop containerd").good();
    let begun = Instant::now();
    machine.run(&import).fails(7, "look at the file: No such file or directory");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    machine
        .sh("mkdir /run/systemd/system/containerd.service.d
             printf '[Service]\\nExecStartPre=/bin/sleep 2\\n' >/run/systemd/system/containerd.service.d/slow.conf
             systemctl daemon-reload; systemctl start --no-block containerd")
        .good();
    let done = machine.run(&import);
    assert_eq!(done.code, 0, "{}", done.said());
    assert!(done.said().contains("it is being started: waiting for it"), "{}", done.said());
}
