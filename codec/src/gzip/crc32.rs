//! The check value of gzip (RFC 1952 section 8): with the processor's instructions, or sixteen bytes at a time.

use crate::sys::crc32::{POLYNOMIAL, Update, detect};

pub(super) struct Crc32 {
    fast: Option<Update>,
    /// For a byte that is followed by 0 to 15 others. Made when a decoder is made: 16 KiB less in the program.
    tables: Box<[[u32; 256]; 16]>,
}

impl Crc32 {
    pub(super) fn new() -> Self {
        let mut tables = Box::new([[0; 256]; 16]);
        let mut before = [0; 256];
        for (number, table) in tables.iter_mut().enumerate() {
            for (byte, entry) in (0u32..).zip(table.iter_mut()) {
                // The table before, and one more byte of zeros.
                let mut value = if number == 0 { byte } else { before.get(byte as usize).copied().unwrap_or_default() };
                for _ in 0..8 {
                    value = value >> 1 ^ if value & 1 == 1 { POLYNOMIAL } else { 0 };
                }
                *entry = value;
            }
            before = *table;
        }
        Crc32 { fast: detect(), tables }
    }

    fn look(&self, table: usize, byte: u32) -> u32 {
        self.tables.get(table).and_then(|t| t.get((byte & 255) as usize)).copied().unwrap_or_default()
    }

    /// The value for the data before, which has the value `before`, and `data`.
    pub(super) fn add(&self, before: u32, data: &[u8]) -> u32 {
        let (mut value, taken) = self.fast.map_or((!before, 0), |update| update(!before, data));
        let (chunks, rest) = data.get(taken..).unwrap_or_default().as_chunks::<16>();
        for chunk in chunks {
            let (words, _) = chunk.as_chunks::<4>();
            let mut sum = 0;
            for (number, word) in words.iter().enumerate() {
                let mut word = u32::from_le_bytes(*word);
                if number == 0 {
                    word ^= value;
                }
                let table = 15 - 4 * number;
                sum ^= self.look(table, word) ^ self.look(table - 1, word >> 8);
                sum ^= self.look(table - 2, word >> 16) ^ self.look(table - 3, word >> 24);
            }
            value = sum;
        }
        for byte in rest {
            value = value >> 8 ^ self.look(0, value ^ u32::from(*byte));
        }
        !value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let crc = Crc32::new();
        let all: Vec<u8> = (0..=255).collect();
        // The check value of the algorithm's usual description, and zlib's crc32() of 0 to 255.
        assert_eq!((crc.add(0, b""), crc.add(0, b"123456789"), crc.add(0, &all)), (0, 0xcbf4_3926, 0x2905_8c73));
        for fast in [crc.fast, None] {
            let crc = Crc32 { fast, tables: crc.tables.clone() };
            for cut in 0..=all.len() {
                assert_eq!(crc.add(crc.add(0, &all[..cut]), &all[cut..]), 0x2905_8c73, "{cut}");
            }
        }
    }
}
