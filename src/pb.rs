//! Protocol buffers, version 3, as far as containerd needs them: by hand, bounded, and without reflection.
//!
//! [`wire`] knows the encoding, `message` turns a list of numbered fields into a struct. A type can only be part of
//! a request if it is always written ([`Put`]); `Option` of a message is not, because a request whose embedded
//! message is missing kills containerd 1.7 and 2.x.

mod field;
pub(crate) mod message;
pub mod wire;

pub use field::{Decode, Encode, Put, Take};
pub(crate) use message::{message, open_enum, request, response};
pub use wire::{PbError, Value, Writer, decode, decode_into};
