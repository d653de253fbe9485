//! Another version of KubeEdge on a node that has joined.

use super::*;

/// A node goes from one version of KubeEdge to another and back, in the way of a machine that nobody looks at: a newer
/// bundle, the same call. What runs on it stays.
#[test]
fn a_bundle_with_another_kubeedge_upgrades_the_node_and_the_older_one_brings_it_back() {
    let test = "a_bundle_with_another_kubeedge_upgrades_the_node_and_the_older_one_brings_it_back";
    let Some(bed) = Bed::start(test) else { return };
    let machine = machine(&bed, "edge", "good");
    install(&machine, &[]).good();
    newer(&machine, "v1.22.1");
    machine.put(&crate::support::peers::peers(test).unwrap().join("1.6/usr/bin/ctr"), "/root/ctr");
    // CRI has names of its own for an image, which would hold its bytes when the others are gone
    let held =
        || machine.sh("/root/ctr -n k8s.io images ls -q | wc -l; /root/ctr -n k8s.io snapshots ls | wc -l").good();
    let held_before = held();
    let certificate = machine.sh("sha256sum /etc/kubeedge/certs/*").good();
    let containerd = machine.sh("systemctl show -p MainPID containerd").good();

    #[cfg(feature = "crash-points")]
    cut_again_and_again(&machine);
    for (bundle, runs, was) in [("newer", "v1.22.1", "v1.22.0"), ("edge", "v1.22.0", "v1.22.1")] {
        let bundle = format!("--bundle=/root/{bundle}.bundle");
        let install = || machine.run(&[&INSTALL[..3], &[&bundle], &INSTALL[4..]].concat());
        // the token of the join has ended long ago, and is not needed
        machine.sh("rm -f /root/token").good();
        let done = install();
        assert_eq!(done.code, 0, "{}\n{}", done.said(), machine.journal("edgecore"));
        is_green(&machine);
        let program = machine
            .sh("tail -n 1 /proc/$(systemctl show -p MainPID --value edgecore)/exe; grep edgecoreVersion /etc/kubeedge/config/edgecore.yaml");
        assert_eq!(program.good().trim(), format!("stands in for {runs}\nedgecoreVersion: {runs}"));
        let node = std::fs::read_to_string(bed.cloud("nodes/edge-1")).unwrap();
        assert!(node.contains(runs) && !node.contains(was), "{node}");
        assert_eq!(machine.sh("sha256sum /etc/kubeedge/certs/*").good(), certificate);
        assert_eq!(machine.sh("systemctl show -p MainPID containerd").good(), containerd);

        let images = machine.sh("/root/ctr -n k8s.io images ls -q | grep installation-package | grep -v @").good();
        assert_eq!(images.trim(), format!("docker.io/kubeedge/installation-package:{runs}"));
        assert_eq!(held(), held_before, "{}", machine.sh("/root/ctr -n k8s.io images ls").said());

        let (files, services, store) = (listing(&machine), starts(&machine), blobs(&machine));
        install().good();
        let after = (listing(&machine), starts(&machine), blobs(&machine));
        assert_eq!((difference(&files, &after.0), services, store), (vec![], after.1, after.2), "a second run");
    }
}

/// A new EdgeCore that does not start: the node works on with the one that it had, and is told apart from what was asked for.
#[test]
fn an_upgrade_that_does_not_come_up_brings_the_old_version_back() {
    let Some(bed) = Bed::start("an_upgrade_that_does_not_come_up_brings_the_old_version_back") else { return };
    let machine = machine(&bed, "edge", "good");
    install(&machine, &[]).good();
    let before = machine.sh("sha256sum /usr/local/bin/*; systemctl show -p MainPID containerd").good();
    newer(&machine, "v1.22.9-broken");

    let done =
        machine.run(&[&INSTALL[..3], &["--bundle=/root/newer.bundle", "--join-timeout=15s"], &INSTALL[4..]].concat());
    let said = "this build does not start; the EdgeCore that ran before does so again";
    done.fails(8, said);
    let status = machine.run(&["edgelay", "status"]);
    assert_eq!(status.code, 11, "{}", status.said());
    assert!(status.said().contains("'/usr/local/bin/edgecore' is of another bundle"), "{}", status.said());
    let program = machine.sh("tail -n 1 /proc/$(systemctl show -p MainPID --value edgecore)/exe").good();
    assert_eq!(program.trim(), "stands in for v1.22.0");

    // The bundle that it was made from has nothing to do but to be recorded.
    let pid = machine.sh("systemctl show -p MainPID edgecore").good();
    install(&machine, &[]).good();
    is_green(&machine);
    assert_eq!(machine.sh("systemctl show -p MainPID edgecore").good(), pid);
    assert_eq!(machine.sh("sha256sum /usr/local/bin/*; systemctl show -p MainPID containerd").good(), before);
}

