//! A jail: a throw-away Debian without a service manager, in namespaces and on a disk of its own. It goes on drop, and
//! with the process that made it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use edgelay::containerd::Client;
use tempfile::TempDir;

use super::bed::{Ended, run, script};
use super::peers::peers_as_root;

/// Where containerd listens in it.
pub(crate) const SOCKET: &str = "run/containerd/containerd.sock";

/// One jail.
#[derive(Debug)]
pub(crate) struct Jail {
    dir: TempDir,
    keeper: Child,
    words: BufReader<ChildStdout>,
    root: PathBuf,
}

fn place() -> TempDir {
    tempfile::Builder::new().prefix("edgelay-jail-").tempdir().unwrap()
}

impl Jail {
    /// A jail with edgelay in its `/usr/local/bin`; `None` after a SKIP line.
    pub(crate) fn start(test: &str) -> Option<Jail> {
        peers_as_root(test)?;
        Some(Jail::boot(place(), None))
    }

    /// The same with OpenRC, which has booted it.
    pub(crate) fn with_openrc(test: &str) -> Option<Jail> {
        peers_as_root(test)?;
        Some(Jail::boot(place(), Some("openrc")))
    }

    /// The same; before its first boot `prepare` works on its disk.
    pub(crate) fn with_openrc_on(test: &str, prepare: impl FnOnce(&Path)) -> Option<Jail> {
        Jail::prepared(test, Some("openrc"), prepare)
    }

    /// One without a service manager, likewise.
    pub(crate) fn start_on(test: &str, prepare: impl FnOnce(&Path)) -> Option<Jail> {
        Jail::prepared(test, None, prepare)
    }

    fn prepared(test: &str, kind: Option<&str>, prepare: impl FnOnce(&Path)) -> Option<Jail> {
        peers_as_root(test)?;
        let dir = place();
        run(Command::new(script("jail")).arg("disk").arg(dir.path()).args(kind)).good();
        prepare(&dir.path().join("disk.img"));
        Some(Jail::boot(dir, kind))
    }

    fn boot(dir: TempDir, kind: Option<&str>) -> Jail {
        let mut keeper = Command::new(script("jail"))
            .arg("keep")
            .arg(dir.path())
            .args(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let words = BufReader::new(keeper.stdout.take().unwrap());
        let mut jail = Jail { dir, keeper, words, root: PathBuf::new() };
        jail.is_ready();
        // an image that was staged brings its own, which may be running
        if !jail.root.join("usr/local/bin/edgelay").exists() {
            jail.put(Path::new(env!("CARGO_BIN_EXE_edgelay")), "usr/local/bin/edgelay");
        }
        jail
    }

    fn is_ready(&mut self) {
        let mut word = String::new();
        self.words.read_line(&mut word).unwrap();
        assert_eq!(word, "ready\n", "see the keeper's words above");
        let root = run(Command::new(script("jail")).arg("root").arg(self.dir.path())).good();
        self.root = PathBuf::from(root.trim());
    }

    /// Boots it again, once it has ended by what was done in it.
    pub(crate) fn boot_again(&mut self) {
        self.keeper.stdin.as_mut().unwrap().write_all(b"reboot\n").unwrap();
        self.is_ready();
    }

    /// Runs a program in it.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        run(Command::new(script("jail")).arg("run").arg(self.dir.path()).args(args))
    }

    /// Runs a line of bash in it.
    pub(crate) fn sh(&self, line: &str) -> Ended {
        self.run(&["bash", "-c", line])
    }

    /// Its files, seen from here.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Copies a file into it.
    pub(crate) fn put(&self, from: &Path, to: &str) {
        std::fs::copy(from, self.root.join(to)).unwrap();
    }

    /// Our own client of the containerd in it.
    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.root.join(SOCKET)).unwrap()
    }

    /// Ends it and asserts that nothing of it is left on this machine.
    pub(crate) fn close(mut self) {
        self.end();
        let dir = self.dir.path().display().to_string();
        let named = |file: &str| std::fs::read_to_string(file).unwrap().contains(&dir);
        assert!(!named("/proc/self/mountinfo"), "a mount is left");
        assert_eq!(run(Command::new("losetup").args(["-n", "-O", "BACK-FILE"])).good().matches(&dir).count(), 0);
        let group = format!("el-jail-{}", self.keeper.id());
        let cgroups = run(Command::new("find").args(["/sys/fs/cgroup", "-maxdepth", "2", "-name", &group]));
        assert_eq!(cgroups.good(), "", "a cgroup is left");
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(|p| {
            let cgroup = std::fs::read_to_string(p.ok()?.path().join("cgroup")).ok()?;
            cgroup.contains(&group).then_some(cgroup)
        });
        assert_eq!(processes.count(), 0, "a process is left");
        let null = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata("/dev/null").unwrap());
        assert_eq!(null, 0o20666, "/dev/null");
    }

    fn end(&mut self) {
        drop(self.keeper.stdin.take());
        // ignoring: it has ended already
        let _ = self.keeper.wait();
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        self.end();
    }
}
