//! What can be wrong with a compressed stream.

use std::fmt;
use std::io::{Error, ErrorKind};

/// Why a stream cannot be decoded. Comes inside an [`Error`] of the kind `UnexpectedEof` for [`Fault::Truncated`],
/// `InvalidData` for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The input ends before the stream does.
    Truncated,
    /// Bytes that begin no frame or member stand where one must begin.
    Magic,
    /// The header of a frame or member uses a reserved bit or field, or another method than deflate.
    Header,
    /// The header's own check value is another one.
    HeaderChecksum,
    /// The frame asks for a larger window than the caller gives, and makes use of it.
    Window {
        /// What the frame asks for, in bytes.
        wanted: u64,
        /// What the caller gives, in bytes.
        limit: u64,
    },
    /// The frame can be read with this dictionary only, and there are none here.
    Dictionary(u32),
    /// A block has a reserved type, is longer than blocks may be, or ends in the wrong place.
    Block,
    /// The literals of a block are damaged.
    Literals,
    /// The sequences of a block are damaged.
    Sequences,
    /// A code is over-full, incomplete, or not there.
    Code,
    /// A match begins before the beginning of the data, or of the window.
    Distance,
    /// The data have another length than the stream says.
    Length,
    /// The data have another check value than the stream says.
    Checksum,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Truncated => "the compressed data end too early",
            Fault::Magic => "the compressed data go on with something else",
            Fault::Header => "the header of the compressed data is not valid",
            Fault::HeaderChecksum => "the checksum of the compressed data's header does not match",
            Fault::Window { wanted, limit } => {
                return write!(f, "the compressed data need a window of {wanted} bytes, the limit is {limit}");
            }
            Fault::Dictionary(id) => return write!(f, "the compressed data need the dictionary {id}"),
            Fault::Block => "a block of the compressed data is not valid",
            Fault::Literals => "the literals of a compressed block are not valid",
            Fault::Sequences => "the sequences of a compressed block are not valid",
            Fault::Code => "a code table of the compressed data is not valid",
            Fault::Distance => "the compressed data refer to data before their beginning",
            Fault::Length => "the decompressed data have the wrong length",
            Fault::Checksum => "the checksum of the decompressed data does not match",
        })
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    #[cold]
    fn from(fault: Fault) -> Error {
        let kind = if fault == Fault::Truncated { ErrorKind::UnexpectedEof } else { ErrorKind::InvalidData };
        Error::new(kind, fault)
    }
}
