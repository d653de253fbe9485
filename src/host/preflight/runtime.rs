//! The configuration of a containerd that somebody else runs: what of it would break the join or the pods.
//!
//! Only the lines that matter are looked for; containerd itself has read the file before and found it to be TOML.

use super::services::shown;
use super::wanted::Containerd;
use super::{Look, Outcome};
use crate::error::Result;
use crate::host::SMALL;
use crate::host::process::Process;
use crate::ids::RelPath;

/// Where containerd looks unless told otherwise.
pub(super) const CONFIG: &str = "/etc/containerd/config.toml";

/// The image that every bundle brings; it is pinned only under exactly this name.
const PAUSE: &str = "docker.io/kubeedge/pause:3.6";

pub(super) fn containerd_config(look: &Look<'_>) -> Result<Outcome> {
    let Containerd::Existing(socket) = &look.cx.wanted.containerd else {
        return Ok(Outcome::skip("containerd is ours, and so is its configuration"));
    };
    let all = look.rivals()?.iter().filter(|p| p.name == "containerd" && !p.contained);
    let path = all.filter(|p| serves(p, socket)).find_map(|p| p.option(&["--config", "-c"])).unwrap_or(CONFIG);
    let text = match RelPath::from_absolute(path) {
        Ok(path) => look.cx.machine.read_text(path, SMALL)?,
        Err(_) => None,
    };
    Ok(judge(path, text.as_deref().unwrap_or_default()))
}

/// Whether this containerd was told to listen there, or was told nothing of it.
fn serves(process: &Process, socket: &str) -> bool {
    process.option(&["--address", "-a"]).is_none_or(|address| address == socket)
}

fn judge(path: &str, text: &str) -> Outcome {
    let disabled = values(text, "disabled_plugins").next().unwrap_or_default();
    if disabled.contains("\"cri\"") || disabled.contains("'cri'") || disabled.contains("io.containerd.grpc.v1.cri") {
        let advice = format!("remove cri from 'disabled_plugins' in {path} and restart containerd");
        return Outcome::fail(format_args!("{path} disables the CRI plugin"), advice);
    }
    // Version 3 of the file calls it `sandbox`, in the table of pinned images.
    let pause = values(text, "sandbox_image").chain(values(text, "sandbox")).next();
    let pause = pause.map(|value| value.trim_matches(['"', '\'']));
    if pause != Some(PAUSE) {
        let seen = match pause {
            Some(name) => format!("{path} names the pause image {name}, which no bundle brings"),
            None => format!("{path} names no pause image, and containerd's own choice is in no bundle"),
        };
        let advice = format!("set 'sandbox_image = \"{PAUSE}\"' in {path} and restart containerd");
        return Outcome::warn(seen, advice);
    }
    // EdgeCore works with either, as long as both have the same: the join asks containerd for it.
    let driver = if values(text, "SystemdCgroup").any(|value| value == "true") { "systemd" } else { "cgroupfs" };
    Outcome::pass(format_args!("{path} fits; the cgroup driver is {driver}"))
}

/// What its file says is one thing, what the daemon that runs made of it another.
pub(super) fn containerd_cri(look: &Look<'_>) -> Result<Outcome> {
    let cri = match &look.cx.wanted.cri {
        None => return Ok(Outcome::skip("no containerd was asked")),
        Some(Err((why, advice))) => {
            return Ok(Outcome::fail(format_args!("containerd does not serve pods: {why}"), *advice));
        }
        Some(Ok(cri)) => cri,
    };
    let unmet = |name: &str| cri.not_ready.iter().find(|(condition, _)| condition == name);
    if let Some((_, why)) = unmet("RuntimeReady") {
        return Ok(Outcome::fail(
            format_args!("containerd {} is not ready: {why}", cri.version),
            "look at containerd's log",
        ));
    }
    if let Some((_, why)) = unmet("NetworkReady") {
        let seen = format!("containerd {} has no pod network: {why}", cri.version);
        return Ok(Outcome::warn(seen, "give it CNI plugins and a conflist, or the node stays NotReady"));
    }
    if let Some((name, false)) = &cri.pause
        && name != PAUSE
    {
        let seen = format!("containerd {} starts pods with {name}, which it does not have", cri.version);
        return Ok(Outcome::warn(seen, format_args!("set its sandbox image to {PAUSE}, which the bundle brings")));
    }
    if !cri.strangers.is_empty() {
        let pods = shown(&cri.strangers);
        let seen = format!("containerd {} runs pods that EdgeCore does not know and will end: {pods}", cri.version);
        return Ok(Outcome::warn(seen, "move them to another machine, or to a containerd of their own"));
    }
    let driver = cri.cgroup_driver.map(|driver| format!(", cgroup driver {driver}")).unwrap_or_default();
    Ok(Outcome::pass(format_args!("containerd {} serves pods{driver}", cri.version)))
}

/// Values of every line `key = value`, a list over several lines in one; comments left out.
fn values<'t>(text: &'t str, key: &'t str) -> impl Iterator<Item = &'t str> {
    text.lines().zip(rests(text)).filter_map(move |(line, rest)| {
        let (name, value) = line.split_once('=')?;
        if name.trim() != key {
            return None;
        }
        let value = value.split('#').next().unwrap_or_default().trim();
        let open = value.starts_with('[') && !value.contains(']');
        Some(if open { rest.split(']').next().unwrap_or_default() } else { value })
    })
}

