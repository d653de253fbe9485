//! Dialogues with a scripted peer, exact to the byte; each in whole reads and writes, in single bytes, and in between.

mod calls;
mod uploads;
mod violations;

use std::time::Duration;

use super::*;
use crate::rpc::scripted::Peer;
use crate::rpc::status::Code;
use crate::testing::hex;

/// Sizes of reads and writes: everything at once, byte by byte, and a size that fits no border.
const CHUNKS: [usize; 3] = [usize::MAX, 1, 7];

const METHOD: Method = Method::unary("/p.S/M");

/// Preface and settings of ours, then the peer's settings (as grpc-go sends them) and acknowledgement, then ours.
fn greeted(chunk: usize) -> Peer {
    Peer::new(chunk)
        .expect(&crate::rpc::frame::preface(65_536))
        .say_hex("000006 04 00 00000000 0005 00004000")
        .say_hex("000000 04 01 00000000")
        .expect_hex("000000 04 01 00000000")
}

/// A frame; an encoder of its own, so that the one under test is not its own judge.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Our request head for [`METHOD`] on `stream`.
fn request_head(stream: u32) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/p.S/M"),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", concat!("edgelay/", env!("CARGO_PKG_VERSION"))),
    ] {
        block.push(0);
        block.push(name.len() as u8);
        block.extend(name.as_bytes());
        block.push(value.len() as u8);
        block.extend(value.as_bytes());
    }
    frame(1, 4, stream, &block)
}

/// A message with its prefix.
fn message(bytes: &[u8]) -> Vec<u8> {
    [&[0], &(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

/// A request with one message, which ends our side.
fn request(stream: u32, bytes: &[u8]) -> Vec<u8> {
    [request_head(stream), frame(0, 1, stream, &message(bytes))].concat()
}

/// Head of a good answer: what containerd 1.6 to 2.1 send after the first one.
fn answer_head(stream: u32) -> Vec<u8> {
    frame(1, 4, stream, &hex("88 0f10 8b 1d75d0620d263d4c4d6564"))
}

fn answer_data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(0, 0, stream, &message(bytes))
}

/// `grpc-status: 0` with an empty text.
fn ok_trailers(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &hex("00 88 9acac8b21234da8f 01 30  00 89 9acac8b5254207317f 00"))
}

/// Trailers, or a whole answer: fields as plain literals, with `:status` and content type in front.
fn refusal(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = hex("88 0f10 8b 1d75d0620d263d4c4d6564");
    block.extend(hpack::encode(fields.iter().copied()));
    frame(1, 5, stream, &block)
}

fn open(peer: &Peer) -> Connection<Peer> {
    Connection::open(peer.clone()).unwrap()
}

/// The error as the user sees it.
fn text(e: CallError) -> String {
    Error::from(e).to_string()
}

fn assert_played(peer: &Peer) {
    assert_eq!(peer.verdict(), Ok(()));
}
