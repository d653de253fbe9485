//! The Huffman code of RFC 7541 appendix B, decoding only.
//!
//! The code is canonical: symbols sorted by (length, value) have ascending codes. So the 257 lengths are the whole
//! table, and a code of n bits is a symbol if its distance from the first code of that length is small enough.

use super::HpackError;

/// Longest code.
const MAX_BITS: usize = 30;
/// Symbols: all bytes and EOS.
const SYMBOLS: usize = 257;
/// End of string; must not occur (§5.2).
const EOS: u16 = 256;

/// Code length of every symbol, typed from appendix B.
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

/// Per code length: the first code, how many there are, and where their symbols start in `symbols`.
struct Codes {
    first: [u32; MAX_BITS + 1],
    count: [u32; MAX_BITS + 1],
    start: [u32; MAX_BITS + 1],
    symbols: [u16; SYMBOLS],
}

const CODES: Codes = build();

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "runs at compile time only")]
const fn build() -> Codes {
    let mut codes =
        Codes { first: [0; MAX_BITS + 1], count: [0; MAX_BITS + 1], start: [0; MAX_BITS + 1], symbols: [0; SYMBOLS] };
    let (mut next, mut placed, mut bits) = (0u32, 0, 1);
    while bits <= MAX_BITS {
        next <<= 1;
        codes.first[bits] = next;
        codes.start[bits] = placed as u32;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == bits {
                codes.symbols[placed] = symbol as u16;
                placed += 1;
                next += 1;
            }
            symbol += 1;
        }
        codes.count[bits] = next - codes.first[bits];
        bits += 1;
    }
    codes
}

/// The symbol of a code of this length, if there is one.
fn symbol(code: u32, bits: usize) -> Option<u16> {
    let distance = code.checked_sub(*CODES.first.get(bits)?)?;
    if distance >= *CODES.count.get(bits)? {
        return None;
    }
    let at = usize::try_from(CODES.start.get(bits)? + distance).ok()?;
    CODES.symbols.get(at).copied()
}

