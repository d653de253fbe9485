//! Calls: one request or many, one answer or many, always in lock step (gRPC over HTTP/2, "Requests", "Responses").

mod failure;

use std::time::Duration;

use super::conn::{Connection, Patience};
use super::hpack;
use super::inbox;
use super::status::{Code, Status};
use super::transport::Transport;
use crate::error::{Error, Kind};

pub use failure::CallError;

/// What is to be called, and the limits of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// `/package.Service/Method`.
    pub path: &'static str,
    /// How long it may take.
    pub patience: Patience,
    /// Longest message of the answer.
    pub limit: usize,
}

impl Method {
    /// A call with one small answer: 30 s, 4 MiB.
    pub const fn unary(path: &'static str) -> Self {
        Method { path, patience: Patience::Total(Duration::from_secs(30)), limit: 4 * 1024 * 1024 }
    }

    /// The same call with another limit on time.
    #[must_use]
    pub const fn within(self, patience: Patience) -> Self {
        Method { patience, ..self }
    }
}

/// Whether more messages of ours follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// They do.
    No,
    /// This one ends our side of the stream.
    Yes,
}

/// A running call. Dropped before its end, it is cancelled.
#[derive(Debug)]
pub struct Exchange<'c, S: Transport> {
    conn: &'c mut Connection<S>,
    method: Method,
    block: Vec<u8>,
}

impl<S: Transport> Connection<S> {
    /// Starts a call; `metadata` are further header fields with lower-case names.
    pub fn start(&mut self, method: Method, metadata: &[(&str, &str)]) -> Result<Exchange<'_, S>, CallError> {
        check_metadata(metadata)?;
        let fixed = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method.path),
            // Not the socket's path: servers that check the field refuse it.
            (":authority", "localhost"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", concat!("edgelay/", env!("CARGO_PKG_VERSION"))),
        ];
        let block = hpack::encode(fixed.iter().chain(metadata).copied());
        let mut call = Exchange { conn: self, method, block };
        call.open()?;
        Ok(call)
    }
}

impl<S: Transport> Exchange<'_, S> {
    /// The whole call: one request, one answer.
    pub fn unary(mut self, request: &[u8]) -> Result<Vec<u8>, CallError> {
        self.send(request, &[], Last::Yes)?;
        let answer = self.receive()?;
        match (answer, self.receive()?) {
            (Some(answer), None) => Ok(answer),
            (None, _) => Err(self.status(Status::new(Code::Internal, "success without an answer"))),
            (_, Some(_)) => Err(self.status(Status::new(Code::Internal, "more than one answer to one request"))),
        }
    }

    /// Sends one message that consists of `head` and `body`, without copying them together.
    ///
    /// Returns early if the peer ended the call; [`Self::receive`] then tells how.
    pub fn send(&mut self, head: &[u8], body: &[u8], last: Last) -> Result<(), CallError> {
        let len = head.len() + body.len();
        if len > inbox::HARD_LIMIT {
            let text = format!("message of {len} bytes is longer than containerd takes, {}", inbox::HARD_LIMIT);
            return Err(CallError::Broken(Error::new(Kind::Bug, text)));
        }
        let front = [&inbox::prefix(len), head].concat();
        let (mut front, mut body) = (front.as_slice(), body);
        while !(self.ended() || front.is_empty() && body.is_empty()) {
            self.conn.send_some(&mut front, &mut body, last == Last::Yes).map_err(|e| self.broken(e))?;
        }
        Ok(())
    }

    /// Gives the call up, lets time pass, and starts it again.
    pub fn restart_after(&mut self, pause: Duration) -> Result<(), CallError> {
        self.conn.session().close_stream();
        self.conn.pause(pause).map_err(|e| self.broken(e))?;
        self.open()
    }

    fn open(&mut self) -> Result<(), CallError> {
        self.conn.start_clock(self.method.patience);
        if self.conn.is_dead() || !self.conn.session().open(&self.block, self.method.limit) {
            let e = self.conn.fail("the connection to the daemon is closed");
            return Err(self.broken(e));
        }
        Ok(())
    }

    /// Changes how long the rest of the call may take, counted from now.
    pub fn set_patience(&mut self, patience: Patience) {
        self.conn.start_clock(patience);
    }

    /// The next message of the answer; `None` when the call ended well.
    pub fn receive(&mut self) -> Result<Option<Vec<u8>>, CallError> {
        loop {
            let Some(stream) = self.conn.session().stream() else { return Ok(None) };
            if let Some(message) = stream.message() {
                return Ok(Some(message));
            }
            if let Some(outcome) = stream.outcome() {
                let outcome = outcome.clone();
                return if outcome.code == Code::Ok { Ok(None) } else { Err(self.status(outcome)) };
            }
            self.conn.receive_more().map_err(|e| self.broken(e))?;
        }
    }

    fn ended(&mut self) -> bool {
        self.conn.session().stream().is_none_or(|stream| stream.outcome().is_some())
    }

    fn status(&self, status: Status) -> CallError {
        CallError::Status { method: self.method.path, status: Box::new(status) }
    }

    fn broken(&self, e: Error) -> CallError {
        CallError::broken(self.method.path, e)
    }
}

impl<S: Transport> Drop for Exchange<'_, S> {
    fn drop(&mut self) {
        self.conn.session().close_stream();
        let _the_next_call_reports_it = self.conn.flush_some();
    }
}

/// Values come from checked names; anything else would let a caller smuggle in header fields.
fn check_metadata(metadata: &[(&str, &str)]) -> Result<(), CallError> {
    let bad = |text: &str| text.is_empty() || !text.bytes().all(|b| (0x20..0x7f).contains(&b));
    match metadata.iter().find(|(name, value)| bad(name) || bad(value)) {
        None => Ok(()),
        Some((name, _)) => Err(CallError::Broken(Error::new(
            Kind::Bug,
            format_args!("header '{name}' has a value that cannot be sent"),
        ))),
    }
}

#[cfg(test)]
mod tests;
