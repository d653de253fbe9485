//! Image records, namespaces, leases and snapshots.

use edgelay::containerd::api::images::ImageRecord;
use edgelay::containerd::api::leases::Resource;
use edgelay::containerd::api::{Descriptor, Map};
use edgelay::containerd::{Code, Committed, Ingest, LeaseId, Opened};
use edgelay::digest::Digest;

use super::{Daemon, client, code, on_every_containerd};
use crate::support::images::layer;

on_every_containerd!(image_records, namespaces, leases, snapshots_and_layers);

const LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

fn map(pairs: &[(&str, &str)]) -> Map {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// In a namespace of its own: CRI would look for the content in `k8s.io`.
fn image_records(daemon: &mut Daemon) {
    let mut client = client(daemon).in_namespace("records".parse().unwrap());
    let target = |text: &str| Descriptor {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        digest: Digest::of(text.as_bytes()).to_string(),
        size: 5,
        annotations: Map::new(),
    };
    let record =
        ImageRecord { name: "docker.io/a/b:1".to_owned(), labels: map(&[("x", "1"), ("y", "2")]), target: target("1") };
    assert_eq!(code(client.images().get(&record.name)), Code::NotFound);
    assert_eq!(client.images().create(record.clone()).unwrap().labels, record.labels);
    assert_eq!(code(client.images().create(record.clone())), Code::AlreadyExists);

    let changed = ImageRecord { labels: map(&[("x", "3"), ("z", "4")]), target: target("2"), ..record.clone() };
    let image = client.images().update(changed, vec!["target".to_owned(), "labels.x".to_owned()]).unwrap();
    assert_eq!((&image.labels, &image.target), (&map(&[("x", "3"), ("y", "2")]), &target("2")));
    let image = client.images().get(&record.name).unwrap();
    assert_eq!((image.labels, image.target.size), (map(&[("x", "3"), ("y", "2")]), 5));
    assert!(image.created_at.unwrap().seconds > 1_600_000_000);

    client.images().create(ImageRecord { name: "docker.io/a/b:2".to_owned(), ..record.clone() }).unwrap();
    assert_eq!(client.images().list(&[]).unwrap().len(), 2);
    assert_eq!(client.images().list(&["name==docker.io/a/b:2".to_owned()]).unwrap().len(), 1);
    assert_eq!(code(client.images().list(&["name==".to_owned()])), Code::InvalidArgument);
    client.images().delete_sync(&record.name).unwrap();
    assert_eq!(code(client.images().delete_sync(&record.name)), Code::NotFound);
}

fn namespaces(daemon: &mut Daemon) {
    let mut client = client(daemon);
    let name = "mine".parse().unwrap();
    assert_eq!(client.namespaces().create(&name, map(&[("k", "v")])).unwrap().name, "mine");
    assert_eq!(code(client.namespaces().create(&name, Map::new())), Code::AlreadyExists);
    assert_eq!(client.namespaces().get(&name).unwrap().labels, map(&[("k", "v")]));
    assert!(client.namespaces().list().unwrap().iter().any(|namespace| namespace.name == "mine"));
}

fn leases(daemon: &mut Daemon) {
    let mut client = client(daemon);
    let id: LeaseId = "edgelay-test".parse().unwrap();
    let labels = map(&[("containerd.io/gc.expire", "2099-01-01T00:00:00Z")]);
    assert_eq!(client.leases().create(&id, labels.clone()).unwrap().labels, labels);
    assert_eq!(code(client.leases().create(&id, labels.clone())), Code::AlreadyExists);
    let found = client.leases().list(&[format!("id=={id}")]).unwrap();
    assert_eq!((found.len(), &found[0].labels), (1, &labels));
    assert!(client.leases().list(&["id==other".to_owned()]).unwrap().is_empty());
    let resource = Resource { id: Digest::of(b"x").to_string(), kind: "content".to_owned() };
    client.leases().add_resource(&id, resource.clone()).unwrap();
    assert_eq!(client.leases().resources(&id).unwrap(), [resource]);
    client.leases().delete_sync(&id).unwrap();
    assert_eq!(client.leases().list(&[]).unwrap(), []);
}

fn snapshots_and_layers(daemon: &mut Daemon) {
    let mut client = client(daemon);
    let lease: LeaseId = "test".parse().unwrap();
    client.leases().create(&lease, Map::new()).unwrap();
    client.set_lease(Some(lease));
    let [base, above] = layer::tree();
    let mut parent = String::new();
    for (number, layer) in [base, above].into_iter().enumerate() {
        let digest = Digest::of(&layer);
        let ingest = Ingest { reference: format!("edgelay-{digest}"), digest, size: layer.len() as u64 };
        match client.content().write(ingest).unwrap() {
            Opened::Ready(mut upload) => {
                upload.write(&layer).unwrap();
                assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);
            }
            Opened::Exists => panic!("exists"),
        }

        let (key, name) = (format!("extract {number}"), format!("chain-{number}"));
        assert_eq!(code(client.snapshots("overlayfs").stat(&name)), Code::NotFound);
        let mounts = client.snapshots("overlayfs").prepare(&key, &parent, map(&[("l", "1")])).unwrap();
        assert!(!mounts.is_empty());
        assert_eq!(client.snapshots("overlayfs").mounts(&key).unwrap(), mounts);
        assert_eq!(code(client.snapshots("overlayfs").prepare(&key, &parent, Map::new())), Code::AlreadyExists);
        let size = i64::try_from(layer.len()).unwrap();
        let diff =
            Descriptor { media_type: LAYER.to_owned(), digest: digest.to_string(), size, annotations: Map::new() };
        let applied = client.snapshots("overlayfs").apply(diff, mounts).unwrap();
        assert_eq!((applied.digest, applied.size), (digest.to_string(), size));
        client.snapshots("overlayfs").commit(&name, &key, map(&[("m", "2")])).unwrap();
        let info = client.snapshots("overlayfs").stat(&name).unwrap();
        assert_eq!(
            (info.kind.word(), &info.parent, info.labels.get("m").unwrap()),
            ("COMMITTED", &parent, &"2".to_owned())
        );
        assert!(client.snapshots("overlayfs").usage(&name).unwrap().inodes > 0);
        parent = name;
    }
    assert_eq!(client.snapshots("overlayfs").list(&[]).unwrap().len(), 2);
    assert_eq!(client.snapshots("overlayfs").list(&["parent==chain-0".to_owned()]).unwrap()[0].name, "chain-1");
    // A snapshot with a child stays; a snapshotter that does not exist is not found or not a valid argument.
    assert_eq!(code(client.snapshots("overlayfs").remove("chain-0")), Code::FailedPrecondition);
    client.snapshots("overlayfs").remove("chain-1").unwrap();
    client.snapshots("overlayfs").remove("chain-0").unwrap();
    assert_eq!(client.snapshots("overlayfs").list(&[]).unwrap(), []);
    assert!(client.snapshots("nonesuch").list(&[]).unwrap_err().code().is_some());
}
