//! Long-running programs of ours and who keeps them running: a service as data, and the managers that take it.
//!
//! [`Service`] renders to a systemd unit, an OpenRC script, or an entry of our own supervisor ([`supervise`]) for
//! machines where nothing manages services.

mod find;
mod openrc;
pub mod supervise;
mod supervised;
mod systemd;
mod unit;

pub use unit::Service;

use std::fs::File;
use std::io::{Seek, SeekFrom};

use crate::clock::Clock;
use crate::error::Result;
use crate::exec::{Exec, shorten};
use crate::feed;
use crate::host::{Init, init_installed, init_system};
use crate::ids::RelPath;
use crate::root::Root;

/// Who starts and watches services on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd is PID 1.
    Systemd,
    /// OpenRC, with its own supervise-daemon.
    OpenRc,
    /// Nobody but us: `edgelay supervise`.
    Supervise,
}

impl Manager {
    /// As it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Manager::Systemd => "systemd",
            Manager::OpenRc => "OpenRC",
            Manager::Supervise => "edgelay supervise",
        }
    }
}

/// How a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Running.
    Active,
    /// Not running.
    Inactive,
    /// Not running, after this many starts that did not last; it will be started again.
    Failing(u32),
}

/// A manager with what it needs to act on the live host.
pub struct Services<'a> {
    manager: Manager,
    root: &'a Root,
    exec: &'a mut dyn Exec,
    clock: &'a dyn Clock,
}

impl std::fmt::Debug for Services<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("manager", &self.manager).finish_non_exhaustive()
    }
}

impl<'a> Services<'a> {
    /// Acts on the live `root` through `exec`.
    pub fn new(manager: Manager, root: &'a Root, exec: &'a mut dyn Exec, clock: &'a dyn Clock) -> Self {
        Services { manager, root, exec, clock }
    }

    /// How `service` stands.
    pub fn state(&mut self, service: &Service) -> Result<State> {
        match self.manager {
            Manager::Systemd => systemd::state(self.exec, service.name),
            Manager::OpenRc => openrc::state(self.root, self.exec, service.name),
            Manager::Supervise => supervised::state(self.root, service),
        }
    }

    /// Whether one of the services `names` is about to serve, or will be told to; `at_once`: one that counts as running
    /// serves already.
    pub fn is_coming(&mut self, names: &[&str], at_once: bool) -> Result<bool> {
        match self.manager {
            Manager::Systemd => systemd::is_coming(self.exec, names, at_once),
            // Neither waits until a service serves.
            Manager::OpenRc => openrc::is_coming(self.root, self.exec, names),
            Manager::Supervise => supervised::is_coming(self.root, names),
        }
    }

    /// Makes the manager see changed definitions.
    pub fn reload(&mut self) -> Result<()> {
        match self.manager {
            Manager::Systemd => systemd::reload(self.exec),
            // Both look at their files when they are told to start something.
            Manager::OpenRc | Manager::Supervise => Ok(()),
        }
    }

    /// Starts `service`, or starts it again if it runs.
    pub fn restart(&mut self, service: &Service) -> Result<()> {
        match self.manager {
            Manager::Systemd => systemd::restart(self.exec, service.name),
            Manager::OpenRc => openrc::restart(self.root, self.exec, service.name),
            Manager::Supervise => supervised::restart(self.root, self.exec, self.clock, service),
        }
    }

    /// Stops `service`; one that is not there or not running is fine.
    pub fn stop(&mut self, service: &Service) -> Result<()> {
        match self.manager {
            Manager::Systemd => systemd::stop(self.exec, service.name),
            Manager::OpenRc => openrc::stop(self.root, self.exec, service.name),
            Manager::Supervise => supervised::stop(self.root, self.clock, service),
        }
    }

    /// Removes what a service that is stopped for good leaves besides its definition.
    pub fn forget(&mut self, service: &Service) -> Result<()> {
        match self.manager {
            Manager::Systemd => Ok(()),
            Manager::OpenRc => remove_logs(self.root, service.name),
            Manager::Supervise => supervised::forget(self.root, self.clock, service),
        }
    }

    /// Forgets what a stopped `service` has said, where that is a file of ours.
    pub fn forget_words(&mut self, service: &Service) -> Result<()> {
        match self.manager {
            Manager::Systemd => Ok(()),
            Manager::OpenRc | Manager::Supervise => remove_logs(self.root, service.name),
        }
    }

