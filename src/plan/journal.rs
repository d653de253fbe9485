//! The journal: what this installation did to the host, on the disk before it is done.
//!
//! Lines of JSON, only ever appended and synced one by one; a line that a power cut tore is dropped at the next start.
//! Uninstall reads it back: only what stands in it is removed.

use std::fs::File;
use std::io::Write;

use super::record::{Record, SCHEMA, event};
use crate::clock::{Clock, SystemClock};
use crate::crash;
use crate::error::{Error, Kind, Lift, Result};
use crate::gather::{Gather, Grow};
use crate::ids::RelPath;
use crate::json::{self, Take};
use crate::root::Root;
use crate::sorted::{Map, Set};

/// A journal is a few hundred lines; it is rewritten short when it has more.
const COMPACT_AT: usize = 1000;
/// Larger files are not ours.
const MAX_BYTES: usize = 16 << 20;
const MAX_LINE: usize = 64 << 10;

/// The journal of one root.
#[derive(Debug)]
pub struct Journal {
    /// None when only looking: nothing is written then.
    file: Option<File>,
    time: Time,
    state: Box<State>,
}

/// What stands in new lines as their time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The clock's.
    #[default]
    Clock,
    /// Always this, so that the same work leaves the same bytes.
    Fixed(u64),
}

impl Time {
    fn unix(self) -> u64 {
        match self {
            Time::Clock => SystemClock::default().unix(),
            Time::Fixed(unix) => unix,
        }
    }
}

#[derive(Debug, Default)]
struct State {
    unfinished: Set<String>,
    finished: Set<String>,
    files: Map<String, Option<String>>,
    made: Set<String>,
    facts: Map<String, String>,
}

impl State {
    fn apply(&mut self, record: Record) {
        let Record { event, key, value, .. } = record;
        match event.as_str() {
            event::STARTED => {
                self.finished.remove(&key);
                self.unfinished.insert(key);
            }
            event::FINISHED => {
                self.unfinished.remove(&key);
                self.finished.insert(key);
            }
            event::UNDONE => {
                self.unfinished.remove(&key);
                self.finished.remove(&key);
            }
            event::WROTE => {
                self.files.insert(key, None);
            }
            event::SAVED => {
                self.files.insert(key, Some(value));
            }
            event::MADE => {
                self.made.insert(key);
            }
            event::RELEASED => {
                self.files.remove(&key);
                self.made.remove(&key);
            }
            event::FACT if value.is_empty() => {
                self.facts.remove(&key);
            }
            event::FACT => {
                self.facts.insert(key, value);
            }
            // A later version's event that older ones need not know: schema 1 promises that skipping is safe.
            _ => {}
        }
    }

    /// The fewest records that lead to this state.
    fn records(&self) -> Vec<(&'static str, &str, &str)> {
        fn each<'a>(
            event: &'static str,
            keys: &'a Set<String>,
        ) -> impl Iterator<Item = (&'static str, &'a str, &'a str)> {
            keys.iter().map(move |key| (event, key.as_str(), ""))
        }
        let mut records = Vec::new();
        records.add_all(each(event::FINISHED, &self.finished));
        records.add_all(each(event::STARTED, &self.unfinished));
        records.add_all(self.files.iter().map(|(key, backup)| match backup {
            Some(backup) => (event::SAVED, key.as_str(), backup.as_str()),
            None => (event::WROTE, key.as_str(), ""),
        }));
        records.add_all(each(event::MADE, &self.made));
        records.add_all(self.facts.iter().map(|(key, value)| (event::FACT, key.as_str(), value.as_str())));
        records
    }
}

impl Journal {
    /// Where it lies.
    pub const PATH: RelPath<'static> = RelPath::literal("var/lib/edgelay/journal.jsonl");

    /// Reads the journal without ever writing: for `status` and plans. A missing one is empty.
    pub fn look(root: &Root) -> Result<Self> {
        let bytes = root.read(Self::PATH, MAX_BYTES)?.unwrap_or_default();
        let (state, _, _) = replay(&bytes)?;
        Ok(Journal { file: None, time: Time::Clock, state })
    }

    /// Opens the journal for a run that changes things. The caller holds the lock.
    pub fn open(root: &Root) -> Result<Self> {
        Self::open_with(root, Time::Clock)
    }

    /// As [`Journal::open`], with this time in new lines.
    pub fn open_with(root: &Root, time: Time) -> Result<Self> {
        let bytes = root.read(Self::PATH, MAX_BYTES)?.unwrap_or_default();
        let (state, lines, whole) = replay(&bytes)?;
        if !whole || lines > COMPACT_AT {
            let mut short = Vec::new();
            for (event, key, value) in state.records() {
                short.append(&mut line(&Record::new(event, key, value, time.unix()))?);
            }
            root.write(Self::PATH, 0o600, &short)?;
        } else if bytes.is_empty() {
            // Made atomically and synced with its directory, so that the first append cannot be lost with the name.
            root.write(Self::PATH, 0o600, b"")?;
        }
        Ok(Journal { file: Some(root.open_append(Self::PATH, 0o600)?), time, state })
    }

