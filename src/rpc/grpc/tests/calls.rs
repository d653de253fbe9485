//! Calls with one request: every shape of answer that grpc-go gives.

use super::*;

fn unary(conn: &mut Connection<Peer>, bytes: &[u8]) -> Result<Vec<u8>, CallError> {
    conn.start(METHOD, &[])?.unary(bytes)
}

#[test]
fn two_calls_on_one_connection() {
    for chunk in CHUNKS {
        let peer = greeted(chunk)
            .expect(&request(1, b"hello"))
            .say(&frame(1, 4, 1, &hex("20 88 0f10 8b 1d75d0620d263d4c4d6564")))
            .say(&answer_data(1, b"world"))
            .say(&ok_trailers(1))
            .expect(&request(3, b""))
            .say(&[answer_head(3), answer_data(3, b""), ok_trailers(3)].concat());
        let mut conn = open(&peer);
        assert_eq!(unary(&mut conn, b"hello").unwrap(), b"world");
        assert!(conn.usable());
        assert_eq!(unary(&mut conn, b"").unwrap(), b"");
        assert_played(&peer);
    }
}

#[test]
fn metadata_goes_behind_the_fixed_fields_and_cannot_smuggle() {
    let mut head = request_head(1);
    let more = hpack::encode([("containerd-namespace", "k8s.io")]);
    head.extend(&more);
    let length = (head.len() - 9) as u32;
    head[..3].copy_from_slice(&length.to_be_bytes()[1..]);
    let peer = greeted(usize::MAX)
        .expect(&[head, frame(0, 1, 1, &message(b""))].concat())
        .say(&[answer_head(1), answer_data(1, b""), ok_trailers(1)].concat());
    let mut conn = open(&peer);
    conn.start(METHOD, &[("containerd-namespace", "k8s.io")]).unwrap().unary(b"").unwrap();
    for value in ["", "a\nb", "ä", "a\0"] {
        let e = conn.start(METHOD, &[("x", value)]).err().unwrap();
        assert_eq!(text(e), "header 'x' has a value that cannot be sent");
    }
    assert_played(&peer);
}

#[test]
fn refusal_without_messages() {
    for chunk in CHUNKS {
        let peer = greeted(chunk).expect(&request(1, b"x")).say(&frame(
            1,
            5,
            1,
            &hex("88 0f10 8b 1d75d0620d263d4c4d6564 00 88 9acac8b21234da8f 01 35 00 89 9acac8b5254207317f \
                 92 352398aa7f3e7d7bfe6e2951d2a4a7b6a93f"),
        ));
        let e = unary(&mut open(&peer), b"x").unwrap_err();
        assert_eq!((e.code(), e.message()), (Some(Code::NotFound), Some("image \"xyz\": not found")));
        assert_eq!(text(e), "S/M: NOT_FOUND: image \"xyz\": not found");
        assert_played(&peer);
    }
}

#[test]
fn refusal_after_the_head_and_after_messages() {
    for chunk in CHUNKS {
        let trailers = |stream| frame(1, 5, stream, &hpack::encode([("grpc-status", "13"), ("grpc-message", "no%0A")]));
        let peer = greeted(chunk)
            .expect(&request(1, b""))
            .say(&[answer_head(1), trailers(1)].concat())
            .expect(&request(3, b""))
            .say(&[answer_head(3), answer_data(3, b"half"), trailers(3)].concat());
        let mut conn = open(&peer);
        for _ in 0..2 {
            assert_eq!(text(unary(&mut conn, b"").unwrap_err()), "S/M: INTERNAL: no\\n");
        }
        assert_played(&peer);
    }
}

