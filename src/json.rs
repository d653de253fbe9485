//! JSON from outside and JSON of our own (RFC 8259): bounded, strict, and with the place of every fault.
//!
//! Reading goes text → [`Value`] (a tree that knows the line and column of each value) → a type of ours
//! ([`Take`]), or accessors, or a [`Shape`] check. Writing goes through `serde-json-core`, see [`to_vec`].
//!
//! Why a reader of our own: `serde-json-core` leaves escapes undecoded in `&str` fields and reports neither the place
//! nor the name of a fault. Users write the configuration by hand, and image files come from anywhere.

mod error;
mod packed;
mod read;
mod shape;
mod take;
mod value;
mod write;

pub use error::{JsonError, Place, Reason};
pub(crate) use packed::include_json;
pub use packed::{packed, packed_length};
pub use read::{MAX_DEPTH, MAX_VALUES, read};
pub use shape::{Key, Shape};
pub use take::{Take, parse};
pub use value::{Data, Member, Number, Value};
pub use write::{MAX_OUTPUT, Text, to_line, to_string, to_vec};
