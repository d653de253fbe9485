//! What an edge install wants of the machine, and the checks of it.

use std::time::Duration;

use super::Scope;
use super::assemble::Assembly;
use crate::bundle::Program;
use crate::bundle::elf::loader;
use crate::clock::{Probe, rfc3339, wait_for};
use crate::config::render_duration;
use crate::containerd::{Client, health};
use crate::error::{Kind, Result};
use crate::feed;
use crate::gather::Gather;
use crate::host::preflight::{
    Context, Cri, DiskNeed, Finding, ProgramNeed, ProgramToRun, Wanted, preflight, preflight_target,
};
use crate::host::time;
use crate::ids::{RelPath, Token};
use crate::plan::{Cx, Step};
use crate::root::Type;
use crate::steps::KeptBundle;

/// Where linkers put the segments' table and the loader's name: within the first page.
const HEAD: usize = 4096;

/// How long a containerd that is there may take to tell all that is asked: when somebody waits for the checks, which are
/// done within a second.
pub(super) const LOOK: Duration = Duration::from_millis(600);
/// The same when an install hangs on it: it may be busy with the pods of a small board.
pub(super) const INSTALL: Duration = Duration::from_secs(10);

/// Runs every check, with the failures that the user wants ignored made warnings.
pub(super) fn check(
    parts: &mut Assembly,
    steps: &[Box<dyn Step>],
    cx: &mut Cx<'_>,
    patience: Duration,
) -> Result<Vec<Finding>> {
    let token = parts.token.take();
    let parts = &*parts;
    let Asked { cri, silent } = ask(parts, cx, patience)?;
    let mut wanted = wanted(parts, token, steps, cx)?;
    wanted.disk = disk(parts, steps, silent, cx)?;
    wanted.time_floor = floor(parts, cx);
    wanted.programs_to_run = programs(parts, cx);
    wanted.cri = cri;
    let programs = puts_programs(parts, steps, cx);
    if !programs {
        wanted.writable.retain(|path| !PROGRAM_PLACES.contains(path));
    }
    wanted.board = parts.board.as_ref().map(|board| board.facts(parts.config.containerd_root(), programs));
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
            true => Probe::Ready,
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

fn wanted<'a>(
    parts: &'a Assembly,
    token: Option<Result<Token>>,
    steps: &[Box<dyn Step>],
    cx: &mut Cx<'_>,
) -> Result<Wanted<'a>> {
    let mut wanted = Wanted::of_edge(&parts.config);
    wanted.own_programs = cx.journal.files().into_iter().map(|(path, _)| format!("/{path}")).gather();
    wanted.kubeedge_files_are_ours = cx.journal.has_made("etc/kubeedge");
    // Whoever has joined needs none: a token is good for a day, and is gone when a first boot has ended.
    wanted.token = token.filter(|_| is_to_come("join", steps, cx));
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

/// What the programs of a bundle are linked against, where their bytes are at hand: a pipe has only one go at them.
fn programs(parts: &Assembly, cx: &mut Cx<'_>) -> Vec<ProgramToRun> {
    let (Some(bundle), Some(blobs)) = (&parts.bundle, cx.blobs.as_mut().filter(|blobs| blobs.rewinds())) else {
        return Vec::new();
    };
    let programs = bundle.programs.iter().filter_map(|(name, blob)| {
        // A damaged bundle is told when its blobs are laid down, ignoring: with where it is damaged.
        let head = feed::first(&mut blobs.open(blob).ok()?, HEAD).ok()?;
        let program = Program::of(&head);
        let elf = matches!(program, Program::For(_) | Program::Other(_));
        elf.then(|| ProgramToRun {
            name: name.clone(),
            loader: loader(&head).filter(|path| path.starts_with('/')),
            misfit: program.mismatch(bundle.architecture),
        })
    });
    programs.gather()
}

