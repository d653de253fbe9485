//! The edge: which steps make a node, in which order, from which bundle and configuration.
//!
//! `install` is `stage` (all that needs no identity) and `join` (who am I, which cloud). What was installed is recorded
//! below `/var/lib/edgelay`, so that `status` and `uninstall` need neither bundle nor configuration.

mod assemble;
mod board;
mod change;
mod fitness;
mod method;
mod record;
mod times;

use std::path::{Path, PathBuf};

use crate::bundle::{Bundle, Role};
use crate::config::{ContainerdMode, EdgeConfig};
use crate::error::{Error, Kind, Result};
use crate::gather::Gather;
use crate::host::preflight::{self, Ignored};
use crate::oci::Blobs;
use crate::plan::{self, Cx, Journal, Step, Time};
use crate::report::Report;
use crate::root::Root;
use crate::steps::{FirstBoot, KeptBundle, PROGRAM};

pub use super::BundleSource;
use super::record::Stored;
use super::session::{begin, end_uninstall, is_untouched, take, tell, with_cx};
use assemble::Assembly;
use board::Need;
use change::Side;
pub(super) use record::Record;
pub(super) use times::settle as settle_times;

/// How far to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything that needs no identity: can be done in a factory.
    Stage,
    /// Joining the cloud, on a staged host.
    Join,
    /// Both.
    Install,
}

/// When the images of a system that is staged but does not run get into its store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ImagesWhen {
    /// At once, with a containerd of this machine.
    #[default]
    Now,
    /// At its first boot, from the bundle that is left there.
    FirstBoot,
}

/// How a system is staged that does not run.
#[derive(Debug, Clone, Default)]
pub struct Factory {
    /// When the images get there.
    pub images: ImagesWhen,
    /// Directory of the containerd to take for it; none: one that is found.
    pub line_containerd: Option<PathBuf>,
    /// The edgelay that it gets; none: this one, if it is for the same processor.
    pub edgelay: Option<PathBuf>,
}

/// What is asked for.
#[derive(Debug)]
pub struct Request {
    /// Directory of the target: `/`, or a mounted system.
    pub root: PathBuf,
    /// The node's settings.
    pub config: Box<EdgeConfig>,
    /// The bundle. A join can do without: it was staged from one.
    pub bundle: Option<BundleSource>,
    /// How far to go.
    pub scope: Scope,
    /// Checks whose failure is only a warning.
    pub ignored: Ignored,
    /// For a system that does not run.
    pub factory: Factory,
}

/// Brings the node about, as far as `request` says. A second call with the same request changes nothing.
pub fn install(request: Request, report: &Report) -> Result<()> {
    let root = Root::open(&request.root)?;
    let _lock = take(&root, report)?;
    let mut prepared = Prepared::new(request, &root, report)?;
    let mut journal = Journal::open_with(&root, prepared.time(&root))?;
    let before = prepared.steps.iter().position(|step| step.id() == KeptBundle::ID).map_or(0, |at| at + 1);
    prepared.with_cx(&root, &mut journal, report, &mut |steps, parts, cx| {
        fitness::wait_for_clock(parts, cx)?;
        let findings = fitness::check(parts, steps, cx, fitness::INSTALL)?;
        tell(&findings, report);
        if let Some(error) = preflight::failure(&findings) {
            return Err(error);
        }
        fitness::keep_time(cx)?;
        report.run_begins(parts.verb(), steps.len());
        if before == 0 && !cx.root.is_live() {
            KeptBundle::take_out(cx)?;
        }
        plan::run(steps.get(..before).unwrap_or_default(), cx).map(|_| ())
    })?;
    if before > 0 {
        // From here on the copy is read: a pipe has come to its end with it.
        prepared.bundle = Some(Box::new(Bundle::open(&root.real(KeptBundle::PATH)?)?));
    }
    prepared.with_cx(&root, &mut journal, report, &mut |steps, parts, cx| {
        plan::run(steps.get(before..).unwrap_or_default(), cx)?;
        times::settle(cx, parts.config.containerd_root(), parts.bundle.as_ref().map(|facts| facts.built))?;
        report.run_ends(&parts.outcome());
        Ok(())
    })?;
    prepared.bundle.map_or(Ok(()), |bundle| bundle.finish())
}

/// What [`install`] would find and do; touches nothing, takes no lock.
pub fn plan(request: Request, report: &Report) -> Result<Vec<plan::Finding>> {
    let root = Root::open(&request.root)?;
    let mut prepared = Prepared::new(request, &root, report)?;
    let mut journal = Journal::look(&root)?;
    prepared.look(&root, &mut journal, report)
}

