//! Block devices, what is on them, and finding the one that a rule names.
//!
//! Devices are only ever opened for reading here, and none is asked to do anything.

use std::fmt;
use std::io::{Read, Seek};
use std::str::FromStr;

use super::label::{self, FileSystem};
use super::{SMALL, partition};
use crate::error::{Error, Kind, Lift, Result};
use crate::gather::{Gather, Grow};
use crate::ids::{BadName, RelPath};
use crate::note;
use crate::root::{Root, Type};

/// A disk or a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The kernel's name: `sda1`, `mmcblk0p2`.
    pub name: String,
    /// The disk that it is a partition of, and its number there.
    pub part_of: Option<(String, u32)>,
    /// Bytes.
    pub size: u64,
    /// Whether the kernel takes it for one that can be pulled out.
    pub removable: bool,
    /// The file system on it.
    pub file_system: Option<FileSystem>,
    /// Its UUID in the partition table.
    pub part_uuid: Option<String>,
    /// Its name in the partition table.
    pub part_label: Option<String>,
}

impl Device {
    /// The disk that it is, or is a part of.
    pub fn disk(&self) -> &str {
        self.part_of.as_ref().map_or(&self.name, |(disk, _)| disk)
    }

    /// Its label, if it has a file system with one.
    pub fn label(&self) -> &str {
        self.file_system.as_ref().map_or("", |fs| &fs.label)
    }
}

/// `/dev/sda1, vfat 'EDGELAY'`
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/dev/{}", self.name)?;
        match &self.file_system {
            Some(fs) => write!(f, " ({}, label '{}')", fs.format.mount_type(), fs.label.escape_debug()),
            None => f.write_str(" (no file system that is known here)"),
        }
    }
}

/// What names a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `LABEL=…`: of the file system. FAT knows no small letters, so case does not count there.
    Label(String),
    /// `UUID=…`: of the file system.
    Uuid(String),
    /// `PARTUUID=…`: of the partition.
    PartUuid(String),
    /// `PARTLABEL=…`: of the partition.
    PartLabel(String),
    /// `/dev/…`: the kernel's name.
    Name(String),
}

impl FromStr for Selector {
    type Err = BadName;

    fn from_str(text: &str) -> std::result::Result<Self, BadName> {
        let shape = BadName::Shape("is none of LABEL=, UUID=, PARTUUID=, PARTLABEL= and /dev/NAME");
        let make = match text.split_once('=') {
            Some(("LABEL", _)) => Selector::Label,
            Some(("UUID", _)) => Selector::Uuid,
            Some(("PARTUUID", _)) => Selector::PartUuid,
            Some(("PARTLABEL", _)) => Selector::PartLabel,
            _ => Selector::Name,
        };
        let value = match &make(String::new()) {
            Selector::Name(_) => text.strip_prefix("/dev/").filter(|name| !name.contains('/')).ok_or(shape)?,
            _ => text.split_once('=').map(|(_, value)| value).unwrap_or_default(),
        };
        if value.is_empty() { Err(BadName::Empty) } else { Ok(make(value.to_owned())) }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, value) = match self {
            Selector::Label(value) => ("LABEL=", value),
            Selector::Uuid(value) => ("UUID=", value),
            Selector::PartUuid(value) => ("PARTUUID=", value),
            Selector::PartLabel(value) => ("PARTLABEL=", value),
            Selector::Name(value) => ("/dev/", value),
        };
        write!(f, "{word}{}", value.escape_debug())
    }
}

impl Selector {
    /// Whether it names `device`.
    pub fn names(&self, device: &Device) -> bool {
        let is =
            |found: &Option<String>, wanted: &str| found.as_deref().is_some_and(|f| f.eq_ignore_ascii_case(wanted));
        match (self, &device.file_system) {
            (Selector::Label(wanted), Some(fs)) => match fs.format {
                label::Format::Vfat => fs.label.eq_ignore_ascii_case(wanted),
                _ => fs.label == *wanted,
            },
            (Selector::Uuid(wanted), Some(fs)) => is(&fs.uuid, wanted),
            (Selector::Label(_) | Selector::Uuid(_), None) => false,
            (Selector::PartUuid(wanted), _) => is(&device.part_uuid, wanted),
            (Selector::PartLabel(wanted), _) => device.part_label.as_ref() == Some(wanted),
            (Selector::Name(wanted), _) => device.name == *wanted,
        }
    }

    /// The devices that it names. A CD image written to a stick shows on the disk and on its first partition alike: the
    /// disk stands for both.
    pub fn among<'d>(&self, devices: &'d [Device]) -> Vec<&'d Device> {
        let named: Vec<&Device> = devices.iter().filter(|device| self.names(device)).gather();
        let twice = |device: &&&Device| {
            let same = |other: &&&Device| other.name == device.disk() && other.file_system == device.file_system;
            device.part_of.is_some() && named.iter().any(|other| same(&other))
        };
        named.iter().filter(|device| !twice(device)).copied().gather()
    }
}

