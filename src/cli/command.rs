//! What is to be done, with every argument checked.

use super::commands::Spec;

/// A command, ready to run.
#[derive(Debug)]
pub enum Command {
    /// `help`, `--help`
    Help(Topic),
    /// `version`
    Version(Format),
    /// `completion`
    Completion(Shell),
}

/// How data on stdout looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document with a top-level `schema`.
    Json,
}

/// What help is about.
#[derive(Debug, Clone)]
pub enum Topic {
    /// The list of commands.
    All,
    /// The commands that begin with this word.
    Group(String),
    /// One command.
    One(&'static Spec),
    /// The table of exit codes.
    ExitCodes,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash 4 or later.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}
