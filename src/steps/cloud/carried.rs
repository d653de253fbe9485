//! What releases of k3s have unpacked of themselves, a third of a GB each. k3s links to the last two and removes none.

use crate::error::Result;
use crate::gather::Gather;
use crate::host::process;
use crate::ids::RelPath;
use crate::k3s::CARRIED;
use crate::plan::Cx;

/// Removes those of which nothing is needed any more; to be called when the release that was put in place runs.
pub(super) fn drop_older(cx: &Cx<'_>) -> Result<()> {
    let linked: Vec<String> = [named_by("current", cx)?, named_by("previous", cx)?].into_iter().flatten().gather();
    if linked.is_empty() {
        return Ok(());
    }
    let running = process::picked(cx.root, |process| process.program.starts_with("/var/lib/rancher/k3s/data/"))?;
    for name in cx.root.list_or_empty(CARRIED)? {
        let dir = format!("{}/{name}", CARRIED.as_str());
        let inside = format!("/{dir}/");
        // The shims of pods that were started by it go on through upgrades, and call the runc beside them.
        let in_use = running.iter().any(|process| process.program.starts_with(&inside));
        if is_release(&name)
            && !linked.contains(&name)
            && !in_use
            && let Ok(path) = RelPath::parse(&dir)
        {
            cx.root.remove_tree(path)?;
        }
    }
    Ok(())
}

/// The name of the directory that a link of k3s's leads to.
fn named_by(link: &str, cx: &Cx<'_>) -> Result<Option<String>> {
    let link = format!("{}/{link}", CARRIED.as_str());
    let target = RelPath::parse(&link).map_or(Ok(None), |path| cx.root.read_link(path))?;
    Ok(target.and_then(|target| target.rsplit('/').next().map(str::to_owned)))
}

/// A digest, and not the directory of network plugins, say, that all of them share.
fn is_release(name: &str) -> bool {
    name.len() >= 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tree::Tree;
    use crate::plan::tests::with_cx;

    #[test]
    fn what_nothing_needs_goes() {
        let release = |digit: &str| digit.repeat(64);
        let data = |name: &str| format!("var/lib/rancher/k3s/data/{name}");
        let mut tree = Tree::new();
        for digit in ["a", "b", "c", "d", "e"] {
            tree = tree.file(&data(&format!("{}/bin/runc", release(digit))), "x");
        }
        let shim = format!("/{}/bin/containerd-shim-runc-v2", data(&release("c")));
        let tree = tree
            .file(&data("cni/bridge"), "x")
            .file(&data(".lock"), "")
            .process(7, &shim, &[&shim, "-id", "x"])
            .link(&data("current"), &format!("/{}", data(&release("e"))));
        let left = |tree: &Tree| {
            with_cx(|cx| {
                let root = tree.root();
                let Cx { clock, report, .. } = *cx;
                let cx = Cx { root: &root, exec: &mut *cx.exec, clock, report, journal: &mut *cx.journal, blobs: None };
                drop_older(&cx).unwrap();
                let mut left = root.list_or_empty(CARRIED).unwrap();
                left.retain(|name| is_release(name));
                left.sort();
                assert!(root.stat(RelPath::literal("var/lib/rancher/k3s/data/cni/bridge")).unwrap().is_some());
                left
            })
        };
        let tree = tree.link(&data("previous"), &format!("/{}", data(&release("d"))));
        assert_eq!(left(&tree), ["c", "d", "e"].map(release));
        let unlinked =
            Tree::new().file(&data(&format!("{}/bin/runc", release("a"))), "x").file(&data("cni/bridge"), "x");
        assert_eq!(left(&unlinked), [release("a")], "nothing tells which one is in use");
    }
}
