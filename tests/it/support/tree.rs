//! Everything about the files in a directory, as lines that can be compared.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use edgelay::digest::Hasher;
use edgelay::sys::xattr;

/// One line for the directory itself and for each thing in it: path, type, mode, owner, both times to the nanosecond,
/// size, device number, first path with the same inode, link text, attributes, digest of the content. Nothing is left
/// out and nothing is followed; times within a day of now are those of unpacking and shown as such.
pub(crate) fn list(dir: &Path) -> Vec<String> {
    let mut list = List { lines: Vec::new(), inodes: BTreeMap::new() };
    let parent = File::open(dir.parent().unwrap()).unwrap();
    let name = dir.file_name().unwrap().as_bytes();
    list.add(dir, b".", &parent, name);
    list.lines
}

struct List {
    lines: Vec<String>,
    inodes: BTreeMap<u64, String>,
}

impl List {
    fn add(&mut self, path: &Path, shown: &[u8], parent: &File, name: &[u8]) {
        // Before anything is read: reading changes the access time.
        let meta = path.symlink_metadata().unwrap();
        let shown_text = shown.escape_ascii().to_string();
        let first = self.inodes.entry(meta.ino()).or_insert_with(|| shown_text.clone()).clone();
        let line = format!(
            "{shown_text} {} {:o} {}:{} m{} a{} {} {}:{} ={first} {} {} {}",
            kind(&meta),
            meta.mode(),
            meta.uid(),
            meta.gid(),
            time(meta.mtime(), meta.mtime_nsec()),
            time(meta.atime(), meta.atime_nsec()),
            if meta.is_dir() { 0 } else { meta.size() },
            nix::sys::stat::major(meta.rdev()),
            nix::sys::stat::minor(meta.rdev()),
            fs::read_link(path).map(|t| t.as_os_str().as_bytes().escape_ascii().to_string()).unwrap_or_default(),
            attributes(parent, name),
            if meta.is_file() { content(path) } else { String::new() },
        );
        self.lines.push(line);
        if meta.is_dir() {
            let own = File::open(path).unwrap();
            let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            for name in names {
                let shown = [shown, b"/", name.as_bytes()].concat();
                self.add(&path.join(&name), &shown, &own, name.as_bytes());
            }
        }
    }
}

fn kind(meta: &Metadata) -> &'static str {
    let kind = meta.file_type();
    match () {
        () if kind.is_file() => "file",
        () if kind.is_dir() => "dir",
        () if kind.is_symlink() => "link",
        () if kind.is_char_device() => "char",
        () if kind.is_block_device() => "block",
        () if kind.is_fifo() => "fifo",
        () if kind.is_socket() => "socket",
        () => "other",
    }
}

fn time(seconds: i64, nanos: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
    if (now - 86_400..now + 86_400).contains(&seconds) { "now".into() } else { format!("{seconds}.{nanos:09}") }
}

fn attributes(parent: &File, name: &[u8]) -> String {
    let mut names = xattr::list(parent.as_fd(), name).unwrap();
    names.sort();
    let shown = names.iter().map(|attribute| {
        let value = xattr::get(parent.as_fd(), name, attribute).unwrap();
        format!("{}={}", attribute.escape_ascii(), value.escape_ascii())
    });
    format!("[{}]", shown.collect::<Vec<_>>().join(","))
}

/// Digest of the data with its holes stepped over: a sparse file of many GiB has its zeros told by the size.
fn content(path: &Path) -> String {
    use std::os::unix::fs::FileExt;
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().size();
    let (mut hasher, mut buffer, mut at) = (Hasher::default(), vec![0; 1 << 16], 0);
    while at < size {
        let data = nix::unistd::lseek(&file, at.cast_signed(), nix::unistd::Whence::SeekData);
        // Whole steps, so that the same zeros count the same whether they are a hole or not.
        at = data.map_or(size, |data| data.cast_unsigned() / (1 << 16) * (1 << 16)).max(at);
        let n = file.read_at(&mut buffer, at).unwrap();
        if buffer[..n].iter().any(|byte| *byte != 0) {
            hasher.update(&at.to_be_bytes());
            hasher.update(&buffer[..n]);
        }
        at += 1 << 16;
    }
    hasher.finish().to_string()
}
