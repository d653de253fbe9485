//! The `edgelay` program: arguments in, exit status out. All work is in the library.

use std::process::ExitCode;

use edgelay::cli::{Surroundings, run};
use edgelay::sys::fault;

fn main() -> ExitCode {
    fault::install();
    fault::covered(|| run(&Surroundings::of_this_process()))
}
