//! The kernel, where no safe wrapper exists: the only module with unsafe code. No policy, no paths of our own.

pub mod ahead;
pub mod apart;
pub mod at;
pub mod child;
pub mod cores;
pub mod fault;
mod heap;
pub mod limit;
pub mod signal;
pub mod thread;
pub mod timex;
pub mod writeback;
pub mod xattr;
pub mod xfs;
