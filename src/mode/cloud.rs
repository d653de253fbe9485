//! The cloud side: which steps make it, in which order, from which bundle and configuration.
//!
//! One bundle makes three things: a server with CloudCore, CloudCore in a k3s that is there already, a further node.

mod assemble;
mod fitness;

use std::path::{Path, PathBuf};

use crate::bundle::{Bundle, Role};
use crate::config::{CloudConfig, K3sMode, Table, load_secret, parse_file_of, resolve_cloud};
use crate::error::{Error, Kind, Result};
use crate::host::preflight::{self, Ignored};
use crate::ids::RelPath;
use crate::oci::Blobs;
use crate::plan::{self, Cx, Journal, Step};
use crate::report::Report;
use crate::root::Root;

pub use crate::steps::cloud::Data;

use super::BundleSource;
use super::record::{CONFIG, Stored};
use super::session::{begin, end_uninstall, is_untouched, tell, with_cx};
use assemble::Assembly;

/// What this machine becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A server: k3s and CloudCore.
    Install,
    /// CloudCore alone.
    Init,
    /// A further node of somebody's server.
    Worker,
}

/// What is asked for.
#[derive(Debug)]
pub struct Request {
    /// Directory of the target.
    pub root: PathBuf,
    /// The settings.
    pub config: Box<CloudConfig>,
    /// The bundle.
    pub bundle: Option<BundleSource>,
    /// What it becomes.
    pub scope: Scope,
    /// Checks whose failure is only a warning.
    pub ignored: Ignored,
}

/// Brings the cloud side about. A second call with the same request changes nothing.
pub fn install(request: Request, report: &Report) -> Result<()> {
    let root = Root::open(&request.root)?;
    let (_lock, mut journal) = begin(&root, report)?;
    let mut prepared = Prepared::new(request, &root)?;
    prepared.with_cx(&root, &mut journal, report, &mut |prepared, cx| {
        let findings = fitness::check(&prepared.parts, &prepared.steps, &prepared.ignored, cx)?;
        tell(&findings, report);
        if let Some(error) = preflight::failure(&findings) {
            return Err(error.hint("what to do about each failed check is told above"));
        }
        prepared.parts.guard(cx)?;
        report.run_begins(prepared.parts.verb(), prepared.steps.len());
        plan::run(&prepared.steps, cx)?;
        report.run_ends(&prepared.parts.outcome());
        Ok(())
    })?;
    prepared.bundle.map_or(Ok(()), |bundle| bundle.finish())
}

/// What [`install`] would find and do; touches nothing, takes no lock.
pub fn plan(request: Request, report: &Report) -> Result<Vec<plan::Finding>> {
    let root = Root::open(&request.root)?;
    let mut journal = Journal::look(&root)?;
    let mut prepared = Prepared::new(request, &root)?;
    prepared.look(&root, &mut journal, report)
}

/// The check of every step of what was installed below `root`.
pub fn status(root: &Path, report: &Report) -> Result<Vec<plan::Finding>> {
    let root = Root::open(root)?;
    let mut journal = Journal::look(&root)?;
    let mut prepared = Prepared::installed(&root, Data::Keep)?;
    prepared.look(&root, &mut journal, report)
}

/// Writes the join file anew, to `to` if that is given. The token is never shown.
pub fn token(root: &Path, to: Option<&Path>, report: &Report) -> Result<()> {
    let root = Root::open(root)?;
    let (_lock, mut journal) = begin(&root, report)?;
    let mut prepared = Prepared::installed(&root, Data::Keep)?;
    let place = to.map_or_else(|| crate::steps::cloud::JOIN_FILE.to_string(), |to| to.display().to_string());
    let path = RelPath::from_absolute(&place)
        .map_err(|e| Error::new(Kind::Usage, format_args!("'{place}' {e}")).hint("give a file by its absolute path"))?;
    prepared.with_cx(&root, &mut journal, report, &mut |prepared, cx| {
        let Some(step) = prepared.parts.join_file() else {
            return Err(Error::new(Kind::Usage, "this machine is a worker, and edges join the server")
                .hint("run 'edgelay cloud token' on the server"));
        };
        let text = step.text(cx)?;
        match to {
            None => cx.put(path, 0o600, text.as_bytes())?,
            Some(_) => cx.root.write(path, 0o600, text.as_bytes())?,
        };
        Ok(())
    })?;
    report.run_ends(&format!("what an edge needs to join is in '{path}': keep it as secret as a password"));
    Ok(())
}

