//! Our unit in the place of keadm's, and EdgeCore running under it, healthy.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::containerd::health;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::RelPath;
use crate::kubeedge::{EDGECORE_YAML, MAX_YAML, healthy, lookup, service};
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, State, boot_link, definition};

use super::edgecore_back::WayBack;
use super::edgecore_program;
use super::join;
use super::ready::GAP;

/// The unit that EdgeCore last was healthy under, and the program that it was.
pub(super) const FACT: &str = "edgecore-runs-with";

/// The step.
#[derive(Debug)]
pub struct Edgecore {
    manager: Manager,
    address: PathBuf,
    program: String,
    back: WayBack,
}

impl Edgecore {
    /// Under `manager`, on the containerd with the socket `address`; `program` changes with the program that is to run.
    pub fn new(manager: Manager, address: PathBuf, program: String, back: WayBack) -> Self {
        Edgecore { manager, address, program, back }
    }

    fn version(&self) -> String {
        let unit = definition(self.manager, &service()).2;
        Digest::of(format!("{unit}{}", self.program).as_bytes()).to_string()
    }
}

impl Step for Edgecore {
    fn id(&self) -> &'static str {
        "edgecore"
    }

    fn summary(&self) -> String {
        "run EdgeCore under edgelay's unit".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let (path, mode, text) = definition(self.manager, &service());
        if let Ok(rel) = RelPath::parse(&path)
            && !cx.root.holds(rel, mode, text.as_bytes())?
        {
            return Ok(Status::todo(format_args!("'{rel}' is missing or different")));
        }
        if let Some((path, target)) = boot_link(self.manager, &service())
            && !cx.has_link(&path, &target)?
        {
            return Ok(Status::todo(format_args!("'/{path}' is missing")));
        }
        if cx.services(self.manager).state(&service())? != State::Active {
            return Ok(Status::todo("EdgeCore is not running"));
        }
        if cx.journal.fact(FACT) != Some(&self.version()) {
            return Ok(Status::todo("EdgeCore runs as another version or under another unit"));
        }
        self.drivers(cx)?.and_then(|| Ok(healthy().map_or_else(Status::Todo, |()| Status::Done)))
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let (path, mode, text) = definition(self.manager, &service());
        if let Ok(rel) = RelPath::parse(&path) {
            cx.put(rel, mode, text.as_bytes())?;
        }
        if let Some((path, target)) = boot_link(self.manager, &service()) {
            cx.put_link(&path, &target)?;
        }
        let current = cx.journal.fact(FACT) == Some(&self.version());
        let begun = cx.clock.unix();
        if !(current && cx.services(self.manager).state(&service())? == State::Active) {
            cx.services(self.manager).reload()?;
            // The other one's last heartbeat must not be taken for the first of this one.
            let gap = if edgecore_program::is_kept(cx)? { self.stop_for(GAP, cx) } else { Ok(()) };
            cx.services(self.manager).restart(&service())?;
            gap?;
        }
        if let Err(e) = self.back.wait(begun, cx) {
            return Err(self.back.go(e, cx));
        }
        // EdgeCore of another version writes its configuration anew.
        join::sync(cx)?;
        cx.journal.remember(FACT, &self.version())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.services(self.manager).stop(&service())?;
        cx.journal.forget(FACT)
    }
}

impl Edgecore {
    /// Lets the other EdgeCore end, and this time pass.
    fn stop_for(&self, pause: Duration, cx: &mut Cx<'_>) -> Result<()> {
        cx.services(self.manager).stop(&service())?;
        let begun = cx.clock.elapsed();
        wait_for(cx.clock, "a pause after EdgeCore's end", pause * 2, || {
            Ok(match cx.clock.elapsed().saturating_sub(begun) >= pause {
                true => Probe::Ready,
                false => Probe::NotYet("it goes on".into()),
            })
        })
    }

    /// EdgeCore and containerd must put pods into cgroups in the same way.
    fn drivers(&self, cx: &Cx<'_>) -> Result<Status> {
        let yaml = cx.root.text_or_empty(EDGECORE_YAML, MAX_YAML)?;
        let edgecore = lookup(&yaml, "modules.edged.tailoredKubeletConfig.cgroupDriver").unwrap_or_default();
        Ok(match health::cgroup_driver(&self.address) {
            Ok(containerd) if containerd == edgecore => Status::Done,
            Ok(containerd) => {
                Status::Todo(format!("cgroup drivers differ: EdgeCore's is '{edgecore}', containerd's '{containerd}'"))
            }
            Err(e) => Status::Todo(e.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;
    use crate::kubeedge::EDGECORE;
    use crate::plan::tests::with_cx;

    /// The first start goes without a pause, one in the place of another that worked does not.
    #[test]
    fn an_upgrade_leaves_a_gap_between_two_heartbeats() {
        for upgraded in [false, true] {
            with_cx(|cx| {
                let mut script = Script::default().expect("systemctl daemon-reload", 0, "");
                if upgraded {
                    cx.root.write(EDGECORE, 0o755, b"older").unwrap();
                    cx.journal.remember(FACT, "older").unwrap();
                    edgecore_program::keep(cx).unwrap();
                    script = script.expect("systemctl is-active edgecore.service", 0, "").expect(
                        "systemctl stop edgecore.service",
                        0,
                        "",
                    );
                }
                let Cx { root, clock, report, .. } = *cx;
                let mut cx = Cx { exec: &mut script, root, clock, report, journal: cx.journal, blobs: None };
                let back = WayBack::new(Manager::Systemd, Duration::ZERO, None);
                let step = Edgecore::new(Manager::Systemd, "/run/none".into(), "newer".into(), back);
                // What comes after the pause is of no interest here.
                let e = step.apply(&mut cx).unwrap_err();
                assert!(e.to_string().contains("reset-failed edgecore.service"), "{e}");
                let least = if upgraded { GAP } else { Duration::ZERO };
                assert!(clock.elapsed() >= least && clock.elapsed() <= least * 2, "{upgraded}: {:?}", clock.elapsed());
                assert!(script.done());
            });
        }
    }
}
