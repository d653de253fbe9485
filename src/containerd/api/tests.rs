//! Every request, first with nothing in it (what it embeds must be there all the same), then with every field, by the
//! numbers of the `.proto` files; and answers with more fields than we know.

use super::*;
use crate::pb::{Encode, PbError, Writer, decode};
use crate::testing::{hex, mutate};

/// Encodes the default and then `full`, and compares both.
fn check<M: Encode + Default>(full: &M, empty: &str, bytes: &str) {
    let name = std::any::type_name::<M>();
    assert_eq!(Writer::encode(&M::default()), hex(empty), "{name} with nothing in it");
    assert_eq!(Writer::encode(full), hex(bytes), "{name}");
}

fn s(text: &str) -> String {
    text.to_owned()
}

fn map() -> Map {
    [(s("k"), s("v"))].into()
}

#[test]
fn requests_of_namespaces_and_leases() {
    use leases::*;
    use namespaces::*;
    check(&GetNamespaceRequest { name: s("n") }, "", "0a016e");
    check(&ListNamespacesRequest { filter: s("f") }, "", "0a0166");
    let namespace = Namespace { name: s("n"), labels: map() };
    check(&CreateNamespaceRequest { namespace }, "0a00", "0a0b 0a016e 1206 0a016b 120176");
    check(&CreateRequest { id: s("i"), labels: map() }, "", "0a0169 1a06 0a016b 120176");
    check(&DeleteRequest { id: s("i"), sync: true }, "", "0a0169 1001");
    check(&ListRequest { filters: vec![s("f"), s("g")] }, "", "0a0166 0a0167");
    let resource = Resource { id: s("r"), kind: s("content") };
    check(&AddResourceRequest { id: s("i"), resource }, "1200", "0a0169 120c 0a0172 1207 636f6e74656e74");
    check(&ListResourcesRequest { id: s("i") }, "", "0a0169");
    check(&introspection::PluginsRequest { filters: vec![s("f")] }, "", "0a0166");
    check(&Empty {}, "", "");
}

#[test]
fn requests_of_content() {
    use content::*;
    check(&InfoRequest { digest: s("d") }, "", "0a0164");
    let info = InfoUpdate { digest: s("d"), labels: map() };
    let update_mask = FieldMask { paths: vec![s("labels.k")] };
    check(
        &UpdateRequest { info, update_mask },
        "0a00 1200",
        "0a0b 0a0164 2a06 0a016b 120176  120a 0a08 6c6162656c732e6b",
    );
    check(&ListContentRequest { filters: vec![s("f")] }, "", "0a0166");
    check(&DeleteContentRequest { digest: s("d") }, "", "0a0164");
    check(&ReadContentRequest { digest: s("d"), offset: 7, size: 300 }, "", "0a0164 1007 18ac02");
    check(&StatusRequest { reference: s("r") }, "", "0a0172");
    check(&ListStatusesRequest { filters: vec![s("f")] }, "", "0a0166");
    check(&AbortRequest { reference: s("r") }, "", "0a0172");
    let write = WriteContentRequest {
        action: WriteAction::COMMIT,
        reference: s("r"),
        total: 5,
        expected: s("e"),
        offset: 5,
        labels: map(),
    };
    check(&write, "", "0802 120172 1805 220165 2805 3a06 0a016b 120176");
}

#[test]
fn requests_of_images() {
    use images::*;
    check(&GetImageRequest { name: s("n") }, "", "0a016e");
    check(&ListImagesRequest { filters: vec![s("f")] }, "", "0a0166");
    let target = Descriptor { media_type: s("m"), digest: s("d"), size: 9, annotations: map() };
    let image = ImageRecord { name: s("n"), labels: map(), target };
    let bytes = "0a1d 0a016e 1206 0a016b 120176 1a10 0a016d 120164 1809 2a06 0a016b 120176";
    // Neither the image nor its target can be missing: the daemon would die of it.
    check(&CreateImageRequest { image: image.clone() }, "0a02 1a00", bytes);
    let update_mask = FieldMask { paths: vec![s("target")] };
    check(&UpdateImageRequest { image, update_mask }, "0a02 1a00 1200", &format!("{bytes} 1208 0a06 746172676574"));
    check(&DeleteImageRequest { name: s("n"), sync: true }, "", "0a016e 1001");
}

