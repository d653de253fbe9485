//! `edgelay supervise`: keeps services running on machines where nothing else does.
//!
//! Small on purpose: no sockets, no shell. Entries and wishes are files (`supervised.rs`); services write into
//! their logs themselves, so that they live on when the supervisor is killed, and the next one finds and keeps them.
//! As child subreaper it also collects the dead whose parents went before them: containerd's shims do that.

mod entry;
mod log;
mod ward;

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

pub use entry::{entry_path, render};

use self::ward::{Deed, Ward, Wish};
use super::find;
use crate::clock::Clock;
use crate::error::{Kind, Lift, Result, meaning};
use crate::exec::{Cmd, Exec};
use crate::gather::{Gather, Grow};
use crate::ids::RelPath;
use crate::note;
use crate::report::Report;
use crate::root::Root;
use crate::sorted::Map;
use crate::sys::signal::handle;
use crate::sys::{child, limit};

/// The command's word.
pub const WORD: &str = "supervise";
/// Where the program that supervises lies: it must be there after a reboot.
pub const PROGRAM: RelPath<'static> = RelPath::literal("usr/local/bin/edgelay");
/// What to keep running, one file each.
pub(super) const ENTRIES: RelPath<'static> = RelPath::literal("etc/edgelay/supervise");
/// Held by the one supervisor, with its process number.
pub(super) const LOCK: RelPath<'static> = RelPath::literal("run/edgelay/supervise.lock");
/// Words of a supervisor that was started by an install.
pub(super) const OWN_LOG: RelPath<'static> = RelPath::literal("var/log/edgelay/supervise.log");

/// How often logs are measured, and processes that are no children of ours looked at.
const TICK: Duration = Duration::from_secs(10);
const ADOPTED_TICK: Duration = Duration::from_secs(1);
/// Open files of a daemon that serves a hundred pods; as in its unit.
const FILES: u64 = 1 << 20;

pub(super) fn down_path(name: &str) -> String {
    format!("run/edgelay/{name}.down")
}

pub(super) fn failed_path(name: &str) -> String {
    format!("run/edgelay/{name}.failed")
}

/// Supervises until SIGTERM or SIGINT, then stops what it keeps, last first.
///
/// # Errors
/// Another supervisor runs here, or the system refuses what any supervisor needs.
pub fn run(root: &Root, exec: &mut dyn Exec, clock: &dyn Clock, report: &Report) -> Result<()> {
    let signals = catch_signals()?;
    let _lock = root.lock(LOCK)?;
    prepare();
    let (wards, measured) = (Map::new(), clock.elapsed());
    let mut all = Supervisor { root, exec, clock, report, wards, ending: false, measured };
    all.read_entries();
    loop {
        all.collect();
        let Some(pause) = all.work() else { return Ok(()) };
        for signal in wait(&signals, pause)? {
            all.heed(signal);
        }
    }
}

/// From now on these signals are read, not delivered.
fn catch_signals() -> Result<SignalFd> {
    const WANTED: [Signal; 5] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGCHLD];
    let set = SigSet::from_iter(WANTED);
    let what = || "take signals".to_owned();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).lift(Kind::Host, what)?;
    handle(&WANTED)?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).lift(Kind::Host, what)
}

/// What helps and is not needed: a kernel or a container that refuses it has its reasons.
fn prepare() {
    if let Err(e) = nix::sys::prctl::set_child_subreaper(true) {
        note::debug(format_args!("become a subreaper: {}, ignoring: PID 1 collects the dead", meaning(e)));
    }
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map_or(FILES, |(_, hard)| hard);
    let most = limit::files(FILES, FILES.max(hard));
    if most.or_else(|_| limit::files(FILES.min(hard), hard)).is_err() {
        note::debug(format_args!("the limit of open files stays, ignoring: a node with few pods needs few"));
    }
}

