//! Dialogues of whole services with a scripted daemon: what goes with every call, and every way a write can go.

use super::*;
use std::io::Read;

use crate::containerd::api::Map;
use crate::containerd::{Code, Committed, Ingest, Opened};
use crate::digest::Digest;
use crate::rpc::frame::preface;
use crate::rpc::hpack;
use crate::rpc::scripted::Peer;
use crate::testing::hex;

const WRITE: &str = "/containerd.services.content.v1.Content/Write";
const K8S: &[(&str, &str)] = &[("containerd-namespace", "k8s.io")];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn head(stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let fixed = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", concat!("edgelay/", env!("CARGO_PKG_VERSION"))),
    ];
    frame(1, 4, stream, &hpack::encode(fixed.iter().chain(more).copied()))
}

fn data(stream: u32, last: bool, message: &[u8]) -> Vec<u8> {
    frame(0, last.into(), stream, &[&[0], &(message.len() as u32).to_be_bytes()[..], message].concat())
}

fn answer_head(stream: u32) -> Vec<u8> {
    frame(1, 4, stream, &hpack::encode([(":status", "200"), ("content-type", "application/grpc")]))
}

fn status(stream: u32, code: &str, text: &str) -> Vec<u8> {
    frame(1, 5, stream, &hpack::encode([("grpc-status", code), ("grpc-message", text)]))
}

fn greeted() -> Peer {
    Peer::new(usize::MAX)
        .expect(&preface(65_536))
        .say_hex("000006 04 00 00000000 0005 00004000")
        .expect_hex("000000 04 01 00000000")
}

fn client(peer: &Peer) -> Client {
    Client::over(Box::new(peer.clone())).unwrap()
}

/// The blob `abc`, as an import names it.
fn abc() -> Ingest {
    let digest = Digest::of(b"abc");
    Ingest { reference: "ref".to_owned(), digest, size: 3 }
}

fn stat() -> Vec<u8> {
    [&hex("1203 726566 1803 2247")[..], abc().digest.to_string().as_bytes()].concat()
}

fn commit(labels: &str) -> Vec<u8> {
    [&hex("0802 1803 2247")[..], abc().digest.to_string().as_bytes(), &hex("2803"), &hex(labels)].concat()
}

fn ready(opened: Opened<'_>) -> crate::containerd::Upload<'_> {
    match opened {
        Opened::Ready(upload) => *upload,
        Opened::Exists => panic!("exists"),
    }
}

#[test]
fn namespace_and_lease_go_with_containerds_own_services_only() {
    let answer = |stream| [answer_head(stream), data(stream, false, &[]), status(stream, "0", "")].concat();
    let mine = &[("containerd-namespace", "mine"), ("containerd-lease", "l-1")];
    let peer = greeted()
        .expect(&[head(1, "/containerd.services.version.v1.Version/Version", mine), data(1, true, &[])].concat())
        .say(&answer(1))
        .expect(&[head(3, "/runtime.v1.RuntimeService/Version", &[]), data(3, true, &[])].concat())
        .say(&answer(3));
    let mut client = client(&peer).in_namespace("mine".parse().unwrap());
    client.set_lease(Some("l-1".parse().unwrap()));
    assert_eq!(client.version().unwrap(), Default::default());
    assert_eq!(client.cri().version().unwrap(), Default::default());
    assert_eq!(peer.verdict(), Ok(()));
}

#[test]
fn a_blob_in_lock_step() {
    let peer = greeted()
        .expect(&[head(1, WRITE, K8S), data(1, false, &stat())].concat())
        .say(&[answer_head(1), data(1, false, &[])].concat())
        .expect(&data(1, false, &[&hex("0801 3202")[..], b"ab"].concat()))
        .say(&data(1, false, &hex("0801 2002")))
        .expect(&data(1, false, &[&hex("0801 2802 3201")[..], b"c"].concat()))
        .say(&data(1, false, &hex("0801 2003")))
        .expect(&data(1, true, &commit("3a06 0a016b 120176")))
        // The last answer comes twice.
        .say(&[data(1, false, &hex("0802 2003")), data(1, false, &hex("0802 2003")), status(1, "0", "")].concat());
    let mut client = client(&peer);
    let mut upload = ready(client.content().write(abc()).unwrap());
    assert_eq!((upload.offset(), upload.size()), (0, 3));
    upload.write(b"ab").unwrap();
    upload.write(b"").unwrap();
    upload.write(b"c").unwrap();
    assert_eq!(upload.offset(), 3);
    let labels: Map = [("k".to_owned(), "v".to_owned())].into();
    assert_eq!(upload.commit(labels).unwrap(), Committed::Stored);
    assert_eq!(peer.verdict(), Ok(()));
}

#[test]
fn an_interrupted_write_goes_on_or_starts_again() {
    for rewind in [false, true] {
        let (offset, bytes) = if rewind { (&[][..], &b"abc"[..]) } else { (&[0x28, 2][..], &b"c"[..]) };
        let write = [&[0x08, 1], offset, &[0x32, bytes.len() as u8], bytes].concat();
        let peer = greeted()
            .expect(&[head(1, WRITE, K8S), data(1, false, &stat())].concat())
            .say(&[answer_head(1), data(1, false, &hex("2002 2803"))].concat())
            .expect(&data(1, false, &write))
            .say(&data(1, false, &hex("0801 2003")))
            .expect(&data(1, true, &commit("")))
            .say(&[data(1, false, &[]), data(1, false, &[]), status(1, "0", "")].concat());
        let mut client = client(&peer);
        let mut upload = ready(client.content().write(abc()).unwrap());
        assert_eq!(upload.offset(), 2);
        if rewind {
            upload.rewind();
        }
        upload.write(bytes).unwrap();
        assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);
        assert_eq!(peer.verdict(), Ok(()));
    }
}

