//! Helpers of unit tests: hexadecimal bytes, and inputs that are the same on every run.

/// Bytes of a text such as `82 86 84`; white space does not count.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
    assert!(digits.len().is_multiple_of(2), "odd number of digits in {text}");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// xorshift64 (Marsaglia, 2003): a fixed sequence, so that a failure comes again.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Rng(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Calls `check` with `count` damaged forms of the `seeds`: bytes changed, removed, inserted, tails cut and joined.
pub(crate) fn mutate(seeds: &[Vec<u8>], count: usize, mut check: impl FnMut(&[u8])) {
    let mut rng = Rng::new(0x9e37_79b9_7f4a_7c15);
    for _ in 0..count {
        let mut bytes = seeds[rng.below(seeds.len())].clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len() + 1);
            match rng.below(6) {
                0 if at < bytes.len() => bytes[at] = rng.next() as u8,
                1 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 => bytes.insert(at, [0, 1, 0x7f, 0x80, 0xff, rng.next() as u8][rng.below(6)]),
                4 => bytes.truncate(at),
                _ => bytes.extend(seeds[rng.below(seeds.len())].iter().skip(at)),
            }
        }
        check(&bytes);
    }
}
