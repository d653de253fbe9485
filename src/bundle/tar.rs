//! The one form in which a bundle's tar headers are written, and a reader that takes no other (POSIX.1-2017 pax/ustar).
//!
//! Reading works by writing: name and size are taken out of a header, the header is made anew from them, and both
//! must be equal byte for byte. So no bit of a bundle's frame can change unseen, and a bundle has one encoding.

use std::io::{self, Read};

use crate::digest::Digest;
use crate::feed::Feed;

/// Size of a tar block.
pub(super) const BLOCK: u64 = 512;
/// The end of a tar: two blocks of zeros. Nothing comes after it in a bundle.
pub(super) const END: u64 = 2 * BLOCK;
/// Largest size that the 11 octal digits of a ustar header hold (8 GiB - 1).
const MAX_USTAR: u64 = 0o777_7777_7777;

type Block = [u8; 512];

/// Name of an entry: a bundle has no other files than these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    /// `oci-layout`
    Layout,
    /// `index.json`
    Index,
    /// `blobs/sha256/<hex>`
    Blob(Digest),
}

impl Name {
    fn parse(text: &str) -> Option<Name> {
        match text {
            "oci-layout" => Some(Name::Layout),
            "index.json" => Some(Name::Index),
            _ => Digest::from_hex(text.strip_prefix("blobs/sha256/")?).ok().map(Name::Blob),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Layout => f.write_str("oci-layout"),
            Name::Index => f.write_str("index.json"),
            Name::Blob(digest) => write!(f, "blobs/sha256/{}", digest.hex()),
        }
    }
}

/// One entry: a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: Name,
    /// Bytes of content.
    pub(super) size: u64,
}

impl Header {
    /// One block, or three when the size needs a pax record.
    pub(super) fn encode(&self) -> Vec<u8> {
        let name = self.name.to_string();
        let mut out = Vec::new();
        let mut size = self.size;
        if size > MAX_USTAR {
            let record = pax_size(size);
            out.extend_from_slice(&ustar(&format!("pax/{}", name.replace('/', "-")), record.len() as u64, b'x'));
            let mut block = [0; 512];
            put(&mut block, 0, record.as_bytes());
            out.extend_from_slice(&block);
            // The record rules; zero is what other writers put here.
            size = 0;
        }
        out.extend_from_slice(&ustar(&name, size, b'0'));
        out
    }

    /// Bytes of header, content and padding.
    pub(super) fn span(&self) -> u64 {
        let head = if self.size > MAX_USTAR { 3 * BLOCK } else { BLOCK };
        head.saturating_add(self.size).saturating_add(padding(self.size))
    }
}

/// Zeros after a content of `size` bytes, up to the next block.
pub(super) fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK).wrapping_sub(size)
}

/// `LEN size=N\n`, where LEN counts the whole record, its own digits included.
fn pax_size(size: u64) -> String {
    let body = format!(" size={size}\n");
    // Sizes beyond 8 GiB have 10 to 20 digits, so the record always has a length of two digits.
    format!("{}{body}", body.len() + 2)
}

