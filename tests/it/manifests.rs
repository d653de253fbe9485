//! Everything that the product sets in a cluster, as its own steps send it: real kubectls and the stand-in for the API
//! must take it as it is, and must not take it with one field misspelt.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use edgelay::clock::SystemClock;
use edgelay::config::{CloudConfig, K3sMode};
use edgelay::error::Result;
use edgelay::exec::{Cmd, Exec, Output};
use edgelay::ids::RelPath;
use edgelay::kubeedge::Chart;
use edgelay::plan::{Cx, Journal, Status, Step};
use edgelay::report::{Report, Style};
use edgelay::root::Root;
use edgelay::steps::cloud::{Addons, CRDS, CloudCore, EdgeMesh};

use super::kubectl::{Api, PATIENCE, VERSIONS};
use super::standins::wait_for;
use super::support::bed::Ended;

/// What was sent, and whether kubectl may hold it against the API's description: parts of objects lack what must be.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    text: String,
    whole: bool,
}

/// A machine whose `k3s kubectl` is a real kubectl; there is no other program.
struct Machine<'a> {
    api: &'a Api,
    sent: Vec<Sent>,
    looks: usize,
}

impl std::fmt::Debug for Machine<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("sent", &self.sent).finish_non_exhaustive()
    }
}

/// How each version says whether it looks at the fields.
fn validate(version: &str, whole: bool) -> &'static str {
    match (whole, version) {
        (false, _) => "--validate=false",
        (true, "1.20") => "--validate=true",
        (true, _) => "--validate=strict",
    }
}

fn client(api: &Api, version: &str, sent: &Sent) -> Ended {
    api.with(version, &["apply", "--dry-run=client", validate(version, sent.whole)], &sent.text)
}

/// As the product sends it, but that nothing is kept.
fn server(api: &Api, version: &str, sent: &Sent) -> Ended {
    let line = ["apply", "--server-side", "--force-conflicts", "--field-manager=edgelay", "--dry-run=server"];
    api.with(version, &[&line[..], &[validate(version, sent.whole)]].concat(), &sent.text)
}

impl Exec for Machine<'_> {
    fn run(&mut self, cmd: &Cmd) -> Result<Output> {
        if cmd.program != "k3s" {
            return Ok(Output {
                code: 127,
                stderr: format!("{}: an error: it is not here", cmd.program),
                ..Output::default()
            });
        }
        let args: Vec<&str> = cmd.args.iter().map(String::as_str).collect();
        let ["kubectl", "--kubeconfig=/k", args @ ..] = &args[..] else { panic!("{cmd}") };
        self.looks += usize::from(args[0] == "get");
        if args[0] == "apply" {
            let file = args.iter().find_map(|arg| arg.strip_prefix("--filename=")).unwrap();
            let whole = args.contains(&"--validate=strict");
            assert_ne!(whole, args.contains(&"--validate=false"), "{cmd}");
            // it may hold a secret
            let mode = std::fs::metadata(file).unwrap().permissions().mode();
            assert!(mode & 0o077 == 0 || !file.ends_with("manifest.json"), "{file} has mode {mode:o}");
            let sent = Sent { text: std::fs::read_to_string(file).unwrap(), whole };
            if !self.sent.contains(&sent) {
                for version in VERSIONS {
                    client(self.api, version, &sent).good();
                    server(self.api, version, &sent).good();
                }
                self.sent.push(sent);
            }
        }
        let Ended { code, out, err } = self.api.kubectl("1.32", args);
        Ok(Output { code, stdout: out, stderr: err, binary: None })
    }

    fn spawn(&mut self, cmd: &Cmd, _log: RelPath<'_>) -> Result<u32> {
        panic!("{cmd}")
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        Some(PathBuf::from("/usr/bin").join(program))
    }
}

/// The three definitions come with the bundle; these have their form, not their fields.
fn definition(name: &str) -> String {
    let (plural, group) = name.split_once('.').unwrap();
    format!(
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {name}}}\nspec:\n  group: \
         {group}\n  scope: Namespaced\n  names: {{plural: {plural}, singular: x{plural}, kind: X{plural}, listKind: \
         X{plural}List}}\n  versions:\n  - name: v1alpha3\n    served: true\n    storage: true\n    schema:\n      \
         openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}\n"
    )
}

