//! Running processes, as `/proc` shows them.

use super::{SMALL, TABLE};
use crate::error::Result;
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::root::Root;

/// A running process. Names and arguments are what the process chose to show: not to be trusted, only to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its short name, at most 15 bytes.
    pub name: String,
    /// Absolute path of its program; where that cannot be read, its first argument.
    pub program: String,
    /// Command line, program included.
    pub args: Vec<String>,
    /// Whether it lives in another PID namespace than ours: in a container.
    pub contained: bool,
    /// Whether it belongs to a pod of this node's agent.
    pub in_pod: bool,
}

impl Process {
    /// The value of the first of these options: `--config X`, `--config=X`.
    pub fn option(&self, names: &[&str]) -> Option<&str> {
        let mut args = self.args.iter().skip(1);
        while let Some(arg) = args.next() {
            for name in names {
                match arg.strip_prefix(name) {
                    Some("") => return args.next().map(String::as_str),
                    Some(rest) if rest.starts_with('=') => return rest.get(1..),
                    _ => {}
                }
            }
        }
        None
    }
}

/// The kernel's limit for process ids (proc_sys_kernel(5), pid_max).
const MAX_PIDS: usize = 1 << 22;

/// Programs that have a kubelet in them: distributions of Kubernetes, whose kubelet has no process of its own.
pub const WITH_KUBELET: [&str; 6] = ["k0s", "k3s", "k3s-agent", "k3s-server", "kubelite", "rke2"];

/// Every process with one of these names, in the order of their ids. Kernel threads and zombies do not count.
pub fn named(root: &Root, names: &[&str]) -> Result<Vec<Process>> {
    let mut found = Vec::new();
    let own_space = link(root, "self", "ns/pid");
    for pid in pids(root)? {
        if let Some(process) = load(root, pid, own_space.as_deref(), &|name| names.contains(&name)) {
            found.push(process);
        }
    }
    found.sort_unstable_by_key(|process| process.pid);
    Ok(found)
}

/// Every process that `wanted` picks, but this one.
pub fn picked(root: &Root, wanted: impl Fn(&Process) -> bool) -> Result<Vec<Process>> {
    let (own_space, own) = (link(root, "self", "ns/pid"), std::process::id());
    let all = pids(root)?.into_iter().filter(|pid| *pid != own);
    Ok(all.filter_map(|pid| load(root, pid, own_space.as_deref(), &|_| true)).filter(wanted).gather())
}

/// The process that holds a socket, by the socket's inode number.
pub fn holding_socket(root: &Root, inode: u64) -> Result<Option<Process>> {
    let wanted = format!("socket:[{inode}]");
    let own_space = link(root, "self", "ns/pid");
    for pid in pids(root)? {
        let fds = list(root, pid);
        if fds.iter().any(|fd| link(root, &pid.to_string(), &format!("fd/{fd}")).as_deref() == Some(&wanted)) {
            return Ok(load(root, pid, own_space.as_deref(), &|_| true));
        }
    }
    Ok(None)
}

/// When a process was started, in seconds since 1970 by the clock as it is set now; at most two too early, never too late, and
/// the same each time it is asked, as an age in seconds beside a time in seconds is not. `None` if that cannot be told.
pub fn started(root: &Root, pid: u32) -> Option<u64> {
    // Behind the name, which may hold anything: hundredths of a second after the machine's start, the 22nd field (proc(5)).
    let stat = read(root, pid, "stat")?;
    let after: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let machine = root.read_text(RelPath::literal("proc/stat"), TABLE).ok()??;
    let boot: u64 = machine.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    boot.checked_add(after / 100)
}

/// The network namespace of a process, as the kernel names it; `pid` may be `self`.
pub fn network(root: &Root, pid: &str) -> Option<String> {
    link(root, pid, "ns/net")
}

fn pids(root: &Root) -> Result<Vec<u32>> {
    let names = root.list_or_empty(RelPath::literal("proc"))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).take(MAX_PIDS).gather())
}

/// `None`: of another name, gone meanwhile, a zombie or a kernel thread.
fn load(root: &Root, pid: u32, own_space: Option<&str>, want: &dyn Fn(&str) -> bool) -> Option<Process> {
    let name = read(root, pid, "comm")?.trim_end().to_owned();
    if !want(&name) {
        return None;
    }
    let line = read(root, pid, "cmdline")?;
    let args: Vec<String> = line.trim_end_matches('\0').split('\0').map(str::to_owned).gather();
    let first = args.first().filter(|arg| !arg.is_empty())?;
    let exe = link(root, &pid.to_string(), "exe");
    // So the kernel marks a program whose file was replaced since.
    let exe = exe.map(|path| path.strip_suffix(" (deleted)").map_or_else(|| path.clone(), str::to_owned));
    let program = exe.unwrap_or_else(|| first.clone());
    let space = link(root, &pid.to_string(), "ns/pid");
    let contained = space.is_some() && own_space.is_some() && space.as_deref() != own_space;
    let in_pod = read(root, pid, "cgroup").is_some_and(|text| text.contains("/kubepods"));
    Some(Process { pid, name, program, args, contained, in_pod })
}