/// What the kernel makes of memory, and devices that hold nothing by themselves.
const NEVER: [&str; 5] = ["ram", "loop", "zram", "nbd", "fd"];
/// Devices that are looked at.
const MAX_DEVICES: usize = 256;

const BLOCK: RelPath<'static> = RelPath::literal("sys/class/block");

/// Every disk and partition with its file system, sorted by name. A device that cannot be read is there without one.
pub fn devices(root: &Root) -> Result<Vec<Device>> {
    let names = root.list(BLOCK)?.ok_or_else(|| {
        Error::new(Kind::Host, format_args!("'{}' is not there", root.absolute(BLOCK).display()))
            .hint("mount sysfs on /sys")
    })?;
    let digit = |c: char| c.is_ascii_digit();
    let wanted = names.iter().filter(|name| !NEVER.contains(&name.trim_end_matches(digit)));
    let mut found = Vec::new();
    for name in wanted.take(MAX_DEVICES) {
        found.add_all(device(root, name)?);
    }
    let tables: Vec<_> =
        found.iter().filter(|d| d.part_of.is_none()).map(|d| (d.name.clone(), table(root, d))).gather();
    for device in &mut found {
        let Some((disk, number)) = &device.part_of else { continue };
        let entries = tables.iter().find(|(name, _)| name == disk).map(|(_, entries)| entries.as_slice());
        if let Some(entry) = entries.unwrap_or_default().iter().find(|entry| entry.number == *number) {
            device.part_uuid = Some(entry.uuid.clone());
            device.part_label = Some(entry.label.clone()).filter(|label| !label.is_empty());
        }
    }
    Ok(found)
}

fn device(root: &Root, name: &str) -> Result<Option<Device>> {
    let value = |file: &str| attribute(root, &format!("{name}/{file}"));
    let size = value("size")?.unwrap_or(0).saturating_mul(512);
    if size == 0 {
        return Ok(None); // a card reader without a card
    }
    // ../../devices/.../block/sda/sda1
    let target = root.read_link(path(&format!("{}/{name}", BLOCK.as_str()))?)?.unwrap_or_default();
    let disk = target.rsplit('/').nth(1).unwrap_or_default().to_owned();
    let number = value("partition")?.and_then(|number| u32::try_from(number).ok());
    let part_of = number.map(|number| (disk, number));
    let removable = attribute(root, &format!("{}/removable", part_of.as_ref().map_or(name, |(disk, _)| disk)))?;
    let mut device = Device {
        name: name.to_owned(),
        part_of,
        size,
        removable: removable == Some(1),
        file_system: None,
        part_uuid: None,
        part_label: None,
    };
    match open(root, name).map(|file| file.map(|mut file| label::probe(&mut file)).transpose()) {
        Ok(Ok(found)) => device.file_system = found.flatten(),
        // A disk that cannot be read is nobody's stick; what it says is for the log.
        Ok(Err(e)) => note::debug(format_args!("read /dev/{name}: {e}")),
        Err(e) => note::debug(format_args!("{e}")),
    }
    Ok(Some(device))
}

fn table(root: &Root, disk: &Device) -> Vec<partition::Entry> {
    let block = attribute(root, &format!("{}/queue/logical_block_size", disk.name)).ok().flatten().unwrap_or(512);
    let entries = match open(root, &disk.name) {
        Ok(Some(mut file)) => partition::table(&mut file, block).lift(Kind::Host, || "read the table".into()),
        Ok(None) => Ok(Vec::new()),
        Err(e) => Err(e),
    };
    entries.inspect_err(|e| note::debug(format_args!("/dev/{}: {e}", disk.name))).unwrap_or_default()
}

/// The device file for reading. `None`: there is none, or it is something else.
fn open(root: &Root, name: &str) -> Result<Option<impl Read + Seek + use<>>> {
    let text = format!("dev/{name}");
    let path = path(&text)?;
    // Never a FIFO or a directory that somebody put there. (A fake machine has files for devices.)
    match root.stat(path)? {
        Some(meta) if matches!(meta.kind, Type::Other | Type::File) => root.open_file(path),
        _ => Ok(None),
    }
}

fn path(text: &str) -> Result<RelPath<'_>> {
    RelPath::parse(text).lift(Kind::Host, || format!("device name '{}'", text.escape_debug()))
}

