//! Sending much: windows, settings in mid-stream, peers that stop reading, and early ends.

use super::*;

const FULL: usize = 16_384;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at % 251) as u8).collect()
}

/// The DATA frames of `payload` in the given sizes.
fn data(stream: u32, mut payload: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    for size in sizes {
        let (part, rest) = payload.split_at(*size);
        out.extend(frame(0, 0, stream, part));
        payload = rest;
    }
    out
}

fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(8, 0, stream, &by.to_be_bytes())
}

fn initial_window(size: u32) -> Vec<u8> {
    frame(4, 0, 0, &[&[0, 4], &size.to_be_bytes()[..]].concat())
}

const ACK: &str = "000000 04 01 00000000";

#[test]
fn a_message_is_cut_into_frames_and_stops_at_the_window() {
    for chunk in CHUNKS {
        let payload = bytes(70_000);
        let all = message(&payload);
        // 65,535 bytes: three full frames and one that is one byte shorter.
        let (first, rest) = all.split_at(65_535);
        let peer = greeted(chunk)
            .expect(&[request_head(1), data(1, first, &[FULL, FULL, FULL, FULL - 1])].concat())
            .say(&window_update(1, 5000)) // no use alone
            .say(&window_update(0, 10))
            .expect(&data(1, rest, &[10]))
            .say(&window_update(0, 100_000))
            .expect(&data(1, &rest[10..], &[4460]))
            .say(&[answer_head(1), answer_data(1, b"got it")].concat());
        let mut conn = open(&peer);
        let mut call = conn.start(METHOD, &[]).unwrap();
        call.send(&payload[..100], &payload[100..], Last::No).unwrap();
        assert_eq!(call.receive().unwrap(), Some(b"got it".to_vec()));
        assert_played(&peer);
    }
}

#[test]
fn initial_window_grows_in_mid_stream() {
    // The dead-lock of clients that ignore it: the stream window is used up, the connection window is not, and the
    // peer, which believes that we have much more, sends no update for the stream.
    for chunk in CHUNKS {
        let payload = bytes(120_000);
        let all = message(&payload);
        let peer = greeted(chunk)
            .expect(&[request_head(1), data(1, &all, &[FULL, FULL, FULL, FULL - 1])].concat())
            .say(&window_update(0, 1_000_000))
            .say(&initial_window(131_072))
            .expect_hex(ACK)
            .expect(&data(1, &all[65_535..], &[FULL, FULL, FULL, 120_005 - 65_535 - 3 * FULL]))
            .say(&[answer_head(1), answer_data(1, b"")].concat())
            // The next stream starts with the new size.
            .expect(&frame(3, 0, 1, &[0, 0, 0, 8]))
            .expect(&request_head(3))
            .expect(&data(3, &all, &[FULL, FULL, FULL, FULL, FULL, FULL, FULL, 120_005 - 7 * FULL]));
        let mut conn = open(&peer);
        let mut call = conn.start(METHOD, &[]).unwrap();
        call.send(&[], &payload, Last::No).unwrap();
        assert_eq!(call.receive().unwrap(), Some(vec![]));
        drop(call);
        let mut call = conn.start(METHOD, &[]).unwrap();
        call.send(&[], &payload, Last::No).unwrap();
        assert_played(&peer);
    }
}

#[test]
fn initial_window_shrinks_below_what_was_sent() {
    for chunk in CHUNKS {
        let payload = bytes(70_000 - 5);
        let all = message(&payload);
        let peer = greeted(chunk)
            .expect(&[request_head(1), data(1, &all, &[FULL, FULL, FULL, FULL - 1])].concat())
            .say(&window_update(0, 1_000_000))
            // 65,535 were sent, 1000 are allowed: the window is −64,535.
            .say(&initial_window(1000))
            .expect_hex(ACK)
            .say(&window_update(1, 64_535)) // now 0
            .say(&window_update(1, 1))
            .expect(&data(1, &all[65_535..], &[1]))
            .say(&initial_window(2000))
            .expect_hex(ACK)
            .expect(&data(1, &all[65_536..], &[1000]))
            .say(&window_update(1, 1 << 20))
            .expect(&data(1, &all[66_536..], &[3464]))
            .expect(&frame(3, 0, 1, &[0, 0, 0, 8]));
        let mut conn = open(&peer);
        conn.start(METHOD, &[]).unwrap().send(&payload[..7], &payload[7..], Last::No).unwrap();
        assert_played(&peer);
    }
}

#[test]
fn what_comes_while_we_write_is_read_and_answered() {
    // Before it takes the second frame the peer wants to get rid of a ping: it would wait for ever if we only wrote.
    for chunk in CHUNKS {
        let payload = bytes(30_000 - 5);
        let all = message(&payload);
        let second = data(1, &all[FULL..], &[30_000 - FULL]);
        let peer = greeted(chunk)
            .expect(&[request_head(1), data(1, &all, &[FULL])].concat())
            .expect(&second[..5000])
            .say_hex("000008 06 00 00000000 02041010090e0707")
            .expect(&second[5000..])
            .expect_hex("000008 06 01 00000000 02041010090e0707")
            .say(&[answer_head(1), answer_data(1, b"")].concat());
        let mut conn = open(&peer);
        let mut call = conn.start(METHOD, &[]).unwrap();
        call.send(&[], &payload, Last::No).unwrap();
        assert_eq!(call.receive().unwrap(), Some(vec![]));
        assert_played(&peer);
    }
}

