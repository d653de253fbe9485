//! Every console that the kernel talks to: a screen and a serial line both show what happens.

use std::fs::File;
use std::io::{self, Write};

use crate::ids::RelPath;
use crate::root::Root;

/// Names of the consoles; the last one is `/dev/console`.
const ACTIVE: RelPath<'static> = RelPath::literal("sys/class/tty/console/active");
/// Consoles that are used.
const MAX: usize = 8;

/// Writes to our own standard error and to the other consoles of the machine.
#[derive(Debug, Default)]
pub struct Consoles {
    others: Vec<File>,
}

impl Consoles {
    /// Opens those that there are. One that cannot be opened is left out: there is nobody to tell.
    pub fn open(root: &Root) -> Self {
        let names = root.read_text(ACTIVE, 4096).ok().flatten().unwrap_or_default();
        let names: Vec<&str> = names.split_whitespace().collect();
        // /dev/console, which the kernel gave us, is the last of them.
        let others = names.split_last().map(|(_, others)| others).unwrap_or_default();
        let open = |name: &&str| root.open_append(RelPath::parse(&format!("dev/{name}")).ok()?, 0o600).ok();
        let there = |name: &&&str| {
            RelPath::parse(&format!("dev/{name}")).is_ok_and(|path| matches!(root.stat(path), Ok(Some(_))))
        };
        Consoles { others: others.iter().filter(there).take(MAX).filter_map(open).collect() }
    }
}

impl Write for Consoles {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for console in &mut self.others {
            // ignoring: a serial line that hangs up must not end an installation
            let _ = console.write_all(bytes);
        }
        io::stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_our_own() {
        let (_dir, root) = Root::scratch();
        assert!(Consoles::open(&root).others.is_empty());
        root.write(ACTIVE, 0o644, b"tty0 ttyS1 ttyS0\n").unwrap();
        for name in ["tty0", "ttyS0"] {
            root.write(RelPath::parse(&format!("dev/{name}")).unwrap(), 0o644, b"").unwrap();
        }
        let mut consoles = Consoles::open(&root);
        consoles.write_all(b"edgelay\n").unwrap();
        assert_eq!(root.read(RelPath::literal("dev/tty0"), 99).unwrap().unwrap(), b"edgelay\n");
        assert_eq!(root.read(RelPath::literal("dev/ttyS0"), 99).unwrap().unwrap(), b"");
        assert_eq!(root.stat(RelPath::literal("dev/ttyS1")).unwrap(), None, "none is made");
    }
}
