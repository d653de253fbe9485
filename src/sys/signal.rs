//! SIGINT, SIGTERM and SIGHUP set a flag; long operations look at it between two steps.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::error::{Error, Kind, Lift, Result};

static PENDING: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_signal: libc::c_int) {
    PENDING.store(true, Ordering::SeqCst);
}

/// From now on the signals only set the flag. Called once, by `main`'s way in.
pub fn install() -> Result<()> {
    // No SA_RESTART: a blocking read or poll returns with EINTR, and its caller asks `check`.
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // WHY: installing a handler is unsafe in nix, as a handler may do things that are not allowed in one.
        // SAFETY: `note` only stores to an atomic, which is async-signal-safe (signal-safety(7)), and is never removed.
        let old = unsafe { sigaction(signal, &action) };
        old.lift(Kind::Host, || format!("install the handler of {signal}"))?;
    }
    Ok(())
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
