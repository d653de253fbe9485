//! Our request headers: "literal header field without indexing, new name", no Huffman (RFC 7541 §6.2.2).
//!
//! The form needs no state on either side, and every gRPC server takes it.

/// The block of `fields`, in order. Names must be lower case.
pub fn encode<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        string(&mut out, name);
        string(&mut out, value);
    }
    out
}

fn string(out: &mut Vec<u8>, text: &str) {
    number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// An integer with a prefix of 7 bits whose flag bit is 0 (RFC 7541 §5.1).
fn number(out: &mut Vec<u8>, value: usize) {
    const FULL: u8 = 0x7f;
    let Some(mut rest) = value.checked_sub(usize::from(FULL)) else {
        out.extend(u8::try_from(value));
        return;
    };
    out.push(FULL);
    while rest > 0x7f {
        out.extend(u8::try_from(rest & 0x7f).map(|bits| bits | 0x80));
        rest >>= 7;
    }
    out.extend(u8::try_from(rest));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::hpack::{Header, decode};

    #[test]
    fn numbers_of_appendix_c1() {
        // C.1 uses prefixes of 5 and 8 bits; the same numbers with ours.
        for (value, bytes) in [
            (10, &[10][..]),
            (126, &[126]),
            (127, &[127, 0]),
            (128, &[127, 1]),
            (254, &[127, 127]),
            (255, &[127, 128, 1]),
            (1337, &[127, 0xba, 9]),
        ] {
            let mut out = Vec::new();
            number(&mut out, value);
            assert_eq!(out, bytes, "{value}");
        }
    }

    #[test]
    fn what_we_write_we_can_read() {
        let long = "x".repeat(1337);
        let block = encode([(":method", "POST"), ("a", ""), ("b", &long)]);
        assert!(block.starts_with(b"\x00\x07:method\x04POST\x00\x01a\x00\x00\x01b\x7f\xba\x09xxx"));
        let back = decode(&block).unwrap();
        let want = [(":method", "POST"), ("a", ""), ("b", &long)].map(|(n, v)| Header::new(n, v.as_bytes()));
        assert_eq!(back.iter().cloned().collect::<Vec<_>>(), want);
    }
}
