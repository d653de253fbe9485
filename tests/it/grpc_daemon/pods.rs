//! CRI: a pod and a container from their making to their end.

use std::time::Duration;

use edgelay::containerd::api::cri::{
    ContainerConfig, ContainerFilter, ContainerMetadata, ContainerState, ImageSpec, KeyValue, LinuxPodSandboxConfig,
    LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig, PodSandboxFilter,
    PodSandboxMetadata, PodSandboxState,
};
use edgelay::containerd::{Client, Code};

use super::{Daemon, client, code, on_every_containerd, wait_until};
use crate::support::daemon::PAUSE;
use crate::support::images::{Packed, Same, Spec, docker, layer};

on_every_containerd!(a_container_from_its_making_to_its_end);

/// The pause image, which here only sleeps.
fn import_pause(daemon: &Daemon, client: &mut Client) {
    let busybox = std::fs::read(daemon.peers().join("common/bin/busybox")).unwrap();
    let image = Spec::new(&[PAUSE], vec![layer::busybox(&busybox)]).cmd(&["/bin/sleep", "1000000"]);
    let file = daemon.scratch().join("pause.tar");
    docker(&[image], Same::Copy).save(&file, Packed::Plain);
    daemon.ctr_ok(&["images", "import", file.to_str().unwrap()]);
    assert!(wait_until(|| client.cri_images().status(PAUSE).unwrap().is_some()), "CRI does not see {PAUSE}");
}

/// With the host's network, which needs no CNI plugin.
fn pod(daemon: &Daemon) -> PodSandboxConfig {
    let namespace_options =
        NamespaceOption { network: NamespaceMode::NODE, pid: NamespaceMode::CONTAINER, ipc: NamespaceMode::NODE };
    PodSandboxConfig {
        metadata: PodSandboxMetadata {
            name: "smoke".to_owned(),
            uid: "uid-1".to_owned(),
            namespace: "edgelay".to_owned(),
            attempt: 0,
        },
        log_directory: daemon.scratch().display().to_string(),
        labels: [("app".to_owned(), "smoke".to_owned())].into(),
        linux: LinuxPodSandboxConfig {
            cgroup_parent: "/edgelay-smoke".to_owned(),
            security_context: LinuxSandboxSecurityContext { namespace_options, privileged: false },
            ..Default::default()
        },
        ..Default::default()
    }
}

fn container(daemon: &Daemon) -> ContainerConfig {
    let mut config = ContainerConfig {
        metadata: ContainerMetadata { name: "main".to_owned(), attempt: 0 },
        image: ImageSpec { image: PAUSE.to_owned(), ..Default::default() },
        command: ["/bin/sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"].map(str::to_owned).to_vec(),
        envs: vec![KeyValue { key: "GREETING".to_owned(), value: "hello".to_owned() }],
        log_path: "edgelay-smoke.log".to_owned(),
        ..Default::default()
    };
    config.linux.security_context.namespace_options = pod(daemon).linux.security_context.namespace_options;
    config
}

fn a_container_from_its_making_to_its_end(daemon: &mut Daemon) {
    let mut client = client(daemon);
    assert!(wait_until(|| client.cri().status().is_ok()), "no CRI");
    let e = client.cri().run_pod(pod(daemon)).unwrap_err();
    assert!(e.message().unwrap().contains(PAUSE), "without the pause image: {e}");
    import_pause(daemon, &mut client);
    let listed = client.cri_images().list().unwrap();
    assert_eq!((listed.len(), &listed[0].repo_tags[0][..]), (1, PAUSE));

    let pod_id = client.cri().run_pod(pod(daemon)).unwrap();
    assert_eq!(client.cri().pod_status(&pod_id).unwrap().state, PodSandboxState::READY);
    let filter = PodSandboxFilter { label_selector: pod(daemon).labels, ..Default::default() };
    assert_eq!(client.cri().list_pods(filter).unwrap()[0].metadata, pod(daemon).metadata);

    let id = client.cri().create_container(&pod_id, container(daemon), pod(daemon)).unwrap();
    assert_eq!(client.cri().container_status(&id).unwrap().state, ContainerState::CREATED);
    client.cri().start_container(&id).unwrap();
    assert_eq!(client.cri().container_status(&id).unwrap().state, ContainerState::RUNNING);
    let filter = ContainerFilter { pod_sandbox_id: pod_id.clone(), ..Default::default() };
    assert_eq!(client.cri().list_containers(filter).unwrap().len(), 1);
    let limit = Duration::from_secs(10);
    let out = client.cri().exec(&id, &["/bin/sh", "-c", "echo $GREETING; echo bad >&2; exit 5"], limit).unwrap();
    assert_eq!((&out.stdout[..], &out.stderr[..], out.exit_code), (&b"hello\n"[..], &b"bad\n"[..], 5));
    let e = client.cri().exec(&id, &["/bin/sleep", "20"], Duration::from_secs(1)).unwrap_err();
    assert!(e.code().is_some(), "{e}");

    client.cri().stop_container(&id, Duration::from_secs(5)).unwrap();
    let ended = client.cri().container_status(&id).unwrap();
    assert_eq!((ended.state, ended.exit_code), (ContainerState::EXITED, 3));
    client.cri().remove_container(&id).unwrap();
    assert_eq!(code(client.cri().container_status(&id)), Code::NotFound);
    client.cri().stop_pod(&pod_id).unwrap();
    client.cri().remove_pod(&pod_id).unwrap();
    client.cri().remove_pod(&pod_id).unwrap();
    assert!(client.cri().list_pods(Default::default()).unwrap().is_empty());

    // No network: a pull must fail.
    assert!(client.cri_images().pull("docker.io/library/busybox:1").is_err());
    client.cri_images().remove(PAUSE).unwrap();
    client.cri_images().remove(PAUSE).unwrap();
    assert!(client.cri_images().status(PAUSE).unwrap().is_none());
}