/// The checks that [`install`] begins with; touches nothing, takes no lock.
pub fn judge(request: Request, report: &Report) -> Result<Vec<preflight::Finding>> {
    let root = Root::open(&request.root)?;
    let mut prepared = Prepared::new(request, &root, report)?;
    let mut journal = Journal::look(&root)?;
    prepared.judge(&root, &mut journal, report)
}

/// Every preflight check; touches nothing. What is not known (no bundle, no cloud) is not looked at.
pub fn preflight(mut request: Request, report: &Report) -> Result<Vec<preflight::Finding>> {
    let root = Root::open(&request.root)?;
    let mut journal = Journal::look(&root)?;
    // Without an identity there are no steps to join, yet the configuration tells what to look at.
    request.scope = if request.config.identity().is_ok() { Scope::Install } else { Scope::Stage };
    let bundle_known = request.bundle.is_some() || Record::load(&root).is_ok();
    let mut prepared = if bundle_known {
        Prepared::new(request, &root, report)?
    } else {
        let mut parts = Assembly::new(request.config, None, request.scope, &root, Need::Exact)?;
        parts.take_board_storage();
        parts.ignored = Some(request.ignored);
        parts.load_token(report);
        Prepared { bundle: None, parts, steps: Vec::new() }
    };
    prepared.parts.scope = Scope::Install;
    prepared.judge(&root, &mut journal, report)
}

/// The check of every step of what was installed below `root`.
pub fn status(root: &Path, report: &Report) -> Result<Vec<plan::Finding>> {
    let root = Root::open(root)?;
    let mut journal = Journal::look(&root)?;
    let mut prepared = Prepared::installed(&root, &journal)?;
    prepared.look(&root, &mut journal, report)
}

/// The error that findings of [`status`] amount to.
pub fn drift(findings: &[plan::Finding]) -> Option<Error> {
    let off: Vec<&str> = findings.iter().filter(|f| !f.status.is_settled()).map(|f| f.id).gather();
    match off.as_slice() {
        [] => None,
        names => Some(
            Error::new(Kind::Drift, format_args!("not as installed: {}", names.join(", ")))
                .hint("run the install again: it mends what differs and leaves the rest alone"),
        ),
    }
}

/// Takes back what the journal says was done, and puts back what was replaced.
pub fn uninstall(root: &Path, report: &Report) -> Result<()> {
    let root = Root::open(root)?;
    if let Some(stored) = Stored::load_opt(&root)? {
        stored.is_for(Role::Edge)?;
    }
    // A host that was never touched stays so: no lock, no log.
    if is_untouched(&root)? && Record::load(&root).is_err() {
        report.run_ends("nothing was installed here");
        return Ok(());
    }
    let (_lock, mut journal) = begin(&root, report)?;
    if Record::load(&root).is_ok() {
        let mut prepared = Prepared::installed(&root, &journal)?;
        prepared.with_cx(&root, &mut journal, report, &mut |steps, _, cx| {
            report.run_begins("uninstall", steps.iter().filter(|s| cx.journal.knows(s.id())).count());
            plan::undo(steps, cx).map(|_| ())
        })?;
    }
    end_uninstall(&root, &mut journal, report)?;
    report.run_ends("what edgelay installed here is gone");
    Ok(())
}

/// Steps put together, with the bundle that they take from.
#[derive(Debug)]
struct Prepared {
    bundle: Option<Box<Bundle>>,
    parts: Box<Assembly>,
    steps: Vec<Box<dyn Step>>,
}

