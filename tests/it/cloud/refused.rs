//! What cannot work: told before anything is written where that can be known, and with k3s's own words where not.

use edgelay::config::CloudConfig;
use edgelay::host::preflight::Ignored;
use edgelay::ids::Arch;
use edgelay::report::{Report, Style};

use super::super::support::bundles::Inputs;
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

/// Installs a cloud from this bundle below `root`, with every check of the host ignored.
fn install_in(root: &Path, file: &Path) -> edgelay::error::Result<()> {
    use edgelay::mode::{cloud, edge::BundleSource};
    let config = CloudConfig {
        addresses: vec![ADDRESS.parse().unwrap()],
        name: Some("cloud-1".parse().unwrap()),
        ..CloudConfig::default()
    };
    let request = cloud::Request {
        root: root.to_owned(),
        config: Box::new(config),
        bundle: Some(BundleSource::file(file.to_owned())),
        scope: cloud::Scope::Install,
        ignored: Ignored::parse("all").unwrap(),
    };
    cloud::install(request, &Report::new(Box::new(std::io::sink()), Style::Quiet))
}

#[test]
fn what_a_bundle_lacks_is_named_before_the_host_is_touched() {
    use edgelay::bundle::{self, Bundle};
    use edgelay::mode;
    let folder = tempfile::tempdir().unwrap();
    let (file, root) = (folder.path().join("good"), folder.path().join("target"));
    let inputs = Inputs::cloud(folder.path(), Arch::Amd64);
    mode::bundle::create(&inputs.request(), &file, mode::bundle::Format::Text, &mut std::io::sink()).unwrap();
    let good = Bundle::open(&file).unwrap();
    let (mut manifest, mut images) = (good.manifest().clone(), good.images().to_vec());
    let gone = |name: &str| name.contains("/cloudcore:") || name.contains("/klipper-lb:");
    manifest.images.retain(|image| !image.names.iter().any(|name| gone(name.as_str())));
    images.retain(|image| !image.names.iter().any(|name| gone(name.as_str())));
    manifest.components.retain(|c| c.name != "keadm");
    let mut out = Vec::new();
    bundle::write(&manifest, &images, &mut Bundle::open(&file).unwrap(), &mut out).unwrap();
    std::fs::write(&file, out).unwrap();
    std::fs::create_dir(&root).unwrap();
    let e = install_in(&root, &file).unwrap_err();
    let what = format!(
        "bundle '{}': lacks what cloud needs at KubeEdge v1.22.0: component 'keadm', image \
         'docker.io/rancher/klipper-lb:v0.4.13', image 'docker.io/kubeedge/cloudcore:v1.22.0'",
        file.display()
    );
    assert_eq!((e.to_string(), e.kind().exit_code()), (what, 5));
    let hint = "make the bundle again with what is missing";
    assert_eq!(e.hint_text(), Some(hint));
    // our own lock and log are all there is
    let files = run(Command::new("find").arg(&root).args([
        "-type",
        "f",
        "!",
        "-path",
        "*/var/lib/edgelay/*",
        "!",
        "-name",
        "install.log",
    ]));
    assert_eq!(files.good(), "");
}

