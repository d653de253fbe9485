//! gRPC over HTTP/2 to a daemon on this machine: blocking, one call at a time on a connection, bounded in everything.
//!
//! The peer is always grpc-go on a unix socket, which makes the subset small (no push, no padding, no dynamic header
//! table once we ask for none), but every rule of RFC 9113 and RFC 7541 that concerns what we receive is kept.
//!
//! bytes → [`frame`] → [`session`] (the state machine, no I/O) → [`conn`] (reads and writes) → [`grpc`] (calls)

pub mod conn;
pub mod flow;
pub mod frame;
pub mod grpc;
pub mod hpack;
pub mod inbox;
#[cfg(test)]
pub(crate) mod scripted;
pub mod session;
pub mod status;
pub mod transport;
