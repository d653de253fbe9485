//! What cannot work: told before anything is written where that can be known, and with k3s's own words where not.

use super::*;

#[test]
fn an_image_that_is_missing_is_named_when_the_bundle_is_made() {
    if super::super::support::peers::peers_as_root("an_image_that_is_missing_is_named_when_the_bundle_is_made")
        .is_none()
    {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let from = cloud_inputs();
    for part in ["components", "images"] {
        std::fs::create_dir(folder.path().join(part)).unwrap();
        for entry in std::fs::read_dir(from.join(part)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if !name.contains("cloudcore") && !name.contains("klipper-lb") {
                std::os::unix::fs::symlink(entry.path(), folder.path().join(part).join(name)).unwrap();
            }
        }
    }
    let done = create("cloud", &[folder.path().to_owned()], &folder.path().join("made.bundle"), "v1.22.0");
    assert_eq!(done.code, 5, "{}", done.said());
    for name in ["docker.io/kubeedge/cloudcore:v1.22.0", "docker.io/rancher/klipper-lb:v0.4.13"] {
        assert!(done.said().contains(name), "no '{name}' in: {}", done.said());
    }
}

#[test]
fn what_cannot_become_a_cloud_is_refused() {
    let Some(bed) = Bed::start("what_cannot_become_a_cloud_is_refused") else { return };
    let machine = cloud(&bed, "cloud");
    machine.put(&bundle("edge"), "/root/edge.bundle");
    let before = listing(&machine);
    let untouched = |case: &str| {
        let mut found = difference(&before, &listing(&machine));
        found.retain(|line| !line.contains("/var/lib/edgelay"));
        assert_eq!(found, NOTHING, "{case}");
    };

    let edges = ["edgelay", "cloud", "install", "--bundle=/root/edge.bundle", "--config=/root/cloud.json"];
    machine.run(&edges).fails(5, "edge");
    untouched("the edge's bundle");
    install(&machine, &["--advertise-address=10.77.0.300"]).fails(3, "10.77.0.300");
    untouched("an address that is none");
    install(&machine, &["--edgemesh=true"])
        .fails(5, "lacks what EdgeMesh needs: image 'docker.io/kubeedge/edgemesh-agent'");
    untouched("EdgeMesh without its image");
    machine.sh("(setsid python3 -m http.server 6443 >/dev/null 2>&1 &)").good();
    let taken = wait_for(PATIENCE, || (machine.sh("exec 3<>/dev/tcp/127.0.0.1/6443").code == 0).then_some(()));
    assert!(taken.is_some());
    install(&machine, &[]).fails(4, "6443");
    untouched("a taken port");
    machine.sh("pkill -f http.server").good();

    // from here on k3s is laid down
    let why = "starting kubernetes: preparing server: failed to bootstrap cluster data: bootstrap data already found";
    std::fs::create_dir_all(machine.root().join("run/standin")).unwrap();
    std::fs::write(machine.root().join("run/standin/k3s-dies"), why).unwrap();
    let dead = install(&machine, &[]);
    assert!([7, 8].contains(&dead.code), "{}", dead.said());
    assert!(dead.said().contains(why), "{}", dead.said());
    std::fs::remove_file(machine.root().join("run/standin/k3s-dies")).unwrap();
    std::fs::write(machine.root().join("run/standin/k3s-never-ready"), "").unwrap();
    let late = install(&machine, &["--ready-timeout=30s"]);
    assert_eq!(late.code, 8, "{}", late.said());
    assert!(late.said().contains("the API is not ready"), "{}", late.said());
    std::fs::remove_file(machine.root().join("run/standin/k3s-never-ready")).unwrap();
    machine.run(&["systemctl", "restart", "k3s"]).good();
    // CloudCore takes longer than keadm waits, but not longer than we do
    std::fs::write(machine.root().join("run/standin/keadm-wait-ms"), "1000").unwrap();
    std::fs::write(machine.root().join("run/standin/cloudcore-late"), "5").unwrap();
    good(install(&machine, &[]), &machine);
    is_green(&machine);
    std::fs::remove_file(machine.root().join("run/standin/cloudcore-late")).unwrap();
    images_that_cannot_come(&machine);
}

/// A pod whose image no bundle has: told by its name, soon, and not after ten minutes.
fn images_that_cannot_come(machine: &Machine<'_>) {
    for (name, space, first, image) in [
        ("late", "kube-system", "", "rancher/mirrored-metrics-server:v9.9.9"),
        (
            "never",
            "kubeedge",
            r#""initContainers":[{"name":"first","image":"kubeedge/nothing:v1"}],"#,
            "kubeedge/cloudcore:v1.22.0",
        ),
    ] {
        let pod = format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{name}","namespace":"{space}"}},"spec":{{"nodeName":"cloud-1",{first}
                "containers":[{{"name":"main","image":"{image}","imagePullPolicy":"IfNotPresent"}}]}}}}"#
        );
        std::fs::write(machine.root().join("root/pod.json"), pod).unwrap();
        kubectl(machine, &["create", "--filename=/root/pod.json"]).good();
        let waits = wait_for(PATIENCE, || {
            let path = "-o=jsonpath={.status.initContainerStatuses[*].state.waiting.reason}{.status.containerStatuses[*].state.waiting.reason}";
            kubectl(machine, &["get", "pod", name, "-n", space, path]).out.contains("ImagePullBackOff").then_some(())
        });
        assert!(waits.is_some(), "{}", kubectl(machine, &["get", "pods", "-A", "-o=yaml"]).said());
        let begun = std::time::Instant::now();
        let (container, image, like) = match first {
            "" => ("main", image, "only 'docker.io/rancher/mirrored-metrics-server:v0.8.0'"),
            _ => ("first", "kubeedge/nothing:v1", "none like it"),
        };
        let seen = format!(
            "pod '{space}/{name}' cannot start: container '{container}' waits for image '{image}' (ImagePullBackOff)"
        );
        machine.run(&["edgelay", "cloud", "status"]).fails(11, &seen);
        install(machine, &[]).fails(8, &format!("{seen}; containerd has {like}"));
        assert!(begun.elapsed() < PATIENCE / 2, "it took {:?}", begun.elapsed());
        kubectl(machine, &["delete", "pod", name, "-n", space, "--wait=false", "--grace-period=0", "--force"]).good();
    }
    good(install(machine, &[]), machine);
    is_green(machine);
}
