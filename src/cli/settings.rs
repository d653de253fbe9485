//! The settings of a configuration, from all their sources.

use std::fs::File;
use std::path::Path;

use crate::config::{self, CloudConfig, MAX_FILE, Of, Resolved, Table};
use crate::error::{Kind, Lift, Result};
use crate::feed;

use super::Surroundings;
use super::flags;
use super::parsed::Parsed;

/// Either kind of configuration, settled.
pub(super) type Settled = Of<Resolved, Resolved<CloudConfig>>;

/// Reads the files that were named, and settles every key of `table`.
pub(super) fn load(table: Table, parsed: &Parsed, surroundings: &Surroundings) -> Result<Settled> {
    let file = match parsed.path(flags::CONFIG) {
        Some(path) => read(&path, MAX_FILE, &|text, name| config::parse_file_of(table, text, name))?,
        None => Vec::new(),
    };
    let joining = match parsed.path(flags::JOIN_FILE) {
        Some(path) => read(&path, config::MAX_JOIN_FILE, &config::parse_join_file)?,
        None => Vec::new(),
    };
    let variables = surroundings.variables.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let variables = config::settings_from_env(table, variables)?;
    let given = parsed.settings()?;
    let given = config::settings_from_flags(table, given.iter().map(|(flag, text)| (*flag, text.as_str())))?;
    // A file that was made for this one purpose, and named for it, wins over what is there in general.
    let (layers, name) = ([&file[..], &variables, &joining, &given], host_name(parsed));
    let mut settled = match table {
        Of::Edge(()) => Of::Edge(config::resolve(&layers, name.as_deref())?),
        Of::Cloud(()) => Of::Cloud(config::resolve_cloud(&layers, name.as_deref())?),
    };
    let token_file = match &mut settled {
        Of::Edge(resolved) => &mut resolved.config.token_file,
        Of::Cloud(resolved) => &mut resolved.config.token_file,
    };
    // It is kept for later runs, which may be started elsewhere.
    if let Some(token_file) = token_file {
        *token_file = std::path::absolute(&*token_file)
            .lift(Kind::Config, || format!("find token file '{}'", token_file.display()))?;
    }
    if let Of::Edge(resolved) = &mut settled
        && let Some(profiles) = &mut resolved.config.board.profiles
    {
        *profiles = std::path::absolute(&*profiles)
            .lift(Kind::Config, || format!("find the board profiles '{}'", profiles.display()))?;
    }
    Ok(settled)
}

type Parse<'a> = &'a dyn Fn(&[u8], &str) -> Result<Vec<config::Setting>>;

fn read(path: &Path, limit: usize, parse: Parse<'_>) -> Result<Vec<config::Setting>> {
    let name = path.display().to_string();
    // One byte more than allowed, so that the parser sees that there is too much.
    let text = match name.as_str() {
        "-" => feed::first(&mut std::io::stdin(), limit + 1),
        _ => File::open(path).and_then(|mut file| feed::first(&mut file, limit + 1)),
    };
    let text = text.lift(Kind::Config, || format!("read configuration '{name}'"))?;
    parse(&text, &name)
}

/// The name of this host, unless the work is for another one.
fn host_name(parsed: &Parsed) -> Option<String> {
    match parsed.path(flags::ROOT) {
        Some(root) if root != Path::new("/") => None,
        _ => nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()),
    }
}
