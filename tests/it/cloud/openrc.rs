//! The cloud side under OpenRC, whose scripts know nothing of readiness: from its install over a boot to its uninstall.

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
