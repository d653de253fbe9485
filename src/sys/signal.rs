//! SIGINT, SIGTERM and, where it is not ignored, SIGHUP set a flag; long operations look at it between two steps.
#![allow(unsafe_code)]

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::error::{Error, Kind, Lift, Result};

static PENDING: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    PENDING.store(true, Ordering::SeqCst);
}

/// From now on the signals only set the flag. Called once, by `main`'s way in.
pub fn install() -> Result<()> {
    handle(&[Signal::SIGINT, Signal::SIGTERM])?;
    // Below nohup(1) the end of the terminal is no reason to stop, neither for us nor for what we start.
    let hangup = replace(Signal::SIGHUP, SigHandler::Handler(note))?;
    if matches!(hangup.handler(), SigHandler::SigIgn) {
        replace(Signal::SIGHUP, SigHandler::SigIgn)?;
    }
    Ok(())
}

/// Gives `signals` a handler, whatever was inherited: one that is ignored (as SIGHUP is below `nohup`, and SIGINT in
/// the background of a script) would reach nobody, not even who blocks it to read it. Programs that we start get the
/// default again, as execve(2) has it.
pub fn handle(signals: &[Signal]) -> Result<()> {
    signals.iter().try_for_each(|signal| replace(*signal, SigHandler::Handler(note)).map(|_| ()))
}

/// Returns what was in its place.
fn replace(signal: Signal, handler: SigHandler) -> Result<SigAction> {
    // No SA_RESTART: a blocking read or poll returns with EINTR, and its caller asks `check`.
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // WHY: installing a handler is unsafe in nix, as a handler may do things that are not allowed in one.
    // SAFETY: `note` only stores to an atomic, which is async-signal-safe (signal-safety(7)), and is never removed.
    let old = unsafe { sigaction(signal, &action) };
    old.lift(Kind::Host, || format!("install the handler of {signal}"))
}

/// Whether a signal has come.
pub fn pending() -> bool {
    PENDING.load(Ordering::SeqCst)
}

/// The error to stop with once a signal has come.
pub fn check() -> Result<()> {
    if pending() {
        return Err(Error::new(Kind::Interrupted, "stopped by a signal")
            .hint("run the same command again: finished steps are skipped"));
    }
    Ok(())
}

/// A reader or writer that ends with [`check`]'s error once a signal has come: for streams that may keep us waiting,
/// or that are long.
#[derive(Debug)]
pub struct Stoppable<T>(pub T);

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            check()?;
            match self.0.read(buffer) {
                // Callers such as `read_exact` would only try again.
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

impl<W: Write> Write for Stoppable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        check()?;
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
