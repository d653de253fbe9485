//! What an edge install wants of the machine, and the checks of it.

use super::Scope;
use super::assemble::Assembly;
use crate::clock::{Probe, rfc3339, wait_for};
use crate::config::render_duration;
use crate::containerd::config as runtime;
use crate::error::{Kind, Result};
use crate::host::preflight::{Context, DiskNeed, Finding, ProgramNeed, Wanted, preflight, preflight_target};
use crate::host::time;
use crate::ids::RelPath;
use crate::plan::{Cx, Step};
use crate::steps::KeptBundle;

/// Runs every check, with the failures that the user wants ignored made warnings.
pub(super) fn check(parts: &mut Assembly, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Result<Vec<Finding>> {
    let mut wanted = wanted(parts, steps, cx)?;
    wanted.time_floor = floor(parts, cx);
    wanted.board = parts.board.as_ref().map(super::board::Underneath::facts);
    let mut context = Context::new(cx.root, cx.root, cx.clock, wanted);
    let mut findings = if cx.root.is_live() {
        preflight(&context)
    } else {
        context.architecture = context.wanted.architecture.map_or(String::new(), |arch| arch.to_string());
        preflight_target(&context)
    };
    if let Some(ignored) = &parts.ignored {
        ignored.apply(&mut findings);
    }
    Ok(findings)
}

/// What the clock cannot be before: the making of the bundle, and the time of an earlier run.
/// Staging needs no clock: nothing of it ends or begins at a time.
fn floor(parts: &Assembly, cx: &Cx<'_>) -> Option<u64> {
    if parts.scope == Scope::Stage {
        return None;
    }
    let built = parts.bundle.as_ref().map(|bundle| bundle.built);
    built.max(Some(time::stamp(cx.root)).filter(|stamp| *stamp > 0))
}

/// A clock that stands in the past is given time to be set: a board without a battery starts before its network is up.
/// Whether it was, is for the check to say.
pub(super) fn wait_for_clock(parts: &Assembly, cx: &Cx<'_>) -> Result<()> {
    let Some(floor) = floor(parts, cx).filter(|floor| cx.clock.unix() < *floor) else { return Ok(()) };
    if parts.ignored.as_ref().is_some_and(|ignored| ignored.has("clock")) {
        return Ok(());
    }
    let limit = parts.config.clock_wait;
    let (now, floor_text) = (rfc3339(cx.clock.unix()), rfc3339(floor));
    cx.report.warn(&format!(
        "the clock says {now}, before {floor_text}: waiting up to {} for it to be set",
        render_duration(limit)
    ));
    let waited = wait_for(cx.clock, "the clock to be set", limit, || {
        Ok(match cx.clock.unix() >= floor {
            true => Probe::Ready(()),
            false => Probe::NotYet(rfc3339(cx.clock.unix())),
        })
    });
    match waited {
        // The check that follows says it better.
        Err(e) if e.kind() == Kind::Runtime => Ok(()),
        other => other,
    }
}

/// Keeps a time that is known to be right as a lower bound for later runs.
pub(super) fn keep_time(cx: &Cx<'_>) -> Result<()> {
    if cx.root.is_live() { time::save_stamp(cx.root, cx.root, cx.clock) } else { Ok(()) }
}

fn wanted<'a>(parts: &mut Assembly, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Result<Wanted<'a>> {
    let mut wanted = Wanted::of_edge(&parts.config);
    wanted.own_programs = cx.journal.files().into_iter().map(|(path, _)| format!("/{path}")).collect();
    wanted.kubeedge_files_are_ours = cx.journal.has_made("etc/kubeedge");
    wanted.disk = disk(parts, steps, cx)?;
    // Whoever has joined needs none: a token is good for a day, and is gone when a first boot has ended.
    wanted.token = parts.token.take().filter(|_| is_to_come("join", steps, cx));
    if let Some(bundle) = &parts.bundle {
        wanted.architecture = Some(bundle.architecture);
    }
    if !parts.way.with_keadm {
        wanted.joins_with_keadm = false;
        wanted.programs = ProgramNeed::NATIVE.to_vec();
    }
    if parts.scope == Scope::Stage {
        // Who the node will be, and where it belongs, is not settled in a factory.
        wanted.node_name = None;
        wanted.node_ip = None;
        wanted.cloud = None;
        wanted.joins_with_keadm = false;
        wanted.programs.clear();
        wanted.ports.clear();
    }
    Ok(wanted)
}

/// Room for what is not there yet: a second run on a disk that the first one filled must not be refused.
fn disk<'a>(parts: &Assembly, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Result<Vec<DiskNeed<'a>>> {
    const PROGRAMS: RelPath<'static> = RelPath::literal("usr/local");
    let Some(bundle) = &parts.bundle else { return Ok(Vec::new()) };
    let mut needs = Vec::new();
    let whole = [
        ("components", PROGRAMS, bundle.components),
        ("images", runtime::ROOT, bundle.store),
        ("kept-bundle", KeptBundle::PATH, bundle.file),
        // Its images come out of it at the first boot, beside it.
        ("kept-bundle", runtime::ROOT, bundle.store),
    ];
    for (id, path, bytes) in whole {
        let step = steps.iter().find(|step| step.id() == id);
        if let Some(step) = step
            && step.check(cx).is_ok_and(|status| !status.is_settled())
        {
            needs.push(DiskNeed { path, bytes });
        }
    }
    Ok(needs)
}

/// Whether the step `id` is not known to be done.
fn is_to_come(id: &str, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> bool {
    let step = steps.iter().find(|step| step.id() == id);
    step.is_none_or(|step| !step.check(cx).is_ok_and(|status| status.is_settled()))
}
