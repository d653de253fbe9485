//! Header compression (RFC 7541) without a dynamic table.
//!
//! We announce SETTINGS_HEADER_TABLE_SIZE 0, so the peer may use static indexes and literals only; anything that
//! needs a table is an error. Literals may still be Huffman coded, which cannot be switched off.

mod decode;
mod encode;
mod huffman;
mod table;

pub use decode::{Header, Headers, decode};
pub use encode::encode;

use std::fmt;

/// Fields of one header block. gRPC needs four; the rest is room for what a newer daemon may add.
pub const MAX_FIELDS: usize = 64;

/// Longest header block, and the size we announce as MAX_HEADER_LIST_SIZE: a long error text fits, a flood does not.
pub const MAX_BLOCK: u32 = 65_536;

/// Longest header block, as a length in memory.
pub const MAX_BLOCK_LEN: usize = MAX_BLOCK as usize;

/// Why a header block cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends inside a field.
    Short,
    /// A number is longer than any real one (RFC 7541 §5.1).
    Number,
    /// Index 0, or an index into the dynamic table that we do not have.
    Index,
    /// A dynamic table is announced, or a size update comes after a field (§4.2).
    TableSize,
    /// A Huffman code that does not exist, the EOS symbol, or wrong padding (§5.2).
    Huffman,
    /// More than [`MAX_FIELDS`] fields.
    Fields,
    /// The decoded fields are larger than [`MAX_BLOCK`] allows (RFC 9113 §10.5.1).
    Size,
    /// A name that is empty or not lower case (RFC 9113 §8.2.1).
    Name,
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HpackError::Short => "header block ends inside a field",
            HpackError::Number => "number in a header block is too long",
            HpackError::Index => "header index outside the static table",
            HpackError::TableSize => "dynamic header table although none was offered",
            HpackError::Huffman => "bad Huffman code in a header",
            HpackError::Fields => "too many header fields",
            HpackError::Size => "header fields are too large",
            HpackError::Name => "bad header name",
        })
    }
}

impl std::error::Error for HpackError {}
