//! The settings of an edge configuration, from all their sources.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::config::{self, MAX_FILE, Resolved};
use crate::error::{Kind, Lift, Result};

use super::Surroundings;
use super::flags;
use super::parsed::Parsed;

/// Reads the file if one was named, and settles every key.
pub(super) fn load(parsed: &Parsed, surroundings: &Surroundings) -> Result<Resolved> {
    let file = match parsed.path(&flags::CONFIG) {
        Some(path) => read(&path)?,
        None => Vec::new(),
    };
    let variables = surroundings.variables.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let variables = config::settings_from_env(variables)?;
    let given = parsed.settings()?;
    let given = config::settings_from_flags(given.iter().map(|(flag, text)| (*flag, text.as_str())))?;
    let mut resolved = config::resolve(&[&file, &variables, &given], host_name(parsed).as_deref())?;
    // It is kept for later runs, which may be started elsewhere.
    if let Some(token_file) = &mut resolved.config.token_file {
        *token_file = std::path::absolute(&*token_file)
            .lift(Kind::Config, || format!("find token file '{}'", token_file.display()))?;
    }
    Ok(resolved)
}

fn read(path: &Path) -> Result<Vec<config::Setting>> {
    let name = path.display().to_string();
    let mut text = Vec::new();
    // One byte more than allowed, so that the parser sees that there is too much.
    let limit = MAX_FILE as u64 + 1;
    let outcome = match name.as_str() {
        "-" => std::io::stdin().lock().take(limit).read_to_end(&mut text),
        _ => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut text)),
    };
    outcome.lift(Kind::Config, || format!("read configuration '{name}'"))?;
    config::parse_file(&text, &name)
}

/// The name of this host, unless the work is for another one.
fn host_name(parsed: &Parsed) -> Option<String> {
    match parsed.path(&flags::ROOT) {
        Some(root) if root != Path::new("/") => None,
        _ => nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()),
    }
}
