//! The `edgelay` program: arguments in, exit status out. All work is in the library.

use std::process::ExitCode;

use edgelay::cli::{Surroundings, run};

fn main() -> ExitCode {
    run(&Surroundings::of_this_process())
}
