//! What the cloud side wants of the machine, and the checks of it.

use super::assemble::Assembly;
use crate::config::K3sMode;
use crate::error::Result;
use crate::gather::Gather;
use crate::host::preflight::{CLOUD, Context, DiskNeed, Finding, Ignored, K3s, Wanted, run};
use crate::ids::RelPath;
use crate::plan::{Cx, Status, Step};
use crate::root::Root;

/// Runs every check, with the failures that the user wants ignored made warnings.
pub(super) fn check(
    parts: &Assembly,
    steps: &[Box<dyn Step>],
    ignored: &Ignored,
    cx: &mut Cx<'_>,
) -> Result<Vec<Finding>> {
    let live;
    let machine = if cx.root.is_live() {
        cx.root
    } else {
        live = Root::open(std::path::Path::new("/"))?;
        &live
    };
    let wanted = wanted(parts, steps, cx);
    let mut findings = run(&Context::new(machine, cx.root, cx.clock, wanted), &CLOUD);
    ignored.apply(&mut findings);
    Ok(findings)
}

fn wanted<'a>(parts: &Assembly, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Wanted<'a> {
    let (config, bundle) = (&parts.config, &parts.bundle);
    let existing = config.k3s == K3sMode::Existing && config.server.is_none();
    let mut wanted = Wanted::of_cloud(config);
    wanted.own_programs = cx.journal.files().into_iter().map(|(path, _)| format!("/{path}")).gather();
    wanted.architecture = Some(bundle.architecture);
    wanted.time_floor = Some(bundle.built);
    wanted.nft_image = bundle.nft_image;
    wanted.kubernetes = bundle.k3s.clone().filter(|_| !existing).map(|k3s| (bundle.kubeedge.clone(), k3s));
    wanted.disk = disk(parts, steps, cx);
    wanted.k3s = Some(match existing {
        true => K3s::Existing(config.kubeconfig.display().to_string()),
        // What it listens on, and what runs in its pods, is ours as well.
        false if cx.journal.knows("k3s-start") || cx.journal.has_made("var/lib/rancher") => K3s::Ours,
        false => K3s::New,
    });
    if wanted.k3s != Some(K3s::New) || !cx.root.is_live() {
        // A cluster that is there has its routes here.
        wanted.ranges.clear();
    }
    if existing {
        wanted.ports.retain(|need| (10_000..10_005).contains(&need.port));
        wanted.ingress.clear();
    }
    if cx.journal.knows("k3s-start") || cx.journal.knows("cloudcore") {
        wanted.ports.clear();
        wanted.ingress.clear();
        // It has joined; a server that is away for a while is no reason to leave the rest undone.
        wanted.server = None;
    }
    if !cx.root.is_live() {
        wanted.ports.clear();
        wanted.ingress.clear();
        wanted.server = None;
        wanted.node_name = None;
        wanted.advertise.clear();
    }
    wanted
}

/// Room for what is not there yet: a second run on a disk that the first one filled must not be refused.
fn disk<'a>(parts: &Assembly, steps: &[Box<dyn Step>], cx: &mut Cx<'_>) -> Vec<DiskNeed<'a>> {
    const PROGRAMS: RelPath<'static> = RelPath::literal("usr/local");
    const STORE: RelPath<'static> = RelPath::literal("var/lib/rancher");
    let places = [("components", PROGRAMS, parts.bundle.components), ("images", STORE, parts.bundle.store)];
    let missing = places.into_iter().filter(|(id, _, _)| {
        let step = steps.iter().find(|step| step.id() == *id);
        step.is_some_and(|step| step.check(cx).is_ok_and(|status| status != Status::Done))
    });
    missing.map(|(_, path, bytes)| DiskNeed { path, bytes }).gather()
}
