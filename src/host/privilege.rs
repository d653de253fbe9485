//! What this process may do: its user and its capabilities.

use super::text;
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::root::Root;

/// Capabilities that the runtime cannot do without, with their bit numbers (capability.h).
const NEEDED: [(&str, u32); 6] = [
    ("CAP_CHOWN", 0),
    ("CAP_DAC_OVERRIDE", 1),
    ("CAP_SETUID", 7),
    ("CAP_NET_ADMIN", 12),
    ("CAP_SYS_CHROOT", 18),
    ("CAP_SYS_ADMIN", 21),
];
const SYS_RESOURCE: u32 = 24;

/// User and effective capabilities of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privilege {
    /// Effective user id.
    pub uid: u32,
    /// Effective capabilities, one bit each.
    capabilities: u64,
}

impl Privilege {
    /// Reads `/proc/self/status`.
    pub fn load(root: &Root) -> Result<Self> {
        let text = text(root, "proc/self/status")?;
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        // Uid: real, effective, saved, file system.
        let uid = field("Uid:").and_then(|ids| ids.split_whitespace().nth(1)?.parse().ok());
        let capabilities = field("CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        match (uid, capabilities) {
            (Some(uid), Some(capabilities)) => Ok(Privilege { uid, capabilities }),
            _ => Err(Error::new(Kind::Host, "'/proc/self/status' has no readable lines 'Uid:' and 'CapEff:'")),
        }
    }

    fn has(&self, bit: u32) -> bool {
        self.capabilities >> bit & 1 == 1
    }

    /// Capabilities that containers need and that are missing here.
    pub fn missing(&self) -> Vec<&'static str> {
        NEEDED.into_iter().filter(|(_, bit)| !self.has(*bit)).map(|(name, _)| name).gather()
    }

    /// Whether negative oom scores can be set.
    pub fn can_lower_oom_score(&self) -> bool {
        self.has(SYS_RESOURCE)
    }
}

/// Whether containerd needs `restrict_oom_score_adj = true` here: without CAP_SYS_RESOURCE the negative score that it
/// gives to sandboxes cannot be set, and runc dies with "can't get final child's PID from pipe: EOF".
pub fn oom_score_adj_restricted(root: &Root) -> Result<bool> {
    Ok(!Privilege::load(root)?.can_lower_oom_score())
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn status(uid: u32, caps: &str) -> Tree {
        Tree::new().file("proc/self/status", &format!("Name:\tx\nUid:\t1\t{uid}\t1\t1\nCapEff:\t{caps}\n"))
    }

    #[test]
    fn bits() {
        let load = |tree: Tree| Privilege::load(&tree.root());
        let full = load(status(0, "000001ffffffffff")).unwrap();
        assert_eq!((full.can_lower_oom_score(), full.missing().len()), (true, 0));
        let tree = status(0, "000001fffeffffff");
        assert!(oom_score_adj_restricted(&tree.root()).unwrap());
        let none = load(status(1000, "0000000000000000")).unwrap();
        assert_eq!((none.uid, none.missing().len()), (1000, NEEDED.len()));
        assert!(load(Tree::new().file("proc/self/status", "CapEff: x\n")).is_err());
    }
}
