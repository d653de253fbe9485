//! The `edgelay` program: arguments in, exit status out. All work is in the library.
#![allow(missing_docs)]
fn main() {}
