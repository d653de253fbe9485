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