#[test]
fn text_of_40_kib_in_continuations() {
    for chunk in CHUNKS {
        let long = "wort ".repeat(8192);
        let block = hpack::encode([("grpc-status", "2"), ("grpc-message", &long)]);
        let (first, rest) = block.split_at(16_384);
        let mut frames = frame(1, 1, 1, first);
        let parts: Vec<&[u8]> = rest.chunks(9000).collect();
        for (at, part) in parts.iter().enumerate() {
            frames.extend(frame(9, if at + 1 == parts.len() { 4 } else { 0 }, 1, part));
        }
        let peer = greeted(chunk)
            .expect(&request(1, b""))
            .say(&[answer_head(1), frames].concat())
            .expect(&request(3, b""))
            .say(&[answer_head(3), answer_data(3, b"ok"), ok_trailers(3)].concat());
        let mut conn = open(&peer);
        let e = unary(&mut conn, b"").unwrap_err();
        assert_eq!((e.code(), e.message().unwrap().len()), (Some(Code::Unknown), 4096 + '…'.len_utf8()));
        assert_eq!(unary(&mut conn, b"").unwrap(), b"ok");
        assert_played(&peer);
    }
}

#[test]
fn answers_that_are_no_grpc() {
    let plain = |fields: &[(&str, &str)]| hpack::encode(fields.iter().copied());
    let html = plain(&[(":status", "200"), ("content-type", "text/html")]);
    let table = [
        (
            frame(1, 5, 1, &plain(&[(":status", "415"), ("content-type", "application/grpc"), ("grpc-status", "3")])),
            "S/M: INVALID_ARGUMENT",
        ),
        (frame(1, 5, 1, &plain(&[(":status", "404")])), "S/M: UNIMPLEMENTED: HTTP status 404"),
        (
            [frame(1, 4, 1, &html), frame(0, 1, 1, b"<html>")].concat(),
            "S/M: UNKNOWN: content type 'text/html' is not gRPC",
        ),
        (frame(1, 5, 1, &[0x88]), "S/M: UNKNOWN: content type 'none' is not gRPC"),
        (refusal(1, &[]), "S/M: INTERNAL: the answer ended without a status"),
        ([answer_head(1), frame(1, 5, 1, &[])].concat(), "S/M: INTERNAL: the answer ended without a status"),
        ([answer_head(1), frame(0, 1, 1, &message(b"x"))].concat(), "S/M: INTERNAL: the answer ended without a status"),
        ([answer_head(1), ok_trailers(1)].concat(), "S/M: INTERNAL: success without an answer"),
        (
            [answer_head(1), answer_data(1, b"a"), answer_data(1, b"b"), ok_trailers(1)].concat(),
            "S/M: INTERNAL: more than one answer to one request",
        ),
        (frame(3, 0, 1, &[0, 0, 0, 1]), "S/M: INTERNAL: stream reset by the peer (PROTOCOL_ERROR)"),
        (frame(3, 0, 1, &[0, 0, 0, 8]), "S/M: CANCELLED: stream reset by the peer (CANCEL)"),
        (frame(3, 0, 1, &[0, 0, 0, 7]), "S/M: UNAVAILABLE: stream reset by the peer (REFUSED_STREAM)"),
        (
            [answer_head(1), answer_data(1, b"a"), frame(3, 0, 1, &[0, 0, 0, 2])].concat(),
            "S/M: INTERNAL: stream reset by the peer (INTERNAL_ERROR)",
        ),
    ];
    for (answer, want) in table {
        for chunk in CHUNKS {
            let peer = greeted(chunk).expect(&request(1, b"")).say(&answer);
            let e = unary(&mut open(&peer), b"").unwrap_err();
            assert!(e.code().is_some(), "{want}");
            assert_eq!(text(e), want);
        }
    }
}

#[test]
fn rare_but_legal_answers() {
    for chunk in CHUNKS {
        let peer = greeted(chunk)
            .expect(&request(1, b""))
            // An interim head, extension frames, padding, priority, an answer in many pieces, a late reset.
            .say(&frame(1, 4, 1, &hpack::encode([(":status", "103"), ("link", "x")])))
            .say(&frame(0xfa, 0xff, 1, b"unknown"))
            .say(&frame(2, 0, 1, &[0, 0, 0, 0, 9]))
            .say(&frame(1, 0x2c, 1, &hex("02 80000000 0a 88 0f10 8b 1d75d0620d263d4c4d6564 0000")))
            .say(&frame(0, 8, 1, &hex("03 00 00 000000")))
            .say(&frame(0, 0, 1, &[]))
            .say(&frame(0, 0, 1, &hex("00 00 06 61")))
            .say(&frame(0, 0, 1, b"bcdef"))
            .say(&ok_trailers(1))
            .say(&frame(3, 0, 1, &[0, 0, 0, 0]))
            .say(&frame(8, 0, 1, &[0, 0, 1, 0]))
            .expect(&request(3, b""))
            .say(&[answer_head(3), answer_data(3, b"next"), ok_trailers(3)].concat());
        let mut conn = open(&peer);
        assert_eq!(unary(&mut conn, b"").unwrap(), b"abcdef");
        assert_eq!(unary(&mut conn, b"").unwrap(), b"next");
        assert_played(&peer);
    }
}

