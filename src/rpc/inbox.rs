//! Messages out of DATA frames (gRPC, "Length-Prefixed-Message").
//!
//! ```text
//! | compressed 0 (8) | length (32) | message ...    frames and messages share no borders
//! ```

use std::collections::VecDeque;
use std::fmt;

/// Length of the prefix.
pub const PREFIX_LEN: usize = 5;

/// No call may ask for larger messages: the limit of every containerd for its own answers.
pub const HARD_LIMIT: usize = 16 * 1024 * 1024;

/// Messages that wait for their reader. One DATA frame can hold three thousand empty ones.
const MAX_WAITING: usize = 4096;

/// Why bytes are no messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InboxError {
    /// Compressed, or not 0 or 1 at all: we offered no compression.
    Compressed,
    /// Longer than the call allows.
    TooLong {
        /// Announced length.
        got: u32,
        /// The call's limit.
        limit: usize,
    },
    /// More messages than the reader asked for.
    TooMany,
    /// The stream ended inside a message.
    Cut,
}

impl fmt::Display for InboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InboxError::Compressed => f.write_str("message is flagged as compressed"),
            InboxError::TooLong { got, limit } => write!(f, "message of {got} bytes, at most {limit} are allowed"),
            InboxError::TooMany => f.write_str("more messages than were asked for"),
            InboxError::Cut => f.write_str("stream ends inside a message"),
        }
    }
}

impl std::error::Error for InboxError {}

/// The prefix of a message of `len` bytes that we send.
pub fn prefix(len: usize) -> [u8; PREFIX_LEN] {
    let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
    [0, a, b, c, d]
}

/// Received bytes of one stream, cut into messages.
#[derive(Debug)]
pub struct Inbox {
    limit: usize,
    partial: Vec<u8>,
    waiting: VecDeque<Vec<u8>>,
    waiting_bytes: usize,
}

impl Inbox {
    /// Takes messages of up to `limit` bytes (never more than [`HARD_LIMIT`]).
    pub fn new(limit: usize) -> Self {
        Inbox { limit: limit.min(HARD_LIMIT), partial: Vec::new(), waiting: VecDeque::new(), waiting_bytes: 0 }
    }

    /// The payload of a DATA frame.
    pub fn push(&mut self, mut data: &[u8]) -> Result<(), InboxError> {
        while !data.is_empty() {
            let missing = self.missing()?;
            let (part, rest) = data.split_at_checked(missing).unwrap_or((data, &[]));
            self.partial.extend_from_slice(part);
            data = rest;
            if self.missing()? == 0 {
                self.complete()?;
            }
        }
        Ok(())
    }

    /// The oldest complete message.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        let message = self.waiting.pop_front()?;
        self.waiting_bytes -= message.len();
        Some(message)
    }

    /// The stream is over: nothing may be half done.
    pub fn finish(&self) -> Result<(), InboxError> {
        if self.partial.is_empty() { Ok(()) } else { Err(InboxError::Cut) }
    }

    /// How many bytes the prefix or, if that is there, the message still lacks.
    fn missing(&self) -> Result<usize, InboxError> {
        let Some(([flag, length @ ..], message)) = self.partial.split_first_chunk::<PREFIX_LEN>() else {
            return Ok(PREFIX_LEN - self.partial.len());
        };
        if *flag != 0 {
            return Err(InboxError::Compressed);
        }
        let got = u32::from_be_bytes(*length);
        match usize::try_from(got) {
            Ok(length) if length <= self.limit => Ok(length - message.len()),
            _ => Err(InboxError::TooLong { got, limit: self.limit }),
        }
    }

    fn complete(&mut self) -> Result<(), InboxError> {
        let message = self.partial.split_off(PREFIX_LEN);
        self.partial.clear();
        self.waiting_bytes += message.len();
        // One message of full size may wait while the next one comes in.
        if self.waiting.len() >= MAX_WAITING || self.waiting_bytes > 2 * self.limit.max(PREFIX_LEN) {
            return Err(InboxError::TooMany);
        }
        self.waiting.push_back(message);
        Ok(())
    }
}
