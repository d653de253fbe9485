//! Judging the target before anything is written to it: a system's root, for this processor.

use std::fmt;
use std::path::Path;

use crate::bundle::Program;
use crate::error::{Error, Kind, Lift, Result};
use crate::feed;
use crate::host::block::Device;
use crate::ids::{Arch, RelPath};
use crate::report::bytes;
use crate::root::Root;

use super::outcome::Failure;
use super::{Job, TARGET, look_at};

/// What is on the target.
#[derive(Debug)]
pub(super) struct System {
    name: String,
    free: u64,
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} free", self.name, bytes(self.free))
    }
}

/// Where a system says what it is (os-release(5)).
const RELEASE: [RelPath<'static>; 2] = [RelPath::literal("etc/os-release"), RelPath::literal("usr/lib/os-release")];
/// What a kernel starts first, and what every system has of its processor.
const PROGRAMS: [RelPath<'static>; 4] = [
    RelPath::literal("sbin/init"),
    RelPath::literal("usr/lib/systemd/systemd"),
    RelPath::literal("lib/systemd/systemd"),
    RelPath::literal("bin/sh"),
];

/// Mounts `device` read-only at [`TARGET`] and looks at it.
pub(super) fn judge(job: &Job<'_>, device: &Device, arch: Arch) -> std::result::Result<System, Failure> {
    look_at(job, device, TARGET).map_err(|e| Failure::new("no-system", e))?;
    let root = Root::open(Path::new(TARGET))?;
    system(&root, device, arch)
}

fn system(root: &Root, device: &Device, arch: Arch) -> std::result::Result<System, Failure> {
    let failed = |e| Failure::new("failed", e);
    let Some(name) = name(root).map_err(failed)? else {
        return Err(Failure::new(
            "no-system",
            Error::new(Kind::Host, format_args!("{device} holds no system: it has no os-release"))
                .hint("write the system's image to it first, or name another one with edgelay.target="),
        ));
    };
    if let Some(why) = foreign(root, arch).map_err(failed)? {
        return Err(Failure::new(
            "wrong-architecture",
            Error::new(Kind::Host, format_args!("{device} holds '{name}' for another processor: {why}"))
                .hint("write the image for this processor to it, or boot the machine that it is for"),
        ));
    }
    let free = root.space(RelPath::literal("var")).map_err(failed)?.free;
    Ok(System { name, free })
}

fn name(root: &Root) -> Result<Option<String>> {
    for path in RELEASE {
        if let Some(text) = root.read_text(path, crate::host::SMALL)? {
            let pretty = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
            return Ok(Some(pretty.map_or("a system without a name", |name| name.trim_matches('"')).to_owned()));
        }
    }
    Ok(None)
}

/// The first of its programs that is for another processor.
fn foreign(root: &Root, arch: Arch) -> Result<Option<String>> {
    for path in PROGRAMS {
        let Some(mut file) = root.open_file(path)? else { continue };
        let head = feed::first(&mut file, Program::HEAD).lift(Kind::Host, || format!("read '{path}'"))?;
        if let (Program::For(_) | Program::Other(_), Some(why)) =
            (Program::of(&head), Program::of(&head).mismatch(arch))
        {
            return Ok(Some(format!("'{path}' {why}")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::Tree;

    fn device() -> Device {
        Device {
            name: "sda2".into(),
            part_of: None,
            size: 0,
            removable: false,
            file_system: None,
            part_uuid: None,
            part_label: None,
        }
    }

    fn put(tree: &Tree, path: &'static str, machine: u8) {
        let bytes = [&[0x7f, b'E', b'L', b'F', 2, 1, 1][..], &[0; 9], &[2, 0, machine, 0]].concat();
        tree.root().write(RelPath::literal(path), 0o755, &bytes).unwrap();
    }

    #[test]
    fn systems_and_what_is_none() {
        let word = |tree: &Tree| system(&tree.root(), &device(), Arch::Amd64).map(|s| s.name).map_err(|f| f.word);
        let tree = Tree::new().dir("home");
        assert_eq!(word(&tree), Err("no-system"));
        let tree = tree.file("usr/lib/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");
        put(&tree, "usr/lib/systemd/systemd", 62);
        let tree = tree.link("sbin/init", "/usr/lib/systemd/systemd").link("etc/os-release", "../usr/lib/os-release");
        assert_eq!(word(&tree), Ok("Debian GNU/Linux 12".to_owned()));
        put(&tree, "usr/lib/systemd/systemd", 183);
        let failure = system(&tree.root(), &device(), Arch::Amd64).unwrap_err();
        assert_eq!(failure.word, "wrong-architecture");
        assert!(failure.error.to_string().ends_with("'/sbin/init' is a program for arm64, expected amd64"));
    }
}
