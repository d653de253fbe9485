//! The one door to other programs.
//!
//! A [`Cmd`] is data: it can be printed in a plan and compared in a test. [`Host`] runs it with a clean environment,
//! standard input closed, a limit in time and a bound on what is kept of its words; [`Script`] plays a host in tests.

mod attended;
mod capture;
mod script;
mod tied;

pub use attended::attend;
pub use script::Script;
pub use tied::Tied;

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, pipe2};

use crate::clock::Clock;
use crate::error::{Error, Kind, Lift, Result};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::note;
use crate::root::{Root, Type};
use crate::sys::child::{self, Apart};

/// Where programs are looked for, and the `PATH` they get.
pub const PATH: [RelPath<'static>; 6] = [
    RelPath::literal("usr/local/sbin"),
    RelPath::literal("usr/local/bin"),
    RelPath::literal("usr/sbin"),
    RelPath::literal("usr/bin"),
    RelPath::literal("sbin"),
    RelPath::literal("bin"),
];

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmd {
    /// A name that is looked up in [`PATH`], or an absolute path.
    pub program: String,
    /// Arguments. Secrets among them are named in `secrets`.
    pub args: Vec<String>,
    /// Variables besides `PATH`, `HOME` and `LANG`.
    pub env: Vec<(String, String)>,
    /// Directories searched before [`PATH`], for this call only.
    pub path_first: Vec<PathBuf>,
    /// Killed with its children after this time.
    pub limit: Duration,
    /// Texts that are masked wherever this command or its words are shown.
    pub secrets: Vec<String>,
    /// Permission bits that files made by the program do not get.
    pub umask: u32,
    /// How long it may live.
    pub life: Life,
}

/// How long a program that was started may live.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Life {
    /// As long as it likes.
    #[default]
    Own,
    /// It dies with us, however we end; its mounts are its own and go with it.
    Ours,
}

impl Cmd {
    /// `program` with `args`, a limit of 60 s, nothing special.
    pub fn new(program: &str, args: &[&str]) -> Self {
        Cmd {
            program: program.to_owned(),
            args: args.iter().map(|a| (*a).to_owned()).gather(),
            env: Vec::new(),
            path_first: Vec::new(),
            limit: Duration::from_secs(60),
            secrets: Vec::new(),
            umask: 0o022,
            life: Life::Own,
        }
    }

    /// The same with another limit.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// `text` with every secret of this command masked.
    pub fn mask(&self, text: &str) -> String {
        mask(text, &self.secrets)
    }
}

/// `text` with each of `secrets` replaced.
pub fn mask(text: &str, secrets: &[String]) -> String {
    secrets.iter().filter(|s| !s.is_empty()).fold(text.to_owned(), |text, secret| text.replace(secret, "(hidden)"))
}

impl fmt::Display for Cmd {
    /// As one would type it, secrets masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.program)?;
        for arg in &self.args {
            let arg = self.mask(arg);
            if arg.is_empty() || arg.contains(|c: char| c.is_whitespace() || "'\"$;&|<>(){}*?!`\\".contains(c)) {
                write!(f, " '{}'", arg.replace('\'', "'\\''"))?;
            } else {
                write!(f, " {arg}")?;
            }
        }
        Ok(())
    }
}

/// What a program said and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + n if signal n ended it.
    pub code: i32,
    /// The end of standard output, secrets masked.
    pub stdout: String,
    /// The end of standard error, secrets masked.
    pub stderr: String,
    /// Standard output as it was, where it is short and no text.
    pub binary: Option<Vec<u8>>,
}

impl Output {
    /// The last non-empty lines of what it said, standard error first: for an error message.
    pub fn last_words(&self) -> String {
        let said = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let mut lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).gather();
        lines.dedup();
        let tail = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join(" | ");
        shorten(&tail, 400)
    }
}

/// The last `limit` bytes or less, cut between lines if there are any, else at a character: of a secret that was cut
/// through, the rest could not be masked any more.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let start = (text.len() - limit..text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len());
    let tail = text.get(start..).unwrap_or_default();
    let lines = tail.split_once('\n').map(|(_, rest)| rest).filter(|rest| !rest.trim().is_empty());
    format!("… {}", lines.unwrap_or(tail))
}

/// How often it is looked whether a program that runs is still worth waiting for.
pub const WATCH: Duration = Duration::from_secs(2);

/// Runs programs.
pub trait Exec {
    /// Runs `cmd` to its end. An error only if it could not be started or took too long; a bad exit status is no error.
    fn run(&mut self, cmd: &Cmd) -> Result<Output>;

    /// As [`Exec::run`]. Every [`WATCH`] `is_vain` may look whether waiting has become vain; the program is killed then.
    fn run_watched(&mut self, cmd: &Cmd, _is_vain: &mut dyn FnMut(&mut dyn Exec) -> bool) -> Result<Output> {
        self.run(cmd)
    }

