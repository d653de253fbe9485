//! EdgeCore's switches, also when the configuration changed after the join.
//!
//! Written into edgecore.yaml by ourselves: keadm can only set, not take away, and is not on every node.

use crate::board::Class;
use crate::config::EdgeConfig;
use crate::error::{Error, Kind, Result};
use crate::gather::{Gather, Grow};
use crate::kubeedge::{EDGECORE_YAML, MAX_YAML, Setting, memory_settings, service, set, switches};
use crate::plan::{Cx, Status, Step};
use crate::service::Manager;

/// The step.
#[derive(Debug)]
pub struct Settings {
    manager: Manager,
    wanted: Vec<Setting>,
}

impl Settings {
    /// The switches of `config`, and what follows from a memory of this `class`; EdgeCore is started again under
    /// `manager` when one changed.
    pub fn new(manager: Manager, config: &EdgeConfig, class: Class) -> Self {
        let mut wanted = switches(config);
        wanted.add_all(memory_settings(class));
        Settings { manager, wanted }
    }

    fn yaml(cx: &Cx<'_>) -> Result<String> {
        cx.root.text_or_empty(EDGECORE_YAML, MAX_YAML)
    }
}

impl Step for Settings {
    fn id(&self) -> &'static str {
        "settings"
    }

    fn summary(&self) -> String {
        "EdgeCore's switches".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let yaml = Self::yaml(cx)?;
        let differ: Vec<String> = self.wanted.iter().filter_map(|setting| setting.difference(&yaml)).gather();
        Ok(if differ.is_empty() { Status::Done } else { Status::Todo(differ.join("; ")) })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let before = Self::yaml(cx)?;
        if before.is_empty() {
            return Err(Error::new(Kind::Cluster, format_args!("'{EDGECORE_YAML}' is missing or empty"))
                .hint("run 'edgelay edge uninstall' and join anew"));
        }
        // EdgeCore writes the file as well, at its first start: it must not do so behind our back.
        cx.services(self.manager).stop(&service())?;
        let differ = self.wanted.iter().filter(|setting| setting.difference(&before).is_some());
        let after = differ.fold(Self::yaml(cx)?, |yaml, setting| set(&yaml, setting.path, &setting.to));
        cx.root.write(EDGECORE_YAML, 0o600, after.as_bytes())?;
        cx.services(self.manager).restart(&service())
    }

    fn undo(&self, _cx: &mut Cx<'_>) -> Result<()> {
        Ok(())
    }
}
