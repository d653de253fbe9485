//! The kernel's arguments: a machine whose memory cgroup is off is staged up to a reboot, and goes on after it.

use super::cut::last_event;
use super::{jail, stage};
use crate::support::bed::Ended;

/// Any board: it goes before the one for any board that is built in.
const LAB: &str = r#"{"schema": 1, "id": "zz-lab", "name": "Lab", "base": "generic-amd64", "architecture": "amd64", "match": {}, "kernel":
    {"arguments_in": [{"path": "/boot/firmware/cmdline.txt", "format": "line"}], "memory_cgroup": ["cgroup_enable=memory", "cgroup_memory=1"]}}"#;
const MEMORY_OFF: &str = "umount $(awk '$3 == \"cgroup\" && /memory/ { print $2 }' /proc/mounts)";
/// What a reboot with the arguments brings.
const MEMORY_ON: &str = "mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory";

#[test]
fn a_reboot_is_asked_for_and_done_at_most_once() {
    let Some(jail) = jail("a_reboot_is_asked_for_and_done_at_most_once", "1.7") else { return };
    jail.sh(&format!(
        "set -e; mkdir -p /root/profiles /boot/firmware; echo '{LAB}' >/root/profiles/zz-lab.json; {MEMORY_OFF}
        printf '#!/bin/sh\\necho $* >>/root/rebooted\\n' >/usr/local/sbin/systemctl; chmod +x /usr/local/sbin/systemctl"
    ))
    .good();
    let flags = |more: &'static str| ["--board-profiles=/root/profiles", more];
    let never = || stage(&jail, &flags("--board-reboot=never"));
    let told = |ended: &Ended| {
        let event = last_event(ended);
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        (ended.code, text("message"), text("hint"))
    };
    let line = || jail.sh("cat /boot/firmware/cmdline.txt").good();

    // A boot partition that takes nothing: it stays as it is.
    for (mount, words, hint) in [
        ("size=4k", "no space left on device", "free space"),
        ("size=64k,ro", "read-only file system", "remount it with"),
    ] {
        let options = mount.trim_end_matches(",ro");
        jail.sh(&format!(
            "set -e; mount -t tmpfs -o {options} boot /boot/firmware; echo 'console=tty1 rootwait' >/boot/firmware/cmdline.txt
            mount -o remount,{mount} /boot/firmware"
        ))
        .good();
        let failed = told(&never());
        assert_eq!(failed.0, 6, "{failed:?}");
        assert!(failed.1.to_ascii_lowercase().contains(words) && failed.2.contains(hint), "{failed:?}");
        assert_eq!(jail.sh("ls /boot/firmware; cat /boot/firmware/*").good(), "cmdline.txt\nconsole=tty1 rootwait\n");
        jail.sh("umount /boot/firmware").good();
    }

    jail.sh("echo 'console=tty1 rootwait' >/boot/firmware/cmdline.txt").good();
    let asked = told(&never());
    let message = "step kernel-arguments: the kernel's new arguments 'cgroup_enable=memory cgroup_memory=1' count from the next boot on";
    assert_eq!((asked.0, asked.1.as_str()), (20, message), "{asked:?}");
    assert_eq!(line(), "console=tty1 rootwait cgroup_enable=memory cgroup_memory=1\n");
    assert_eq!(jail.sh("cat /boot/firmware/cmdline.txt.edgelay-saved").good(), "console=tty1 rootwait\n");
    // All else is there by then, and nothing is done twice.
    let stamp = || jail.sh("stat -c '%i %Y' /boot/firmware/cmdline.txt; pgrep -x containerd").good();
    let before = stamp();
    assert_eq!(told(&never()).0, 20);
    assert_eq!((stamp(), jail.sh("cat /root/rebooted").out), (before, String::new()));

    // Allowed, it reboots by itself: once, whether that helps or not.
    for _ in 0..3 {
        assert_eq!(stage(&jail, &flags("--board-reboot=once")).code, 20);
    }
    assert_eq!(jail.sh("cat /root/rebooted").good(), "reboot\n");

    jail.sh(MEMORY_ON).good();
    let done = never();
    assert_eq!(done.code, 0, "{}", done.said());
    jail.run(&["edgelay", "edge", "uninstall", "--yes"]).good();
    assert_eq!(jail.sh("ls /boot/firmware; cat /boot/firmware/*").good(), "cmdline.txt\nconsole=tty1 rootwait\n");
    jail.close();
}
