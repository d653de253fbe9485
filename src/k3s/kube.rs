//! The cluster's objects through `k3s kubectl`: read as JSON, set by server-side apply, never patched as text.

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Kind, Result};
use crate::exec::{Cmd, Exec, Output};
use crate::ids::RelPath;
use crate::json::{self, Value};
use crate::root::Root;

/// The API may be busy; kubectl itself has no limit.
const LIMIT: Duration = Duration::from_secs(60);
/// Of one answer; the door to programs keeps no more than its end anyway.
const MAX_ANSWER: usize = 1 << 20;
/// Who owns the fields that we set.
const MANAGER: &str = "--field-manager=edgelay";
/// kubectl's home: what it remembers of the API lies there and not in that of root, whose settings for kubectl are not
/// meant for us. An uninstall removes it.
pub const HOME: RelPath<'static> = RelPath::literal("run/edgelay/kubectl");
/// What is applied passes through this file, as it may hold a secret and standard input is closed. A cut may leave it.
pub const MANIFEST: RelPath<'static> = RelPath::literal("var/lib/edgelay/manifest.json");

/// A cluster.
#[derive(Debug)]
pub struct Kube<'a> {
    kubeconfig: &'a Path,
    exec: &'a mut dyn Exec,
}

impl<'a> Kube<'a> {
    /// The cluster of `kubeconfig`.
    pub fn new(kubeconfig: &'a Path, exec: &'a mut dyn Exec) -> Self {
        Kube { kubeconfig, exec }
    }

    /// Runs kubectl; a bad exit status is no error.
    pub fn run(&mut self, args: &[&str]) -> Result<Output> {
        let config = format!("--kubeconfig={}", self.kubeconfig.display());
        let mut all = vec!["kubectl", &config];
        all.extend_from_slice(args);
        let mut cmd = Cmd::new("k3s", &all).limit(LIMIT);
        cmd.env.push(("HOME".to_owned(), HOME.to_string()));
        self.exec.run(&cmd)
    }

    /// Runs kubectl and gives what it printed.
    fn text(&mut self, args: &[&str]) -> Result<String> {
        let output = self.run(args)?;
        good(&args.join(" "), output)
    }

    /// Runs kubectl for what it does, not for what it prints.
    fn done(&mut self, args: &[&str]) -> Result<()> {
        self.text(args).map(|_| ())
    }

    /// The object `name`. `None`: there is none, or the cluster does not know the kind.
    pub fn get(&mut self, kind: &str, space: &str, name: &str) -> Result<Option<Value>> {
        Ok(self.some(space, &[&format!("{kind}/{name}")])?.into_iter().next())
    }

    /// Those of `names`, each a `kind/name`, that are there, by one call. None if the cluster does not know a kind.
    pub fn some(&mut self, space: &str, names: &[&str]) -> Result<Vec<Value>> {
        let output = self.named(space, names, "--output=json")?;
        if output.code != 0 && output.stderr.contains("doesn't have a resource type") {
            return Ok(Vec::new());
        }
        let said = good(&format!("get {}", names.join(" ")), output)?;
        if said.trim().is_empty() {
            return Ok(Vec::new());
        }
        items(&said, names.first().copied().unwrap_or_default())
    }

