//! HTTP/2 frames (RFC 9113 §4.1 and §6): nine bytes of head, then a payload by kind.
//!
//! ```text
//! +-----------------+--------+---------+--------------------+
//! | length (24)     | kind 8 | flags 8 | 0 + stream id (31) |  payload ...
//! +-----------------+--------+---------+--------------------+
//! ```

mod head;
mod payload;
mod settings;
mod write;

pub use head::{HEAD_LEN, Head};
pub use payload::Frame;
pub use settings::{Setting, Settings};
pub use write::{data_head, headers, ping_ack, preface, reset, settings_ack, window_update};

use std::fmt;

/// Longest payload we accept and send: the protocol's minimum maximum (RFC 9113 §4.2). grpc-go never asks for more.
pub const MAX_PAYLOAD: u32 = 16_384;

/// Longest payload in either direction, as a length in memory.
pub const MAX_PAYLOAD_LEN: usize = MAX_PAYLOAD as usize;

/// Flag of DATA and HEADERS: the sender is done with the stream.
pub const END_STREAM: u8 = 0x1;
/// Flag of SETTINGS and PING: this is the acknowledgement.
pub const ACK: u8 = 0x1;
/// Flag of HEADERS and CONTINUATION: the header block ends here.
pub const END_HEADERS: u8 = 0x4;
/// Flag of DATA and HEADERS: the payload is padded.
pub const PADDED: u8 = 0x8;
/// Flag of HEADERS: five bytes of (obsolete) priority come first.
pub const PRIORITY: u8 = 0x20;

/// Kinds of frames we know (RFC 9113 §6). Others are ignored (§5.5).
pub mod kind {
    /// Message bytes.
    pub const DATA: u8 = 0;
    /// Start of a header block.
    pub const HEADERS: u8 = 1;
    /// Obsolete; ignored.
    pub const PRIORITY: u8 = 2;
    /// End of a stream by force.
    pub const RST_STREAM: u8 = 3;
    /// Parameters of the connection.
    pub const SETTINGS: u8 = 4;
    /// Forbidden towards us: we disable it.
    pub const PUSH_PROMISE: u8 = 5;
    /// Sign of life.
    pub const PING: u8 = 6;
    /// End of the connection.
    pub const GOAWAY: u8 = 7;
    /// More room for DATA.
    pub const WINDOW_UPDATE: u8 = 8;
    /// More of a header block.
    pub const CONTINUATION: u8 = 9;
}

/// Why bytes are no frame we may accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The payload is longer than we allow.
    TooLong {
        /// Announced length.
        got: u32,
    },
    /// The payload's length is wrong for the kind.
    Length {
        /// The kind of frame.
        kind: u8,
        /// Its length.
        got: u32,
    },
    /// A stream frame on stream 0, or a connection frame on a stream.
    Stream {
        /// The kind of frame.
        kind: u8,
    },
    /// The padding is longer than the payload.
    Padding,
    /// A push, which we forbid.
    Push,
    /// A setting has a value outside its range.
    Setting {
        /// The setting's identifier.
        id: u16,
        /// Its value.
        value: u32,
    },
    /// A window update of 0.
    ZeroUpdate,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            FrameError::TooLong { got } => write!(f, "frame of {got} bytes, at most {MAX_PAYLOAD} are allowed"),
            FrameError::Length { kind, got } => write!(f, "frame of kind {kind} has the wrong length {got}"),
            FrameError::Stream { kind } => write!(f, "frame of kind {kind} on a stream where it must not be"),
            FrameError::Padding => f.write_str("frame with more padding than payload"),
            FrameError::Push => f.write_str("server push, which was forbidden"),
            FrameError::Setting { id, value } => write!(f, "setting {id} has the forbidden value {value}"),
            FrameError::ZeroUpdate => f.write_str("window update of 0"),
        }
    }
}

impl std::error::Error for FrameError {}
