//! Data for stdout.

use std::io::{ErrorKind, Write};

use crate::error::{Kind, Lift, Result};

/// Writes `text` to stdout. A reader that has seen enough (`| head`) is no error.
pub fn write(text: &str) -> Result<()> {
    let written = Stdout.write_all(text.as_bytes()).and_then(|()| Stdout.flush());
    written.lift(Kind::Host, || "write to stdout".to_owned())
}

/// Stdout for what prints piece by piece, with the same forgiveness.
#[derive(Debug)]
pub struct Stdout;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match std::io::stdout().lock().write_all(bytes) {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e),
            _ => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match std::io::stdout().lock().flush() {
            Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e),
            _ => Ok(()),
        }
    }
}
