//! The files of an image, in the one order that makes the same bytes of the same input.

use std::io::Write;

use super::modules::{Found, Tables, name_of};
use super::newc::Archive;
use super::wanted;
use crate::error::{Error, Kind, Lift, Result};
use crate::feed::Feed;
use crate::gather::Gather;
use crate::sorted::Map;

/// A file that goes into an image: how many bytes, and where they come from.
pub type Content<'a> = (u64, Box<dyn Feed + 'a>);

/// Which modules an image brings, and when they are loaded.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Loading {
    /// Group and module names, in order; a module may be in several groups.
    lines: Vec<(String, String)>,
    /// Module name → its file.
    files: Map<String, String>,
}

impl Loading {
    /// What is wanted unless told otherwise, and the drivers `extra`, which must be there.
    pub fn choose(tables: &Tables, extra: &[String]) -> Result<Self> {
        let mut loading = Loading::default();
        for name in wanted::DRIVERS {
            loading.add(wanted::BOOT, tables.find(name));
        }
        for name in extra {
            if !loading.add(wanted::BOOT, tables.find(name)) {
                return Err(Error::new(Kind::Host, format_args!("the kernel has no module '{}'", name.escape_debug()))
                    .hint("give its name as modinfo knows it, and the modules of the kernel that will boot"));
            }
        }
        for (group, names) in wanted::FILE_SYSTEMS {
            for name in *names {
                loading.add(group, tables.find(name));
            }
        }
        Ok(loading)
    }

    fn add(&mut self, group: &str, found: Found) -> bool {
        let files = match found {
            Found::Files(files) => files,
            Found::Builtin => return true,
            Found::Missing => return false,
        };
        for file in files {
            let line = (group.to_owned(), name_of(&file));
            if !self.lines.contains(&line) {
                self.files.insert(line.1.clone(), file);
                self.lines.push(line);
            }
        }
        true
    }

    /// How many modules there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// The text of [`wanted::ORDER`].
    fn order(&self) -> String {
        self.lines.iter().map(|(group, name)| format!("{group} {name}\n")).gather()
    }
}

/// Everything that an image is made of.
pub struct Image<'a> {
    /// edgelay itself, for the image's processor.
    pub binary: Content<'a>,
    /// A static shell, for a look around.
    pub shell: Option<Content<'a>>,
    /// Names and texts of the keys, of which one must have signed a bundle.
    pub keys: Vec<(String, String)>,
    /// Release of the kernel whose modules these are; empty without modules.
    pub release: String,
    /// The modules.
    pub loading: Loading,
    /// Opens a module's file, uncompressed, by its path below the kernel's directory.
    pub open_module: &'a mut dyn FnMut(&str) -> Result<Content<'a>>,
}

impl std::fmt::Debug for Image<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image").field("release", &self.release).field("loading", &self.loading).finish_non_exhaustive()
    }
}

impl Image<'_> {
    /// Writes the archive.
    pub fn write(self, out: &mut dyn Write) -> Result<()> {
        let Image { binary, shell, keys, release, loading, open_module } = self;
        let mut to = To(Archive::new(out));
        if let Some(shell) = shell {
            to.directory("bin")?;
            to.file("bin/sh", 0o755, shell)?;
        }
        to.directory("dev")?;
        // Before devtmpfs is there: the kernel opens the console for us, and a program whose descriptors are closed
        // opens /dev/null at its start.
        to.device("dev/console", 0o600, (5, 1))?;
        to.device("dev/null", 0o666, (1, 3))?;
        for name in ["etc", "etc/edgelay"] {
            to.directory(name)?;
        }
        let text = |text: String| -> Content<'static> {
            (text.len() as u64, Box::new(std::io::Cursor::new(text.into_bytes())))
        };
        to.file(wanted::RELEASE, 0o644, text(format!("{release}\n")))?;
        to.file(wanted::ORDER, 0o644, text(loading.order()))?;
        if !keys.is_empty() {
            to.directory("etc/edgelay/keys")?;
        }
        for (name, key) in keys {
            to.file(&format!("etc/edgelay/keys/{name}.pub"), 0o644, text(key))?;
        }
        to.file("init", 0o755, binary)?;
        to.directory(wanted::DIRECTORY)?;
        for (name, file) in &loading.files {
            to.file(&format!("{}/{name}.ko", wanted::DIRECTORY), 0o644, open_module(file)?)?;
        }
        for name in ["proc", "run", "stick", "sys", "target", "tmp"] {
            to.directory(name)?;
        }
        to.0.finish().lift(Kind::Host, failed)
    }
}

struct To<'w>(Archive<'w>);

impl To<'_> {
    fn directory(&mut self, name: &str) -> Result<()> {
        self.0.directory(name, 0o755).lift(Kind::Host, failed)
    }

    fn device(&mut self, name: &str, mode: u32, number: (u32, u32)) -> Result<()> {
        self.0.character_device(name, mode, number).lift(Kind::Host, failed)
    }

    fn file(&mut self, name: &str, mode: u32, (size, mut content): Content<'_>) -> Result<()> {
        let size = u32::try_from(size)
            .map_err(|_| Error::new(Kind::Host, format_args!("'{name}' is too large for an image")))?;
        self.0.file(name, mode, size, &mut content).lift(Kind::Host, || format!("{}: '{name}'", failed()))
    }
}

fn failed() -> String {
    "write the image".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/fs/fat/fat.ko:\nkernel/fs/fat/vfat.ko: kernel/fs/fat/fat.ko\nkernel/my.ko:\n\
        kernel/drivers/virtio/virtio.ko.xz:\nkernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio.ko.xz\n";

    fn loading(extra: &[&str]) -> Result<Loading> {
        let tables = Tables::parse(DEP, "kernel/fs/ext4/ext4.ko\n", "").unwrap();
        Loading::choose(&tables, &extra.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn drivers_first_and_file_systems_by_their_type() {
        assert_eq!(loading(&["my"]).unwrap().order(), "boot virtio\nboot virtio_blk\nboot my\nvfat fat\nvfat vfat\n");
        assert_eq!(loading(&["ext4"]).unwrap().count(), 4, "built in is there, too");
        let e = loading(&["none"]).unwrap_err();
        assert_eq!(e.to_string(), "the kernel has no module 'none'");
    }

    #[test]
    fn an_image_is_the_same_every_time() {
        let make = || {
            let mut bytes = Vec::new();
            let content = |text: &'static str| -> Content<'static> { (text.len() as u64, Box::new(text.as_bytes())) };
            let image = Image {
                binary: content("\x7fELF"),
                shell: Some(content("#!")),
                keys: vec![("line".into(), "a key".into())],
                release: "6.1".into(),
                loading: loading(&[]).unwrap(),
                open_module: &mut |path| Ok(content(if path.ends_with("vfat.ko") { "VFAT" } else { "KO" })),
            };
            image.write(&mut bytes).unwrap();
            bytes
        };
        let bytes = make();
        assert_eq!(bytes, make());
        let text = String::from_utf8_lossy(&bytes);
        for name in [
            "dev/console\0",
            "etc/edgelay/keys/line.pub\0",
            "init\0",
            "modules/vfat.ko\0",
            "modules/virtio_blk.ko\0",
            "TRAILER!!!\0",
        ] {
            assert!(text.contains(name), "{name:?}");
        }
    }
}
