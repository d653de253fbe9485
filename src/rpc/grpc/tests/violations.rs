//! Everything that a peer may not do: named, and the end of the connection.

use super::*;
use crate::testing::{Rng, mutate};

/// What the user reads when the peer says `bytes` after our request.
fn verdict(bytes: &[u8]) -> String {
    let peer = greeted(usize::MAX).expect(&request(1, b"")).say(bytes);
    let mut conn = open(&peer);
    let e = conn.start(METHOD, &[]).unwrap().unary(b"").unwrap_err();
    assert_eq!(e.code(), None, "{e} after {:02x?}...", &bytes[..bytes.len().min(40)]);
    assert!(!conn.usable());
    text(e).strip_prefix("S/M: the daemon broke the HTTP/2 protocol: ").unwrap().to_owned()
}

#[test]
fn broken_rules_are_named() {
    let never = "frame on a stream that was never opened";
    let block = "header block is interrupted or has no start";
    let head = answer_head(1);
    let with_head = |bytes: Vec<u8>| [head.clone(), bytes].concat();
    let table: Vec<(Vec<u8>, &str)> = vec![
        (hex("004001 00 00 00000001"), "frame of 16385 bytes, at most 16384 are allowed"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "frame of 4740180 bytes, at most 16384 are allowed"),
        (frame(4, 0, 0, &[0; 5]), "frame of kind 4 has the wrong length 5"),
        (frame(4, 0, 1, &[]), "frame of kind 4 on a stream where it must not be"),
        (frame(0, 0, 0, &[]), "frame of kind 0 on a stream where it must not be"),
        (frame(0, 8, 1, &[9]), "frame with more padding than payload"),
        (frame(5, 4, 1, &[0, 0, 0, 2]), "server push, which was forbidden"),
        (frame(4, 0, 0, &hex("0004 ffffffff")), "setting 4 has the forbidden value 4294967295"),
        (frame(8, 0, 0, &[0; 4]), "window update of 0"),
        (frame(8, 0, 0, &hex("7fffffff")), "flow-control window out of bounds"),
        (frame(8, 0, 1, &hex("7fffffff")), "flow-control window out of bounds"),
        (
            [frame(8, 0, 1, &hex("7fff0000")), frame(4, 0, 0, &hex("0004 0001ffff"))].concat(),
            "flow-control window out of bounds",
        ),
        (frame(0, 0, 1, &[]), "DATA before the response head"),
        (frame(0, 0, 3, &[]), never),
        (frame(0, 0, 2, &[]), never),
        (frame(1, 4, 3, &[0x88]), never),
        (frame(1, 4, 2, &[0x88]), never),
        (frame(3, 0, 5, &[0; 4]), never),
        (frame(8, 0, 7, &[0, 0, 0, 1]), never),
        (frame(9, 4, 1, &[]), block),
        ([frame(1, 0, 1, &[0x88]), frame(9, 4, 3, &[])].concat(), block),
        ([frame(1, 0, 1, &[0x88]), frame(0, 0, 1, &[])].concat(), block),
        ([frame(1, 0, 1, &[0x88]), frame(6, 0, 0, &[0; 8])].concat(), block),
        ([frame(1, 0, 1, &[0x88]), frame(1, 4, 1, &[0x88])].concat(), block),
        (frame(1, 4, 1, &[0xbe]), "header index outside the static table"),
        (frame(1, 4, 1, &hex("3fe11f")), "dynamic header table although none was offered"),
        (frame(1, 4, 1, &[0x88; 65]), "too many header fields"),
        (with_head(frame(1, 4, 1, &[0x88])), "header block in the middle of an answer"),
        (with_head(frame(0, 0, 1, &hex("01 00000000"))), "message is flagged as compressed"),
        (with_head(frame(0, 0, 1, &hex("00 00400001"))), "message of 4194305 bytes, at most 4194304 are allowed"),
        (with_head([frame(0, 0, 1, &hex("00 00000002 61")), ok_trailers(1)].concat()), "stream ends inside a message"),
    ];
    for (bytes, want) in table {
        assert_eq!(verdict(&bytes), want);
    }
}

#[test]
fn header_blocks_without_end_are_cut_off() {
    let mut bytes = frame(1, 0, 1, &[0x88; 16_384]);
    bytes.extend(frame(9, 0, 1, &[0x88; 16_384]).repeat(4));
    assert_eq!(verdict(&bytes), "header fields are too large");
    // Empty ones would cost only time.
    let bytes = [frame(1, 0, 1, &[0x88]), frame(9, 0, 1, &[]).repeat(10_001)].concat();
    assert_eq!(verdict(&bytes), "10000 frames without progress");
}

#[test]
fn floods_are_cut_off() {
    let kinds = [
        frame(0xee, 0, 0, &[]),
        frame(4, 1, 0, &[]),
        frame(6, 1, 0, &[0; 8]),
        frame(2, 0, 1, &[0; 5]),
        frame(8, 0, 0, &[0, 0, 0, 1]),
    ];
    for kind in kinds {
        assert_eq!(verdict(&kind.repeat(10_001)), "10000 frames without progress");
    }
    assert_eq!(
        verdict(&[answer_head(1), frame(0, 0, 1, &[]).repeat(10_001)].concat()),
        "10000 frames without progress"
    );
}

#[test]
fn a_stranger_is_told_apart_at_the_start() {
    for (bytes, want) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "frame of 4740180 bytes, at most 16384 are allowed"),
        (&frame(6, 0, 0, &[0; 8]), "first frame is not SETTINGS"),
        (&frame(4, 1, 0, &[]), "first frame is not SETTINGS"),
    ] {
        let peer = Peer::new(7).swallow(crate::rpc::frame::preface(65_536).len()).say(bytes);
        let e = Connection::open(peer).unwrap_err();
        assert_eq!(e.to_string(), format!("the daemon broke the HTTP/2 protocol: {want}"));
    }
    let peer = Peer::new(7).swallow(crate::rpc::frame::preface(65_536).len()).end();
    assert_eq!(Connection::open(peer).unwrap_err().to_string(), "the daemon closed the connection");
}

#[test]
fn damaged_dialogues_end_in_an_answer_or_an_error() {
    let good = [answer_head(1), answer_data(1, b"world"), ok_trailers(1)].concat();
    let seeds = [
        good.clone(),
        [frame(6, 0, 0, &[0; 8]), frame(4, 0, 0, &hex("0004 00020000")), good.clone()].concat(),
        [frame(1, 0, 1, &[0x88]), frame(9, 4, 1, &hex("0f10 8b 1d75d0620d263d4c4d6564")), ok_trailers(1)].concat(),
        [frame(7, 0, 0, &[0; 12]), frame(3, 0, 1, &[0; 4]), frame(8, 0, 1, &[0, 0, 0, 1])].concat(),
    ];
    let (mut answers, mut refusals, mut broken) = (0u32, 0u32, 0u32);
    let mut rng = Rng::new(9113);
    mutate(&seeds, 20_000, |bytes| {
        let chunk = 1 + rng.below(40);
        let peer = greeted(chunk).expect(&request(1, b"")).say(bytes).swallow(1 << 20).end();
        let mut conn = open(&peer);
        match conn.start(METHOD, &[]).unwrap().unary(b"") {
            Ok(_) => answers += 1,
            Err(e) if e.code().is_some() => refusals += 1,
            Err(_) => broken += 1,
        }
    });
    assert!(answers > 100 && refusals > 100 && broken > 1_000, "one-sided: {answers} {refusals} {broken}");
}
