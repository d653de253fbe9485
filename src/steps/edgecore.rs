//! Our unit in the place of keadm's, and EdgeCore running under it, healthy.

use std::path::PathBuf;

use crate::containerd::health;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::RelPath;
use crate::kubeedge::{EDGECORE_YAML, MAX_YAML, healthy, lookup, service};
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, State, boot_link, definition};

use super::edgecore_back::WayBack;
use super::join;

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
        let mut services = cx.services(self.manager);
        if !(current && services.state(&service())? == State::Active) {
            services.reload()?;
            services.restart(&service())?;
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
