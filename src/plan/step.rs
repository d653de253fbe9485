//! What a step is.

use super::Cx;
use crate::error::{Result, Text};

/// What a step's check saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Everything is as it should be.
    Done,
    /// Something differs; the text says what, in words for the plan and for `status`.
    Todo(String),
    /// Nothing differs as far as can be seen from here, but the last word is somebody else's; the text says whose and
    /// why it is not heard. Nothing is done about it.
    Unknown(String),
}

impl Status {
    /// `Todo` with this text.
    pub fn todo(text: impl Text) -> Self {
        Status::Todo(text.text().into_owned())
    }

    /// Whether there is nothing to do: done, or not for us to tell.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Status::Todo(_))
    }

    /// The first that is not done, of several.
    pub fn and_then(self, next: impl FnOnce() -> Result<Status>) -> Result<Status> {
        match self {
            Status::Done => next(),
            todo => Ok(todo),
        }
    }
}

/// One unit of an installation: what is checked, done and undone together.
///
/// `check` is the plan, the skip rule and the proof at once, so these cannot disagree.
pub trait Step {
    /// Stable kebab-case name: journal, events, `status`.
    fn id(&self) -> &'static str;

    /// What it brings about, in a few words for the terminal.
    fn summary(&self) -> String;

    /// Looks, never touches. What cannot be looked at yet (a daemon that is not there) is `Todo`, not an error.
    fn check(&self, cx: &mut Cx<'_>) -> Result<Status>;

    /// Brings it about. May be cut at any point and run again from its start.
    fn apply(&self, cx: &mut Cx<'_>) -> Result<()>;

    /// Takes back what the journal says was done. Must not fail because part of it is gone already.
    fn undo(&self, cx: &mut Cx<'_>) -> Result<()>;
}

impl std::fmt::Debug for dyn Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}