#[test]
fn a_blob_that_another_namespace_has_needs_no_bytes() {
    let peer = greeted()
        .expect(&[head(1, WRITE, K8S), data(1, false, &stat())].concat())
        .say(&[answer_head(1), data(1, false, &hex("2003 2803"))].concat())
        .expect(&data(1, true, &commit("")))
        .say(&[data(1, false, &[]), data(1, false, &[]), status(1, "0", "")].concat());
    let mut client = client(&peer);
    let upload = ready(client.content().write(abc()).unwrap());
    assert_eq!(upload.offset(), upload.size());
    assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Stored);
    assert_eq!(peer.verdict(), Ok(()));
}

#[test]
fn a_blob_that_is_there_is_no_error() {
    let exists = |stream| status(stream, "6", "content sha256:...: already exists");
    let cancel = |stream| frame(3, 0, stream, &[0, 0, 0, 8]);
    let peer = greeted()
        .expect(&[head(1, WRITE, K8S), data(1, false, &stat())].concat())
        .say(&[answer_head(1), exists(1)].concat())
        .expect(&[cancel(1), head(3, WRITE, K8S), data(3, false, &stat())].concat())
        .say(&[answer_head(3), data(3, false, &hex("2003"))].concat())
        // Somebody else commits it in the meantime.
        .expect(&data(3, true, &commit("")))
        .say(&exists(3));
    let mut client = client(&peer);
    assert!(matches!(client.content().write(abc()).unwrap(), Opened::Exists));
    let upload = ready(client.content().write(abc()).unwrap());
    assert_eq!(upload.commit(Map::new()).unwrap(), Committed::Exists);
    assert_eq!(peer.verdict(), Ok(()));
}

#[test]
fn a_locked_reference_is_waited_for_but_not_for_ever() {
    let locked = |stream| [answer_head(stream), status(stream, "14", "ref ref locked")].concat();
    let attempt = |stream| [head(stream, WRITE, K8S), data(stream, false, &stat())].concat();
    let cancel = |stream| frame(3, 0, stream, &[0, 0, 0, 8]);
    let mut peer = greeted().expect(&attempt(1)).say(&locked(1));
    let pauses = [16, 50, 100, 250, 500, 1000, 2000, 2000].map(std::time::Duration::from_millis);
    for (at, pause) in (0u32..).zip(pauses) {
        let stream = 2 * at + 1;
        peer = peer.expect(&cancel(stream)).silence(pause).expect(&attempt(stream + 2)).say(&locked(stream + 2));
    }
    let peer = peer.expect(&cancel(17));
    let mut client = client(&peer);
    let e = client.content().write(abc()).unwrap_err();
    assert_eq!((e.code(), e.message()), (Some(Code::Unavailable), Some("ref ref locked")));
    assert_eq!(peer.verdict(), Ok(()));
}

#[test]
fn writes_that_go_wrong() {
    // What the daemon says to the first piece; what the user reads.
    let table = [
        (
            status(1, "11", "write @2 must occur at current offset 0"),
            "Content/Write: OUT_OF_RANGE: write @2 must occur at current offset 0",
        ),
        (
            data(1, false, &hex("0801 2001")),
            "containerd has 1 bytes of blob sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad, \
             sent are 2",
        ),
        (
            status(1, "0", ""),
            "cannot understand the answer to /containerd.services.content.v1.Content/Write: the write ended early",
        ),
        (
            data(1, false, &hex("0801 20ffffffffffffffffff01")),
            "cannot understand the answer to /containerd.services.content.v1.Content/Write: negative offset",
        ),
        (
            data(1, false, &hex("0b")),
            "cannot understand the answer to /containerd.services.content.v1.Content/Write: unknown wire type",
        ),
    ];
    for (answer, want) in table {
        let peer = greeted()
            .expect(&[head(1, WRITE, K8S), data(1, false, &stat())].concat())
            .say(&[answer_head(1), data(1, false, &[])].concat())
            .expect(&data(1, false, &[&hex("0801 3202")[..], b"ab"].concat()))
            .say(&answer)
            .swallow(100);
        let mut client = client(&peer);
        let mut upload = ready(client.content().write(abc()).unwrap());
        assert_eq!(Error::from(upload.write(b"ab").unwrap_err()).to_string(), want);
    }
    // More than was announced is our own mistake.
    let peer = greeted()
        .expect(&[head(1, WRITE, K8S), data(1, false, &stat())].concat())
        .say(&[answer_head(1), data(1, false, &[])].concat())
        .swallow(13);
    let mut client = client(&peer);
    let e = Error::from(ready(client.content().write(abc()).unwrap()).write(b"abcd").unwrap_err());
    assert_eq!(e.kind(), Kind::Bug);
}

