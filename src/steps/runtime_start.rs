//! Starts containerd, or starts it again after its files changed, and waits until CRI answers.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::cni;
use crate::containerd::{config, health, health::Unfit};
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, Service, State};

use super::leftovers;

/// A board's first start reads 40 MB of program from an SD card and makes its database.
const LIMIT: Duration = Duration::from_secs(90);
/// So many starts that did not last are no accident any more.
pub(super) const HOPELESS: u32 = 3;
/// What containerd was last started with.
const FACT: &str = "containerd-runs-with";
/// A power cut can leave this file empty, and containerd then refuses some calls for ever.
const UUID: &str = "io.containerd.grpc.v1.introspection/uuid";

/// Directories that containerd and the plugins it calls have to themselves, besides its root.
const MADE: [RelPath<'static>; 4] = [config::STATE, config::OPT, config::NRI, cni::STATE];

/// The step.
#[derive(Debug)]
pub struct RuntimeStart {
    manager: Manager,
    service: Service,
    address: PathBuf,
    version: String,
    root: String,
}

impl RuntimeStart {
    /// `version` changes whenever containerd must be started again: with its files and its program; `root` is where its
    /// data lies.
    pub fn new(manager: Manager, service: Service, address: PathBuf, version: String, root: RelPath<'_>) -> Self {
        RuntimeStart { manager, service, address, version, root: root.as_str().to_owned() }
    }

    /// Directories that containerd and the plugins it calls have to themselves.
    fn made(&self) -> impl Iterator<Item = RelPath<'_>> {
        std::iter::once(RelPath::parse(&self.root).unwrap_or(config::ROOT)).chain(MADE)
    }

    fn state(&self, cx: &mut Cx<'_>) -> Result<State> {
        cx.services(self.manager).state(&self.service)
    }

    /// Whether waiting is in vain: it was started again and again.
    fn is_hopeless(&self, cx: &mut Cx<'_>) -> Result<bool> {
        Ok(matches!(self.state(cx)?, State::Failing(times) if times >= HOPELESS))
    }
}

impl Step for RuntimeStart {
    fn id(&self) -> &'static str {
        "runtime-start"
    }

    fn summary(&self) -> String {
        format!("start containerd{} and wait for CRI", config::elsewhere(&self.root))
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if self.state(cx)? != State::Active {
            return Ok(Status::todo("containerd is not running"));
        }
        if cx.journal.fact(FACT) != Some(self.version.as_str()) {
            return Ok(Status::todo("containerd runs with older files"));
        }
        Ok(match health::probe(&self.address) {
            Ok(()) => Status::Done,
            Err(unfit) => Status::Todo(unfit.seen()),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        for dir in self.made() {
            cx.will_make(dir)?;
        }
        cx.may_make(config::NETNS)?;
        let uuid = format!("{}/{UUID}", self.root);
        if let Ok(uuid) = RelPath::parse(&uuid)
            && cx.root.stat(uuid)?.is_some_and(|meta| meta.size == 0)
        {
            cx.root.remove(uuid)?;
        }
        let current = cx.journal.fact(FACT) == Some(self.version.as_str());
        // Running with these very files and not healthy yet may be a start that is under way: waiting comes first.
        let hopeless = matches!(health::probe(&self.address), Err(Unfit::ForGood(_)));
        if hopeless || !current || self.state(cx)? != State::Active {
            let mut services = cx.services(self.manager);
            services.reload()?;
            services.restart(&self.service)?;
        }
        let clock = cx.clock;
        let waited = wait_for(clock, "containerd's CRI", LIMIT, || {
            Ok(match health::probe(&self.address) {
                Ok(()) => Probe::Ready,
                Err(Unfit::ForGood(seen)) => return Err(Error::new(Kind::Runtime, seen)),
                Err(Unfit::Yet(seen)) if self.is_hopeless(cx)? => {
                    return Err(Error::new(
                        Kind::Runtime,
                        format_args!("containerd ends whenever it is started: {seen}"),
                    ));
                }
                Err(Unfit::Yet(seen)) => Probe::NotYet(seen),
            })
        });
        if let Err(e) = waited {
            if e.kind() == Kind::Interrupted {
                return Err(e);
            }
            let said = cx.services(self.manager).last_words(&self.service);
            return Err(Error::new(Kind::Runtime, format_args!("{e}; containerd's last words: {said}"))
                .hint("see what containerd says is wrong, mend it and run again"));
        }
        cx.journal.remember(FACT, &self.version)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        leftovers::end_pods(&self.address, cx);
        let mut services = cx.services(self.manager);
        services.stop(&self.service)?;
        services.forget(&self.service)?;
        leftovers::remove_link(cni::BRIDGE, cx)?;
        for dir in self.made() {
            leftovers::unmount_below(dir, cx)?;
        }
        cx.remove_emptied(config::NETNS)?;
        cx.remove_made(|path| self.made().any(|dir| dir.as_str() == path))?;
        cx.journal.forget(FACT)
    }
}