#[test]
fn requests_of_snapshots_and_diff() {
    use snapshots::*;
    let (snapshotter, key) = (s("o"), s("k"));
    let prepare =
        PrepareSnapshotRequest { snapshotter: snapshotter.clone(), key: key.clone(), parent: s("p"), labels: map() };
    check(&prepare, "", "0a016f 12016b 1a0170 2206 0a016b 120176");
    let commit =
        CommitSnapshotRequest { snapshotter: snapshotter.clone(), name: s("n"), key: key.clone(), labels: map() };
    check(&commit, "", "0a016f 12016e 1a016b 2206 0a016b 120176");
    check(&SnapshotRequest { snapshotter: snapshotter.clone(), key }, "", "0a016f 12016b");
    check(&ListSnapshotsRequest { snapshotter, filters: vec![s("f")] }, "", "0a016f 120166");
    let mount = Mount { kind: s("t"), source: s("s"), target: s("x"), options: vec![s("a"), s("")] };
    let diff = Descriptor { media_type: s("m"), digest: s("d"), size: -1, annotations: Map::new() };
    check(
        &diff::ApplyRequest { diff, mounts: vec![mount], sync_fs: true },
        "0a00",
        "0a11 0a016d 120164 18ffffffffffffffffff01  120e 0a0174 120173 1a0178 220161 2200  2001",
    );
}

#[test]
fn requests_of_cri_images() {
    use cri::*;
    let image = ImageSpec { image: s("i"), annotations: map() };
    let bytes = "0a0b 0a0169 1206 0a016b 120176";
    check(&ImageStatusRequest { image: image.clone(), verbose: true }, "0a00", &format!("{bytes} 1001"));
    check(&ImageRequest { image: image.clone() }, "0a00", bytes);
    check(&PullImageRequest { image: image.clone() }, "0a00", bytes);
    check(&ListImagesRequest { filter: ImageFilter { image } }, "0a02 0a00", &format!("0a0d {bytes}"));
}

#[test]
fn requests_of_cri_pods() {
    use cri::*;
    check(&VersionRequest { version: s("1") }, "", "0a0131");
    check(&StatusRequest { verbose: true }, "", "0801");
    let config = PodSandboxConfig {
        metadata: PodSandboxMetadata { name: s("n"), uid: s("u"), namespace: s("s"), attempt: 1 },
        hostname: s("h"),
        log_directory: s("l"),
        dns_config: DnsConfig { servers: vec![s("1")], searches: vec![s("2")], options: vec![s("3")] },
        port_mappings: vec![PortMapping { protocol: 1, container_port: 80, host_port: 81, host_ip: s("a") }],
        labels: map(),
        annotations: map(),
        linux: LinuxPodSandboxConfig {
            cgroup_parent: s("/c"),
            security_context: LinuxSandboxSecurityContext {
                namespace_options: NamespaceOption {
                    network: NamespaceMode::NODE,
                    pid: NamespaceMode::CONTAINER,
                    ipc: NamespaceMode::NODE,
                },
                privileged: true,
            },
            sysctls: map(),
        },
    };
    let config_bytes = "0a0b 0a016e 120175 1a0173 2001  120168 1a016c  2209 0a0131 120132 1a0133 \
                        2a09 0801 1050 1851 220161  3206 0a016b 120176  3a06 0a016b 120176 \
                        4218 0a022f63 120a 0a06 0802 1001 1802 3001 1a06 0a016b 120176";
    let empty = "0a00 2200 4204 1202 0a00";
    let length = hex(config_bytes).len();
    check(
        &RunPodSandboxRequest { config: config.clone(), runtime_handler: s("r") },
        &format!("0a0a {empty}"),
        &format!("0a{length:02x} {config_bytes} 120172"),
    );
    check(&SandboxRequest { pod_sandbox_id: s("p") }, "", "0a0170");
    check(&PodSandboxStatusRequest { pod_sandbox_id: s("p"), verbose: true }, "", "0a0170 1001");
    let filter = PodSandboxFilter { id: s("p"), label_selector: map() };
    check(&ListPodSandboxRequest { filter }, "0a00", "0a0b 0a0170 1a06 0a016b 120176");
}