#[test]
fn a_write_that_is_longer_than_the_blob_is_refused() {
    let peer = greeted()
        .expect(&[head(1, WRITE, K8S), data(1, false, &stat())].concat())
        .say(&[answer_head(1), data(1, false, &hex("2004"))].concat())
        .swallow(13);
    let e = client(&peer).content().write(abc()).map(|_| ()).unwrap_err();
    let want = "cannot understand the answer to /containerd.services.content.v1.Content/Write: \
                the write is longer than the blob";
    assert_eq!(Error::from(e).to_string(), want);
}

#[test]
fn commits_that_are_refused() {
    let text = "unexpected commit digest sha256:a, expected sha256:b: failed precondition";
    let peer = greeted()
        .expect(&[head(1, WRITE, K8S), data(1, false, &stat())].concat())
        .say(&[answer_head(1), data(1, false, &hex("2003"))].concat())
        .expect(&data(1, true, &commit("")))
        .say(&status(1, "9", text));
    let mut client = client(&peer);
    let e = ready(client.content().write(abc()).unwrap()).commit(Map::new()).unwrap_err();
    assert_eq!((e.code(), e.message()), (Some(Code::FailedPrecondition), Some(text)));
    assert_eq!(peer.verdict(), Ok(()));
}

#[test]
fn a_blob_is_read_as_a_stream() {
    let path = "/containerd.services.content.v1.Content/Read";
    let request = [&hex("0a47")[..], abc().digest.to_string().as_bytes(), &hex("1001")].concat();
    let peer = greeted()
        .expect(&[head(1, path, K8S), data(1, true, &request)].concat())
        .say(&[answer_head(1), data(1, false, &hex("0801 1201 62")), data(1, false, &hex("0802"))].concat())
        .say(&[data(1, false, &hex("0802 1201 63")), status(1, "0", "")].concat())
        .expect(&[head(3, path, K8S), data(3, true, &request)].concat())
        .say(&[answer_head(3), status(3, "5", "gone")].concat());
    let mut client = client(&peer);
    let mut bytes = Vec::new();
    client.content().read(&abc().digest, 1).unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"bc");
    assert!(client.content().read(&abc().digest, 1).unwrap_err().is(Code::NotFound));
    assert_eq!(peer.verdict(), Ok(()));
}

#[test]
fn labels_are_set_by_mask_and_removed_when_empty() {
    let digest = abc().digest.to_string();
    let info = [&hex("0a47")[..], digest.as_bytes(), &hex("2a06 0a0161 120131")].concat();
    let request =
        [&[0x0a, info.len() as u8], &info[..], &hex("1214 0a08 6c6162656c732e61 0a08 6c6162656c732e62")].concat();
    let path = "/containerd.services.content.v1.Content/Update";
    let peer = greeted()
        .expect(&[head(1, path, K8S), data(1, true, &request)].concat())
        .say(&[answer_head(1), data(1, false, &[]), status(1, "0", "")].concat());
    let labels: Map = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())].into();
    client(&peer).content().set_labels(&abc().digest, &labels).unwrap();
    assert_eq!(peer.verdict(), Ok(()));
}

#[test]
fn the_snapshotter_is_the_last_part_of_the_mount_point() {
    let path = "/runtime.v1.ImageService/ImageFsInfo";
    let point = b"/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs";
    let place = [&[0x0a, point.len() as u8], &point[..]].concat();
    let usage = [&[0x12, place.len() as u8], &place[..]].concat();
    let answer = [&[0x0a, usage.len() as u8], &usage[..]].concat();
    let peer = greeted()
        .expect(&[head(1, path, &[]), data(1, true, &[])].concat())
        .say(&[answer_head(1), data(1, false, &answer), status(1, "0", "")].concat())
        .expect(&[head(3, path, &[]), data(3, true, &[])].concat())
        .say(&[answer_head(3), data(3, false, &[]), status(3, "0", "")].concat());
    let mut client = client(&peer);
    assert_eq!(client.cri_images().snapshotter().unwrap(), Some("overlayfs".to_owned()));
    assert_eq!(client.cri_images().snapshotter().unwrap(), None);
}

#[test]
fn a_stream_that_is_given_does_not_come_back() {
    let peer = greeted().end();
    let e = Error::from(client(&peer).version().unwrap_err());
    assert_eq!(e.to_string(), "the connection to the daemon is closed");
}