/// A new EdgeCore that is healthy and connected, and then ends, again and again: only a node that is Ready closes the way back.
#[test]
fn an_upgrade_that_ends_before_the_node_is_ready_is_taken_back() {
    let Some(bed) = Bed::start("an_upgrade_that_ends_before_the_node_is_ready_is_taken_back") else { return };
    let machine = machine(&bed, "edge", "good");
    install(&machine, &[]).good();
    let before = machine.sh("sha256sum /usr/local/bin/*").good();
    newer(&machine, "v1.22.9-dying");
    let upgrade = || machine.run(&[&INSTALL[..3], &["--bundle=/root/newer.bundle"], &INSTALL[4..]].concat());
    // Heartbeats are told apart by whole seconds: this node has worked for some.
    let works = "pid=$(systemctl show -p MainPID --value edgecore); \
                 until [ $(ps -o etimes= -p $pid) -gt 3 ]; do sleep 0.1; done";
    // The second time as the first: what is remembered of it is what runs.
    for _again in 0..2 {
        machine.sh(works).good();
        let done = upgrade();
        assert!(done.said().contains("the node did not become Ready; EdgeCore ended meanwhile; "), "{}", done.said());
        done.fails(8, "no such column: heard_at; the EdgeCore that ran before does so again");
        let program = machine.sh("tail -n 1 /proc/$(systemctl show -p MainPID --value edgecore)/exe").good();
        assert_eq!(program.trim(), "stands in for v1.22.0");
        let left = machine.sh("find /etc /usr/local /var/lib/edgelay /var/lib/kubeedge -name '*.edgelay-*'").good();
        assert_eq!(left, "");
    }
    let pid = machine.sh("systemctl show -p MainPID edgecore").good();
    install(&machine, &[]).good();
    is_green(&machine);
    assert_eq!(machine.sh("systemctl show -p MainPID edgecore").good(), pid);
    assert_eq!(machine.sh("sha256sum /usr/local/bin/*").good(), before);
}

/// EdgeCore as a component of the bundle. The new one rewrites configuration and database, so that the old one can read
/// neither, and does not come up: the node works on with all of what it had, wherever its way back is cut.
#[test]
fn what_an_upgrade_in_vain_rewrote_is_put_back() {
    let Some(bed) = Bed::start("what_an_upgrade_in_vain_rewrote_is_put_back") else { return };
    let machine = machine(&bed, "edge", "good");
    let config = r#"{"schema": 1, "cloud": {"host": "10.77.0.2"}, "token_file": "/root/token", "join_timeout": 10}"#;
    std::fs::write(machine.root().join("root/node.json"), config).unwrap();
    as_component(&machine, "v1.22.0", "/root/edge.bundle");
    install(&machine, &[]).good();
    let before = machine.sh("sha256sum /usr/local/bin/*; cat /etc/kubeedge/config/edgecore.yaml").good();
    as_component(&machine, "v1.22.9-migrating", "/root/newer.bundle");
    let is_back = || {
        let program = machine.sh("tail -n 1 /proc/$(systemctl show -p MainPID --value edgecore)/exe").good();
        assert_eq!(program.trim(), "stands in for v1.22.0");
        let now = machine.sh("sha256sum /usr/local/bin/*; cat /etc/kubeedge/config/edgecore.yaml").good();
        assert_eq!(difference(&before, &now), NOTHING);
        let database = machine.sh("cat /var/lib/kubeedge/edgecore.db; ls /var/lib/kubeedge").good();
        assert!(database.starts_with("edge-1 ") && !database.contains("previous"), "{database}");
        let left = machine.sh("find /etc /usr/local /var/lib/edgelay /var/lib/kubeedge -name '*.edgelay-*'").good();
        assert_eq!(left, "");
    };
    let said =
        "this build does not start; the EdgeCore that ran before does so again, with its configuration and database";
    machine.run(&[&INSTALL[..3], &["--bundle=/root/newer.bundle"], &INSTALL[4..]].concat()).fails(8, said);
    is_back();
    let status = machine.run(&["edgelay", "status"]);
    assert_eq!(status.code, 11, "{}", status.said());
    assert!(status.said().contains("missing or different: edgecore"), "{}", status.said());

    #[cfg(feature = "crash-points")]
    {
        // Each goes through the wait for an EdgeCore that does not come up: of some twenty, every sixth.
        let stride = std::env::var("EDGELAY_TEST_CUTS").map_or(6, |text| text.parse().unwrap());
        let mut at = 0;
        while cut(&machine, at) {
            let program = machine.sh("tail -n 1 /usr/local/bin/edgecore").good();
            assert!(program.starts_with("stands in for v1.22."), "cut {at}: {program}");
            at += stride;
        }
        assert!(at > 8, "no cut from {at} on");
        is_back();
    }

    // The bundle that it was made from has nothing to do but to be recorded.
    let pid = machine.sh("systemctl show -p MainPID edgecore").good();
    install(&machine, &[]).good();
    is_green(&machine);
    assert_eq!(machine.sh("systemctl show -p MainPID edgecore").good(), pid);
    is_back();
}

