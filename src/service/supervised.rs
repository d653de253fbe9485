//! Acting through `edgelay supervise`: it is started where it does not run, told by files below `/run/edgelay`, and
//! made to look at them with SIGUSR1.
//!
//! ```text
//!  etc/edgelay/supervise/NAME   what to run: an entry                     written by an install
//!  run/edgelay/NAME.down        there: NAME is to be stopped               written by an install
//!  run/edgelay/NAME.pid         its process                                written by the supervisor
//!  run/edgelay/NAME.failed      how many starts in a row did not last      written by the supervisor
//! ```

use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::supervise::{ENTRIES, LOCK, OWN_LOG, PROGRAM, WORD, down_path, entry_path, failed_path};
use super::{Service, State, find, remove_logs};
use crate::clock::{Clock, Probe, wait_for};
use crate::error::{Error, Kind, Result};
use crate::exec::{Cmd, Exec};
use crate::ids::RelPath;
use crate::root::Root;

/// The supervisor gives a service 20 s to end by itself; one that works in the kernel, on a slow disk, ends later.
const STOP_LIMIT: Duration = Duration::from_secs(40);
/// A supervisor starts, or ends a service that it was told to start, in no time; a busy board is given this long.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The supervisor that runs here.
fn supervisor(root: &Root) -> Result<Option<Pid>> {
    let Some(pid) = find::number(root, LOCK.as_str())? else { return Ok(None) };
    let args = find::cmdline(root, pid)?;
    Ok(args.split('\0').nth(1).is_some_and(|word| word == WORD).then(|| Pid::from_raw(pid)))
}

fn wake(root: &Root) -> Result<()> {
    supervisor(root)?.map_or(Ok(()), |pid| find::send(pid, Signal::SIGUSR1, "the supervisor"))
}

pub(super) fn state(root: &Root, service: &Service) -> Result<State> {
    if find::of_service(root, service)?.is_some() {
        return Ok(State::Active);
    }
    let failed = find::number(root, &failed_path(service.name))?.and_then(|n| u32::try_from(n).ok());
    Ok(match failed {
        Some(times) if times > 0 && supervisor(root)?.is_some() => State::Failing(times),
        _ => State::Inactive,
    })
}

/// Whether the supervisor has one of them and was not told to let it lie.
pub(super) fn is_coming(root: &Root, names: &[&str]) -> Result<bool> {
    let is_there =
        |file: &str| RelPath::parse(file).map_or(Ok(false), |path| root.stat(path).map(|meta| meta.is_some()));
    for name in names {
        if is_there(&entry_path(name))? && !is_there(&down_path(name))? {
            return supervisor(root).map(|pid| pid.is_some());
        }
    }
    Ok(false)
}

pub(super) fn restart(root: &Root, exec: &mut dyn Exec, clock: &dyn Clock, service: &Service) -> Result<()> {
    stop(root, clock, service)?;
    remove(root, &down_path(service.name))?;
    if supervisor(root)?.is_none() {
        start_supervisor(root, exec, clock)?;
    }
    wake(root)?;
    wait_for(clock, &format!("the supervisor to start {}", service.name), START_LIMIT, || {
        Ok(match state(root, service)? {
            State::Active | State::Failing(_) => Probe::Ready,
            State::Inactive => Probe::NotYet("it has not".into()),
        })
    })
}

fn start_supervisor(root: &Root, exec: &mut dyn Exec, clock: &dyn Clock) -> Result<()> {
    if root.stat(PROGRAM)?.is_none() {
        return Err(Error::new(Kind::Host, format_args!("'{PROGRAM}' is not there to supervise the services"))
            .hint(format_args!("copy edgelay to '{PROGRAM}' and run again")));
    }
    exec.spawn(&Cmd::new(&PROGRAM.to_string(), &[WORD]), OWN_LOG)?;
    wait_for(clock, "'edgelay supervise' to start", START_LIMIT, || {
        Ok(match supervisor(root)? {
            Some(_) => Probe::Ready,
            None => Probe::NotYet(format!("no such process; see '{OWN_LOG}'")),
        })
    })
}

pub(super) fn stop(root: &Root, clock: &dyn Clock, service: &Service) -> Result<()> {
    if let Ok(down) = RelPath::parse(&down_path(service.name)) {
        root.write(down, 0o644, b"")?;
    }
    wake(root)?;
    let Some(pid) = find::of_service(root, service)? else { return forget_runs(root, service.name) };
    if supervisor(root)?.is_none() {
        find::send(pid, Signal::SIGTERM, service.name)?;
    }
    let ended = until_ended(root, clock, service);
    match ended {
        Err(e) if e.kind() == Kind::Runtime => {
            find::send(pid, Signal::SIGKILL, service.name)?;
            until_ended(root, clock, service)?;
        }
        other => other?,
    }
    forget_runs(root, service.name)
}

fn forget_runs(root: &Root, name: &str) -> Result<()> {
    remove(root, &find::pid_path(name))?;
    remove(root, &failed_path(name))
}

fn until_ended(root: &Root, clock: &dyn Clock, service: &Service) -> Result<()> {
    wait_for(clock, &format!("{} to end", service.name), STOP_LIMIT, || {
        Ok(match find::of_service(root, service)? {
            None => Probe::Ready,
            Some(_) => Probe::NotYet("it still runs".into()),
        })
    })
}

/// Everything of a stopped service; with the last one the supervisor goes, too.
pub(super) fn forget(root: &Root, clock: &dyn Clock, service: &Service) -> Result<()> {
    let name = service.name;
    // The entry first: without the file that says "down" it would be started again.
    for file in [entry_path(name), down_path(name), find::pid_path(name), failed_path(name)] {
        remove(root, &file)?;
    }
    remove_logs(root, name)?;
    if root.list(ENTRIES)?.is_none_or(|names| names.is_empty()) {
        end_supervisor(root, clock)?;
        root.remove_empty_dir(RelPath::literal("run/edgelay"))?;
    } else {
        wake(root)?;
    }
    Ok(())
}

/// One that the board's own boot hook keeps alive comes back, and waits for something to do.
fn end_supervisor(root: &Root, clock: &dyn Clock) -> Result<()> {
    if let Some(pid) = supervisor(root)? {
        find::send(pid, Signal::SIGTERM, "the supervisor")?;
        wait_for(clock, "the supervisor to end", STOP_LIMIT, || {
            Ok(match supervisor(root)? {
                Some(now) if now == pid => Probe::NotYet("it still runs".into()),
                _ => Probe::Ready,
            })
        })?;
    }
    root.remove(OWN_LOG)?;
    root.remove(LOCK).map(|_| ())
}

fn remove(root: &Root, file: &str) -> Result<()> {
    match RelPath::parse(file) {
        Ok(path) => root.remove(path).map(|_| ()),
        Err(_) => Ok(()),
    }
}
