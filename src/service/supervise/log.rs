//! The log of a service, bounded: what is beyond the limit goes into one old file, and the log begins anew.
//!
//! The service itself holds the file open for appending, so it is emptied and not replaced. What is written in the
//! moment between copying and emptying is lost; in return a service never waits for us, nor ends with us.

use std::io::{Read, Seek, SeekFrom, Write};

use crate::error::{Kind, Lift, Result};
use crate::ids::RelPath;
use crate::root::Root;

/// Beyond this a log is set aside: days of a quiet node, minutes of one that is ill.
pub(super) const LIMIT: u64 = 1 << 20;
/// What is kept of it: the end of a longer one.
const KEPT: u64 = 1 << 20;

/// Sets the log of `name` aside if it has grown beyond the limit.
pub(super) fn bound(root: &Root, name: &str) -> Result<()> {
    let file = super::super::log_path(name);
    let old = format!("{file}.old");
    let (Ok(path), Ok(old)) = (RelPath::parse(&file), RelPath::parse(&old)) else { return Ok(()) };
    let Some(meta) = root.lstat(path)?.filter(|meta| meta.size > LIMIT) else { return Ok(()) };
    if let Some(mut log) = root.open_file(path)? {
        let start = SeekFrom::Start(meta.size.saturating_sub(KEPT));
        log.seek(start).lift(Kind::Host, || format!("read '{path}'"))?;
        root.write_stream(old, 0o600, &mut log.take(KEPT))?;
    }
    root.open_append(path, 0o600)?.set_len(0).lift(Kind::Host, || format!("empty '{path}'"))
}

/// Adds a line of ours; not where there is no log: that of a service that was just removed would come back.
pub(super) fn note(root: &Root, name: &str, line: &str) -> Result<()> {
    let file = super::super::log_path(name);
    let Ok(path) = RelPath::parse(&file) else { return Ok(()) };
    if root.lstat(path)?.is_none() {
        return Ok(());
    }
    let mut log = root.open_append(path, 0o600)?;
    log.write_all(format!("{line}\n").as_bytes()).lift(Kind::Host, || format!("write '{path}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_bounded_while_its_writer_goes_on() {
        let (_dir, root) = Root::scratch();
        let path = RelPath::literal("var/log/edgelay/x.log");
        let mut writer = root.open_append(path, 0o600).unwrap();
        writer.write_all(b"the beginning\n").unwrap();
        bound(&root, "x").unwrap();
        assert_eq!(root.list(RelPath::literal("var/log/edgelay")).unwrap().unwrap(), ["x.log"]);
        let chunk = [b'.'; 4096];
        (0..400).for_each(|_| writer.write_all(&chunk).unwrap());
        writer.write_all(b"the end\n").unwrap();
        bound(&root, "x").unwrap();
        writer.write_all(b"goes on\n").unwrap();
        note(&root, "x", "a note").unwrap();
        assert_eq!(root.read(path, 99).unwrap().unwrap(), b"goes on\na note\n");
        let old = root.read(RelPath::literal("var/log/edgelay/x.log.old"), 2 << 20).unwrap().unwrap();
        assert_eq!(old.len() as u64, KEPT);
        assert!(old.ends_with(b".the end\n"));
        root.remove(path).unwrap();
        note(&root, "x", "has ended").unwrap();
        assert_eq!(root.list(RelPath::literal("var/log/edgelay")).unwrap().unwrap(), ["x.log.old"]);
    }
}
