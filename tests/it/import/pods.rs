//! Containers run from what we imported: in the host's network and behind a bridge.

use std::path::Path;
use std::time::Duration;

use edgelay::cni;
use edgelay::containerd::Client;
use edgelay::containerd::api::cri::{
    ContainerConfig, ContainerMetadata, ContainerState, ImageSpec, LinuxPodSandboxConfig, LinuxSandboxSecurityContext,
    NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxMetadata,
};

use super::{import_file, on_every_containerd};
use crate::support::daemon::{Daemon, PAUSE, wait_until};
use crate::support::images::layer::{busybox, file, tree};
use crate::support::images::{Packed, Spec, oci};

on_every_containerd!(a_container_runs_from_our_import);

const APP: &str = "docker.io/kubeedge/app:v1";

fn a_container_runs_from_our_import(version: &str) {
    let Some(daemon) = Daemon::start("pod", version) else { return };
    let binary = std::fs::read(daemon.peers().join("common/bin/busybox")).unwrap();
    let [odd, cleared] = tree();
    let app = Spec::new(&[APP], vec![busybox(&binary), odd, cleared, file("etc/greeting", b"hello edge\n", 0o644)]);
    let pause = Spec::new(&[PAUSE], vec![busybox(&binary)]).cmd(&["/bin/sleep", "3600"]);
    let path = daemon.scratch().join("images.tar");
    oci(&[&[pause], &[app]], Packed::Gzip).save(&path, Packed::Plain);
    import_file(&daemon, &path, &mut ()).unwrap();

    // Whiteouts, owners, devices and the last layer's file, seen from inside.
    let look = "cat /etc/greeting && test ! -e /gone && test ! -e /opaque/old && stat -c '%u:%g %a' /odd/owned && \
                echo x >/odd/null && echo fine";
    let host = Pod { network: NamespaceMode::NODE, name: "host" };
    assert_eq!(host.run(&daemon, look), "hello edge\n1000:2000 600\nfine\n", "containerd {version}");

    network(&daemon);
    let bridged = Pod { network: NamespaceMode::POD, name: "bridged" };
    let seen = bridged.run(
        &daemon,
        "ip -4 addr show eth0 | grep -o 'inet [0-9.]*' && ping -c 1 -W 5 10.99.7.1 >/dev/null && echo fine",
    );
    assert!(seen.starts_with("inet 10.99.7.") && seen.ends_with("fine\n"), "containerd {version}: {seen}");
}

/// The product's own network; without the two plugins that need iptables where the machine has none.
fn network(daemon: &Daemon) {
    let conflist = cni::conflist("10.99.7.0/24".parse().unwrap());
    let mut conflist: serde_json::Value = serde_json::from_str(&conflist).unwrap();
    if !Path::new("/usr/sbin/iptables").exists() {
        println!("no iptables: the pod network is tried without masquerading and port mapping");
        conflist["plugins"][0]["ipMasq"] = false.into();
        conflist["plugins"].as_array_mut().unwrap().truncate(1);
    }
    // As root::Root writes it. The new file must be in that directory from the start: CRI looks again when something is
    // written there or renamed away, but not when something is renamed into it.
    let new = daemon.cni_conf_dir().join(".10-edgelay.conflist.new");
    std::fs::write(&new, conflist.to_string()).unwrap();
    std::fs::rename(&new, daemon.cni_conf_dir().join("10-edgelay.conflist")).unwrap();
    let mut client = Client::connect(&daemon.socket()).unwrap();
    let ready = wait_until(|| {
        let conditions = client.cri().status().unwrap().status.conditions;
        conditions.iter().any(|condition| condition.kind == "NetworkReady" && condition.status)
    });
    assert!(ready, "the network does not get ready");
}

struct Pod {
    network: NamespaceMode,
    name: &'static str,
}

impl Pod {
    fn config(&self, daemon: &Daemon) -> PodSandboxConfig {
        let name = |name: &str| name.to_owned();
        let options = NamespaceOption { network: self.network, pid: NamespaceMode::CONTAINER, ipc: NamespaceMode::POD };
        let security_context = LinuxSandboxSecurityContext { namespace_options: options, ..Default::default() };
        // The scratch directory's name makes it unique among daemons and test runs.
        let uid = format!("{}-{}", self.name, daemon.scratch().file_name().unwrap().display());
        PodSandboxConfig {
            metadata: PodSandboxMetadata {
                name: name(self.name),
                uid: uid.clone(),
                namespace: name("test"),
                attempt: 0,
            },
            log_directory: daemon.scratch().join(self.name).display().to_string(),
            linux: LinuxPodSandboxConfig { cgroup_parent: format!("/{uid}"), security_context, ..Default::default() },
            ..Default::default()
        }
    }

    /// What `script` prints in a container of the app's image; it must succeed.
    fn run(&self, daemon: &Daemon, script: &str) -> String {
        let mut client = Client::connect(&daemon.socket()).unwrap();
        let config = self.config(daemon);
        let cgroup = config.linux.cgroup_parent.clone();
        let pod = client.cri().run_pod(config.clone()).unwrap();
        let container = ContainerConfig {
            metadata: ContainerMetadata { name: "app".into(), attempt: 0 },
            image: ImageSpec { image: APP.into(), ..Default::default() },
            command: ["/bin/sh", "-ec", script].map(ToOwned::to_owned).into(),
            log_path: "app.log".into(),
            ..Default::default()
        };
        let id = client.cri().create_container(&pod, container, config).unwrap();
        client.cri().start_container(&id).unwrap();
        let ended = wait_until(|| client.cri().container_status(&id).unwrap().state == ContainerState::EXITED);
        let log = std::fs::read_to_string(daemon.scratch().join(self.name).join("app.log")).unwrap();
        let status = client.cri().container_status(&id).unwrap();
        assert!(ended && status.exit_code == 0, "{}: {status:?}\n{log}", self.name);
        client.cri().stop_container(&id, Duration::ZERO).unwrap();
        client.cri().remove_container(&id).unwrap();
        client.cri().stop_pod(&pod).unwrap();
        client.cri().remove_pod(&pod).unwrap();
        remove_cgroups(&cgroup);
        // Lines of the log are "TIME stdout F text".
        log.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n").collect()
    }
}

/// runc leaves the pod's empty parent directories.
fn remove_cgroups(cgroup: &str) {
    let roots = std::fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
    for dir in roots.chain(["/sys/fs/cgroup".into()]) {
        let _ = std::fs::remove_dir(dir.join(cgroup.trim_start_matches('/'))); // not every hierarchy has it
    }
}