impl Prepared {
    fn new(request: Request, root: &Root, report: &Report) -> Result<Self> {
        let Request { mut config, bundle, scope, ignored, factory, .. } = request;
        if let Some(stored) = Stored::load_opt(root)? {
            stored.is_for(Role::Edge)?;
        }
        let record = Record::load(root).ok();
        let journal = Journal::look(root)?;
        let joined = journal.knows("join");
        let keep = scope == Scope::Stage && factory.images == ImagesWhen::FirstBoot;
        let (bundle, source) = match bundle {
            Some(source) if keep => {
                source.open_to_keep(Role::Edge).map(|(bundle, source)| (Some(bundle), Some(source)))?
            }
            other => (other.map(|source| source.open(Role::Edge)).transpose()?, None),
        };
        // A join goes on from what was staged, and must not contradict it.
        if let (Scope::Join, Some(record)) = (scope, &record) {
            config.pod_cidr = record.config.pod_cidr;
            config.containerd = record.config.containerd;
            config.containerd_address.clone_from(&record.config.containerd_address);
        }
        // Staging asks nobody who the node is, and must not forget it.
        if let (Scope::Stage, Some(_), true) = (scope, &record, joined) {
            // Read once more: what is recorded is still to be compared with.
            let mut known = Record::load(root)?.config;
            known.pod_cidr = config.pod_cidr;
            known.containerd = config.containerd;
            known.containerd_address = config.containerd_address;
            known.containerd_root = config.containerd_root;
            config = known;
        }
        // Where the images are is settled: a profile that says otherwise by now must not leave them behind.
        if let (None, Some(record)) = (&config.containerd_root, &record) {
            config.containerd_root.clone_from(&record.config.containerd_root);
        }
        let staged = match (&bundle, &record) {
            (None, Some(record)) => Some(record.bundle()?),
            _ => None,
        };
        let known = bundle.as_deref().or(staged.as_deref());
        if let Some(record) = &record {
            // A damaged head of the old bundle is replaced by this run.
            let (old, new) = (record.bundle().ok(), known);
            let version = |bundle: &'_ Bundle| bundle.manifest().kubeedge.clone();
            let old = Side { config: &record.config, kubeedge: old.as_deref().map(version) };
            let new = Side { config: &config, kubeedge: new.map(version) };
            change::look(&old, &new, joined && !journal.is_unfinished("join"))?;
        }
        for warning in config.warnings() {
            report.warn(&warning);
        }
        if let Some(warning) = known.and_then(|bundle| change::beside_cloud(&config, &bundle.manifest().kubeedge)) {
            report.warn(&warning);
        }
        let mut parts = Assembly::new(config, known, scope, root, Need::Exact)?;
        if record.is_none() {
            parts.take_board_storage();
        }
        parts.ignored = Some(ignored);
        parts.line_containerd = factory.line_containerd;
        parts.edgelay = factory.edgelay;
        parts.images = if keep || (bundle.is_none() && journal.knows(KeptBundle::ID)) {
            ImagesWhen::FirstBoot
        } else {
            ImagesWhen::Now
        };
        parts.keep = source;
        parts.load_token(report);
        let steps = parts.steps(known)?;
        Ok(Prepared { bundle, parts, steps })
    }

    /// What stands in the journal as time: where the same is staged again and again, the same.
    fn time(&self, root: &Root) -> Time {
        match &self.parts.bundle {
            Some(facts) if !root.is_live() => Time::Fixed(facts.built),
            _ => Time::Clock,
        }
    }

    /// What was installed below `root`, without anything to lay down.
    fn installed(root: &Root, journal: &Journal) -> Result<Self> {
        let mut record = Record::load(root)?;
        board::without_lost_profiles(&mut record.config);
        let bundle = record.bundle()?;
        let scope = if journal.knows("join") { Scope::Install } else { Scope::Stage };
        let mut parts = Assembly::new(record.config, Some(&bundle), scope, root, Need::Any)?;
        if journal.knows(KeptBundle::ID) {
            parts.images = ImagesWhen::FirstBoot;
        }
        if FirstBoot::is_known(journal) {
            // Whichever it was that the system got.
            parts.edgelay = Some(root.real(PROGRAM)?);
        }
        let steps = parts.steps(Some(&bundle))?;
        Ok(Prepared { bundle: None, parts, steps })
    }

    fn with_cx(&mut self, root: &Root, journal: &mut Journal, report: &Report, work: &mut Work<'_>) -> Result<()> {
        let blobs = self.bundle.as_deref_mut().map(|b| b as &mut dyn Blobs);
        let (steps, parts) = (&self.steps, &mut self.parts);
        with_cx(root, journal, report, blobs, &mut |cx| work(steps, parts, cx))
    }

    /// The check of every step.
    fn look(&mut self, root: &Root, journal: &mut Journal, report: &Report) -> Result<Vec<plan::Finding>> {
        let mut findings = Vec::new();
        self.with_cx(root, journal, report, &mut |steps, _, cx| {
            findings = plan::check_all(steps, cx)?;
            Ok(())
        })?;
        Ok(findings)
    }

    /// Every preflight check.
    fn judge(&mut self, root: &Root, journal: &mut Journal, report: &Report) -> Result<Vec<preflight::Finding>> {
        let mut findings = Vec::new();
        self.with_cx(root, journal, report, &mut |steps, parts, cx| {
            findings = fitness::check(parts, steps, cx, fitness::LOOK)?;
            Ok(())
        })?;
        Ok(findings)
    }
}

/// What is done with the steps.
type Work<'a> = dyn FnMut(&[Box<dyn Step>], &mut Assembly, &mut Cx<'_>) -> Result<()> + 'a;

/// Whether the runtime is ours to lay down.
fn is_managed(config: &EdgeConfig) -> bool {
    config.containerd == ContainerdMode::Managed
}
