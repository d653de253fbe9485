//! One stream: response head, messages, and how it ended (RFC 9113 §8.1, gRPC "Responses").

use super::CREDIT;
use super::SessionError;
use crate::rpc::flow::Window;
use crate::rpc::hpack::Header;
use crate::rpc::inbox::Inbox;
use crate::rpc::status::{Code, Status, find};

/// The open stream of a [`super::Session`].
#[derive(Debug)]
pub struct Stream {
    pub(super) id: u32,
    pub(super) window: Window,
    pub(super) local_end: bool,
    inbox: Inbox,
    received: u32,
    head: bool,
    remote_end: bool,
    outcome: Option<Status>,
}

impl Stream {
    pub(super) fn new(id: u32, window: Window, limit: usize) -> Self {
        let inbox = Inbox::new(limit);
        Stream { id, window, local_end: false, inbox, received: 0, head: false, remote_end: false, outcome: None }
    }

    /// The oldest complete message.
    pub fn message(&mut self) -> Option<Vec<u8>> {
        self.inbox.pop()
    }

    /// How the call ended, once it has.
    pub fn outcome(&self) -> Option<&Status> {
        self.outcome.as_ref()
    }

    /// Whether both sides are done, so that nobody need be told of an end.
    pub(super) fn closed(&self) -> bool {
        self.remote_end && self.local_end
    }

    /// The first end counts: what follows trailers (grpc-go sends RST_STREAM(NO_ERROR)) changes nothing.
    pub(super) fn end(&mut self, status: Status) {
        self.outcome.get_or_insert(status);
    }

    /// Returns what the peer may send again on this stream, if it is time to say so.
    pub(super) fn on_data(&mut self, data: &[u8], flow: u32, end_stream: bool) -> Result<Option<u32>, SessionError> {
        if self.outcome.is_some() {
            self.remote_end |= end_stream;
            return Ok(None);
        }
        if !self.head {
            return Err(SessionError::Order("DATA before the response head"));
        }
        self.inbox.push(data)?;
        if end_stream {
            self.remote_end = true;
            self.end(Status::new(Code::Internal, "the answer ended without a status"));
            return Ok(None);
        }
        self.received += flow;
        if self.received < CREDIT {
            return Ok(None);
        }
        Ok(Some(std::mem::take(&mut self.received)))
    }

    pub(super) fn on_headers(&mut self, fields: &[Header], end_stream: bool) -> Result<(), SessionError> {
        self.remote_end |= end_stream;
        if self.outcome.is_some() {
            return Ok(());
        }
        if end_stream {
            return self.on_trailers(fields);
        }
        if self.head {
            return Err(SessionError::Order("header block in the middle of an answer"));
        }
        // RFC 9113 §8.1: interim answers come before the real head.
        if find(fields, ":status").is_some_and(|status| status.starts_with(b"1")) {
            return Ok(());
        }
        self.head = true;
        if let Some(bad) = Status::from_bad_head(fields) {
            self.end(Status::from_trailers(fields).unwrap_or(bad));
        }
        Ok(())
    }

    /// Trailers, or the only header block of an answer without messages.
    fn on_trailers(&mut self, fields: &[Header]) -> Result<(), SessionError> {
        let status = Status::from_trailers(fields);
        let bad = if self.head { None } else { Status::from_bad_head(fields) };
        let status = status.or(bad).unwrap_or_else(|| Status::new(Code::Internal, "the answer ended without a status"));
        if status.code == Code::Ok {
            self.inbox.finish()?;
        }
        self.end(status);
        Ok(())
    }

    pub(super) fn on_reset(&mut self, code: u32) {
        // Nothing more is to be said on a stream that was reset.
        self.remote_end = true;
        self.local_end = true;
        self.end(Status::from_reset(code));
    }
}
