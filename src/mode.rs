//! What the commands do, as plain functions: nothing here reads the command line.

pub mod bundle;
pub mod edge;
pub mod image;