#[test]
fn lock_step_ends_with_our_last_message() {
    for chunk in CHUNKS {
        let peer = greeted(chunk)
            .expect(&[request_head(1), frame(0, 0, 1, &message(b"one"))].concat())
            .say(&[answer_head(1), answer_data(1, b"1")].concat())
            .expect(&frame(0, 0, 1, &message(b"two")))
            .say(&answer_data(1, b"2"))
            .expect(&frame(0, 1, 1, &message(b"end")))
            .say(&[answer_data(1, b"3"), answer_data(1, b"3"), ok_trailers(1)].concat());
        let mut conn = open(&peer);
        let mut call = conn.start(METHOD, &[]).unwrap();
        for (sent, got) in [("one", "1"), ("two", "2")] {
            call.send(sent.as_bytes(), b"", Last::No).unwrap();
            assert_eq!(call.receive().unwrap(), Some(got.into()));
        }
        call.send(b"e", b"nd", Last::Yes).unwrap();
        assert_eq!(call.receive().unwrap(), Some(b"3".to_vec()));
        assert_eq!(call.receive().unwrap(), Some(b"3".to_vec()));
        assert_eq!(call.receive().unwrap(), None);
        drop(call);
        assert!(conn.usable());
        assert_played(&peer);
    }
}

#[test]
fn an_early_end_stops_the_sending() {
    for chunk in CHUNKS {
        let payload = bytes(200_000);
        let all = message(&payload);
        let peer = greeted(chunk)
            .expect(&[request_head(1), data(1, &all, &[FULL, FULL, FULL, FULL - 1])].concat())
            .say(&refusal(1, &[("grpc-status", "14"), ("grpc-message", "ref x locked")]))
            .say(&frame(3, 0, 1, &[0, 0, 0, 0])) // NO_ERROR: it wants no more
            .say(&window_update(0, 65_535))
            .expect(&request(3, b""))
            .say(&[answer_head(3), answer_data(3, b"next"), ok_trailers(3)].concat());
        let mut conn = open(&peer);
        let mut call = conn.start(METHOD, &[]).unwrap();
        call.send(&[], &payload, Last::No).unwrap();
        assert_eq!(text(call.receive().unwrap_err()), "S/M: UNAVAILABLE: ref x locked");
        drop(call);
        assert_eq!(conn.start(METHOD, &[]).unwrap().unary(b"").unwrap(), b"next");
        assert_played(&peer);
    }
}

#[test]
fn progress_is_what_keeps_an_upload_alive() {
    let method = METHOD.within(Patience::Progress(Duration::from_secs(60)));
    let start = || [request_head(1), frame(0, 0, 1, &message(b"one"))].concat();
    let minute = Duration::from_secs(59);
    let peer = greeted(7)
        .expect(&start())
        .silence(minute)
        .say(&[answer_head(1), answer_data(1, b"1")].concat())
        .silence(minute)
        .say(&answer_data(1, b"2"))
        .silence(minute)
        .say(&answer_data(1, b"3"));
    let mut conn = open(&peer);
    let mut call = conn.start(method, &[]).unwrap();
    call.send(b"one", b"", Last::No).unwrap();
    for want in ["1", "2", "3"] {
        assert_eq!(call.receive().unwrap(), Some(want.into()));
    }
    assert_eq!(text(call.receive().unwrap_err()), "S/M: no progress for 60 s");
    drop(call);
    // Pings and window updates are no progress.
    let tick = [frame(6, 1, 0, &[0; 8]), window_update(0, 1)].concat();
    let peer = greeted(7).expect(&start()).silence(minute).say(&tick).silence(minute).say(&tick);
    let mut conn = open(&peer);
    let mut call = conn.start(method, &[]).unwrap();
    call.send(b"one", b"", Last::No).unwrap();
    assert_eq!(text(call.receive().unwrap_err()), "S/M: no progress for 60 s");
}

#[test]
fn a_peer_that_stops_reading_in_a_frame_costs_the_connection() {
    let payload = bytes(10_000);
    let whole = frame(0, 0, 1, &message(&payload));
    let peer = greeted(100).expect(&request_head(1)).expect(&whole[..4000]).silence(Duration::from_secs(3600));
    let mut conn = open(&peer);
    let mut call = conn.start(METHOD, &[]).unwrap();
    assert_eq!(text(call.send(&payload, &[], Last::No).unwrap_err()), "S/M: no answer within 30 s");
    drop(call);
    assert!(!conn.usable());
}

#[test]
fn messages_that_no_daemon_takes_are_not_sent() {
    let peer = greeted(usize::MAX).expect(&[request_head(1), frame(3, 0, 1, &[0, 0, 0, 8])].concat());
    let mut conn = open(&peer);
    let mut call = conn.start(METHOD, &[]).unwrap();
    let e = call.send(&[0; 9], &vec![0; 16 * 1024 * 1024 - 8], Last::No).unwrap_err();
    assert_eq!(text(e), "message of 16777217 bytes is longer than containerd takes, 16777216");
    drop(call);
    assert_played(&peer);
}

#[test]
fn a_call_can_be_started_again_after_a_pause() {
    let peer = greeted(7)
        .expect(&[request_head(1), frame(0, 0, 1, &message(b"x"))].concat())
        .say(&refusal(1, &[("grpc-status", "14")]))
        .expect(&frame(3, 0, 1, &[0, 0, 0, 8]))
        .silence(Duration::from_millis(100))
        .expect(&[request_head(3), frame(0, 0, 3, &message(b"x"))].concat())
        .say(&[answer_head(3), answer_data(3, b"mine")].concat());
    let mut conn = open(&peer);
    let mut call = conn.start(METHOD, &[]).unwrap();
    call.send(b"x", b"", Last::No).unwrap();
    assert!(call.receive().unwrap_err().is(Code::Unavailable));
    call.restart_after(Duration::from_millis(100)).unwrap();
    call.send(b"x", b"", Last::No).unwrap();
    assert_eq!(call.receive().unwrap(), Some(b"mine".to_vec()));
    assert_played(&peer);
}
