//! Stand-ins: programs that behave like the real ones as far as an installer sees them. They are not the real ones.
//!
//! What one must not do is be kinder than the program it stands in for.

pub mod edgecore;
pub mod k3s;
pub mod keadm;
pub(crate) mod shared;