/// What a containerd that is there already tells.
struct Asked {
    /// For the checks: what one of somebody else's tells.
    cri: Option<std::result::Result<Cri, (String, &'static str)>>,
    /// It takes connections, and says nothing.
    silent: bool,
}

/// Asks a containerd; whether it is there is for a check to say.
fn ask(parts: &Assembly, cx: &Cx<'_>, patience: Duration) -> Result<Asked> {
    let address = &parts.config.containerd_address;
    let path = address.to_str().and_then(|text| RelPath::from_absolute(text).ok());
    // That somebody may not look is for a check to say, too.
    let meta = path.and_then(|path| cx.root.stat(path).ok().flatten());
    if !cx.root.is_live() || meta.is_none_or(|meta| meta.kind != Type::Socket) {
        return Ok(Asked { cri: None, silent: false });
    }
    if super::is_managed(&parts.config) {
        return Ok(Asked { cri: None, silent: Client::connect_within(address, patience).is_err() });
    }
    let cri = health::survey(address, patience).map_err(|unfit| {
        let advice = match unfit {
            health::Unfit::ForGood(_) => {
                "remove cri from 'disabled_plugins' in its configuration, restart containerd and look at its log"
            }
            health::Unfit::Yet(_) => "look at its log, and restart it if it hangs: it must answer on that socket",
        };
        (unfit.seen(), advice)
    });
    Ok(Asked { silent: cri.is_err(), cri: Some(cri) })
}

/// Room for what is not there yet: a second run on a disk that the first one filled must not be refused.
/// A `silent` containerd is not asked what it has.
fn disk<'a>(parts: &'a Assembly, steps: &[Box<dyn Step>], silent: bool, cx: &mut Cx<'_>) -> Result<Vec<DiskNeed<'a>>> {
    const PROGRAMS: RelPath<'static> = RelPath::literal("usr/local");
    let Some(bundle) = &parts.bundle else { return Ok(Vec::new()) };
    let store = parts.config.containerd_root();
    let mut needs = Vec::new();
    let whole = [
        ("components", PROGRAMS, bundle.components),
        ("images", store, bundle.store),
        ("kept-bundle", KeptBundle::PATH, bundle.file),
        // Its images come out of it at the first boot, beside it.
        ("kept-bundle", store, bundle.store),
    ];
    for (id, path, bytes) in whole {
        let step = steps.iter().find(|step| step.id() == id);
        if let Some(step) = step
            && ((silent && id == "images") || step.check(cx).is_ok_and(|status| !status.is_settled()))
        {
            needs.push(DiskNeed { path, bytes, what: None });
        }
    }
    Ok(needs)
}

/// Where programs lie, ours and CNI's: nothing else of an install is written there.
const PROGRAM_PLACES: [RelPath<'static>; 2] = [RelPath::literal("usr/local/bin"), RelPath::literal("opt")];

/// Whether a program is still to be laid down. What was staged into the image of a root that is read-only is there.
fn puts_programs(parts: &Assembly, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> bool {
    const LAY_DOWN: [&str; 3] = ["components", "own-program", "first-boot"];
    let brings = |facts: &super::assemble::Facts| facts.programs.iter().any(|(name, _)| name == "edgecore");
    // Of a bundle that has none, EdgeCore comes out of an image when the node joins; keadm always takes that one.
    let joining = parts.way.with_keadm || !parts.bundle.as_ref().is_some_and(brings);
    let join = (parts.scope != Scope::Stage && joining).then_some("join");
    steps.is_empty()
        || LAY_DOWN.into_iter().chain(join).any(|id| {
            let step = steps.iter().find(|step| step.id() == id);
            step.is_some_and(|step| !step.check(cx).is_ok_and(|status| status.is_settled()))
        })
}

/// Whether the step `id` is not known to be done.
fn is_to_come(id: &str, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> bool {
    let step = steps.iter().find(|step| step.id() == id);
    step.is_none_or(|step| !step.check(cx).is_ok_and(|status| status.is_settled()))
}
