//! What the peer says, frame by frame (RFC 9113 §6). Every rule that needs no memory of earlier frames is kept here.

use super::{ACK, END_HEADERS, END_STREAM, FrameError, Head, PADDED, PRIORITY, Settings, kind};

/// A received frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Bytes of a message.
    Data {
        /// The stream.
        stream: u32,
        /// The bytes without padding.
        data: &'a [u8],
        /// What counts against the windows: the bytes with padding (§6.9.1).
        flow: u32,
        /// The peer is done with the stream.
        end_stream: bool,
    },
    /// The start of a header block.
    Headers {
        /// The stream.
        stream: u32,
        /// The first part of the block.
        block: &'a [u8],
        /// The peer is done with the stream.
        end_stream: bool,
        /// The block is complete.
        end_headers: bool,
    },
    /// More of a header block.
    Continuation {
        /// The stream.
        stream: u32,
        /// The next part of the block.
        block: &'a [u8],
        /// The block is complete.
        end_headers: bool,
    },
    /// The peer gave up the stream.
    Reset {
        /// The stream.
        stream: u32,
        /// Error code (§7).
        code: u32,
    },
    /// The peer's parameters, to be acknowledged.
    Settings(Settings<'a>),
    /// The peer applied ours.
    SettingsAck,
    /// To be answered with the same bytes.
    Ping([u8; 8]),
    /// An answer to a ping (we send none).
    PingAck,
    /// The peer takes no new streams.
    GoAway {
        /// The last stream it worked on.
        last: u32,
        /// Error code (§7).
        code: u32,
        /// Text for humans.
        debug: &'a [u8],
    },
    /// More room for our DATA.
    WindowUpdate {
        /// The stream, or 0 for the connection.
        stream: u32,
        /// How much more, at least 1.
        increment: u32,
    },
    /// A kind that we need not know.
    Ignored,
}

impl<'a> Frame<'a> {
    /// Reads the payload of a frame; `payload` has `head.len` bytes.
    pub fn decode(head: Head, payload: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let stream = check_stream(head)?;
        let length = FrameError::Length { kind: head.kind, got: head.len };
        match head.kind {
            kind::DATA => {
                let data = unpad(head, payload)?;
                Ok(Frame::Data { stream, data, flow: head.len, end_stream: head.has(END_STREAM) })
            }
            kind::HEADERS => {
                let block = without_priority(head, unpad(head, payload)?)?;
                let (end_stream, end_headers) = (head.has(END_STREAM), head.has(END_HEADERS));
                Ok(Frame::Headers { stream, block, end_stream, end_headers })
            }
            kind::CONTINUATION => {
                Ok(Frame::Continuation { stream, block: payload, end_headers: head.has(END_HEADERS) })
            }
            kind::RST_STREAM => {
                let code = u32::from_be_bytes(*exactly(payload).ok_or(length)?);
                Ok(Frame::Reset { stream, code })
            }
            kind::SETTINGS if head.has(ACK) && payload.is_empty() => Ok(Frame::SettingsAck),
            kind::SETTINGS if head.has(ACK) => Err(length),
            kind::SETTINGS => Ok(Frame::Settings(Settings::decode(payload).ok_or(length)??)),
            kind::PUSH_PROMISE => Err(FrameError::Push),
            kind::PING => {
                let data = *exactly(payload).ok_or(length)?;
                Ok(if head.has(ACK) { Frame::PingAck } else { Frame::Ping(data) })
            }
            kind::GOAWAY => goaway(payload).ok_or(length),
            kind::WINDOW_UPDATE => {
                let increment = u32::from_be_bytes(*exactly(payload).ok_or(length)?) & 0x7fff_ffff;
                if increment == 0 {
                    return Err(FrameError::ZeroUpdate);
                }
                Ok(Frame::WindowUpdate { stream, increment })
            }
            _ => Ok(Frame::Ignored),
        }
    }
}

/// Which kinds belong to a stream and which to the connection.
fn check_stream(head: Head) -> Result<u32, FrameError> {
    let fits = match head.kind {
        kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::PUSH_PROMISE | kind::CONTINUATION => {
            head.stream != 0
        }
        kind::SETTINGS | kind::PING | kind::GOAWAY => head.stream == 0,
        _ => true,
    };
    if fits { Ok(head.stream) } else { Err(FrameError::Stream { kind: head.kind }) }
}

