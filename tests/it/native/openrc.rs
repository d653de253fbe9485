//! A whole node with OpenRC, as Debian ships it: its init as PID 1, its runlevels, its supervise-daemon.

use std::time::{Duration, Instant};

use super::{Cloud, applied, install, is_green, logs, put_bundle};
use crate::stage::pod;
use crate::support::jail::Jail;

/// Waits in the jail until a line of bash succeeds.
#[track_caller]
pub(crate) fn until(jail: &Jail, line: &str) {
    let start = Instant::now();
    while jail.sh(line).code != 0 {
        assert!(start.elapsed() < Duration::from_secs(120), "in vain: {line}\n{}", logs(jail));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Everything on its disk but what is written by the test, to logs, and by OpenRC for itself.
pub(crate) const FILES: &str = "find / -xdev -path /root -prune -o -path /lib/rc/cache -prune -o -path /usr/lib/rc/cache -prune \
    -o -print | sort";

/// What OpenRC says of a service.
fn status(jail: &Jail, name: &str) -> String {
    jail.run(&["rc-service", "--nocolor", name, "status"]).said()
}

#[test]
fn a_node_with_openrc() {
    let Some(mut jail) = Jail::with_openrc("a_node_with_openrc") else { return };
    let scratch = tempfile::tempdir().unwrap();
    put_bundle(&jail, scratch.path());
    let mut cloud = Cloud::start(&jail, &scratch.path().join("cloud"));
    cloud.give_token(&jail, "good");
    jail.sh(&format!("{FILES} >/root/before")).good();

    // keadm cannot do it, so we do: nobody has to say so.
    let fit = jail.run(&["edgelay", "preflight", "--config=/root/node.json"]);
    assert!(fit.said().contains("OpenRC has brought the system up"), "{}", fit.said());
    let done = install(&jail, &[]);
    assert_eq!(done.code, 0, "{}\n{}", done.said(), logs(&jail));
    is_green(&jail);
    for name in ["containerd", "edgecore"] {
        assert!(status(&jail, name).contains("started"), "{}", status(&jail, name));
        jail.sh(&format!("rc-update --nocolor show default | grep -w {name}")).good();
    }
    assert_eq!(applied(&install(&jail, &[])), [""; 0], "a second run has nothing to do");

    let pods = pods_outlive_their_daemon(&jail);

    // EdgeCore dies and comes back; pods do not care.
    let first = jail.sh("pgrep -x edgecore").good().trim().to_owned();
    jail.sh(&format!("kill -9 {first}")).good();
    until(&jail, &format!("pid=$(pgrep -x edgecore) && [ $pid != {first} ]"));
    is_green(&jail);
    assert_eq!(jail.sh(PODS).good(), pods);

    // Who watches over it dies too: the next run starts both again.
    jail.sh("kill -9 $(cat /run/edgelay/edgecore.pid) && pkill -9 -x edgecore").good();
    until(&jail, "! pgrep -x edgecore");
    assert_ne!(jail.run(&["edgelay", "status"]).code, 0);
    let mended = install(&jail, &[]);
    assert_eq!(mended.code, 0, "{}\n{}", mended.said(), logs(&jail));
    is_green(&jail);

    // Switched off and on, the machine is a node again by itself.
    jail.sh("openrc-shutdown --reboot now || true");
    jail.boot_again();
    cloud.follow(&jail);
    is_green(&jail);
    assert_eq!(applied(&install(&jail, &[])), [""; 0], "a boot changes nothing");

    jail.run(&["edgelay", "edge", "uninstall", "--yes"]).good();
    let after = jail.sh(&format!("{FILES} | diff /root/before - | grep -v -e /var/log/ -e '^[0-9]'"));
    assert_eq!(after.out, "", "{}", after.said());
    assert_eq!(jail.sh("pgrep -l 'edgelay|edgecore|containerd|pause|supervise'").out, "");
    assert_eq!(jail.sh("rc-status --nocolor --all | grep -w -e containerd -e edgecore").out, "");
    drop(cloud);
    jail.close();
}

/// The processes of pods.
pub(super) const PODS: &str = "pgrep -a 'pause|sleep|containerd-shim' | sort";

/// What runs then.
fn pods_outlive_their_daemon(jail: &Jail) -> String {
    let pod = pod::start(jail);
    let before = jail.sh(PODS).good();
    let daemon = jail.sh("pgrep -x containerd").good().trim().to_owned();
    jail.run(&["rc-service", "containerd", "restart"]).good();
    until(jail, &format!("pid=$(pgrep -x containerd) && [ $pid != {daemon} ]"));
    is_green(jail);
    assert_eq!(jail.sh(PODS).good(), before, "a pod was ended with its daemon");
    assert_eq!(pod.exec(jail, &["/bin/busybox", "hostname"]), "smoke\n");
    before
}