#[test]
fn what_an_older_release_need_not_understand_is_kept_from_it() {
    use edgelay::bundle::{self, Bundle};
    use edgelay::mode;
    use edgelay::plan::Journal;
    use edgelay::root::Root;
    let folder = tempfile::tempdir().unwrap();
    let (old, new, root) = (folder.path().join("old"), folder.path().join("new"), folder.path().join("target"));
    let inputs = Inputs::cloud(folder.path(), Arch::Amd64);
    mode::bundle::create(&inputs.request(), &old, mode::bundle::Format::Text, &mut std::io::sink()).unwrap();
    let good = Bundle::open(&old).unwrap();
    let (mut manifest, mut images) = (good.manifest().clone(), good.images().to_vec());
    manifest.kubeedge = "v1.23.0".parse().unwrap();
    let names = manifest.images.iter_mut().flat_map(|image| &mut image.names);
    for name in names.chain(images.iter_mut().flat_map(|image| &mut image.names)) {
        *name = name.as_str().replace("v1.22.0", "v1.23.0").parse().unwrap();
    }
    let mut out = Vec::new();
    bundle::write(&manifest, &images, &mut Bundle::open(&old).unwrap(), &mut out).unwrap();
    std::fs::write(&new, out).unwrap();
    std::fs::create_dir(&root).unwrap();
    let install = |file: &Path| install_in(&root, file);
    // where it has never run nothing is stored
    install(&new).unwrap();
    install(&old).unwrap();
    install(&new).unwrap();
    Journal::open(&Root::open(&root).unwrap()).unwrap().started("cloudcore").unwrap();
    let e = install(&old).unwrap_err();
    let what = "the bundle brings KubeEdge v1.22.0, but this machine runs v1.23.0";
    assert_eq!((e.to_string().as_str(), e.kind().exit_code()), (what, 5));
    let hint = "give a bundle with v1.23 or newer: what it has stored, an older one need not understand";
    assert_eq!(e.hint_text(), Some(hint));
    install(&new).unwrap();
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
    told(
        machine.run(&edges),
        5,
        "bundle '/root/edge.bundle' is for the role 'edge', expected 'cloud'",
        "give the bundle that was made with --role cloud",
    );
    untouched("the edge's bundle");
    for (flag, code, what, hint) in [
        (
            "--advertise-address=10.77.0.300",
            3,
            "has '10.77.0.300', which is invalid IP address syntax",
            "give bare addresses, such as 192.0.2.10; names belong into 'dns_names'",
        ),
        (
            "--advertise-address=cloud.example",
            3,
            "has 'cloud.example', which is invalid IP address syntax",
            "give bare addresses, such as 192.0.2.10; names belong into 'dns_names'",
        ),
        (
            "--node-ip=2001:db8::1",
            3,
            "'node.ip' is 2001:db8::1, but the cluster's ranges are of IPv4",
            "give an IPv4 address of this machine",
        ),
        (
            "--service-cidr=10.77.0.0/16",
            4,
            "service_cidr 10.77.0.0/16 overlaps the route to 10.77.0.0/24 through",
            "choose ranges for 'cluster_cidr' and 'service_cidr' that are used nowhere in this site's network",
        ),
        (
            "--edgemesh=true",
            5,
            "lacks what EdgeMesh needs: image 'docker.io/kubeedge/edgemesh-agent'",
            "make a bundle with the agent's image and its three resource definitions, or set edgemesh to false",
        ),
    ] {
        told(install(&machine, &[flag]), code, what, hint);
        untouched(flag);
    }
    machine.sh("(setsid python3 -m http.server 6443 >/dev/null 2>&1 &)").good();
    let taken = wait_for(PATIENCE, || (machine.sh("exec 3<>/dev/tcp/127.0.0.1/6443").code == 0).then_some(()));
    assert!(taken.is_some());
    let held = install(&machine, &[]);
    told(
        held,
        4,
        "6443 for the Kubernetes API is held by python3",
        "stop what holds the port, or move it to another one",
    );
    untouched("a taken port");
    machine.sh("pkill -f http.server").good();

    // from here on k3s is laid down
    let why = "starting kubernetes: preparing server: failed to bootstrap cluster data: bootstrap data already found";
    std::fs::create_dir_all(machine.root().join("run/standin")).unwrap();
    std::fs::write(machine.root().join("run/standin/k3s-dies"), why).unwrap();
    told(install(&machine, &[]), 7, why, "see what k3s says is wrong, mend it and run again");
    std::fs::remove_file(machine.root().join("run/standin/k3s-dies")).unwrap();
    std::fs::write(machine.root().join("run/standin/k3s-never-ready"), "").unwrap();
    let late = install(&machine, &["--ready-timeout=30s"]);
    told(
        late,
        8,
        "for Kubernetes to serve; last seen: the API is not ready",
        "see what k3s says is wrong, mend it and run again",
    );
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
