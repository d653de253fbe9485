//! What a step may touch.

use super::Journal;
use crate::clock::Clock;
use crate::error::{Error, Kind, Lift, Result};
use crate::exec::Exec;
use crate::feed::Feed;
use crate::ids::RelPath;
use crate::oci::Blobs;
use crate::report::Report;
use crate::root::{Change, Meta, Root, Type};
use crate::service::{Manager, Services};

/// The world as a step sees it.
pub struct Cx<'a> {
    /// The target's files.
    pub root: &'a Root,
    /// The door to other programs.
    pub exec: &'a mut dyn Exec,
    /// Time.
    pub clock: &'a dyn Clock,
    /// What the user sees.
    pub report: &'a Report,
    /// What was done, on disk.
    pub journal: &'a mut Journal,
    /// The bundle's blobs; none when only looking.
    pub blobs: Option<&'a mut dyn Blobs>,
}

impl std::fmt::Debug for Cx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx").field("root", &self.root).field("blobs", &self.blobs.is_some()).finish_non_exhaustive()
    }
}

/// Added to the name of a file of someone else's that ours replaces.
const SAVED: &str = "edgelay-saved";

/// Name of the fact that the directory `dir` was made for a file of ours.
fn parent_fact(dir: RelPath<'_>) -> String {
    format!("dir {dir}")
}

/// Name of the fact that the directory `dir` was there before, empty.
fn stays_fact(dir: RelPath<'_>) -> String {
    format!("empty {dir}")
}