    /// Starts `cmd` detached from us, its words appended to the file `log`; returns its process number.
    fn spawn(&mut self, cmd: &Cmd, log: RelPath<'_>) -> Result<u32>;

    /// Where `program` lies. `None`: not on the [`PATH`].
    fn find(&self, program: &str) -> Option<PathBuf>;

    /// Runs `cmd`; any exit status but 0 is an error with the program's last words.
    fn succeed(&mut self, cmd: &Cmd) -> Result<Output> {
        let output = self.run(cmd)?;
        if output.code == 0 {
            return Ok(output);
        }
        Err(Error::new(Kind::Host, format_args!("'{cmd}' ended with status {}: {}", output.code, output.last_words())))
    }
}

impl fmt::Debug for dyn Exec + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exec")
    }
}

/// The running system.
#[derive(Debug)]
pub struct Host<'a> {
    root: &'a Root,
    clock: &'a dyn Clock,
}

impl<'a> Host<'a> {
    /// Programs of `root`, which must be the live one.
    pub fn new(root: &'a Root, clock: &'a dyn Clock) -> Self {
        Host { root, clock }
    }

    /// Starts `cmd`, which writes to `out` and `err`.
    fn start(&self, cmd: &Cmd, out: OwnedFd, err: OwnedFd) -> Result<Pid> {
        let path =
            if cmd.program.starts_with('/') { Some(PathBuf::from(&cmd.program)) } else { self.find(&cmd.program) };
        let path = path.ok_or_else(|| {
            Error::new(Kind::Host, format_args!("program '{}' is not on this host", cmd.program))
                .hint("install it with the distribution's package manager")
        })?;
        let mut args = vec![path.as_os_str().as_bytes()];
        args.extend(cmd.args.iter().map(|arg| arg.as_bytes()));
        let mut env = vec![search_path(&cmd.path_first), "HOME=/root".into(), "LANG=C.UTF-8".into()];
        for (name, value) in &cmd.env {
            let variable = format!("{name}=");
            env.retain(|other: &String| !other.starts_with(&variable));
            env.push(variable + value);
        }
        note::debug(format_args!("run: {cmd}"));
        let null = File::open("/dev/null").lift(Kind::Host, || "open '/dev/null'".into())?;
        let apart = Apart {
            streams: [null.as_fd(), out.as_fd(), err.as_fd()],
            umask: Mode::from_bits_truncate(cmd.umask),
            is_tied: cmd.life == Life::Ours,
        };
        child::start(&args, &env, Some(apart)).lift(Kind::Host, || format!("start '{}'", cmd.program))
    }
}

/// The variable `PATH` that programs get: `first`, then [`PATH`].
fn search_path(first: &[PathBuf]) -> String {
    let first = first.iter().map(|dir| dir.display().to_string());
    let dirs: Vec<String> = first.chain(PATH.iter().map(ToString::to_string)).gather();
    format!("PATH={}", dirs.join(":"))
}

impl Exec for Host<'_> {
    fn run(&mut self, cmd: &Cmd) -> Result<Output> {
        self.run_watched(cmd, &mut |_| false)
    }

    fn run_watched(&mut self, cmd: &Cmd, is_vain: &mut dyn FnMut(&mut dyn Exec) -> bool) -> Result<Output> {
        let pipe = || pipe2(OFlag::O_CLOEXEC).lift(Kind::Host, || "make a pipe".into());
        let ((stdout, out), (stderr, err)) = (pipe()?, pipe()?);
        let pid = self.start(cmd, out, err)?;
        let mut next = self.clock.elapsed() + WATCH;
        let captured = capture::until_end(pid, [stdout.into(), stderr.into()], self.clock, cmd.limit, &mut || {
            if self.clock.elapsed() >= next {
                next = self.clock.elapsed() + WATCH;
                if is_vain(&mut Host::new(self.root, self.clock)) {
                    // It may have ended by itself meanwhile, ignoring: ESRCH.
                    let _ = killpg(pid, Signal::SIGKILL);
                }
            }
        });
        if captured.is_err() {
            // It may have ended by itself meanwhile, ignoring: ESRCH.
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = child::wait(pid);
        }
        let capture::Said { code, stdout, stderr, binary } = captured.map_err(|e| e.during(cmd))?;
        let output = Output { code, stdout: cmd.mask(&stdout), stderr: cmd.mask(&stderr), binary };
        note::debug(format_args!("ended with status {code}: {}", cmd.program));
        Ok(output)
    }

    fn spawn(&mut self, cmd: &Cmd, log: RelPath<'_>) -> Result<u32> {
        let out = self.root.open_append(log, 0o600)?;
        let err = out.try_clone().lift(Kind::Host, || format!("open '{log}' twice"))?;
        let pid = self.start(cmd, out.into(), err.into())?;
        Ok(pid.as_raw().unsigned_abs())
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        find(self.root, program)
    }
}

