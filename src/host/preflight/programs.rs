//! Whether programs run here: those of the bundle by what they ask for, those that are installed by running them.

use std::time::Duration;

use super::wanted::Containerd;
use super::{Look, Outcome, list};
use crate::error::Result;
use crate::exec::{self, Cmd, Exec, Host};
use crate::gather::Gather;
use crate::host::net::{self, Iptables};
use crate::ids::RelPath;

/// A program says its version within milliseconds; on a card that is just busy it is read first.
const LIMIT: Duration = Duration::from_secs(2);

/// The bundle's programs, and where they lie already the installed ones.
pub(super) fn bundle_programs(look: &Look<'_>) -> Result<Outcome> {
    let wanted = &look.cx.wanted.programs_to_run;
    let mut bad = Vec::new();
    for program in wanted {
        if let Some(why) = &program.misfit {
            bad.push(format!("{} {why}", program.name));
        } else if let Some(loader) = &program.loader
            && let Ok(path) = RelPath::from_absolute(loader)
            && look.cx.target.stat(path)?.is_none()
        {
            bad.push(format!("{} asks for {loader}, which is not there", program.name));
        }
    }
    if !bad.is_empty() {
        let advice = "install the C library that they are linked against, or make a bundle with static ones";
        return Ok(Outcome::fail(bad.join("; "), advice));
    }
    let mut run = Vec::new();
    for path in &installed(look) {
        match version(look, path) {
            Ok(version) => run.push(version),
            Err(why) => return Ok(useless(look, path, &why)),
        }
    }
    Ok(match (wanted.as_slice(), run.as_slice()) {
        ([], []) => Outcome::skip("no bundle whose programs can be looked at, and nothing installed"),
        (_, []) => Outcome::pass(format_args!("{} programs find what they are linked against", wanted.len())),
        (_, run) => Outcome::pass(format_args!("they run: {}", list(run))),
    })
}

/// An installed program that does not run. One of ours is no reason to stop: the install lays it down anew if it is damaged.
fn useless(look: &Look<'_>, path: &str, why: &str) -> Outcome {
    let seen = format!("{path} does not run: {why}");
    let advice = "look whether its file system is mounted noexec, and whether its C library is there";
    match look.cx.wanted.containerd {
        Containerd::Managed => Outcome::warn(
            seen,
            format_args!("'edgelay edge install' lays it down anew if it is damaged; else {advice}"),
        ),
        Containerd::Existing(_) => Outcome::fail(seen, advice),
    }
}

/// containerd and runc, ours or those of a containerd that is there already; only on the running system.
fn installed(look: &Look<'_>) -> Vec<String> {
    const NAMES: [&str; 2] = ["containerd", "runc"];
    if !look.cx.machine.is_live() {
        return Vec::new();
    }
    // Services are files of the same names.
    let is = |path: &str| {
        path.rsplit_once('/')
            .is_some_and(|(dir, name)| NAMES.contains(&name) && exec::PATH.iter().any(|p| p.to_string() == dir))
    };
    let there = |path: &String| {
        is(path) && RelPath::from_absolute(path).is_ok_and(|p| matches!(look.cx.machine.stat(p), Ok(Some(_))))
    };
    match look.cx.wanted.containerd {
        Containerd::Managed => look.cx.wanted.own_programs.iter().filter(|path| there(path)).cloned().gather(),
        Containerd::Existing(_) => {
            let found = NAMES.iter().filter_map(|name| exec::find(look.cx.machine, name));
            found.map(|path| path.display().to_string()).gather()
        }
    }
}

/// What `--version` says first; or how it failed.
fn version(look: &Look<'_>, program: &str) -> std::result::Result<String, String> {
    let mut host = Host::new(look.cx.machine, look.cx.clock);
    let output = host.run(&Cmd::new(program, &["--version"]).limit(LIMIT)).map_err(|e| e.to_string())?;
    match output.code {
        0 => Ok(output.stdout.lines().next().unwrap_or_default().chars().take(80).gather()),
        code => Err(format!("it ended with status {code}: {}", output.last_words())),
    }
}

