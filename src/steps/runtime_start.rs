//! Starts containerd, or starts it again after its files changed, and waits until CRI answers.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::cni;
use crate::containerd::{config, health};
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, Service, Services, State};

use super::leftovers;

/// A board's first start reads 40 MB of program from an SD card and makes its database.
const LIMIT: Duration = Duration::from_secs(90);
/// What containerd was last started with.
const FACT: &str = "containerd-runs-with";
/// containerd's own place for add-ons, made at every start.
const OPT: RelPath<'static> = RelPath::literal("opt/containerd");
/// A power cut can leave this file empty, and containerd then refuses some calls for ever.
const UUID: RelPath<'static> = RelPath::literal("var/lib/containerd/io.containerd.grpc.v1.introspection/uuid");

/// The step.
#[derive(Debug)]
pub struct RuntimeStart {
    manager: Manager,
    service: Service,
    address: PathBuf,
    version: String,
}

impl RuntimeStart {
    /// `version` changes whenever containerd must be started again: with its files and its program.
    pub fn new(manager: Manager, service: Service, address: PathBuf, version: String) -> Self {
        RuntimeStart { manager, service, address, version }
    }

    fn state(&self, cx: &mut Cx<'_>) -> Result<State> {
        Services::new(self.manager, cx.root, cx.exec).state(&self.service)
    }
}

impl Step for RuntimeStart {
    fn id(&self) -> &'static str {
        "runtime-start"
    }

    fn summary(&self) -> String {
        "start containerd and wait for CRI".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if self.state(cx)? == State::Inactive {
            return Ok(Status::todo("containerd is not running"));
        }
        if cx.journal.fact(FACT) != Some(self.version.as_str()) {
            return Ok(Status::todo("containerd runs with older files"));
        }
        Ok(match health::probe(&self.address) {
            Ok(()) => Status::Done,
            Err(seen) => Status::Todo(seen),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.will_make(config::ROOT)?;
        cx.will_make(config::STATE)?;
        cx.will_make(cni::STATE)?;
        cx.will_make(OPT)?;
        if cx.root.stat(UUID)?.is_some_and(|meta| meta.size == 0) {
            cx.root.remove(UUID)?;
        }
        let current = cx.journal.fact(FACT) == Some(self.version.as_str());
        // Running with these very files and not healthy yet may be a start that is under way: waiting comes first.
        if !(current && self.state(cx)? == State::Active) {
            let mut services = Services::new(self.manager, cx.root, cx.exec);
            services.reload()?;
            services.restart(&self.service)?;
        }
        let waited = wait_for(cx.clock, "containerd's CRI", LIMIT, || {
            Ok(match health::probe(&self.address) {
                Ok(()) => Probe::Ready(()),
                Err(seen) => Probe::NotYet(seen),
            })
        });
        if let Err(e) = waited {
            if e.kind() == Kind::Interrupted {
                return Err(e);
            }
            let said = Services::new(self.manager, cx.root, cx.exec).last_words(&self.service);
            return Err(Error::new(Kind::Runtime, format!("{e}; containerd's last words: {said}"))
                .hint("see what containerd says is wrong, mend it and run again"));
        }
        cx.journal.remember(FACT, &self.version)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        leftovers::end_pods(&self.address, cx);
        let mut services = Services::new(self.manager, cx.root, cx.exec);
        services.stop(&self.service)?;
        leftovers::remove_bridge(cx)?;
        let ours = [config::ROOT, config::STATE, cni::STATE, OPT];
        for dir in ours {
            leftovers::unmount_below(dir, cx)?;
        }
        cx.remove_made(|path| ours.iter().any(|dir| dir.as_str() == path))?;
        cx.journal.forget(FACT)
    }
}