#[test]
fn requests_of_cri_containers() {
    use cri::*;
    let config = ContainerConfig {
        metadata: ContainerMetadata { name: s("n"), attempt: 1 },
        image: ImageSpec { image: s("i"), annotations: Map::new() },
        command: vec![s("c")],
        args: vec![s("a")],
        working_dir: s("w"),
        envs: vec![KeyValue { key: s("k"), value: s("v") }],
        mounts: vec![MountSpec { container_path: s("c"), host_path: s("h"), readonly: true }],
        labels: map(),
        annotations: map(),
        log_path: s("l"),
        linux: LinuxContainerConfig {
            security_context: LinuxContainerSecurityContext {
                capabilities: Capability { add_capabilities: vec![s("A")], drop_capabilities: vec![s("D")] },
                privileged: true,
                namespace_options: NamespaceOption { network: NamespaceMode::NODE, ..Default::default() },
            },
        },
    };
    let bytes = "0a05 0a016e 1001  1203 0a0169  1a0163 220161 2a0177  3206 0a016b 120176 \
                 3a08 0a0163 120168 1801  4a06 0a016b 120176  5206 0a016b 120176  5a016c \
                 7a10 120e 0a06 0a0141 120144 1001 1a02 0802";
    let empty = "0a00 1200 7a06 1204 0a00 1a00";
    check(
        &CreateContainerRequest { pod_sandbox_id: s("p"), config, sandbox_config: PodSandboxConfig::default() },
        &format!("120c {empty} 1a0a 0a00 2200 4204 1202 0a00"),
        &format!("0a0170 12{:02x} {bytes} 1a0a 0a00 2200 4204 1202 0a00", hex(bytes).len()),
    );
    check(&ContainerRequest { container_id: s("c") }, "", "0a0163");
    check(&StopContainerRequest { container_id: s("c"), timeout: 2 }, "", "0a0163 1002");
    check(&ContainerStatusRequest { container_id: s("c"), verbose: true }, "", "0a0163 1001");
    let filter = ContainerFilter { id: s("c"), pod_sandbox_id: s("p"), label_selector: map() };
    check(&ListContainersRequest { filter }, "0a00", "0a0e 0a0163 1a0170 2206 0a016b 120176");
    check(
        &ExecSyncRequest { container_id: s("c"), cmd: vec![s("a"), s("b")], timeout: 3 },
        "",
        "0a0163 120161 120162 1803",
    );
}

#[test]
fn answers_with_fields_that_we_do_not_know() {
    let answer: images::ImageResponse =
        decode(&hex("0a1e 0a016e 1206 0a016b 120176 1a08 0a016d 120164 1809 3a04 08051006 c23e00  9a0100")).unwrap();
    let image = answer.image.unwrap();
    assert_eq!((image.name, image.labels, image.target.size), (s("n"), map(), 9));
    assert_eq!(image.created_at, Some(Timestamp { seconds: 5, nanos: 6 }));
    let absent: cri::ImageStatusResponse = decode(&hex("1206 0a016b 120176")).unwrap();
    assert_eq!((absent.image, absent.info), (None, map()));
    let status: cri::StatusResponse =
        decode(&hex("0a24 0a10 0a0c 52756e74696d655265616479 1001  0a10 0a0c 4e6574776f726b5265616479 1000")).unwrap();
    let conditions = status.status.conditions;
    assert_eq!(conditions.len(), 2);
    assert_eq!((conditions[0].kind.as_str(), conditions[0].status), ("RuntimeReady", true));
    assert_eq!((conditions[1].kind.as_str(), conditions[1].status), ("NetworkReady", false));
}

#[test]
fn damaged_answers_decode_or_fail() {
    fn all(bytes: &[u8]) -> [Result<(), PbError>; 8] {
        [
            decode::<images::ListImagesResponse>(bytes).map(drop),
            decode::<introspection::PluginsResponse>(bytes).map(drop),
            decode::<content::WriteContentResponse>(bytes).map(drop),
            decode::<snapshots::MountsResponse>(bytes).map(drop),
            decode::<cri::PodSandboxStatusResponse>(bytes).map(drop),
            decode::<cri::ContainerStatusResponse>(bytes).map(drop),
            decode::<cri::ImageFsInfoResponse>(bytes).map(drop),
            decode::<cri::ListImagesResponse>(bytes).map(drop),
        ]
    }
    let seeds = [
        hex("0a1b 0a016e 1206 0a016b 120176 1a08 0a016d 120164 1809 3a04 08051006"),
        hex("0a0e 0a0174 120173 1a0178 220161 2200"),
        hex("0802 2005 2805 320164"),
        hex("0a24 0a10 0a0c 52756e74696d655265616479 1001  0a10 0a0c 4e6574776f726b5265616479 1000"),
    ];
    let (mut good, mut bad) = (0u32, 0u32);
    mutate(&seeds, 20_000, |bytes| {
        for result in all(bytes) {
            *if result.is_ok() { &mut good } else { &mut bad } += 1;
        }
    });
    assert!(good > 5_000 && bad > 5_000, "one-sided: {good} good, {bad} bad");
}
