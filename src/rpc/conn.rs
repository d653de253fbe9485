//! A connection: moves bytes between a [`Transport`] and a [`Session`], with a limit on every wait.

mod input;

use std::io::{ErrorKind, IoSlice};
use std::time::{Duration, Instant};

use super::frame::{self, Frame};
use super::session::{Session, SessionError};
use super::transport::{Interest, Ready, Transport};
use crate::error::{Error, Kind, Result};
use crate::report::seconds;
use input::Input;

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// From its start to its end.
    Total(Duration),
    /// From one sign of progress (a DATA frame in either direction) to the next.
    Progress(Duration),
}

/// The first answer to a new connection: the peer sends its SETTINGS at once, even under load.
const GREETING: Patience = Patience::Total(Duration::from_secs(10));

/// For whoever cannot reach the daemon.
pub const HINT: &str = "is containerd running? see: systemctl status containerd, in the cloud: systemctl status k3s";

/// Whether to wait for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    No,
    Yes,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    Bytes,
    Nothing,
    End,
}

/// One HTTP/2 connection, for one call at a time.
#[derive(Debug)]
pub struct Connection<S> {
    io: S,
    input: Input,
    session: Session,
    patience: Patience,
    until: Instant,
    /// When all calls together must have ended, and how much time they were given.
    end: Option<(Instant, Duration)>,
    /// Framing is lost, a rule was broken, or the stream ended: never use it again.
    dead: bool,
}

impl<S: Transport> Connection<S> {
    /// Sends the preface and waits for the peer's settings: proof that somebody speaks HTTP/2 there.
    pub fn open(io: S) -> Result<Self> {
        Self::open_until(io, None)
    }

    /// The same; this, and all calls after it, must have ended by `end`, if there is one: the time, and how much was
    /// given.
    pub fn open_until(io: S, end: Option<(Instant, Duration)>) -> Result<Self> {
        let until = io.now();
        let (input, session) = (Input::default(), Session::default());
        let mut conn = Connection { io, input, session, patience: GREETING, until, end, dead: false };
        conn.start_clock(GREETING);
        conn.flush()?;
        while !conn.session.greeted() {
            conn.receive(Wait::Yes)?;
        }
        conn.flush()?;
        Ok(conn)
    }

    /// Whether a call can be started: reads what came since the last one, so that a peer that left is noticed.
    pub fn usable(&mut self) -> bool {
        if self.dead {
            return false;
        }
        let drained = self.receive(Wait::No);
        drained.is_ok() && !self.dead && self.session.going_away().is_none()
    }

    /// Lets time pass while pings are answered.
    pub fn pause(&mut self, time: Duration) -> Result<()> {
        let end = self.io.now() + time;
        loop {
            self.receive(Wait::No)?;
            self.flush_some()?;
            let left = end.saturating_duration_since(self.io.now());
            if left.is_zero() || self.dead {
                return Ok(());
            }
            self.io.wait(Interest::Read, left).map_err(|e| self.fail("wait for the daemon").because(e))?;
        }
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead
    }

    pub(super) fn start_clock(&mut self, patience: Patience) {
        let (Patience::Total(time) | Patience::Progress(time)) = patience;
        self.patience = patience;
        self.until = self.io.now() + time;
        if let Some((end, _)) = self.end {
            self.until = self.until.min(end);
        }
    }

    /// Waits until at least one more frame was taken in.
    pub(super) fn receive_more(&mut self) -> Result<()> {
        self.flush()?;
        self.receive(Wait::Yes)
    }

    /// Sends one DATA frame as large as windows and frame size allow, from the front of `head` and `body`, and cuts
    /// off what was sent. Waits for window space. Returns without sending if the stream has ended.
    pub(super) fn send_some(&mut self, head: &mut &[u8], body: &mut &[u8], last: bool) -> Result<()> {
        loop {
            // The peer writes acknowledgements while we write; unread, both sides would wait for ever.
            self.receive(Wait::No)?;
            if self.session.stream().is_none_or(|stream| stream.outcome().is_some()) {
                return Ok(());
            }
            if self.session.sendable() > 0 || (head.is_empty() && body.is_empty()) {
                break;
            }
            self.receive_more()?;
        }
        self.flush()?;
        let room = self.session.sendable();
        let (head_part, head_rest) = head.split_at_checked(room).unwrap_or((head, &[]));
        let room = room - head_part.len();
        let (body_part, body_rest) = body.split_at_checked(room).unwrap_or((body, &[]));
        let end = last && head_rest.is_empty() && body_rest.is_empty();
        let len = head_part.len() + body_part.len();
        let stream = self.session.spend(len, end).map_err(|e| self.broken(e))?;
        let frame = frame::data_head(stream, len, end);
        self.write_frame(&mut [IoSlice::new(&frame), IoSlice::new(head_part), IoSlice::new(body_part)])?;
        (*head, *body) = (head_rest, body_rest);
        self.progressed();
        Ok(())
    }

