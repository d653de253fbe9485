//! This machine's local time, which CloudCore's pod mounts from it.
//!
//! Where `/etc/localtime` is missing, which means UTC (localtime(5)), the container runtime makes a directory there: no
//! program takes that for a time zone, none can put one in its place later, and it outlives an uninstall. A link that
//! leads nowhere it cannot mount at all.

use crate::error::Result;
use crate::ids::RelPath;
use crate::plan::Cx;
use crate::root::Type;

const PLACE: RelPath<'static> = RelPath::literal("etc/localtime");
/// The file of UTC (RFC 8536, version 1): five counts of nothing but one type, whose name has four bytes; its offset,
/// whether it is daylight saving time, where its name begins; the name.
const UTC: &[u8] = b"TZif\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x04\
    \0\0\0\0\0\0UTC\0";

/// Where time zones are.
const ZONES: &str = "usr/share/zoneinfo/";

/// Puts UTC where the time zone is missing, which is UTC already.
pub(super) fn provide(cx: &mut Cx<'_>) -> Result<()> {
    match cx.root.stat(PLACE)?.map(|meta| meta.kind) {
        // Of an earlier pod: one that has something in it is not ours to remove.
        Some(Type::Directory) => drop(cx.root.remove_empty_dir(PLACE)?),
        Some(_) => return Ok(()),
        None => {}
    }
    let Some(target) = cx.root.read_link(PLACE)? else { return cx.put(PLACE, 0o644, UTC).map(|_| ()) };
    // A link keeps its name: what it leads to may be installed later. One to elsewhere is not for us to fill.
    let target = target.trim_start_matches("../").trim_start_matches('/');
    match RelPath::parse(target) {
        Ok(zone) if target.starts_with(ZONES) => cx.put(zone, 0o644, UTC).map(|_| ()),
        _ => Ok(()),
    }
}

/// Takes that back, unless there is something else by now.
pub(super) fn undo(cx: &mut Cx<'_>) -> Result<()> {
    for (path, _) in &cx.journal.files() {
        let Ok(place) = RelPath::parse(path) else { continue };
        if place != PLACE && !path.starts_with(ZONES) {
            continue;
        }
        match cx.root.holds(place, 0o644, UTC)? {
            true => cx.take_back_file(path)?,
            false => cx.journal.released(path)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;

    const BERLIN: RelPath<'static> = RelPath::literal("usr/share/zoneinfo/Europe/Berlin");

    #[test]
    fn it_is_there_whatever_was_and_goes_if_it_is_ours() {
        assert_eq!(UTC.len(), 44 + 6 + 4);
        with_cx(|cx| {
            let utc = |cx: &mut Cx<'_>, at: RelPath<'_>| cx.root.holds(at, 0o644, UTC).unwrap();
            // missing
            provide(cx).unwrap();
            assert!(utc(cx, PLACE));
            provide(cx).unwrap();
            undo(cx).unwrap();
            assert_eq!(cx.root.lstat(PLACE).unwrap(), None);
            // a directory of an earlier pod
            cx.root.mkdir(PLACE, 0o755).unwrap();
            provide(cx).unwrap();
            assert!(utc(cx, PLACE));
            // somebody has set the zone meanwhile
            cx.root.symlink(PLACE, "../usr/share/zoneinfo/Europe/Berlin").unwrap();
            undo(cx).unwrap();
            assert!(cx.root.lstat(PLACE).unwrap().is_some() && cx.journal.files().is_empty());
            // a link that leads nowhere, and somewhere
            provide(cx).unwrap();
            assert!(utc(cx, BERLIN));
            undo(cx).unwrap();
            assert_eq!(cx.root.lstat(RelPath::literal("usr/share")).unwrap(), None);
            cx.root.write(BERLIN, 0o644, b"TZif2").unwrap();
            provide(cx).unwrap();
            assert!(cx.journal.files().is_empty() && cx.root.read(BERLIN, 9).unwrap().as_deref() == Some(b"TZif2"));
            cx.root.symlink(PLACE, "zone").unwrap();
            provide(cx).unwrap();
            assert!(cx.journal.files().is_empty(), "a link to elsewhere");
            // one with something in it is told, not emptied
            cx.root.remove(PLACE).unwrap();
            cx.root.write(RelPath::literal("etc/localtime/mine"), 0o644, b"").unwrap();
            let e = provide(cx).unwrap_err();
            assert_eq!(e.to_string(), "'/etc/localtime' is there and is no regular file");
        });
    }
}