/// §6.1: one byte of padding length in front, that much padding behind.
fn unpad(head: Head, payload: &[u8]) -> Result<&[u8], FrameError> {
    if !head.has(PADDED) {
        return Ok(payload);
    }
    let (pad, rest) = payload.split_first().ok_or(FrameError::Padding)?;
    let keep = rest.len().checked_sub(usize::from(*pad)).ok_or(FrameError::Padding)?;
    rest.get(..keep).ok_or(FrameError::Padding)
}

/// §6.2: five bytes of deprecated priority, if flagged.
fn without_priority(head: Head, block: &[u8]) -> Result<&[u8], FrameError> {
    if !head.has(PRIORITY) {
        return Ok(block);
    }
    block.get(5..).ok_or(FrameError::Length { kind: head.kind, got: head.len })
}

fn exactly<const N: usize>(payload: &[u8]) -> Option<&[u8; N]> {
    payload.try_into().ok()
}

fn goaway(payload: &[u8]) -> Option<Frame<'_>> {
    let (last, rest) = payload.split_first_chunk()?;
    let (code, debug) = rest.split_first_chunk()?;
    Some(Frame::GoAway { last: u32::from_be_bytes(*last) & 0x7fff_ffff, code: u32::from_be_bytes(*code), debug })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::frame::{HEAD_LEN, Setting};
    use crate::testing::{hex, mutate};

    /// Decodes one frame from its bytes; `None` if they are not exactly one.
    fn frame(bytes: &[u8]) -> Option<Result<Frame<'_>, FrameError>> {
        let (head, payload) = bytes.split_first_chunk::<HEAD_LEN>()?;
        let head = match Head::decode(*head) {
            Ok(head) => head,
            Err(e) => return Some(Err(e)),
        };
        (payload.len() == head.len as usize).then(|| Frame::decode(head, payload))
    }

    #[test]
    fn frames_of_every_kind() {
        let table: &[(&str, Frame<'_>)] = &[
            ("000003 00 01 00000001 616263", Frame::Data { stream: 1, data: b"abc", flow: 3, end_stream: true }),
            ("000000 00 00 00000003", Frame::Data { stream: 3, data: b"", flow: 0, end_stream: false }),
            (
                "000007 00 08 00000001 03 616263 000000",
                Frame::Data { stream: 1, data: b"abc", flow: 7, end_stream: false },
            ),
            ("000001 00 08 00000001 00", Frame::Data { stream: 1, data: b"", flow: 1, end_stream: false }),
            (
                "000001 01 04 00000001 88",
                Frame::Headers { stream: 1, block: &[0x88], end_stream: false, end_headers: true },
            ),
            (
                "000006 01 25 00000001 80000000 10 88",
                Frame::Headers { stream: 1, block: &[0x88], end_stream: true, end_headers: true },
            ),
            (
                "000009 01 28 00000001 02 00000003 ff 88 0000",
                Frame::Headers { stream: 1, block: &[0x88], end_stream: false, end_headers: false },
            ),
            ("000001 09 04 00000005 88", Frame::Continuation { stream: 5, block: &[0x88], end_headers: true }),
            ("000005 02 00 00000001 0000000000", Frame::Ignored), // PRIORITY
            ("000004 03 00 00000001 00000008", Frame::Reset { stream: 1, code: 8 }),
            ("000000 04 01 00000000", Frame::SettingsAck),
            ("000008 06 00 00000000 02041010090e0707", Frame::Ping([2, 4, 16, 16, 9, 14, 7, 7])),
            ("000008 06 01 00000000 0000000000000000", Frame::PingAck),
            ("00000a 07 00 00000000 80000003 0000000b 6162", Frame::GoAway { last: 3, code: 11, debug: b"ab" }),
            ("000004 08 00 00000000 80000001", Frame::WindowUpdate { stream: 0, increment: 1 }),
            ("000004 08 00 00000007 7fffffff", Frame::WindowUpdate { stream: 7, increment: 0x7fff_ffff }),
            ("000002 0a ff 00000000 0000", Frame::Ignored), // ALTSVC (RFC 7838), an extension
            ("000000 ff 00 00000009", Frame::Ignored),
        ];
        for (bytes, want) in table {
            assert_eq!(frame(&hex(bytes)), Some(Ok(want.clone())), "{bytes}");
        }
        let settings = hex("00000c 04 00 00000000 0005 00004000 0004 00020000");
        let Some(Ok(Frame::Settings(settings))) = frame(&settings) else { panic!("no SETTINGS") };
        let settings: Vec<_> = settings.iter().collect();
        assert_eq!(settings, [Setting::MaxFrame(16_384), Setting::InitialWindow(131_072)]);
    }

    #[test]
    fn each_fault_has_its_reason() {
        let length = |kind, got| FrameError::Length { kind, got };
        let stream = |kind| FrameError::Stream { kind };
        let table: &[(&str, FrameError)] = &[
            ("000000 00 00 00000000", stream(kind::DATA)),
            ("000000 01 04 00000000", stream(kind::HEADERS)),
            ("000005 02 00 00000000 0000000000", stream(kind::PRIORITY)),
            ("000004 03 00 00000000 00000000", stream(kind::RST_STREAM)),
            ("000000 04 00 00000001", stream(kind::SETTINGS)),
            ("000008 06 00 00000001 0000000000000000", stream(kind::PING)),
            ("000008 07 00 00000001 0000000000000000", stream(kind::GOAWAY)),
            ("000000 09 04 00000000", stream(kind::CONTINUATION)),
            ("000000 00 08 00000001", FrameError::Padding),
            ("000001 00 08 00000001 01", FrameError::Padding),
            ("000003 01 08 00000001 03 0000", FrameError::Padding),
            ("000004 01 20 00000001 00000000", length(kind::HEADERS, 4)),
            ("000003 03 00 00000001 000000", length(kind::RST_STREAM, 3)),
            ("000005 04 00 00000000 0000000000", length(kind::SETTINGS, 5)),
            ("000006 04 01 00000000 000000000000", length(kind::SETTINGS, 6)),
            ("000006 04 00 00000000 0004 80000000", FrameError::Setting { id: 4, value: 0x8000_0000 }),
            ("000004 05 04 00000001 00000002", FrameError::Push),
            ("000007 06 00 00000000 00000000000000", length(kind::PING, 7)),
            ("000009 06 01 00000000 000000000000000000", length(kind::PING, 9)),
            ("000007 07 00 00000000 00000000000000", length(kind::GOAWAY, 7)),
            ("000005 08 00 00000000 0000000100", length(kind::WINDOW_UPDATE, 5)),
            ("000004 08 00 00000000 00000000", FrameError::ZeroUpdate),
            ("000004 08 00 00000001 80000000", FrameError::ZeroUpdate),
            ("004001 00 00 00000001", FrameError::TooLong { got: 16_385 }),
        ];
        for (bytes, why) in table {
            assert_eq!(frame(&hex(bytes)), Some(Err(*why)), "{bytes}");
        }
    }

    #[test]
    fn damaged_frames_decode_or_fail() {
        let seeds = [
            hex("000007 00 08 00000001 03 616263 000000"),
            hex("000009 01 28 00000001 02 00000003 ff 88 0000"),
            hex("00000c 04 00 00000000 0005 00004000 0004 00020000"),
            hex("00000a 07 00 00000000 80000003 0000000b 6162"),
            hex("000004 08 00 00000007 7fffffff"),
            hex("000008 06 00 00000000 02041010090e0707"),
        ];
        let (mut good, mut bad) = (0u32, 0u32);
        mutate(&seeds, 100_000, |bytes| match frame(bytes) {
            Some(Ok(Frame::Data { data, flow, .. })) => {
                good += 1;
                assert!(data.len() <= flow as usize);
            }
            Some(Ok(_)) => good += 1,
            Some(Err(_)) => bad += 1,
            None => {}
        });
        assert!(good > 10_000 && bad > 1_000, "one-sided: {good} good, {bad} bad");
    }
}
