//! A program that talks to the user itself: on our own input and outputs, for as long as it takes.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::search_path;
use crate::error::{Kind, Lift, Result};
use crate::sys::child;

/// Runs `program` and waits for its end; its exit status, 128 + n if signal n ended it.
pub fn attend(program: &Path, args: &[&str]) -> Result<i32> {
    let mut words = vec![program.as_os_str().as_bytes()];
    words.extend(args.iter().map(|arg| arg.as_bytes()));
    let env = [search_path(&[]), "HOME=/root".into(), "TERM=linux".into()];
    let status = child::start(&words, &env, None).and_then(|pid| child::wait(pid).map_err(io::Error::from));
    status.map(child::End::code).lift(Kind::Host, || format!("run '{}'", program.display()))
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
