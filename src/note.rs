//! Debug lines: what only matters to whoever looks for a cause, shown with `-v`.

use std::fmt;

/// Notes `words`. `log`'s own macro keeps module, file and line of every call in the program, for lines that say where they
/// are from by themselves.
#[allow(clippy::disallowed_macros, reason = "this is the one place")]
pub fn debug(words: fmt::Arguments<'_>) {
    log::debug!(target: "edgelay", "{words}");
}
