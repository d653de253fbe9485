//! Reading both outputs of a running program until it ends, with a limit in time and in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;

use super::{Cmd, shorten};
use crate::clock::Clock;
use crate::error::{Error, Kind, Lift, Result};
use crate::gather::Gather;
use crate::report::seconds;
use crate::sys::{child, signal};

/// Bytes kept of each output: its end, where programs say what went wrong.
pub(super) const KEPT: usize = 256 * 1024;

/// How often the limit and our own signals are looked at.
const TICK_MS: u16 = 100;

/// Why reading stopped early.
#[derive(Debug)]
pub(super) enum Stop {
    Limit { limit: Duration, said: String },
    Other(Error),
}

impl Stop {
    pub(super) fn during(self, cmd: &Cmd) -> Error {
        match self {
            Stop::Limit { limit, said } => {
                let said = shorten(cmd.mask(said.trim()).as_str(), 400);
                let what = format!("'{cmd}' did not end within {}; it said: {said}", seconds(limit));
                Error::new(Kind::Host, what)
            }
            Stop::Other(e) => e,
        }
    }
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Stop::Other(e)
    }
}

#[derive(Default)]
struct Tail {
    bytes: VecDeque<u8>,
    /// What was in front is gone.
    cut: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let over = self.bytes.len().saturating_sub(KEPT);
        self.cut |= over > 0;
        self.bytes.drain(..over);
    }

    /// Whole lines, if there are any: of a secret that was cut through, the rest could not be masked any more.
    fn text(&mut self) -> String {
        let text = String::from_utf8_lossy(self.bytes.make_contiguous());
        match text.split_once('\n') {
            Some((_, whole)) if self.cut => whole.to_owned(),
            _ => text.into_owned(),
        }
    }

    /// All of it, where it is no text.
    fn binary(&mut self) -> Option<Vec<u8>> {
        let bytes = self.bytes.make_contiguous();
        (!self.cut && std::str::from_utf8(bytes).is_err()).then(|| bytes.to_vec())
    }
}

/// What a program said until it ended.
pub(super) struct Said {
    /// 128 + n if signal n ended it.
    pub(super) code: i32,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) binary: Option<Vec<u8>>,
}

/// Reads `outputs` until the program `pid` ends; `look` is called meanwhile.
pub(super) fn until_end(
    pid: Pid,
    outputs: [File; 2],
    clock: &dyn Clock,
    limit: Duration,
    look: &mut dyn FnMut(),
) -> std::result::Result<Said, Stop> {
    let start = clock.elapsed();
    for output in &outputs {
        fcntl(output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).lift(Kind::Host, || "set up a pipe".into())?;
    }
    let [mut stdout, mut stderr] = outputs.map(Some);
    let (mut out, mut err) = (Tail::default(), Tail::default());
    loop {
        drain(&mut stdout, &mut out)?;
        drain(&mut stderr, &mut err)?;
        // A daemon it left behind may hold the pipes open: the program's own end counts, not the pipes'.
        if let Some(end) = child::ended(pid).lift(Kind::Host, || "wait for a program".into())? {
            drain(&mut stdout, &mut out)?;
            drain(&mut stderr, &mut err)?;
            return Ok(Said { code: end.code(), stdout: out.text(), stderr: err.text(), binary: out.binary() });
        }
        signal::check()?;
        look();
        if clock.elapsed().saturating_sub(start) >= limit {
            let said = if err.bytes.is_empty() { out.text() } else { err.text() };
            return Err(Stop::Limit { limit, said });
        }
        pause(stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd), clock);
    }
}

/// Returns when there is something to read, or after a tick.
fn pause(stdout: Option<BorrowedFd<'_>>, stderr: Option<BorrowedFd<'_>>, clock: &dyn Clock) {
    let mut fds: Vec<PollFd<'_>> =
        [stdout, stderr].into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).gather();
    if fds.is_empty() {
        clock.sleep(Duration::from_millis(10));
    } else {
        // EINTR is as good as a tick, ignoring: the loop looks again.
        let _ = poll(&mut fds, PollTimeout::from(TICK_MS));
    }
}

fn drain(from: &mut Option<File>, into: &mut Tail) -> Result<()> {
    let mut buffer = [0; 8192];
    while let Some(reader) = from {
        match reader.read(&mut buffer) {
            Ok(0) => *from = None,
            Ok(n) => into.push(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e).lift(Kind::Host, || "read a program's output".into()),
        }
    }
    Ok(())
}