/// Where `program` lies below `root`, by [`PATH`]. `None`: nowhere, or not executable.
pub fn find(root: &Root, program: &str) -> Option<PathBuf> {
    PATH.iter().find_map(|dir| {
        let path = format!("{}/{program}", dir.as_str());
        let rel = RelPath::parse(&path).ok()?;
        let meta = root.stat(rel).ok()??;
        let runs = meta.kind == Type::File && meta.mode & 0o111 != 0;
        runs.then(|| Path::new("/").join(&path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn host<T>(test: impl FnOnce(&mut Host<'_>) -> T) -> T {
        let root = Root::open(Path::new("/")).unwrap();
        let clock = SystemClock::default();
        test(&mut Host::new(&root, &clock))
    }

    #[test]
    fn clean_environment_closed_input_and_both_outputs() {
        let mut cmd = Cmd::new("sh", &["-c", "env | sort; cat; echo err >&2; exit 3"]);
        cmd.env.push(("A".into(), "b".into()));
        let output = host(|h| h.run(&cmd)).unwrap();
        assert_eq!((output.code, output.stderr.as_str()), (3, "err\n"));
        let names: Vec<_> = output.stdout.lines().filter_map(|l| l.split('=').next()).collect();
        assert!(
            names.iter().all(|n| ["A", "HOME", "LANG", "PATH", "PWD", "SHLVL", "_", "OLDPWD"].contains(n)),
            "{names:?}"
        );
        let e = host(|h| h.succeed(&cmd)).unwrap_err();
        assert!(e.to_string().ends_with("ended with status 3: err"), "{e}");
    }

    #[test]
    fn variables_and_directories_of_a_command_come_before_ours() {
        let mut cmd = Cmd::new("env", &[]);
        cmd.env = [("HOME", "/h"), ("A", "1"), ("A", "2")].map(|(name, value)| (name.into(), value.into())).to_vec();
        cmd.path_first.push("/first".into());
        let output = host(|h| h.run(&cmd)).unwrap();
        let mut lines: Vec<_> = output.stdout.lines().collect();
        lines.sort_unstable();
        let path = "PATH=/first:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        assert_eq!(lines, ["A=2", "HOME=/h", "LANG=C.UTF-8", path]);
    }

    #[test]
    fn a_line_that_is_said_again_and_again_is_told_once() {
        let output = Output { stderr: "a\nb\nb\n\nb\n".into(), ..Output::default() };
        assert_eq!(output.last_words(), "a | b");
    }

    #[test]
    fn secrets_never_come_back() {
        let mut cmd = Cmd::new("sh", &["-c", "echo tok-1; echo tok-1 >&2; exit 1"]);
        cmd.secrets.push("tok-1".into());
        let e = host(|h| h.succeed(&cmd)).unwrap_err();
        assert!(!format!("{e:?} {cmd}").contains("tok-1"));
        assert!(e.to_string().contains("(hidden)"));
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let cmd = Cmd::new("sh", &["-c", "echo begun; sleep 60 & sleep 60"]).limit(Duration::from_millis(200));
        let e = host(|h| h.run(&cmd)).unwrap_err();
        assert!(e.to_string().contains("did not end within") && e.to_string().contains("begun"), "{e}");
    }

    #[test]
    fn a_program_that_runs_in_vain_is_killed_with_its_children() {
        let mut looks = 0;
        let output = host(|h| {
            h.run_watched(&Cmd::new("sh", &["-c", "echo begun; sleep 60 & sleep 60"]), &mut |exec| {
                looks += 1;
                exec.run(&Cmd::new("true", &[])).unwrap().code == 0
            })
        });
        let output = output.unwrap();
        assert_eq!((looks, output.code, output.stdout.as_str()), (1, 128 + 9, "begun\n"));
    }

    #[test]
    fn much_output_is_bounded_to_its_end() {
        let cmd = Cmd::new("sh", &["-c", "i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done"]);
        let output = host(|h| h.run(&cmd)).unwrap();
        assert!(output.stdout.len() <= capture::KEPT && output.stdout.ends_with("line 39999\n"));
        assert!(output.stdout.starts_with("line "), "begins with a whole line");
        for (text, kept) in [("abc", "abc"), ("abcdef", "… cdef"), ("ab\ncd\nef", "… ef"), ("abcde\n", "… cde\n")]
        {
            assert_eq!(shorten(text, 4), kept);
        }
    }

    #[test]
    fn missing_program_and_umask() {
        let e = host(|h| h.run(&Cmd::new("no-such-program", &[]))).unwrap_err();
        assert_eq!(e.to_string(), "program 'no-such-program' is not on this host");
        let mut cmd = Cmd::new("sh", &["-c", "umask"]);
        cmd.umask = 0o077;
        assert_eq!(host(|h| h.run(&cmd)).unwrap().stdout, "0077\n");
    }
}
