//! Typed commands from parsed ones, where there is more to it than a flag.

use std::path::PathBuf;

use crate::bundle;
use crate::error::{Error, Result};
use crate::ids::{Arch, BadName};

use super::args::usage;
use super::command::{BundleCommand, Command};
use super::flags::{self, Flag};
use super::parsed::Parsed;

/// The value of `flag` with its type.
fn typed<T: std::str::FromStr<Err = BadName>>(parsed: &Parsed, flag: &Flag) -> Result<Option<T>> {
    let Some(text) = parsed.text(flag)? else { return Ok(None) };
    let bad = |e: BadName| usage(format!("flag '--{}': '{}' {e}", flag.long, text.escape_debug()));
    text.parse().map(Some).map_err(bad)
}

fn needed(flag: &Flag) -> Error {
    let value = flag.value.unwrap_or_default();
    usage(format!("flag '--{}' is missing", flag.long)).hint(format!("add --{} {value}", flag.long))
}

pub(super) fn bundle_create(parsed: &Parsed) -> Result<Command> {
    let to = parsed.path(&flags::BUNDLE_OUTPUT).ok_or_else(|| needed(&flags::BUNDLE_OUTPUT))?;
    let arch = match typed::<Arch>(parsed, &flags::ARCH)? {
        Some(arch) => arch,
        None => Arch::of_this_binary().ok_or_else(|| needed(&flags::ARCH))?,
    };
    let mut images = parsed.all(&flags::IMAGES);
    images.extend(parsed.paths());
    let request = bundle::Request {
        role: typed(parsed, &flags::ROLE)?.unwrap_or(bundle::Role::Edge),
        arch,
        kubeedge: typed(parsed, &flags::KUBEEDGE_VERSION)?,
        components: parsed.all(&flags::COMPONENTS),
        images,
        with: parsed.list(&flags::WITH)?,
        built: typed(parsed, &flags::BUILT)?,
    };
    Ok(Command::Bundle(BundleCommand::Create { request, to }))
}

pub(super) fn bundle_show(parsed: &Parsed) -> Result<Command> {
    Ok(Command::Bundle(BundleCommand::Show { file: file(parsed)?, format: parsed.format()? }))
}

pub(super) fn bundle_verify(parsed: &Parsed) -> Result<Command> {
    let arch = typed(parsed, &flags::EXPECT_ARCH)?;
    Ok(Command::Bundle(BundleCommand::Verify { file: file(parsed)?, arch, format: parsed.format()? }))
}

/// The one word of commands that take one file.
fn file(parsed: &Parsed) -> Result<PathBuf> {
    parsed.paths().into_iter().next().ok_or_else(|| usage("FILE is missing"))
}
