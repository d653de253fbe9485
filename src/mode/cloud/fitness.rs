//! What the cloud side wants of the machine, and the checks of it.

use super::assemble::Assembly;
use crate::bundle::Component;
use crate::config::K3sMode;
use crate::error::Result;
use crate::gather::{Gather, Grow};
use crate::host::preflight::{CLOUD, Context, DiskNeed, Finding, Ignored, K3s, Wanted, run};
use crate::ids::RelPath;
use crate::k3s::CARRIED;
use crate::plan::{Cx, Status, Step};
use crate::root::Root;
use crate::steps::Components;

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
    let mut needs: Vec<DiskNeed<'_>> = missing.map(|(_, path, bytes)| DiskNeed { path, bytes, what: None }).gather();
    if let Some(program) = parts.own_k3s().filter(|_| cx.root.is_live()) {
        needs.add_all(carried(program, cx));
    }
    needs
}

/// For what k3s unpacks when it is first run, beside what an older one has unpacked.
fn carried<'a>(program: Component, cx: &mut Cx<'_>) -> Option<DiskNeed<'a>> {
    /// One of v1.34 has some 70 MB, and unpacks 250.
    const TIMES: u64 = 4;
    let bytes = program.size.saturating_mul(TIMES);
    let is_there = Components::new(vec![program]).check(cx).is_ok_and(|status| status == Status::Done);
    let unpacked = cx.root.list(CARRIED).ok().flatten().unwrap_or_default();
    let is_needed = !is_there || unpacked.iter().all(|name| name != "current");
    is_needed.then_some(DiskNeed { path: CARRIED, bytes, what: Some("what k3s unpacks of itself") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::plan::tests::with_cx;

    #[test]
    fn a_k3s_that_was_never_run_needs_room_for_what_it_carries() {
        with_cx(|cx| {
            let k3s = Component {
                name: "k3s".into(),
                version: None,
                source: "k3s".into(),
                mode: "0755".parse().unwrap(),
                size: 3,
                digest: Digest::of(b"k3s"),
                destination: "usr/local/bin/k3s".parse().unwrap(),
            };
            let need = |cx: &mut Cx<'_>| carried(k3s.clone(), cx).map(|need| (need.path, need.bytes));
            let (program, data) = (k3s.destination(), Some((CARRIED, 12)));
            assert_eq!(need(cx), data);
            cx.root.write(program, 0o755, b"k3s").unwrap();
            cx.root.mkdir(RelPath::literal("var/lib/rancher/k3s/data/cni"), 0o755).unwrap();
            assert_eq!(need(cx), data, "not run");
            cx.root.symlink(RelPath::literal("var/lib/rancher/k3s/data/current"), "abc").unwrap();
            assert_eq!(need(cx), None);
            cx.root.write(program, 0o755, b"old").unwrap();
            assert_eq!(need(cx), data, "an older one has run");
        });
    }
}
