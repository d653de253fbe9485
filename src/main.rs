//! The `edgelay` program: arguments in, exit status out. All work is in the library.

fn main() {}
