//! Which compression bytes have, told by their first ones, and readers that undo it.

use std::io::{self, Cursor, Read};

use edgelay_codec::{Gzip, MAX_WINDOW, Zstd};

use super::{bad, unreadable};
use crate::error::{Error, Result};
use crate::feed::{self, Feed};

/// How a layer or a whole archive is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// RFC 1952; several members in a row are one stream.
    Gzip,
    /// RFC 8878; several frames in a row are one stream.
    Zstd,
}

/// Bytes that [`Compression::sniff`] looks at.
pub const HEAD: usize = 6;

/// Limit on the uncompressed size of one layer. No edge device has more to give to one layer; a larger one is a bomb.
pub const MAX_LAYER: u64 = 64 << 30;

impl Compression {
    /// Tells the compression by the first [`HEAD`] bytes; fewer, if there are no more. Others that are well known are
    /// refused by name, anything else is taken as not compressed.
    pub fn sniff(head: &[u8]) -> Result<Compression> {
        let unsupported = |name: &str| {
            Err(bad(format_args!("is compressed with {name}, expected gzip, zstd or none"))
                .hint("unpack it, or compress it with gzip or zstd"))
        };
        match head {
            [0x1f, 0x8b, 0x08, ..] => Ok(Compression::Gzip),
            // A frame, or a skippable frame in front of it (RFC 8878 section 3.1).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Compression::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => unsupported("xz"),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => unsupported("bzip2"),
            _ => Ok(Compression::Plain),
        }
    }
}

/// What a decoder may hold of what it has given: one in an archive that is itself compressed with zstd gets less, so
/// that both together stay within what an edge device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// 8 MiB, as RFC 8878 asks of every decoder.
    Whole,
    /// 2 MiB: what `zstd` uses by itself, up to level 15.
    Inner,
}

impl Window {
    fn bytes(self) -> u64 {
        match self {
            Window::Whole => MAX_WINDOW,
            Window::Inner => 2 << 20,
        }
    }
}

/// The uncompressed bytes of `input`.
pub fn decoder<'a>(how: Compression, input: impl Read + 'a) -> Box<dyn Feed + 'a> {
    decode(how, Box::new(input), Window::Whole)
}

/// Apart, so that the decoders' code is made once and not for every kind of input.
fn decode<'a>(how: Compression, input: Box<dyn Feed + 'a>, window: Window) -> Box<dyn Feed + 'a> {
    match how {
        Compression::Plain => input,
        Compression::Gzip => Box::new(Gzip::new(input)),
        Compression::Zstd => Box::new(Zstd::new(input, window.bytes())),
    }
}

/// The uncompressed tar of a layer, whatever its compression; at most [`MAX_LAYER`] bytes of it.
pub fn layer_reader<'a>(input: impl Read + 'a) -> Result<Box<dyn Feed + 'a>> {
    layer_stream(Box::new(input), Window::Whole).map(|(_, tar)| tar)
}

/// [`layer_reader`], with the compression that it undoes.
pub fn layer_stream<'a>(mut input: Box<dyn Feed + 'a>, window: Window) -> Result<(Compression, Box<dyn Feed + 'a>)> {
    let head = feed::first(&mut input, HEAD).map_err(|e| unreadable(e, "the layer"))?;
    let how = Compression::sniff(&head)?;
    let input = decode(how, Box::new(Cursor::new(head).chain(input)), window);
    Ok((how, Box::new(Capped { input, left: MAX_LAYER })))
}

/// Fails, rather than ends, when more than `left` bytes come.
struct Capped<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        match self.left.checked_sub(u64::try_from(n).unwrap_or(u64::MAX)) {
            Some(left) => self.left = left,
            None => {
                return Err(Error::into(bad(format_args!(
                    "layer unpacks to more than the limit of {MAX_LAYER} bytes"
                ))));
            }
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{COMPRESS_AGAIN, COPY_AGAIN};
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(data: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let mut out = Vec::new();
        match layer_reader(data).unwrap().read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(e) => Err(format!("{:?}", e.kind())),
        }
    }

    #[test]
    fn told_by_the_first_bytes() {
        let data = b"some data that is no tar".repeat(100);
        let zstd = zstd::encode_all(&data[..], 3).unwrap();
        for (packed, how) in
            [(data.clone(), Compression::Plain), (gzip(&data), Compression::Gzip), (zstd, Compression::Zstd)]
        {
            assert_eq!(Compression::sniff(&packed[..HEAD]).unwrap(), how);
            assert_eq!(unpack(&packed).unwrap(), data);
            assert_eq!(unpack(&[&packed[..], &packed].concat()).unwrap(), [&data[..], &data].concat(), "{how:?} twice");
            if how != Compression::Plain {
                assert_eq!(unpack(&packed[..packed.len() - 3]), Err("UnexpectedEof".into()), "{how:?} cut");
            }
        }
        assert_eq!(Compression::sniff(b"").unwrap(), Compression::Plain);
        let xz = Compression::sniff(b"\xfd7zXZ\0").unwrap_err();
        assert_eq!(xz.to_string(), "is compressed with xz, expected gzip, zstd or none");
        assert!(Compression::sniff(b"BZh91A").is_err());
        assert_eq!(unpack(b"").unwrap(), b"");
    }

    #[test]
    fn what_cannot_be_decoded_says_what_to_do() {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(24).unwrap();
        encoder.long_distance_matching(true).unwrap();
        let noise: Vec<u8> = (0..8_500_000_u64).map(|n| (n.wrapping_mul(n + 7) >> 11).to_le_bytes()[1]).collect();
        encoder.write_all(&noise).unwrap();
        encoder.write_all(&noise[..1 << 16]).unwrap();
        let long = encoder.finish().unwrap();
        let mut damaged = gzip(b"data");
        *damaged.last_mut().unwrap() ^= 1;
        let cases = [
            (long, "the compressed data need a window of 16777216 bytes, the limit is 8388608", COMPRESS_AGAIN),
            (damaged, "the decompressed data have the wrong length", COPY_AGAIN),
        ];
        for (packed, cause, hint) in cases {
            let e = layer_reader(&packed[..]).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
            let e = unreadable(e, "layer 'x'");
            assert_eq!(e.to_string(), format!("layer 'x' cannot be read: {cause}"));
            assert_eq!(e.hint_text(), Some(hint));
        }
    }

    #[test]
    fn a_cap_is_an_error_and_no_end() {
        let mut capped = Capped { input: io::repeat(0), left: 100 };
        assert!(io::copy(&mut capped, &mut io::sink()).unwrap_err().to_string().contains("limit of"));
    }
}
