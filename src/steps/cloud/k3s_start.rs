//! Starts k3s, or starts it again after its files changed, and waits until its containerd can take images.

use std::path::Path;
use std::time::Duration;

use super::{Data, carried, localtime};
use crate::clock::{Probe, wait_for};
use crate::containerd::config::NRI;
use crate::containerd::health::{self, Unfit};
use crate::error::{Error, Kind, Result};
use crate::gather::Grow;
use crate::host::process;
use crate::ids::RelPath;
use crate::k3s::{DATA, ETC, SOCKET};
use crate::kubeedge::PLUGINS;
use crate::note;
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, Service, State};
use crate::steps::runtime_start::HOPELESS;
use crate::steps::{firewall, leftovers};

/// What k3s was last started with.
pub(super) const FACT: &str = "k3s-runs-with";
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
                Ok(_) => Probe::Ready,
                Err(Unfit::ForGood(seen)) => return Err(Error::new(Kind::Runtime, seen)),
                Err(Unfit::Yet(seen)) => {
                    let state = self.state(cx)?;
                    dead = if state == State::Active { 0 } else { dead + 1 };
                    if dead >= DEAD || matches!(state, State::Failing(times) if times >= HOPELESS) {
                        return Err(Error::new(Kind::Runtime, format_args!("{} ended", self.service.name)));
                    }
                    let said = self.last_words(cx);
                    if let Some(line) = expired(&said).filter(|_| said != before) {
                        let what = format!("k3s takes its server's certificates for expired: {}", cx.report.mask(line));
                        return Err(Error::new(Kind::Cluster, what).hint(CLOCKS));
                    }
                    match refused(&said).filter(|_| said != before) {
                        Some((UNKNOWN, line, _))
                            if clock.elapsed().saturating_sub(*unknown.get_or_insert(clock.elapsed())) < STARTS =>
                        {
                            Probe::NotYet(cx.report.mask(line))
                        }
                        Some((_, line, hint)) => {
                            let what = format!("the server refuses this node: {}", cx.report.mask(line));
                            return Err(Error::new(Kind::Cluster, what).hint(hint));
                        }
                        None => Probe::NotYet(seen),
                    }
                }
            })
        })
    }
}

/// What an agent says when its server does not want it, as k3s's sources have it since v1.19, and what to do then. By
/// itself it tries again for ever. Every node has a password of its own, which the server remembers with the node's name.
const REFUSALS: [(&str, &str); 8] = [
    (
        "token CA hash does not match",
        "the token is of another cluster, or of this one before it was made anew: see that 'server' is right, and give the \
         token that lies there now in '/var/lib/rancher/k3s/server/node-token'",
    ),
    ("configuration from server: not authorized", OTHER_TOKEN),
    (UNKNOWN, OTHER_TOKEN),
    ("token must not be empty", OTHER_TOKEN),
    ("invalid token", OTHER_TOKEN),
    ("Node password rejected", OTHER_NAME),
    // Of older releases.
    (": 401 Unauthorized", OTHER_TOKEN),
    ("token is not valid", OTHER_TOKEN),
];
const OTHER_NAME: &str = "give a name that no other node has: --node-name NAME; or, if this is that very node made anew, run \
    'k3s kubectl delete node NAME' on the server; then run again";
const OTHER_TOKEN: &str = "give the token that lies on the server in '/var/lib/rancher/k3s/server/node-token', whole; one of \
    'k3s token create' ends after a day";

/// What a server that is starting says to a token of `k3s token create`: it cannot look it up yet. Later it says `not
/// authorized` if the token has ended.
const UNKNOWN: &str = "configuration from server: forbidden";
/// So long a server may take to start.
const STARTS: Duration = Duration::from_secs(60);

/// What was said since the last start, last line first.
fn of_this_start(log: &str) -> impl Iterator<Item = &str> {
    const BREAKS: [&str; 4] = ["Starting k3s", "Started k3s", "Stopped k3s", "Stopping k3s"];
    log.lines().rev().take_while(|line| !BREAKS.iter().any(|words| line.contains(words)))
}

/// The line in which k3s, an agent's or a server's own, says that the CA has expired by this machine's clock. It never makes
/// another one by itself, and asks again for ever.
fn expired(log: &str) -> Option<&str> {
    const WORDS: [&str; 2] = ["CA cert validation failed", "certificate has expired"];
    of_this_start(log).find(|line| WORDS.iter().all(|words| line.contains(words)))
}

