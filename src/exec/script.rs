//! A host for tests: it knows which programs will be run and what they say; any other call fails.

use std::collections::VecDeque;
use std::path::PathBuf;

use super::{Cmd, Exec, Output};
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;

/// Expected calls in order, each as `Cmd` prints, with the answer.
#[derive(Debug, Default)]
pub struct Script {
    calls: VecDeque<(String, Output)>,
    /// Programs that [`Exec::find`] finds.
    pub programs: Vec<String>,
}

impl Script {
    /// Expects `cmd` next (its `Display` form) and answers with status and standard output.
    #[must_use]
    pub fn expect(mut self, cmd: &str, code: i32, stdout: &str) -> Self {
        self.calls.push_back((cmd.to_owned(), Output { code, stdout: stdout.to_owned(), ..Output::default() }));
        self
    }

    /// Whether every expected call was made.
    pub fn done(&self) -> bool {
        self.calls.is_empty()
    }

    fn next(&mut self, cmd: &Cmd) -> Result<Output> {
        match self.calls.pop_front() {
            Some((expected, output)) if expected == cmd.to_string() => Ok(output),
            Some((expected, _)) => {
                Err(Error::new(Kind::Bug, format_args!("ran '{cmd}', the script expects '{expected}'")))
            }
            None => Err(Error::new(Kind::Bug, format_args!("ran '{cmd}', the script expects nothing more"))),
        }
    }
}

impl Exec for Script {
    fn run(&mut self, cmd: &Cmd) -> Result<Output> {
        self.next(cmd)
    }

    fn spawn(&mut self, cmd: &Cmd, _log: RelPath<'_>) -> Result<u32> {
        self.next(cmd).map(|_| 1)
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        self.programs.iter().any(|p| p == program).then(|| PathBuf::from("/usr/bin").join(program))
    }
}
