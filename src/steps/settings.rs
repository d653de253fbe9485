//! EdgeCore's switches, also when the configuration changed after the join.

use super::join::bridge_sudo;
use crate::board::Class;
use crate::config::EdgeConfig;
use crate::error::{Error, Kind, Result};
use crate::kubeedge::{EDGECORE_YAML, MAX_YAML, Setting, lookup, memory_settings, switches, update_command};
use crate::plan::{Cx, Status, Step};

/// The step.
#[derive(Debug)]
pub struct Settings {
    wanted: Vec<Setting>,
}

impl Settings {
    /// The switches of `config`, and what follows from a memory of this `class`.
    pub fn new(config: &EdgeConfig, class: Class) -> Self {
        let mut wanted = switches(config);
        wanted.extend(memory_settings(class));
        Settings { wanted }
    }

    /// What differs, with what was found.
    fn different(&self, cx: &Cx<'_>) -> Result<Vec<(Setting, String)>> {
        let yaml = cx.root.read_text(EDGECORE_YAML, MAX_YAML)?.unwrap_or_default();
        let found = self.wanted.iter().map(|s| (s.clone(), lookup(&yaml, &s.path).unwrap_or_default()));
        Ok(found.filter(|(setting, found)| setting.want != *found).collect())
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
        let different = self.different(cx)?;
        let texts: Vec<String> =
            different.iter().map(|(s, found)| format!("{} is '{found}', wanted '{}'", s.path, s.want)).collect();
        Ok(if texts.is_empty() { Status::Done } else { Status::Todo(texts.join("; ")) })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let different: Vec<Setting> = self.different(cx)?.into_iter().map(|(setting, _)| setting).collect();
        let mut cmd = update_command(&different);
        cmd.path_first.extend(bridge_sudo(cx)?);
        let output = cx.exec.run(&cmd)?;
        if output.code == 0 {
            return Ok(());
        }
        Err(Error::new(Kind::Cluster, format!("keadm config-update: {}", output.last_words()))
            .hint("look at 'journalctl -u edgecore'; then run again"))
    }

    fn undo(&self, _cx: &mut Cx<'_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;
    use crate::plan::tests::with_cx;

    const YAML: &str = "modules:
  edgeStream:
    enable: true
  edged:
    tailoredKubeletConfig:
      clusterDNS:
      - 169.254.96.16
      clusterDomain: cluster.local
      imageGCHighThresholdPercent: 100
  eventBus:
    enable: false
  metaManager:
    metaServer:
      enable: false
";

    #[test]
    fn only_what_differs_is_updated() {
        with_cx(|cx| {
            cx.root.write(EDGECORE_YAML, 0o600, YAML.as_bytes()).unwrap();
            let step = Settings::new(&EdgeConfig::default(), Class::Large);
            let why = "modules.metaManager.metaServer.enable is 'false', wanted 'true'";
            assert_eq!(step.check(cx).unwrap(), Status::todo(why));
            let line = "keadm config-update --set=modules.metaManager.metaServer.enable=true";
            let mut script = Script::default().expect(line, 0, "");
            script.programs.push("sudo".into());
            let mut cx = Cx {
                exec: &mut script,
                root: cx.root,
                clock: cx.clock,
                report: cx.report,
                journal: cx.journal,
                blobs: None,
            };
            step.apply(&mut cx).unwrap();
            cx.root
                .write(EDGECORE_YAML, 0o600, YAML.replace("      enable: false", "      enable: true").as_bytes())
                .unwrap();
            assert_eq!(step.check(&mut cx).unwrap(), Status::Done);
        });
    }

    #[test]
    fn a_small_board_keeps_less_free_and_less_log() {
        with_cx(|cx| {
            let step = Settings::new(&EdgeConfig::default(), Class::Small);
            let map = "      evictionHard:\n        imagefs.available: 15%\n        imagefs.inodesFree: 5%\n        \
                       memory.available: 48Mi\n        nodefs.available: 10%\n        nodefs.inodesFree: 5%\n";
            let yaml = YAML
                .replace("      enable: false", "      enable: true")
                .replace("      imageGC", &format!("      containerLogMaxSize: 2Mi\n{map}      imageGC"));
            cx.root.write(EDGECORE_YAML, 0o600, yaml.as_bytes()).unwrap();
            assert_eq!(step.check(cx).unwrap(), Status::Done);
            cx.root.write(EDGECORE_YAML, 0o600, yaml.replace("48Mi", "100Mi").as_bytes()).unwrap();
            let line = "keadm config-update '--set=modules.edged.tailoredKubeletConfig.evictionHard={\
                        imagefs.available:15%,imagefs.inodesFree:5%,memory.available:48Mi,\
                        nodefs.available:10%,nodefs.inodesFree:5%}'";
            let mut script = Script::default().expect(line, 0, "");
            script.programs.push("sudo".into());
            let mut cx = Cx {
                exec: &mut script,
                root: cx.root,
                clock: cx.clock,
                report: cx.report,
                journal: cx.journal,
                blobs: None,
            };
            step.apply(&mut cx).unwrap();
        });
    }
}
