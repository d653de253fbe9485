//! Data of several kinds for the tests beside; all made from fixed seeds.
#![allow(dead_code, clippy::unwrap_used, reason = "part of several test programs, each of which uses some of it")]

use std::io::{BufRead, Read, Result};

/// Numbers that look like chance and are the same in every run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next one.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::try_from((self.next() >> 11) % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// Bytes of one kind: what they are, and `length` of them.
pub(crate) fn kinds(length: usize) -> Vec<(&'static str, Vec<u8>)> {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    let noise: Vec<u8> = (0..length).map(|_| numbers.next().to_le_bytes()[7]).collect();
    let skewed = (0..length).map(|_| (numbers.next() % 7 * (numbers.next() % 5)).to_le_bytes()[0]).collect();
    let words: Vec<&[u8]> = noise.chunks(5).take(400).collect();
    let mut text = Vec::new();
    while text.len() < length && !words.is_empty() {
        text.extend_from_slice(words[numbers.below(words.len())]);
    }
    text.truncate(length);
    // Matches of all distances and lengths, short ones that overlap themselves among them.
    let mut copies: Vec<u8> = noise.iter().copied().take(64).collect();
    while copies.len() < length && !copies.is_empty() {
        let distance = 1 + match numbers.below(3) {
            0 => numbers.below(20),
            1 => numbers.below(1000),
            _ => numbers.below(copies.len()),
        };
        let from = copies.len().saturating_sub(distance);
        let count = if numbers.below(50) == 0 { numbers.below(70_000) } else { 3 + numbers.below(40) };
        for at in from..from + count {
            copies.push(copies[at]);
        }
        for _ in 0..numbers.below(30) {
            copies.push(numbers.next().to_le_bytes()[3]);
        }
    }
    copies.truncate(length);
    vec![("zeros", vec![0; length]), ("noise", noise), ("skewed", skewed), ("text", text), ("copies", copies)]
}

/// Reads in pieces of other sizes than were asked for, or one byte at a time.
pub(crate) struct Dribble<'a> {
    /// What is left.
    pub(crate) data: &'a [u8],
    /// Most that is given at once.
    pub(crate) most: usize,
}

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
        let n = self.most.min(buf.len()).min(self.data.len());
        let (now, later) = self.data.split_at(n);
        buf[..n].copy_from_slice(now);
        self.data = later;
        Ok(n)
    }
}

/// All that comes, in pieces of at most `most`, and how it ends.
pub(crate) fn drain(mut reader: impl BufRead, most: usize) -> (Vec<u8>, Result<()>) {
    let mut all = Vec::new();
    let mut buf = vec![0; most];
    loop {
        match reader.read(&mut buf) {
            Ok(0) => return (all, Ok(())),
            Ok(n) => all.extend_from_slice(&buf[..n]),
            Err(e) => {
                // A fault stays one.
                let again = reader.read(&mut buf).unwrap_err();
                assert_eq!(again.kind(), e.kind());
                return (all, Err(e));
            }
        }
    }
}