/// CRI says that the network is ready even without it; only the first pod shows the truth.
pub(super) fn iptables(look: &Look<'_>) -> Result<Outcome> {
    let Some(path) = exec::find(look.cx.target, "iptables") else {
        let seen = "no iptables program, without which the bridge and portmap plugins start no pod";
        return Ok(Outcome::fail(seen, "install iptables in /usr/sbin"));
    };
    let path = path.display().to_string();
    let mut flavour = net::iptables(look.cx.target)?;
    if look.cx.target.is_live() {
        match version(look, &path) {
            Ok(said) => flavour = if said.contains("nf_tables") { Iptables::Nft } else { Iptables::Legacy },
            Err(why) => {
                return Ok(Outcome::fail(
                    format_args!("{path} does not run: {why}"),
                    "install iptables anew, for this machine",
                ));
            }
        }
    }
    let word = if flavour == Iptables::Nft { "nft" } else { "legacy" };
    let serves = look.cx.wanted.board.as_ref().and_then(|board| board.iptables);
    Ok(match serves.filter(|serves| *serves != word) {
        None => Outcome::pass(format_args!("{path}, which writes {word} rules")),
        Some(serves) => Outcome::warn(
            format_args!(
                "{path} writes {word} rules, but kernels of this board serve only {serves} ones by its profile"
            ),
            format_args!("choose the other one with 'update-alternatives --set iptables /usr/sbin/iptables-{serves}'"),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Fail, Pass, Skip, Warn};
    use super::super::testing::{Bed, told};
    use super::super::wanted::ProgramToRun;

    #[test]
    fn what_the_bundles_programs_ask_for() {
        let bed = Bed::new();
        let program = |name: &str, loader: Option<&str>, misfit: Option<&str>| ProgramToRun {
            name: name.into(),
            loader: loader.map(str::to_owned),
            misfit: misfit.map(str::to_owned),
        };
        let one = |programs: Vec<ProgramToRun>| bed.one("bundle-programs", |w| w.programs_to_run = programs);
        let seen = "no bundle whose programs can be looked at, and nothing installed";
        assert_eq!(one(Vec::new()), told(Skip, seen, ""));
        let glibc = "/lib/ld-linux-aarch64.so.1";
        let fit = vec![program("runc", None, None), program("edgecore", Some(glibc), None)];
        assert_eq!(one(fit), told(Pass, "2 programs find what they are linked against", ""));
        let advice = "install the C library that they are linked against, or make a bundle with static ones";
        let musl = program("runc", Some("/lib/ld-musl-aarch64.so.1"), None);
        let other = program("keadm", Some(glibc), Some("is a program for amd64, expected arm64"));
        let seen =
            "runc asks for /lib/ld-musl-aarch64.so.1, which is not there; keadm is a program for amd64, expected arm64";
        assert_eq!(one(vec![musl, other]), told(Fail, seen, advice));
    }

    #[test]
    fn the_kind_of_rules() {
        let nft = |bed: Bed| {
            bed.with(|t| {
                t.without("usr/sbin/iptables")
                    .program("usr/sbin/xtables-nft-multi")
                    .link("usr/sbin/iptables", "xtables-nft-multi")
            })
        };
        let one = |bed: &Bed, serves| bed.one("iptables", |w| w.board.as_mut().unwrap().iptables = serves);
        assert_eq!(one(&Bed::new(), None), told(Pass, "/usr/sbin/iptables, which writes legacy rules", ""));
        let nft = nft(Bed::new());
        assert_eq!(one(&nft, Some("nft")), told(Pass, "/usr/sbin/iptables, which writes nft rules", ""));
        let seen =
            "/usr/sbin/iptables writes nft rules, but kernels of this board serve only legacy ones by its profile";
        let advice = "choose the other one with 'update-alternatives --set iptables /usr/sbin/iptables-legacy'";
        assert_eq!(one(&nft, Some("legacy")), told(Warn, seen, advice));
        let none = Bed::new().with(|tree| tree.without("usr/sbin/iptables"));
        let seen = "no iptables program, without which the bridge and portmap plugins start no pod";
        assert_eq!(one(&none, None), told(Fail, seen, "install iptables in /usr/sbin"));
    }
}