fn config() -> CloudConfig {
    CloudConfig {
        addresses: vec!["192.0.2.10".parse().unwrap()],
        name: Some("cloud-1".parse().unwrap()),
        kubeconfig: "/k".into(),
        k3s: K3sMode::Existing,
        ..CloudConfig::default()
    }
}

/// Lets `work` run steps on a machine of their own.
fn with_cx<T>(api: &Api, work: impl FnOnce(&mut Cx<'_>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    let mut journal = Journal::open(&root).unwrap();
    let report = Report::new(Box::new(std::io::sink()), Style::Plain);
    let (mut machine, clock) = (Machine { api, sent: Vec::new(), looks: 0 }, SystemClock::default());
    work(&mut Cx {
        root: &root,
        exec: &mut machine,
        clock: &clock,
        report: &report,
        journal: &mut journal,
        blobs: None,
    })
}

/// Runs the steps that set something, each twice; returns what was sent.
fn send(api: &Api) -> Vec<Sent> {
    let folder = tempfile::tempdir().unwrap();
    let root = Root::open(folder.path()).unwrap();
    root.write(RelPath::literal("dev/urandom"), 0o600, &[7; 64]).unwrap();
    for (path, name) in CRDS {
        root.write(RelPath::literal(path), 0o644, definition(name).as_bytes()).unwrap();
    }
    let mut journal = Journal::open(&root).unwrap();
    let report = Report::new(Box::new(std::io::sink()), Style::Plain);
    let (mut machine, clock) = (Machine { api, sent: Vec::new(), looks: 0 }, SystemClock::default());
    let config = config();
    let mut cx =
        Cx { root: &root, exec: &mut machine, clock: &clock, report: &report, journal: &mut journal, blobs: None };
    // There is no keadm: the namespace is made before.
    let e = CloudCore::new(&config, Chart::new(&config, "v1.22.0".into())).apply(&mut cx).unwrap_err();
    assert!(e.to_string().contains("keadm"), "{e}");
    let mesh = EdgeMesh::new(&config, Some("docker.io/kubeedge/edgemesh-agent:v1.17.0".into()));
    let addons = Addons::new(&config);
    let steps: [&dyn Step; 2] = [&addons, &mesh];
    for step in steps {
        assert!(matches!(step.check(&mut cx).unwrap(), Status::Todo(_)), "{}", step.id());
        step.apply(&mut cx).unwrap();
        assert_eq!(step.check(&mut cx).unwrap(), Status::Done, "{}", step.id());
        step.undo(&mut cx).unwrap();
        assert!(matches!(step.check(&mut cx).unwrap(), Status::Todo(_)), "{}", step.id());
        step.apply(&mut cx).unwrap();
        assert_eq!(step.check(&mut cx).unwrap(), Status::Done, "{}", step.id());
    }
    let off = EdgeMesh::new(&config, None);
    assert!(matches!(off.check(&mut cx).unwrap(), Status::Todo(_)));
    off.apply(&mut cx).unwrap();
    assert_eq!(off.check(&mut cx).unwrap(), Status::Done);
    mesh.apply(&mut cx).unwrap();
    // A look at a cluster that is as it should be takes few calls: each costs the start of a program.
    for (step, most) in steps.into_iter().zip([3, 4]) {
        machine.looks = 0;
        let exec = &mut machine;
        let mut cx = Cx { root: &root, exec, clock: &clock, report: &report, journal: &mut journal, blobs: None };
        assert_eq!(step.check(&mut cx).unwrap(), Status::Done, "{}", step.id());
        assert!(machine.looks <= most, "{} calls of kubectl for a look at {}", machine.looks, step.id());
    }
    machine.sent
}

/// One field of every object that the product sets, and how it is misspelt.
const MISSPELT: [(&str, &str); 16] = [
    // the namespace
    ("\"name\":\"kubeedge\",\"labels\"", "\"name\":\"kubeedge\",\"lables\""),
    // add-ons, traefik
    ("\"coredns\",\"namespace\"", "\"coredns\",\"namspace\""),
    ("\"nodeSelectorTerms\"", "\"nodeSelectorTerm\""),
    ("\"affinity\"", "\"afinity\""),
    ("\"command\"", "\"comand\""),
    ("\"valuesContent\"", "\"valueContent\""),
    ("\"bootstrap\"", "\"bootstrapped\""),
    // EdgeMesh
    ("\"stringData\"", "\"stringdata\""),
    ("\"kind\":\"ServiceAccount\",\"metadata\"", "\"kind\":\"ServiceAccount\",\"metaData\""),
    ("\"verbs\"", "\"verb\""),
    ("\"roleRef\"", "\"roleref\""),
    ("\"data\"", "\"date\""),
    ("\"fieldPath\"", "\"fieldpath\""),
    ("\"secretName\"", "\"secret_name\""),
    ("\"name\":\"kubernetes\",\"namespace\"", "\"name\":\"kubernetes\",\"namespaces\""),
    // its definitions
    ("scope:", "skope:"),
];

/// k3s applies its own manifests at every start.
#[test]
fn what_is_set_of_addons_outlives_a_start_of_k3s() {
    let Some(mut api) = Api::start("what_is_set_of_addons_outlives_a_start_of_k3s") else { return };
    addons_are_there(&api);
    let addons = Addons::new(&config());
    with_cx(&api, |cx| addons.apply(cx)).unwrap();
    assert_eq!(with_cx(&api, |cx| addons.check(cx)).unwrap(), Status::Done);
    let kept = |api: &Api| {
        let path = "-o=jsonpath={.items[*].spec.template.spec.containers[0].command}{.items[*].spec.template.spec.affinity}{.items[*].spec.bootstrap}";
        let names = ["deployment/metrics-server", "helmchart/traefik", "helmchart/traefik-crd"];
        api.kubectl("1.32", &[&["get"], &names[..], &["-n=kube-system", path]].concat()).good()
    };
    let before = kept(&api);
    assert!(before.ends_with("true true"), "{before}");
    assert!(before.contains("--kubelet-insecure-tls") && before.contains("node-role.kubernetes.io/edge"), "{before}");
    // what k3s's manifest does have is put back, or this would prove nothing
    let args = r#"{"spec":{"template":{"spec":{"containers":[{"name":"metrics-server","args":["--mine"]}]}}}}"#;
    let patch = ["patch", "deployment/metrics-server", "-n=kube-system", "--type=strategic"];
    api.kubectl("1.32", &[&patch[..], &[&format!("--patch={args}")]].concat()).good();
    api.start_again("--mine");
    let path = "-o=jsonpath={.spec.template.spec.containers[0].args}";
    let args = api.kubectl("1.32", &["get", "deployment/metrics-server", "-n=kube-system", path]).good();
    assert!(args.contains("--secure-port=10250") && !args.contains("--mine"), "{args}");
    assert_eq!(kept(&api), before);
    assert_eq!(with_cx(&api, |cx| addons.check(cx)).unwrap(), Status::Done);
}

fn addons_are_there(api: &Api) {
    for args in [["get", "helmchart/traefik"], ["get", "deployment/metrics-server"], ["get", "node/cloud-1"]] {
        let there = wait_for(PATIENCE, || {
            (api.kubectl("1.32", &[&args[..], &["-n=kube-system"]].concat()).code == 0).then_some(())
        });
        assert!(there.is_some(), "{args:?}: {}", api.log());
    }
}

#[test]
fn what_the_product_sets_is_taken_and_nothing_misspelt() {
    let Some(api) = Api::start("what_the_product_sets_is_taken_and_nothing_misspelt") else { return };
    addons_are_there(&api);
    let sent = send(&api);
    let mut untouched: Vec<&str> = sent.iter().map(|sent| sent.text.as_str()).collect();
    for (from, to) in MISSPELT {
        let good = sent.iter().find(|sent| sent.text.contains(from)).unwrap_or_else(|| panic!("nothing says {from}"));
        untouched.retain(|text| !text.contains(from));
        let bad = Sent { text: good.text.replacen(from, to, 1), whole: good.whole };
        // The newer one leaves the fields to the server; the older one looks itself, where it is told to.
        let older = if bad.whole { client(&api, "1.20", &bad) } else { server(&api, "1.20", &bad) };
        let word = to.trim_end_matches(['"', ':']).rsplit('"').next().unwrap();
        for refused in [older, server(&api, "1.32", &bad)] {
            refused.fails(1, word);
        }
    }
    assert_eq!(untouched, [""; 0], "manifests without a field in the table");
    assert_eq!(api.log(), "");
}
