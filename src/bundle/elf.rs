//! Which processor a program is for, by its first bytes (System V ABI, ELF header).

use crate::ids::Arch;

/// What a file is, judged by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// A 64-bit ELF file for a processor that we know.
    For(Arch),
    /// An ELF file for another one, with the number of its machine.
    Other(u16),
    /// Begins with `#!`: runs wherever its interpreter does.
    Script,
    /// Neither.
    Unknown,
}

impl Program {
    /// Bytes of a file that [`Program::of`] looks at.
    pub const HEAD: usize = 20;

    /// `head` are the first [`Program::HEAD`] bytes, or all there are.
    pub fn of(head: &[u8]) -> Self {
        match *head {
            // e_ident: magic, class, data; e_type; e_machine. Class 2 is 64 bits, data 1 is little-endian.
            [0x7f, b'E', b'L', b'F', class, data, _, _, _, _, _, _, _, _, _, _, _, _, low, high, ..] => {
                let machine = if data == 2 { u16::from_be_bytes([low, high]) } else { u16::from_le_bytes([low, high]) };
                match (class, data, machine) {
                    (2, 1, 62) => Program::For(Arch::Amd64),
                    (2, 1, 183) => Program::For(Arch::Arm64),
                    _ => Program::Other(machine),
                }
            }
            [b'#', b'!', ..] => Program::Script,
            _ => Program::Unknown,
        }
    }

    /// Why it does not run on `arch`, in words that follow the file's name. `None`: it does.
    pub fn mismatch(self, arch: Arch) -> Option<String> {
        match self {
            Program::For(found) if found == arch => None,
            Program::Script => None,
            Program::For(found) => Some(format!("is a program for {found}, expected {arch}")),
            Program::Other(machine) => Some(format!("is a program for ELF machine {machine}, expected {arch}")),
            Program::Unknown => Some("is neither an ELF program nor a script".into()),
        }
    }
}

/// The loader that a 64-bit little-endian program names (segment PT_INTERP): without it, it does not run. `head` are its
/// first bytes; segments that are described behind them are not seen, and of a name behind them only that there is one.
pub fn loader(head: &[u8]) -> Option<String> {
    let number = |bytes: Option<&[u8]>| {
        bytes.map_or(0, |bytes| bytes.iter().rev().fold(0usize, |n, byte| n.wrapping_shl(8) | usize::from(*byte)))
    };
    // e_phoff, e_phentsize, e_phnum
    let (start, size, count) = (number(head.get(32..40)), number(head.get(54..56)), number(head.get(56..58)));
    let table = head.get(start.min(head.len())..).unwrap_or_default();
    if size < 4 {
        return None;
    }
    let segment = table.chunks_exact(size).take(count).find(|segment| segment.starts_with(&[3, 0, 0, 0]))?;
    // p_offset, p_filesz
    let (at, length) = (number(segment.get(8..16)), number(segment.get(32..40)));
    let name = at.checked_add(length).and_then(|end| head.get(at..end)).unwrap_or_default();
    Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(class: u8, data: u8, machine: [u8; 2]) -> Vec<u8> {
        [&[0x7f, b'E', b'L', b'F', class, data, 1][..], &[0; 9], &[2, 0], &machine].concat()
    }

    #[test]
    fn a_loader_is_seen() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let named = loader(&own[..4096]).expect("tests are linked dynamically");
        assert!(named.starts_with("/lib") && std::path::Path::new(&named).exists(), "{named}");
        // The name lies behind the table of segments, the first of which are within these bytes.
        assert_eq!(loader(&own[..300]), Some(String::new()));
        let mut none = own[..4096].to_vec();
        none[56] = 0;
        none[57] = 0;
        assert_eq!(loader(&none), None);
        assert_eq!((loader(&own[..10]), loader(&[0xff; 64])), (None, None));
    }

    #[test]
    fn programs() {
        for (bytes, program) in [
            (head(2, 1, [62, 0]), Program::For(Arch::Amd64)),
            (head(2, 1, [183, 0]), Program::For(Arch::Arm64)),
            (head(1, 1, [40, 0]), Program::Other(40)),
            (head(1, 1, [62, 0]), Program::Other(62)),
            (head(2, 2, [0, 22]), Program::Other(22)),
            (head(2, 1, [183, 0])[..19].to_vec(), Program::Unknown),
            (b"#!/bin/sh\n".to_vec(), Program::Script),
            (b"".to_vec(), Program::Unknown),
        ] {
            assert_eq!(Program::of(&bytes), program, "{bytes:?}");
        }
        assert_eq!(Program::For(Arch::Amd64).mismatch(Arch::Arm64).unwrap(), "is a program for amd64, expected arm64");
        assert_eq!(Program::Script.mismatch(Arch::Arm64), None);
    }
}
