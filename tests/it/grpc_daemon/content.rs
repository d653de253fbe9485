//! The content store: writes that are whole, interrupted, contested, wrong.

use std::io::Read;
use std::time::Duration;

use edgelay::containerd::api::Map;
use edgelay::containerd::{Client, Code, Committed, Ingest, LeaseId, MAX_WRITE, Opened, Upload};
use edgelay::digest::Digest;

use super::{Daemon, client, code, on_every_containerd, wait_until};

on_every_containerd!(
    a_blob_comes_back_as_it_was_sent,
    uploads_in_pieces_of_every_size,
    interrupted_writes_go_on,
    contested_writes_wait,
    wrong_writes_are_refused,
    other_namespaces_share_bytes,
    a_daemon_that_dies_in_an_upload,
);

/// A lease keeps what a test writes.
fn leased(daemon: &Daemon) -> Client {
    let mut client = client(daemon);
    let lease: LeaseId = "test".parse().unwrap();
    client.leases().create(&lease, Map::new()).unwrap();
    client.set_lease(Some(lease));
    client
}

fn bytes(size: usize, seed: usize) -> Vec<u8> {
    (0..size).map(|at| (at.wrapping_mul(31).wrapping_add(seed) ^ at >> 11).to_le_bytes()[0]).collect()
}

fn ingest(bytes: &[u8]) -> Ingest {
    let digest = Digest::of(bytes);
    Ingest { reference: format!("edgelay-{digest}"), digest, size: bytes.len() as u64 }
}

fn ready(opened: Opened<'_>) -> Upload<'_> {
    match opened {
        Opened::Ready(upload) => *upload,
        Opened::Exists => panic!("the blob is there already"),
    }
}

fn labels() -> Map {
    [("containerd.io/uncompressed".to_owned(), "sha256:x".to_owned()), ("a/b.c".to_owned(), "ü v".to_owned())].into()
}

fn a_blob_comes_back_as_it_was_sent(daemon: &mut Daemon) {
    let mut client = leased(daemon);
    for size in [0, 1, 300_000, 20_000_000] {
        let sent = bytes(size, size);
        let ingest = ingest(&sent);
        assert_eq!(code(client.content().info(&ingest.digest)), Code::NotFound);
        let mut upload = ready(client.content().write(ingest.clone()).unwrap());
        assert_eq!(upload.offset(), 0);
        upload.write(&sent).unwrap();
        assert_eq!(upload.commit(labels()).unwrap(), Committed::Stored);

        let info = client.content().info(&ingest.digest).unwrap();
        assert_eq!((info.size, info.labels), (i64::try_from(size).unwrap(), labels()));
        assert!(matches!(client.content().write(ingest.clone()).unwrap(), Opened::Exists));
        for offset in [0, 7, size / 2].into_iter().filter(|offset| *offset < size) {
            let mut back = Vec::new();
            client.content().read(&ingest.digest, offset as u64).unwrap().read_to_end(&mut back).unwrap();
            assert!(back == sent[offset..], "{} bytes from {offset}", back.len());
        }
        let change: Map = [("a/b.c".to_owned(), String::new()), ("new".to_owned(), "1".to_owned())].into();
        let changed = client.content().set_labels(&ingest.digest, &change).unwrap().labels;
        let keys: Vec<&str> = changed.keys().map(String::as_str).collect();
        assert_eq!(keys, ["containerd.io/uncompressed", "new"]);
    }
    let all = client.content().list(&[]).unwrap();
    assert_eq!(all.len(), 4);
    let filter = [format!("digest=={}", all[0].digest)];
    assert_eq!(client.content().list(&filter).unwrap().len(), 1);
    let digest: Digest = all[0].digest.parse().unwrap();
    client.content().delete(&digest).unwrap();
    assert_eq!(code(client.content().delete(&digest)), Code::NotFound);
    // The end of the lease takes the rest away before the answer comes.
    let lease = client.lease().cloned().unwrap();
    assert_eq!(client.leases().resources(&lease).unwrap().len(), 3);
    client.set_lease(None);
    client.leases().delete_sync(&lease).unwrap();
    assert_eq!(client.content().list(&[]).unwrap(), []);
    assert_eq!(code(client.leases().delete_sync(&lease)), Code::NotFound);
}

fn uploads_in_pieces_of_every_size(daemon: &mut Daemon) {
    let mut client = leased(daemon);
    for (size, piece) in [(8 << 20, 16 << 10), (9 << 20, 64 << 10), (24 << 20, MAX_WRITE)] {
        let sent = bytes(size, piece);
        let mut upload = ready(client.content().write(ingest(&sent)).unwrap());
        for data in sent.chunks(piece) {
            upload.write(data).unwrap();
        }
        assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);
    }
}