/// A bundle at `to` with this version of KubeEdge.
fn newer_at(machine: &Machine<'_>, kubeedge: &str, to: &str, change: &dyn Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let inputs = crate::support::bed::make_inputs(&folder.path().join("inputs"), "1.6", kubeedge);
    change(&inputs);
    make_bundle(&inputs, &folder.path().join("newer.bundle"), kubeedge);
    machine.put(&folder.path().join("newer.bundle"), to);
}

/// `/root/newer.bundle` with this version of KubeEdge.
fn newer(machine: &Machine<'_>, kubeedge: &str) {
    newer_at(machine, kubeedge, "/root/newer.bundle", &|_| {});
}

/// The same with EdgeCore as a component, at `to`.
fn as_component(machine: &Machine<'_>, kubeedge: &str, to: &str) {
    newer_at(machine, kubeedge, to, &|inputs| {
        let mut examples = std::env::current_exe().unwrap();
        examples.pop();
        let standin = examples.parent().unwrap().join("examples/standin-edgecore");
        let mut program = std::fs::read(standin).unwrap();
        program.extend(format!("\nstands in for {kubeedge}\n").into_bytes());
        std::fs::write(inputs.join("components/edgecore"), program).unwrap();
    });
}

/// Each run goes on where the one before was cut, and is cut one durable write later until its step ends. EdgeCore's
/// program is one of the two at any time.
#[cfg(feature = "crash-points")]
fn cut_again_and_again(machine: &Machine<'_>) {
    let (mut at, mut cuts) = (0, 0);
    loop {
        let was_cut = cut(machine, at);
        let program = machine.sh("tail -n 1 /usr/local/bin/edgecore && systemctl is-active edgecore").good();
        assert!(program.starts_with("stands in for v1.22.") && program.ends_with("\nactive\n"), "cut {at}: {program}");
        if !was_cut {
            break;
        }
        (at, cuts) = (at + 1, cuts + 1);
    }
    assert!(cuts > 8, "only {cuts} cuts");
    let left = machine.sh("find /etc /usr/local /var/lib/edgelay -name '*.edgelay-new'").good();
    assert_eq!(left, "");
}

/// An upgrade to the newer bundle, cut at its durable write `at`; false if it ended before, by an error perhaps.
#[cfg(feature = "crash-points")]
fn cut(machine: &Machine<'_>, at: usize) -> bool {
    use crate::crash::{AT, DIR, VERB};
    /// Ended by SIGABRT, as a shell tells it.
    const CUT: i32 = 134;
    if machine.sh("test -x /root/it").code != 0 {
        machine.put(&std::env::current_exe().unwrap(), "/root/it");
    }
    let (dir, verb, until) = (format!("{DIR}=/root/newer.bundle"), format!("{VERB}=live-edge"), format!("{AT}={at}"));
    let child = ["/root/it", "--exact", "crash::child", "--ignored", "--nocapture"];
    let ended = machine.run(&[&["env", &dir, &verb, &until], &child[..]].concat());
    let in_vain = ended.said().contains("the EdgeCore that ran before does so again");
    assert!([0, CUT].contains(&ended.code) || in_vain, "cut {at}: {}\n{}", ended.code, ended.said());
    ended.code == CUT
}