    /// The first of `names`, each a `kind/name`, that is not there; nothing of them but the names is read.
    pub fn missing<'n>(&mut self, space: &str, names: &[&'n str]) -> Result<Option<&'n str>> {
        let output = self.named(space, names, "--output=name")?;
        let said = good(&format!("get {}", names.join(" ")), output)?;
        // Kinds are printed with their groups.
        fn last(name: &str) -> &str {
            name.rsplit('/').next().unwrap_or_default()
        }
        Ok(names.iter().copied().find(|name| !said.lines().any(|line| last(line) == last(name))))
    }

    fn named(&mut self, space: &str, names: &[&str], output: &str) -> Result<Output> {
        let space = format!("--namespace={space}");
        self.run(&[&["get"], names, &[space.as_str(), "--ignore-not-found", output]].concat())
    }

    /// The pods with the labels `selector` that have not failed, on one node or on all: what runs on every node may be
    /// thousands of pods, and of an evicted one nothing but its name is left, for long.
    pub fn pods(&mut self, space: &str, selector: &str, node: Option<&str>) -> Result<Vec<Value>> {
        let (space, fields) = (format!("--namespace={space}"), alive(&node.map(on).unwrap_or_default()));
        let selector = format!("--selector={selector}");
        items(&self.text(&["get", "pods", &space, &fields, &selector, "--output=json"])?, "pods")
    }

    /// What kubectl prints of all pods on `node` when it is given the option `output`.
    pub fn pods_as(&mut self, node: &str, output: &str) -> Result<String> {
        self.text(&["get", "pods", "--all-namespaces", &alive(&on(node)), output])
    }

    /// What kubectl prints of the pods with the labels `selector` on other nodes than `node` when it is given the option
    /// `output`.
    pub fn pods_elsewhere(&mut self, node: &str, space: &str, selector: &str, output: &str) -> Result<String> {
        let (space, fields) = (format!("--namespace={space}"), alive(&format!(",spec.nodeName!={node}")));
        self.text(&["get", "pods", &space, &fields, &format!("--selector={selector}"), output])
    }

    /// Whether there is any object of `kind` with the labels `selector`; none of it but the names is read.
    pub fn has(&mut self, kind: &str, space: &str, selector: &str) -> Result<bool> {
        Ok(!self.shown(kind, space, selector, "--output=name")?.trim().is_empty())
    }

    /// What kubectl prints of the objects of `kind` with the labels `selector` when it is given the option `output`.
    pub fn shown(&mut self, kind: &str, space: &str, selector: &str, output: &str) -> Result<String> {
        let (space, selector) = (format!("--namespace={space}"), format!("--selector={selector}"));
        self.text(&["get", kind, &space, &selector, output])
    }

    /// One field of an object as text; empty if object or field is not there.
    pub fn field(&mut self, kind: &str, space: &str, name: &str, path: &str) -> Result<String> {
        let (space, path) = (format!("--namespace={space}"), format!("--output=jsonpath={{{path}}}"));
        self.text(&["get", kind, name, &space, "--ignore-not-found", &path])
    }

    /// Asks the API for `path`.
    pub fn raw(&mut self, path: &str) -> Result<Output> {
        self.run(&["get", &format!("--raw={path}")])
    }

    /// Sets what `manifest` says, and only that: fields that others set stay.
    pub fn apply(&mut self, root: &Root, manifest: &str) -> Result<()> {
        self.apply_with(root, manifest, "--validate=strict")
    }

    /// The same for parts of objects that are there: kubectl's own check may want them whole. The API's does not, and
    /// refuses a field that it does not know in any case.
    pub fn apply_part(&mut self, root: &Root, manifest: &str) -> Result<()> {
        self.apply_with(root, manifest, "--validate=false")
    }

    fn apply_with(&mut self, root: &Root, manifest: &str, check: &str) -> Result<()> {
        root.write(MANIFEST, 0o600, manifest.as_bytes())?;
        let applied = self.apply_path(&root.absolute(MANIFEST), check);
        // The first error counts; it may hold a secret, so it goes in any case.
        let removed = root.remove(MANIFEST);
        applied.and(removed.map(|_| ()))
    }

    /// The same with a file that is there.
    pub fn apply_file(&mut self, path: &Path) -> Result<()> {
        self.apply_path(path, "--validate=strict")
    }

    fn apply_path(&mut self, path: &Path, check: &str) -> Result<()> {
        let file = format!("--filename={}", path.display());
        self.done(&["apply", "--server-side", "--force-conflicts", MANAGER, check, &file])
    }

    /// Takes the taint `key` from the node `name`.
    pub fn untaint(&mut self, name: &str, key: &str) -> Result<()> {
        self.done(&["taint", "node", name, &format!("{key}-")])
    }

    /// Sets a label, `KEY=VALUE`, or takes it, `KEY-`, from the nodes that `which` says: a name, or `--selector=…`.
    pub fn label_nodes(&mut self, which: &str, label: &str) -> Result<()> {
        self.done(&["label", "nodes", which, label, "--overwrite"])
    }

    /// Changes fields of the object `name` by a patch of this form; one that is null goes.
    pub fn patch(&mut self, kind: &str, space: &str, name: &str, (form, patch): (&str, &str)) -> Result<()> {
        let (space, form, patch) =
            (format!("--namespace={space}"), format!("--type={form}"), format!("--patch={patch}"));
        self.done(&["patch", kind, name, &space, &form, &patch])
    }

    /// Deletes the object `name`, if it is there; does not wait until it is gone.
    pub fn delete(&mut self, kind: &str, space: &str, name: &str) -> Result<()> {
        let space = format!("--namespace={space}");
        self.done(&["delete", kind, name, &space, "--ignore-not-found", "--wait=false"])
    }

    /// Deletes every object of `kind` with the labels `selector`.
    pub fn delete_all(&mut self, kind: &str, space: &str, selector: &str) -> Result<()> {
        let (space, selector) = (format!("--namespace={space}"), format!("--selector={selector}"));
        self.done(&["delete", kind, &space, &selector, "--ignore-not-found", "--wait=false"])
    }
}

fn on(node: &str) -> String {
    format!(",spec.nodeName={node}")
}

fn alive(more: &str) -> String {
    format!("--field-selector=status.phase!=Failed{more}")
}

/// What was printed, by a kubectl that did not fail.
fn good(args: &str, output: Output) -> Result<String> {
    if output.code == 0 {
        return Ok(output.stdout);
    }
    let what = format!("'kubectl {args}' ended with status {}: {}", output.code, output.last_words());
    let hint = match output.stderr.contains("The connection to the server") {
        true => "k3s does not answer: start it, or see in its log why; then run again",
        false => "look at 'k3s kubectl get pods -A'; then run again",
    };
    Err(Error::new(Kind::Cluster, what).hint(hint))
}

/// Of a list; one object that was asked for by its name is printed alone.
fn items(text: &str, kind: &str) -> Result<Vec<Value>> {
    let found = parse(text, kind)?;
    Ok(match found.get("items").and_then(|items| items.items().ok()) {
        Some(items) => items.to_vec(),
        None => vec![found],
    })
}

/// The object of this `kind/name` among `found`.
pub fn pick<'a>(found: &'a [Value], wanted: &str) -> Option<&'a Value> {
    let (kind, name) = wanted.split_once('/')?;
    let is = |object: &&Value| object.text_at(&["kind"]).eq_ignore_ascii_case(kind);
    found.iter().find(|object| object.text_at(&["metadata", "name"]) == name && is(object))
}

fn parse(text: &str, kind: &str) -> Result<Value> {
    json::read(text.as_bytes(), MAX_ANSWER)
        .map_err(|e| Error::new(Kind::Cluster, format_args!("kubectl's answer on {kind} cannot be read: {e}")))
}