#[test]
fn pings_and_settings_are_answered_at_once() {
    for chunk in CHUNKS {
        let peer = greeted(chunk)
            .expect(&request(1, b""))
            .say_hex("000008 06 00 00000000 02041010090e0707")
            .say_hex("000006 04 00 00000000 0004 00020000")
            .expect_hex("000008 06 01 00000000 02041010090e0707  000000 04 01 00000000")
            .say(&[answer_head(1), answer_data(1, b""), ok_trailers(1)].concat());
        assert_eq!(unary(&mut open(&peer), b"").unwrap(), b"");
        assert_played(&peer);
    }
}

#[test]
fn many_answers_end_with_a_status() {
    for chunk in CHUNKS {
        let peer = greeted(chunk)
            .expect(&request(1, b"all"))
            .say(&[answer_head(1), answer_data(1, b"a"), answer_data(1, b""), answer_data(1, b"c")].concat())
            .say(&ok_trailers(1));
        let mut conn = open(&peer);
        let mut call = conn.start(METHOD, &[]).unwrap();
        call.send(b"all", b"", Last::Yes).unwrap();
        for want in [b"a".to_vec(), b"".to_vec(), b"c".to_vec()] {
            assert_eq!(call.receive().unwrap(), Some(want));
        }
        assert_eq!(call.receive().unwrap(), None);
        drop(call);
        assert_played(&peer);
    }
}

#[test]
fn a_call_that_is_dropped_is_cancelled() {
    for chunk in CHUNKS {
        let peer = greeted(chunk)
            .expect(&request(1, b"all"))
            .say(&[answer_head(1), answer_data(1, b"a")].concat())
            .expect(&frame(3, 0, 1, &[0, 0, 0, 8]))
            // What was under way already is ignored.
            .say(&[answer_data(1, b"b"), ok_trailers(1)].concat())
            .expect(&request(3, b""))
            .say(&[answer_head(3), answer_data(3, b"next"), ok_trailers(3)].concat());
        let mut conn = open(&peer);
        let mut call = conn.start(METHOD, &[]).unwrap();
        call.send(b"all", b"", Last::Yes).unwrap();
        assert_eq!(call.receive().unwrap(), Some(b"a".to_vec()));
        drop(call);
        assert_eq!(unary(&mut conn, b"").unwrap(), b"next");
        assert_played(&peer);
    }
}

#[test]
fn goaway_lets_the_call_end_but_no_other_begin() {
    for chunk in CHUNKS {
        let peer = greeted(chunk)
            .expect(&request(1, b""))
            .say(&frame(7, 0, 0, &[&hex("00000001 00000000")[..], b"bye"].concat()))
            .say(&[answer_head(1), answer_data(1, b"done"), ok_trailers(1)].concat());
        let mut conn = open(&peer);
        assert_eq!(unary(&mut conn, b"").unwrap(), b"done");
        assert!(!conn.usable());
        assert_eq!(
            text(unary(&mut conn, b"").unwrap_err()),
            "S/M: the connection to the daemon is closed (NO_ERROR, 'bye')"
        );
        assert_played(&peer);
    }
}

#[test]
fn goaway_before_our_call_says_so() {
    let peer = greeted(7)
        .expect(&request(1, b""))
        .say(&frame(7, 0, 0, &[&hex("00000000 0000000b")[..], b"too_many_pings"].concat()))
        .expect(&frame(3, 0, 1, &[0, 0, 0, 8]));
    let mut conn = open(&peer);
    let e = unary(&mut conn, b"").unwrap_err();
    assert!(e.is(Code::Unavailable));
    let want = "S/M: UNAVAILABLE: the peer takes no more calls (ENHANCE_YOUR_CALM, 'too_many_pings')";
    assert_eq!(text(e), want);
    assert_played(&peer);
}

