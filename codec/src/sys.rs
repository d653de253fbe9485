//! The processor's own instructions: the only module with unsafe code.

pub(crate) mod crc32;
