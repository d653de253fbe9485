//! A containerd of our own that only stores images: its config, for a store that lies anywhere.
//!
//! For imaging lines: the line's containerd fills the store of a system that will boot elsewhere; and for a k3s that has
//! not started yet. It must not touch anything of the machine it runs on, so all that has a fixed place outside of its
//! directories is left out.

use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::gather::Gather;

/// What it must not load: CRI and containers are not wanted, and with them go every socket and directory outside of
/// its own (`/opt/containerd`, `/var/run/nri`), and the identity that all copies of the image would share.
/// Names of several versions, one a line; one that a version does not know is no error.
const OFF: &str = "\
io.containerd.cri.v1.images
io.containerd.cri.v1.runtime
io.containerd.differ.v1.erofs
io.containerd.grpc.v1.containers
io.containerd.grpc.v1.cri
io.containerd.grpc.v1.introspection
io.containerd.grpc.v1.sandbox-controllers
io.containerd.grpc.v1.sandboxes
io.containerd.grpc.v1.streaming
io.containerd.grpc.v1.tasks
io.containerd.grpc.v1.transfer
io.containerd.image-verifier.v1.bindir
io.containerd.internal.v1.opt
io.containerd.internal.v1.restart
io.containerd.internal.v1.tracing
io.containerd.monitor.container.v1.restart
io.containerd.monitor.task.v1.cgroups
io.containerd.monitor.v1.cgroups
io.containerd.nri.v1.nri
io.containerd.podsandbox.controller.v1.podsandbox
io.containerd.runtime.v1.linux
io.containerd.runtime.v2.shim
io.containerd.runtime.v2.task
io.containerd.sandbox.controller.v1.local
io.containerd.sandbox.controller.v1.shim
io.containerd.sandbox.store.v1.local
io.containerd.service.v1.containers-service
io.containerd.service.v1.introspection-service
io.containerd.service.v1.tasks-service
io.containerd.shim.v1.manager
io.containerd.snapshotter.v1.aufs
io.containerd.snapshotter.v1.blockfile
io.containerd.snapshotter.v1.btrfs
io.containerd.snapshotter.v1.devmapper
io.containerd.snapshotter.v1.erofs
io.containerd.snapshotter.v1.fuse-overlayfs
io.containerd.snapshotter.v1.native
io.containerd.snapshotter.v1.stargz
io.containerd.snapshotter.v1.zfs
io.containerd.streaming.v1.manager
io.containerd.tracing.processor.v1.otlp";

/// Text of the config: images go into `store`, all else (sockets included) into `dir`.
pub fn render(dir: &Path, store: &Path) -> Result<String> {
    let (dir, store) = (dir.display().to_string(), store.display().to_string());
    for text in [&dir, &store] {
        // Colons and commas part the options of overlay mounts.
        if text.contains(['"', '\\', ':', ',', '\u{fffd}']) || text.contains(char::is_control) {
            return Err(Error::new(
                Kind::Host,
                format_args!("'{}' cannot stand in containerd's config", text.escape_debug()),
            )
            .hint("mount the target at a path without quotes, backslashes, colons and commas"));
        }
    }
    let off: Vec<String> = OFF.lines().map(|name| format!("\"{name}\"")).gather();
    Ok(format!(
        "version = 2\nroot = \"{store}\"\nstate = \"{dir}/state\"\ntemp = \"{dir}/tmp\"\ndisabled_plugins = [{}]\n\
         [grpc]\n  address = \"{dir}/{SOCKET_NAME}\"\n[ttrpc]\n  address = \"{dir}/ttrpc.sock\"\n",
        off.join(", ")
    ))
}

/// Name of its socket in its directory.
pub const SOCKET_NAME: &str = "c.sock";

/// Three numbers of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(u32, u32, u32);

impl Release {
    /// `1.7.24`, `v2.1.0`, `1.6.20~ds1`: what follows the numbers does not count.
    pub fn parse(text: &str) -> Option<Release> {
        let text = text.trim().trim_start_matches('v');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text.get(..end)?.split('.').map(|part| part.parse::<u32>().ok());
        Some(Release(numbers.next()??, numbers.next()??, numbers.next().unwrap_or(Some(0))?))
    }

    /// What `NAME --version` prints, for containerd and ctr: `NAME PACKAGE VERSION REVISION`.
    pub fn of_program(name: &str, output: &str) -> Option<Release> {
        let mut words = output.split_whitespace();
        (words.next() == Some(name)).then(|| Release::parse(words.nth(1)?))?
    }
}

impl std::fmt::Display for Release {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_lies_in_its_own_directory() {
        let text = render(Path::new("/run/edgelay/x"), Path::new("/mnt/t/var/lib/containerd")).unwrap();
        let lines: Vec<&str> = text.lines().filter(|line| line.contains('/')).collect();
        assert_eq!(
            lines,
            [
                r#"root = "/mnt/t/var/lib/containerd""#,
                r#"state = "/run/edgelay/x/state""#,
                r#"temp = "/run/edgelay/x/tmp""#,
                r#"  address = "/run/edgelay/x/c.sock""#,
                r#"  address = "/run/edgelay/x/ttrpc.sock""#,
            ]
        );
        for off in ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.nri.v1.nri"] {
            assert!(text.contains(&format!("\"{off}\"")), "{off}");
        }
        assert!(render(Path::new("/a"), Path::new("/b\"c")).is_err());
    }

    #[test]
    fn releases() {
        for (text, release) in [
            ("1.7.24", Some(Release(1, 7, 24))),
            ("v2.1.0-rc.1", Some(Release(2, 1, 0))),
            ("1.6.20~ds1", Some(Release(1, 6, 20))),
            ("2.1", Some(Release(2, 1, 0))),
            ("2.1.9+unknown", Some(Release(2, 1, 9))),
            ("2", None),
            ("", None),
            ("x.y", None),
            ("1.99999999999.0", None),
        ] {
            assert_eq!(Release::parse(text), release, "{text}");
        }
        for (output, release) in [
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1\n", Some(Release(1, 6, 20))),
            ("containerd containerd.io 1.7.24 88bf19b2105c8b17560993bee28a01ddc2f97182\n", Some(Release(1, 7, 24))),
            ("containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4\n", Some(Release(2, 1, 4))),
            ("edgelay 1.2.3 4.5.6", None),
            ("containerd", None),
        ] {
            assert_eq!(Release::of_program("containerd", output), release, "{output}");
        }
        let k3s = "ctr github.com/k3s-io/containerd/v2 v2.1.5-k3s1\n";
        assert_eq!(Release::of_program("ctr", k3s), Some(Release(2, 1, 5)));
        assert!(
            Release::parse("1.7.24") < Release::parse("2.0.0") && Release::parse("1.7.9") < Release::parse("1.7.24")
        );
    }
}
