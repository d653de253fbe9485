//! The nine bytes in front of every frame (RFC 9113 §4.1).

use super::{FrameError, MAX_PAYLOAD};

/// Length of an encoded [`Head`].
pub const HEAD_LEN: usize = 9;

/// Length, kind, flags and stream of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Length of the payload, at most [`MAX_PAYLOAD`].
    pub len: u32,
    /// One of [`super::kind`], or unknown.
    pub kind: u8,
    /// Flags; their meaning depends on the kind.
    pub flags: u8,
    /// Stream identifier, 0 for the connection.
    pub stream: u32,
}

impl Head {
    /// Reads a head; the reserved bit in front of the stream identifier is ignored, as §4.1 asks.
    pub fn decode(bytes: [u8; HEAD_LEN]) -> Result<Head, FrameError> {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = bytes;
        let len = u32::from_be_bytes([0, l2, l1, l0]);
        if len > MAX_PAYLOAD {
            return Err(FrameError::TooLong { got: len });
        }
        Ok(Head { len, kind, flags, stream: u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]) })
    }

    /// The bytes of this head.
    pub fn encode(self) -> [u8; HEAD_LEN] {
        let [_, l2, l1, l0] = self.len.to_be_bytes();
        let [s3, s2, s1, s0] = self.stream.to_be_bytes();
        [l2, l1, l0, self.kind, self.flags, s3, s2, s1, s0]
    }

    /// Whether all bits of `flag` are set.
    pub fn has(self, flag: u8) -> bool {
        self.flags & flag == flag
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::frame::kind;

    #[test]
    fn heads_read_and_write_the_same_bytes() {
        let golden: &[([u8; 9], Head)] = &[
            ([0, 0, 0, 4, 1, 0, 0, 0, 0], Head { len: 0, kind: kind::SETTINGS, flags: 1, stream: 0 }),
            ([0, 0, 8, 6, 1, 0, 0, 0, 0], Head { len: 8, kind: kind::PING, flags: 1, stream: 0 }),
            ([0, 0x40, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff], Head { len: 16_384, kind: 0, flags: 0, stream: 0x7fff_ffff }),
            ([0, 1, 2, 0xfe, 0xff, 0, 1, 2, 3], Head { len: 258, kind: 0xfe, flags: 0xff, stream: 0x1_0203 }),
        ];
        for (bytes, head) in golden {
            assert_eq!(Head::decode(*bytes), Ok(*head));
            assert_eq!(head.encode(), *bytes);
        }
    }

    #[test]
    fn reserved_bit_is_ignored_and_length_is_capped() {
        assert_eq!(Head::decode([0, 0, 0, 0, 0, 0x80, 0, 0, 1]).map(|h| h.stream), Ok(1));
        assert_eq!(Head::decode([0, 0x40, 1, 0, 0, 0, 0, 0, 1]), Err(FrameError::TooLong { got: 16_385 }));
        assert_eq!(Head::decode([0xff; 9]), Err(FrameError::TooLong { got: 0xff_ffff }));
    }
}