/// What follows each line's first `=`, to the end of the text.
fn rests(text: &str) -> impl Iterator<Item = &str> {
    let mut at = text;
    text.lines().map(move |line| {
        let rest = at;
        at = at.get(line.len()..).unwrap_or_default();
        at = at.strip_prefix("\r\n").or_else(|| at.strip_prefix('\n')).unwrap_or(at);
        rest.split_once('=').map_or(rest, |(_, rest)| rest)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Fail, Pass, Skip, Warn};
    use super::super::testing::{Bed, told};
    use super::*;

    const GOOD: &str = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"docker.io/kubeedge/pause:3.6\"\n\
        # SystemdCgroup = true\n  SystemdCgroup = false # not true\n";

    #[test]
    fn lines_that_break_a_node() {
        let judged = |text: &str| judge("/c", text).told();
        assert_eq!(judged(GOOD), told(Pass, "/c fits; the cgroup driver is cgroupfs", ""));
        assert_eq!(judged("[a.pinned_images]\nsandbox = 'docker.io/kubeedge/pause:3.6'\n").0, Pass);

        let advice = "remove cri from 'disabled_plugins' in /c and restart containerd";
        for text in [
            "disabled_plugins = [\"cri\"]\n",
            "a = 1\r\ndisabled_plugins=['aufs', 'cri']",
            "disabled_plugins = [ # two\n  \"aufs\",\n  \"io.containerd.grpc.v1.cri\",\n]\nb = 2\n",
        ] {
            assert_eq!(judged(text), told(Fail, "/c disables the CRI plugin", advice), "{text}");
        }
        assert_eq!(judged(&format!("disabled_plugins = []\nrequired_plugins = [\"cri\"]\n{GOOD}")).0, Pass);

        let seen = "/c fits; the cgroup driver is systemd";
        assert_eq!(judged(&GOOD.replace("= false", "= true")), told(Pass, seen, ""));

        let advice = "set 'sandbox_image = \"docker.io/kubeedge/pause:3.6\"' in /c and restart containerd";
        let seen = "/c names no pause image, and containerd's own choice is in no bundle";
        assert_eq!(judged(""), told(Warn, seen, advice));
        let seen = "/c names the pause image kubeedge/pause:3.6, which no bundle brings";
        assert_eq!(judged(&GOOD.replace("docker.io/", "")), told(Warn, seen, advice));
    }

    #[test]
    fn what_the_daemon_says() {
        use super::super::wanted::Cri;
        let fit = || Cri {
            version: "1.7.27".into(),
            not_ready: Vec::new(),
            cgroup_driver: Some("systemd"),
            strangers: Vec::new(),
            pause: Some(("registry.k8s.io/pause:3.8".into(), true)),
        };
        let one = |cri: std::result::Result<Cri, &str>| {
            Bed::new().one("containerd-cri", |w| w.cri = Some(cri.map_err(|why| (why.to_owned(), "restart it"))))
        };
        assert_eq!(Bed::new().one("containerd-cri", |_| {}), told(Skip, "no containerd was asked", ""));
        assert_eq!(one(Ok(fit())), told(Pass, "containerd 1.7.27 serves pods, cgroup driver systemd", ""));
        assert_eq!(one(Err("no CRI")), told(Fail, "containerd does not serve pods: no CRI", "restart it"));
        let not = |name: &str| Cri { not_ready: vec![(name.into(), "why".into())], ..fit() };
        let seen = "containerd 1.7.27 is not ready: why";
        assert_eq!(one(Ok(not("RuntimeReady"))), told(Fail, seen, "look at containerd's log"));
        let advice = "give it CNI plugins and a conflist, or the node stays NotReady";
        assert_eq!(one(Ok(not("NetworkReady"))), told(Warn, "containerd 1.7.27 has no pod network: why", advice));
        assert_eq!(one(Ok(not("ContainerdHasNoDeprecationWarnings"))).0, Pass);
        let beside = |strangers: &[&str]| {
            one(Ok(Cri { strangers: strangers.iter().map(ToString::to_string).collect(), ..fit() }))
        };
        let seen = "containerd 1.7.27 runs pods that EdgeCore does not know and will end: a/b";
        let advice = "move them to another machine, or to a containerd of their own";
        assert_eq!(beside(&["a/b"]), told(Warn, seen, advice));
        assert_eq!(beside(&["a/b", "c", "d", "e", "f"]), told(Warn, &format!("{seen}, c, d, e and more"), advice));
        let without = |name: &str| one(Ok(Cri { pause: Some((name.into(), false)), ..fit() }));
        let seen = "containerd 1.7.27 starts pods with registry.k8s.io/pause:3.8, which it does not have";
        let advice = "set its sandbox image to docker.io/kubeedge/pause:3.6, which the bundle brings";
        assert_eq!(without("registry.k8s.io/pause:3.8"), told(Warn, seen, advice));
        assert_eq!(without(PAUSE).0, Pass, "the bundle brings it");
    }

    #[test]
    fn the_file_is_the_one_that_the_running_containerd_uses() {
        let exe = "/usr/bin/containerd";
        let args = [exe, "--config", "/opt/c.toml"];
        let bed = Bed::new().with(|tree| tree.file("opt/c.toml", GOOD).process(77, exe, &args));
        let socket = "/run/containerd/containerd.sock";
        let existing = |bed: &Bed| bed.one("containerd-config", |w| w.containerd = Containerd::Existing(socket.into()));
        assert_eq!(existing(&bed), told(Pass, "/opt/c.toml fits; the cgroup driver is cgroupfs", ""));
        assert!(existing(&Bed::new()).1.starts_with("/etc/containerd/config.toml names no pause image"));
        let seen = "containerd is ours, and so is its configuration";
        assert_eq!(bed.one("containerd-config", |_| {}), told(Skip, seen, ""));
    }
}