    fn append(&mut self, event: &'static str, key: &str, value: &str) -> Result<()> {
        let Some(file) = &mut self.file else {
            return Err(Error::new(
                Kind::Bug,
                format_args!("journal is open for looking only, yet '{event} {key}' came"),
            ));
        };
        crash::point();
        let record = Record::new(event, key, value, self.time.unix());
        let bytes = line(&record)?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_data())
            .lift(Kind::Host, || format!("write the journal '{}'", Self::PATH))
            .map_err(|e| e.hint("free space on this file system and run again"))?;
        crash::point();
        self.state.apply(record);
        Ok(())
    }

    /// Step `id` is about to be applied.
    pub fn started(&mut self, id: &str) -> Result<()> {
        self.append(event::STARTED, id, "")
    }

    /// Step `id` was applied and its check agreed. Written only if that is news.
    pub fn finished(&mut self, id: &str) -> Result<()> {
        if self.state.finished.contains(id) {
            return Ok(());
        }
        self.append(event::FINISHED, id, "")
    }

    /// Step `id` was undone.
    pub fn undone(&mut self, id: &str) -> Result<()> {
        self.append(event::UNDONE, id, "")
    }

    /// Whether step `id` was begun and never finished: its traces are ours, and not to be trusted.
    pub fn is_unfinished(&self, id: &str) -> bool {
        self.state.unfinished.contains(id)
    }

    /// Whether step `id` was ever begun or finished, and not undone since.
    pub fn knows(&self, id: &str) -> bool {
        self.state.finished.contains(id) || self.is_unfinished(id)
    }

    /// The file `path` is about to be written where none was.
    pub fn wrote(&mut self, path: &str) -> Result<()> {
        self.append(event::WROTE, path, "")
    }

    /// The file `path` is about to be replaced; a copy of it is at `backup`.
    pub fn saved(&mut self, path: &str, backup: &str) -> Result<()> {
        self.append(event::SAVED, path, backup)
    }

    /// The directory tree `path` is about to come into being because of us.
    pub fn made(&mut self, path: &str) -> Result<()> {
        self.append(event::MADE, path, "")
    }

    /// `path` is no longer ours.
    pub fn released(&mut self, path: &str) -> Result<()> {
        self.append(event::RELEASED, path, "")
    }

    /// Whether the file `path` was written by this installation.
    pub fn owns(&self, path: &str) -> bool {
        self.state.files.contains_key(path)
    }

    /// Whether the directory tree `path` exists only because of this installation.
    pub fn has_made(&self, path: &str) -> bool {
        self.state.made.contains(path)
    }

    /// Every file written, with the copy of what it replaced.
    pub fn files(&self) -> Vec<(String, Option<String>)> {
        self.state.files.iter().map(|(path, backup)| (path.clone(), backup.clone())).gather()
    }

    /// Every directory tree that exists only because of this installation.
    pub fn made_dirs(&self) -> Vec<String> {
        self.state.made.iter().cloned().gather()
    }

    /// Something remembered under `name`.
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.state.facts.get(name).map(String::as_str)
    }

    /// Names of facts that begin with `prefix`.
    pub fn facts_below(&self, prefix: &str) -> Vec<String> {
        self.state.facts.keys().filter(|k| k.starts_with(prefix)).cloned().gather()
    }

    /// Remembers `value` (not empty) under `name`; written only if that is news.
    pub fn remember(&mut self, name: &str, value: &str) -> Result<()> {
        if self.fact(name) == Some(value) {
            return Ok(());
        }
        self.append(event::FACT, name, value)
    }

    /// Forgets what was remembered under `name`.
    pub fn forget(&mut self, name: &str) -> Result<()> {
        if self.fact(name).is_none() {
            return Ok(());
        }
        self.append(event::FACT, name, "")
    }

    /// Whether nothing was ever installed here.
    pub fn is_empty(&self) -> bool {
        self.state.records().is_empty()
    }
}

fn line(record: &Record) -> Result<Vec<u8>> {
    let mut bytes = json::to_vec(record)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// State, number of good lines, and whether the whole text was good. Only the end may be torn; a newer schema is an error.
fn replay(bytes: &[u8]) -> Result<(Box<State>, usize, bool)> {
    let (mut state, mut lines, mut rest) = (Box::<State>::default(), 0, bytes);
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let (line, tail) = (rest.get(..end).unwrap_or_default(), rest.get(end + 1..).unwrap_or_default());
        let Some(record) = record(line)? else {
            torn(lines + 1, tail)?;
            break;
        };
        state.apply(record);
        lines += 1;
        rest = tail;
    }
    Ok((state, lines, rest.is_empty()))
}

