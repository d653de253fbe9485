//! No service manager: programs started by us, known by a file with their process number.

use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Service, State};
use crate::clock::{Probe, SystemClock, wait_for};
use crate::error::{Kind, Lift, Result};
use crate::exec::{Cmd, Exec, shorten};
use crate::ids::RelPath;
use crate::root::Root;

/// A daemon that has not ended so long after SIGTERM is killed.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// Of the log, for an error message.
const LOG_TAIL: usize = 2000;
const MAX_LOG: usize = 64 << 20;

fn pid_file(service: &Service) -> String {
    format!("run/edgelay/{}.pid", service.name)
}

fn log_file(service: &Service) -> String {
    format!("var/log/edgelay/{}.log", service.name)
}

/// The process, if the number in the file is still that program's.
fn process(root: &Root, service: &Service) -> Result<Option<Pid>> {
    let file = pid_file(service);
    let Ok(path) = RelPath::parse(&file) else { return Ok(None) };
    let Some(pid) = root.read_text(path, 32)?.and_then(|text| text.trim().parse::<i32>().ok()) else { return Ok(None) };
    let cmdline = format!("proc/{pid}/cmdline");
    let Ok(cmdline) = RelPath::parse(&cmdline) else { return Ok(None) };
    // A zombie has an empty command line; another program that got the number has another one.
    let text = root.read_text(cmdline, 64 << 10)?.unwrap_or_default();
    let ours = text.split('\0').any(|arg| arg == service.program());
    Ok(ours.then(|| Pid::from_raw(pid)))
}

pub(super) fn state(root: &Root, service: &Service) -> Result<State> {
    Ok(if process(root, service)?.is_some() { State::Active } else { State::Inactive })
}

pub(super) fn start(root: &Root, exec: &mut dyn Exec, service: &Service) -> Result<()> {
    let (pid_path, log_path) = (pid_file(service), log_file(service));
    let (Ok(pid_path), Ok(log_path)) = (RelPath::parse(&pid_path), RelPath::parse(&log_path)) else { return Ok(()) };
    let args: Vec<&str> = service.command.iter().skip(1).map(String::as_str).collect();
    let pid = exec.spawn(&Cmd::new(service.program(), &args), log_path)?;
    root.write(pid_path, 0o644, format!("{pid}\n").as_bytes()).map(|_| ())
}

pub(super) fn stop(root: &Root, service: &Service) -> Result<()> {
    let Some(pid) = process(root, service)? else { return Ok(()) };
    signal(pid, Signal::SIGTERM, service)?;
    let clock = SystemClock::default();
    let ended = wait_for(&clock, &format!("{} to end", service.name), STOP_LIMIT, || {
        Ok(match process(root, service)? {
            None => Probe::Ready(()),
            Some(_) => Probe::NotYet("it still runs".into()),
        })
    });
    if ended.is_err() {
        signal(pid, Signal::SIGKILL, service)?;
    }
    let file = pid_file(service);
    match RelPath::parse(&file) {
        Ok(path) => root.remove(path).map(|_| ()),
        Err(_) => Ok(()),
    }
}

fn signal(pid: Pid, signal: Signal, service: &Service) -> Result<()> {
    match kill(pid, signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(e) => Err(e).lift(Kind::Host, || format!("send {signal} to {}", service.name)),
    }
}

pub(super) fn last_words(root: &Root, service: &Service) -> String {
    let file = log_file(service);
    let text = RelPath::parse(&file).ok().and_then(|path| root.read_text(path, MAX_LOG).ok().flatten());
    shorten(text.unwrap_or_default().trim(), LOG_TAIL)
}