    /// What `service` said since `unix`; of a file of ours all of it.
    pub fn words_since(&mut self, service: &Service, unix: u64) -> String {
        match self.manager {
            Manager::Systemd => systemd::words_since(self.exec, service.name, unix),
            Manager::OpenRc | Manager::Supervise => log_tail(self.root, service.name),
        }
    }

    /// The last lines of what `service` said, for an error; empty if nobody knows.
    pub fn last_words(&mut self, service: &Service) -> String {
        match self.manager {
            Manager::Systemd => systemd::last_words(self.exec, service.name),
            Manager::OpenRc | Manager::Supervise => log_tail(self.root, service.name),
        }
    }
}

/// Definition of `service` for `manager`: path, permission bits, text.
pub fn definition(manager: Manager, service: &Service) -> (String, u32, String) {
    let name = service.name;
    match manager {
        Manager::Systemd => (format!("etc/systemd/system/{name}.service"), 0o644, service.systemd()),
        Manager::OpenRc => (format!("etc/init.d/{name}"), 0o755, openrc::render(service)),
        Manager::Supervise => (supervise::entry_path(name), 0o644, supervise::render(&service.command)),
    }
}

/// The link that makes `manager` start `service` at boot: path and target. `None` where there is none.
pub fn boot_link(manager: Manager, service: &Service) -> Option<(String, String)> {
    let name = service.name;
    match manager {
        Manager::Systemd => Some((
            format!("etc/systemd/system/multi-user.target.wants/{name}.service"),
            format!("/etc/systemd/system/{name}.service"),
        )),
        Manager::OpenRc => Some((format!("etc/runlevels/default/{name}"), format!("/etc/init.d/{name}"))),
        Manager::Supervise => None,
    }
}

/// Manager of `root`: of a live one the one that runs, of another the one that is installed.
pub fn manager_of(root: &Root) -> Result<Manager> {
    if root.is_live() {
        return Ok(match init_system(root)? {
            Init::Systemd => Manager::Systemd,
            Init::OpenRc => Manager::OpenRc,
            Init::Other(_) => Manager::Supervise,
        });
    }
    // A directory that is being filled, with no system in it yet, gets what nearly every system has.
    Ok(match init_installed(root)? {
        Some(Init::Systemd) => Manager::Systemd,
        Some(Init::OpenRc) => Manager::OpenRc,
        Some(Init::Other(_)) => Manager::Supervise,
        None if is_there(root, "sbin/init")? || is_there(root, "usr/sbin/init")? => Manager::Supervise,
        None => Manager::Systemd,
    })
}

fn is_there(root: &Root, path: &'static str) -> Result<bool> {
    root.lstat(RelPath::literal(path)).map(|meta| meta.is_some())
}

/// Of a log, for an error message: enough for what a daemon says in its last seconds.
const LOG_TAIL: usize = 4000;

/// Where a service's output goes where no journal takes it.
fn log_path(name: &str) -> String {
    format!("var/log/edgelay/{name}.log")
}

fn log_tail(root: &Root, name: &str) -> String {
    let file = log_path(name);
    let open = RelPath::parse(&file).ok().and_then(|path| root.open_file(path).ok().flatten());
    let end = open.and_then(|file| end_of(file).ok()).unwrap_or_default();
    shorten(String::from_utf8_lossy(&end).trim(), LOG_TAIL)
}

/// The last bytes of a log of any size, one more than is shown.
fn end_of(mut log: File) -> std::io::Result<Vec<u8>> {
    let start = log.metadata()?.len().saturating_sub(LOG_TAIL as u64 + 1);
    log.seek(SeekFrom::Start(start))?;
    feed::first(&mut log, LOG_TAIL + 1)
}

fn remove_logs(root: &Root, name: &str) -> Result<()> {
    let log = log_path(name);
    for file in [log.clone(), format!("{log}.old")] {
        if let Ok(path) = RelPath::parse(&file) {
            root.remove(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_does_not_run_has_the_manager_that_lies_in_it() {
        for (files, manager) in [
            (&[][..], Manager::Systemd),
            (&["usr/lib/systemd/systemd", "sbin/openrc-run"], Manager::Systemd),
            (&["lib/systemd/systemd"], Manager::Systemd),
            (&["sbin/openrc-run", "sbin/init"], Manager::OpenRc),
            (&["sbin/init"], Manager::Supervise),
        ] {
            let (_dir, root) = Root::scratch();
            for file in files {
                root.write(RelPath::parse(file).unwrap(), 0o755, b"x").unwrap();
            }
            assert_eq!(manager_of(&root).unwrap(), manager, "{files:?}");
        }
    }
}
