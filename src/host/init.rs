//! Which program is PID 1 and manages services.

use std::fmt;

use super::SMALL;
use crate::error::Result;
use crate::ids::RelPath;
use crate::root::{Root, Type};

/// The service manager of the running system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Init {
    /// systemd runs as PID 1.
    Systemd,
    /// OpenRC has brought the system up (PID 1 is sysvinit, busybox or openrc-init).
    OpenRc,
    /// None that we know; what PID 1 calls itself.
    Other(String),
}

impl fmt::Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::Systemd => f.write_str("systemd"),
            Init::OpenRc => f.write_str("OpenRC"),
            Init::Other(name) => write!(f, "'{name}'"),
        }
    }
}

/// systemd's own test (sd_booted(3)) is the directory `/run/systemd/system`; OpenRC keeps its state in `/run/openrc`.
/// That a program such as `systemctl` is installed says nothing.
pub fn init_system(root: &Root) -> Result<Init> {
    if is_dir(root, RelPath::literal("run/systemd/system"))? {
        return Ok(Init::Systemd);
    }
    if is_dir(root, RelPath::literal("run/openrc"))? {
        return Ok(Init::OpenRc);
    }
    let comm = root.read_text(RelPath::literal("proc/1/comm"), SMALL)?;
    Ok(Init::Other(comm.as_deref().map_or("unknown", str::trim).to_owned()))
}

/// The service manager that a system will have which does not run: by its files.
pub fn init_installed(root: &Root) -> Result<Option<Init>> {
    const FILES: [(RelPath<'static>, Init); 4] = [
        (RelPath::literal("lib/systemd/systemd"), Init::Systemd),
        (RelPath::literal("usr/lib/systemd/systemd"), Init::Systemd),
        (RelPath::literal("sbin/openrc-run"), Init::OpenRc),
        (RelPath::literal("usr/sbin/openrc-run"), Init::OpenRc),
    ];
    for (path, init) in &FILES {
        if root.stat(*path)?.is_some_and(|meta| meta.kind == Type::File) {
            return Ok(Some(init.clone()));
        }
    }
    Ok(None)
}

fn is_dir(root: &Root, path: RelPath<'_>) -> Result<bool> {
    Ok(root.stat(path)?.is_some_and(|meta| meta.kind == Type::Directory))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn the_manager_that_runs_counts_not_what_is_installed() {
        let found = |tree: Tree| init_system(&tree.root()).unwrap();
        assert_eq!(found(Tree::new().dir("run/systemd/system").file("proc/1/comm", "systemd\n")), Init::Systemd);
        assert_eq!(found(Tree::new().dir("run/openrc").file("proc/1/comm", "init\n")), Init::OpenRc);
        assert_eq!(
            found(Tree::new().program("usr/bin/systemctl").file("proc/1/comm", "busybox\n")),
            Init::Other("busybox".into())
        );
        assert_eq!(found(Tree::new()).to_string(), "'unknown'");
        let installed = |tree: Tree| init_installed(&tree.root()).unwrap();
        assert_eq!(installed(Tree::new().program("usr/lib/systemd/systemd")), Some(Init::Systemd));
        assert_eq!(installed(Tree::new().program("sbin/openrc-run").dir("run/systemd/system")), Some(Init::OpenRc));
        assert_eq!(installed(Tree::new()), None);
    }
}
