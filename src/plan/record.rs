//! One line of the journal. The shape is a format: docs/journal.md, tests/vectors/journal-v1.jsonl.

use serde::Serialize;

use crate::json::{JsonError, Take, Value};

/// Version of the lines that this program writes.
pub(super) const SCHEMA: u32 = 1;

/// `{"schema":1,"event":"wrote","key":"etc/containerd/config.toml","value":"","unix":1790000000}`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Record {
    pub(super) schema: u32,
    pub(super) event: String,
    pub(super) key: String,
    pub(super) value: String,
    /// Seconds since 1970 by a clock that nobody may have set: for people, never for decisions.
    pub(super) unix: u64,
}

impl Record {
    pub(super) fn new(event: &str, key: &str, value: &str, unix: u64) -> Self {
        Record { schema: SCHEMA, event: event.to_owned(), key: key.to_owned(), value: value.to_owned(), unix }
    }
}

impl Take for Record {
    fn take(&mut self, value: &Value) -> Result<(), JsonError> {
        value.read("schema", &mut self.schema)?;
        value.read("event", &mut self.event)?;
        value.read("key", &mut self.key)?;
        value.read("value", &mut self.value)?;
        value.read("unix", &mut self.unix)
    }
}

/// Events, each with what `key` and `value` mean.
pub(super) mod event {
    /// A step is about to be applied: step, -.
    pub(crate) const STARTED: &str = "started";
    /// A step was applied and its check agreed: step, -.
    pub(crate) const FINISHED: &str = "finished";
    /// A step was undone: step, -.
    pub(crate) const UNDONE: &str = "undone";
    /// A file is about to be written where none was: path, -.
    pub(crate) const WROTE: &str = "wrote";
    /// A file is about to be replaced: path, path of the copy of what was there.
    pub(crate) const SAVED: &str = "saved";
    /// A directory tree is about to be made by a daemon of ours where none was: path, -.
    pub(crate) const MADE: &str = "made";
    /// A path is no longer ours: path, -.
    pub(crate) const RELEASED: &str = "released";
    /// Something to remember: name, value; an empty value forgets it.
    pub(crate) const FACT: &str = "fact";
}
