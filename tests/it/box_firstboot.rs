//! An image that is staged, sealed and copied: every copy becomes a node of its own at its first boot, by itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::box_install::bundle;
use super::standins::wait_for;
use super::support::bed::{Bed, Ended, Machine, run};

/// Runs a line of bash with the disk's file system mounted at `$T`, in a mount namespace of its own.
pub(crate) fn on_disk(disk: &Path, line: &str) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    let all = format!(r#"set -euo pipefail; T=$1; mount -o loop "$2" "$T"; cd /; {line}"#);
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "bash", "-c", &all, "bash"]).arg(dir.path()).arg(disk);
    command.env("EDGELAY", env!("CARGO_BIN_EXE_edgelay")).env("BUNDLE", bundle());
    run(&mut command)
}

fn outcome(machine: &Machine<'_>) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(machine.root().join("var/lib/edgelay/firstboot.json")).ok()?).ok()
}

/// Waits for a result that is in `state`.
#[track_caller]
fn comes_to(machine: &Machine<'_>, state: &str) -> Value {
    let found = wait_for(Duration::from_secs(180), || outcome(machine).filter(|outcome| outcome["state"] == state));
    found.unwrap_or_else(|| panic!("{:?}\n{}", outcome(machine), machine.journal("edgelay-firstboot")))
}

#[test]
fn two_copies_of_one_image_become_two_nodes() {
    let Some(bed) = Bed::start("two_copies_of_one_image_become_two_nodes") else { return };
    let (one, two) = (bed.disk("one"), bed.disk("two"));
    // What a person would forget in an image.
    let unfit = on_disk(
        &one,
        r#"echo 0123456789abcdef0123456789abcdef >"$T/etc/machine-id"; echo secret >"$T/root/.bash_history"
        "$EDGELAY" edge stage --root "$T" --bundle "$BUNDLE" --cloud-host 10.77.0.2 --progress none
        "$EDGELAY" factory seal --root "$T""#,
    );
    unfit.fails(4, "not fit for being copied: history, machine-id");
    let sealed = on_disk(
        &one,
        r#"mkdir -p "$T/etc/tmpfiles.d"; echo 'f+ /run/standin/keadm-tick-ms 0644 - - - 100' >"$T/etc/tmpfiles.d/standin.conf"
        "$EDGELAY" factory seal --root "$T" --clean -o json; test ! -e "$T/root/.bash_history"; test ! -s "$T/etc/machine-id""#,
    );
    let record: Value = serde_json::from_str(&sealed.good()).unwrap();
    assert_eq!((&record["images_are"], record["images"].as_array().unwrap().len()), (&"stored".into(), 2), "{record}");
    run(Command::new("cp").arg("--sparse=always").arg(&one).arg(&two)).good();

    // The same configuration for both, without a name; a token for each. The cloud is not there yet.
    for disk in [&one, &two] {
        let token = bed.token("good");
        let line = format!(
            r#"mkdir -p "$T/boot/edgelay"; echo '{token}' >"$T/boot/edgelay/token"
            echo '{{"node": {{"name": "edge-{{machine-id:-8}}"}}}}' >"$T/boot/edgelay/edgelay.json""#
        );
        on_disk(disk, &line).good();
    }
    bed.script("cloud", &["down"]).good();
    let machines = [bed.machine("one"), bed.machine("two")];
    for machine in &machines {
        let failed = comes_to(machine, "failed");
        assert_eq!(failed["kind"], "later", "{failed}");
        // A boot that waits for its cloud is a boot that is over.
        machine.sh("systemctl is-system-running --wait | grep -E 'running|degraded'").good();
    }
    bed.script("cloud", &["up"]).good();

    let mut seen = Vec::new();
    for machine in &machines {
        let done = comes_to(machine, "done");
        let gone = wait_for(Duration::from_secs(60), || {
            (!machine.root().join("var/lib/edgelay/first-boot").exists()).then_some(())
        });
        assert!(gone.is_some(), "the marker stays: {}", machine.journal("edgelay-firstboot"));
        let node = done["node"].as_str().unwrap().to_owned();
        let id = machine.sh("cut -c25- /etc/machine-id").good();
        assert_eq!(
            (node.as_str(), &done["token"]),
            (format!("edge-{}", id.trim()).as_str(), &"wiped".into()),
            "{done}"
        );
        assert!(bed.cloud(&format!("nodes/{node}")).exists(), "the cloud does not know {node}");
        let status = machine.run(&["edgelay", "status"]);
        assert_eq!(status.code, 0, "{}\n{}", status.said(), machine.journal("edgecore"));
        let said = machine.journal("edgelay-firstboot");
        let images = said.lines().filter(|line| line.contains("import 2 images"));
        assert!(images.clone().count() > 0 && images.clone().all(|line| line.contains("skipped")), "{said}");
        let left =
            "ls /boot/edgelay /run/edgelay /etc/systemd/system-preset /etc/systemd/system/multi-user.target.wants";
        let left = machine.sh(&format!("{left} 2>/dev/null")).out;
        assert!(!left.contains("token") && !left.contains("firstboot.s") && !left.contains("preset"), "{left}");
        assert!(left.contains(&format!("edgelay-{node}.json")), "{left}");
        seen.push((node, machine.sh("cat /etc/kubeedge/certs/server.crt").good()));
    }
    assert!(seen[0].0 != seen[1].0 && seen[0].1 != seen[1].1, "{seen:?}");
    // Nothing is done again.
    let again = machines[0].run(&["edgelay", "firstboot"]);
    assert!(again.code == 0 && again.said().contains("nothing to do"), "{}", again.said());
}