impl Cx<'_> {
    /// The host's services, through `manager`.
    #[inline(never)]
    pub fn services(&mut self, manager: Manager) -> Services<'_> {
        Services::new(manager, self.root, self.exec, self.clock)
    }

    /// Makes the file `path` hold `bytes` with permission bits `mode`. What someone else had there is kept beside it,
    /// and the journal knows, before the first touch.
    pub fn put(&mut self, path: RelPath<'_>, mode: u32, bytes: &[u8]) -> Result<Change> {
        if self.root.holds(path, mode, bytes)? {
            return Ok(Change::Kept);
        }
        self.claim(path)?;
        self.root.write(path, mode, bytes)
    }

    /// As [`Cx::put`], for bytes of any length that come from a reader; the caller has looked whether it is needed.
    pub fn put_stream(&mut self, path: RelPath<'_>, mode: u32, from: &mut dyn Feed) -> Result<u64> {
        self.claim(path)?;
        self.root.write_stream(path, mode, from)
    }

    /// Makes `path` a symbolic link with the text `target`.
    pub fn put_link(&mut self, path: &str, target: &str) -> Result<Change> {
        let rel = RelPath::parse(path).lift(Kind::Bug, || format!("link '{path}'"))?;
        if self.has_link(path, target)? {
            return Ok(Change::Kept);
        }
        self.claim_link(rel)?;
        self.root.symlink(rel, target)
    }

    /// As [`Cx::claim`], for a symbolic link.
    pub fn claim_link(&mut self, path: RelPath<'_>) -> Result<()> {
        let Some(target) = self.root.read_link(path)?.filter(|_| !self.journal.owns(path.as_str())) else {
            return self.claim(path);
        };
        let backup = format!("{}.{SAVED}", path.as_str());
        if let Ok(to) = RelPath::parse(&backup) {
            self.root.symlink(to, &target)?;
        }
        self.journal.saved(path.as_str(), &backup)
    }

    /// Whether `path` is a symbolic link with the text `target`.
    pub fn has_link(&self, path: &str, target: &str) -> Result<bool> {
        let rel = RelPath::parse(path).lift(Kind::Bug, || format!("link '{path}'"))?;
        Ok(self.root.read_link(rel)?.is_some_and(|text| text == target))
    }

    /// Before the first write to `path`: what is there and not ours is copied aside, then the journal takes the path in.
    ///
    /// For files that another program will write for us; [`Cx::put`] does it by itself.
    pub fn claim(&mut self, path: RelPath<'_>) -> Result<()> {
        if self.journal.owns(path.as_str()) {
            return Ok(());
        }
        match self.root.lstat(path)? {
            None => {
                self.note_missing_parents(path)?;
                self.journal.wrote(path.as_str())
            }
            Some(meta) if meta.kind == Type::File => self.save(path, meta),
            Some(_) => {
                let what = format!("'{path}' is there and is no regular file");
                Err(Error::new(Kind::Host, what).hint(format_args!("move '{path}' away and run again")))
            }
        }
    }

    /// Remembers which directories will be made for `path`: those, and no other, go when it leaves them empty.
    fn note_missing_parents(&mut self, path: RelPath<'_>) -> Result<()> {
        let mut dir = path.split().0;
        while let Some(d) = dir {
            if self.root.lstat(d)?.is_some() {
                break;
            }
            self.journal.remember(&parent_fact(d), "made")?;
            dir = d.split().0;
        }
        Ok(())
    }

    fn save(&mut self, path: RelPath<'_>, meta: Meta) -> Result<()> {
        let backup = format!("{}.{SAVED}", path.as_str());
        if let (Ok(to), Some(mut old)) = (RelPath::parse(&backup), self.root.open_file(path)?) {
            self.root.write_stream(to, meta.mode, &mut old)?;
            self.report.info(&format!("kept what was in '{path}' as '{to}'"));
        }
        self.journal.saved(path.as_str(), &backup)
    }

    /// Notes that all below the directory `path` exists only because of this installation, and so does the directory, if
    /// it is not there yet; one that is there and empty, where a disk is mounted perhaps, will be emptied and stay.
    /// To be called before whoever fills it is started.
    pub fn will_make(&mut self, path: RelPath<'_>) -> Result<()> {
        if self.journal.has_made(path.as_str()) {
            return Ok(());
        }
        match self.root.lstat(path)? {
            None => self.note_missing_parents(path)?,
            Some(_) if self.is_empty_dir(path)? => self.journal.remember(&stays_fact(path), "empty")?,
            Some(_) => return Ok(()),
        }
        self.journal.made(path.as_str())
    }

    fn is_empty_dir(&self, path: RelPath<'_>) -> Result<bool> {
        let is_dir = self.root.stat(path)?.is_some_and(|meta| meta.kind == Type::Directory);
        Ok(is_dir && self.root.list(path)?.is_some_and(|names| names.is_empty()))
    }

    /// Notes that a program of ours may make the directory `path`, which others may use, too, if it is not there yet.
    /// To be called before the program is started.
    pub fn may_make(&mut self, path: RelPath<'_>) -> Result<()> {
        if self.root.lstat(path)?.is_none() {
            self.note_missing_parents(path)?;
            self.journal.remember(&parent_fact(path), "made")?;
        }
        Ok(())
    }

    /// Removes the directory `path` of [`Cx::may_make`] if nothing is in it.
    pub fn remove_emptied(&mut self, path: RelPath<'_>) -> Result<()> {
        let fact = parent_fact(path);
        if self.journal.fact(&fact).is_some() && self.root.remove_empty_dir(path)? == Change::Wrote {
            self.journal.forget(&fact)?;
        }
        self.remove_empty_parents(path)
    }

    /// Removes the files below `prefix` that this installation wrote and puts back what they replaced.
    pub fn take_back(&mut self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        self.take_back_picked(&wanted)
    }

    /// The same for the file `path` alone.
    pub fn take_back_file(&mut self, path: &str) -> Result<()> {
        self.take_back_picked(&|taken| taken == path)
    }

    /// One for all callers.
    fn take_back_picked(&mut self, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
        for (path, backup) in &self.journal.files() {
            if !wanted(path) {
                continue;
            }
            let Ok(rel) = RelPath::parse(path) else { continue };
            match backup.as_deref().map(RelPath::parse) {
                Some(Ok(saved)) => self.restore(rel, saved)?,
                _ => {
                    self.root.remove(rel)?;
                    self.remove_empty_parents(rel)?;
                }
            }
            self.journal.released(path)?;
        }
        Ok(())
    }

    /// A copy that is gone was put back already, by a run that was cut before the journal knew.
    fn restore(&mut self, path: RelPath<'_>, saved: RelPath<'_>) -> Result<()> {
        let Some(meta) = self.root.lstat(saved)? else { return Ok(()) };
        if let Some(target) = self.root.read_link(saved)? {
            self.root.symlink(path, &target)?;
        } else if let Some(mut old) = self.root.open_file(saved)? {
            self.root.write_stream(path, meta.mode, &mut old)?;
        }
        self.root.remove(saved).map(|_| ())
    }

    /// Directories that were made for our files go when the last one leaves, up to the first that is in use; an empty
    /// one that was there before stays.
    fn remove_empty_parents(&mut self, path: RelPath<'_>) -> Result<()> {
        let mut dir = path.split().0;
        while let Some(d) = dir {
            let fact = parent_fact(d);
            if self.journal.fact(&fact).is_none() || self.root.remove_empty_dir(d)? == Change::Kept {
                break;
            }
            self.journal.forget(&fact)?;
            dir = d.split().0;
        }
        Ok(())
    }

    /// Removes the directory trees that exist only because of this installation and that `wanted` picks.
    pub fn remove_made(&mut self, wanted: impl Fn(&str) -> bool) -> Result<()> {
        self.remove_made_picked(&wanted)
    }

    /// One for all callers.
    fn remove_made_picked(&mut self, wanted: &dyn Fn(&str) -> bool) -> Result<()> {
        for path in &self.journal.made_dirs() {
            if let Ok(rel) = RelPath::parse(path)
                && wanted(path)
            {
                let stays = stays_fact(rel);
                if self.journal.fact(&stays).is_none() {
                    self.root.remove_tree(rel)?;
                    self.remove_empty_parents(rel)?;
                    self.journal.released(path)?;
                    continue;
                }
                for name in &self.root.list_or_empty(rel)? {
                    if let Ok(inner) = RelPath::parse(&format!("{path}/{name}")) {
                        self.root.remove_tree(inner)?;
                    }
                }
                self.journal.released(path)?;
                self.journal.forget(&stays)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;

    const A: RelPath<'static> = RelPath::literal("etc/app/a.conf");

    #[test]
    fn what_was_there_before_comes_back() {
        with_cx(|cx| {
            cx.root.write(A, 0o640, b"theirs").unwrap();
            assert_eq!(cx.put(A, 0o644, b"ours").unwrap(), Change::Wrote);
            assert_eq!(cx.put(A, 0o644, b"ours, newer").unwrap(), Change::Wrote);
            assert_eq!(cx.put(A, 0o644, b"ours, newer").unwrap(), Change::Kept);
            cx.put(RelPath::literal("etc/app/new/b"), 0o600, b"b").unwrap();
            assert_eq!(cx.root.read(RelPath::literal("etc/app/a.conf.edgelay-saved"), 99).unwrap().unwrap(), b"theirs");
            cx.take_back(|_| true).unwrap();
            assert_eq!(cx.root.read(A, 99).unwrap().unwrap(), b"theirs");
            assert_eq!(cx.root.stat(A).unwrap().unwrap().mode, 0o640);
            assert_eq!(cx.root.list(RelPath::literal("etc/app")).unwrap().unwrap(), ["a.conf"]);
            assert!(cx.journal.files().is_empty());
        });
    }

    #[test]
    fn directories_go_only_if_they_were_made_for_our_files() {
        with_cx(|cx| {
            let (theirs, made) = (RelPath::literal("usr/local/sbin"), RelPath::literal("usr/local/lib"));
            cx.root.mkdir(theirs, 0o755).unwrap();
            for path in ["usr/local/sbin/runc", "usr/local/lib/a/b/c", "usr/local/lib/d"] {
                cx.put(RelPath::parse(path).unwrap(), 0o755, b"x").unwrap();
            }
            cx.put_link("usr/local/link/l", "target").unwrap();
            cx.take_back(|path| path != "usr/local/lib/d").unwrap();
            assert_eq!(cx.root.list(made).unwrap().unwrap(), ["d"]);
            cx.take_back(|_| true).unwrap();
            assert_eq!(cx.root.list(RelPath::literal("usr/local")).unwrap().unwrap(), ["sbin"]);
            assert!(cx.journal.facts_below("dir ").is_empty());
        });
    }

    #[test]
    fn a_link_that_was_there_before_comes_back() {
        with_cx(|cx| {
            let rel = RelPath::literal("etc/wants/x.service");
            cx.root.symlink(rel, "/lib/x.service").unwrap();
            for _ in 0..2 {
                cx.put_link(rel.as_str(), "/etc/x.service").unwrap();
                assert!(cx.has_link(rel.as_str(), "/etc/x.service").unwrap());
            }
            cx.put_link("etc/wants/y.service", "/etc/y.service").unwrap();
            cx.take_back(|_| true).unwrap();
            assert_eq!(cx.root.list(RelPath::literal("etc/wants")).unwrap().unwrap(), ["x.service"]);
            assert!(cx.has_link(rel.as_str(), "/lib/x.service").unwrap());
        });
    }

    #[test]
    fn an_identical_file_of_someone_else_stays_theirs() {
        with_cx(|cx| {
            cx.root.write(A, 0o644, b"same").unwrap();
            assert_eq!(cx.put(A, 0o644, b"same").unwrap(), Change::Kept);
            cx.take_back(|_| true).unwrap();
            assert!(cx.root.stat(A).unwrap().is_some());
        });
    }

    #[test]
    fn only_trees_that_were_not_there_are_removed() {
        with_cx(|cx| {
            let (old, new) = (RelPath::literal("var/lib/old"), RelPath::literal("var/lib/new"));
            let (shared, used) = (RelPath::literal("run/a/shared"), RelPath::literal("run/used"));
            cx.root.mkdir(old, 0o755).unwrap();
            cx.will_make(old).unwrap();
            cx.will_make(new).unwrap();
            cx.will_make(RelPath::literal("opt/new")).unwrap();
            cx.root.mkdir(RelPath::literal("opt/new/deep"), 0o755).unwrap();
            for dir in [shared, used] {
                cx.may_make(dir).unwrap();
                cx.root.mkdir(dir, 0o755).unwrap();
            }
            // An empty one is ours to fill, and stays when it is emptied again, links and all.
            assert!(cx.journal.has_made("var/lib/old"));
            cx.root.write(RelPath::literal("var/lib/old/a/b"), 0o600, b"x").unwrap();
            cx.root.symlink(RelPath::literal("var/lib/old/l"), "/").unwrap();
            cx.root.write(RelPath::literal("etc/theirs/x"), 0o644, b"x").unwrap();
            cx.will_make(RelPath::literal("etc/theirs")).unwrap();
            assert!(!cx.journal.has_made("etc/theirs"));
            cx.root.write(RelPath::literal("run/used/theirs"), 0o644, b"x").unwrap();
            cx.root.write(RelPath::literal("var/lib/new/x"), 0o644, b"x").unwrap();
            assert!(!cx.journal.facts_below("empty ").is_empty());
            cx.remove_made(|_| true).unwrap();
            assert_eq!(cx.root.list(old).unwrap().unwrap(), [""; 0]);
            assert!(cx.journal.facts_below("empty ").is_empty());
            assert!(cx.root.stat(RelPath::literal("etc/theirs/x")).unwrap().is_some());
            assert!(cx.root.stat(new).unwrap().is_none());
            assert!(cx.root.stat(RelPath::literal("opt")).unwrap().is_none());
            [shared, used].iter().for_each(|dir| cx.remove_emptied(*dir).unwrap());
            assert_eq!(cx.root.list(RelPath::literal("run")).unwrap().unwrap(), ["used"]);
        });
    }

    #[test]
    fn a_directory_that_was_in_use_goes_once_it_is_empty() {
        with_cx(|cx| {
            let (dir, file) = (RelPath::literal("run/shared"), RelPath::literal("run/shared/theirs"));
            cx.may_make(dir).unwrap();
            cx.root.write(file, 0o644, b"x").unwrap();
            cx.remove_emptied(dir).unwrap();
            assert!(cx.root.stat(file).unwrap().is_some());
            cx.root.remove(file).unwrap();
            cx.remove_emptied(dir).unwrap();
            assert!(cx.root.stat(dir).unwrap().is_none());
        });
    }

    #[test]
    fn links_and_streams_are_ours_and_what_they_replaced_comes_back() {
        with_cx(|cx| {
            let link = RelPath::literal("etc/app/link");
            cx.root.symlink(link, "old").unwrap();
            for change in [Change::Wrote, Change::Kept] {
                assert_eq!(cx.put_link(link.as_str(), "new").unwrap(), change);
            }
            assert!(cx.has_link(link.as_str(), "new").unwrap() && !cx.has_link(link.as_str(), "old").unwrap());
            cx.root.write(A, 0o640, b"theirs").unwrap();
            assert_eq!(cx.put_stream(A, 0o644, &mut b"ours".as_slice()).unwrap(), 4);
            assert_eq!(cx.root.read(A, 99).unwrap().unwrap(), b"ours");
            cx.take_back_file(A.as_str()).unwrap();
            assert_eq!(cx.root.read(A, 99).unwrap().unwrap(), b"theirs");
            assert!(cx.has_link(link.as_str(), "new").unwrap());
            cx.take_back(|_| true).unwrap();
            assert!(cx.has_link(link.as_str(), "old").unwrap());
        });
    }

    #[test]
    fn a_directory_in_the_place_of_a_file_is_refused() {
        with_cx(|cx| {
            cx.root.mkdir(A, 0o755).unwrap();
            let e = cx.put(A, 0o644, b"x").unwrap_err();
            assert_eq!(e.to_string(), "'/etc/app/a.conf' is there and is no regular file");
        });
    }
}
