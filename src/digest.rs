//! SHA-256 digests: the checked name of a blob, and readers that hash what passes through them (FIPS 180-4).

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind};
use crate::feed::{self, Feed};

/// `sha256:` and 64 lower-case hex digits: the only digest form this crate accepts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is no [`Digest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadDigest {
    /// Not `sha256:`; other algorithms are not supported.
    Algorithm,
    /// Not 64 digits after the colon.
    Length,
    /// A byte that is no lower-case hex digit.
    Byte,
}

impl fmt::Display for BadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadDigest::Algorithm => "not a sha256 digest",
            BadDigest::Length => "digest is not 64 hex digits",
            BadDigest::Byte => "digest has a byte that is no lower-case hex digit",
        })
    }
}

impl std::error::Error for BadDigest {}

impl Digest {
    /// Digest of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Digest(Sha256::digest(bytes).into())
    }

    /// 64 lower-case hex digits without the algorithm, as in `blobs/sha256/<hex>`.
    pub fn hex(&self) -> String {
        let mut out = String::with_capacity(64);
        for byte in self.0 {
            for nibble in [byte >> 4, byte & 15] {
                out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        out
    }

    /// From 64 hex digits without the algorithm (a blob's file name).
    pub fn from_hex(hex: &str) -> Result<Self, BadDigest> {
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return Err(BadDigest::Length);
        }
        let mut out = [0; 32];
        for (to, [high, low]) in out.iter_mut().zip(pairs) {
            *to = nibble(*high)? << 4 | nibble(*low)?;
        }
        Ok(Digest(out))
    }
}

fn nibble(byte: u8) -> Result<u8, BadDigest> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(BadDigest::Byte),
    }
}

impl FromStr for Digest {
    type Err = BadDigest;
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        Digest::from_hex(text.strip_prefix("sha256:").ok_or(BadDigest::Algorithm)?)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(&self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A running SHA-256.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Takes in more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything taken in.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// Hashes and counts what is read through it; decides nothing.
#[derive(Debug)]
pub struct Hashing<R> {
    inner: R,
    hasher: Hasher,
    size: u64,
}

impl<R: Read> Hashing<R> {
    /// Wraps `inner`.
    pub fn new(inner: R) -> Self {
        Hashing { inner, hasher: Hasher::default(), size: 0 }
    }

    /// Digest and number of the bytes that were read so far.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(buf.get(..n).unwrap_or_default());
        self.size += n as u64;
        Ok(n)
    }
}

/// Digest and number of all bytes that come from `from`.
pub fn measure(from: &mut dyn Feed) -> io::Result<(Digest, u64)> {
    measure_with_head(from, 0).map(|(digest, size, _)| (digest, size))
}

/// As [`measure`], with the first bytes themselves, at most `limit`.
pub fn measure_with_head(from: &mut dyn Feed, limit: usize) -> io::Result<(Digest, u64, Vec<u8>)> {
    let mut from = Hashing::new(from);
    let head = feed::first(&mut from, limit)?;
    feed::drain(&mut from)?;
    let (digest, size) = from.finish();
    Ok((digest, size, head))
}

/// Reads exactly the blob `want`: end of file comes only after size and digest matched; anything else is an error
/// of [`Kind::Bundle`] (carried inside the [`io::Error`], see [`crate::error::Lift`]).
///
/// Bytes pass on as they come, so the caller must not let them take effect before it saw the end.
#[derive(Debug)]
pub struct Verified<R> {
    inner: Hashing<R>,
    want: Digest,
    size: u64,
    ended: bool,
}

impl<R: Read> Verified<R> {
    /// `inner` must deliver `size` bytes whose digest is `want`.
    pub fn new(inner: R, want: Digest, size: u64) -> Self {
        Verified { inner: Hashing::new(inner), want, size, ended: false }
    }

    fn check_end(&mut self) -> Result<(), Error> {
        self.ended = true;
        let (found, size) = (self.inner.hasher.clone().finish(), self.inner.size);
        if size == self.size && found == self.want {
            return Ok(());
        }
        let what = if size == self.size {
            format!("blob {} is damaged: its bytes have the digest {found}", self.want)
        } else {
            format!("blob {} has {size} bytes, expected {}", self.want, self.size)
        };
        Err(Error::new(Kind::Bundle, what)
            .hint("copy the file again from where it was made; the medium may be failing"))
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ended || buf.is_empty() {
            return Ok(0);
        }
        let n = self.inner.read(buf)?;
        // More than was promised must not pass on; less shows at the end.
        if n == 0 || self.inner.size > self.size {
            self.check_end()?;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn text_form_is_exact() {
        // FIPS 180-4, example "abc".
        assert_eq!(Digest::of(b"abc").to_string(), ABC);
        assert_eq!(ABC.parse(), Ok(Digest::of(b"abc")));
        let table = [
            ("sha512:00", BadDigest::Algorithm),
            ("sha256:", BadDigest::Length),
            (&ABC[..70], BadDigest::Length),
            (&ABC.replace("ba78", "BA78"), BadDigest::Byte),
            ("sha256:../../../../../../../../../../../../../../../../../../../../etc/pw", BadDigest::Length),
        ];
        for (text, why) in table {
            assert_eq!(text.parse::<Digest>(), Err(why), "{text}");
        }
    }

    #[test]
    fn verified_reader_ends_only_on_the_right_bytes() {
        let want = Digest::of(b"abc");
        let read = |bytes: &[u8], size| {
            let mut out = Vec::new();
            Verified::new(bytes, want, size).read_to_end(&mut out).map(|_| out).map_err(|e| e.to_string())
        };
        assert_eq!(read(b"abc", 3), Ok(b"abc".to_vec()));
        assert!(read(b"abd", 3).unwrap_err().contains("is damaged"));
        assert!(read(b"ab", 3).unwrap_err().contains("has 2 bytes, expected 3"));
        assert!(read(b"abcd", 3).unwrap_err().contains("expected 3"));
    }
}
