//! The wire format: tags, varints, length-delimited fields (protobuf.dev, "Encoding").
//!
//! ```text
//! message = { tag value }      tag = varint(number << 3 | type)
//! type 0 varint · 1 eight bytes · 2 varint length + bytes · 3, 4 groups (refused) · 5 four bytes
//! ```

use std::fmt;

use super::field::{Decode, Encode, Put};

/// A varint carries 64 bits, 7 per byte.
const MAX_VARINT: usize = 10;
/// Nesting of messages inside one another; containerd's deepest answer has 4 levels.
const MAX_DEPTH: u8 = 8;
/// Highest field number of the format.
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// Why bytes are no message of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PbError {
    /// The bytes end inside a tag, a number or a field.
    Short,
    /// A varint has more than 64 bits.
    Varint,
    /// A field number is 0 or above the format's limit.
    Number,
    /// A wire type that does not exist, or a group.
    WireType,
    /// A field we know has the wire type of something else.
    Mismatch,
    /// A text is not UTF-8.
    Utf8,
    /// A number does not fit its field.
    Range,
    /// Messages are nested too deeply.
    Depth,
    /// A repeated field has too many elements.
    Count,
}

impl fmt::Display for PbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PbError::Short => "message ends inside a field",
            PbError::Varint => "number has more than 64 bits",
            PbError::Number => "field number is out of range",
            PbError::WireType => "unknown wire type",
            PbError::Mismatch => "field has another type than expected",
            PbError::Utf8 => "text is not UTF-8",
            PbError::Range => "number does not fit its field",
            PbError::Depth => "messages are nested too deeply",
            PbError::Count => "too many elements in a field",
        })
    }
}

impl std::error::Error for PbError {}

/// One field's value, still untyped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2: text, bytes or a message at this depth.
    Bytes(&'a [u8], u8),
    /// Wire type 5.
    Fixed32(u32),
}

impl<'a> Value<'a> {
    /// A varint's bits.
    pub fn varint(self) -> Result<u64, PbError> {
        match self {
            Value::Varint(bits) => Ok(bits),
            _ => Err(PbError::Mismatch),
        }
    }

    /// The bytes of a length-delimited field.
    pub fn bytes(self) -> Result<&'a [u8], PbError> {
        match self {
            Value::Bytes(bytes, _) => Ok(bytes),
            _ => Err(PbError::Mismatch),
        }
    }

    /// The text of a length-delimited field.
    pub fn text(self) -> Result<&'a str, PbError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| PbError::Utf8)
    }

    /// Merges the embedded message into `into`, as the format asks for when a field comes twice.
    pub fn merge(self, into: &mut dyn Decode) -> Result<(), PbError> {
        match self {
            Value::Bytes(bytes, depth) => merge(bytes, depth, into),
            _ => Err(PbError::Mismatch),
        }
    }
}

/// Decodes a whole message.
pub fn decode<M: Decode + Default>(bytes: &[u8]) -> Result<M, PbError> {
    let mut message = M::default();
    decode_into(bytes, &mut message)?;
    Ok(message)
}

/// Decodes a whole message into one that has its defaults.
pub fn decode_into(bytes: &[u8], into: &mut dyn Decode) -> Result<(), PbError> {
    merge(bytes, 0, into)
}

/// Not generic: there are many messages, and one loop does for all of them.
fn merge(mut bytes: &[u8], depth: u8, into: &mut dyn Decode) -> Result<(), PbError> {
    if depth > MAX_DEPTH {
        return Err(PbError::Depth);
    }
    while !bytes.is_empty() {
        let tag = take_varint(&mut bytes)?;
        let number = tag >> 3;
        if number == 0 || number > MAX_NUMBER {
            return Err(PbError::Number);
        }
        let value = match tag & 7 {
            0 => Value::Varint(take_varint(&mut bytes)?),
            1 => Value::Fixed64(u64::from_le_bytes(take_array(&mut bytes)?)),
            2 => Value::Bytes(take_delimited(&mut bytes)?, depth + 1),
            5 => Value::Fixed32(u32::from_le_bytes(take_array(&mut bytes)?)),
            _ => return Err(PbError::WireType),
        };
        into.field(u32::try_from(number).map_err(|_| PbError::Number)?, value)?;
    }
    Ok(())
}

fn take_varint(bytes: &mut &[u8]) -> Result<u64, PbError> {
    let mut bits = 0u64;
    for at in 0..MAX_VARINT {
        let (byte, rest) = bytes.split_first().ok_or(PbError::Short)?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit only.
        if at == MAX_VARINT - 1 && part > 1 {
            return Err(PbError::Varint);
        }
        bits |= part << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(bits);
        }
    }
    Err(PbError::Varint)
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], PbError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(PbError::Short)?;
    *bytes = rest;
    Ok(*head)
}

fn take_delimited<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], PbError> {
    let length = usize::try_from(take_varint(bytes)?).map_err(|_| PbError::Short)?;
    let (head, rest) = bytes.split_at_checked(length).ok_or(PbError::Short)?;
    *bytes = rest;
    Ok(head)
}

/// Collects an encoded message.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// The encoding of one message.
    pub fn encode(message: &dyn Encode) -> Vec<u8> {
        let mut out = Writer::default();
        message.encode(&mut out);
        out.0
    }

    /// Adds the fields of a message at this level.
    pub fn merge(&mut self, message: &dyn Encode) {
        message.encode(self);
    }

    /// Writes a field by its type's rule: default values are left out, messages never are.
    pub fn put(&mut self, number: u32, field: &impl Put) {
        field.put(number, self);
    }

    /// A varint field, also if it is 0.
    pub fn varint(&mut self, number: u32, bits: u64) {
        self.tag(number, 0);
        self.bits(bits);
    }

    /// A length-delimited field, also if it is empty.
    pub fn delimited(&mut self, number: u32, bytes: &[u8]) {
        self.announce(number, bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// An embedded message: present even if all its fields have their default.
    pub fn message(&mut self, number: u32, message: &dyn Encode) {
        self.delimited(number, &Writer::encode(message));
    }

    /// Tag and length of a field whose `length` bytes the caller sends itself, right after this message's bytes.
    pub fn announce(&mut self, number: u32, length: usize) {
        self.tag(number, 2);
        self.bits(length as u64);
    }

    /// Everything written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, number: u32, wire_type: u8) {
        self.bits(u64::from(number) << 3 | u64::from(wire_type));
    }

    fn bits(&mut self, mut bits: u64) {
        while bits > 0x7f {
            self.0.push((bits & 0x7f) as u8 | 0x80);
            bits >>= 7;
        }
        self.0.push((bits & 0x7f) as u8);
    }
}

#[cfg(test)]
#[allow(unreachable_pub, reason = "messages are declared for use by others")]
mod tests;
