//! XXH64 with seed 0, of which frames carry the low half (RFC 8878 section 3.1.1).

const P1: u64 = 0x9e37_79b1_85eb_ca87;
const P2: u64 = 0xc2b2_ae3d_27d4_eb4f;
const P3: u64 = 0x1656_67b1_9e37_79f9;
const P4: u64 = 0x85eb_ca77_c2b2_ae63;
const P5: u64 = 0x27d4_eb2f_1656_67c5;

/// Bytes that are hashed together.
const STRIPE: usize = 32;

/// The hash of what was added so far.
pub(super) struct Xxh64 {
    lanes: [u64; 4],
    rest: [u8; STRIPE],
    held: usize,
    total: u64,
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

fn stripes(mut lanes: [u64; 4], data: &[u8]) -> [u64; 4] {
    for stripe in data.as_chunks::<STRIPE>().0 {
        for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
            *lane = round(*lane, u64::from_le_bytes(*word));
        }
    }
    lanes
}

impl Xxh64 {
    pub(super) fn new() -> Self {
        let lanes = [P1.wrapping_add(P2), P2, 0, 0u64.wrapping_sub(P1)];
        Xxh64 { lanes, rest: [0; STRIPE], held: 0, total: 0 }
    }

    pub(super) fn add(&mut self, mut data: &[u8]) {
        self.total = self.total.wrapping_add(data.len() as u64);
        if self.held > 0 {
            let free = self.rest.get_mut(self.held..).unwrap_or_default();
            let (now, later) = data.split_at(free.len().min(data.len()));
            for (to, from) in free.iter_mut().zip(now) {
                *to = *from;
            }
            self.held += now.len();
            data = later;
            if self.held < STRIPE {
                return;
            }
            self.lanes = stripes(self.lanes, &self.rest);
        }
        let (whole, rest) = data.split_at(data.len() - data.len() % STRIPE);
        self.lanes = stripes(self.lanes, whole);
        self.held = rest.len();
        for (to, from) in self.rest.iter_mut().zip(rest) {
            *to = *from;
        }
    }

    pub(super) fn finish(&self) -> u64 {
        let [a, b, c, d] = self.lanes;
        let mut hash = if self.total < STRIPE as u64 {
            P5
        } else {
            let sum = |x: u64, y: u32, to: u64| to.wrapping_add(x.rotate_left(y));
            let merge = |hash: u64, lane: u64| (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4);
            let mixed = sum(d, 18, sum(c, 12, sum(b, 7, a.rotate_left(1))));
            merge(merge(merge(merge(mixed, a), b), c), d)
        };
        hash = hash.wrapping_add(self.total);
        let (words, rest) = self.rest.get(..self.held).unwrap_or_default().as_chunks::<8>();
        for word in words {
            hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        }
        let (halves, bytes) = rest.as_chunks::<4>();
        for half in halves {
            let half = u64::from(u32::from_le_bytes(*half));
            hash = (hash ^ half.wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        }
        for byte in bytes {
            hash = (hash ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
        }
        hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
        hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
        hash ^ (hash >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of the xxHash project's own `xxhsum -H64`.
    #[test]
    fn known_values() {
        let all: Vec<u8> = (0..=255).collect();
        let values: [(&[u8], u64); 4] = [
            (b"", 0xef46_db37_51d8_e999),
            (b"a", 0xd24e_c4f1_a98c_6e5b),
            (b"abc", 0x44bc_2cf5_ad77_0999),
            (b"Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
        ];
        for (data, hash) in values {
            let mut one = Xxh64::new();
            one.add(data);
            assert_eq!(one.finish(), hash);
        }
        let mut whole = Xxh64::new();
        whole.add(&all);
        for cut in 0..=all.len() {
            let mut two = Xxh64::new();
            two.add(&all[..cut]);
            two.add(&all[cut..]);
            assert_eq!(two.finish(), whole.finish(), "{cut}");
        }
    }
}
