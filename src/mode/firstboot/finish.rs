//! After the join: the token goes, the result stays, and nothing of the first boot is done again.
//!
//! Each part can be done twice; the marker, which brings us here, goes last.

use crate::clock::{Clock, SystemClock};
use crate::config::parse_file;
use crate::error::Result;
use crate::exec::Host;
use crate::ids::RelPath;
use crate::mode::factory;
use crate::mode::session::LOCK;
use crate::plan::{Cx, Journal};
use crate::report::Report;
use crate::root::{Change, Root};
use crate::steps::{FirstBoot, KeptBundle, MARKER};

use super::find::Source;
use super::medium::Access;
use super::outcome::{self, Outcome, TokenFate};

pub(super) fn finish(root: &Root, source: Option<&Source>, report: &Report, outcome: Outcome) -> Result<()> {
    let clock = SystemClock::default();
    let mut outcome = outcome.at(clock.unix());
    root.wipe(super::TOKEN)?;
    outcome.token = source.map(|source| wipe(root, source, report));
    outcome::write(root, &outcome)?;
    if let Some(source) = source {
        leave(root, source, &outcome, report);
    }
    tidy(root, &clock, report)?;
    root.remove(MARKER)?;
    report.run_ends("the first boot is done");
    Ok(())
}

/// The token's file where it was found.
fn wipe(root: &Root, source: &Source, report: &Report) -> TokenFate {
    let mut change = Change::Kept;
    let wiped = source.with(root, Access::Write, &mut |files| {
        let text =
            RelPath::parse(&source.file).ok().map(|path| files.read(path, crate::config::MAX_FILE)).transpose()?;
        let settings = parse_file(&text.flatten().unwrap_or_default(), &source.to_string()).unwrap_or_default();
        let token = source.token(&settings);
        if let Ok(path) = RelPath::parse(&token) {
            change = files.wipe(path)?;
        }
        Ok(())
    });
    match wiped.map(|()| change) {
        Ok(Change::Wrote) => TokenFate::Wiped,
        Ok(Change::Kept) => TokenFate::None,
        Err(e) => {
            report.warn(&format!("the token at {source} could not be removed ({e}): destroy it by hand"));
            TokenFate::Kept
        }
    }
}

/// The result beside the configuration, under a name that each node has for itself: a stick visits many.
fn leave(root: &Root, source: &Source, outcome: &Outcome, report: &Report) {
    let node = outcome.node.as_deref().unwrap_or("node");
    let name = format!("edgelay-{node}.json");
    let path = source.file.rsplit_once('/').map_or(name.clone(), |(dir, _)| format!("{dir}/{name}"));
    let left = source.with(root, Access::Write, &mut |files| match RelPath::parse(&path) {
        Ok(path) => files.write(path, 0o644, outcome.text()?.as_bytes()).map(|_| ()),
        Err(_) => Ok(()),
    });
    if let Err(e) = left {
        report.info(&format!("no result beside {source}: {e}"));
    }
}

/// The bundle that was left for this boot, the service, and the preset.
fn tidy(root: &Root, clock: &dyn Clock, report: &Report) -> Result<()> {
    let _lock = root.lock(LOCK)?;
    let mut journal = Journal::open(root)?;
    let mut exec = Host::new(root, clock);
    let mut cx = Cx { root, exec: &mut exec, clock, report, journal: &mut journal, blobs: None };
    KeptBundle::take_out(&mut cx)?;
    factory::thaw(&mut cx)?;
    FirstBoot::disable(&mut cx)
}
