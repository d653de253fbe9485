//! containerd's config file and service, as an edge node needs them.
//!
//! Version 2 of the format: read as it is by 1.6 and 1.7, and migrated in memory by every 2.x. A version 3 file would
//! be taken and silently ignored by 1.6.

use std::path::Path;

use crate::board::Class;
use crate::error::{Error, Kind, Result};
use crate::ids::RelPath;
use crate::service::Service;

/// The config file.
pub const PATH: RelPath<'static> = RelPath::literal("etc/containerd/config.toml");
/// containerd's persistent data, content store, snapshots and metadata, where nothing else is said.
pub const ROOT: RelPath<'static> = RelPath::literal("var/lib/containerd");
/// For a step's summary: where its data lies if that is not the usual place.
pub fn elsewhere(root: &str) -> String {
    if root == ROOT.as_str() { String::new() } else { format!(" (in /{root})") }
}

/// containerd's volatile data.
pub const STATE: RelPath<'static> = RelPath::literal("run/containerd");

/// Made by containerd for programs that its plugins may install.
pub const OPT: RelPath<'static> = RelPath::literal("opt/containerd");

/// Where containerd, like `ip netns`, keeps network namespaces: those of pods.
pub const NETNS: RelPath<'static> = RelPath::literal("var/run/netns");

/// Where containerd 2.x listens for its runtime plugins.
pub const NRI: RelPath<'static> = RelPath::literal("var/run/nri");

/// What differs between hosts.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Full name of the pause image. containerd 2.x pins it only if it is written exactly as it is stored.
    pub sandbox_image: &'a str,
    /// The socket, an absolute path.
    pub address: &'a Path,
    /// Where images and snapshots lie.
    pub root: RelPath<'a>,
    /// Absolute path of runc: services started without `/usr/local/sbin` on their PATH would not find it.
    pub runc: &'a str,
    /// The host may not lower OOM scores (no CAP_SYS_RESOURCE): without this setting no sandbox starts there.
    pub restrict_oom_score_adj: bool,
    /// How much memory there is.
    pub memory: Class,
}

/// The text of the config file.
pub fn render(settings: &Settings<'_>) -> Result<String> {
    let address = settings.address.display().to_string();
    for text in [settings.sandbox_image, &address, settings.runc] {
        // TOML basic strings: what would need an escape is no sensible path or image name anyway.
        if text.contains(['"', '\\']) || text.contains(char::is_control) {
            return Err(Error::new(Kind::Config, format_args!("'{text}' cannot stand in containerd's config"))
                .hint("use a path without quotes and backslashes"));
        }
    }
    // By default CRI asks every container for its use each 10 s, and keeps the answers.
    let memory = match settings.memory {
        Class::Tiny | Class::Small => "    stats_collect_period = 60\n",
        Class::Medium | Class::Large => "",
    };
    let oom = if settings.restrict_oom_score_adj { "    restrict_oom_score_adj = true\n" } else { "" };
    Ok(format!(
        r#"# Written by edgelay; changes are overwritten by the next install.
version = 2
root = "/{root}"
state = "/{state}"

[grpc]
  address = "{address}"

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "{sandbox}"
{oom}{memory}    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "{bin_dir}"
      conf_dir = "{conf_dir}"
    [plugins."io.containerd.grpc.v1.cri".containerd]
      default_runtime_name = "runc"
      snapshotter = "overlayfs"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
          BinaryName = "{runc}"
          SystemdCgroup = false
"#,
        root = settings.root.as_str(),
        state = STATE.as_str(),
        sandbox = settings.sandbox_image,
        bin_dir = crate::cni::BIN_DIR,
        conf_dir = crate::cni::CONF_DIR,
        runc = settings.runc,
    ))
}

/// containerd as a service. `program` is its absolute path.
pub fn service(program: &str) -> Service {
    Service {
        name: "containerd",
        description: "containerd container runtime",
        command: vec![program.to_owned(), "--config".to_owned(), PATH.to_string()],
        after: &["network.target", "local-fs.target"],
        wants: &[],
        // As containerd's own unit: containers outlive the daemon, and get their cgroups to themselves.
        settings: &[
            "Type=notify",
            "Delegate=yes",
            "KillMode=process",
            "Restart=always",
            "RestartSec=5",
            "LimitNPROC=infinity",
            "LimitCORE=infinity",
            "LimitNOFILE=1048576",
            "TasksMax=infinity",
            "OOMScoreAdjust=-999",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_text() {
        let settings = Settings {
            sandbox_image: "docker.io/kubeedge/pause:3.6",
            address: Path::new("/run/containerd/containerd.sock"),
            root: ROOT,
            runc: "/usr/local/sbin/runc",
            restrict_oom_score_adj: true,
            memory: Class::Large,
        };
        let expected = r#"# Written by edgelay; changes are overwritten by the next install.
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    sandbox_image = "docker.io/kubeedge/pause:3.6"
    restrict_oom_score_adj = true
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/opt/cni/bin"
      conf_dir = "/etc/cni/net.d"
    [plugins."io.containerd.grpc.v1.cri".containerd]
      default_runtime_name = "runc"
      snapshotter = "overlayfs"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
        runtime_type = "io.containerd.runc.v2"
        [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
          BinaryName = "/usr/local/sbin/runc"
          SystemdCgroup = false
"#;
        assert_eq!(render(&settings).unwrap(), expected);
        let elsewhere = render(&Settings { root: RelPath::literal("data/containerd"), ..settings }).unwrap();
        assert_eq!(elsewhere, expected.replace("/var/lib/containerd", "/data/containerd"));
        let plain = render(&Settings { restrict_oom_score_adj: false, ..settings }).unwrap();
        assert_eq!(plain, expected.replace("    restrict_oom_score_adj = true\n", ""));
        let small = render(&Settings { memory: Class::Small, ..settings }).unwrap();
        let both = "    restrict_oom_score_adj = true\n    stats_collect_period = 60\n";
        assert_eq!(small, expected.replace("    restrict_oom_score_adj = true\n", both));
        assert!(render(&Settings { runc: "/a\"b", ..settings }).is_err());
    }
}
