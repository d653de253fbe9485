//! Facts about the machine we run on, and named checks whether it is fit ([`preflight`]).
//!
//! Everything is read through a [`Root`], so that tests hand in fake `/proc`, `/sys` and `/etc` trees. Nothing here
//! decides what to install, or changes anything: what is tried on the running system is tried in namespaces that end
//! with the attempt ([`trial`]), and programs are only asked for their version.

mod aside;
pub mod block;
pub mod cgroup;
pub mod init;
pub mod kernel;
pub mod label;
pub mod net;
pub mod partition;
pub mod preflight;
pub mod privilege;
pub mod process;
pub(crate) mod reach;
pub(crate) mod served;
pub mod time;
mod token;
#[cfg(test)]
pub(crate) mod tree;
pub mod trial;
pub mod x509;

pub use init::{Init, init_installed, init_system};
pub use privilege::oom_score_adj_restricted;
pub use token::expiry as token_expiry;

use crate::error::{Error, Kind, Lift, Result};
use crate::ids::RelPath;
use crate::root::Root;

/// Small files of `/proc` and `/sys`; the kernel gives at most a page for most of them.
pub(crate) const SMALL: usize = 64 * 1024;

/// Tables of `/proc` that grow with the machine: mounts, sockets, routes.
pub(crate) const TABLE: usize = 16 << 20;

/// The machine's processor by the name that the container world gives it: `amd64`, `arm64`; the kernel's own word for
/// any other.
pub fn architecture() -> Result<String> {
    let uname = nix::sys::utsname::uname().lift(Kind::Host, || "ask the kernel for its architecture".to_owned())?;
    let machine = uname.machine().to_string_lossy();
    Ok(match machine.as_ref() {
        "x86_64" => "amd64".to_owned(),
        // A 32-bit user space on a 64-bit kernel (`linux32`) says armv8l.
        "aarch64" | "armv8l" => "arm64".to_owned(),
        other => other.to_owned(),
    })
}

/// The kernel's release: `6.1.0-18-amd64`.
pub fn kernel_release(root: &Root) -> Result<String> {
    Ok(text(root, "proc/sys/kernel/osrelease")?.trim().to_owned())
}

/// Memory that the kernel manages, in bytes (`MemTotal` of proc(5); some per cent less than what is built in).
pub fn memory(root: &Root) -> Result<u64> {
    let text = text(root, "proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")).and_then(|n| n.trim().parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(1024))
        .ok_or_else(|| Error::new(Kind::Host, "'/proc/meminfo' has no line 'MemTotal: ... kB'"))
}

/// What the firmware calls this board: `Raspberry Pi 4 Model B Rev 1.4`. `None` where there is no device tree.
pub fn board(root: &Root) -> Result<Option<String>> {
    let model = root.read_text(RelPath::literal("proc/device-tree/model"), SMALL)?;
    Ok(model.map(|text| text.trim_end_matches('\0').trim().to_owned()).filter(|text| !text.is_empty()))
}

/// A small file that every Linux has.
fn text(root: &Root, path: &'static str) -> Result<String> {
    let path = RelPath::literal(path);
    let text = root.read_text(path, SMALL)?;
    text.ok_or_else(|| {
        Error::new(Kind::Host, format_args!("'{}' is not there", root.absolute(path).display()))
            .hint("mount proc on /proc and sysfs on /sys")
    })
}

#[cfg(test)]
mod tests {
    use super::tree::Tree;
    use super::*;

    #[test]
    fn small_facts() {
        let tree = Tree::new()
            .file("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
            .file("proc/meminfo", "MemTotal:         995824 kB\nMemFree: 1 kB\n")
            .file("proc/device-tree/model", "Raspberry Pi 4 Model B Rev 1.4\0");
        assert_eq!(kernel_release(&tree.root()).unwrap(), "6.1.0-18-amd64");
        assert_eq!(memory(&tree.root()).unwrap(), 995_824 * 1024);
        assert_eq!(board(&tree.root()).unwrap().as_deref(), Some("Raspberry Pi 4 Model B Rev 1.4"));
        let empty = Tree::new();
        assert!(memory(&empty.root()).unwrap_err().to_string().ends_with("/proc/meminfo' is not there"));
        assert_eq!(board(&empty.root()).unwrap(), None);
    }
}
