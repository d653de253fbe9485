//! The cloud side under OpenRC, whose scripts know nothing of readiness: from its install over a boot to its uninstall; and
//! a worker of a server that is nothing but the stand-in for its API.

use std::process::{Child, Stdio};

use super::*;
use crate::native::{FILES, until};
use crate::support::jail::Jail;

/// The machine's address; after a boot it has lost it, as whoever brings it up in a jail is us.
fn plug(jail: &Jail) {
    let line = format!(
        "ip link add v0 type veth peer name v1 && ip addr add {ADDRESS}/24 dev v0 && ip link set v0 up && ip link set v1 up && ip route add default via 10.77.0.254"
    );
    jail.sh(&line).good();
}

#[test]
fn a_cloud_with_openrc() {
    let Some(mut jail) = Jail::with_openrc("a_cloud_with_openrc") else { return };
    plug(&jail);
    jail.put(&bundle("cloud"), "root/cloud.bundle");
    std::fs::write(jail.root().join("root/cloud.json"), CONFIG).unwrap();
    jail.sh(&format!("{FILES} >/root/before")).good();
    let log = || jail.sh("tail -n 40 /var/log/edgelay/k3s.log").said();
    let done = jail.run(&INSTALL);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), log());
    let status = jail.run(&["edgelay", "cloud", "status"]);
    assert_eq!(status.code, 0, "{}\n{}", status.said(), log());
    let k3s =
        || jail.sh("rc-service --nocolor k3s status && cat /run/edgelay/k3s.pid && pgrep -f '[k]3s server'").good();
    let before = k3s();
    assert!(before.contains("started"), "{before}");
    let again = jail.run(&INSTALL);
    assert_eq!((again.code, k3s()), (0, before), "a second run started it anew: {}", again.said());

    jail.sh("openrc-shutdown --reboot now || true");
    jail.boot_again();
    plug(&jail);
    until(&jail, "edgelay cloud status");

    jail.run(&["edgelay", "cloud", "uninstall", "--purge", "--yes"]).good();
    let after = jail.sh(&format!("{FILES} | diff /root/before - | grep -v -e /var/log/ -e __pycache__ -e '^[0-9]'"));
    assert_eq!(after.out, "", "{}", after.said());
    assert_eq!(jail.sh("pgrep -l 'k3s|containerd|kubectl|supervise'").out, "");
    jail.close();
}

const SERVER: &str = "10.77.0.2";

/// A server's API. It ends when it is let go.
struct Api(Child);

impl Drop for Api {
    fn drop(&mut self) {
        // ignoring: it may have ended by itself
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One in the jail's network; what it keeps lies in `folder`.
fn serve(jail: &Jail, folder: &Path) -> Api {
    plug(jail);
    jail.sh(&format!("ip addr add {SERVER}/24 dev v0")).good();
    let pid = jail.root().components().nth(2).unwrap().as_os_str().to_owned();
    let mut serve = Command::new("nsenter");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standins/apiserver");
    serve.arg("-n").arg("-t").arg(pid).args(["python3", "-B"]).arg(program);
    serve.arg(format!("--db={}", folder.join("server/db").display())).stdin(Stdio::null());
    let at = [format!("--bind={SERVER}"), format!("--ip={SERVER}"), "--node=cloud-1".to_owned()];
    let ready = folder.join("ready");
    let server = Api(serve.args(at).arg(format!("--ready-file={}", ready.display())).spawn().unwrap());
    assert!(wait_for(PATIENCE, || ready.exists().then_some(())).is_some(), "the API does not start");
    std::fs::remove_file(ready).unwrap();
    server
}

#[test]
fn a_worker_with_openrc() {
    let Some(mut jail) = Jail::with_openrc("a_worker_with_openrc") else { return };
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&jail, folder.path());
    jail.put(&bundle("cloud"), "root/cloud.bundle");
    std::fs::copy(folder.path().join("server/token"), jail.root().join("root/token")).unwrap();
    jail.sh(&format!("{FILES} >/root/before")).good();
    let log = || jail.sh("tail -n 40 /var/log/edgelay/k3s-agent.log").said();
    let server_flag = format!("--server={SERVER}:6443");
    let join = ["edgelay", "cloud", "worker", "install", "--bundle=/root/cloud.bundle", "--token-file=/root/token"];
    let join = [&join[..], &[&server_flag, "--node-name=worker-1"]].concat();
    let done = jail.run(&join);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), log());
    let status = jail.run(&["edgelay", "cloud", "status"]);
    assert_eq!(status.code, 0, "{}\n{}", status.said(), log());
    // its images were there before its kubelet
    jail.sh("grep -q docker.io/rancher/mirrored-pause:3.6 /run/k3s/standin-kubelet-images").good();
    let runs = || jail.sh("rc-service --nocolor k3s-agent status && cat /run/edgelay/k3s-agent.pid").good();
    let before = runs();
    assert!(before.contains("started"), "{before}");
    let again = jail.run(&join);
    assert_eq!((again.code, runs()), (0, before), "a second run started it anew: {}", again.said());

    jail.sh("openrc-shutdown --reboot now || true");
    jail.boot_again();
    drop(server);
    let server = serve(&jail, folder.path());
    until(&jail, "edgelay cloud status");

    drop(server);
    jail.run(&["edgelay", "cloud", "uninstall", "--purge", "--yes"]).good();
    let after = jail.sh(&format!("{FILES} | diff /root/before - | grep -v -e /var/log/ -e __pycache__ -e '^[0-9]'"));
    assert_eq!(after.out, "", "{}", after.said());
    assert_eq!(jail.sh("pgrep -l 'k3s|containerd|kubectl|supervise'").out, "");
    jail.close();
}