fn attribute(root: &Root, name: &str) -> Result<Option<u64>> {
    let text = format!("{}/{name}", BLOCK.as_str());
    Ok(root.read_text(path(&text)?, SMALL)?.and_then(|value| value.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    fn disk(tree: Tree, name: &str, removable: u8, content: &[u8]) -> Tree {
        let home = format!("sys/devices/pci/block/{name}");
        let tree = tree
            .file(&format!("{home}/size"), "2048\n")
            .file(&format!("{home}/removable"), &format!("{removable}\n"))
            .file(&format!("{home}/queue/logical_block_size"), "512\n")
            .link(&format!("sys/class/block/{name}"), &format!("../../devices/pci/block/{name}"));
        with_content(tree, name, content)
    }

    fn part(tree: Tree, disk: &str, number: u32, content: &[u8]) -> Tree {
        let name = format!("{disk}{number}");
        let home = format!("sys/devices/pci/block/{disk}/{name}");
        let tree = tree
            .file(&format!("{home}/size"), "1024\n")
            .file(&format!("{home}/partition"), &format!("{number}\n"))
            .link(&format!("sys/class/block/{name}"), &format!("../../devices/pci/block/{disk}/{name}"));
        with_content(tree, &name, content)
    }

    fn with_content(tree: Tree, name: &str, content: &[u8]) -> Tree {
        let tree = tree.file(&format!("dev/{name}"), "");
        std::fs::write(tree.root().absolute(RelPath::parse(&format!("dev/{name}")).unwrap()), content).unwrap();
        tree
    }

    fn ext(label: &str) -> Vec<u8> {
        let mut bytes = vec![0; 4096];
        bytes[1024 + 0x38..1024 + 0x3a].copy_from_slice(&[0x53, 0xef]);
        bytes[1024 + 0x68] = 0xab;
        bytes[1024 + 0x78..1024 + 0x78 + label.len()].copy_from_slice(label.as_bytes());
        bytes
    }

    fn iso() -> Vec<u8> {
        let mut bytes = vec![0; 40_000];
        bytes[32_768..32_775].copy_from_slice(b"\x01CD001\x01");
        bytes[32_808..32_840].copy_from_slice(format!("{:32}", "EDGELAY").as_bytes());
        bytes
    }

    fn machine() -> Tree {
        let mut mbr = vec![0; 512];
        mbr[440..444].copy_from_slice(&0xcafe_u32.to_le_bytes());
        mbr[446 + 4] = 0x83;
        mbr[446 + 20] = 0x83;
        mbr[510..].copy_from_slice(&[0x55, 0xaa]);
        let tree = disk(Tree::new(), "sda", 0, &mbr);
        let tree = part(part(tree, "sda", 1, &ext("boot")), "sda", 2, &ext("root"));
        let tree = part(disk(tree, "sdb", 1, &iso()), "sdb", 1, &iso());
        let tree = disk(tree, "sdc", 1, &[]).file("sys/devices/pci/block/sdc/size", "0\n");
        disk(disk(tree, "loop0", 0, &ext("root")), "sdd", 0, b"short").without("dev/sdd").dir("dev/sdd")
    }

    #[test]
    fn every_device_with_what_is_on_it() {
        let found = devices(&machine().root()).unwrap();
        let seen: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            seen,
            [
                "/dev/sda (no file system that is known here)",
                "/dev/sda1 (ext4, label 'boot')",
                "/dev/sda2 (ext4, label 'root')",
                "/dev/sdb (iso9660, label 'EDGELAY')",
                "/dev/sdb1 (iso9660, label 'EDGELAY')",
                "/dev/sdd (no file system that is known here)",
            ]
        );
        assert_eq!(found[2].part_uuid.as_deref(), Some("0000cafe-02"));
        assert_eq!((found[2].disk(), found[3].removable, found[4].removable), ("sda", true, true));
    }

    #[test]
    fn rules_name_devices() {
        let found = devices(&machine().root()).unwrap();
        for (rule, names) in [
            ("LABEL=root", vec!["sda2"]),
            ("LABEL=ROOT", vec![]),
            ("LABEL=EDGELAY", vec!["sdb"]),
            ("UUID=AB000000-0000-0000-0000-000000000000", vec!["sda1", "sda2"]),
            ("PARTUUID=0000CAFE-01", vec!["sda1"]),
            ("PARTLABEL=x", vec![]),
            ("/dev/sda", vec!["sda"]),
        ] {
            let selector: Selector = rule.parse().unwrap();
            assert_eq!(selector.to_string(), rule);
            let named: Vec<&str> = selector.among(&found).iter().map(|d| d.name.as_str()).collect();
            assert_eq!(named, names, "{rule}");
        }
        for bad in ["", "root", "LABEL=", "label=x", "/dev/", "/dev/a/b", "sda1"] {
            assert!(bad.parse::<Selector>().is_err(), "{bad}");
        }
    }

    #[test]
    fn no_sysfs() {
        let e = devices(&Tree::new().root()).unwrap_err();
        assert!(e.to_string().ends_with("sys/class/block' is not there"), "{e}");
    }
}
