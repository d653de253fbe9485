//! `edgelay firstboot`: makes a node of a copied system, unattended, however long it takes (docs/first-boot.md).
//!
//! Every try is the same whole: find the configuration, name the node, take the token, install. A try that fails is told
//! in the result file and tried again with growing pauses, for what is missing may come: a stick, the time, the cloud.
//! The marker goes last, so that a power cut anywhere leads to another try, which finds the most of it done.

#[cfg(test)]
#[cfg(feature = "crash-points")]
mod cuts;
mod find;
mod finish;
mod medium;
mod name;
mod outcome;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::config::Raw;
use crate::config::{EdgeConfig, Origin, Setting, key_of_path, parse_file, render_file, resolve};
use crate::error::{Kind, Result};
use crate::host::preflight::Ignored;
use crate::ids::RelPath;
use crate::plan::Journal;
use crate::report::Report;
use crate::root::Root;
use crate::steps::{KeptBundle, MARKER};
use crate::sys::signal;

use super::edge::{self, BundleSource, Factory, Record as Installed, Scope};
use find::Source;
use outcome::Outcome;

/// How often it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Once.
    Once,
    /// Until it is done.
    UntilDone,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The configuration, instead of one that is looked for.
    pub config: Option<PathBuf>,
    /// How often.
    pub patience: Patience,
}

/// Held while a first boot is at work.
const LOCK: RelPath<'static> = RelPath::literal("run/edgelay/firstboot.lock");
/// Our copy of the token, in memory: gone with the power at the latest.
const TOKEN: RelPath<'static> = RelPath::literal("run/edgelay/first-boot.token");

/// A stick that was forgotten is put in within minutes; a cloud that is down need not be asked more than this often.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(300);