/// Decodes a whole string.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<u8>, HpackError> {
    // The shortest codes have 5 bits.
    let mut out = Vec::with_capacity(bytes.len() * 8 / 5);
    let (mut code, mut bits) = (0u32, 0);
    for byte in bytes {
        for shift in (0..8).rev() {
            code = code << 1 | u32::from(byte >> shift & 1);
            bits += 1;
            match symbol(code, bits) {
                Some(EOS) => return Err(HpackError::Huffman),
                Some(symbol) => {
                    out.push(u8::try_from(symbol).map_err(|_| HpackError::Huffman)?);
                    (code, bits) = (0, 0);
                }
                None if bits >= MAX_BITS => return Err(HpackError::Huffman),
                None => {}
            }
        }
    }
    // §5.2: at most 7 bits of padding, all ones (the start of EOS).
    if bits > 7 || code != (1 << bits) - 1 {
        return Err(HpackError::Huffman);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, hex};

    /// Code and length of a symbol, found by counting: an encoder that shares nothing with the decoder but the lengths.
    fn code_of(symbol: usize) -> (u32, u32) {
        let mut order: Vec<usize> = (0..SYMBOLS).collect();
        order.sort_unstable_by_key(|s| (LENGTHS[*s], *s));
        let (mut code, mut bits) = (0u32, 0u32);
        for s in order {
            code <<= u32::from(LENGTHS[s]) - bits;
            bits = u32::from(LENGTHS[s]);
            if s == symbol {
                return (code, bits);
            }
            code += 1;
        }
        panic!("no symbol {symbol}");
    }

    fn pack(codes: &[(u32, u32)]) -> Vec<u8> {
        let mut bits: Vec<bool> = Vec::new();
        for (code, length) in codes {
            bits.extend((0..*length).rev().map(|at| code >> at & 1 == 1));
        }
        bits.resize(bits.len().next_multiple_of(8), true);
        bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | u8::from(*bit))).collect()
    }

    #[test]
    fn landmarks_of_appendix_b() {
        for (symbol, code, bits) in [
            (0, 0x1ff8, 13),
            (1, 0x7f_ffd8, 23),
            (9, 0xff_ffea, 24),
            (10, 0x3fff_fffc, 30),
            (13, 0x3fff_fffd, 30),
            (22, 0x3fff_fffe, 30),
            (b' '.into(), 0x14, 6),
            (b'!'.into(), 0x3f8, 10),
            (b'%'.into(), 0x15, 6),
            (b'0'.into(), 0x0, 5),
            (b'9'.into(), 0x1f, 6),
            (b':'.into(), 0x5c, 7),
            (b'<'.into(), 0x7ffc, 15),
            (b'@'.into(), 0x1ffa, 13),
            (b'A'.into(), 0x21, 6),
            (b'Z'.into(), 0xfd, 8),
            (b'\\'.into(), 0x7_fff0, 19),
            (b'a'.into(), 0x3, 5),
            (b'z'.into(), 0x7b, 7),
            (b'~'.into(), 0x1ffd, 13),
            (127, 0xfff_fffc, 28),
            (128, 0xf_ffe6, 20),
            (195, 0x7_fff1, 19),
            (249, 0xfff_fffe, 28),
            (255, 0x3ff_ffee, 26),
            (256, 0x3fff_ffff, 30),
        ] {
            assert_eq!(code_of(symbol), (code, bits), "symbol {symbol}");
        }
    }

    #[test]
    fn code_is_complete() {
        // Kraft's sum is exactly one: every sequence of bits means something.
        assert_eq!(LENGTHS.iter().map(|bits| 1u64 << (30 - bits)).sum::<u64>(), 1 << 30);
    }

    #[test]
    fn every_symbol_alone_and_all_together() {
        let all: Vec<u8> = (0..=255).collect();
        for byte in &all {
            assert_eq!(decode(&pack(&[code_of((*byte).into())])), Ok(vec![*byte]));
        }
        let codes: Vec<_> = all.iter().map(|byte| code_of((*byte).into())).collect();
        assert_eq!(decode(&pack(&codes)), Ok(all));
    }

    #[test]
    fn strings_of_appendix_c() {
        for (bytes, text) in [
            ("f1e3 c2e5 f23a 6ba0 ab90 f4ff", "www.example.com"),
            ("a8eb 1064 9cbf", "no-cache"),
            ("25a8 49e9 5ba9 7d7f", "custom-key"),
            ("25a8 49e9 5bb8 e8b4 bf", "custom-value"),
            ("6402", "302"),
            ("640e ff", "307"),
            ("aec3 771a 4b", "private"),
            ("d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff", "Mon, 21 Oct 2013 20:13:22 GMT"),
            ("9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3", "https://www.example.com"),
            ("9bd9 ab", "gzip"),
            (
                "94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 \
                 b106 3d50 07",
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
            ),
            ("", ""),
        ] {
            assert_eq!(decode(&hex(bytes)).map(|b| String::from_utf8(b).unwrap()), Ok(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn wrong_endings_are_refused() {
        let a = code_of(b'a'.into());
        for (codes, why) in [
            (vec![a, (0, 3)], "padding of zeros"),
            (vec![a, (0b110, 3)], "padding with one zero"),
            (vec![a, (0x7ff, 11)], "padding of more than 7 bits"),
            (vec![(0xff, 8)], "a byte of nothing but padding"),
            (vec![code_of(256)], "EOS"),
            (vec![a, code_of(256), a], "EOS in the middle"),
            (vec![(0xfffe, 16)], "half a symbol"),
        ] {
            assert_eq!(decode(&pack(&codes)), Err(HpackError::Huffman), "{why}");
        }
    }

    #[test]
    fn any_bytes_decode_or_fail_and_decoded_ones_have_one_form() {
        let mut rng = Rng::new(7541);
        for _ in 0..100_000 {
            let bytes: Vec<u8> = (0..rng.below(12)).map(|_| rng.next() as u8).collect();
            if let Ok(text) = decode(&bytes) {
                let codes: Vec<_> = text.iter().map(|byte| code_of_fast((*byte).into())).collect();
                assert_eq!(pack(&codes), bytes);
            }
        }
    }

    fn code_of_fast(symbol: usize) -> (u32, u32) {
        static ALL: std::sync::OnceLock<Vec<(u32, u32)>> = std::sync::OnceLock::new();
        ALL.get_or_init(|| (0..SYMBOLS).map(code_of).collect())[symbol]
    }
}
