//! The way back of an upgrade: to the EdgeCore that worked, until another one has proven itself by a node that is Ready.

use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::error::{Error, Kind, Result};
use crate::kubeedge::{explain, healthy, service};
use crate::plan::Cx;
use crate::service::Manager;

use super::edgecore_data;
use super::edgecore_program::{self, EdgecoreProgram};

/// EdgeCore starts its kubelet's server after it has talked to the cloud and to containerd.
const LIMIT: Duration = Duration::from_secs(120);

/// What is to be done with an EdgeCore that was put in the place of another one.
#[derive(Debug, Clone)]
pub struct WayBack {
    manager: Manager,
    limit: Duration,
    package: Option<EdgecoreProgram>,
}

impl WayBack {
    /// EdgeCore runs under `manager`, and is healthy within `limit`, if that is less than it may take. `package`: where it
    /// is from, unless the bundle brings it as a component.
    pub fn new(manager: Manager, limit: Duration, package: Option<EdgecoreProgram>) -> Self {
        WayBack { manager, limit: limit.min(LIMIT), package }
    }

    /// The EdgeCore that runs has proven itself: nothing will go back any more.
    pub(super) fn close(&self, cx: &mut Cx<'_>) -> Result<()> {
        // Before the way back goes: as long as it is there, a cut has this done again.
        self.package.as_ref().map_or(Ok(()), |package| package.drop_older(cx))?;
        edgecore_program::forget_previous(cx)
    }

    /// An EdgeCore that does not come up is no better than none on a machine that nobody looks at: the one that worked
    /// goes on, and the error is told.
    pub(super) fn go(&self, e: Error, cx: &mut Cx<'_>) -> Error {
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

    /// For its health.
    pub(super) fn wait(&self, begun: u64, cx: &mut Cx<'_>) -> Result<()> {
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
