//! Programs where services look for them.

use crate::error::Result;
use crate::ids::RelPath;
use crate::root::{Root, Type};

/// The search path of services under systemd (systemd.exec(5)), which containerd hands on to the CNI plugins. Also the
/// fixed path under which we run programs ourselves.
pub const DIRECTORIES: [&str; 6] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];

/// The first executable file `name` on the fixed path, as `/usr/sbin/iptables`.
pub fn find(root: &Root, name: &str) -> Result<Option<String>> {
    for dir in DIRECTORIES {
        let path = format!("{dir}/{name}");
        let Ok(path) = RelPath::parse(&path) else { continue };
        if root.stat(path)?.is_some_and(|meta| meta.kind == Type::File && meta.mode & 0o111 != 0) {
            return Ok(Some(path.to_string()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn executable_files_only_links_followed() {
        let tree = Tree::new()
            .file("usr/local/bin/iptables", "not executable")
            .dir("usr/local/sbin/bash")
            .program("usr/sbin/xtables-nft-multi")
            .link("etc/alternatives/iptables", "/usr/sbin/xtables-nft-multi")
            .link("usr/sbin/iptables", "/etc/alternatives/iptables")
            .link("usr/bin/pidof", "/nowhere");
        let find = |name| find(&tree.root(), name).unwrap();
        assert_eq!(find("iptables").as_deref(), Some("/usr/sbin/iptables"));
        assert_eq!(find("bash"), None);
        assert_eq!(find("pidof"), None);
        assert_eq!(find(""), None);
    }
}
