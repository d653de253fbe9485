//! standin-keadm: behaves like keadm v1.22.0 as an edge node's installer sees it. Not keadm: a stand-in for tests.
//!
//! `join` with the real flags, steps, texts, refusals and leftovers; `version`; `reset edge`, which crashes as that
//! release does; and on the cloud side `init`, `upgrade cloud`, `gettoken` and `reset cloud`. What it must not do is be kinder than the real one.

mod cloud;
mod config_update;
mod copy;
mod flags;
mod join;
mod reset;

use std::process::ExitCode;

/// The whole program.
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["join", ..] => join::run(&args[1..]),
        ["config-update", ..] => config_update::run(&args[1..]),
        ["version", ..] => version(&args[1..]),
        ["reset", "edge", ..] => reset::edge(&args[2..]),
        ["init", ..] => cloud::init(&args[1..]),
        ["upgrade", "cloud", ..] => cloud::upgrade(&args[2..]),
        ["gettoken", ..] => cloud::gettoken(&args[1..]),
        ["reset", "cloud", ..] => cloud::reset(&args[2..]),
        [] => Ok(()),
        [other, ..] => Err(format!("unknown command {other:?} for \"keadm\"\nRun 'keadm --help' for usage.").into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(End::Error(why)) => {
            eprintln!("Error: {why}");
            ExitCode::from(1)
        }
        Err(End::Panic(why)) => {
            eprintln!("panic: {why}\n\ngoroutine 1 [running]:\nmain.main()");
            ExitCode::from(2)
        }
    }
}

/// How a command ends badly: with a line, or with a Go panic.
#[derive(Debug, PartialEq)]
pub(crate) enum End {
    Error(String),
    Panic(String),
}

impl From<String> for End {
    fn from(why: String) -> End {
        End::Error(why)
    }
}

fn version(args: &[String]) -> Result<(), End> {
    let version = crate::shared::VERSION;
    match args.join(" ").trim_start_matches("--output").trim_start_matches("-o").trim_start_matches(['=', ' ']) {
        "" => println!(
            "version: version.Info{{Major:\"1\", Minor:\"22\", GitVersion:\"{version}\", Compiler:\"standin\"}}"
        ),
        "short" => println!("{version}"),
        "json" => println!("{{\n  \"major\": \"1\",\n  \"minor\": \"22\",\n  \"gitVersion\": \"{version}\"\n}}"),
        other => return Err(format!("invalid output format: {other}").into()),
    }
    Ok(())
}