#[test]
fn a_daemon_that_goes_away() {
    for chunk in CHUNKS {
        let peer = greeted(chunk).expect(&request(1, b"")).say(&answer_head(1)).end();
        let mut conn = open(&peer);
        let e = unary(&mut conn, b"").unwrap_err();
        assert_eq!(e.code(), None);
        let e = Error::from(e);
        assert_eq!(e.to_string(), "S/M: the daemon closed the connection");
        assert_eq!(e.kind(), Kind::Runtime);
        assert_eq!(
            e.hint_text(),
            Some("is containerd running? see: systemctl status containerd, in the cloud: systemctl status k3s")
        );
        assert!(!conn.usable());
        // Between two calls it is noticed before anything is sent.
        let peer = greeted(chunk).end();
        assert!(!open(&peer).usable());
        // An answer that came before the end counts.
        let whole = [answer_head(1), answer_data(1, b"x"), ok_trailers(1)].concat();
        let peer = greeted(chunk).expect(&request(1, b"")).say(&whole).end();
        assert_eq!(unary(&mut open(&peer), b"").unwrap(), b"x");
    }
}

#[test]
fn last_words_are_heard() {
    // The peer closes while we write; its GOAWAY tells why.
    let goaway = frame(7, 0, 0, &[&hex("00000000 00000001")[..], b"bad frame"].concat());
    let peer = greeted(usize::MAX).say(&goaway).end();
    let mut conn = open(&peer);
    let text = text(unary(&mut conn, b"").unwrap_err());
    assert_eq!(text, "S/M: UNAVAILABLE: the peer takes no more calls (PROTOCOL_ERROR, 'bad frame')");
}

#[test]
fn a_peer_that_never_answers() {
    let peer = greeted(7).expect(&request(1, b""));
    let mut conn = open(&peer);
    let start = conn_now(&peer);
    assert_eq!(text(unary(&mut conn, b"").unwrap_err()), "S/M: no answer within 30 s");
    assert_eq!(peer.elapsed(start), Duration::from_secs(30));
    assert!(!conn.usable());
    // Not even settings.
    let peer = Peer::new(7).swallow(crate::rpc::frame::preface(65_536).len());
    let e = Connection::open(peer).unwrap_err();
    assert_eq!(e.to_string(), "no answer within 10 s");
    // It reads nothing.
    let peer = greeted(7).silence(Duration::from_secs(60));
    let mut conn = open(&peer);
    assert_eq!(text(unary(&mut conn, b"").unwrap_err()), "S/M: no answer within 30 s");
}

#[test]
fn slow_answers_are_waited_for() {
    let peer = greeted(7)
        .expect(&request(1, b""))
        .silence(Duration::from_secs(29))
        .say(&[answer_head(1), answer_data(1, b"late"), ok_trailers(1)].concat());
    assert_eq!(unary(&mut open(&peer), b"").unwrap(), b"late");
    // Drops that come one by one do not extend the time.
    let peer = greeted(7)
        .expect(&request(1, b""))
        .silence(Duration::from_secs(20))
        .say(&answer_head(1))
        .silence(Duration::from_secs(9))
        .say(&answer_data(1, b"late"))
        .silence(Duration::from_secs(2))
        .say(&ok_trailers(1));
    assert_eq!(text(unary(&mut open(&peer), b"").unwrap_err()), "S/M: no answer within 30 s");
}

#[test]
fn pausing_answers_pings() {
    let peer = greeted(3)
        .silence(Duration::from_secs(1))
        .say_hex("000008 06 00 00000000 0102030405060708")
        .expect_hex("000008 06 01 00000000 0102030405060708")
        .silence(Duration::from_secs(1));
    let mut conn = open(&peer);
    let start = conn_now(&peer);
    conn.pause(Duration::from_secs(5)).unwrap();
    assert_eq!(peer.elapsed(start), Duration::from_secs(5));
    assert_played(&peer);
}

fn conn_now(peer: &Peer) -> std::time::Instant {
    use crate::rpc::transport::Transport as _;
    peer.now()
}
