//! No service manager: programs started by us, known by a file with their process number.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Service, State};
use crate::clock::{Probe, SystemClock, wait_for};
use crate::error::{Kind, Lift, Result};
use crate::exec::{Cmd, Exec, shorten};
use crate::host::process;
use crate::ids::RelPath;
use crate::root::Root;

/// A daemon that has not ended so long after SIGTERM is killed.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// A killed process that works in the kernel, on a slow disk, ends when that is done.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// Of the log, for an error message.
const LOG_TAIL: usize = 2000;

fn pid_file(service: &Service) -> String {
    format!("run/edgelay/{}.pid", service.name)
}

fn log_file(service: &Service) -> String {
    format!("var/log/edgelay/{}.log", service.name)
}

/// The service's process: by the number in the file, if that is still such a program's, and without a file, as when we
/// were killed before it was written, by its command line.
fn find(root: &Root, service: &Service) -> Result<Option<Pid>> {
    let file = pid_file(service);
    let Ok(path) = RelPath::parse(&file) else { return Ok(None) };
    let Some(pid) = root.read_text(path, 32)?.and_then(|text| text.trim().parse::<i32>().ok()) else {
        return by_command(root, service);
    };
    let cmdline = format!("proc/{pid}/cmdline");
    let Ok(cmdline) = RelPath::parse(&cmdline) else { return Ok(None) };
    let text = root.read_text(cmdline, 64 << 10)?.unwrap_or_default();
    // Another program that got the number has another command line. None at all have the dead that nobody has
    // collected yet, and a program in the moment of its start.
    let ours = match text.as_str() {
        "" => is_alive(root, pid)?,
        text => text.split('\0').any(|arg| arg == service.program()),
    };
    Ok(ours.then(|| Pid::from_raw(pid)))
}

fn by_command(root: &Root, service: &Service) -> Result<Option<Pid>> {
    let name = service.program().rsplit('/').next().unwrap_or_default();
    let mut all = process::named(root, &[name])?.into_iter();
    let ours = all.find(|process| !process.contained && process.args == service.command);
    Ok(ours.and_then(|process| i32::try_from(process.pid).ok()).map(Pid::from_raw))
}

/// By the third field of `/proc/PID/stat` (proc(5)); the second, in parentheses, may hold anything.
fn is_alive(root: &Root, pid: i32) -> Result<bool> {
    let stat = format!("proc/{pid}/stat");
    let Ok(stat) = RelPath::parse(&stat) else { return Ok(false) };
    let text = root.read_text(stat, 4 << 10)?.unwrap_or_default();
    let state = text.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    Ok(state.is_some_and(|state| !matches!(state, 'Z' | 'X')))
}

pub(super) fn state(root: &Root, service: &Service) -> Result<State> {
    Ok(if find(root, service)?.is_some() { State::Active } else { State::Inactive })
}

pub(super) fn start(root: &Root, exec: &mut dyn Exec, service: &Service) -> Result<()> {
    let (pid_path, log_path) = (pid_file(service), log_file(service));
    let (Ok(pid_path), Ok(log_path)) = (RelPath::parse(&pid_path), RelPath::parse(&log_path)) else { return Ok(()) };
    let args: Vec<&str> = service.command.iter().skip(1).map(String::as_str).collect();
    let pid = exec.spawn(&Cmd::new(service.program(), &args), log_path)?;
    root.write(pid_path, 0o644, format!("{pid}\n").as_bytes()).map(|_| ())
}

pub(super) fn stop(root: &Root, service: &Service) -> Result<()> {
    let Some(pid) = find(root, service)? else { return Ok(()) };
    signal(pid, Signal::SIGTERM, service)?;
    let ended = until_ended(root, service, STOP_LIMIT);
    match ended {
        Ok(()) => {}
        Err(e) if e.kind() == Kind::Interrupted => return Err(e),
        Err(_) => {
            signal(pid, Signal::SIGKILL, service)?;
            until_ended(root, service, KILL_LIMIT)?;
        }
    }
    let file = pid_file(service);
    match RelPath::parse(&file) {
        Ok(path) => root.remove(path).map(|_| ()),
        Err(_) => Ok(()),
    }
}

fn until_ended(root: &Root, service: &Service, limit: Duration) -> Result<()> {
    wait_for(&SystemClock::default(), &format!("{} to end", service.name), limit, || {
        Ok(match find(root, service)? {
            None => Probe::Ready(()),
            Some(_) => Probe::NotYet("it still runs".into()),
        })
    })
}

/// Its log, and the number of a process that ended by itself.
pub(super) fn forget(root: &Root, service: &Service) -> Result<()> {
    for file in [pid_file(service), log_file(service)] {
        if let Ok(path) = RelPath::parse(&file) {
            root.remove(path)?;
        }
    }
    root.remove_empty_dir(RelPath::literal("run/edgelay")).map(|_| ())
}

fn signal(pid: Pid, signal: Signal, service: &Service) -> Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(e) => Err(e).lift(Kind::Host, || format!("send {signal} to {}", service.name)),
    }
}

/// The last bytes of a log of any size, one more than is shown.
fn end_of(mut log: File) -> std::io::Result<Vec<u8>> {
    let start = log.metadata()?.len().saturating_sub(LOG_TAIL as u64 + 1);
    log.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    log.take(LOG_TAIL as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

pub(super) fn last_words(root: &Root, service: &Service) -> String {
    let file = log_file(service);
    let open = RelPath::parse(&file).ok().and_then(|path| root.open_file(path).ok().flatten());
    let end = open.and_then(|file| end_of(file).ok()).unwrap_or_default();
    shorten(String::from_utf8_lossy(&end).trim(), LOG_TAIL)
}
