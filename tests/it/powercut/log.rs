//! The record of a disk's writes, in the format of Linux's dm-log-writes target (Documentation/admin-guide/
//! device-mapper/log-writes.rst and `struct log_write_super`, `struct log_write_entry` of its source):
//!
//! ```text
//! sector 0      magic u64, version u64, number of entries u64, size of a sector u32; the rest is zero
//! each entry    one sector: first sector u64, sectors u64, flags u64, length of attached text u64
//!               then the sectors written, unless it is a discard
//! ```
//!
//! All little-endian.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const SECTOR: u64 = 512;
/// Everything written before has reached the disk.
const FLUSH: u64 = 1;
/// This write reaches the disk before it is confirmed.
const FUA: u64 = 2;
/// The sectors' content is no longer wanted.
const DISCARD: u64 = 4;

/// One write, flush or discard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Byte on the disk.
    to: u64,
    length: u64,
    flags: u64,
    /// Byte in the log.
    from: u64,
}

/// A record.
pub(super) struct Log {
    file: File,
    pub(super) entries: Vec<Entry>,
}

fn words<const N: usize>(file: &File, at: u64) -> [u64; N] {
    let mut bytes = vec![0; N * 8];
    file.read_exact_at(&mut bytes, at).unwrap();
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(bytes.try_into().unwrap());
    }
    words
}

impl Log {
    /// How many entries there are so far: exact after a flush.
    pub(super) fn count(path: &Path) -> usize {
        let [magic, version, count, sector] = words(&File::open(path).unwrap(), 0);
        assert_eq!((magic, version, sector & 0xffff_ffff), (MAGIC, 1, SECTOR), "'{}' is no log", path.display());
        usize::try_from(count).unwrap()
    }

    pub(super) fn open(path: &Path) -> Log {
        let (count, file) = (Log::count(path), File::open(path).unwrap());
        let (mut entries, mut at) = (Vec::new(), SECTOR);
        for _ in 0..count {
            let [to, sectors, flags, _] = words(&file, at);
            let entry = Entry { to: to * SECTOR, length: sectors * SECTOR, flags, from: at + SECTOR };
            at += SECTOR + if flags & DISCARD == 0 { entry.length } else { 0 };
            entries.push(entry);
        }
        Log { file, entries }
    }

    /// Brings the first `count` entries to `disk`. With `lossy`, about half of the writes since the last flush are
    /// lost in the drive's cache; which ones depends on its value.
    pub(super) fn replay(&self, count: usize, lossy: Option<u64>, disk: &Path) {
        let disk = File::options().write(true).open(disk).unwrap();
        let entries = &self.entries[..count];
        let confirmed = entries.iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
        let mut random = lossy.map(|seed| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut data = Vec::new();
        for (n, entry) in entries.iter().enumerate() {
            if entry.length == 0 || entry.flags & DISCARD != 0 {
                continue;
            }
            if n > confirmed
                && entry.flags & FUA == 0
                && let Some(x) = &mut random
            {
                // xorshift64
                *x ^= *x << 13;
                *x ^= *x >> 7;
                *x ^= *x << 17;
                if *x >> 63 == 0 {
                    continue;
                }
            }
            data.resize(usize::try_from(entry.length).unwrap(), 0);
            self.file.read_exact_at(&mut data, entry.from).unwrap();
            disk.write_all_at(&data, entry.to).unwrap();
        }
    }
}
