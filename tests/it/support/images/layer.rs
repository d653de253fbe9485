//! Layers: uncompressed tars of root file systems.

use tar::{EntryType, Header};

/// A header without times and owners.
pub(crate) fn header(kind: EntryType, size: u64, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn block(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// Appends an entry with any name, however hostile; long ones get a GNU long-name entry.
pub(crate) fn append(out: &mut Vec<u8>, mut header: Header, name: &str, data: &[u8]) {
    if name.len() > 100 {
        let mut long = self::header(EntryType::GNULongName, name.len() as u64 + 1, 0o644);
        set_name(&mut long, b"././@LongLink");
        block(out, long.as_bytes());
        block(out, &[name.as_bytes(), b"\0"].concat());
    }
    set_name(&mut header, &name.as_bytes()[..name.len().min(100)]);
    block(out, header.as_bytes());
    block(out, data);
}

fn set_name(header: &mut Header, name: &[u8]) {
    let field = &mut header.as_mut_bytes()[..100];
    field.fill(0);
    field[..name.len()].copy_from_slice(name);
    header.set_cksum();
}

/// Extended attributes for the entry that follows (a PAX header).
fn xattr(out: &mut Vec<u8>, key: &str, value: &str) {
    let rest = format!(" SCHILY.xattr.{key}={value}\n");
    // The length counts its own digits.
    let length = (rest.len()..).find(|n| n.to_string().len() + rest.len() == *n).unwrap();
    let record = format!("{length}{rest}");
    let mut pax = header(EntryType::XHeader, record.len() as u64, 0o644);
    set_name(&mut pax, b"PaxHeaders/x");
    block(out, pax.as_bytes());
    block(out, record.as_bytes());
}

fn dir(out: &mut Vec<u8>, name: &str, mode: u32) {
    append(out, header(EntryType::Directory, 0, mode), &format!("{name}/"), b"");
}

fn regular(out: &mut Vec<u8>, name: &str, data: &[u8], mode: u32) {
    append(out, header(EntryType::Regular, data.len() as u64, mode), name, data);
}

fn link(out: &mut Vec<u8>, kind: EntryType, name: &str, target: &str) {
    let mut header = header(kind, 0, 0o777);
    header.set_link_name_literal(target).unwrap();
    append(out, header, name, b"");
}

fn end(mut out: Vec<u8>) -> Vec<u8> {
    out.resize(out.len() + 1024, 0);
    out
}

/// A layer with one file.
pub(crate) fn file(name: &str, data: &[u8], mode: u32) -> Vec<u8> {
    let mut out = Vec::new();
    regular(&mut out, name, data, mode);
    end(out)
}

/// A layer of about `kib` KiB with a few files of pseudo-random bytes, different for each `seed`.
pub(crate) fn small(seed: u64, kib: usize) -> Vec<u8> {
    let mut out = Vec::new();
    dir(&mut out, "opt", 0o755);
    let each = (kib * 1024 / 4).max(1);
    for i in 0..4 {
        regular(&mut out, &format!("opt/{seed}-{i}.bin"), &payload(seed * 4 + i, each), 0o644);
    }
    end(out)
}

/// A layer of `count` files of up to 16 KiB in a few directories, different for each `seed`.
pub(crate) fn many(seed: u64, count: u64) -> Vec<u8> {
    let mut out = Vec::new();
    for i in 0..count {
        if i % 50 == 0 {
            dir(&mut out, &format!("many-{}", i / 50), 0o755);
        }
        let size = usize::try_from(i * 41 % 16_384).unwrap();
        regular(&mut out, &format!("many-{}/{i}", i / 50), &payload(seed << 32 | i, size), 0o644);
    }
    end(out)
}

/// Bytes that gzip halves: half noise, half text.
pub(crate) fn payload(seed: u64, size: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut out = Vec::with_capacity(size + 64);
    while out.len() < size {
        for _ in 0..4 {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            out.extend_from_slice(&x.to_le_bytes());
        }
        out.extend_from_slice(b"edgelay test payload, 32 bytes.\n");
    }
    out.truncate(size);
    out
}

/// The base of a root file system around a static busybox, which a container can run.
pub(crate) fn busybox(binary: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in ["bin", "etc", "proc", "sys", "dev", "usr", "usr/local", "usr/local/bin"] {
        dir(&mut out, name, 0o755);
    }
    dir(&mut out, "tmp", 0o1777);
    dir(&mut out, "root", 0o700);
    regular(&mut out, "bin/busybox", binary, 0o755);
    for applet in [
        "sh", "ls", "cat", "sleep", "echo", "ip", "ping", "wget", "httpd", "id", "env", "mount", "ps", "cp", "true",
        "nslookup", "nc", "stat", "find",
    ] {
        link(&mut out, EntryType::Symlink, &format!("bin/{applet}"), "busybox");
    }
    regular(&mut out, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644);
    end(out)
}

/// Two layers with all that makes unpacking hard. The first: hard links, symbolic links, extended attributes, a device
/// node, a FIFO, odd modes and owners, a long name. The second takes some of it away again with whiteouts.
pub(crate) fn tree() -> [Vec<u8>; 2] {
    let mut base = Vec::new();
    dir(&mut base, "odd", 0o755);
    regular(&mut base, "odd/file", b"one\n", 0o640);
    link(&mut base, EntryType::Link, "odd/hard", "odd/file");
    link(&mut base, EntryType::Symlink, "odd/soft", "../odd/file");
    link(&mut base, EntryType::Symlink, "odd/dangling", "/nowhere/at/all");
    xattr(&mut base, "user.colour", "blue");
    regular(&mut base, "odd/attributed", b"two\n", 0o4755);
    let mut null = header(EntryType::Char, 0, 0o666);
    null.set_device_major(1).unwrap();
    null.set_device_minor(3).unwrap();
    append(&mut base, null, "odd/null", b"");
    append(&mut base, header(EntryType::Fifo, 0, 0o600), "odd/fifo", b"");
    let mut owned = header(EntryType::Regular, 6, 0o600);
    owned.set_uid(1000);
    owned.set_gid(2000);
    owned.set_mtime(1_700_000_000);
    append(&mut base, owned, "odd/owned", b"three\n");
    regular(&mut base, &format!("odd/{}", "long-".repeat(30)), b"four\n", 0o644);
    dir(&mut base, "gone", 0o755);
    regular(&mut base, "gone/a", b"a", 0o644);
    dir(&mut base, "opaque", 0o711);
    regular(&mut base, "opaque/old", b"old", 0o644);

    let mut top = Vec::new();
    regular(&mut top, ".wh.gone", b"", 0o644);
    regular(&mut top, "odd/.wh.file", b"", 0o644);
    dir(&mut top, "opaque", 0o711);
    regular(&mut top, "opaque/.wh..wh..opq", b"", 0o644);
    regular(&mut top, "opaque/new", b"new", 0o644);
    [end(base), end(top)]
}
