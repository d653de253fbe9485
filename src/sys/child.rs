//! A program is started: fork(2), what the child does to itself, execve(2); and its end is waited for.
//!
//! Rather than `std::process::Command`: that has maps for an environment that nobody inherits, and a second way by
//! posix_spawn(3); 22 KiB of them on amd64.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::ffi::{CString, c_char};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::null;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, Pid, chdir, fork, getpid, getppid, pipe2, read, setpgid, write};

use crate::gather::Gather;

/// What sets a program apart from us.
#[derive(Debug)]
pub struct Apart<'a> {
    /// Its standard input, output and error.
    pub streams: [BorrowedFd<'a>; 3],
    /// Permission bits that files made by it do not get.
    pub umask: Mode,
    /// Whether it dies with us, whatever ends us, and what it mounts goes with it.
    ///
    /// The kernel sends the signal when the thread ends that started it: our only one.
    pub is_tied: bool,
}

/// Starts the file that `args` begin with; the rest are its arguments, `env` is its whole environment (`NAME=value`), its
/// working directory is `/`. Signals that are blocked here reach it, and SIGPIPE ends it, as usual. Without `apart` it has
/// our streams, process group and umask.
///
/// What execve(2) says of it is our error; of a program that was not started nothing is left.
pub fn start(args: &[&[u8]], env: &[String], apart: Option<Apart<'_>>) -> io::Result<Pid> {
    let (mut args_kept, mut env_kept) = (Vec::new(), Vec::new());
    for arg in args {
        args_kept.push(CString::new(*arg)?);
    }
    for variable in env {
        env_kept.push(CString::new(variable.as_bytes())?);
    }
    let image = Image { args: pointers(&args_kept), env: pointers(&env_kept), apart, parent: getpid() };
    let (told, low) = pipe2(OFlag::O_CLOEXEC)?;
    // Above the places of the streams, even if ours are closed: `try_clone` never takes those.
    let tell = low.try_clone()?;
    drop(low);
    // WHY: the only way to a process whose program, streams and signals are not ours.
    // SAFETY: the child has this thread alone, and its memory as it was: a lock that another thread held, the allocator's
    // for one, is never freed there. So until it is another program it makes system calls only (async-signal-safe, see
    // `Image::enter`), allocates and frees nothing, and never returns from this arm.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let Err(why) = image.enter();
            // Shorter than what a pipe takes at once; where nobody reads any more, nobody asks, ignoring.
            let _ = write(&tell, &(why as i32).to_ne_bytes());
            // SAFETY: _exit(2) runs no destructors and no handlers, and does not return.
            unsafe { libc::_exit(127) }
        }
        ForkResult::Parent { child } => {
            drop(tell);
            match failure(&told)? {
                None => Ok(child),
                Some(why) => {
                    wait(child)?;
                    Err(why.into())
                }
            }
        }
    }
}

/// Why the child did not become the program. `None`: it did, which closed its end of the pipe.
fn failure(told: &OwnedFd) -> nix::Result<Option<Errno>> {
    let mut number = [0; 4];
    loop {
        match read(told, &mut number) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(Errno::from_raw(i32::from_ne_bytes(number)))),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// For execve(2): the texts' addresses, and a null behind them.
fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    texts.iter().map(|text| text.as_ptr()).chain([null()]).gather()
}

/// What the child becomes, made before there is one.
struct Image<'a> {
    args: Vec<*const c_char>,
    env: Vec<*const c_char>,
    apart: Option<Apart<'a>>,
    parent: Pid,
}