fn interrupted_writes_go_on(daemon: &mut Daemon) {
    let sent = bytes(3_000_000, 1);
    let ingest = ingest(&sent);
    let mut first = leased(daemon);
    let mut upload = ready(first.content().write(ingest.clone()).unwrap());
    upload.write(&sent[..1_000_000]).unwrap();
    drop(upload);
    // The same connection, and another one after ours was cut.
    let mut upload = ready(first.content().write(ingest.clone()).unwrap());
    assert_eq!(upload.offset(), 1_000_000);
    upload.write(&sent[1_000_000..1_500_000]).unwrap();
    drop(upload);
    drop(first);
    let mut second = client(daemon);
    second.set_lease(Some("test".parse().unwrap()));
    let status = second.content().status(&ingest.reference).unwrap();
    assert_eq!((status.offset, status.total), (1_500_000, 3_000_000));
    assert_eq!(second.content().list_statuses(&[]).unwrap().len(), 1);
    let mut upload = ready(second.content().write(ingest.clone()).unwrap());
    assert_eq!(upload.offset(), 1_500_000);
    upload.write(&sent[1_500_000..]).unwrap();
    assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);

    // Starting again drops what was there, even if it was wrong.
    let other = bytes(500_000, 2);
    let ingest = super::content::ingest(&other);
    let mut upload = ready(second.content().write(ingest.clone()).unwrap());
    upload.write(&sent[..400_000]).unwrap();
    drop(upload);
    let mut upload = ready(second.content().write(ingest).unwrap());
    assert_eq!(upload.offset(), 400_000);
    upload.rewind();
    upload.write(&other).unwrap();
    assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);
}

fn contested_writes_wait(daemon: &mut Daemon) {
    let sent = bytes(1_000_000, 3);
    let ingest = ingest(&sent);
    let mut first = leased(daemon);
    let mut upload = ready(first.content().write(ingest.clone()).unwrap());
    upload.write(&sent[..300_000]).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut second = client(daemon);
            second.set_lease(Some("test".parse().unwrap()));
            matches!(second.content().write(ingest.clone()).unwrap(), Opened::Exists)
        });
        std::thread::sleep(Duration::from_millis(300));
        upload.write(&sent[300_000..]).unwrap();
        assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);
        assert!(waiting.join().unwrap(), "the second writer found nothing");
    });
}

fn wrong_writes_are_refused(daemon: &mut Daemon) {
    let mut client = leased(daemon);
    let sent = bytes(100_000, 4);
    // Other bytes than promised, and fewer.
    let table = [(bytes(100_000, 5), "unexpected commit digest"), (sent[..99_999].to_vec(), "failed size validation")];
    for (wrong, why) in table {
        let ingest = ingest(&sent);
        let mut upload = ready(client.content().write(ingest.clone()).unwrap());
        upload.write(&wrong).unwrap();
        let e = upload.commit(Map::new()).unwrap_err();
        assert!(e.is(Code::FailedPrecondition) && e.message().unwrap().contains(why), "{e}");
        client.content().abort(&ingest.reference).unwrap();
        assert_eq!(code(client.content().status(&ingest.reference)), Code::NotFound);
        assert_eq!(code(client.content().abort(&ingest.reference)), Code::NotFound);
    }
    client.set_lease(Some("no-such-lease".parse().unwrap()));
    let e = client.content().write(ingest(&sent)).map(|_| ()).unwrap_err();
    assert!(e.is(Code::NotFound) && e.message().unwrap().contains("lease"), "{e}");
    assert_eq!(code(client.content().read(&Digest::of(&sent), 0)), Code::NotFound);
}

fn other_namespaces_share_bytes(daemon: &mut Daemon) {
    let sent = bytes(2_000_000, 6);
    let ingest = ingest(&sent);
    let mut client = leased(daemon);
    let mut upload = ready(client.content().write(ingest.clone()).unwrap());
    upload.write(&sent).unwrap();
    upload.commit(Map::new()).unwrap();
    client.set_lease(None);
    let mut other = client.in_namespace("other".parse().unwrap());
    let lease: LeaseId = "test".parse().unwrap();
    other.leases().create(&lease, Map::new()).unwrap();
    other.set_lease(Some(lease));
    let upload = ready(other.content().write(ingest.clone()).unwrap());
    assert_eq!(upload.offset(), upload.size());
    assert_eq!(upload.commit(labels()).unwrap(), Committed::Stored);
    assert_eq!(other.content().info(&ingest.digest).unwrap().labels, labels());
    let names = other.namespaces().list().unwrap();
    assert!(names.iter().any(|namespace| namespace.name == "other"), "{names:?}");
}

fn a_daemon_that_dies_in_an_upload(daemon: &mut Daemon) {
    let sent = bytes(8_000_000, 7);
    let ingest = ingest(&sent);
    let mut client = leased(daemon);
    let mut upload = ready(client.content().write(ingest.clone()).unwrap());
    upload.write(&sent[..4_000_000]).unwrap();
    daemon.kill();
    let e = upload.write(&sent[4_000_000..]).unwrap_err();
    assert_eq!(e.code(), None);
    assert_eq!(edgelay::error::Error::from(e).kind(), edgelay::error::Kind::Runtime);
    drop(upload);
    daemon.start_again();
    assert!(wait_until(|| client.version().is_ok()));
    let mut upload = ready(client.content().write(ingest).unwrap());
    let offset = usize::try_from(upload.offset()).unwrap();
    assert!(offset <= 4_000_000 + MAX_WRITE, "{offset}");
    upload.write(&sent[offset..]).unwrap();
    assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);
}
