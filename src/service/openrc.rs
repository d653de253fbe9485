//! OpenRC: a script run by openrc-run, its supervise-daemon, and `rc-service`.

use std::time::Duration;

use super::{Service, State};
use crate::error::{Kind, Result, Trail};
use crate::exec::{Cmd, Exec, PATH};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::root::Root;

/// A script may take its `retry` to end a service before it is started again.
const LIMIT: Duration = Duration::from_secs(150);

/// What OpenRC calls systemd's points of a boot.
const POINTS: [(&str, &str); 4] = [
    ("network.target", "net"),
    ("network-online.target", "net"),
    ("local-fs.target", "localmount"),
    ("time-sync.target", "ntp-client chronyd ntpd"),
];

/// The script. Pods outlive their daemon: OpenRC is to leave the cgroup alone, and to end only the process it started.
/// The `PATH` that a script is given holds OpenRC's own helpers (`checkpath`, `eend`), so ours goes before it;
/// supervise-daemon takes those out again for the daemon.
pub(super) fn render(service: &Service) -> String {
    let name = service.name;
    let (program, args) = service.command.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
    let path: Vec<String> = PATH.iter().map(ToString::to_string).gather();
    let log = super::log_path(name);
    format!(
        r#"#!/sbin/openrc-run
# Written by edgelay; changes are overwritten by the next install.

description="{description}"
supervisor="supervise-daemon"
command="{program}"
command_args="{args}"
pidfile="/run/edgelay/{name}.pid"
respawn_delay=5
respawn_max=0
output_log="/{log}"
error_log="/{log}"
retry="TERM/20/KILL/10"
rc_cgroup_cleanup="no"
export PATH="{path}:$PATH"

depend() {{
{depend}}}

start_pre() {{
	# a machine or a container may allow fewer: then all that it allows
	ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"
	checkpath -d -m 0755 /var/log/edgelay /run/edgelay
	checkpath -f -m 0600 "$output_log"
	if [ "$(wc -c <"$output_log")" -gt 1048576 ]; then
		mv "$output_log" "$output_log.old"
		checkpath -f -m 0600 "$output_log"
	fi
}}
"#,
        description = service.description,
        args = args.join(" "),
        path = path.join(":"),
        depend = depend(service),
    )
}

fn depend(service: &Service) -> String {
    let word = |unit: &&str| match POINTS.iter().find(|(theirs, _)| theirs == unit) {
        Some((_, ours)) => (*ours).to_owned(),
        None => unit.strip_suffix(".service").unwrap_or(unit).to_owned(),
    };
    // Not `need`: whatever needs a service is stopped with it.
    [("after", service.after), ("want", service.wants)]
        .iter()
        .filter(|(_, units)| !units.is_empty())
        .map(|(key, units)| format!("\t{key} {}\n", units.iter().map(word).gather::<Vec<_>>().join(" ")))
        .gather()
}

fn is_known(root: &Root, name: &str) -> Result<bool> {
    let script = format!("etc/init.d/{name}");
    RelPath::parse(&script).map_or(Ok(false), |path| root.stat(path).map(|meta| meta.is_some()))
}

fn call(name: &str, verb: &str) -> Cmd {
    Cmd::new("rc-service", &["--nocolor", name, verb]).limit(LIMIT)
}

pub(super) fn state(root: &Root, exec: &mut dyn Exec, name: &str) -> Result<State> {
    if !is_known(root, name)? {
        return Ok(State::Inactive);
    }
    // 0: started; 3: stopped; 32: crashed
    Ok(if exec.run(&call(name, "status"))?.code == 0 { State::Active } else { State::Inactive })
}

/// 0: started, 4: stopping, 8: starting.
pub(super) fn is_coming(root: &Root, exec: &mut dyn Exec, names: &[&str]) -> Result<bool> {
    for name in names {
        if is_known(root, name)? && matches!(exec.run(&call(name, "status"))?.code, 0 | 4 | 8) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn restart(root: &Root, exec: &mut dyn Exec, name: &str) -> Result<()> {
    // One that crashed counts as started and would not be started again, ignoring: there may be nothing to forget.
    if state(root, exec, name)? == State::Inactive {
        let _ = exec.run(&call(name, "zap"))?;
    }
    let started = exec.succeed(&call(name, "restart"));
    match started {
        Ok(_) => Ok(()),
        Err(e) => {
            let said = super::log_tail(root, name);
            Err(e.reclassify(Kind::Runtime)).doing(|| format!("start {name} ({said})"))
        }
    }
}

pub(super) fn stop(root: &Root, exec: &mut dyn Exec, name: &str) -> Result<()> {
    if !is_known(root, name)? {
        return Ok(());
    }
    exec.succeed(&call(name, "stop")).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_text() {
        let service = Service {
            name: "x",
            description: "an x",
            command: vec!["/usr/local/bin/x".into(), "--a".into(), "b".into()],
            after: &["network-online.target", "containerd.service"],
            wants: &["containerd.service"],
            settings: &["Restart=always"],
        };
        let text = render(&service);
        assert!(text.starts_with("#!/sbin/openrc-run\n# Written by edgelay"));
        for line in [
            "command=\"/usr/local/bin/x\"",
            "command_args=\"--a b\"",
            "rc_cgroup_cleanup=\"no\"",
            "output_log=\"/var/log/edgelay/x.log\"",
            "export PATH=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PATH\"",
            "depend() {\n\tafter net containerd\n\twant containerd\n}",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in {text}");
        }
    }
}