/// Takes back what the journal says was done. The data of a k3s of ours stays, or goes now.
pub fn uninstall(root: &Path, data: Data, report: &Report) -> Result<()> {
    let root = Root::open(root)?;
    let stored = Stored::load_opt(&root)?;
    if let Some(stored) = &stored {
        stored.is_for(Role::Cloud)?;
    }
    if is_untouched(&root)? && stored.is_none() {
        report.run_ends("nothing was installed here");
        return Ok(());
    }
    let (_lock, mut journal) = begin(&root, report)?;
    if stored.is_some() {
        let mut prepared = Prepared::installed(&root, data)?;
        prepared.with_cx(&root, &mut journal, report, &mut |prepared, cx| {
            let steps = &prepared.steps;
            report.run_begins("uninstall", steps.iter().filter(|s| cx.journal.knows(s.id())).count());
            plan::undo(steps, cx)?;
            // The server may not be there any more, and a node may not remove itself.
            if let CloudConfig { server: Some(_), name: Some(name), .. } = &*prepared.parts.config {
                let what = format!(
                    "the cluster keeps node '{name}' until 'k3s kubectl delete node {name}' is run on the server"
                );
                report.info(&what);
            }
            Ok(())
        })?;
    } else if data == Data::Purge {
        // The rest was removed by an earlier run, which kept this.
        with_cx(&root, &mut journal, report, None, &mut |cx| cx.remove_made(|_| true))?;
    }
    end_uninstall(&root, &mut journal, report)?;
    report.run_ends(match journal.made_dirs().is_empty() {
        true => "what edgelay installed here is gone",
        false => "what edgelay installed here is gone but for k3s's data: 'edgelay cloud uninstall --purge' removes it",
    });
    Ok(())
}

/// Steps put together, with the bundle that they take from.
#[derive(Debug)]
struct Prepared {
    bundle: Option<Box<Bundle>>,
    parts: Box<Assembly>,
    steps: Vec<Box<dyn Step>>,
    ignored: Ignored,
}

impl Prepared {
    fn new(request: Request, root: &Root) -> Result<Self> {
        let Request { mut config, bundle, scope, ignored, .. } = request;
        settle(&mut config, scope)?;
        let stored = Stored::load_opt(root)?;
        match (&stored, &config.token_file) {
            (Some(stored), _) => {
                stored.is_for(Role::Cloud)?;
                if let Ok(mut old) = config_of(stored) {
                    // No server has taken it yet: perhaps because of its name.
                    if scope == Scope::Worker && Journal::look(root)?.is_unfinished("k3s-start") {
                        old.name.clone_from(&config.name);
                    }
                    assemble::refuse(&old, &config)?;
                }
            }
            // Later it may be gone: ours counts then.
            (None, Some(file)) if scope == Scope::Worker => drop(load_secret(file)?),
            (None, _) => {}
        }
        let bundle = bundle.map(|source| source.open(Role::Cloud)).transpose()?;
        let bundle = bundle.ok_or_else(|| Error::new(Kind::Usage, "no bundle is given").hint("add --bundle FILE"))?;
        bundle.lacks()?;
        if let Some(Ok(runs)) = stored.filter(|_| scope != Scope::Worker).map(|stored| stored.bundle()) {
            assemble::refuse_older(&runs, &bundle, &Journal::look(root)?)?;
        }
        let parts = Assembly::new(config, &bundle, root)?;
        let steps = parts.steps(&bundle)?;
        Ok(Prepared { bundle: Some(bundle), parts, steps, ignored })
    }

    /// What was installed below `root`, without anything to lay down.
    fn installed(root: &Root, data: Data) -> Result<Self> {
        let Some(stored) = Stored::load_opt(root)? else {
            return Err(
                Error::new(Kind::Drift, "no cloud side is installed here").hint("run 'edgelay cloud install' first")
            );
        };
        stored.is_for(Role::Cloud)?;
        let bundle = stored.bundle()?;
        let mut parts = Assembly::new(config_of(&stored)?, &bundle, root)?;
        parts.data = data;
        let steps = parts.steps(&bundle)?;
        Ok(Prepared { bundle: None, parts, steps, ignored: Ignored::default() })
    }

    fn with_cx(&mut self, root: &Root, journal: &mut Journal, report: &Report, work: &mut Work<'_>) -> Result<()> {
        let mut bundle = self.bundle.take();
        let blobs = bundle.as_deref_mut().map(|b| b as &mut dyn Blobs);
        let done = with_cx(root, journal, report, blobs, &mut |cx| work(self, cx));
        self.bundle = bundle;
        done
    }

    /// The check of every step.
    fn look(&mut self, root: &Root, journal: &mut Journal, report: &Report) -> Result<Vec<plan::Finding>> {
        let mut findings = Vec::new();
        self.with_cx(root, journal, report, &mut |prepared, cx| {
            findings = plan::check_all(&prepared.steps, cx)?;
            Ok(())
        })?;
        Ok(findings)
    }
}

/// What is done with the steps.
type Work<'a> = dyn FnMut(&Prepared, &mut Cx<'_>) -> Result<()> + 'a;

fn config_of(stored: &Stored) -> Result<Box<CloudConfig>> {
    let settings = parse_file_of(Table::CLOUD, &stored.config, &CONFIG.to_string())?;
    Ok(resolve_cloud(&[settings.as_slice()], None)?.config)
}

/// What the command says wins over the configuration; what contradicts it is refused.
fn settle(config: &mut CloudConfig, scope: Scope) -> Result<()> {
    match scope {
        Scope::Worker => return config.check_worker(),
        Scope::Init => config.k3s = K3sMode::Existing,
        Scope::Install => {}
    }
    if config.server.is_some() {
        return Err(Error::new(Kind::Config, "'server' belongs to a worker, and this is to be a server itself")
            .hint("leave it out, or run 'edgelay cloud worker install'"));
    }
    config.check_server()
}
