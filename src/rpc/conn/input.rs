//! The receive buffer: bytes in, whole frames out, each at most once in memory.

use crate::rpc::frame::{FrameError, HEAD_LEN, Head, MAX_PAYLOAD_LEN};

/// Room for the longest frame and the start of what follows it.
const SIZE: usize = 2 * (HEAD_LEN + MAX_PAYLOAD_LEN);

/// Bytes between `start` and `end` of the buffer are not yet taken.
#[derive(Debug)]
pub(super) struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Input {
    fn default() -> Self {
        Input { buffer: vec![0; SIZE], start: 0, end: 0 }
    }
}

impl Input {
    /// Where the next bytes are to be read to; never empty after all whole frames were taken.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.start > SIZE / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// `n` bytes were read into [`Self::space`].
    pub(super) fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.buffer.len());
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<(Head, &[u8])>, FrameError> {
        let bytes = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD_LEN>() else { return Ok(None) };
        let head = Head::decode(*head)?;
        let Some(payload) = usize::try_from(head.len).ok().and_then(|len| rest.get(..len)) else { return Ok(None) };
        self.start += HEAD_LEN + payload.len();
        Ok(Some((head, payload)))
    }
}
