//! A real containerd of a chosen version, alone in its own mount, process and network namespaces.
//!
//! Root, state, socket, `/run` and `/var/lib` are private, there is no network but loopback, and when the daemon goes,
//! its shims, containers and mounts go with it: they live in a process namespace whose first process it is.

use std::ffi::{OsStr, OsString};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use edgelay::containerd::Client;
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::peers;

/// Longest wait for start or end; a loaded machine with two cores takes up to a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause image that every daemon is configured for.
pub(crate) const PAUSE: &str = "docker.io/kubeedge/pause:3.6";

/// A running (or stopped, or killed) containerd.
pub(crate) struct Daemon {
    dir: TempDir,
    peers: PathBuf,
    version: String,
    disk: Disk,
    running: Option<Running>,
}

/// What containerd's root directory lies on. Only the daemon sees it, and it goes with the daemon.
pub(crate) enum Disk {
    /// The test's own directory.
    Machine,
    /// A disk in memory of so many MiB.
    Memory(u32),
    /// The ext4 file system in this file.
    Image(PathBuf),
    /// The same; everything that reaches the disk is written to the second file, too.
    Recorded(PathBuf, PathBuf),
}

impl Disk {
    /// How `tests/powercut/disk` is called for it.
    fn words(&self) -> Vec<OsString> {
        match self {
            Disk::Machine => vec![],
            Disk::Memory(size) => vec!["memory".into(), size.to_string().into()],
            Disk::Image(image) => vec!["mount".into(), image.into()],
            Disk::Recorded(image, log) => vec!["record".into(), image.into(), log.into()],
        }
    }
}

struct Running {
    /// Ends the daemon when its standard input closes: also when the test process itself is killed.
    keeper: Child,
    pid: Pid,
}

/// Waits for end of file, then kills the daemon's whole process namespace.
const KEEPER: &str = r#"
exec >>"$2/log" 2>&1
unshare --mount --pid --net --fork --kill-child --mount-proc bash -c "$1" inside "$@" &
read -r _
kill -KILL $!
wait
"#;

/// Overlays keep what containerd, runc, its shims and CNI write to fixed places out of the machine's directories.
const INSIDE: &str = r#"
set -e
dir=$2 peers=$3 version=$4 disk=$5
shift 5
for place in run var/lib; do
    mkdir -p "$dir/over/$place" "$dir/work/$place"
    mount -t overlay -o "lowerdir=/$place,upperdir=$dir/over/$place,workdir=$dir/work/$place" overlay "/$place"
