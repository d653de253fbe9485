//! CRC-32 of gzip with the processor's instructions, where it has them: on a small board the tables of the other way do not
//! fit into the nearest cache beside those of the stream.

#![allow(unsafe_code, reason = "a function for newer processors is called once the processor was asked")]

/// The state after `data`, from the state `value` before it, as `Crc32` keeps them: not inverted.
pub(crate) type Update = fn(u32, &[u8]) -> (u32, usize);

/// The fast way of this processor, if it has one. It says how many bytes at the beginning of its data it took.
pub(crate) fn detect() -> Option<Update> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("pclmulqdq") && std::arch::is_x86_feature_detected!("sse4.1") {
        // SAFETY: the processor has both features that the function was compiled for; it has no other condition.
        return Some(|value, data| unsafe { x86::update(value, data) });
    }
    #[cfg(target_arch = "aarch64")]
    if std::arch::is_aarch64_feature_detected!("crc") {
        // SAFETY: the processor has the feature that the function was compiled for; it has no other condition.
        return Some(|value, data| unsafe { arm::update(value, data) });
    }
    None
}

/// Folding by carry-less multiplication, as in Intel's "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ
/// Instruction" (2009), for the bit-reflected polynomial.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m128i, _mm_clmulepi64_si128, _mm_cvtsi32_si128, _mm_extract_epi64, _mm_set_epi64x, _mm_xor_si128,
    };

    /// Multipliers that move 16 bytes forward by this many bytes: x^(8n+32) and x^(8n-32) modulo the polynomial.
    const fn forward(bytes: u32) -> (u64, u64) {
        (power(8 * bytes + 32), power(8 * bytes - 32))
    }

    /// x^n modulo the polynomial, reflected in 33 bits.
    const fn power(n: u32) -> u64 {
        let (mut value, mut n) = (0x8000_0000u32, n);
        while n > 0 {
            value = value >> 1 ^ if value & 1 == 1 { super::POLYNOMIAL } else { 0 };
            n -= 1;
        }
        (value as u64) << 1
    }

    const BY_64: (u64, u64) = forward(64);
    const BY_16: (u64, u64) = forward(16);

    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn pair((low, high): (u64, u64)) -> __m128i {
        _mm_set_epi64x(high.cast_signed(), low.cast_signed())
    }

    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn load(bytes: [u8; 16]) -> __m128i {
        let half = |bytes: Option<&[u8; 8]>| u64::from_le_bytes(bytes.copied().unwrap_or_default());
        pair((half(bytes.first_chunk()), half(bytes.last_chunk())))
    }

    /// `ahead` with `lane` moved over to it.
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    fn fold(lane: __m128i, by: __m128i, ahead: __m128i) -> __m128i {
        let (low, high) = (_mm_clmulepi64_si128::<0x00>(lane, by), _mm_clmulepi64_si128::<0x11>(lane, by));
        _mm_xor_si128(_mm_xor_si128(low, high), ahead)
    }

    /// Takes whole pieces of 64 bytes.
    #[target_feature(enable = "pclmulqdq,sse4.1")]
    pub(super) fn update(value: u32, data: &[u8]) -> (u32, usize) {
        let (pieces, _) = data.as_chunks::<16>();
        let (rounds, _) = pieces.as_chunks::<4>();
        let Some((first, rounds)) = rounds.split_first() else { return (value, 0) };
        let mut lanes = [load(first[0]), load(first[1]), load(first[2]), load(first[3])];
        lanes[0] = _mm_xor_si128(lanes[0], _mm_cvtsi32_si128(value.cast_signed()));
        let by = pair(BY_64);
        for round in rounds {
            for (lane, ahead) in lanes.iter_mut().zip(round) {
                *lane = fold(*lane, by, load(*ahead));
            }
        }
        let by = pair(BY_16);
        let last = fold(fold(fold(lanes[0], by, lanes[1]), by, lanes[2]), by, lanes[3]);
        let (low, high) = (_mm_extract_epi64::<0>(last), _mm_extract_epi64::<1>(last));
        let mut state = 0;
        for byte in low.to_le_bytes().into_iter().chain(high.to_le_bytes()) {
            state = super::step(state, byte);
        }
        (state, 64 * (rounds.len() + 1))
    }
}

#[cfg(target_arch = "aarch64")]
mod arm {
    use std::arch::aarch64::__crc32d;

    /// Takes whole pieces of 8 bytes.
    #[target_feature(enable = "crc")]
    pub(super) fn update(value: u32, data: &[u8]) -> (u32, usize) {
        let (pieces, _) = data.as_chunks::<8>();
        let state = pieces.iter().fold(value, |state, piece| __crc32d(state, u64::from_le_bytes(*piece)));
        (state, 8 * pieces.len())
    }
}

/// The reversed polynomial.
pub(crate) const POLYNOMIAL: u32 = 0xedb8_8320;

/// One byte, bit by bit.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
fn step(state: u32, byte: u8) -> u32 {
    let mut state = state ^ u32::from(byte);
    for _ in 0..8 {
        state = state >> 1 ^ if state & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_way_agrees_with_bit_by_bit() {
        let Some(update) = detect() else { return };
        let data: Vec<u8> = (0u32..1000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for start in [0, 0xffff_ffff, 0x1234_5678] {
            for length in (0..300).chain([511, 512, 513, 1000]) {
                let (state, took) = update(start, &data[..length]);
                assert!(took <= length && length - took < 64, "{length}: {took}");
                assert_eq!(
                    state,
                    data[..took].iter().fold(start, |state, byte| step(state, *byte)),
                    "{start:x} {length}"
                );
            }
        }
    }
}
