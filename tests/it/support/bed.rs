//! A bed: a closed network with a stand-in cloud, and throw-away machines on it. Everything goes on drop.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::peers::peers_as_root;

/// A closed network of its own; beds of several tests stand beside each other.
#[derive(Debug)]
pub(crate) struct Bed {
    name: String,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ended {
    /// Exit code.
    pub(crate) code: i32,
    /// stdout.
    pub(crate) out: String,
    /// stderr.
    pub(crate) err: String,
}

impl Ended {
    /// Both streams, as a person would have seen them.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// stdout of a command that must succeed.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, 0, "{}", self.said());
        self.out
    }

    /// Asserts the exit code and that the words were said.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{}", self.said());
        assert!(self.said().contains(words), "no '{words}' in: {}", self.said());
    }
}

pub(crate) fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/bed").join(name)
}

pub(crate) fn run(command: &mut Command) -> Ended {
    let done = command.stdin(Stdio::null()).output().unwrap();
    Ended {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&done.stdout).into_owned(),
        err: String::from_utf8_lossy(&done.stderr).into_owned(),
    }
}

/// A directory of this process below `target`, for what all its tests share, as nothing is dropped when it ends; those of
/// ended processes go.
pub(crate) fn scratch() -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for entry in std::fs::read_dir(all).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.strip_prefix("stage-").is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // ignoring: another process sweeps, too
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    let own = all.join(format!("stage-{}", std::process::id()));
    std::fs::create_dir_all(&own).unwrap();
    own
}

/// Components and images, made once per test run with the stand-ins that were built with it.
pub(crate) fn inputs() -> &'static PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| make_inputs(&scratch().join("inputs"), "1.6", "v1.22.0"))
}

/// The same with a containerd of another series; returns `path`.
pub(crate) fn make_inputs(path: &Path, series: &str, kubeedge: &str) -> PathBuf {
    let mut examples = std::env::current_exe().unwrap();
    examples.pop();
    examples.pop();
    examples.push("examples");
    run(Command::new(script("make-inputs")).arg(path).args([series, kubeedge]).env("EXAMPLES", examples)).good();
    path.to_owned()
}

impl Bed {
    /// A bed with its cloud running; `None` after a SKIP line.
    pub(crate) fn start(test: &str) -> Option<Bed> {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        peers_as_root(test)?;
        let bed = Bed { name: format!("t{}-{}", std::process::id(), STARTED.fetch_add(1, Ordering::Relaxed)) };
        bed.script("net", &["up"]).good();
        bed.script("cloud", &["up"]).good();
        Some(bed)
    }

    /// Runs a script of the bed.
    pub(crate) fn script(&self, name: &str, args: &[&str]) -> Ended {
        let owner = std::process::id().to_string();
        run(Command::new(script(name)).args(args).env("EDGELAY_BED", &self.name).env("EDGELAY_BED_OWNER", owner))
    }

    /// Boots a machine.
    pub(crate) fn machine(&self, name: &'static str) -> Machine<'_> {
        let machine = Machine { bed: self, name };
        machine.script("up", &[]).good();
        machine
    }

    /// The disk of a machine that is yet to boot.
    pub(crate) fn disk(&self, name: &str) -> PathBuf {
        PathBuf::from(self.script("box", &["disk", name]).good().trim())
    }

    /// A token of the bed's cloud.
    pub(crate) fn token(&self, kind: &str) -> String {
        self.script("cloud", &["token", kind]).good().trim().to_owned()
    }

    /// A file in the cloud's memory.
    pub(crate) fn cloud(&self, file: &str) -> PathBuf {
        PathBuf::from(self.script("cloud", &["dir"]).good().trim()).join(file)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // ignoring: a test that fails says why itself
        self.script("cloud", &["down"]);
        self.script("net", &["down", "--wipe"]);
    }
}

/// A throw-away Debian with systemd.
#[derive(Debug)]
pub(crate) struct Machine<'b> {
    bed: &'b Bed,
    name: &'static str,
}

impl Machine<'_> {
    fn script(&self, verb: &str, args: &[&str]) -> Ended {
        self.bed.script("box", &[&[verb, self.name], args].concat())
    }

    /// Runs a program in it.
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.script("run", args)
    }

    /// Runs a line of bash in it.
    pub(crate) fn sh(&self, line: &str) -> Ended {
        self.run(&["bash", "-c", line])
    }

    /// Its files, seen from here.
    pub(crate) fn root(&self) -> PathBuf {
        PathBuf::from(self.script("root", &[]).good().trim())
    }

    /// Copies a file into it.
    pub(crate) fn put(&self, from: &Path, to: &str) {
        self.script("put", &[from.to_str().unwrap(), to]).good();
    }

    /// Reboots it.
    pub(crate) fn reboot(&self) {
        self.script("reboot", &[]).good();
    }

    /// What a unit wrote.
    pub(crate) fn journal(&self, unit: &str) -> String {
        self.run(&["journalctl", "--no-pager", "-o", "cat", "-u", unit]).out
    }
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // ignoring: a test that fails says why itself
        self.script("down", &["--hard", "--wipe"]);
    }
}