    /// Sends everything that waits in the session, reading meanwhile.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.flush_some()?;
        while !self.session.out().is_empty() {
            self.wait_to_write()?;
            self.flush_some()?;
        }
        Ok(())
    }

    /// Sends what the peer takes right now; the rest stays in order.
    pub(super) fn flush_some(&mut self) -> Result<()> {
        while !self.dead && !self.session.out().is_empty() {
            match self.io.write(&[IoSlice::new(self.session.out())]) {
                Ok(0) => return Err(self.fail("the daemon takes no more bytes")),
                Ok(n) => drop(self.session.out().drain(..n)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return Err(self.write_failed(e)),
            }
        }
        Ok(())
    }

    /// Writes one frame to its end. If it must be given up half-way, framing is lost and the connection with it.
    fn write_frame(&mut self, mut parts: &mut [IoSlice<'_>]) -> Result<()> {
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match self.io.write(parts) {
                Ok(0) => return Err(self.fail("the daemon takes no more bytes")),
                Ok(n) => IoSlice::advance_slices(&mut parts, n),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait_to_write()?,
                Err(e) => return Err(self.write_failed(e)),
            }
        }
        Ok(())
    }

    /// Waits until the peer may take more, reading meanwhile: it may be unable to take anything before we do.
    fn wait_to_write(&mut self) -> Result<()> {
        self.wait(Interest::ReadOrWrite)?;
        self.receive(Wait::No)?;
        if self.dead { Err(self.fail("the daemon closed the connection")) } else { Ok(()) }
    }

    /// Takes in all frames that are there; with [`Wait::Yes`] at least one.
    fn receive(&mut self, wait: Wait) -> Result<()> {
        loop {
            let handled = self.take_frames()?;
            if wait == Wait::Yes && handled > 0 {
                return Ok(());
            }
            match self.fill()? {
                Got::Bytes => {}
                Got::Nothing if wait == Wait::No => return Ok(()),
                Got::Nothing => self.wait(Interest::Read)?,
                // Frames that came before the end still count; the next one who waits for more learns of it.
                Got::End if wait == Wait::No => {
                    self.dead = true;
                    return Ok(());
                }
                Got::End => return Err(self.fail("the daemon closed the connection")),
            }
        }
    }

    fn take_frames(&mut self) -> Result<usize> {
        let mut handled = 0;
        loop {
            let frame = match self.input.next() {
                Ok(None) => return Ok(handled),
                Ok(Some((head, payload))) => Frame::decode(head, payload),
                Err(e) => Err(e),
            };
            let progress = matches!(frame, Ok(Frame::Data { data: [_, ..], .. }));
            let taken = frame.map_err(SessionError::Frame).and_then(|frame| self.session.receive(frame));
            if let Err(e) = taken {
                return Err(self.broken(e));
            }
            if progress {
                self.progressed();
            }
            handled += 1;
        }
    }

    fn fill(&mut self) -> Result<Got> {
        if self.dead {
            return Ok(Got::End);
        }
        loop {
            match self.io.read(self.input.space()) {
                Ok(0) => return Ok(Got::End),
                Ok(n) => {
                    self.input.filled(n);
                    return Ok(Got::Bytes);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Got::Nothing),
                // How a killed daemon looks if it had unread bytes from us.
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Ok(Got::End),
                Err(e) => return Err(self.fail("read from the daemon").because(e)),
            }
        }
    }

    fn wait(&mut self, interest: Interest) -> Result<()> {
        let left = self.until.saturating_duration_since(self.io.now());
        let ready = if left.is_zero() { Ok(Ready::TimedOut) } else { self.io.wait(interest, left) };
        match ready {
            Ok(Ready::Yes) => Ok(()),
            Ok(Ready::TimedOut) => Err(self.late()),
            Err(e) => Err(self.fail("wait for the daemon").because(e)),
        }
    }

    fn progressed(&mut self) {
        if let Patience::Progress(time) = self.patience {
            self.until = self.io.now() + time;
        }
    }

    fn late(&mut self) -> Error {
        if let Some((end, given)) = self.end
            && self.io.now() >= end
        {
            return self.fail(format!("no answer within {}", seconds(given)));
        }
        match self.patience {
            Patience::Total(time) => self.fail(format!("no answer within {} s", time.as_secs())),
            Patience::Progress(time) => self.fail(format!("no progress for {} s", time.as_secs())),
        }
    }

    fn broken(&mut self, e: SessionError) -> Error {
        self.dead = true;
        Error::new(Kind::Runtime, "the daemon broke the HTTP/2 protocol")
            .because(e)
            .hint("check that the socket belongs to containerd 1.6 or newer")
    }

    /// The peer may have said why it closed, in frames that we did not read yet.
    fn write_failed(&mut self, e: std::io::Error) -> Error {
        let already_dead = std::mem::replace(&mut self.dead, false);
        if !already_dead {
            let _the_write_error_is_reported = self.receive(Wait::No);
        }
        self.fail("the daemon closed the connection").because(e)
    }

    pub(super) fn fail(&mut self, what: impl Into<String>) -> Error {
        self.dead = true;
        let mut what = what.into();
        if let Some(why) = self.session.going_away() {
            what = format!("{what} ({why})");
        }
        Error::new(Kind::Runtime, what).hint(HINT)
    }
}
