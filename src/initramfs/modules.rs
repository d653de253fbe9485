//! Which kernel modules an image needs, and in which order they are loaded: what depmod(8) wrote, read with limits.

use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::sorted::Set;

/// Lines of modules.dep; a distribution's kernel has five thousand.
const MAX_MODULES: usize = 32_768;
/// Modules that one module may pull in.
const MAX_CLOSURE: usize = 256;

/// The tables in a directory of modules.
#[derive(Debug, Default)]
pub struct Tables {
    /// Path → the paths it depends on, the nearest first, all of them (modules.dep).
    files: Vec<(String, Vec<String>)>,
    /// Names in the kernel itself (modules.builtin).
    builtin: Set<String>,
    /// Name → names wanted before it (modules.softdep).
    soft: Vec<(String, Vec<String>)>,
}

/// What becomes of a wanted module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Files to load, in this order; the last is the module itself.
    Files(Vec<String>),
    /// In the kernel already.
    Builtin,
    /// This kernel has no such module.
    Missing,
}

/// `kernel/fs/fat/vfat.ko.xz` is the module `vfat`; `-` and `_` are the same in names.
pub fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    file.split(".ko").next().unwrap_or_default().replace('-', "_")
}

impl Tables {
    /// From the texts of modules.dep, modules.builtin and modules.softdep.
    pub fn parse(dep: &str, builtin: &str, softdep: &str) -> Result<Self> {
        let mut tables =
            Tables { builtin: Set::from(builtin.lines().map(name_of).gather::<Vec<_>>()), ..Tables::default() };
        for (number, line) in dep.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let bad = |what: &str| {
                Error::new(Kind::Host, format_args!("modules.dep, line {}: {what}", number + 1)).hint("run depmod")
            };
            let (path, needs) = line.split_once(':').ok_or_else(|| bad("has no ':'"))?;
            let needs: Vec<String> = needs.split_whitespace().map(str::to_owned).gather();
            if std::iter::once(path).chain(needs.iter().map(String::as_str)).any(|p| !is_plain(p)) {
                return Err(bad("is not a path below this directory"));
            }
            if tables.files.len() == MAX_MODULES || needs.len() > MAX_CLOSURE {
                return Err(bad("is beyond the limit of modules"));
            }
            tables.files.push((path.to_owned(), needs));
        }
        for line in softdep.lines() {
            let mut words = line.split_whitespace();
            if let (Some("softdep"), Some(name)) = (words.next(), words.next()) {
                // "pre:" is what stands before any of the two words, too; "post:" can wait for ever.
                let before = words.take_while(|word| *word != "post:").filter(|word| *word != "pre:");
                tables.soft.push((name.replace('-', "_"), before.map(|word| word.replace('-', "_")).gather()));
            }
        }
        Ok(tables)
    }

    /// The files of the module `name` with all that it needs.
    pub fn find(&self, name: &str) -> Found {
        let name = name.replace('-', "_");
        let mut order = Vec::new();
        if self.add(&name, &mut order, 0) {
            Found::Files(order)
        } else if self.builtin.contains(&name) {
            Found::Builtin
        } else {
            Found::Missing
        }
    }

    /// Whether there is a file of the module.
    fn add(&self, name: &str, order: &mut Vec<String>, depth: usize) -> bool {
        let Some((path, needs)) = self.files.iter().find(|(path, _)| name_of(path) == name) else { return false };
        if order.contains(path) {
            return true;
        }
        // Soft dependencies may go in circles; what is asked for by them alone may be missing.
        if depth < MAX_SOFT {
            for wanted in self.soft.iter().filter(|(of, _)| of == name).flat_map(|(_, before)| before) {
                self.add(wanted, order, depth + 1);
            }
        }
        for file in needs.iter().rev().chain([path]) {
            if !order.contains(file) {
                order.push(file.clone());
            }
        }
        true
    }
}

/// Soft dependencies of soft dependencies of ...
const MAX_SOFT: usize = 4;

fn is_plain(path: &str) -> bool {
    crate::ids::RelPath::parse(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::mutate;

    const DEP: &str = "kernel/fs/fat/fat.ko:\nkernel/fs/fat/vfat.ko: kernel/fs/fat/fat.ko\n\
        kernel/drivers/usb/storage/usb-storage.ko.xz: kernel/drivers/scsi/scsi_mod.ko.xz kernel/drivers/usb/core/usbcore.ko.xz kernel/drivers/scsi/scsi_common.ko.xz\n\
        kernel/drivers/scsi/scsi_mod.ko.xz: kernel/drivers/scsi/scsi_common.ko.xz\nkernel/drivers/scsi/scsi_common.ko.xz:\n\
        kernel/drivers/usb/core/usbcore.ko.xz:\nkernel/crypto/crc32c_generic.ko:\nkernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\nkernel/fs/jbd2/jbd2.ko:\n";
    const SOFT: &str =
        "# comment\nsoftdep ext4 pre: crc32c-generic post: x\nsoftdep jbd2 fat\nsoftdep crc32c_generic pre: ext4\n";

    fn tables() -> Tables {
        Tables::parse(DEP, "kernel/drivers/nvme/host/nvme.ko\n", SOFT).unwrap()
    }

    #[test]
    fn closures_in_order() {
        let files = |list: &[&str]| Found::Files(list.iter().map(ToString::to_string).collect());
        for (name, found) in [
            ("vfat", files(&["kernel/fs/fat/fat.ko", "kernel/fs/fat/vfat.ko"])),
            (
                "usb_storage",
                files(&[
                    "kernel/drivers/scsi/scsi_common.ko.xz",
                    "kernel/drivers/usb/core/usbcore.ko.xz",
                    "kernel/drivers/scsi/scsi_mod.ko.xz",
                    "kernel/drivers/usb/storage/usb-storage.ko.xz",
                ]),
            ),
            // crc32c_generic wants ext4 softly in turn; that ends.
            ("nvme", Found::Builtin),
            ("uas", Found::Missing),
        ] {
            assert_eq!(tables().find(name), found, "{name}");
        }
        let Found::Files(ext4) = tables().find("ext4") else { panic!() };
        assert!(ext4.contains(&"kernel/crypto/crc32c_generic.ko".to_owned()), "{ext4:?}");
        assert!(ext4.iter().position(|f| f.ends_with("jbd2.ko")) < ext4.iter().position(|f| f.ends_with("ext4.ko")));
    }

    #[test]
    fn bad_tables() {
        for (dep, what) in [
            ("a.ko\n", "modules.dep, line 1: has no ':'"),
            ("a.ko:\n/etc/x.ko:\n", "modules.dep, line 2: is not a path below this directory"),
            ("a.ko: ../b.ko\n", "modules.dep, line 1: is not a path below this directory"),
        ] {
            assert_eq!(Tables::parse(dep, "", "").unwrap_err().to_string(), what);
        }
        mutate(&[DEP.as_bytes().to_vec()], 200, |bytes| {
            if let Ok(tables) = Tables::parse(&String::from_utf8_lossy(bytes), "", SOFT) {
                tables.find("ext4");
            }
        });
    }
}
