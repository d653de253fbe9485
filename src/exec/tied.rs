//! A daemon that is only there while we need it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Cmd, Exec, Life};
use crate::clock::{Clock, SystemClock};
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;
use crate::sys::child::{self, End};

/// One that has not ended so long after SIGTERM is killed: it may have a database to close on a slow disk.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(10);

/// A daemon that ends with this value: it is told to stop and waited for, and dies with us if we are killed.
#[derive(Debug)]
pub struct Tied {
    pid: Pid,
    name: String,
    end: Option<End>,
}

impl Tied {
    /// Starts `cmd`, its words appended to the file `log`.
    pub fn start(exec: &mut dyn Exec, mut cmd: Cmd, log: RelPath<'_>) -> Result<Tied> {
        cmd.life = Life::Ours;
        let pid = exec.spawn(&cmd, log)?;
        let pid =
            i32::try_from(pid).map_err(|_| Error::new(Kind::Bug, format_args!("process number {pid} is too large")))?;
        Ok(Tied { pid: Pid::from_raw(pid), name: cmd.program, end: None })
    }

    /// How it ended, in words, if it has.
    pub fn ended(&mut self) -> Option<String> {
        if self.end.is_none() {
            // No child of ours (any more): there is nothing to wait for, and nothing that we may signal.
            self.end = child::ended(self.pid).unwrap_or(Some(End::Status(0)));
        }
        self.end.map(|end| format!("it {end}"))
    }

    /// Tells it to stop and waits for its end; one that does not end in time is killed, which is an error.
    ///
    /// Not cut short by a signal to us: what it holds open must be closed first.
    pub fn stop(mut self) -> Result<()> {
        if let Some(how) = self.ended() {
            return Err(Error::new(Kind::Runtime, format_args!("'{}' is gone: {how}", self.name)));
        }
        match self.end_it() {
            true => Ok(()),
            false => {
                let limit = STOP_LIMIT.as_secs();
                Err(Error::new(
                    Kind::Runtime,
                    format_args!("'{}' did not end within {limit} s and was killed", self.name),
                ))
            }
        }
    }

    /// False if it had to be killed.
    fn end_it(&mut self) -> bool {
        let clock = SystemClock::default();
        for (signal, limit) in [(Signal::SIGTERM, STOP_LIMIT), (Signal::SIGKILL, STOP_LIMIT)] {
            if self.ended().is_some() {
                return true;
            }
            // ignoring: ESRCH cannot be, as nobody else collects it
            let _ = kill(self.pid, signal);
            let start = clock.elapsed();
            while self.ended().is_none() && clock.elapsed().saturating_sub(start) < limit {
                clock.sleep(PAUSE);
            }
            if signal == Signal::SIGTERM && self.end.is_some() {
                return true;
            }
        }
        false
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.end_it();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Host;
    use crate::root::Root;

    fn start(root: &Root, line: &str) -> Tied {
        let clock = SystemClock::default();
        let mut exec = Host::new(root, &clock);
        Tied::start(&mut exec, Cmd::new("/bin/sh", &["-c", line]), RelPath::literal("log")).unwrap()
    }

    /// The line that the daemon says when it is ready.
    fn said(root: &Root, word: &str) {
        let clock = SystemClock::default();
        while !root.read_text(RelPath::literal("log"), 999).unwrap().unwrap_or_default().contains(word) {
            clock.sleep(PAUSE);
        }
    }

    #[test]
    fn it_ends_with_its_value() {
        let (_dir, root) = Root::scratch();
        let mut tied = start(&root, "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done");
        said(&root, "up");
        assert_eq!(tied.ended(), None);
        let pid = tied.pid;
        tied.stop().unwrap();
        assert_eq!(root.read_text(RelPath::literal("log"), 99).unwrap().unwrap(), "up\nbye\n");
        assert!(kill(pid, None).is_err());

        let dropped = start(&root, "echo again; exec sleep 100");
        said(&root, "again");
        let pid = dropped.pid;
        drop(dropped);
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn one_that_ended_by_itself_says_how() {
        let (_dir, root) = Root::scratch();
        let mut tied = start(&root, "exit 3");
        let clock = SystemClock::default();
        while tied.ended().is_none() {
            clock.sleep(PAUSE);
        }
        assert_eq!(tied.stop().unwrap_err().to_string(), "'/bin/sh' is gone: it ended with status 3");
    }
}
