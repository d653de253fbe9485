//! Base64 (RFC 4648), decoding only.

/// The two characters after letters and digits in the usual alphabet (section 4).
pub const USUAL: [u8; 2] = *b"+/";
/// The same in the alphabet for URLs (section 5).
pub const URL: [u8; 2] = *b"-_";

/// Decodes what has no padding. `None`: a character that is not in the alphabet, or bits left over that are not zero.
pub fn decode(text: &str, last: [u8; 2]) -> Option<Vec<u8>> {
    let [plus, slash] = last;
    let mut out = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            _ if byte == plus => 62,
            _ if byte == slash => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
        bits &= (1 << count) - 1;
    }
    // One letter alone in the last group carries no whole byte.
    (bits == 0 && count < 6).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_4648_section_10_without_padding() {
        for (text, bytes) in
            [("", ""), ("Zg", "f"), ("Zm8", "fo"), ("Zm9v", "foo"), ("Zm9vYg", "foob"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(decode(text, URL).as_deref(), Some(bytes.as_bytes()), "{text}");
            assert_eq!(decode(text, USUAL).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for (text, last, other) in [("-_8", URL, USUAL), ("+/8", USUAL, URL)] {
            assert_eq!(decode(text, last).as_deref(), Some(&[0xfb, 0xff][..]));
            assert_eq!(decode(text, other), None);
        }
        for bad in ["Z", "Zg==", "Zh", "Zm9vY", "Z.8", "Z 8"] {
            assert_eq!((decode(bad, URL), decode(bad, USUAL)), (None, None), "{bad}");
        }
    }
}