impl Image<'_> {
    /// In the child: becomes the program. All of it is system calls on memory that is there; `nix` copies short paths on
    /// the stack.
    fn enter(&self) -> nix::Result<Infallible> {
        if let Some(apart) = &self.apart {
            // First above their places: if ours were closed, one may stand where another one belongs.
            let [input, output, error] = apart.streams;
            let above = [above(input)?, above(output)?, above(error)?];
            for (place, stream) in (0..).zip(above) {
                // SAFETY: numbers only; of what stood at 0, 1 and 2 nothing is used any more.
                Errno::result(unsafe { libc::dup2(stream, place) })?;
            }
            setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
            umask(apart.umask);
            if apart.is_tied {
                self.tie()?;
            }
        }
        chdir(c"/")?;
        // WHY: installing a handler is unsafe in nix, as a handler may do things that are not allowed in one.
        // SAFETY: the default is no handler. Std ignores the signal in this process; others do not expect that.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
        // A daemon with SIGTERM blocked could only be killed.
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
        let file = self.args.first().copied().unwrap_or(null());
        // SAFETY: both lists end with a null, and what they point to are texts with a zero at their end, which `start`
        // holds. No file at all, a null, is an error to the kernel.
        unsafe { libc::execve(file, self.args.as_ptr(), self.env.as_ptr()) };
        Err(Errno::last())
    }

    fn tie(&self) -> nix::Result<()> {
        set_pdeathsig(Signal::SIGKILL)?;
        // We may have died before that.
        if getppid() != self.parent {
            return Err(Errno::ESRCH);
        }
        match unshare(CloneFlags::CLONE_NEWNS) {
            Ok(()) => mount(None::<&str>, c"/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SLAVE, None::<&str>),
            // In a container that may not: what it mounts, it must unmount itself.
            Err(Errno::EPERM) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

/// Another number of `stream`, above those of standard streams; exec closes it.
fn above(stream: BorrowedFd<'_>) -> nix::Result<i32> {
    fcntl(stream.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(3))
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit status.
    Status(i32),
    /// By the signal of this number; not all have a name.
    Signal(i32),
}

impl End {
    /// As a shell tells it: the exit status, 128 + n if signal n ended it.
    pub fn code(self) -> i32 {
        match self {
            End::Status(code) => code,
            End::Signal(number) => 128 + number,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Status(code) => write!(f, "ended with status {code}"),
            End::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "was ended by {signal}"),
                Err(_) => write!(f, "was ended by signal {number}"),
            },
        }
    }
}

/// Waits for the end of the child `pid`.
pub fn wait(pid: Pid) -> nix::Result<End> {
    collect(pid, 0).and_then(|ended| ended.map(|(_, end)| end).ok_or(Errno::ECHILD))
}

/// As [`wait`], without waiting. `None`: it has not ended.
pub fn ended(pid: Pid) -> nix::Result<Option<End>> {
    Ok(collect(pid, libc::WNOHANG)?.map(|(_, end)| end))
}

/// Any child that has ended, ours or somebody's orphan. `None`: there are some, and none has ended.
pub fn any_ended() -> nix::Result<Option<(Pid, End)>> {
    collect(Pid::from_raw(-1), libc::WNOHANG)
}

fn collect(pid: Pid, options: i32) -> nix::Result<Option<(Pid, End)>> {
    let mut status = 0;
    loop {
        // WHY: nix's refuses a status with a signal that it has no name for, when the child has been collected already.
        // SAFETY: the kernel writes to `status` alone.
        match Errno::result(unsafe { libc::waitpid(pid.as_raw(), &mut status, options) }) {
            Ok(0) => return Ok(None),
            Ok(pid) if libc::WIFEXITED(status) => {
                return Ok(Some((Pid::from_raw(pid), End::Status(libc::WEXITSTATUS(status)))));
            }
            Ok(pid) => return Ok(Some((Pid::from_raw(pid), End::Signal(libc::WTERMSIG(status))))),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{close, getpgrp};
    use std::fs::{File, read_to_string};
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::path::Path;

    fn apart<'a>(null: &'a File, out: &'a OwnedFd) -> Apart<'a> {
        Apart {
            streams: [null.as_fd(), out.as_fd(), out.as_fd()],
            umask: Mode::from_bits_truncate(0o027),
            is_tied: false,
        }
    }

    fn started(args: &[&str], env: &[&str], is_tied: bool) -> io::Result<(Pid, File)> {
        let null = File::open("/dev/null")?;
        let (told, out) = pipe2(OFlag::O_CLOEXEC)?;
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let env: Vec<String> = env.iter().map(|variable| (*variable).to_owned()).collect();
        let pid = start(&args, &env, Some(Apart { is_tied, ..apart(&null, &out) }))?;
        Ok((pid, told.into()))
    }

    /// What the program says on both outputs, after it ended well.
    fn said(args: &[&str], env: &[&str]) -> String {
        let (pid, mut told) = started(args, env, false).unwrap();
        let mut words = String::new();
        told.read_to_string(&mut words).unwrap();
        assert_eq!(wait(pid), Ok(End::Status(0)), "{words}");
        words
    }

    fn shell(line: &str) -> String {
        said(&["/bin/sh", "-c", line], &["PATH=/usr/bin:/bin"])
    }

    #[test]
    fn it_gets_its_arguments_variables_directory_and_umask_and_nothing_else() {
        assert_eq!(said(&["/usr/bin/env"], &["B=2", "A=1 x"]), "B=2\nA=1 x\n");
        assert_eq!(said(&["/bin/echo", "a b", "", "'"], &[]), "a b  '\n");
        assert_eq!(shell("pwd -P; umask; cat; echo $0 >&2"), "/\n0027\n/bin/sh\n");
    }

    #[test]
    fn it_leads_a_group_of_its_own_or_is_of_ours() {
        // pid, name, state, parent, process group
        let (pid, mut told) = started(&["/bin/cat", "/proc/self/stat"], &[], false).unwrap();
        let mut stat = String::new();
        told.read_to_string(&mut stat).unwrap();
        assert_eq!(wait(pid), Ok(End::Status(0)));
        assert_eq!(stat.split(' ').nth(4), Some(pid.to_string().as_str()), "{stat}");
        let line = format!("read a b c d group rest </proc/self/stat; test $group = {}", getpgrp());
        let pid = start(&[b"/bin/sh", b"-c", line.as_bytes()], &[], None).unwrap();
        assert_eq!(wait(pid), Ok(End::Status(0)));
    }

    #[test]
    fn no_descriptor_of_ours_is_handed_down() {
        let kept: Vec<File> = (0..300).map(|_| File::open("/dev/null").unwrap()).collect();
        let listed = said(&["/bin/ls", "-l", "/proc/self/fd"], &[]);
        // Others may have been handed down to this test.
        let names: Vec<_> = listed.lines().filter_map(|line| line.split_once(" -> ")).collect();
        let has = |number: i32| names.iter().find(|(left, _)| left.ends_with(&format!(" {number}")));
        let extra: Vec<i32> =
            kept.iter().map(|file| file.as_raw_fd()).filter(|n| *n > 3 && has(*n).is_some()).collect();
        assert!(extra.is_empty(), "{extra:?}: {listed}");
        // Both outputs are the same pipe, which it has by no other number.
        let pipe = has(1).unwrap().1;
        assert_eq!(names.iter().filter(|(_, right)| *right == pipe).count(), 2, "{listed}");
        drop(kept);
    }

    #[test]
    fn signals_reach_it() {
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTERM);
        mask.add(Signal::SIGUSR1);
        mask.thread_block().unwrap();
        let status = said(&["/bin/cat", "/proc/self/status"], &[]);
        mask.thread_unblock().unwrap();
        let set = |name| u64::from_str_radix(status.split_once(name).unwrap().1.lines().next().unwrap().trim(), 16);
        assert_eq!(set("SigBlk:"), Ok(0));
        let pipe = 1 << (Signal::SIGPIPE as u32 - 1);
        assert_eq!(set("SigIgn:").map(|ignored| ignored & pipe), Ok(0));
        let ours = read_to_string("/proc/self/status").unwrap();
        let ours = ours.split_once("SigIgn:").unwrap().1.lines().next().unwrap();
        assert_ne!(u64::from_str_radix(ours.trim(), 16).unwrap() & pipe, 0, "std ignores it, so this test can fail");
    }

    #[test]
    fn its_end_is_told() {
        // 40: a signal without a name.
        for (line, code, words) in [
            ("exit 0", 0, "ended with status 0"),
            ("exit 255", 255, "ended with status 255"),
            ("kill -9 $$", 137, "was ended by SIGKILL"),
            ("kill -40 $$", 168, "was ended by signal 40"),
        ] {
            let (pid, _told) = started(&["/bin/sh", "-c", line], &[], false).unwrap();
            let end = wait(pid).unwrap();
            assert_eq!((end.code(), end.to_string().as_str()), (code, words), "{line}");
            assert_eq!(wait(pid), Err(Errno::ECHILD), "{line}");
        }
        let (pid, _told) = started(&["/bin/sleep", "100"], &[], false).unwrap();
        assert_eq!(ended(pid), Ok(None));
        nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
        assert_eq!(wait(pid), Ok(End::Signal(9)));
    }

    #[test]
    fn why_it_was_not_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        // Written by another process: one that another test starts meanwhile would hold a file open that we write, and
        // make it busy.
        shell(&format!(
            "cd {}; echo '#!/no/such' >script; echo 'no program' >text; cp text plain; cp /bin/true busy;
             printf '\\177ELF\\2\\1\\1' >foreign; chmod +x script text foreign busy; chmod -x plain",
            dir.path().display()
        ));
        let busy = File::options().append(true).open(file("busy")).unwrap();
        let cases = [
            ("missing", Errno::ENOENT),
            ("script", Errno::ENOENT),
            ("plain", Errno::EACCES),
            ("text", Errno::ENOEXEC),
            ("foreign", Errno::ENOEXEC),
            ("busy", Errno::ETXTBSY),
            ("text/x", Errno::ENOTDIR),
            ("", Errno::EACCES),
        ];
        for (name, errno) in cases {
            let e = started(&[&file(name)], &[], false).unwrap_err();
            assert_eq!(e.raw_os_error(), Some(errno as i32), "{name}: {e}");
        }
        drop(busy);
        let long = "x".repeat(1 << 18);
        let e = started(&["/bin/true", &long], &[], false).unwrap_err();
        assert_eq!(e.raw_os_error(), Some(Errno::E2BIG as i32));
        assert_eq!(started(&[], &[], false).unwrap_err().raw_os_error(), Some(Errno::EFAULT as i32));
        for (args, env) in [(["/bin/echo", "a\0b"], "A=1"), (["/bin/echo", "a"], "A=\0")] {
            assert_eq!(started(&args, &[env], false).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        // Those that could not become a program were collected.
        if let Ok(children) = read_to_string("/proc/thread-self/children") {
            assert_eq!(children, "");
        }
    }

    #[test]
    fn one_that_is_tied_dies_with_the_thread_that_started_it() {
        let start = |is_tied| started(&["/bin/sleep", "100"], &[], is_tied).unwrap();
        let ((tied, _), (free, _)) = std::thread::spawn(move || (start(true), start(false))).join().unwrap();
        assert_eq!((wait(tied), ended(free)), (Ok(End::Signal(9)), Ok(None)));
        nix::sys::signal::kill(free, Signal::SIGKILL).unwrap();
        assert_eq!(wait(free), Ok(End::Signal(9)));
    }

    const CLOSED: &str = "EDGELAY_TEST_CLOSED_STREAMS";

    /// Runs in a process of its own, see below.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "another process of this test tells it what to do")]
    fn closed_streams_inside() {
        let Ok(dir) = std::env::var(CLOSED) else { return };
        let open = |name: &str| File::options().read(true).append(true).create(true).open(Path::new(&dir).join(name));
        let (null, out) = (File::open("/dev/null").unwrap(), OwnedFd::from(open("out").unwrap()));
        (0..3).for_each(|n| close(n).unwrap());
        // The pipe of the reason takes the free numbers.
        let e = start(&[b"/no/such"], &[], Some(apart(&null, &out))).unwrap_err();
        assert_eq!(e.raw_os_error(), Some(Errno::ENOENT as i32));
        // Here the streams do, in the wrong order.
        let streams = [open("error"), open("output"), open("input")].map(Result::unwrap);
        let [error, output, input] = &streams;
        let streams = [input.as_fd(), output.as_fd(), error.as_fd()];
        let line = b"cat; echo out; echo error >&2";
        let pid = start(&[b"/bin/sh", b"-c", line], &[], Some(Apart { streams, ..apart(&null, &out) })).unwrap();
        assert_eq!(wait(pid), Ok(End::Status(0)));
    }

    #[test]
    fn streams_come_where_they_belong_even_if_ours_are_closed() {
        let dir = tempfile::tempdir().unwrap();
        shell(&format!("echo in >{}/input", dir.path().display()));
        let program = std::env::current_exe().unwrap();
        said(
            &[program.to_str().unwrap(), "--exact", "sys::child::tests::closed_streams_inside"],
            &[&format!("{CLOSED}={}", dir.path().display())],
        );
        let read = |name| read_to_string(dir.path().join(name)).unwrap();
        assert_eq!((read("output"), read("error")), ("in\nout\n".into(), "error\n".into()));
    }
}
