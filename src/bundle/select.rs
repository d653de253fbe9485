//! Finds the components that a role needs among local files.

use std::path::{Path, PathBuf};

use super::catalogue::{Need, Rule};
use super::elf::Program;
use super::manifest::Component;
use super::names::Version;
use super::origin::{Measure, Origin, measure_archive, measure_file};
use super::pattern::Filled;
use crate::error::{Error, Kind, Lift, Result};
use crate::gather::{Gather, Grow};
use crate::ids::Arch;
use crate::sorted::Set;

/// A component and where its bytes are.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) component: Component,
    pub(super) origin: Origin,
}

/// What was found, and what stands in the way.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) found: Vec<Found>,
    /// Each in words that complete "cannot make the bundle:".
    pub(super) problems: Vec<String>,
    /// Worth telling, but no hindrance.
    pub(super) notes: Vec<String>,
}

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) arch: Arch,
    pub(super) kubeedge: &'a Version,
    /// Optional components that shall be taken out of release archives.
    pub(super) with: &'a [String],
}

/// A file that has one of a component's names.
struct Candidate {
    origin: Origin,
    /// File name, with the path inside the archive.
    shown: String,
    version: Option<String>,
}

const DIRECTORIES: &str =
    "give the directories in which the files lie, and those that lie elsewhere with --images, by their own names";

/// Names and paths of the files in `dirs`, in the order of their names.
pub(super) fn list(dirs: &[PathBuf]) -> Result<Vec<(String, PathBuf)>> {
    let mut files = Set::new();
    for dir in dirs {
        let failed = || format!("list '{}'", dir.display());
        let entries = std::fs::read_dir(dir).lift(Kind::Host, failed).map_err(|e| e.hint(DIRECTORIES))?;
        for entry in entries {
            let path = entry.lift(Kind::Host, failed)?.path();
            let name = path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
            // A name that is not UTF-8 is no name in the catalogue.
            files.add_all(name.map(|name| (name, path)));
        }
    }
    Ok(files.into_iter().gather())
}

pub(super) fn select(rules: &[(Rule, Need)], dirs: &[PathBuf], wish: Wish<'_>) -> Result<Selection> {
    check_with(rules, wish.with)?;
    let mut files = list(dirs)?;
    // A directory may well be called 'containerd'.
    files.retain(|(_, path)| path.is_file());
    let mut selection = Selection::default();
    let mut chosen = Vec::new();
    for (rule, need) in rules {
        let patterns: Vec<Filled> = rule.from.iter().map(|p| p.fill(wish.arch, wish.kubeedge)).gather();
        let asked = wish.with.contains(&rule.name);
        let mut found = candidates(&patterns, &files);
        if *need == Need::Optional && !asked {
            found.retain(|candidate| candidate.origin.inside.is_none());
        }
        let shown: Vec<String> = found.iter().map(|c| format!("'{}'", c.shown)).gather();
        match (found.pop(), found.is_empty()) {
            (Some(candidate), true) => chosen.push((rule, candidate)),
            (Some(_), false) => selection.problems.push(format!(
                "component '{}' is there more than once: {}",
                rule.name,
                shown.join(", ")
            )),
            (None, _) if *need == Need::Required || asked => selection.problems.push(missing(rule, &patterns)),
            (None, _) => {}
        }
    }
    measure_all(chosen, wish.arch, &mut selection)?;
    Ok(selection)
}

fn check_with(rules: &[(Rule, Need)], with: &[String]) -> Result<()> {
    let optional: Vec<&str> =
        rules.iter().filter(|(_, n)| *n == Need::Optional).map(|(rule, _)| rule.name.as_str()).gather();
    let known = |name: &&String| rules.iter().any(|(rule, _)| rule.name == **name);
    match with.iter().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => Err(Error::new(Kind::Usage, format_args!("--with: '{name}' is no component of this role"))
            .hint(format_args!("take one of: {}", optional.join(", ")))),
    }
}

fn missing(rule: &Rule, patterns: &[Filled]) -> String {
    let mut names: Vec<String> = patterns.iter().map(|p| format!("'{}'", p.shown())).gather();
    names.dedup();
    format!("component '{}' is missing (looked for {})", rule.name, names.join(", "))
}

fn candidates(patterns: &[Filled], files: &[(String, PathBuf)]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for pattern in patterns {
        for (name, path) in files {
            let Some(version) = pattern.matches(name) else { continue };
            let inside = pattern.inside.clone();
            let shown = inside.as_ref().map_or_else(|| name.clone(), |inside| format!("{name}/{inside}"));
            found.push(Candidate { origin: Origin { file: path.clone(), inside }, shown, version });
        }
    }
    found
}

/// Hashes what was chosen, each archive in one pass.
fn measure_all(chosen: Vec<(&Rule, Candidate)>, arch: Arch, selection: &mut Selection) -> Result<()> {
    let mut archives: Vec<(&Path, Vec<(String, Measure)>)> = Vec::new();
    let origins: Vec<Origin> = chosen.iter().map(|(_, candidate)| candidate.origin.clone()).gather();
    for origin in &origins {
        if origin.inside.is_some() && !archives.iter().any(|(path, _)| *path == origin.file) {
            let inside = origins.iter().filter(|other| other.file == origin.file);
            let names: Vec<&str> = inside.filter_map(|origin| origin.inside.as_deref()).gather();
            archives.push((&origin.file, measure_archive(&origin.file, &names)?));
        }
    }
    for (rule, candidate) in chosen {
        let measure = match &candidate.origin.inside {
            None => Some(measure_file(&candidate.origin.file)?),
            Some(inside) => {
                let archive = archives.iter().find(|(path, _)| *path == candidate.origin.file);
                let found = archive.and_then(|(_, found)| found.iter().find(|(name, _)| name == inside));
                found.map(|(_, measure)| measure.clone())
            }
        };
        match measure {
            Some(measure) => take(rule, candidate, measure, arch, selection),
            None => {
                selection.problems.push(format!("component '{}' is missing (no '{}')", rule.name, candidate.shown));
            }
        }
    }
    Ok(())
}

fn take(rule: &Rule, candidate: Candidate, measure: Measure, arch: Arch, selection: &mut Selection) {
    let name = rule.name.as_str();
    if rule.mode.is_executable() {
        let program = Program::of(&measure.head);
        if let Some(why) = program.mismatch(arch) {
            selection.problems.push(format!("component '{name}': '{}' {why}", candidate.shown));
            return;
        }
        if program == Program::Script {
            selection.notes.push(format!("component '{name}' is a script, so its processor is not known"));
        }
    }
    if let Some(twin) = selection.found.iter().find(|f| f.component.digest == measure.digest) {
        let problem = format!("components '{}' and '{name}' are the same file", twin.component.name);
        selection.problems.push(problem);
        return;
    }
    let component = Component {
        name: name.to_owned(),
        version: candidate.version,
        source: candidate.shown,
        mode: rule.mode,
        size: measure.size,
        digest: measure.digest,
        destination: rule.to.clone(),
    };
    selection.found.push(Found { component, origin: candidate.origin });
}
