//! What an edge install wants of the machine, and the checks of it.

use super::Scope;
use super::assemble::Assembly;
use crate::containerd::config as runtime;
use crate::error::Result;
use crate::host::preflight::{Context, DiskNeed, Finding, Wanted, preflight, preflight_target};
use crate::ids::RelPath;
use crate::plan::{Cx, Step};
use crate::steps::KeptBundle;

/// Runs every check, with the failures that the user wants ignored made warnings.
pub(super) fn check(parts: &mut Assembly, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Result<Vec<Finding>> {
    let wanted = wanted(parts, steps, cx)?;
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

fn wanted<'a>(parts: &mut Assembly, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Result<Wanted<'a>> {
    let mut wanted = Wanted::of_edge(&parts.config);
    wanted.own_programs = cx.journal.files().into_iter().map(|(path, _)| format!("/{path}")).collect();
    wanted.kubeedge_files_are_ours = cx.journal.has_made("etc/kubeedge");
    wanted.disk = disk(parts, steps, cx)?;
    wanted.token = parts.token.take();
    if let Some(bundle) = &parts.bundle {
        wanted.architecture = Some(bundle.architecture);
        wanted.time_floor = Some(bundle.built);
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
