//! Zstandard streams: any number of frames, skippable ones among them (RFC 8878 section 3.1), in bounded memory.

use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// Largest window a frame may ask for. RFC 8878 section 3.1.1.1.2 has every decoder support this much; `zstd --long`
/// and `--ultra` need more, and a hostile frame could ask for 3.75 TiB.
const MAX_WINDOW: u64 = 8 << 20;

/// The uncompressed bytes of a stream of frames.
pub(super) struct Zstd<R> {
    input: Watched<R>,
    frame: FrameDecoder,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a frame, or at the end.
    Between,
    Inside,
    /// An error was told; nothing more comes.
    Broken,
}

impl<R: Read> Zstd<R> {
    pub(super) fn new(input: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(MAX_WINDOW);
        Zstd { input: Watched { input, ahead: None, ended: false }, frame, state: State::Between }
    }

    /// Enters the next frame, over skippable ones. False: the stream ends here.
    fn enter(&mut self) -> io::Result<bool> {
        loop {
            if !self.input.more()? {
                return Ok(false);
            }
            match self.frame.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    if io::copy(&mut (&mut self.input).take(length), &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(e) => return Err(self.input.explain(e)),
            }
        }
    }

    fn fill(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.state == State::Between {
                if !self.enter()? {
                    return Ok(0);
                }
                self.state = State::Inside;
            }
            while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                let step = self.frame.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1));
                step.map_err(|e| self.input.explain(e))?;
            }
            let n = self.frame.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
            // An empty frame, or the last byte of this one is out.
            self.state = State::Between;
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        if self.state == State::Broken {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the stream is broken"));
        }
        let done = self.fill(buf);
        if done.is_err() {
            self.state = State::Broken;
        }
        done
    }
}

/// Knows whether the input has ended: the decoder's own errors do not tell a cut stream from a damaged one.
struct Watched<R> {
    input: R,
    ahead: Option<u8>,
    ended: bool,
}

impl<R: Read> Watched<R> {
    /// Whether at least one more byte comes.
    fn more(&mut self) -> io::Result<bool> {
        let mut byte = [0];
        while self.ahead.is_none() {
            match self.input.read(&mut byte) {
                Ok(0) => return Ok(false),
                Ok(_) => self.ahead = Some(u8::from_le_bytes(byte)),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(true)
    }

    fn explain(&self, e: FrameDecoderError) -> io::Error {
        let kind = if self.ended { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
        io::Error::new(kind, format!("zstd: {e}"))
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match (buf.first_mut(), self.ahead.take()) {
            (Some(first), Some(byte)) => {
                *first = byte;
                Ok(1)
            }
            (None, ahead) => {
                self.ahead = ahead;
                Ok(0)
            }
            (Some(_), None) => {
                let n = self.input.read(buf)?;
                self.ended |= n == 0;
                Ok(n)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Zstd::new(bytes).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn frames_in_a_row_and_skippable_ones() {
        let frame = |data: &[u8]| zstd::encode_all(data, 3).unwrap();
        let skip = [&[0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let stream = [&skip[..], &frame(b"one"), &frame(b""), &skip, &frame(b"two"), &skip].concat();
        assert_eq!(unpack(&stream).unwrap(), b"onetwo");
        assert_eq!(unpack(&stream[..stream.len() - 1]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(unpack(&[&frame(b"one")[..], b"garbage"].concat()).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn large_windows_are_refused() {
        let packed = |log| {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&[0; 4096]).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(unpack(&packed(23)).unwrap(), [0; 4096]);
        let refused = unpack(&packed(24)).unwrap_err().to_string();
        assert!(refused.contains("window"), "{refused}");
    }
}
