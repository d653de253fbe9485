//! What edgelay can be asked for: the steps, the bundle reader and the importer put together. No I/O of its own.

pub mod bundle;
pub mod edge;
