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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    fn all(inbox: &mut Inbox) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| inbox.pop()).collect()
    }

    #[test]
    fn messages_do_not_depend_on_frames() {
        let bytes =
            [&[0, 0, 0, 0, 0][..], &[0, 0, 0, 0, 3], b"abc", &[0, 0, 0, 0, 0], &[0, 0, 0, 1, 0], &[7; 256]].concat();
        let want = [vec![], b"abc".to_vec(), vec![], vec![7; 256]];
        for size in [1, 2, 3, 5, 7, 8, 13, 300, bytes.len()] {
            let mut inbox = Inbox::new(1000);
            for frame in bytes.chunks(size) {
                inbox.push(frame).unwrap();
            }
            assert_eq!(inbox.finish(), Ok(()));
            assert_eq!(all(&mut inbox), want, "frames of {size} bytes");
        }
    }

    #[test]
    fn each_fault_has_its_reason() {
        let push = |bytes: &[u8]| Inbox::new(10).push(bytes);
        assert_eq!(push(&[1, 0, 0, 0, 0]), Err(InboxError::Compressed));
        assert_eq!(push(&[2, 0, 0, 0, 1, 0]), Err(InboxError::Compressed));
        assert_eq!(push(&[0, 0, 0, 0, 11]), Err(InboxError::TooLong { got: 11, limit: 10 }));
        assert_eq!(push(&[0, 255, 255, 255, 255]), Err(InboxError::TooLong { got: u32::MAX, limit: 10 }));
        assert_eq!(push(&[0, 0, 0, 0, 10]), Ok(()));
        assert_eq!(
            Inbox::new(usize::MAX).push(&[0, 1, 0, 0, 1]),
            Err(InboxError::TooLong { got: 16 * 1024 * 1024 + 1, limit: 16 * 1024 * 1024 })
        );
        for cut in [&[0][..], &[0, 0, 0, 0], &[0, 0, 0, 0, 2], &[0, 0, 0, 0, 2, 9]] {
            let mut inbox = Inbox::new(10);
            inbox.push(cut).unwrap();
            assert_eq!((inbox.finish(), inbox.pop()), (Err(InboxError::Cut), None));
        }
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut inbox = Inbox::new(100);
        assert_eq!(inbox.push(&[0; 5 * 4096]), Ok(()));
        assert_eq!(inbox.push(&[0; 5]), Err(InboxError::TooMany));
        let mut inbox = Inbox::new(100);
        let message = [&prefix(100)[..], &[1; 100]].concat();
        assert_eq!((inbox.push(&message), inbox.push(&message)), (Ok(()), Ok(())));
        assert_eq!(inbox.push(&message), Err(InboxError::TooMany));
        let mut inbox = Inbox::new(100);
        for _ in 0..10_000 {
            inbox.push(&message).unwrap();
            assert_eq!(inbox.pop().map(|m| m.len()), Some(100));
        }
    }

    #[test]
    fn random_bytes_never_exceed_the_limits() {
        let mut rng = Rng::new(3);
        for _ in 0..20_000 {
            let mut inbox = Inbox::new(64);
            for _ in 0..8 {
                let bytes: Vec<u8> = (0..rng.below(40)).map(|_| (rng.next() % 5) as u8 & rng.next() as u8).collect();
                if inbox.push(&bytes).is_err() {
                    break;
                }
                assert!(inbox.partial.len() < PREFIX_LEN + 64);
            }
            assert!(all(&mut inbox).iter().all(|message| message.len() <= 64));
            assert_eq!(inbox.waiting_bytes, 0);
        }
    }
}
