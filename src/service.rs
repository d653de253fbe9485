//! Long-running programs of ours and who keeps them running: a service as data, and the managers that take it.
//!
//! [`Service`] renders to a systemd unit; where nothing manages services ([`Manager::Direct`]) the program is started
//! by us and known by its process number.

mod direct;
mod systemd;
mod unit;

pub use unit::Service;

use crate::error::Result;
use crate::exec::Exec;
use crate::ids::RelPath;
use crate::root::Root;

/// Who starts and watches services on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd is PID 1.
    Systemd,
    /// Nobody: we start the program ourselves, detached; nothing restarts it.
    Direct,
}

/// How a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Running.
    Active,
    /// Not running.
    Inactive,
}

/// A manager with what it needs to act on the live host.
#[derive(Debug)]
pub struct Services<'a> {
    manager: Manager,
    root: &'a Root,
    exec: &'a mut dyn Exec,
}

impl<'a> Services<'a> {
    /// Acts on the live `root` through `exec`.
    pub fn new(manager: Manager, root: &'a Root, exec: &'a mut dyn Exec) -> Self {
        Services { manager, root, exec }
    }

    /// Whether `service` runs.
    pub fn state(&mut self, service: &Service) -> Result<State> {
        match self.manager {
            Manager::Systemd => systemd::state(self.exec, service.name),
            Manager::Direct => direct::state(self.root, service),
        }
    }

    /// Makes the manager see changed definitions.
    pub fn reload(&mut self) -> Result<()> {
        match self.manager {
            Manager::Systemd => systemd::reload(self.exec),
            Manager::Direct => Ok(()),
        }
    }

    /// Starts `service`, or starts it again if it runs.
    pub fn restart(&mut self, service: &Service) -> Result<()> {
        match self.manager {
            Manager::Systemd => systemd::restart(self.exec, service.name),
            Manager::Direct => {
                direct::stop(self.root, service)?;
                direct::start(self.root, self.exec, service)
            }
        }
    }

    /// Stops `service`; one that is not there or not running is fine.
    pub fn stop(&mut self, service: &Service) -> Result<()> {
        match self.manager {
            Manager::Systemd => systemd::stop(self.exec, service.name),
            Manager::Direct => direct::stop(self.root, service),
        }
    }

    /// Removes what a service that is stopped for good leaves besides its definition.
    pub fn forget(&mut self, service: &Service) -> Result<()> {
        match self.manager {
            Manager::Systemd => Ok(()),
            Manager::Direct => direct::forget(self.root, service),
        }
    }

    /// The last lines of what `service` said, for an error; empty if nobody knows.
    pub fn last_words(&mut self, service: &Service) -> String {
        match self.manager {
            Manager::Systemd => systemd::last_words(self.exec, service.name),
            Manager::Direct => direct::last_words(self.root, service),
        }
    }
}

/// Definition of `service` for `manager`: path, permission bits, text. `None` where there is nothing to write.
pub fn definition(manager: Manager, service: &Service) -> Option<(String, u32, String)> {
    match manager {
        Manager::Systemd => Some((format!("etc/systemd/system/{}.service", service.name), 0o644, service.systemd())),
        Manager::Direct => None,
    }
}

/// The link that makes `manager` start `service` at boot: path and target. `None` where there is none.
pub fn boot_link(manager: Manager, service: &Service) -> Option<(String, String)> {
    match manager {
        Manager::Systemd => Some((
            format!("etc/systemd/system/multi-user.target.wants/{}.service", service.name),
            format!("/etc/systemd/system/{}.service", service.name),
        )),
        Manager::Direct => None,
    }
}

/// Manager of the live `root`: systemd if it is PID 1 (sd_booted(3): the directory exists).
pub fn manager_of(root: &Root) -> Result<Manager> {
    const BOOTED: RelPath<'static> = RelPath::literal("run/systemd/system");
    Ok(if root.stat(BOOTED)?.is_some() { Manager::Systemd } else { Manager::Direct })
}
