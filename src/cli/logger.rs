//! `-v`: the library's debug lines on stderr.

use log::LevelFilter;
use simple_logger::SimpleLogger;

use crate::error::{Kind, Lift, Result};

use super::args::usage;
use super::flags;
use super::parsed::Parsed;

/// Starts the logger if it was asked for.
pub(super) fn start(parsed: &Parsed) -> Result<()> {
    if !parsed.has(flags::VERBOSE) {
        return Ok(());
    }
    if parsed.has(flags::QUIET) {
        return Err(usage("flags '--verbose' and '--quiet' exclude each other").hint("give one of them"));
    }
    if parsed.text(flags::LOG_FORMAT)? == Some("json") {
        return Err(usage("flag '--verbose' writes text, which '--log-format json' excludes").hint("give one of them"));
    }
    let logger = SimpleLogger::new().with_level(LevelFilter::Debug);
    logger.init().lift(Kind::Bug, || "start the logger".to_owned())
}
