//! Starts k3s, or starts it again after its files changed, and waits until its containerd can take images.

use std::path::Path;
use std::time::Duration;

use super::{Data, firewall};
use crate::clock::{Probe, wait_for};
use crate::containerd::config::NRI;
use crate::containerd::health::{self, Unfit};
use crate::error::{Error, Kind, Result};
use crate::exec::Cmd;
use crate::host::process;
use crate::ids::RelPath;
use crate::k3s::{DATA, ETC, SOCKET};
use crate::kubeedge::PLUGINS;
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, Service, State};
use crate::steps::leftovers;
use crate::steps::runtime_start::HOPELESS;

/// What k3s was last started with.
const FACT: &str = "k3s-runs-with";
/// So often in a row it may be seen not running before it is given up: once is a restart that is under way.
const DEAD: u32 = 3;

/// Directories that k3s and what it starts have to themselves.
const MADE: [RelPath<'static>; 11] = [
    NRI,
    PLUGINS,
    DATA,
    ETC,
    RelPath::literal("run/k3s"),
    RelPath::literal("run/flannel"),
    RelPath::literal("var/lib/kubelet"),
    RelPath::literal("var/lib/cni"),
    RelPath::literal("var/lib/kubeedge"),
    RelPath::literal("var/log/pods"),
    RelPath::literal("var/log/containers"),
];

/// The step.
#[derive(Debug)]
pub struct K3sStart {
    manager: Manager,
    service: Service,
    version: String,
    limit: Duration,
    data: Data,
}

impl K3sStart {
    /// `version` changes whenever k3s must be started again: with its files and its program.
    pub fn new(manager: Manager, service: Service, version: String, limit: Duration) -> Self {
        K3sStart { manager, service, version, limit, data: Data::Keep }
    }

    /// The same, for an uninstall that does this with k3s's data.
    #[must_use]
    pub fn with_data(self, data: Data) -> Self {
        K3sStart { data, ..self }
    }

    fn state(&self, cx: &mut Cx<'_>) -> Result<State> {
        cx.services(self.manager).state(&self.service)
    }

    fn last_words(&self, cx: &mut Cx<'_>) -> String {
        cx.services(self.manager).last_words(&self.service)
    }

    /// `before`: what it had said before it was started.
    fn wait(&self, before: &str, cx: &mut Cx<'_>) -> Result<()> {
        let (mut dead, mut unknown) = (0, None);
        let clock = cx.clock;
        wait_for(clock, "k3s's containerd", self.limit, || {
            Ok(match health::answers(Path::new(SOCKET)) {
                Ok(_) => Probe::Ready(()),
                Err(Unfit::ForGood(seen)) => return Err(Error::new(Kind::Runtime, seen)),
                Err(Unfit::Yet(seen)) => {
                    let state = self.state(cx)?;
                    dead = if state == State::Active { 0 } else { dead + 1 };
                    if dead >= DEAD || matches!(state, State::Failing(times) if times >= HOPELESS) {
                        return Err(Error::new(Kind::Runtime, format!("{} ended", self.service.name)));
                    }
                    let said = self.last_words(cx);
                    match refused(&said).filter(|_| said != before) {
                        Some(line)
                            if line.contains(UNKNOWN)
                                && clock.elapsed().saturating_sub(*unknown.get_or_insert(clock.elapsed())) < STARTS =>
                        {
                            Probe::NotYet(cx.report.mask(line))
                        }
                        Some(line) => {
                            let hint = if line.contains(PASSWORD) { OTHER_NAME } else { OTHER_TOKEN };
                            let line = cx.report.mask(line);
                            return Err(
                                Error::new(Kind::Cluster, format!("the server refuses this node: {line}")).hint(hint)
                            );
                        }
                        None => Probe::NotYet(seen),
                    }
                }
            })
        })
    }
}

/// Every node has a password of its own, which the server remembers with the node's name.
const PASSWORD: &str = "Node password rejected";
const OTHER_NAME: &str = "give a name that no other node has: --node-name NAME; or, if this is that very node made anew, run \
    'k3s kubectl delete node NAME' on the server; then run again";
const OTHER_TOKEN: &str = "give the token that lies on the server in '/var/lib/rancher/k3s/server/node-token'";

/// What a server says to a token that it does not know: one that ended, or, as long as the server itself is starting, any
/// that was made with `k3s token create`.
const UNKNOWN: &str = "configuration from server: forbidden";
/// So long a server may take to start.
const STARTS: Duration = Duration::from_secs(60);

/// The line in which an agent says that the server does not want it; it tries again for ever. Lines of an earlier start
/// do not count.
fn refused(log: &str) -> Option<&str> {
    const BREAKS: [&str; 4] = ["Starting k3s", "Started k3s", "Stopped k3s", "Stopping k3s"];
    const WORDS: [&str; 7] = [
        "token CA hash does not match",
        "401 Unauthorized",
        "not authorized",
        "token is not valid",
        "invalid token",
        UNKNOWN,
        PASSWORD,
    ];
    // A server tells, too, whom it refused itself.
    const OTHERS: &str = " response to ";
    let lines = log.lines().rev().take_while(|line| !BREAKS.iter().any(|words| line.contains(words)));
    lines.into_iter().find(|line| !line.contains(OTHERS) && WORDS.iter().any(|words| line.contains(words)))
}

