//! File systems by what their superblock says: kind, label and UUID, without mounting anything.
//!
//! Read are a few blocks at fixed places, and of a FAT the beginning of its root directory, where the label is that
//! people see. A medium may say what it wants: all lengths are those of the formats.

use std::io::{self, Read, Seek, SeekFrom};

use crate::gather::Grow;

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// FAT12, FAT16 or FAT32.
    Vfat,
    /// ext2, ext3 or ext4.
    Ext,
    /// A CD image; sticks are made by writing one to them.
    Iso9660,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
}

impl Format {
    /// The type for mount(2).
    pub const fn mount_type(self) -> &'static str {
        match self {
            Format::Vfat => "vfat",
            Format::Ext => "ext4",
            Format::Iso9660 => "iso9660",
            Format::Xfs => "xfs",
            Format::Btrfs => "btrfs",
        }
    }
}

/// A file system as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSystem {
    /// What it is.
    pub format: Format,
    /// Its label, without padding; empty if it has none.
    pub label: String,
    /// Its UUID as `blkid` shows it; of a FAT the volume number (`1234-ABCD`), of a CD none.
    pub uuid: Option<String>,
}

/// Anything that can be read at a place: a block device, a file.
pub trait Medium: Read + Seek {}
impl<T: Read + Seek> Medium for T {}

/// What file system is on `medium`. `None`: none that is known here.
pub fn probe(medium: &mut dyn Medium) -> io::Result<Option<FileSystem>> {
    // btrfs and ISO 9660 leave the beginning to others, so that one may hold the rest of an older file system; each
    // is known by its own magic number, and a medium that was formatted anew has lost the old one's.
    for try_one in [ext, xfs, btrfs, iso9660, fat] {
        if let Some(found) = try_one(medium)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// `N` bytes at `at`; `None` if the medium ends before.
fn block<const N: usize>(medium: &mut dyn Medium, at: u64) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    medium.seek(SeekFrom::Start(at))?;
    match medium.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// The bytes `at..at + len` of a block that is longer than that.
fn part(block: &[u8], at: usize, len: usize) -> &[u8] {
    block.get(at..at + len).unwrap_or_default()
}

fn le16(block: &[u8], at: usize) -> u16 {
    part(block, at, 2).try_into().map_or(0, u16::from_le_bytes)
}

fn le32(block: &[u8], at: usize) -> u32 {
    part(block, at, 4).try_into().map_or(0, u32::from_le_bytes)
}

/// Up to the first NUL, trailing blanks removed; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).trim_end().to_owned()
}

/// `12345678-1234-1234-1234-123456789abc`
fn uuid(bytes: &[u8]) -> Option<String> {
    if bytes.iter().all(|b| *b == 0) {
        return None;
    }
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.add_all(char::from_digit(u32::from(digit), 16));
        }
    }
    Some(text)
}

/// The kernel's Documentation/filesystems/ext4/super.rst.
fn ext(medium: &mut dyn Medium) -> io::Result<Option<FileSystem>> {
    let Some(b) = block::<1024>(medium, 1024)? else { return Ok(None) };
    if le16(&b, 0x38) != 0xef53 {
        return Ok(None);
    }
    Ok(Some(FileSystem { format: Format::Ext, label: text(part(&b, 0x78, 16)), uuid: uuid(part(&b, 0x68, 16)) }))
}

/// fs/xfs/libxfs/xfs_format.h of the kernel, `struct xfs_dsb`.
fn xfs(medium: &mut dyn Medium) -> io::Result<Option<FileSystem>> {
    let Some(b) = block::<512>(medium, 0)? else { return Ok(None) };
    if part(&b, 0, 4) != b"XFSB" {
        return Ok(None);
    }
    Ok(Some(FileSystem { format: Format::Xfs, label: text(part(&b, 108, 12)), uuid: uuid(part(&b, 32, 16)) }))
}

