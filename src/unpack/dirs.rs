//! Names and times of a layer's directories, kept until all files are in them.
//!
//! Each directory shares most of its name with the one before it, so a record is the difference: 10 to 25 bytes.
//!
//! ```text
//! shared  length  rest of the name  mtime - last mtime  atime - mtime      numbers: 7 bits a byte, low ones first
//! ```

use super::path::{self, Start};
use crate::archive::{MAKE_AGAIN, bad};
use crate::error::Result;

/// Room for all records of a layer: some 62,000 directories. Large real layers have 50,000.
const MAX_BYTES: usize = 5 << 18;

/// The list grows by so much at a time, and never to twice what it needs.
const STEP: usize = 128 << 10;

/// The four numbers of a record take no more.
const RECORD: usize = 40;

/// A directory to be given its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dated {
    pub(super) path: Vec<u8>,
    pub(super) start: Start,
    /// Nanoseconds since 1970.
    pub(super) mtime: i64,
    /// As `mtime`.
    pub(super) atime: i64,
}

/// The list, in the order of the layer.
#[derive(Debug)]
pub(super) struct Dirs {
    bytes: Vec<u8>,
    last: Vec<u8>,
    last_mtime: i64,
}

impl Default for Dirs {
    fn default() -> Self {
        Dirs { bytes: Vec::new(), last: b"/".to_vec(), last_mtime: 0 }
    }
}

impl Dirs {
    pub(super) fn add(&mut self, dir: &Dated) -> Result<()> {
        // A rooted name keeps its slash: it says how the path begins.
        let name = if dir.start == Start::Rooted { [b"/", &dir.path[..]].concat() } else { dir.path.clone() };
        let shared = name.iter().zip(&self.last).take_while(|(a, b)| a == b).count();
        let rest = name.get(shared..).unwrap_or_default();
        if self.bytes.capacity() - self.bytes.len() < rest.len() + RECORD {
            self.bytes.reserve_exact(STEP.max(rest.len() + RECORD));
        }
        put(&mut self.bytes, shared as u64);
        put(&mut self.bytes, rest.len() as u64);
        self.bytes.extend_from_slice(rest);
        put(&mut self.bytes, zigzag(dir.mtime.wrapping_sub(self.last_mtime)));
        put(&mut self.bytes, zigzag(dir.atime.wrapping_sub(dir.mtime)));
        (self.last, self.last_mtime) = (name, dir.mtime);
        if self.bytes.len() > MAX_BYTES {
            let what = format!("names of directories take more than the limit of {MAX_BYTES} bytes");
            return Err(bad(what).hint(MAKE_AGAIN));
        }
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Dated> {
        let (mut rest, mut last, mut last_mtime) = (&self.bytes[..], b"/".to_vec(), 0_i64);
        std::iter::from_fn(move || {
            let (shared, length) = (take(&mut rest)?, take(&mut rest)?);
            let (name, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            rest = after;
            last.truncate(usize::try_from(shared).ok()?);
            last.extend_from_slice(name);
            let mtime = last_mtime.wrapping_add(unzigzag(take(&mut rest)?));
            let atime = mtime.wrapping_add(unzigzag(take(&mut rest)?));
            last_mtime = mtime;
            let (path, start) = path::clean(&last);
            Some(Dated { path, start, mtime, atime })
        })
    }
}

/// Small differences either way become small numbers.
fn zigzag(value: i64) -> u64 {
    (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.extend(u8::try_from(value & 0x7f).map(|low| low | 0x80));
        value >>= 7;
    }
    bytes.extend(u8::try_from(value));
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_comes_out_again() {
        let dir = |path: &str, start, mtime, atime| Dated { path: path.into(), start, mtime, atime };
        let all = [
            dir("usr", Start::Relative, 1_700_000_000_000_000_000, 1_700_000_000_000_000_001),
            dir("usr/share", Start::Relative, 0, i64::MAX),
            dir("usr/share", Start::Rooted, i64::MAX, i64::MAX),
            dir("", Start::Rooted, 5, 5),
            dir("a", Start::Relative, 1, 2),
        ];
        let mut dirs = Dirs::default();
        all.iter().for_each(|dir| dirs.add(dir).unwrap());
        assert_eq!(dirs.iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn a_hundred_thousand_take_little() {
        let mut dirs = Dirs::default();
        for n in 0..100_000 {
            let path = format!("srv/app/node_modules/package-{}/lib/{n}", n / 7).into();
            let mtime = 1_700_000_000_000_000_000 + n * 1_000_000_000;
            dirs.add(&Dated { path, start: Start::Relative, mtime, atime: mtime }).unwrap();
        }
        assert!(dirs.bytes.len() < 2 << 20, "{} bytes", dirs.bytes.len());
    }
}
