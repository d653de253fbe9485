//! Header blocks from the peer (RFC 7541 §6).
//!
//! ```text
//! 1xxxxxxx indexed field          01xxxxxx literal with incremental indexing
//! 0000xxxx literal, not indexed   0001xxxx literal, never indexed   001xxxxx table size update
//! ```

use super::{HpackError, MAX_BLOCK_LEN, MAX_FIELDS, huffman, table};

/// What a field costs besides its name and value (RFC 7541 §4.1).
const FIELD_OVERHEAD: usize = 32;
/// Bytes of a number after its prefix: enough for 2^28, more than any block.
const MAX_NUMBER_BYTES: u32 = 4;

/// One header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Lower-case name.
    pub name: String,
    /// Value; any bytes.
    pub value: Vec<u8>,
}

impl Header {
    /// From parts.
    pub fn new(name: &str, value: &[u8]) -> Self {
        Header { name: name.to_owned(), value: value.to_owned() }
    }
}

/// The fields of a block in order.
pub type Headers = heapless::Vec<Header, MAX_FIELDS>;

/// Decodes one complete block.
pub fn decode(mut block: &[u8]) -> Result<Headers, HpackError> {
    let mut fields = Headers::new();
    let mut size = 0;
    while let Some(first) = block.first() {
        if first & 0xe0 == 0x20 {
            // Only in front (§4.2), and only to the size that we allow: none.
            if !fields.is_empty() || take_number(&mut block, 5)? != 0 {
                return Err(HpackError::TableSize);
            }
            continue;
        }
        let field = take_field(&mut block, *first)?;
        size += field.name.len() + field.value.len() + FIELD_OVERHEAD;
        if size > MAX_BLOCK_LEN {
            return Err(HpackError::Size);
        }
        fields.push(field).map_err(|_| HpackError::Fields)?;
    }
    Ok(fields)
}

fn take_field(block: &mut &[u8], first: u8) -> Result<Header, HpackError> {
    if first & 0x80 != 0 {
        let (name, value) = table::field(take_number(block, 7)?).ok_or(HpackError::Index)?;
        return Ok(Header::new(name, value.as_bytes()));
    }
    // With incremental indexing (01) the field would enter a table of size 0, which only empties it (§4.4): allowed.
    let prefix = if first & 0x40 != 0 { 6 } else { 4 };
    let name = match take_number(block, prefix)? {
        0 => name(take_string(block)?)?,
        index => table::field(index).ok_or(HpackError::Index)?.0.to_owned(),
    };
    Ok(Header { name, value: take_string(block)? })
}

/// RFC 9113 §8.2.1: visible ASCII without upper case.
fn name(bytes: Vec<u8>) -> Result<String, HpackError> {
    let good = |byte: &u8| matches!(byte, 0x21..=0x40 | 0x5b..=0x7e);
    if bytes.is_empty() || !bytes.iter().all(good) {
        return Err(HpackError::Name);
    }
    String::from_utf8(bytes).map_err(|_| HpackError::Name)
}

/// §5.1: what does not fit the prefix follows in groups of 7 bits, lowest first.
fn take_number(block: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let full = (1usize << prefix) - 1;
    let mut value = usize::from(take_byte(block)?) & full;
    if value < full {
        return Ok(value);
    }
    for at in 0..MAX_NUMBER_BYTES {
        let byte = take_byte(block)?;
        value += usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(HpackError::Number)
}

/// §5.2: a flag for Huffman coding, the length, the bytes.
fn take_string(block: &mut &[u8]) -> Result<Vec<u8>, HpackError> {
    let coded = block.first().ok_or(HpackError::Short)? & 0x80 != 0;
    let length = take_number(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length).ok_or(HpackError::Short)?;
    *block = rest;
    if coded { huffman::decode(bytes) } else { Ok(bytes.to_owned()) }
}

fn take_byte(block: &mut &[u8]) -> Result<u8, HpackError> {
    let (byte, rest) = block.split_first().ok_or(HpackError::Short)?;
    *block = rest;
    Ok(*byte)
}
