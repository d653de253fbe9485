//! The end of a machine's work.

use nix::sys::reboot::{RebootMode, reboot};

use crate::error::{Kind, Lift, Result};

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It starts again.
    Reboot,
    /// It is switched off.
    PowerOff,
}

/// Ends it at once; what is not on a disk is lost. Returns only if the kernel refuses.
pub fn end(how: End) -> Result<()> {
    let mode = match how {
        End::Reboot => RebootMode::RB_AUTOBOOT,
        End::PowerOff => RebootMode::RB_POWER_OFF,
    };
    let refused = reboot(mode).map(|_| ());
    refused.lift(Kind::Host, || "end the machine's work".into())
}