/// `None`: no line of a journal. Of a newer schema all but its number may have changed.
fn record(line: &[u8]) -> Result<Option<Record>> {
    let Ok(value) = json::read(line, MAX_LINE) else { return Ok(None) };
    let mut record = Record::default();
    match value.get("schema").and_then(|schema| schema.whole().ok()) {
        Some(schema) if schema > u64::from(SCHEMA) => {
            let what = format!("journal '{}' has schema {schema}, this edgelay knows {SCHEMA}", Journal::PATH);
            Err(Error::new(Kind::Host, what).hint("use the edgelay that installed this host, or a newer one"))
        }
        _ => Ok(record.take(&value).is_ok().then_some(record)),
    }
}

/// A cut tears the end, and lines are synced one by one: a good line behind a bad one means another kind of damage, and
/// going on would forget what is ours.
fn torn(number: usize, rest: &[u8]) -> Result<()> {
    if rest.split(|b| *b == b'\n').all(|line| matches!(record(line), Ok(None))) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Host,
        format_args!("line {number} of the journal '{}' is damaged, but not its end", Journal::PATH),
    )
    .hint("check the disk; restore the file from a backup, or take the damaged line out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_reopening() {
        let (_dir, root) = Root::scratch();
        let mut journal = Journal::open(&root).unwrap();
        assert!(journal.is_empty());
        journal.started("a").unwrap();
        journal.finished("a").unwrap();
        journal.started("b").unwrap();
        journal.wrote("etc/x").unwrap();
        journal.saved("etc/y", "etc/y.edgelay-saved").unwrap();
        journal.made("var/lib/z").unwrap();
        journal.remember("k", "v \"quoted\"").unwrap();
        for journal in [Journal::open(&root).unwrap(), Journal::look(&root).unwrap()] {
            assert!(journal.knows("a") && !journal.is_unfinished("a") && journal.is_unfinished("b"));
            assert!(journal.owns("etc/x") && journal.has_made("var/lib/z"));
            assert_eq!(journal.files()[1], ("etc/y".into(), Some("etc/y.edgelay-saved".into())));
            assert_eq!(journal.fact("k"), Some("v \"quoted\""));
        }
    }

    #[test]
    fn a_torn_tail_is_dropped_and_the_rest_kept() {
        let (dir, root) = Root::scratch();
        let mut journal = Journal::open(&root).unwrap();
        journal.wrote("etc/x").unwrap();
        journal.wrote("etc/y").unwrap();
        let file = dir.path().join(Journal::PATH.as_str());
        let whole = std::fs::read(&file).unwrap();
        let first = whole.iter().position(|b| *b == b'\n').unwrap() + 1;
        for cut in first..whole.len() {
            for tail in [&b""[..], b"\0\0\0\0", b"\0\0\n"] {
                std::fs::write(&file, [&whole[..cut], tail].concat()).unwrap();
                let mut journal = Journal::open(&root).unwrap();
                assert!(journal.owns("etc/x") && !journal.owns("etc/y"), "cut at {cut}");
                journal.wrote("etc/z").unwrap();
                assert!(Journal::look(&root).unwrap().owns("etc/z"), "appended after the repair at {cut}");
            }
        }
    }

    #[test]
    fn long_journals_are_rewritten_short_with_the_same_meaning() {
        let (dir, root) = Root::scratch();
        let mut journal = Journal::open(&root).unwrap();
        for i in 0..600 {
            journal.remember("k", &i.to_string()).unwrap();
            journal.started("s").unwrap();
        }
        drop(journal);
        let journal = Journal::open(&root).unwrap();
        assert_eq!(journal.fact("k"), Some("599"));
        assert!(journal.is_unfinished("s"));
        assert_eq!(std::fs::read_to_string(dir.path().join(Journal::PATH.as_str())).unwrap().lines().count(), 2);
    }

    #[test]
    fn damage_that_no_cut_makes_is_refused() {
        let (dir, root) = Root::scratch();
        let mut journal = Journal::open(&root).unwrap();
        journal.wrote("etc/x").unwrap();
        journal.wrote("etc/y").unwrap();
        let file = dir.path().join(Journal::PATH.as_str());
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replacen("wrote", "wr\u{0}te", 1)).unwrap();
        for e in [Journal::look(&root).unwrap_err(), Journal::open(&root).unwrap_err()] {
            let want = "line 1 of the journal '/var/lib/edgelay/journal.jsonl' is damaged, but not its end";
            assert_eq!(e.to_string(), want);
        }
    }

    #[test]
    fn a_newer_schema_is_refused() {
        let (dir, root) = Root::scratch();
        drop(Journal::open(&root).unwrap());
        let file = dir.path().join(Journal::PATH.as_str());
        for line in [r#"{"schema":2,"event":"x","key":"","value":"","unix":0}"#, r#"{"schema":2,"new":[1]}"#] {
            std::fs::write(&file, format!("{line}\n")).unwrap();
            assert!(Journal::open(&root).unwrap_err().to_string().contains("schema 2"));
        }
    }
}
