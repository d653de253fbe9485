//! Removing the firewall chains of Kubernetes and of CloudCore's stream, and the rules that lead into them. Everybody
//! else's stay: nothing is flushed.

use crate::exec::{Cmd, Exec};
use crate::gather::{Gather, Grow};
use crate::ids::RelPath;
use crate::note;
use crate::plan::Cx;
use crate::root::Root;

const TABLES: [&str; 4] = ["nat", "filter", "mangle", "raw"];
/// KubeEdge's image writes legacy rules, also where the host's own program writes nft ones; a kubelet writes some of each
/// family.
const PROGRAMS: [&str; 6] =
    ["iptables", "iptables-legacy", "iptables-nft", "ip6tables", "ip6tables-legacy", "ip6tables-nft"];
/// Where k3s has its own, which it uses on a host that has none.
const BUNDLED: &str = "var/lib/rancher/k3s/data/current/bin/aux";

/// Bytes of the kernel's list of legacy tables: there are five.
const MAX_NAMES: usize = 4096;

/// Removes every chain whose name begins with one of `prefixes`. What cannot be removed is told and left.
pub(super) fn remove(cx: &mut Cx<'_>, prefixes: &[&str]) {
    if !cx.root.is_live() {
        return;
    }
    let root = cx.root;
    for program in PROGRAMS.into_iter().filter_map(|name| program(name, cx)).gather::<Vec<_>>() {
        let program = program.as_str();
        for table in TABLES.iter().filter(|table| is_made(program, table, root)) {
            // A kernel without the table has no chains in it.
            let Ok(listed) = cx.exec.run(&Cmd::new(program, &["-w", "-t", table, "-S"])) else { continue };
            if listed.code != 0 {
                continue;
            }
            for change in changes(&listed.stdout, prefixes) {
                let mut args = vec!["-w", "-t", table];
                args.add_all(change.iter().map(String::as_str));
                tell(cx.exec, &Cmd::new(program, &args));
            }
        }
    }
}

/// A legacy program makes the table that it is to list, and the others complain of it from then on.
fn is_made(program: &str, table: &str, root: &Root) -> bool {
    let names = match program.rsplit('/').next() {
        Some("iptables-legacy") => RelPath::literal("proc/net/ip_tables_names"),
        Some("ip6tables-legacy") => RelPath::literal("proc/net/ip6_tables_names"),
        _ => return true,
    };
    root.text_or_empty(names, MAX_NAMES).is_ok_and(|made| made.lines().any(|name| name == table))
}

/// The host's program of this name, or k3s's.
fn program(name: &str, cx: &Cx<'_>) -> Option<String> {
    if cx.exec.find(name).is_some() {
        return Some(name.to_owned());
    }
    let bundled = format!("{BUNDLED}/{name}");
    let bundled = RelPath::parse(&bundled).ok()?;
    cx.root.stat(bundled).ok()?.map(|_| cx.root.absolute(bundled).display().to_string())
}

fn tell(exec: &mut dyn Exec, cmd: &Cmd) {
    if let Err(e) = exec.succeed(cmd) {
        note::debug(format_args!("{e}, ignoring: the next boot forgets the chain"));
    }
}

/// Arguments that undo what `-S` prints: first the rules outside that lead in, then the chains' own, then the chains.
fn changes(rules: &str, prefixes: &[&str]) -> Vec<Vec<String>> {
    let ours = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let (mut jumps, mut flushes, mut chains) = (Vec::new(), Vec::new(), Vec::new());
    for line in rules.lines() {
        let words = words(line);
        match words.as_slice() {
            [flag, chain, ..] if flag == "-N" && ours(chain) => {
                flushes.push(vec!["-F".to_owned(), chain.clone()]);
                chains.push(vec!["-X".to_owned(), chain.clone()]);
            }
            [flag, chain, rest @ ..] if flag == "-A" && !ours(chain) => {
                let target = rest.iter().position(|w| w == "-j" || w == "-g").and_then(|at| rest.get(at + 1));
                if target.is_some_and(|target| ours(target)) {
                    jumps.push(
                        ["-D", chain].into_iter().chain(rest.iter().map(String::as_str)).map(str::to_owned).gather(),
                    );
                }
            }
            _ => {}
        }
    }
    jumps.append(&mut flushes);
    jumps.append(&mut chains);
    jumps
}

/// Splits at blanks, but not inside double quotes, in which comments are written.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_legacy_table_that_nobody_made_is_not_looked_at() {
        crate::plan::tests::with_cx(|cx| {
            cx.root.write(RelPath::literal("proc/net/ip_tables_names"), 0o644, b"nat\nfilter\n").unwrap();
            for (program, table, made) in [
                ("iptables-legacy", "nat", true),
                ("/aux/iptables-legacy", "mangle", false),
                ("ip6tables-legacy", "nat", false),
                ("iptables", "mangle", true),
                ("ip6tables-nft", "nat", true),
            ] {
                assert_eq!(is_made(program, table, cx.root), made, "{program} {table}");
            }
        });
    }

    #[test]
    fn k3s_has_programs_where_the_host_has_none() {
        crate::plan::tests::with_cx(|cx| {
            assert_eq!(program("ip6tables-nft", cx), None);
            let place = RelPath::literal("var/lib/rancher/k3s/data/current/bin/aux/ip6tables-nft");
            cx.root.write(place, 0o755, b"").unwrap();
            assert_eq!(program("ip6tables-nft", cx), Some(cx.root.absolute(place).display().to_string()));
        });
    }

    #[test]
    fn only_our_chains_and_what_leads_into_them() {
        let rules = "-P PREROUTING ACCEPT\n-N DOCKER\n-N TUNNEL-PORT\n-N KUBE-SERVICES\n\
            -A PREROUTING -m comment --comment \"kubeedge tunnel port\" -j TUNNEL-PORT\n\
            -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER\n\
            -A OUTPUT -j KUBE-SERVICES\n\
            -A TUNNEL-PORT -p tcp -j DNAT --to 10.0.0.1:10003\n";
        let found: Vec<String> = changes(rules, &["KUBE-", "TUNNEL-PORT"]).iter().map(|args| args.join("|")).collect();
        assert_eq!(
            found,
            [
                "-D|PREROUTING|-m|comment|--comment|kubeedge tunnel port|-j|TUNNEL-PORT",
                "-D|OUTPUT|-j|KUBE-SERVICES",
                "-F|TUNNEL-PORT",
                "-F|KUBE-SERVICES",
                "-X|TUNNEL-PORT",
                "-X|KUBE-SERVICES",
            ]
        );
        assert!(changes("-P INPUT ACCEPT\n-A INPUT -j DOCKER", &["KUBE-"]).is_empty());
    }
}
