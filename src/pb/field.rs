//! How each Rust type behaves as a field: what is written, what is left out, what is accepted.

use crate::sorted::Map;

use super::wire::{PbError, Value, Writer};

/// Elements of one repeated field or map. An element takes at least 2 bytes on the wire but much more in memory,
/// so the message's size alone does not bound it. A node has some hundred images, not ten thousands.
const MAX_ELEMENTS: usize = 65_536;

/// A message that can be written.
pub trait Encode {
    /// Writes all fields.
    fn encode(&self, out: &mut Writer);
}

/// A message that can be read.
pub trait Decode {
    /// Takes in one field. Unknown numbers are ignored: newer daemons add fields.
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), PbError>;
}

/// A type that can be a field of a request.
///
/// Not for `Option` of a message: what a request embeds is always there.
/// ```compile_fail
/// fn is_put<T: edgelay::pb::Put>() {}
/// is_put::<Option<edgelay::containerd::api::Descriptor>>();
/// ```
pub trait Put {
    /// Writes the field, or nothing if the value is the default of a scalar, text or list.
    fn put(&self, number: u32, out: &mut Writer);
}

/// A type that can be a field of a response.
pub trait Take {
    /// Replaces, appends or merges, by the type's rule.
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError>;
}

impl Put for bool {
    fn put(&self, number: u32, out: &mut Writer) {
        if *self {
            out.varint(number, 1);
        }
    }
}

impl Take for bool {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        *self = value.varint()? != 0;
        Ok(())
    }
}

impl Put for u64 {
    fn put(&self, number: u32, out: &mut Writer) {
        if *self != 0 {
            out.varint(number, *self);
        }
    }
}

impl Take for u64 {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        *self = value.varint()?;
        Ok(())
    }
}

impl Put for i64 {
    /// Negative numbers are ten bytes, two's complement: int64, not sint64.
    fn put(&self, number: u32, out: &mut Writer) {
        self.cast_unsigned().put(number, out);
    }
}

impl Take for i64 {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        *self = value.varint()?.cast_signed();
        Ok(())
    }
}

impl Put for u32 {
    fn put(&self, number: u32, out: &mut Writer) {
        u64::from(*self).put(number, out);
    }
}

impl Take for u32 {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        *self = u32::try_from(value.varint()?).map_err(|_| PbError::Range)?;
        Ok(())
    }
}

impl Put for i32 {
    fn put(&self, number: u32, out: &mut Writer) {
        i64::from(*self).put(number, out);
    }
}

impl Take for i32 {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        *self = i32::try_from(value.varint()?.cast_signed()).map_err(|_| PbError::Range)?;
        Ok(())
    }
}

impl Put for String {
    fn put(&self, number: u32, out: &mut Writer) {
        if !self.is_empty() {
            out.delimited(number, self.as_bytes());
        }
    }
}

impl Take for String {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        *self = value.text()?.to_owned();
        Ok(())
    }
}

impl Put for Vec<u8> {
    fn put(&self, number: u32, out: &mut Writer) {
        if !self.is_empty() {
            out.delimited(number, self);
        }
    }
}

impl Take for Vec<u8> {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        *self = value.bytes()?.to_owned();
        Ok(())
    }
}

impl Put for Vec<String> {
    fn put(&self, number: u32, out: &mut Writer) {
        for text in self {
            out.delimited(number, text.as_bytes());
        }
    }
}

impl Take for Vec<String> {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        push(self, value.text()?.to_owned())
    }
}

impl<M: Encode> Put for M {
    fn put(&self, number: u32, out: &mut Writer) {
        out.message(number, self);
    }
}

impl<M: Decode> Take for M {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        value.merge(self)
    }
}

impl<M: Decode + Default> Take for Option<M> {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        value.merge(self.get_or_insert_default())
    }
}

impl<M: Encode> Put for Vec<M> {
    fn put(&self, number: u32, out: &mut Writer) {
        for message in self {
            out.message(number, message);
        }
    }
}

impl<M: Decode + Default> Take for Vec<M> {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        let mut message = M::default();
        value.merge(&mut message)?;
        push(self, message)
    }
}

impl Put for Map<String, String> {
    fn put(&self, number: u32, out: &mut Writer) {
        for (key, value) in self {
            let mut entry = Writer::default();
            entry.put(1, key);
            entry.put(2, value);
            out.delimited(number, &entry.into_bytes());
        }
    }
}

impl Take for Map<String, String> {
    fn take(&mut self, value: Value<'_>) -> Result<(), PbError> {
        let mut entry = Entry::default();
        value.merge(&mut entry)?;
        if self.len() >= MAX_ELEMENTS {
            return Err(PbError::Count);
        }
        self.insert(entry.key, entry.value);
        Ok(())
    }
}

/// `map<string, string>` on the wire: repeated messages of key and value.
#[derive(Default)]
struct Entry {
    key: String,
    value: String,
}

impl Decode for Entry {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<(), PbError> {
        match number {
            1 => self.key.take(value),
            2 => self.value.take(value),
            _ => Ok(()),
        }
    }
}

fn push<T>(list: &mut Vec<T>, element: T) -> Result<(), PbError> {
    if list.len() >= MAX_ELEMENTS {
        return Err(PbError::Count);
    }
    list.push(element);
    Ok(())
}
