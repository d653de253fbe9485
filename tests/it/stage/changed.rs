//! A staged host gets another bundle; a host has a containerd of its own.

use std::path::Path;
use std::process::Command;

use super::{BUNDLE, applied, bundle, containerd, create, ctr, drift, jail, scratch, stage};
use crate::support::bed::{run, script};
use crate::support::peers;

const VERSION: &str = "2.1";
const EXTRA: &str = "docker.io/library/eclipse-mosquitto:1.6.15";

/// The inputs of [`bundle`] with one more image and one plugin that differs.
fn changed_bundle() -> std::path::PathBuf {
    bundle(VERSION);
    let (old, new) = (scratch().join(format!("inputs-{VERSION}")), scratch().join("inputs-changed"));
    run(Command::new("cp").arg("-a").arg(&old).arg(&new)).good();
    let layer = scratch().join("extra-layer");
    std::fs::create_dir_all(&layer).unwrap();
    std::fs::write(layer.join("mosquitto"), vec![b'm'; 1 << 20]).unwrap();
    let file = new.join("images/docker.io-library-eclipse-mosquitto-1.6.15.tar");
    run(Command::new(script("docker-save")).arg("eclipse-mosquitto:1.6.15").arg(file).arg(layer)).good();
    let line = r#"cd "$1"/components && mkdir tmp && tar -xzf cni-plugins-*.tgz -C tmp && echo >>tmp/portmap &&
        tar -C tmp -czf cni-plugins-*.tgz . && rm -r tmp"#;
    run(Command::new("bash").args(["-c", line, "bash"]).arg(&new)).good();
    create(&new, "edge-changed.bundle")
}

#[test]
fn a_changed_bundle_costs_what_changed() {
    let Some(jail) = jail("a_changed_bundle_costs_what_changed", VERSION) else { return };
    assert_eq!(stage(&jail, &[]).code, 0);
    let blobs = || {
        let blobs = jail.root().join("var/lib/containerd/io.containerd.content.v1.content/blobs");
        let found = jail.sh(&format!("cd /{} && find . -type f -printf '%p %i %C@\n'", inside(&jail, &blobs))).good();
        found.lines().map(ToOwned::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let (before, pid) = (blobs(), containerd(&jail));
    let plugins = || jail.sh("cd /opt/cni/bin && stat -c '%n %Y %i' bridge host-local loopback").good();
    let unchanged = plugins();

    jail.put(&changed_bundle(), BUNDLE);
    let changed = stage(&jail, &[]);
    assert_eq!(changed.code, 0, "{}", changed.said());
    assert_eq!(applied(&changed), ["record", "components", "images"]);
    assert_eq!(drift(&jail), []);
    let after = blobs();
    let size = |set: &std::collections::BTreeSet<String>| set.len();
    assert!(before.is_subset(&after) && size(&after) <= size(&before) + 3, "{before:?}\n{after:?}");
    assert_eq!((containerd(&jail), plugins()), (pid, unchanged));
    assert!(ctr(&jail, "images ls -q").contains(EXTRA));

    // And back: what the old bundle has not is not ours to remove while it may be in use, yet nothing is amiss.
    jail.put(&bundle(VERSION), BUNDLE);
    assert_eq!(applied(&stage(&jail, &[])), ["record", "components"]);
    assert_eq!(drift(&jail), []);
    jail.close();
}

fn inside(jail: &crate::support::jail::Jail, path: &Path) -> String {
    path.strip_prefix(jail.root()).unwrap().display().to_string()
}

/// A containerd of the machine's own, as a person would set it up for a node.
const FOREIGN: &str = r#"
set -e
mkdir -p /etc/containerd /etc/cni/net.d
cat >/etc/containerd/config.toml <<'TOML'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/kubeedge/pause:3.6"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
TOML
cat >/etc/cni/net.d/10-theirs.conflist <<'JSON'
{"cniVersion": "0.4.0", "name": "theirs", "plugins": [{"type": "bridge", "bridge": "theirs0", "isGateway": true, "ipMasq": true,
 "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
setsid containerd >/var/log/containerd.log 2>&1 &
until /root/ctr version >/dev/null 2>&1; do sleep 0.05; done
"#;

#[test]
fn an_existing_containerd_gets_the_images_and_stays_as_it_is() {
    const TEST: &str = "an_existing_containerd_gets_the_images_and_stays_as_it_is";
    let Some(jail) = jail(TEST, VERSION) else { return };
    let peers = peers::peers(TEST).unwrap();
    run(Command::new("cp").arg("-a").arg(peers.join("common/usr/lib/cni")).arg(jail.root().join("usr/lib/cni"))).good();
    for program in ["containerd", "containerd-shim-runc-v2"] {
        jail.put(&peers.join(VERSION).join("usr/bin").join(program), &format!("usr/bin/{program}"));
    }
    jail.put(&peers.join("common/usr/sbin/runc"), "usr/sbin/runc");

    // None runs yet.
    let refused = stage(&jail, &["--containerd", "existing"]);
    refused.fails(4, "there is no socket /run/containerd/containerd.sock");
    jail.sh(FOREIGN).good();
    // One runs, and was not announced.
    stage(&jail, &[]).fails(4, "runs and is not ours");

    let state = || jail.sh("pgrep -x containerd; find /etc/containerd /etc/cni /usr/bin/containerd -printf '%p %C@\n'");
    let before = state().good();
    let staged = stage(&jail, &["--containerd", "existing"]);
    assert_eq!(staged.code, 0, "{}", staged.said());
    assert_eq!(applied(&staged), ["record", "components", "host-files", "images"]);
    assert_eq!(drift(&jail), []);
    assert_eq!(applied(&stage(&jail, &["--containerd", "existing"])), [""; 0]);
    let pod = super::pod::start(&jail);
    pod.works(&jail, "10.99.0.0/24");
    assert_eq!(state().good(), before);

    jail.run(&["edgelay", "edge", "uninstall", "--yes"]).good();
    assert_eq!(state().good(), before);
    pod.works(&jail, "10.99.0.0/24");
    assert_eq!(
        jail.sh("ls /usr/local/bin /usr/local/sbin /var/lib/edgelay 2>&1 | cat").good().matches("keadm").count(),
        0
    );
    jail.close();
}
