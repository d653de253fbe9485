//! Every console that the kernel talks to: a screen and a serial line both show what happens.

use std::fs::File;
use std::io::{self, Write};

use nix::sys::stat::{fstat, major, minor};

use crate::gather::Gather;
use crate::ids::RelPath;
use crate::root::Root;

/// Names of the consoles.
const ACTIVE: RelPath<'static> = RelPath::literal("sys/class/tty/console/active");
/// Consoles that are used.
const MAX: usize = 8;
/// `/dev/console` (Documentation/admin-guide/devices.txt): whichever was the first when it was opened, and so one of the names.
const CONSOLE: (u64, u64) = (5, 1);

/// Writes to all consoles of the machine, and to our own standard error where that is none of them.
#[derive(Debug)]
pub struct Consoles {
    root: Option<Root>,
    /// What the kernel said of them when they were opened.
    active: String,
    open: Vec<File>,
    error_is_console: bool,
}

impl Consoles {
    /// Those of the machine below `root`. One that cannot be opened is left out: there is nobody to tell.
    pub fn open(root: &Root) -> Self {
        let error = fstat(io::stderr()).map(|stat| (major(stat.st_rdev), minor(stat.st_rdev)));
        let error_is_console = error.is_ok_and(|device| device == CONSOLE);
        Consoles { root: root.again().ok(), active: String::new(), open: Vec::new(), error_is_console }
    }

    /// A console may come when its driver is loaded.
    fn look_again(&mut self) {
        let Some(root) = &self.root else { return };
        let names = root.read_text(ACTIVE, 4096).ok().flatten().unwrap_or_default();
        if names == self.active {
            return;
        }
        let open = |name: &str| {
            let path = format!("dev/{name}");
            let path = RelPath::parse(&path).ok()?;
            root.stat(path).ok()??; // it would be made
            root.open_append(path, 0o600).ok()
        };
        self.open = names.split_whitespace().take(MAX).filter_map(open).gather();
        self.active = names;
    }
}

impl Write for Consoles {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.look_again();
        for console in &mut self.open {
            // ignoring: a serial line that hangs up must not end an installation
            let _ = console.write_all(bytes);
        }
        if self.error_is_console && !self.open.is_empty() { Ok(bytes.len()) } else { io::stderr().write(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_there_are_also_those_that_come_later() {
        let (_dir, root) = Root::scratch();
        let mut consoles = Consoles::open(&root);
        consoles.write_all(b"nobody hears\n").unwrap();
        root.write(ACTIVE, 0o644, b"tty0 ttyS1 ttyS0\n").unwrap();
        for name in ["tty0", "ttyS0", "hvc0"] {
            root.write(RelPath::parse(&format!("dev/{name}")).unwrap(), 0o644, b"").unwrap();
        }
        consoles.write_all(b"one\n").unwrap();
        root.write(ACTIVE, 0o644, b"hvc0 tty0 ttyS1 ttyS0\n").unwrap();
        consoles.write_all(b"two\n").unwrap();
        for (name, said) in [("tty0", "one\ntwo\n"), ("ttyS0", "one\ntwo\n"), ("hvc0", "two\n")] {
            let path = format!("dev/{name}");
            assert_eq!(root.read_text(RelPath::parse(&path).unwrap(), 99).unwrap().unwrap(), said, "{name}");
        }
        assert_eq!(root.stat(RelPath::literal("dev/ttyS1")).unwrap(), None, "none is made");
    }
}