/// include/uapi/linux/btrfs_tree.h of the kernel, `struct btrfs_super_block`.
fn btrfs(medium: &mut dyn Medium) -> io::Result<Option<FileSystem>> {
    let Some(b) = block::<1024>(medium, 0x1_0000)? else { return Ok(None) };
    if part(&b, 64, 8) != b"_BHRfS_M" {
        return Ok(None);
    }
    Ok(Some(FileSystem { format: Format::Btrfs, label: text(part(&b, 299, 256)), uuid: uuid(part(&b, 32, 16)) }))
}

/// ECMA-119, 8.4: the primary volume descriptor in sector 16.
fn iso9660(medium: &mut dyn Medium) -> io::Result<Option<FileSystem>> {
    let Some(b) = block::<2048>(medium, 16 * 2048)? else { return Ok(None) };
    if part(&b, 0, 7) != b"\x01CD001\x01" {
        return Ok(None);
    }
    Ok(Some(FileSystem { format: Format::Iso9660, label: text(part(&b, 40, 32)), uuid: None }))
}

/// "FAT: General Overview of On-Disk Format", version 1.03: the BIOS parameter block.
fn fat(medium: &mut dyn Medium) -> io::Result<Option<FileSystem>> {
    let Some(b) = block::<512>(medium, 0)? else { return Ok(None) };
    let (sector, cluster, fats, media) = (le16(&b, 11), part(&b, 13, 1), part(&b, 16, 1), part(&b, 21, 1));
    let is_fat = part(&b, 510, 2) == b"\x55\xaa"
        && (512..=4096).contains(&sector)
        && sector.is_power_of_two()
        && matches!(cluster, [n] if n.is_power_of_two())
        && matches!(fats, [1 | 2])
        && matches!(media, [0xf0 | 0xf8..]);
    if !is_fat {
        return Ok(None);
    }
    let (fats, reserved) = (fats.first().copied().map_or(0, u64::from), u64::from(le16(&b, 14)));
    let cluster = cluster.first().copied().map_or(0, u64::from);
    // FAT32 has no size in the 16-bit field; its root directory is a chain of clusters, of which we read the first.
    let (root, entries, id, label) = match u64::from(le16(&b, 22)) {
        0 => {
            let data = reserved + fats * u64::from(le32(&b, 36));
            let root = data + u64::from(le32(&b, 44).saturating_sub(2)) * cluster;
            (root, u64::from(sector) * cluster / ENTRY, le32(&b, 67), part(&b, 71, 11))
        }
        size => (reserved + fats * size, u64::from(le16(&b, 17)), le32(&b, 39), part(&b, 43, 11)),
    };
    let label = match root_label(medium, root * u64::from(sector), entries)? {
        Some(label) => label,
        // What mkfs writes where it was given none.
        None => Some(text(label)).filter(|label| label != "NO NAME").unwrap_or_default(),
    };
    let uuid = Some(format!("{:04X}-{:04X}", id >> 16, id & 0xffff));
    Ok(Some(FileSystem { format: Format::Vfat, label, uuid }))
}

/// Bytes of a FAT's directory entry.
const ENTRY: u64 = 32;
/// Entries of a root directory that are looked at; the label is among the first.
const MAX_ENTRIES: u64 = 2048;

