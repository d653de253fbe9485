//! Whether an import that failed is worth another go: the daemon was started anew in its middle, or somebody removed what
//! it was built on.
//!
//! A package upgrade restarts containerd whenever it likes. Its database keeps the lease and all that it holds, so a
//! next run would find and clear it; here that run comes at once.

use std::time::Duration;

use super::store::Store;
use super::{Client, Options, Progress};
use crate::clock::{Probe, wait_for};
use crate::containerd::Code;
use crate::error::{Error, Kind, Result};
use crate::note;
use crate::oci::Image;
use crate::rpc::status::Status;

/// Goes in all: an upgrade may restart the daemon twice.
pub(super) const GOES: usize = 3;

/// A service manager waits for some seconds before it starts what ended; opening a large database takes some, too.
const BACK: Duration = Duration::from_secs(30);

/// What CRI says in the first moments.
const STARTING: &str = "not initialized yet";

/// For whoever has to start it.
const START: &str = "start containerd (see: systemctl status containerd, in the cloud: systemctl status k3s), then run the \
                     same command again";

/// For whom something was removed again and again.
const KEEP: &str = "find out what removes images here, and stop it for the time of the import";

/// What is not there any more.
struct Gone(String);

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// `image` was imported, and then it lacked something.
pub(super) fn gone(image: &Image, why: String) -> Error {
    Error::new(Kind::Runtime, format_args!("image '{}' did not stay", image.label())).because(Gone(why)).hint(KEEP)
}

/// `e` came of it that our lease ended in the middle, and all that it held went: a clock was set, or somebody dropped it.
pub(super) fn lost(e: &Error) -> Error {
    Error::new(Kind::Runtime, e.to_string()).because(Gone("the lease of this import is gone".into())).hint(KEEP)
}

/// Gives `e` back if another go may end better, when the daemon is ready for it; `daemon` is the process that was there
/// at the start.
pub(super) fn worth_it(
    e: Error,
    daemon: Option<i32>,
    client: &mut Client,
    options: &Options<'_>,
    progress: &mut dyn Progress,
) -> Result<Error> {
    let not_found = |status: &Status| status.code == Code::NotFound;
    if e.cause().is_some_and(not_found) || e.cause::<Gone>().is_some() {
        note::debug(format_args!("{e}; once more"));
        return Ok(e);
    }
    let begun = e.cause().is_some_and(|status: &Status| status.message.contains(STARTING));
    if e.kind() != Kind::Runtime || (!begun && client.version().is_ok() && client.process() == daemon) {
        return Err(e);
    }
    progress.warn(&format!("{e}; waiting for containerd, then once more"));
    let back = wait_for(options.clock, "containerd to come back", BACK, || {
        Ok(match Store::open(client, options) {
            Ok(_) => Probe::Ready,
            Err(e) => Probe::NotYet(e.to_string()),
        })
    });
    match back {
        Ok(()) if begun || client.process() != daemon => Ok(e),
        Ok(()) => Err(e),
        Err(late) if late.kind() == Kind::Interrupted => Err(late),
        Err(_) => {
            let text = format!("{e}; it did not come back within {} s", BACK.as_secs());
            Err(Error::new(Kind::Runtime, text).hint(START))
        }
    }
}