/// Makes the node, trying again as `request` says.
pub fn run(request: &Request, report: &Report) -> Result<()> {
    let root = Root::open(Path::new("/"))?;
    if request.config.is_none() && root.stat(MARKER)?.is_none() {
        report.run_ends("nothing to do: this system was not sealed, or its first boot is done");
        return Ok(());
    }
    let _lock = root.lock(LOCK)?;
    let clock = SystemClock::default();
    let (mut pause, mut tries, mut told) = (FIRST_PAUSE, 0, String::new());
    loop {
        tries += 1;
        let e = match attempt(request, &root, tries, report) {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        if signal::pending() || matches!(e.kind(), Kind::Interrupted | Kind::Bug) {
            return Err(e);
        }
        let message = report.mask(&e.to_string());
        if message != told {
            // Written once for each reason: the disk is a memory card.
            outcome::write(&root, &Outcome::failed(&e, &message, tries, clock.unix()))?;
            told = message;
        }
        if request.patience == Patience::Once || e.kind() == Kind::Reboot {
            return Err(e);
        }
        report.warn(&format!("{told}; trying again in {} s", pause.as_secs()));
        wait(&clock, pause)?;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

fn wait(clock: &dyn Clock, pause: Duration) -> Result<()> {
    let start = clock.elapsed();
    while clock.elapsed().saturating_sub(start) < pause {
        signal::check()?;
        clock.sleep(Duration::from_millis(500).min(pause));
    }
    signal::check()
}

/// Who this machine is to be, where that was found, and its name for people.
fn prepare(request: &Request, root: &Root) -> Result<(Box<EdgeConfig>, Option<Source>, String)> {
    let found = find::find(root, request.config.as_deref())?;
    let config = match &found {
        Some((source, text)) => settle(root, source, text)?,
        None => joined(root)?.ok_or_else(|| find::nothing(root))?,
    };
    let source = found.map(|(source, _)| source);
    let place = source.as_ref().map_or_else(|| "the record of its join".to_owned(), ToString::to_string);
    Ok((config, source, place))
}

/// One try.
fn attempt(request: &Request, root: &Root, tries: u32, report: &Report) -> Result<()> {
    let (config, source, place) = prepare(request, root)?;
    report.info(&format!("configuration: {place}"));
    let bundle = root.stat(KeptBundle::PATH)?.map(|_| BundleSource::kept(root.absolute(KeptBundle::PATH)));
    let node = config.identity()?.node.to_string();
    edge::install(
        edge::Request {
            root: PathBuf::from("/"),
            config,
            bundle,
            scope: Scope::Install,
            ignored: Ignored::default(),
            factory: Factory::default(),
        },
        report,
    )?;
    finish::finish(root, source.as_ref(), report, Outcome::done(node, place, tries))
}

/// The configuration of a node that has joined, should a cut or a hasty hand have left us without its file.
fn joined(root: &Root) -> Result<Option<Box<EdgeConfig>>> {
    let journal = Journal::look(root)?;
    if !journal.knows("join") || journal.is_unfinished("join") {
        return Ok(None);
    }
    let mut config = Installed::load(root)?.config;
    config.token_file = Some(root.absolute(TOKEN));
    Ok(Some(config))
}

/// What was settled when the system was staged, and over it what was found now; with the name that the template gives,
/// and the token in a place that is ours alone.
fn settle(root: &Root, source: &Source, text: &[u8]) -> Result<Box<EdgeConfig>> {
    let staged = staged(root)?;
    let mut found = parse_file(text, &source.to_string())?;
    let journal = Journal::look(root)?;
    // A node that has joined keeps its name, whatever names it now: a template may stand for another one by then.
    let own = joined(root)?.and_then(|config| config.node.name).filter(|_| journal.knows("join"));
    let name = match &own {
        Some(name) => name.to_string(),
        None => name::expand(&name::template(&found), root, &found)?,
    };
    replace(&mut found, "node.name", &name);
    let token = source.take_token(root, &found, TOKEN)?;
    found.retain(|setting| setting.key.path != "token_file");
    // It may have been cut when its token was gone already, or half wiped: once joined, nobody asks for it.
    if token || own.is_some() {
        replace(&mut found, "token_file", &TOKEN.to_string());
    }
    Ok(resolve(&[&staged, &found], None)?.config)
}

/// The settings of the staging, as settings.
fn staged(root: &Root) -> Result<Vec<Setting>> {
    let mut config = Installed::load(root)?.config;
    config.node.name = None;
    config.token_file = None;
    parse_file(render_file(&*config).as_bytes(), "the staged configuration")
}

fn replace(settings: &mut Vec<Setting>, path: &str, text: &str) {
    let Some(key) = key_of_path(path) else { return };
    let old = settings.iter().find(|setting| setting.key.path == path).map(|setting| setting.origin.clone());
    settings.retain(|setting| setting.key.path != path);
    settings.push(Setting { key, raw: Raw::One(text.to_owned()), origin: old.unwrap_or(Origin::Default) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::Tree;

    const TEXT: &str = r#"{"cloud": {"host": "cloud.example"}, "node": {"name": "edge-9"}}"#;

    fn staged_tree(journal: &str) -> Tree {
        Tree::new()
            .file("var/lib/edgelay/bundle.head", "")
            .file("var/lib/edgelay/config.json", r#"{"node": {"name": "edge-7"}, "cloud": {"host": "cloud.example"}}"#)
            .file("var/lib/edgelay/journal.jsonl", journal)
            .file("boot/edgelay.json", TEXT)
    }

    fn settled(tree: &Tree) -> Box<EdgeConfig> {
        let root = tree.root();
        let (source, text) = find::find(&root, None).unwrap().unwrap();
        settle(&root, &source, &text).unwrap()
    }

    #[test]
    fn a_cut_after_the_token_was_wiped_does_not_stop_it_for_ever() {
        let tree = staged_tree("");
        let e = settled(&tree).identity().unwrap_err();
        assert!(e.to_string().contains("'token_file'"), "a join wants one: {e}");

        let root = tree.root();
        let mut journal = Journal::open(&root).unwrap();
        journal.started("join").unwrap();
        journal.finished("join").unwrap();
        drop(journal);
        // It keeps its name, and goes on without a token; also with what a cut in the middle of wiping leaves.
        let identity = settled(&tree).identity().unwrap();
        assert_eq!(identity.node.to_string(), "edge-7");
        let tree = tree.file("boot/token", "\0\0\0\0");
        assert_eq!(settled(&tree).identity().unwrap().node.to_string(), "edge-7");
        // And without any configuration, by the record alone.
        assert_eq!(joined(&root).unwrap().unwrap().identity().unwrap().node.to_string(), "edge-7");
    }
}
