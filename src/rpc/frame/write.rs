//! The frames we send, as bytes.

use super::{ACK, END_HEADERS, END_STREAM, HEAD_LEN, Head, kind};
use crate::rpc::flow::{MAX_WINDOW, START_WINDOW};

/// RFC 9113 §3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a client says first: the preface, our settings, and a connection window as large as it can be.
///
/// HEADER_TABLE_SIZE 0 keeps the peer from referring to earlier headers; INITIAL_WINDOW_SIZE and the update spare us
/// an update for every message: memory is bounded by what we read, not by what the peer may send.
pub fn preface(max_header_list: u32) -> Vec<u8> {
    let settings: [(u16, u32); 4] = [(1, 0), (2, 0), (4, MAX_WINDOW), (6, max_header_list)];
    let mut out = PREFACE.to_vec();
    let len = settings.len() * 6;
    out.extend(head(len, kind::SETTINGS, 0, 0));
    for (id, value) in settings {
        out.extend(id.to_be_bytes());
        out.extend(value.to_be_bytes());
    }
    window_update(&mut out, 0, MAX_WINDOW - START_WINDOW);
    out
}

/// HEADERS with the whole block; it must fit one frame.
pub fn headers(out: &mut Vec<u8>, stream: u32, block: &[u8]) {
    out.extend(head(block.len(), kind::HEADERS, END_HEADERS, stream));
    out.extend(block);
}

/// The head of a DATA frame with `len` bytes.
pub fn data_head(stream: u32, len: usize, end_stream: bool) -> [u8; HEAD_LEN] {
    head(len, kind::DATA, if end_stream { END_STREAM } else { 0 }, stream)
}

/// Acknowledges the peer's SETTINGS.
pub fn settings_ack(out: &mut Vec<u8>) {
    out.extend(head(0, kind::SETTINGS, ACK, 0));
}

/// Answers a PING.
pub fn ping_ack(out: &mut Vec<u8>, data: [u8; 8]) {
    out.extend(head(data.len(), kind::PING, ACK, 0));
    out.extend(data);
}

/// Gives up a stream.
pub fn reset(out: &mut Vec<u8>, stream: u32, code: u32) {
    out.extend(head(4, kind::RST_STREAM, 0, stream));
    out.extend(code.to_be_bytes());
}

/// Lets the peer send `increment` more bytes.
pub fn window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    out.extend(head(4, kind::WINDOW_UPDATE, 0, stream));
    out.extend(increment.to_be_bytes());
}

/// Callers pass lengths of at most [`super::MAX_PAYLOAD`].
fn head(len: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEAD_LEN] {
    Head { len: u32::try_from(len).unwrap_or(u32::MAX), kind, flags, stream }.encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn preface_is_exact() {
        let want = hex(concat!(
            "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a", // RFC 9113 §3.4
            "000018 04 00 00000000",
            "0001 00000000", // HEADER_TABLE_SIZE
            "0002 00000000", // ENABLE_PUSH
            "0004 7fffffff", // INITIAL_WINDOW_SIZE
            "0006 00010000", // MAX_HEADER_LIST_SIZE
            "000004 08 00 00000000 7fff0000",
        ));
        assert_eq!(preface(65_536), want);
    }

    #[test]
    fn small_frames_are_exact() {
        assert_eq!(written(|out| headers(out, 1, &[0x88])), hex("000001 01 04 00000001 88"));
        assert_eq!(data_head(3, 16_384, false), *hex("004000 00 00 00000003"));
        assert_eq!(data_head(3, 0, true), *hex("000000 00 01 00000003"));
        assert_eq!(written(settings_ack), hex("000000 04 01 00000000"));
        assert_eq!(written(|out| ping_ack(out, [1; 8])), hex("000008 06 01 00000000 0101010101010101"));
        assert_eq!(written(|out| reset(out, 5, 8)), hex("000004 03 00 00000005 00000008"));
        assert_eq!(written(|out| window_update(out, 5, 1 << 30)), hex("000004 08 00 00000005 40000000"));
    }
}
