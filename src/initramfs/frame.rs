//! A zstd frame without compression (RFC 8878, 3.1.1): raw blocks, and one byte for a block that repeats it.
//!
//! For hosts without the program `zstd`: every kernel that unpacks zstd images takes it, at the price of their size.

use std::io::{self, Write};

/// Largest block, and the window that is announced: a decoder needs no more memory than this.
const BLOCK: usize = 128 << 10;
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// No size, no checksum, no dictionary; then the window: exponent 7 is 2^17 (3.1.1.1.2).
const HEADER: [u8; 2] = [0, 7 << 3];

/// Puts what is written to it into one frame.
pub struct RawFrame<'w> {
    out: &'w mut dyn Write,
    block: Vec<u8>,
}

impl std::fmt::Debug for RawFrame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawFrame with {} bytes waiting", self.block.len())
    }
}

impl<'w> RawFrame<'w> {
    /// Begins the frame.
    pub fn new(out: &'w mut dyn Write) -> io::Result<Self> {
        out.write_all(&MAGIC)?;
        out.write_all(&HEADER)?;
        Ok(RawFrame { out, block: Vec::with_capacity(BLOCK) })
    }

    /// Ends the frame.
    pub fn finish(mut self) -> io::Result<()> {
        self.put(true)
    }

    /// Block header (3.1.1.2): last in bit 0, type in bits 1 and 2, size above.
    fn put(&mut self, last: bool) -> io::Result<()> {
        let repeated = self.block.first().filter(|first| self.block.iter().all(|b| b == *first)).copied();
        let kind = if repeated.is_some() { 1 } else { 0 };
        let size = u32::try_from(self.block.len()).unwrap_or(0);
        let head = size << 3 | kind << 1 | u32::from(last);
        self.out.write_all(head.to_le_bytes().get(..3).unwrap_or_default())?;
        match repeated {
            Some(byte) => self.out.write_all(&[byte])?,
            None => self.out.write_all(&self.block)?,
        }
        self.block.clear();
        Ok(())
    }
}

impl Write for RawFrame<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.put(false)?;
        }
        let room = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(bytes.get(..room).unwrap_or_default());
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn the_reference_decoder_reads_it() {
        let mut rng = Rng::new(7);
        let random: Vec<u8> = (0..300_000).map(|_| rng.next() as u8).collect();
        let zeros = vec![0; 400_000];
        for content in [vec![], b"a".to_vec(), random.clone(), zeros.clone(), [random, zeros, b"end".to_vec()].concat()]
        {
            let mut bytes = Vec::new();
            let mut frame = RawFrame::new(&mut bytes).unwrap();
            frame.write_all(&content).unwrap();
            frame.finish().unwrap();
            assert_eq!(zstd::decode_all(bytes.as_slice()).unwrap(), content);
        }
    }
}
