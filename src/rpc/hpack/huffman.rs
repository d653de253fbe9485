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
