//! Finding a service's process without a service manager: by the file with its number, or by its command line.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Service;
use crate::error::{Kind, Lift, Result};
use crate::host::process;
use crate::ids::RelPath;
use crate::root::Root;

/// Where the process number of the service `name` is kept.
pub(super) fn pid_path(name: &str) -> String {
    format!("run/edgelay/{name}.pid")
}

/// The process of `command`: by the number in the file, if that is still such a program's, and without a file, as when
/// whoever started it was killed before it was written, by its command line.
pub(super) fn find(root: &Root, name: &str, command: &[String]) -> Result<Option<Pid>> {
    let program = command.first().map_or("", String::as_str);
    let Some(pid) = number(root, &pid_path(name))? else { return by_command(root, program, command) };
    let text = cmdline(root, pid)?;
    // Another program that got the number has another command line. None at all have the dead that nobody has
    // collected yet, and a program in the moment of its start.
    let ours = match text.as_str() {
        "" => is_alive(root, pid)?,
        text => text.split('\0').any(|arg| arg == program),
    };
    Ok(ours.then(|| Pid::from_raw(pid)))
}

/// [`find`] for a service.
pub(super) fn of_service(root: &Root, service: &Service) -> Result<Option<Pid>> {
    find(root, service.name, &service.command)
}

fn by_command(root: &Root, program: &str, command: &[String]) -> Result<Option<Pid>> {
    let name = program.rsplit('/').next().unwrap_or_default();
    // The kernel keeps 15 bytes of a name (TASK_COMM_LEN).
    let name = name.get(..15).unwrap_or(name);
    let mut all = process::named(root, &[name])?.into_iter();
    let ours = all.find(|process| !process.contained && process.args == command);
    Ok(ours.and_then(|process| i32::try_from(process.pid).ok()).map(Pid::from_raw))
}

/// The number in a file; `None` if there is none.
pub(super) fn number(root: &Root, file: &str) -> Result<Option<i32>> {
    let Ok(path) = RelPath::parse(file) else { return Ok(None) };
    Ok(root.read_text(path, 64)?.and_then(|text| text.split_whitespace().next()?.parse().ok()))
}

/// Arguments of a process, each ended by a NUL; empty for one that is gone, dead or just starting.
pub(super) fn cmdline(root: &Root, pid: i32) -> Result<String> {
    let file = format!("proc/{pid}/cmdline");
    let Ok(path) = RelPath::parse(&file) else { return Ok(String::new()) };
    root.text_or_empty(path, 64 << 10)
}

/// By the third field of `/proc/PID/stat` (proc(5)); the second, in parentheses, may hold anything.
pub(super) fn is_alive(root: &Root, pid: i32) -> Result<bool> {
    let file = format!("proc/{pid}/stat");
    let Ok(path) = RelPath::parse(&file) else { return Ok(false) };
    let text = root.text_or_empty(path, 4 << 10)?;
    let state = text.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    Ok(state.is_some_and(|state| !matches!(state, 'Z' | 'X')))
}

/// Sends `signal`; that the process is gone already is fine.
pub(super) fn send(pid: Pid, signal: Signal, name: &str) -> Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(e) => Err(e).lift(Kind::Host, || format!("send {signal} to {name}")),
    }
}
