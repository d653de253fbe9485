//! Looks for what only one machine may have, and removes it.

use serde::Serialize;

use super::super::edge::Record as Installed;
use super::marks::{DBUS_ID, MACHINE_ID};
use super::rules::{Cure, RULES, STORE};
use crate::error::Result;
use crate::gather::Grow;
use crate::ids::RelPath;
use crate::plan::Cx;
use crate::root::{Root, Type};
use crate::steps::FirstBoot;

/// Something that only one machine may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its kind, in kebab case.
    pub check: &'static str,
    /// Where it lies, or what was seen.
    pub seen: String,
    /// Whether `--clean` removes it.
    pub removable: bool,
    /// What to do.
    pub advice: &'static str,
    #[serde(skip)]
    cure: Cure,
}

/// Finds of one pattern; a system with more of anything is no fresh image.
const MAX_FINDS: usize = 1000;
/// Log directories are two or three deep.
const MAX_DEPTH: usize = 6;
const LOGS: &str = "var/log";

/// Everything of the kind, in the order of the rules.
pub(super) fn find(installed: &Installed, cx: &Cx<'_>) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    of_edgelay(installed, cx, &mut findings);
    identity(cx.root, &mut findings)?;
    for rule in &RULES {
        for place in rule.places {
            let place = match place.strip_prefix(STORE) {
                Some(rest) => format!("{}{rest}", installed.config.containerd_root().as_str()),
                None => (*place).to_owned(),
            };
            for path in expand(cx.root, &place)? {
                let removable = rule.cure != Cure::Person;
                let seen = format!("/{path}");
                findings.push(Finding { check: rule.name, seen, removable, advice: rule.advice, cure: rule.cure });
            }
        }
    }
    logs(cx.root, LOGS, 0, &mut findings)?;
    Ok(findings)
}

/// What the record of the installation and its journal tell.
fn of_edgelay(installed: &Installed, cx: &Cx<'_>, findings: &mut Vec<Finding>) {
    let mut tell = |check, seen: String, advice| {
        findings.push(Finding { check, seen, removable: false, advice, cure: Cure::Person });
    };
    if cx.journal.knows("join") {
        tell(
            "joined",
            "this system has joined a cloud".into(),
            "run 'edgelay edge uninstall --root', and stage it anew",
        );
    }
    if !FirstBoot::is_staged(cx) {
        let advice = "stage it again, with --edgelay FILE where it is for another processor than this machine's";
        tell("not-staged", "there is no edgelay that could run at the first boot".into(), advice);
    }
    if !cx.journal.knows("images") && !cx.journal.knows(crate::steps::KeptBundle::ID)
        || cx.journal.is_unfinished("images")
    {
        tell("not-staged", "staging did not come to its end".into(), "run 'edgelay edge stage --root' to its end");
    }
    let config = &installed.config;
    if let Some(name) = &config.node.name {
        let advice = "stage it without node.name: the first boot makes one for each machine";
        tell("node-name", format!("every copy would be named '{name}'"), advice);
    }
    if let Some(file) = &config.token_file {
        let advice = "stage it without token_file: a token is valid for a day, and is handed out at the first boot";
        tell("token-file", format!("'{}' is recorded", file.display()), advice);
    }
    if let Some(ip) = &config.node.ip {
        tell("node-ip", format!("every copy would have the address {ip}"), "stage it without node.ip");
    }
}

fn identity(root: &Root, findings: &mut Vec<Finding>) -> Result<()> {
    for path in [MACHINE_ID, DBUS_ID] {
        if root.lstat(path)?.is_none_or(|meta| meta.kind != Type::File) {
            continue;
        }
        let text = root.text_or_empty(path, 4096)?;
        if !matches!(text.trim(), "" | "uninitialized") {
            findings.push(Finding {
                check: "machine-id",
                seen: path.to_string(),
                removable: true,
                advice: "copies would be one machine to journals and DHCP servers; --clean empties it",
                cure: Cure::Empty,
            });
        }
    }
    Ok(())
}

