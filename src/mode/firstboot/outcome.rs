//! What became of a first boot: one JSON object in a file, here and on the medium that brought the configuration.

use serde::Serialize;

use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::json;
use crate::mode::session::FIRST_BOOT_RESULT;
use crate::root::Root;

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Done,
    Failed,
}

/// What became of the token's file where it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TokenFate {
    /// Overwritten and removed.
    Wiped,
    /// There was none any more.
    None,
    /// It could not be written to.
    Kept,
}

/// The object. Fields are only ever added.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    schema: u32,
    pub(super) state: State,
    edgelay: &'static str,
    time: String,
    tries: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    configuration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<TokenFate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Outcome {
    fn new(state: State, tries: u32) -> Self {
        Outcome {
            schema: 1,
            state,
            edgelay: env!("CARGO_PKG_VERSION"),
            time: String::new(),
            tries,
            node: None,
            configuration: None,
            token: None,
            kind: None,
            message: None,
            hint: None,
        }
    }

    pub(super) fn done(node: String, configuration: String, tries: u32) -> Self {
        Outcome { node: Some(node), configuration: Some(configuration), ..Self::new(State::Done, tries) }
    }

    /// `message` is that of `e`, without secrets.
    pub(super) fn failed(e: &Error, message: &str, tries: u32, unix: u64) -> Self {
        Outcome {
            time: rfc3339(unix),
            kind: Some(e.kind().word()),
            message: Some(message.to_owned()),
            hint: e.hint_text().map(str::to_owned),
            ..Self::new(State::Failed, tries)
        }
    }

    pub(super) fn at(mut self, unix: u64) -> Self {
        self.time = rfc3339(unix);
        self
    }

    pub(super) fn text(&self) -> Result<String> {
        json::to_line(self)
    }
}

/// Writes it on the system.
pub(super) fn write(root: &Root, outcome: &Outcome) -> Result<()> {
    root.write(FIRST_BOOT_RESULT, 0o644, outcome.text()?.as_bytes()).map(|_| ())
}
