//! EdgeCore's configuration and database as they were before another version could rewrite them.
//!
//! They are put back only if the EdgeCore that worked does not come up with what lies there: the cloud takes for known
//! what a node once stored, and does not send it again to one whose database is older.

use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::error::{Kind, Lift, Result};
use crate::ids::RelPath;
use crate::kubeedge::{DATABASE, EDGECORE_YAML};
use crate::plan::Cx;

const PREVIOUS_YAML: RelPath<'static> = RelPath::literal("etc/kubeedge/config/edgecore.yaml.edgelay-previous");
const PREVIOUS_DATABASE: RelPath<'static> = RelPath::literal("var/lib/kubeedge/edgecore.db.edgelay-previous");

/// What SQLite keeps beside a database while somebody writes to it, or was cut there (sqlite.org/tempfiles.html).
const BESIDE: [RelPath<'static>; 3] = [
    RelPath::literal("var/lib/kubeedge/edgecore.db-journal"),
    RelPath::literal("var/lib/kubeedge/edgecore.db-wal"),
    RelPath::literal("var/lib/kubeedge/edgecore.db-shm"),
];
/// A database's header; every transaction changes the counter in it (sqlite.org/fileformat2.html, section 1.3).
const HEADER: usize = 100;
/// A transaction of EdgeCore takes milliseconds.
const LIMIT: Duration = Duration::from_secs(5);

/// Keeps both; EdgeCore may be running.
pub(super) fn keep(cx: &Cx<'_>) -> Result<()> {
    copy(EDGECORE_YAML, PREVIOUS_YAML, cx)?;
    let kept = wait_for(cx.clock, "a moment in which EdgeCore does not write to its database", LIMIT, || {
        let Some(before) = header(cx)? else { return Ok(Probe::NotYet("it does".to_owned())) };
        copy(DATABASE, PREVIOUS_DATABASE, cx)?;
        Ok(match header(cx)? {
            Some(after) if after == before => Probe::Ready,
            _ => Probe::NotYet("it changed".to_owned()),
        })
    });
    match kept {
        Err(e) if e.kind() == Kind::Runtime => {
            cx.report.warn(&format!("'{DATABASE}' is not kept for the way back: {e}; going on"));
            cx.root.remove(PREVIOUS_DATABASE).map(|_| ())
        }
        kept => kept,
    }
}

/// `None`: somebody writes to the database.
fn header(cx: &Cx<'_>) -> Result<Option<Vec<u8>>> {
    for path in &BESIDE {
        if cx.root.lstat(*path)?.is_some() {
            return Ok(None);
        }
    }
    let Some(mut file) = cx.root.open_file(DATABASE)? else { return Ok(Some(Vec::new())) };
    crate::feed::first(&mut file, HEADER).map(Some).lift(Kind::Host, || format!("read '{DATABASE}'"))
}

fn copy(from: RelPath<'_>, to: RelPath<'_>, cx: &Cx<'_>) -> Result<()> {
    let (Some(mut file), Some(meta)) = (cx.root.open_file(from)?, cx.root.stat(from)?) else { return Ok(()) };
    cx.root.write_stream(to, meta.mode, &mut file).map(|_| ())
}

/// Whether anything is kept.
pub(super) fn is_kept(cx: &Cx<'_>) -> Result<bool> {
    Ok(cx.root.lstat(PREVIOUS_YAML)?.is_some() || cx.root.lstat(PREVIOUS_DATABASE)?.is_some())
}

/// Puts both back, for an EdgeCore that does not run; they stay kept until it has proven itself.
pub(super) fn bring_back(cx: &Cx<'_>) -> Result<()> {
    copy(PREVIOUS_YAML, EDGECORE_YAML, cx)?;
    if cx.root.lstat(PREVIOUS_DATABASE)?.is_some() {
        // They belong to the database of now, and would be written into the other one.
        BESIDE.iter().try_for_each(|path| cx.root.remove(*path).map(|_| ()))?;
    }
    copy(PREVIOUS_DATABASE, DATABASE, cx)
}

/// Nothing will go back any more.
pub(super) fn forget(cx: &Cx<'_>) -> Result<()> {
    [PREVIOUS_YAML, PREVIOUS_DATABASE].iter().try_for_each(|path| cx.root.remove(*path).map(|_| ()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;

    fn text(cx: &Cx<'_>, path: RelPath<'_>) -> Option<String> {
        cx.root.read_text(path, 100).unwrap()
    }

    #[test]
    fn both_are_put_back_without_what_belongs_to_the_newer_database() {
        with_cx(|cx| {
            let [journal, ..] = BESIDE;
            cx.root.write(EDGECORE_YAML, 0o600, b"old").unwrap();
            cx.root.write(DATABASE, 0o640, b"old rows").unwrap();
            keep(cx).unwrap();
            for (path, now) in [(EDGECORE_YAML, "new"), (DATABASE, "new rows"), (journal, "of the new rows")] {
                cx.root.write(path, 0o644, now.as_bytes()).unwrap();
            }
            for _again in 0..2 {
                bring_back(cx).unwrap();
                assert!(cx.root.holds(EDGECORE_YAML, 0o600, b"old").unwrap());
                assert!(cx.root.holds(DATABASE, 0o640, b"old rows").unwrap());
                assert_eq!((text(cx, journal), is_kept(cx).unwrap()), (None, true));
            }
            forget(cx).unwrap();
            assert!(!is_kept(cx).unwrap());
        });
    }

    #[test]
    fn a_database_in_use_is_not_kept_and_nor_is_an_older_copy_of_it() {
        with_cx(|cx| {
            cx.root.write(DATABASE, 0o600, b"rows").unwrap();
            cx.root.write(PREVIOUS_DATABASE, 0o600, b"of another upgrade").unwrap();
            cx.root.write(BESIDE[1], 0o600, b"more rows").unwrap();
            keep(cx).unwrap();
            assert_eq!(text(cx, PREVIOUS_DATABASE), None);
            let warned = cx.report.warnings().join("\n");
            assert!(
                warned.starts_with("'/var/lib/kubeedge/edgecore.db' is not kept for the way back: waited 5 s"),
                "{warned}"
            );
            cx.root.remove(BESIDE[1]).unwrap();
            keep(cx).unwrap();
            assert_eq!(text(cx, PREVIOUS_DATABASE).as_deref(), Some("rows"));
        });
    }
}