/// The label of a FAT in its root directory; `None`: there is none there.
fn root_label(medium: &mut dyn Medium, at: u64, entries: u64) -> io::Result<Option<String>> {
    for index in 0..entries.min(MAX_ENTRIES) {
        let Some(entry) = block::<32>(medium, at.saturating_add(index * ENTRY))? else { return Ok(None) };
        let attributes = part(&entry, 11, 1).first().copied().unwrap_or(0);
        match entry.first() {
            Some(0) => return Ok(None),
            Some(0xe5) => {}
            // The bit "volume", but not the four that make a piece of a long name.
            _ if attributes & 0x08 != 0 && attributes & 0x0f != 0x0f => return Ok(Some(text(part(&entry, 0, 11)))),
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::testing::mutate;

    fn put(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
        if image.len() < at + bytes.len() {
            image.resize(at + bytes.len(), 0);
        }
        image[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn of(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut image = vec![0; 0x1_0800];
        parts.iter().for_each(|(at, bytes)| put(&mut image, *at, bytes));
        image
    }

    /// A FAT32 with 512-byte sectors, 8 sectors a cluster, 32 reserved, two FATs of 4 sectors: its root is in sector 40.
    fn fat32(label: &[u8; 11], root: &[u8]) -> Vec<u8> {
        of(&[
            (11, &512_u16.to_le_bytes()),
            (13, &[8]),
            (14, &32_u16.to_le_bytes()),
            (16, &[2]),
            (21, &[0xf8]),
            (36, &4_u32.to_le_bytes()),
            (44, &2_u32.to_le_bytes()),
            (67, &0x1234_abcd_u32.to_le_bytes()),
            (71, label),
            (510, &[0x55, 0xaa]),
            (40 * 512, root),
        ])
    }

    fn fat16() -> Vec<u8> {
        of(&[
            (11, &512_u16.to_le_bytes()),
            (13, &[4]),
            (14, &1_u16.to_le_bytes()),
            (16, &[2]),
            (17, &512_u16.to_le_bytes()),
            (21, &[0xf8]),
            (22, &2_u16.to_le_bytes()),
            (39, &1_u32.to_le_bytes()),
            (43, b"OLD        "),
            (510, &[0x55, 0xaa]),
        ])
    }

    const UUID: [u8; 16] = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8];

    fn ext4() -> Vec<u8> {
        of(&[(1024 + 0x38, &[0x53, 0xef]), (1024 + 0x68, &UUID), (1024 + 0x78, b"sixteen-bytes-ok")])
    }

    fn iso() -> Vec<u8> {
        let name = format!("{:32}", "EDGELAY");
        of(&[(32_768, b"\x01CD001\x01"), (32_768 + 40, name.as_bytes())])
    }

    fn entry(name: &[u8; 11], attributes: u8) -> Vec<u8> {
        [name.as_slice(), &[attributes], &[0; 20]].concat()
    }

    #[test]
    fn every_format() {
        let found = |format, label: &str, uuid: Option<&str>| {
            Some(FileSystem { format, label: label.into(), uuid: uuid.map(str::to_owned) })
        };
        let uuid = Some("12345678-9abc-def0-0102-030405060708");
        let long = [entry(b"A long name", 0x0f), entry(b"\xe5LD LABEL  ", 8), entry(b"EDGELAY    ", 8)].concat();
        for (image, expected) in [
            (ext4(), found(Format::Ext, "sixteen-bytes-ok", uuid)),
            (of(&[(0, b"XFSB"), (32, &UUID), (108, b"root")]), found(Format::Xfs, "root", uuid)),
            (of(&[(0x1_0040, b"_BHRfS_M"), (0x1_0020, &UUID), (0x1_012b, b"b")]), found(Format::Btrfs, "b", uuid)),
            (iso(), found(Format::Iso9660, "EDGELAY", None)),
            // What Windows changes is the entry in the directory.
            (fat32(b"STALE      ", &long), found(Format::Vfat, "EDGELAY", Some("1234-ABCD"))),
            (fat32(b"SECTOR     ", &[]), found(Format::Vfat, "SECTOR", Some("1234-ABCD"))),
            (fat32(b"NO NAME    ", &entry(b"FILE    TXT", 0x20)), found(Format::Vfat, "", Some("1234-ABCD"))),
            (fat16(), found(Format::Vfat, "OLD", Some("0000-0001"))),
            (vec![0; 4096], None),
            (b"short".to_vec(), None),
        ] {
            assert_eq!(probe(&mut Cursor::new(image)).unwrap(), expected);
        }
    }

    #[test]
    fn hostile_media_do_no_harm() {
        mutate(&[ext4(), iso(), fat16(), fat32(b"X          ", &entry(b"Y          ", 8))], 300, |image| {
            let _ = probe(&mut Cursor::new(image));
        });
    }
}
