//! What a partition table says of its partitions: the names that `root=PARTUUID=…` and `PARTLABEL=…` go by.
//!
//! The kernel knows them, too, but tells only some of them, and only since 6.9.

use std::io::{self, SeekFrom};

use crate::gather::{Gather, Grow};

use super::label::Medium;

/// One partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, as in `sda2`.
    pub number: u32,
    /// As `blkid` shows it: a GUID, or of an MBR the disk's number and its own (`1234abcd-02`).
    pub uuid: String,
    /// Its name; an MBR has none.
    pub label: String,
}

/// Entries of a GPT that are read; 128 is what everybody writes (UEFI 2.10, 5.3.1).
const MAX_ENTRIES: u32 = 256;

/// The partitions that the table on `disk`, whose blocks have `block` bytes, names. Of an MBR the primary ones.
pub fn table(disk: &mut dyn Medium, block: u64) -> io::Result<Vec<Entry>> {
    let Some(mbr) = read(disk, 0, 512)? else { return Ok(Vec::new()) };
    if mbr.get(510..) != Some(&[0x55, 0xaa]) {
        return Ok(Vec::new());
    }
    let kinds: Vec<u8> = (0..4).filter_map(|n| mbr.get(446 + 16 * n + 4)).copied().gather();
    // A protective MBR: one partition of this kind over the whole disk.
    if kinds.contains(&0xee) {
        return gpt(disk, block);
    }
    let serial = mbr.get(440..444).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let used = (1..).zip(kinds).filter(|(_, kind)| *kind != 0);
    Ok(used
        .map(|(number, _)| Entry { number, uuid: format!("{serial:08x}-{number:02x}"), label: String::new() })
        .gather())
}

/// UEFI 2.10, 5.3.2 and 5.3.3: the header in block 1, and the array that it points to.
fn gpt(disk: &mut dyn Medium, block: u64) -> io::Result<Vec<Entry>> {
    let Some(header) = read(disk, block, 92)? else { return Ok(Vec::new()) };
    if header.get(..8) != Some(b"EFI PART") {
        return Ok(Vec::new());
    }
    let le32 = |at: usize| header.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    let start = header.get(72..80).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (count, size) = (le32(80).min(MAX_ENTRIES), le32(84));
    if !(128..=4096).contains(&size) {
        return Ok(Vec::new());
    }
    let mut entries = Vec::new();
    for index in 0..count {
        let at = start.saturating_mul(block).saturating_add(u64::from(index) * u64::from(size));
        let Some(bytes) = read(disk, at, 128)? else { break };
        if bytes.iter().take(16).any(|b| *b != 0) {
            entries.push(Entry { number: index + 1, uuid: guid(&bytes), label: name(&bytes) });
        }
    }
    Ok(entries)
}

/// A GUID's first three numbers are little-endian (UEFI 2.10, appendix A).
fn guid(entry: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    const ORDER: [u8; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    for (at, from) in ORDER.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let byte = entry.get(16 + usize::from(*from)).copied().unwrap_or(0);
        for digit in [byte >> 4, byte & 15] {
            text.add_all(char::from_digit(u32::from(digit), 16));
        }
    }
    text
}

fn name(entry: &[u8]) -> String {
    let units = entry.get(56..128).unwrap_or_default().chunks_exact(2);
    let units = units.filter_map(|pair| pair.try_into().ok()).map(u16::from_le_bytes).take_while(|unit| *unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).gather()
}

/// `len` bytes at `at`; `None` if the disk ends before.
fn read(disk: &mut dyn Medium, at: u64, len: usize) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = vec![0; len];
    // Seeking behind i64::MAX is an error of its own; there is nothing, too.
    if i64::try_from(at).is_err() {
        return Ok(None);
    }
    disk.seek(SeekFrom::Start(at))?;
    match disk.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::testing::mutate;

    fn mbr(kinds: [u8; 4]) -> Vec<u8> {
        let mut disk = vec![0; 512];
        disk[440..444].copy_from_slice(&0x1234_abcd_u32.to_le_bytes());
        for (n, kind) in kinds.into_iter().enumerate() {
            disk[446 + 16 * n + 4] = kind;
        }
        disk[510..].copy_from_slice(&[0x55, 0xaa]);
        disk
    }

    fn gpt_disk(block: usize) -> Vec<u8> {
        let mut disk = mbr([0xee, 0, 0, 0]);
        disk.resize(block * 2 + 128 * 4, 0);
        disk[block..block + 8].copy_from_slice(b"EFI PART");
        disk[block + 72..block + 80].copy_from_slice(&2_u64.to_le_bytes());
        disk[block + 80..block + 84].copy_from_slice(&4_u32.to_le_bytes());
        disk[block + 84..block + 88].copy_from_slice(&128_u32.to_le_bytes());
        // The second entry; the first is free.
        let at = block * 2 + 128;
        disk[at] = 0xaf;
        disk[at + 16..at + 32].copy_from_slice(&std::array::from_fn::<u8, 16, _>(|n| n as u8 + 1));
        for (n, unit) in "root".encode_utf16().enumerate() {
            disk[at + 56 + 2 * n..at + 58 + 2 * n].copy_from_slice(&unit.to_le_bytes());
        }
        disk
    }

    #[test]
    fn both_kinds_of_table() {
        let of = |disk: Vec<u8>, block| table(&mut Cursor::new(disk), block).unwrap();
        let uuid = "04030201-0605-0807-090a-0b0c0d0e0f10".to_owned();
        let root = Entry { number: 2, uuid, label: "root".into() };
        assert_eq!(of(gpt_disk(512), 512), std::slice::from_ref(&root));
        assert_eq!(of(gpt_disk(4096), 4096), [root]);
        assert_eq!(of(gpt_disk(512), 4096), []);
        let entry = |number, uuid: &str| Entry { number, uuid: uuid.into(), label: String::new() };
        assert_eq!(of(mbr([0x0c, 0, 0x83, 0]), 512), [entry(1, "1234abcd-01"), entry(3, "1234abcd-03")]);
        assert_eq!(of(vec![0; 512], 512), []);
        assert_eq!(of(vec![0; 100], 512), []);
    }

    #[test]
    fn hostile_tables_do_no_harm() {
        mutate(&[gpt_disk(512), mbr([1, 2, 3, 4])], 500, |disk| {
            let _ = table(&mut Cursor::new(disk), 512);
        });
    }
}