fn put(block: &mut Block, at: usize, bytes: &[u8]) {
    for (to, from) in block.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

/// A ustar header with our fixed mode, owner and time.
fn ustar(name: &str, size: u64, kind: u8) -> Block {
    let mut block = [0; 512];
    put(&mut block, 0, name.as_bytes());
    put(&mut block, 100, b"0000644\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    put(&mut block, 124, format!("{size:011o}\0").as_bytes());
    put(&mut block, 136, b"00000000000\0");
    put(&mut block, 148, b"        ");
    put(&mut block, 156, &[kind]);
    put(&mut block, 257, b"ustar\x0000");
    put(&mut block, 329, b"0000000\0");
    put(&mut block, 337, b"0000000\0");
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block
}

/// What stands where a header is expected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A header in our form.
    Entry(Header),
    /// The first of the two blocks of zeros at the end.
    End,
}

/// Why there is no header.
#[derive(Debug)]
pub(super) enum NoHeader {
    /// The file ends.
    Short,
    /// Not a header in our form; the name in it, if it has one that can be shown.
    Foreign(Option<String>),
    /// The medium failed.
    Io(io::Error),
}

/// Reads a header.
pub(super) fn read(from: &mut dyn Feed) -> Result<Found, NoHeader> {
    let first = block(from)?;
    if first == [0; 512] {
        return Ok(Found::End);
    }
    let pax = first.get(156) == Some(&b'x');
    let (mut all, mut last, mut long) = (first.to_vec(), first, None);
    if pax {
        let record = block(from)?;
        last = block(from)?;
        long = parse_pax(&record);
        all.extend_from_slice(&record);
        all.extend_from_slice(&last);
    }
    let foreign = || NoHeader::Foreign(shown_name(&last));
    let name = text(&last, 0, 100).and_then(Name::parse).ok_or_else(foreign)?;
    let size = if pax { long } else { octal(&last) }.ok_or_else(foreign)?;
    let header = Header { name, size };
    if header.encode() == all { Ok(Found::Entry(header)) } else { Err(foreign()) }
}

fn block(from: &mut dyn Feed) -> Result<Block, NoHeader> {
    let mut block = [0; 512];
    from.read_exact(&mut block).map_err(|e| match e.kind() {
        io::ErrorKind::UnexpectedEof => NoHeader::Short,
        _ => NoHeader::Io(e),
    })?;
    Ok(block)
}

/// The text at `at`, up to the first NUL.
fn text(block: &Block, at: usize, len: usize) -> Option<&str> {
    let field = block.get(at..at + len)?;
    std::str::from_utf8(field.split(|b| *b == 0).next()?).ok()
}

fn octal(block: &Block) -> Option<u64> {
    u64::from_str_radix(text(block, 124, 12)?, 8).ok()
}

fn parse_pax(block: &Block) -> Option<u64> {
    let (_, size) = text(block, 0, 512)?.split_once(" size=")?;
    size.strip_suffix('\n')?.parse().ok()
}

/// The entry's name for messages, if it looks like one.
fn shown_name(block: &Block) -> Option<String> {
    let name = text(block, 0, 100)?;
    (!name.is_empty()).then(|| name.escape_debug().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob() -> Name {
        Name::Blob(Digest::of(b""))
    }

    #[test]
    fn headers_are_read_as_written() {
        for size in [0, 1, 511, 512, MAX_USTAR, MAX_USTAR + 1, 1 << 40, u64::MAX >> 1] {
            for name in [Name::Layout, Name::Index, blob()] {
                let header = Header { name, size };
                let bytes = header.encode();
                assert_eq!(bytes.len() as u64 + size + padding(size), header.span(), "{header:?}");
                assert_eq!(read(&mut bytes.as_slice()).unwrap(), Found::Entry(header));
            }
        }
    }

    #[test]
    fn other_tar_readers_agree() {
        for size in [0, 5000, MAX_USTAR, MAX_USTAR + 1] {
            let header = Header { name: blob(), size };
            let bytes = [header.encode(), vec![0; 1024]].concat();
            let mut archive = tar::Archive::new(bytes.as_slice());
            let entry = archive.entries().unwrap().next().unwrap().unwrap();
            assert_eq!(entry.path().unwrap().to_str().unwrap(), header.name.to_string());
            assert_eq!((entry.size(), entry.header().mode().unwrap()), (size, 0o644));
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        for size in [7, MAX_USTAR + 1] {
            let header = Header { name: blob(), size };
            let bytes = header.encode();
            for at in 0..bytes.len() * 8 {
                let mut bad = bytes.clone();
                bad[at / 8] ^= 1 << (at % 8);
                match read(&mut bad.as_slice()) {
                    Err(_) => {}
                    // No checksum covers the pax record, but every size is known from the metadata.
                    Ok(Found::Entry(found)) if found.size != size => {}
                    other => panic!("bit {at}: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn hostile_names_are_foreign() {
        for name in ["../etc/passwd", "/oci-layout", "blobs/sha256/../x", "blobs/sha256/", "", "index.json/"] {
            let bytes = ustar(name, 0, b'0');
            assert!(matches!(read(&mut bytes.as_slice()), Err(NoHeader::Foreign(_))), "{name}");
        }
        let link = ustar("index.json", 0, b'2');
        assert!(matches!(read(&mut link.as_slice()), Err(NoHeader::Foreign(Some(name))) if name == "index.json"));
        assert!(matches!(read(&mut [1_u8; 100].as_slice()), Err(NoHeader::Short)));
        assert_eq!(read(&mut [0_u8; 512].as_slice()).unwrap(), Found::End);
    }
}