/// What lies at the places that `pattern` stands for: files with something in them, directories likewise.
fn expand(root: &Root, pattern: &str) -> Result<Vec<String>> {
    let mut paths = vec![String::new()];
    for part in pattern.split('/') {
        let mut next = Vec::new();
        for path in &paths {
            if !part.contains('*') {
                next.push(join(path, part));
                continue;
            }
            let names = RelPath::parse(path).ok().map(|path| list(root, path)).transpose()?.unwrap_or_default();
            next.add_all(names.iter().filter(|name| matches(name, part)).map(|name| join(path, name)));
        }
        next.truncate(MAX_FINDS);
        paths = next;
    }
    let mut there = Vec::new();
    for path in paths {
        if let Ok(rel) = RelPath::parse(&path)
            && holds_something(root, rel)?
        {
            there.push(path);
        }
    }
    Ok(there)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

/// Names in a directory; none where there is no directory.
fn list(root: &Root, path: RelPath<'_>) -> Result<Vec<String>> {
    Ok(match root.stat(path)? {
        Some(meta) if meta.kind == Type::Directory => root.list_or_empty(path)?,
        _ => Vec::new(),
    })
}

/// Whether something is there that a copy would carry; an empty directory or file carries nothing.
fn holds_something(root: &Root, path: RelPath<'_>) -> Result<bool> {
    let Some(meta) = root.lstat(path)? else { return Ok(false) };
    Ok(match meta.kind {
        Type::Directory => {
            let names = root.list_or_empty(path)?;
            let mut any = false;
            for name in names {
                let below = join(path.as_str(), &name);
                any = any || RelPath::parse(&below).is_ok_and(|below| holds_something(root, below).unwrap_or(true));
            }
            any
        }
        Type::File => meta.size > 0,
        Type::Symlink | Type::Socket | Type::Other => true,
    })
}

/// `*` any number of characters.
fn matches(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            match rest.find(middle) {
                Some(at) => rest = rest.get(at + middle.len()..).unwrap_or_default(),
                None => return false,
            }
        }
    }
    last.map_or(rest.is_empty(), |end| rest.ends_with(end))
}

/// Log files, but those of the journal, which has its own rule.
fn logs(root: &Root, dir: &str, depth: usize, findings: &mut Vec<Finding>) -> Result<()> {
    let Ok(path) = RelPath::parse(dir) else { return Ok(()) };
    if depth > MAX_DEPTH || findings.len() > MAX_FINDS || dir == "var/log/journal" {
        return Ok(());
    }
    for name in list(root, path)? {
        let below = join(dir, &name);
        let Ok(rel) = RelPath::parse(&below) else { continue };
        match root.lstat(rel)? {
            Some(meta) if meta.kind == Type::Directory => logs(root, &below, depth + 1, findings)?,
            Some(meta) if meta.kind == Type::File && meta.size > 0 => findings.push(Finding {
                check: "logs",
                seen: rel.to_string(),
                removable: true,
                advice: "it tells of this machine only; --clean removes or empties it",
                cure: if is_rotated(&name) { Cure::Remove } else { Cure::Empty },
            }),
            _ => {}
        }
    }
    Ok(())
}

fn is_rotated(name: &str) -> bool {
    let end = name.rsplit('.').next().unwrap_or_default();
    matches!(end, "gz" | "xz" | "zst" | "bz2" | "old") || end.bytes().all(|b| b.is_ascii_digit())
}

/// Removes what may be removed of the findings.
pub(super) fn remove(findings: &[Finding], cx: &Cx<'_>) -> Result<()> {
    for finding in findings {
        let Ok(path) = RelPath::from_absolute(&finding.seen) else { continue };
        match finding.cure {
            Cure::Person => {}
            Cure::Empty => drop(cx.root.truncate(path)?),
            Cure::Remove => drop(cx.root.remove_tree(path)?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (name, pattern, fits) in [
            ("ssh_host_rsa_key", "ssh_host_*_key", true),
            ("ssh_host_rsa_key.pub", "ssh_host_*_key", false),
            ("ssh_host_key", "ssh_host_*_key", false),
            (".bash_history", ".*_history", true),
            ("dhclient.leases", "*.lease*", true),
            ("x", "x", true),
            ("xy", "x", false),
            ("anything", "*", true),
        ] {
            assert_eq!(matches(name, pattern), fits, "{name} {pattern}");
        }
        assert!(is_rotated("syslog.1") && is_rotated("a.log.2.gz") && !is_rotated("wtmp") && !is_rotated("a.log"));
    }

    #[test]
    fn only_what_carries_something_is_found() {
        let (_dir, root) = Root::scratch();
        for (path, text) in [("var/lib/dhcp/a.leases", "x"), ("var/lib/dhcp/b.leases", ""), ("home/u/.ssh/id_rsa", "k")]
        {
            root.write(RelPath::parse(path).unwrap(), 0o600, text.as_bytes()).unwrap();
        }
        root.mkdir(RelPath::literal("var/lib/kubelet/pods"), 0o755).unwrap();
        let found = |pattern| expand(&root, pattern).unwrap();
        assert_eq!(found("var/lib/dhcp/*.lease*"), ["var/lib/dhcp/a.leases"]);
        assert_eq!(found("home/*/.ssh/id_*"), ["home/u/.ssh/id_rsa"]);
        assert_eq!(found("var/lib/kubelet"), [""; 0]);
        assert_eq!(found("none/*/x"), [""; 0]);
    }
}
