//! A program that talks to the user itself: on our own input and outputs, for as long as it takes.

use crate::gather::Gather;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;

use super::PATH;
use crate::error::{Kind, Lift, Result};

/// Runs `program` and waits for its end; its exit status, 128 + n if signal n ended it.
#[allow(clippy::disallowed_methods, reason = "this is a home of starting programs")]
pub fn attend(program: &Path, args: &[&str]) -> Result<i32> {
    let path = PATH.iter().map(ToString::to_string).gather::<Vec<_>>().join(":");
    let mut command = Command::new(program);
    command.args(args).env_clear().env("PATH", path).env("HOME", "/root").env("TERM", "linux").current_dir("/");
    let status = command.status().lift(Kind::Host, || format!("run '{}'", program.display()))?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_end_is_told() {
        for (line, status) in [("exit 3", 3), ("kill -9 $$", 137), ("test $HOME = /root", 0)] {
            assert_eq!(attend(Path::new("/bin/sh"), &["-c", line]).unwrap(), status, "{line}");
        }
        assert!(attend(Path::new("/no/such"), &[]).unwrap_err().to_string().starts_with("run '/no/such': "));
    }
}
