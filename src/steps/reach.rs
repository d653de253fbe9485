//! The way to a containerd that is being started anew at this moment, as by the upgrade of its package.
//!
//! One that is not about to come is told at once: nobody waits half a minute to hear that nothing is installed.

use std::path::Path;
use std::time::Duration;

use crate::clock::{Clock, Probe, wait_for};
use crate::containerd::{Client, SOCKET};
use crate::error::{Kind, Result};
use crate::exec::Exec;
use crate::k3s;
use crate::root::Root;
use crate::rpc::conn::HINT;
use crate::service::{Services, manager_of};

/// A service manager waits for some seconds before it starts what ended; opening a large database takes some, too.
const BACK: Duration = Duration::from_secs(30);

/// Who serves the socket at `address`, and whether it does so from the moment in which it counts as running.
fn served_by(address: &Path) -> Option<(&'static [&'static str], bool)> {
    // What /var/run leads to on every system of these days.
    let address = address.strip_prefix("/var").map_or_else(|_| address.to_owned(), |rest| Path::new("/").join(rest));
    match address.to_str()? {
        SOCKET => Some((&["containerd"], true)),
        k3s::SOCKET => Some((&["k3s", "k3s-agent"], false)),
        _ => None,
    }
}

/// As [`Client::connect`]; while the service that serves `address` is on its way, it is waited for, which `warn` is told.
pub fn reach(
    address: &Path,
    (root, exec): (&Root, &mut dyn Exec),
    clock: &dyn Clock,
    warn: &mut dyn FnMut(&str),
) -> Result<Client> {
    let first = match Client::connect(address) {
        Err(e) if e.kind() == Kind::Runtime => e,
        other => return other,
    };
    let Some((names, at_once)) = served_by(address) else { return Err(first) };
    let mut services = Services::new(manager_of(root)?, root, exec, clock);
    // A manager that does not tell knows of nothing that comes.
    let mut is_coming = || services.is_coming(names, at_once).unwrap_or(false);
    if is_coming() {
        warn(&format!("{first}; it is being started: waiting for it"));
        wait(address, clock, &mut is_coming)?;
    }
    // It may have come between the two looks.
    Client::connect(address)
}

/// Until it is there, or will not come any more.
fn wait(address: &Path, clock: &dyn Clock, is_coming: &mut dyn FnMut() -> bool) -> Result<()> {
    let waited = wait_for(clock, "containerd to be started", BACK, || {
        Ok(match Client::connect(address) {
            Err(e) if is_coming() => Probe::NotYet(e.to_string()),
            _ => Probe::Ready,
        })
    });
    waited.map_err(|e| if e.kind() == Kind::Interrupted { e } else { e.hint(HINT) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::CountingClock;

    #[test]
    fn who_serves() {
        assert_eq!(served_by(Path::new(SOCKET)), Some((&["containerd"][..], true)));
        let theirs = Path::new("/var/run/k3s/containerd/containerd.sock");
        assert_eq!(served_by(theirs), Some((&["k3s", "k3s-agent"][..], false)));
        assert_eq!(served_by(Path::new("/run/mine.sock")), None);
    }

    #[test]
    fn what_comes_is_waited_for_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let clock = CountingClock::default();
        let mut looks = 0;
        let mut fails_later = || {
            looks += 1;
            looks < 4
        };
        wait(&dir.path().join("s"), &clock, &mut fails_later).unwrap();
        assert!(clock.elapsed() < Duration::from_secs(1), "{:?}", clock.elapsed());
        let e = wait(&dir.path().join("s"), &CountingClock::default(), &mut || true).unwrap_err();
        let said = e.to_string();
        assert!(said.starts_with("waited 30 s for containerd to be started; last seen: use the socket"), "{said}");
        assert_eq!(e.hint_text(), Some(HINT));
    }
}
