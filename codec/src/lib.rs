//! Decoders of what layers and release archives are compressed with: [`Zstd`] (RFC 8878) and [`Gzip`] (RFC 1952).
//!
//! Both are readers over a reader. They hold one window and one piece of input, whatever the stream says, and hand out
//! what they made without copying it ([`std::io::BufRead`]). The input is hostile: each way in which it can be wrong
//! is a [`Fault`], and an index that is not proven is looked up with `get`. Unsafe code is only in `sys`: it asks the
//! processor for an instruction before it is used.

mod bits;
mod fault;
mod gzip;
mod input;
mod sys;
mod zstd;

pub use fault::Fault;
pub use gzip::Gzip;
pub use zstd::{MAX_WINDOW, Zstd};