done
"$peers/common/bin/busybox" ip link set lo up
export PATH=$peers/$version/usr/bin:$peers/common/usr/sbin:$PATH
[ $# -gt 0 ] || exec containerd -c "$dir/config.toml"
verb=$1
shift
mkdir -p "$dir/root"
"$disk" "$verb" "$dir/root" "$@"
containerd -c "$dir/config.toml" &
wait $! || true
"$disk" umount "$dir/root" || umount -l "$dir/root"
touch "$dir/unmounted"
"#;

/// Mounts and unmounts disks.
const DISK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/powercut/disk");

impl Daemon {
    /// Starts containerd `version` ("1.6", "1.7", "2.1") and waits until it answers; `None` after a SKIP line.
    pub(crate) fn start(test: &str, version: &str) -> Option<Daemon> {
        Daemon::start_on(test, version, Disk::Machine)
    }

    /// [`Daemon::start`] with its root on `disk`.
    pub(crate) fn start_on(test: &str, version: &str, disk: Disk) -> Option<Daemon> {
        let peers = peers::peers_as_root(test)?;
        let dir = tempfile::Builder::new().prefix("edgelay-").tempdir().unwrap();
        let config = config(dir.path(), &peers);
        std::fs::create_dir_all(dir.path().join("cni")).unwrap();
        std::fs::write(dir.path().join("config.toml"), config).unwrap();
        let mut daemon = Daemon { dir, peers, version: version.to_owned(), disk, running: None };
        daemon.start_again();
        Some(daemon)
    }

    /// Starts it on the root and state of its last run.
    pub(crate) fn start_again(&mut self) {
        assert!(self.running.is_none(), "containerd {} is still running", self.version);
        let _ = std::fs::remove_file(self.socket()); // left by a killed daemon, or not there
        let keeper = Command::new("bash")
            .args(["-c", KEEPER, "keeper", INSIDE])
            .args([self.dir.path(), &self.peers])
            .args([&self.version, DISK])
            .args(self.disk.words())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let socket = self.socket();
        // Right after its start CRI may say that it is not initialized yet.
        let ready = wait_until(|| Client::connect(&socket).is_ok_and(|mut client| client.cri().version().is_ok()));
        assert!(ready, "containerd {} does not answer:\n{}", self.version, self.log());
        let stream = UnixStream::connect(&socket).unwrap();
        let pid = Pid::from_raw(getsockopt(&stream, PeerCredentials).unwrap().pid());
        self.running = Some(Running { keeper, pid });
    }

    /// SIGTERM, as a service manager stops it; waits for the end.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::SIGTERM);
    }

    /// SIGKILL: the daemon and, unlike on a host, everything it started.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut running) = self.running.take() else { return };
        // ESRCH: it died already.
        let _ = kill(running.pid, signal);
        let proc = PathBuf::from(format!("/proc/{}", running.pid));
        // Before the keeper hears of it: its `unshare` collects the dead daemon at once, the machine's init may not.
        wait_until(|| !proc.exists());
        if !matches!(self.disk, Disk::Machine) {
            let unmounted = self.dir.path().join("unmounted");
            wait_until(|| unmounted.exists());
            let _ = std::fs::remove_file(unmounted); // not there if the daemon never came up
        }
        drop(running.keeper.stdin.take());
        let _ = running.keeper.wait();
    }

    /// Path of the API socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("c.sock")
    }

    /// The socket as `--address` wants it.
    pub(crate) fn address(&self) -> String {
        self.socket().display().to_string()
    }

    /// containerd's root directory (content, snapshots, metadata).
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Directory for the test's own files, removed with the daemon.
    pub(crate) fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Where CRI looks for a network configuration; empty at first.
    pub(crate) fn cni_conf_dir(&self) -> PathBuf {
        self.dir.path().join("cni")
    }

    /// Where the programs lie.
    pub(crate) fn peers(&self) -> &Path {
        &self.peers
    }

    /// "1.6", "1.7" or "2.1".
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The daemon's process, as this process namespace numbers it.
    pub(crate) fn pid(&self) -> Pid {
        self.running.as_ref().unwrap().pid
    }

    /// A program that will see files and processes as the daemon does.
    pub(crate) fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.pid().to_string(), "--mount", "--pid", "--"]).arg(program);
        command
    }

    /// Where [`Daemon::root`] is seen from the test, whatever it lies on.
    pub(crate) fn seen_root(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.pid(), self.root().display()))
    }

    /// What the daemon wrote so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Bytes that the daemon has read and received since it started (proc(5), `rchar` of `/proc/PID/io`).
    pub(crate) fn bytes_read(&self) -> u64 {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid())).unwrap();
        io.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
    }

    /// Runs this version's `ctr` in namespace k8s.io.
    pub(crate) fn ctr(&self, args: &[&str]) -> Output {
        Command::new(self.peers.join(&self.version).join("usr/bin/ctr"))
            .args(["--address", &self.address(), "--namespace", "k8s.io", "--connect-timeout", "2s"])
            .args(args)
            .output()
            .unwrap()
    }

    /// [`Daemon::ctr`] that must succeed; its standard output.
    pub(crate) fn ctr_ok(&self, args: &[&str]) -> String {
        let out = self.ctr(args);
        let err = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "containerd {}: ctr {args:?}: {err}", self.version);
        String::from_utf8(out.stdout).unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end(Signal::SIGKILL);
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().filter(|line| !line.contains("level=info")).take(20).collect();
            println!("containerd {}, newest line first:\n{}", self.version, tail.join("\n"));
        }
    }
}

/// Asks every 10 ms; false when it never came true.
pub(crate) fn wait_until(mut met: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if met() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Version 2 is the one form that containerd 1.6 to 2.x all read. `restrict_oom_score_adj`: test machines may lack
/// CAP_SYS_RESOURCE. `Root`: runc's state is outside of containerd's state directory otherwise.
fn config(dir: &Path, peers: &Path) -> String {
    let (dir, peers) = (dir.display(), peers.display());
    format!(
        r#"version = 2
root = "{dir}/root"
state = "{dir}/state"
[grpc]
  address = "{dir}/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  disable_tcp_service = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{peers}/common/usr/lib/cni"
    conf_dir = "{dir}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = "{peers}/common/usr/sbin/runc"
      Root = "{dir}/runc"
"#
    )
}

#[test]
fn every_version_starts_stops_and_starts_again() {
    for version in peers::VERSIONS {
        let Some(mut daemon) = Daemon::start("daemon", version) else { return };
        assert!(daemon.ctr_ok(&["version"]).contains(version), "containerd {version}");
        daemon.stop();
        assert!(UnixStream::connect(daemon.socket()).is_err());
        daemon.start_again();
        let dir = daemon.scratch().to_owned();
        drop(daemon);
        assert!(!dir.exists(), "'{}' is left over", dir.display());
    }
}