const CLOCKS: &str = "see that the clocks of this machine and of the server are right, and run again; a CA that was made under \
    a wrong clock is made anew with the whole cluster: 'edgelay cloud uninstall --purge' on the server, then 'edgelay cloud \
    install'";

/// What of [`REFUSALS`] an agent says, the line, and what to do. Lines of an earlier start do not count.
fn refused(log: &str) -> Option<(&'static str, &str, &'static str)> {
    // A server tells, too, whom it refused itself.
    const OTHERS: &str = " response to ";
    of_this_start(log).filter(|line| !line.contains(OTHERS)).find_map(|line| {
        REFUSALS.iter().find(|(words, _)| line.contains(words)).map(|(words, hint)| (*words, line, *hint))
    })
}

/// The line in which k3s says why it ends. Its parts stop one after the other then, each with words of its own.
fn cause(log: &str) -> Option<&str> {
    const WORDS: [&str; 2] = ["level=fatal", "Shutdown request received: "];
    log.lines().rev().find(|line| WORDS.iter().any(|words| line.contains(words)))
}

/// What kind of failure it is that k3s's containerd does not come, and what to do, where an agent waits for its server.
fn advice(log: &str) -> Option<(Kind, &'static str)> {
    let hint =
        "see that k3s runs on the server and that every firewall in between lets this machine reach it; then run again";
    log.lines().next_back()?.contains("failed to get CA certs").then_some((Kind::Cluster, hint))
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
            return Ok(Status::todo(format_args!("{} is not running", self.service.name)));
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
        for dir in &MADE {
            cx.will_make(*dir)?;
        }
        let current = cx.journal.fact(FACT) == Some(self.version.as_str());
        let (begun, before) = (cx.clock.unix(), self.last_words(cx));
        // Running with these very files and silent may be a start that is under way: waiting comes first.
        if !current || self.state(cx)? != State::Active {
            let mut services = cx.services(self.manager);
            services.reload()?;
            services.restart(&self.service)?;
        }
        match self.wait(&before, cx) {
            Ok(()) => {
                // Room for the next one; what cannot be removed is no reason to fail.
                if let Err(e) = carried::drop_older(cx) {
                    cx.report.warn(&format!("remove what older releases of k3s have unpacked: {e}; ignoring"));
                }
                cx.journal.remember(FACT, &self.version)
            }
            Err(e) if matches!(e.kind(), Kind::Interrupted | Kind::Cluster) => Err(e),
            Err(e) => {
                let log = cx.services(self.manager).words_since(&self.service, begun);
                let said = cause(&log).map_or_else(|| self.last_words(cx), str::to_owned);
                let said = cx.report.mask(&said);
                let (kind, hint) =
                    advice(&said).unwrap_or((e.kind(), "see what k3s says is wrong, mend it and run again"));
                Err(Error::new(kind, format_args!("{e}; last words of {}: {said}", self.service.name)).hint(hint))
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
        for dir in &MADE {
            leftovers::unmount_below(*dir, cx)?;
        }
        // Until now a pod could have been started again.
        localtime::undo(cx)?;
        remove_links(cx)?;
        if cx.root.is_live() {
            leftovers::remove_cgroups(cx.root);
        }
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
    for process in &process::picked(root, |p| p.in_pod || shims(p))? {
        let Ok(pid) = i32::try_from(process.pid) else { continue };
        let network = process::network(root, &process.pid.to_string());
        networks.add_all(network.filter(|network| Some(network) != own.as_ref()));
        note::debug(format_args!("kill {} ({pid})", process.program));
        // It may have ended by itself meanwhile, ignoring: ESRCH.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    leftovers::forget_networks(&networks, cx)
}

/// The pod network's devices; without pods nothing hangs on them.
fn remove_links(cx: &mut Cx<'_>) -> Result<()> {
    const LINKS: [&str; 7] =
        ["cni0", "flannel.1", "flannel-v6.1", "flannel-wg", "flannel-wg-v6", "kube-ipvs0", leftovers::EDGEMESH];
    for name in &LINKS {
        leftovers::remove_link(name, cx)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_it_ended_is_found_among_what_followed() {
        let why = "level=error msg=\"Shutdown request received: apiserver exited: unknown flag: --x\"";
        let log = format!(
            "level=info msg=\"Starting k3s\"\n{why}\nlevel=error msg=\"reconnecting\"\nk3s.service: Deactivated"
        );
        assert_eq!(cause(&log), Some(why));
        assert_eq!(cause("level=fatal msg=\"a\"\nlevel=info msg=\"b\""), Some("level=fatal msg=\"a\""));
        assert_eq!(cause("level=info msg=\"b\""), None);
    }

    #[test]
    fn a_ca_of_another_time_is_told_from_clients_of_another_time() {
        let expired_ca = "level=info msg=\"Waiting to retrieve agent configuration; server is not ready: CA cert validation \
            failed: Get \\\"https://127.0.0.1:6444/cacerts\\\": tls: failed to verify certificate: x509: certificate has \
            expired or is not yet valid: current time 2026-11-30T10:00:00Z is after 1980-01-01T00:00:00Z\"";
        assert_eq!(expired(&format!("Starting k3s\n{expired_ca}\nlevel=info msg=\"b\"")), Some(expired_ca));
        assert_eq!(expired(&format!("{expired_ca}\nStopped k3s.service\nStarting k3s")), None, "of an earlier start");
        let client = "Unable to authenticate the request: x509: certificate has expired or is not yet valid";
        let starting = "server is not ready: CA cert validation failed: Get \"https://127.0.0.1:6444/cacerts\": EOF";
        assert_eq!(expired(&format!("{client}\n{starting}")), None);
    }

    #[test]
    fn words_of_a_server_that_does_not_want_us() {
        let said = |words: &str| {
            format!("level=info msg=\"Starting k3s agent v1.34.2+k3s1\"\n{words}\nlevel=info msg=\"Waiting\"")
        };
        let hint = |words: &str| refused(&said(words)).map(|(_, line, hint)| (line == words, hint));
        let (foreign, waiting) =
            (REFUSALS[0].1, "level=info msg=\"Waiting to retrieve agent configuration; server is not ready:");
        for (words, wanted) in [
            (
                "level=error msg=\"Failed to validate connection to cluster at https://s:6443: token CA hash does not match the Cluster CA certificate hash: a != b\"",
                foreign,
            ),
            ("level=error msg=\"token CA hash does not match the Cluster CA certificate hash: a != b\"", foreign),
            (
                "level=error msg=\"Failed to validate connection to cluster at https://s:6443: invalid token format\"",
                OTHER_TOKEN,
            ),
            (
                "level=error msg=\"Failed to validate connection to cluster at https://s:6443: invalid token CA hash length\"",
                OTHER_TOKEN,
            ),
            (
                "level=error msg=\"Failed to validate connection to cluster at https://s:6443: token must not be empty\"",
                OTHER_TOKEN,
            ),
            (&format!("{waiting} failed to retrieve configuration from server: not authorized\""), OTHER_TOKEN),
            (&format!("{waiting} failed to retrieve configuration from server: forbidden\""), OTHER_TOKEN),
            (
                &format!(
                    "{waiting} failed to retrieve configuration from server: https://127.0.0.1:6444/v1-k3s/config: 401 Unauthorized\""
                ),
                OTHER_TOKEN,
            ),
            (
                &format!(
                    "{waiting} Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match\""
                ),
                OTHER_NAME,
            ),
            (
                &format!(
                    "{waiting} /var/lib/rancher/k3s/agent/serving-kubelet.crt: Node password rejected, duplicate hostname\""
                ),
                OTHER_NAME,
            ),
        ] {
            assert_eq!(hint(words), Some((true, wanted)), "{words}");
        }
        let away = format!("{waiting} failed to get CA certs: Get \\\"https://127.0.0.1:6444/cacerts\\\": EOF\"");
        assert_eq!(hint(&away), None);
        assert_eq!(hint("level=error msg=\"Sending HTTP/1.1 401 response to 192.0.2.7:4000: not authorized\""), None);
        assert_eq!(advice(&away).map(|(kind, _)| kind), Some(Kind::Cluster));
        assert_eq!(advice("level=fatal msg=\"flag provided but not defined\""), None);
        let again = format!("{}\nStopped k3s-agent.service\nStarted k3s-agent.service", said("x: 401 Unauthorized"));
        assert_eq!(refused(&again), None);
    }
}
