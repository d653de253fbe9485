//! Data for stdout.

use std::io::{ErrorKind, Write};

use crate::error::{Kind, Lift, Result};

/// Writes `text` to stdout. A reader that has seen enough (`| head`) is no error.
pub fn write(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.lift(Kind::Host, || "write to stdout".to_owned()),
    }
}
