//! A cpio archive in the form that the kernel unpacks: "newc" (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! ```text
//! 070701 ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check   (8 hex digits each)
//! name NUL, zeros to a multiple of 4; content, zeros to a multiple of 4; ...; TRAILER!!!; zeros to a multiple of 512
//! ```
//!
//! Everything belongs to root and is of 1970, and inodes count up: the same entries give the same bytes.

use std::io::{self, Read, Write};

use crate::feed::Feed;
use crate::gather::Grow;

/// Writes one archive.
pub struct Archive<'w> {
    out: &'w mut dyn Write,
    at: u64,
    inode: u32,
}

impl std::fmt::Debug for Archive<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Archive at {}", self.at)
    }
}

const DIRECTORY: u32 = 0o040_000;
const CHARACTER: u32 = 0o020_000;
const FILE: u32 = 0o100_000;
const TRAILER: &str = "TRAILER!!!";
/// What the archive is filled up to, as cpio does: boot loaders join archives at such borders.
const BLOCK: u64 = 512;

impl<'w> Archive<'w> {
    /// Into `out`.
    pub fn new(out: &'w mut dyn Write) -> Self {
        Archive { out, at: 0, inode: 0 }
    }

    /// A directory; it must come before what lies in it.
    pub fn directory(&mut self, name: &str, mode: u32) -> io::Result<()> {
        self.head(name, DIRECTORY | mode, 0, (0, 0))
    }

    /// A character device.
    pub fn character_device(&mut self, name: &str, mode: u32, number: (u32, u32)) -> io::Result<()> {
        self.head(name, CHARACTER | mode, 0, number)
    }

    /// A file of `size` bytes, which `content` must have.
    pub fn file(&mut self, name: &str, mode: u32, size: u32, content: &mut dyn Feed) -> io::Result<()> {
        self.head(name, FILE | mode, size, (0, 0))?;
        let copied = io::copy(&mut content.take(u64::from(size)), &mut self.out)?;
        self.at += copied;
        if copied != u64::from(size) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("'{name}' became shorter meanwhile")));
        }
        self.fill(4)
    }

    /// The end.
    pub fn finish(mut self) -> io::Result<()> {
        self.inode = 0;
        self.head(TRAILER, 0, 0, (0, 0))?;
        self.fill(BLOCK)
    }

    fn head(&mut self, name: &str, mode: u32, size: u32, (major, minor): (u32, u32)) -> io::Result<()> {
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "name is too long for a cpio archive");
        let name_size = u32::try_from(name.len() + 1).map_err(too_long)?;
        let (inode, links) =
            if mode == 0 { (0, 1) } else { (self.inode + 1, 1 + u32::from(mode & DIRECTORY == mode & 0o170_000)) };
        self.inode = inode;
        let mut text = String::from("070701");
        for field in [inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, name_size, 0] {
            text.grow(format_args!("{field:08X}"));
        }
        text.push_str(name);
        text.push('\0');
        self.out.write_all(text.as_bytes())?;
        self.at += text.len() as u64;
        self.fill(4)
    }

    fn fill(&mut self, border: u64) -> io::Result<()> {
        while !self.at.is_multiple_of(border) {
            self.out.write_all(&[0])?;
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte() {
        let mut bytes = Vec::new();
        let mut archive = Archive::new(&mut bytes);
        archive.directory("dev", 0o755).unwrap();
        archive.character_device("dev/console", 0o600, (5, 1)).unwrap();
        archive.file("a", 0o644, 5, &mut b"hello, and more".as_slice()).unwrap();
        archive.finish().unwrap();
        let field = |text: &str| text.to_owned();
        let head = |ino: u32, mode: u32, links: u32, size: u32, rdev: (u32, u32), name: usize| {
            let zero = "00000000";
            field(&format!(
                "070701{ino:08X}{mode:08X}{zero}{zero}{links:08X}{zero}{size:08X}{zero}{zero}{:08X}{:08X}{name:08X}{zero}",
                rdev.0, rdev.1
            ))
        };
        let expected = [
            head(1, 0o040_755, 2, 0, (0, 0), 4) + "dev\0\0\0",
            head(2, 0o020_600, 1, 0, (5, 1), 12) + "dev/console\0\0\0",
            head(3, 0o100_644, 1, 5, (0, 0), 2) + "a\0" + "hello\0\0\0",
            head(0, 0, 1, 0, (0, 0), 11) + "TRAILER!!!\0",
        ]
        .concat();
        assert_eq!(String::from_utf8(bytes[..expected.len()].to_vec()).unwrap(), expected);
        assert!(bytes.len().is_multiple_of(512) && bytes[expected.len()..].iter().all(|b| *b == 0));
    }

    #[test]
    fn a_file_that_became_shorter() {
        let mut bytes = Vec::new();
        let e = Archive::new(&mut bytes).file("a", 0o644, 5, &mut b"shor".as_slice()).unwrap_err();
        assert_eq!(e.to_string(), "'a' became shorter meanwhile");
    }
}
