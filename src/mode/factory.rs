//! `edgelay factory seal`: makes a staged system fit for being copied to many machines.
//!
//! What only one machine may have is looked for first, all of it, and nothing is touched while something is left that
//! nobody may remove. The marker for the first boot is written last, so that a cut leaves no half-sealed system that
//! takes itself for a sealed one.

mod marks;
mod presets;
mod record;
mod rules;
mod unique;

pub(super) use presets::thaw;
pub use record::Record;
pub use unique::Finding;

use std::path::PathBuf;

use crate::bundle::Bundle;
use crate::clock::SystemClock;
use crate::error::{Error, Kind, Result};
use crate::exec::Host;
use crate::gather::Gather;
use crate::plan::{Cx, Journal, Time};
use crate::report::Report;
use crate::root::Root;
use crate::sorted::Set;
use crate::steps::MARKER;

use super::edge::Record as Installed;
use super::session::LOCK;

/// What becomes of that which only one machine may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unique {
    /// It is named, and nothing is done.
    Refuse,
    /// It is removed where that does no harm.
    Remove,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where the system is mounted.
    pub root: PathBuf,
    /// What becomes of unique things.
    pub unique: Unique,
}

/// What came of it.
#[derive(Debug)]
pub enum Outcome {
    /// It is sealed.
    Sealed(Box<Record>),
    /// It is as it was: these are in it.
    Refused(Vec<Finding>),
}

/// The error that findings amount to.
pub fn failure(findings: &[Finding]) -> Option<Error> {
    if findings.is_empty() {
        return None;
    }
    let names: Set<&str> = findings.iter().map(|finding| finding.check).gather();
    let names = names.iter().copied().gather::<Vec<_>>().join(", ");
    let error = Error::new(Kind::Preflight, format_args!("not fit for being copied: {names}"));
    Some(match findings.iter().any(|finding| !finding.removable) {
        true => error.hint("do what is said of each, then run again"),
        false => error.hint("run again with --clean to remove all of it"),
    })
}

/// What is in the way, for people.
pub fn text(findings: &[Finding]) -> String {
    record::findings_text(findings)
}

/// The same for programs.
pub fn json(findings: &[Finding]) -> Result<String> {
    record::findings_json(findings)
}

/// Seals the system, or says what is in the way.
pub fn seal(request: &Request, report: &Report) -> Result<Outcome> {
    let root = Root::open(&request.root)?;
    if root.is_live() {
        return Err(Error::new(Kind::Usage, "the system that runs cannot be sealed: it makes new traces all the time")
            .hint("shut it down, mount its disk on another machine, and give that directory with --root"));
    }
    // One that was never staged is not touched.
    let installed = Installed::load(&root)?;
    let _lock = root.lock(LOCK)?;
    let bundle = installed.bundle()?;
    let clock = SystemClock::default();
    let mut exec = Host::new(&root, &clock);
    let mut journal = Journal::open_with(&root, Time::Fixed(bundle.manifest().built.seconds()))?;
    let journal = &mut journal;
    let mut cx = Cx { root: &root, exec: &mut exec, clock: &clock, report, journal, blobs: None };
    let findings = unique::find(&installed, &cx)?;
    let kept = request.unique == Unique::Refuse && !findings.is_empty();
    if kept || findings.iter().any(|finding| !finding.removable) {
        return Ok(Outcome::Refused(findings));
    }
    unique::remove(&findings, &cx)?;
    let left = unique::find(&installed, &cx)?;
    if !left.is_empty() {
        return Ok(Outcome::Refused(left));
    }
    let record = finish(&installed, &bundle, &mut cx, findings)?;
    Ok(Outcome::Sealed(Box::new(record)))
}

/// Marks a staged system for its first boot without sealing it: the disk of one machine, which nobody will copy.
pub fn arm(root: &std::path::Path) -> Result<()> {
    let root = Root::open(root)?;
    Installed::load(&root)?;
    root.write(MARKER, 0o644, b"{\"schema\":1}\n").map(|_| ())
}

fn finish(installed: &Installed, bundle: &Bundle, cx: &mut Cx<'_>, removed: Vec<Finding>) -> Result<Record> {
    let built = bundle.manifest().built.seconds();
    marks::machine_id(cx)?;
    marks::containerd_identity(cx, installed.config.containerd_root())?;
    presets::freeze(cx)?;
    let record = Record::new(bundle, &installed.config, cx);
    // Durable before the marker says so.
    cx.root.sync_all()?;
    cx.root.write(MARKER, 0o644, record.json()?.as_bytes())?;
    let store = installed.config.containerd_root();
    super::edge::settle_times(cx, store, Some(built))?;
    marks::settle_times(cx, store, built)?;
    cx.root.sync_all()?;
    Ok(record.sealed_at(cx.clock.unix(), removed))
}
