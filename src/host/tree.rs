//! For tests: a fake machine in a scratch directory.

use std::path::PathBuf;

use crate::root::Root;

pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    pub(crate) fn new() -> Self {
        Tree(tempfile::tempdir().unwrap())
    }

    fn place(&self, path: &str) -> PathBuf {
        let place = self.0.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        place
    }

    pub(crate) fn file(self, path: &str, text: &str) -> Self {
        std::fs::write(self.place(path), text).unwrap();
        self
    }

    pub(crate) fn bytes(self, path: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.place(path), bytes).unwrap();
        self
    }

    pub(crate) fn program(self, path: &str) -> Self {
        let tree = self.file(path, "#!");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(tree.0.path().join(path), mode).unwrap();
        tree
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        std::fs::create_dir_all(self.0.path().join(path)).unwrap();
        self
    }

    pub(crate) fn link(self, path: &str, to: &str) -> Self {
        let place = self.place(path);
        if place.symlink_metadata().is_ok() {
            std::fs::remove_file(&place).unwrap();
        }
        std::os::unix::fs::symlink(to, place).unwrap();
        self
    }

    pub(crate) fn socket(self, path: &str) -> Self {
        // The name stays when the listener is dropped.
        std::os::unix::net::UnixListener::bind(self.place(path)).unwrap();
        self
    }

    pub(crate) fn without(self, path: &str) -> Self {
        let place = self.0.path().join(path);
        if place.is_dir() && !place.is_symlink() {
            std::fs::remove_dir_all(place).unwrap();
        } else {
            std::fs::remove_file(place).unwrap();
        }
        self
    }

    /// A running process; `args` begins with the program's name.
    pub(crate) fn process(self, pid: u32, exe: &str, args: &[&str]) -> Self {
        let name = exe.rsplit('/').next().unwrap();
        self.file(&format!("proc/{pid}/comm"), &format!("{name}\n"))
            .file(&format!("proc/{pid}/cmdline"), &(args.join("\0") + "\0"))
            .file(&format!("proc/{pid}/cgroup"), "0::/system.slice\n")
            .link(&format!("proc/{pid}/exe"), exe)
            .link(&format!("proc/{pid}/ns/pid"), "pid:[4026531836]")
    }

    pub(crate) fn root(&self) -> Root {
        Root::open(self.0.path()).unwrap()
    }
}