fn wait(signals: &SignalFd, pause: Duration) -> Result<Vec<Signal>> {
    // One millisecond more: a pause that was rounded down would end before its time, again and again.
    let pause = pause.saturating_add(Duration::from_millis(1));
    let timeout = PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(e) => return Err(e).lift(Kind::Host, || "wait for signals".to_owned()),
    }
    let mut seen = Vec::new();
    while let Some(info) = signals.read_signal().lift(Kind::Host, || "read signals".to_owned())? {
        seen.add_all(i32::try_from(info.ssi_signo).ok().and_then(|n| Signal::try_from(n).ok()));
    }
    Ok(seen)
}

struct Supervisor<'a> {
    root: &'a Root,
    exec: &'a mut dyn Exec,
    clock: &'a dyn Clock,
    report: &'a Report,
    wards: Map<String, Ward>,
    /// Told to end: everything is stopped.
    ending: bool,
    /// When the logs were measured last.
    measured: Duration,
}

impl Supervisor<'_> {
    /// Takes in new entries and lets go of those that are no more. What cannot be read now is read at the next signal.
    fn read_entries(&mut self) {
        let names = self.root.list(ENTRIES).ok().flatten().unwrap_or_default();
        for name in names.iter().filter(|name| entry::is_name(name)) {
            match entry::load(self.root, name) {
                Ok(Some(command)) => self.take_in(name, command),
                Ok(None) => {}
                Err(e) => self.report.warn(&format!("{e}; ignoring the entry")),
            }
        }
        self.wards.each_mut(|name, ward| ward.listed = names.contains(name));
    }

    fn take_in(&mut self, name: &str, command: Vec<String>) {
        if let Some(ward) = self.wards.get_mut(name) {
            ward.command = command;
            return;
        }
        let mut ward = Ward::new(command);
        // A supervisor before us may have started it.
        if let Ok(Some(pid)) = find::find(self.root, name, &ward.command) {
            ward.adopt(pid, self.clock.elapsed());
            self.note(name, &format!("goes on with process {pid}"));
            self.keep_number(name, pid);
        }
        self.wards.insert(name.to_owned(), ward);
    }

    /// Collects every child that has ended, ours or somebody's orphan.
    fn collect(&mut self) {
        while let Ok(Some((pid, end))) = child::any_ended() {
            self.ended(pid, &end.to_string());
        }
        let adopted: Vec<Pid> = self.wards.values().filter_map(Ward::adopted).gather();
        for pid in adopted {
            if !find::is_alive(self.root, pid.as_raw()).unwrap_or(true) {
                self.ended(pid, "ended");
            }
        }
    }

    fn ended(&mut self, pid: Pid, words: &str) {
        let now = self.clock.elapsed();
        let Some(name) = self.wards.iter().find(|(_, ward)| ward.pid() == Some(pid)).map(|(name, _)| name.clone())
        else {
            return;
        };
        let Some(ward) = self.wards.get_mut(&name) else { return };
        let (pause, failed) = (ward.ended(now), ward.failed());
        let next = pause.map_or(String::new(), |pause| format!("; starting it again in {} s", pause.as_secs()));
        self.note(&name, &format!("process {pid} {words}{next}"));
        self.remove(&find::pid_path(&name));
        self.keep_failed(&name, failed);
    }

    /// Does what is due; how long nothing will be. `None`: told to end, and all have ended.
    fn work(&mut self) -> Option<Duration> {
        let now = self.clock.elapsed();
        if now.saturating_sub(self.measured) >= TICK {
            self.measured = now;
            for name in self.wards.keys() {
                if let Err(e) = log::bound(self.root, name) {
                    self.report.warn(&format!("{e}, ignoring: the log of {name} is looked at again later"));
                }
            }
        }
        let names: Vec<String> = self.wards.keys().cloned().gather();
        // Those started first are stopped last, one after the other.
        let last = names.iter().rev().find(|name| self.wards.get(*name).is_some_and(|w| w.pid().is_some())).cloned();
        for name in &names {
            let wish = match self.ending {
                true if last.as_ref() == Some(name) => Wish::Down,
                true => Wish::AsItIs,
                false => self.wish(name),
            };
            self.look_after(name, wish, now);
        }
        self.wards.retain(|_, ward| ward.listed || ward.pid().is_some());
        if self.ending && last.is_none() {
            return None;
        }
        let wakes = self.wards.values().filter_map(|ward| ward.wakes(now));
        let adopted = self.wards.values().any(|ward| ward.adopted().is_some()).then_some(ADOPTED_TICK);
        Some(wakes.chain(adopted).fold(TICK, Duration::min))
    }

    fn wish(&self, name: &str) -> Wish {
        let down = down_path(name);
        let down = RelPath::parse(&down).ok().and_then(|path| self.root.lstat(path).ok().flatten()).is_some();
        let listed = self.wards.get(name).is_some_and(|ward| ward.listed);
        if down || !listed { Wish::Down } else { Wish::Up }
    }

    fn look_after(&mut self, name: &str, wish: Wish, now: Duration) {
        let Some(ward) = self.wards.get_mut(name) else { return };
        match ward.due(wish, now) {
            Deed::Nothing => {}
            Deed::Start => self.start(name, now),
            Deed::Signal(pid, signal) => {
                if let Err(e) = find::send(pid, signal, name) {
                    self.note(name, &e.to_string());
                }
            }
        }
    }

    fn start(&mut self, name: &str, now: Duration) {
        let file = super::log_path(name);
        let (Some(ward), Ok(log)) = (self.wards.get_mut(name), RelPath::parse(&file)) else { return };
        let args: Vec<&str> = ward.command.iter().skip(1).map(String::as_str).gather();
        let spawned = self.exec.spawn(&Cmd::new(ward.command.first().map_or("", String::as_str), &args), log);
        match spawned.map(|pid| i32::try_from(pid).map(Pid::from_raw)) {
            Ok(Ok(pid)) => {
                ward.started(pid, now);
                self.keep_number(name, pid);
            }
            Ok(Err(_)) => {}
            Err(e) => {
                ward.not_started(now);
                let failed = ward.failed();
                self.note(name, &e.to_string());
                self.keep_failed(name, failed);
            }
        }
    }

    fn heed(&mut self, signal: Signal) {
        match signal {
            Signal::SIGTERM | Signal::SIGINT => self.ending = true,
            // Somebody changed something: what waits for its next start need not wait any longer.
            Signal::SIGUSR1 => {
                self.read_entries();
                self.wards.each_mut(|_, ward| ward.forgive());
            }
            // Passed on; a service that does not know it ends, and is started again.
            Signal::SIGHUP => {
                for (name, ward) in &self.wards {
                    let sent = ward.pid().map_or(Ok(()), |pid| find::send(pid, signal, name));
                    if let Err(e) = sent {
                        self.report.warn(&format!("{e}, ignoring: it goes on as it is"));
                    }
                }
            }
            _ => {}
        }
    }

    fn keep_number(&self, name: &str, pid: Pid) {
        self.write(&find::pid_path(name), &format!("{pid}\n"));
    }

    fn remove(&self, file: &str) {
        if let Ok(path) = RelPath::parse(file)
            && let Err(e) = self.root.remove(path)
        {
            self.report.warn(&format!("{e}, ignoring: a number of no process misleads nobody"));
        }
    }

    /// Starts that did not last; kept while the next one is being tried, so that who waits sees them.
    fn keep_failed(&self, name: &str, times: u32) {
        match times {
            0 => self.remove(&failed_path(name)),
            times => self.write(&failed_path(name), &format!("{times}\n")),
        }
    }

    fn write(&self, file: &str, text: &str) {
        if let Ok(path) = RelPath::parse(file)
            && let Err(e) = self.root.write(path, 0o644, text.as_bytes())
        {
            self.report.warn(&format!("{e}, ignoring: the service itself is not touched by this"));
        }
    }

    /// A line into the service's own log, among its last words.
    fn note(&self, name: &str, words: &str) {
        let line = format!("{} edgelay: {name} {words}", crate::clock::rfc3339(self.clock.unix()));
        if log::note(self.root, name, &line).is_err() {
            self.report.warn(&line);
        }
    }
}
