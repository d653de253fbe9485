//! Our unit in the place of keadm's, and EdgeCore running under it, healthy.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::containerd::health;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;
use crate::kubeedge::{EDGECORE_YAML, MAX_YAML, explain, healthy, lookup, service};
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, State, boot_link, definition};

use super::edgecore_data;
use super::edgecore_program::{self, EdgecoreProgram};
use super::join;

/// EdgeCore starts its kubelet's server after it has talked to the cloud and to containerd.
const LIMIT: Duration = Duration::from_secs(120);
/// The unit that EdgeCore last was healthy under, and the program that it was.
pub(super) const FACT: &str = "edgecore-runs-with";

/// The step.
#[derive(Debug)]
pub struct Edgecore {
    manager: Manager,
    address: PathBuf,
    program: Program,
    limit: Duration,
}

/// Which EdgeCore is to run.
#[derive(Debug)]
pub struct Program {
    /// Changes with it.
    pub id: String,
    /// Where it is from, unless the bundle brings it as a component.
    pub package: Option<EdgecoreProgram>,
}

impl Edgecore {
    /// Under `manager`, on the containerd with the socket `address`; healthy within `limit`, if that is less than it
    /// may take.
    pub fn new(manager: Manager, address: PathBuf, program: Program, limit: Duration) -> Self {
        Edgecore { manager, address, program, limit: limit.min(LIMIT) }
    }

    fn version(&self) -> String {
        let unit = definition(self.manager, &service()).2;
        Digest::of(format!("{unit}{}", self.program.id).as_bytes()).to_string()
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
        if edgecore_program::is_kept(cx)? {
            return Ok(Status::todo("what an upgrade kept for the way back is still there"));
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
        let mut services = cx.services(self.manager);
        if !(current && services.state(&service())? == State::Active) {
            services.reload()?;
            services.restart(&service())?;
        }
        if let Err(e) = self.wait(begun, cx) {
            return Err(self.go_back(e, cx));
        }
        // EdgeCore of another version writes its configuration anew.
        join::sync(cx)?;
        edgecore_program::forget_previous(cx)?;
        if let Some(package) = &self.program.package {
            package.drop_older(cx)?;
        }
        cx.journal.remember(FACT, &self.version())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.services(self.manager).stop(&service())?;
        cx.journal.forget(FACT)
    }
}

impl Edgecore {
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

    /// An EdgeCore that does not come up is no better than none on a machine that nobody looks at: the one that worked
    /// goes on, and the error is told.
    fn go_back(&self, e: Error, cx: &mut Cx<'_>) -> Error {
        if e.kind() == Kind::Interrupted {
            return e;
        }
        let then = match self.back(cx) {
            Ok(None) => return e,
            Ok(Some(with)) => format!("the EdgeCore that ran before does so again{with}"),
            Err(again) => format!("nor does the EdgeCore that ran before: {again}"),
        };
        let hint = e.hint_text().unwrap_or_default().to_owned();
        Error::new(e.kind(), format!("{e}; {then}")).hint(hint)
    }

    /// With what the EdgeCore that worked runs again; `None`: nothing is kept of it.
    fn back(&self, cx: &mut Cx<'_>) -> Result<Option<&'static str>> {
        let mut with = None;
        let mut runs = Ok(());
        if edgecore_program::bring_back(cx)? {
            with = Some("");
            runs = self.run_anew(cx);
        }
        let refused = runs.as_ref().map_or_else(|e| e.kind() != Kind::Interrupted, |()| with.is_none());
        if refused && edgecore_data::is_kept(cx)? {
            with = Some(", with its configuration and database of then");
            cx.services(self.manager).stop(&service())?;
            edgecore_data::bring_back(cx)?;
            runs = self.run_anew(cx);
        }
        runs?;
        edgecore_program::forget_previous(cx)?;
        Ok(with)
    }

    fn run_anew(&self, cx: &mut Cx<'_>) -> Result<()> {
        let begun = cx.clock.unix();
        cx.services(self.manager).restart(&service())?;
        self.wait(begun, cx)
    }

    fn wait(&self, begun: u64, cx: &mut Cx<'_>) -> Result<()> {
        let waited = wait_for(cx.clock, "EdgeCore's health", self.limit, || {
            Ok(match healthy() {
                Ok(()) => Probe::Ready,
                Err(seen) => Probe::NotYet(seen),
            })
        });
        match waited {
            Err(e) if e.kind() != Kind::Interrupted => {
                let log = cx.services(self.manager).words_since(&service(), begun);
                let cause = explain("", &cx.report.mask(&log));
                let hint = cause.hint_text().unwrap_or_default().to_owned();
                Err(Error::new(Kind::Cluster, format_args!("{e}; {cause}")).hint(hint))
            }
            other => other,
        }
    }
}