impl Step for K3sStart {
    fn id(&self) -> &'static str {
        "k3s-start"
    }

    fn summary(&self) -> String {
        "start k3s and wait for its containerd".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if self.state(cx)? != State::Active {
            return Ok(Status::todo(format!("{} is not running", self.service.name)));
        }
        if cx.journal.fact(FACT) != Some(self.version.as_str()) {
            return Ok(Status::todo("k3s runs with older files"));
        }
        Ok(match health::answers(Path::new(SOCKET)) {
            Ok(_) => Status::Done,
            Err(unfit) => Status::Todo(unfit.seen()),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        for dir in MADE {
            cx.will_make(dir)?;
        }
        let current = cx.journal.fact(FACT) == Some(self.version.as_str());
        let before = self.last_words(cx);
        // Running with these very files and silent may be a start that is under way: waiting comes first.
        if !current || self.state(cx)? != State::Active {
            let mut services = cx.services(self.manager);
            services.reload()?;
            services.restart(&self.service)?;
        }
        match self.wait(&before, cx) {
            Ok(()) => cx.journal.remember(FACT, &self.version),
            Err(e) if matches!(e.kind(), Kind::Interrupted | Kind::Cluster) => Err(e),
            Err(e) => {
                let said = cx.report.mask(&self.last_words(cx));
                Err(Error::new(e.kind(), format!("{e}; last words of {}: {said}", self.service.name))
                    .hint("see what k3s says is wrong, mend it and run again"))
            }
        }
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        let mut services = cx.services(self.manager);
        services.stop(&self.service)?;
        services.forget(&self.service)?;
        if cx.root.is_live() {
            end_pods(cx)?;
        }
        for dir in MADE {
            leftovers::unmount_below(dir, cx)?;
        }
        remove_links(cx)?;
        firewall::remove(cx, &["KUBE-", "CNI-", "FLANNEL", "TUNNEL-PORT"]);
        let stays = |path: &str| self.data == Data::Keep && [DATA, ETC].iter().any(|dir| dir.as_str() == path);
        cx.remove_made(|path| MADE.iter().any(|dir| dir.as_str() == path) && !stays(path))?;
        cx.journal.forget(FACT)
    }
}

/// k3s leaves its pods running when it stops, as it should; now nobody looks after them any more.
fn end_pods(cx: &Cx<'_>) -> Result<()> {
    let (root, own) = (cx.root, process::network(cx.root, "self"));
    let mut networks = Vec::new();
    let shims = |p: &process::Process| p.program.starts_with("/var/lib/rancher/k3s/data/");
    for process in process::picked(root, |p| p.in_pod || shims(p))? {
        let Ok(pid) = i32::try_from(process.pid) else { continue };
        let network = process::network(root, &process.pid.to_string());
        networks.extend(network.filter(|network| Some(network) != own.as_ref()));
        log::debug!("kill {} ({pid})", process.program);
        // It may have ended by itself meanwhile, ignoring: ESRCH.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    leftovers::forget_networks(&networks, cx)
}

/// The pod network's devices; without pods nothing hangs on them.
fn remove_links(cx: &mut Cx<'_>) -> Result<()> {
    const LINKS: [(RelPath<'static>, &str); 3] = [
        (RelPath::literal("sys/class/net/cni0"), "cni0"),
        (RelPath::literal("sys/class/net/flannel.1"), "flannel.1"),
        (RelPath::literal("sys/class/net/edgemesh0"), "edgemesh0"),
    ];
    for (path, name) in LINKS {
        if cx.root.is_live() && cx.root.lstat(path)?.is_some() && cx.exec.find("ip").is_some() {
            cx.exec.succeed(&Cmd::new("ip", &["link", "delete", name]))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_server_that_does_not_want_us() {
        let log = "level=info msg=\"Starting k3s agent\"\n\
            level=error msg=\"token CA hash does not match the Cluster CA certificate hash: a != b\"\n\
            level=info msg=\"Waiting\"";
        assert!(refused(log).unwrap().contains("token CA hash does not match"));
        assert_eq!(refused("level=info msg=\"connection refused\""), None);
        for said in ["not authorized", "forbidden"] {
            let line = format!(
                "level=info msg=\"Waiting to retrieve agent configuration; server is not ready: failed to retrieve \
                 configuration from server: {said}\""
            );
            assert_eq!(refused(&line), Some(line.as_str()));
        }
        let other = "level=error msg=\"Sending HTTP/1.1 401 response to 192.0.2.7:4000: not authorized\"";
        assert_eq!(refused(other), None);
        let again = format!("{log}\nStopped k3s-agent.service\nStarted k3s-agent.service");
        assert_eq!(refused(&again), None);
    }
}