/// A process may end while we look at it: whatever cannot be read is not there.
fn read(root: &Root, pid: u32, file: &str) -> Option<String> {
    let path = format!("proc/{pid}/{file}");
    root.read_text(RelPath::parse(&path).ok()?, SMALL).ok()?
}

fn link(root: &Root, pid: &str, file: &str) -> Option<String> {
    let path = format!("proc/{pid}/{file}");
    root.read_link(RelPath::parse(&path).ok()?).ok()?
}

fn list(root: &Root, pid: u32) -> Vec<String> {
    let path = format!("proc/{pid}/fd");
    RelPath::parse(&path).ok().and_then(|path| root.list(path).ok()?).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn found_by_name_with_program_and_options() {
        let tree = Tree::new()
            .process(
                20,
                "/usr/bin/containerd",
                &["/usr/bin/containerd", "--config", "/x.toml", "--address=/run/a.sock"],
            )
            .process(3, "/usr/bin/kubelet", &["kubelet"])
            .link("proc/3/ns/pid", "pid:[99]")
            .link("proc/3/exe", "/usr/bin/kubelet (deleted)")
            .file("proc/3/cgroup", "0::/kubepods.slice/x\n")
            .process(4, "/usr/bin/bash", &["bash"])
            .file("proc/9/comm", "kubelet\n")
            .file("proc/9/cmdline", "")
            .file("proc/stat", "1")
            .link("proc/self", "4");
        let found = named(&tree.root(), &["containerd", "kubelet"]).unwrap();
        let [kubelet, containerd] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(
            *kubelet,
            Process {
                pid: 3,
                name: "kubelet".into(),
                program: "/usr/bin/kubelet".into(),
                args: vec!["kubelet".into()],
                contained: true,
                in_pod: true,
            }
        );
        assert_eq!(containerd.option(&["-c", "--config"]), Some("/x.toml"));
        assert_eq!(containerd.option(&["-a", "--address"]), Some("/run/a.sock"));
        assert_eq!(containerd.option(&["--root", "--conf"]), None);
        assert!(!containerd.contained && !containerd.in_pod);
    }

    #[test]
    fn its_start_where_it_can_be_told() {
        let start = |ticks: &str| format!("7 (a) 1 b) S 1 7 7 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 9 0 {ticks} 1 1\n");
        let tree = |stat: &str, boot: &str| Tree::new().file("proc/7/stat", stat).file("proc/stat", boot);
        let boot = "cpu  1 2 3\nintr 9 8\nctxt 5\nbtime 1796029200\nprocesses 1\n";
        assert_eq!(started(&tree(&start("498799"), boot).root(), 7), Some(1_796_034_187));
        for untold in [start("x"), "7 (a".to_owned()] {
            assert_eq!(started(&tree(&untold, boot).root(), 7), None, "{untold}");
        }
        for boot in ["cpu  1 2 3\n", "btime -1\n", "btime 18446744073709551615\n", ""] {
            assert_eq!(started(&tree(&start("100"), boot).root(), 7), None, "{boot}");
        }
        assert_eq!(started(&tree(&start("1"), boot).root(), 8), None);
    }

    /// This very process, by a clock that somebody may look at beside it.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "what is told is held against the wall clock")]
    fn a_start_is_never_told_too_late() {
        let host = Root::open(std::path::Path::new("/")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("9").spawn().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let told = started(&host, child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(told.is_some_and(|told| told <= now && told + 3 >= now), "{told:?} {now}");
    }

    #[test]
    fn the_holder_of_a_socket() {
        let tree = Tree::new()
            .process(7, "/usr/sbin/mosquitto", &["mosquitto", "-d"])
            .link("proc/7/fd/0", "/dev/null")
            .link("proc/7/fd/5", "socket:[4711]");
        assert_eq!(holding_socket(&tree.root(), 4711).unwrap().unwrap().name, "mosquitto");
        assert_eq!(holding_socket(&tree.root(), 4712).unwrap(), None);
    }

    #[test]
    fn every_other_process_may_be_picked() {
        let own = std::process::id();
        let tree = Tree::new()
            .process(own, "/usr/bin/edgelay", &["edgelay", "wait"])
            .process(u32::MAX, "/usr/bin/pod", &["pod", "wait"])
            .process(u32::MAX - 1, "/usr/bin/pod", &["pod"])
            .without(&format!("proc/{}/ns/pid", u32::MAX))
            .link("proc/self/ns/pid", "pid:[1]");
        let picked = picked(&tree.root(), |process| process.args.len() == 2).unwrap();
        let [pod] = picked.as_slice() else { panic!("{picked:?}") };
        // Of a process whose namespace is not told nobody says that it is in a container.
        assert_eq!((pod.pid, pod.contained), (u32::MAX, false));
    }
}
