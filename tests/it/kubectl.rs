//! Real kubectls against the stand-in for the Kubernetes API: that they understand each other, and that what is wrong
//! with an object is found out. What the stand-in takes without a word would prove nothing in the tests of the cloud.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::standins::{program, wait_for};
use super::support::bed::{Ended, run};
use super::support::peers::skip;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// The one before fields were validated by the server, and the one nearest to k3s's own.
pub(super) const VERSIONS: [&str; 2] = ["1.20", "1.32"];

/// The cached kubectls; `None` after a SKIP line.
fn kubectls(test: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("EDGELAY_TEST_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/edgelay-tests"));
    let found = cache.or_else(home).map(|dir| dir.join("kubectl")).filter(|dir| dir.join("complete").exists());
    if found.is_none() {
        skip(test, "no kubectl to test with: run tests/fetch-kubectl");
    }
    found
}

/// A running stand-in; gone on drop.
pub(super) struct Api {
    folder: tempfile::TempDir,
    child: Child,
    kubectls: PathBuf,
}

fn serve(folder: &Path) -> Child {
    let at = |name: &str| folder.join(name).display().to_string();
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/standins/apiserver");
    let mut python = Command::new("/usr/bin/python3");
    python.arg("-B").arg(program).args(["--bind=127.0.0.1", "--port=0", "--node=cloud-1"]).env("STANDIN_STRICT", "1");
    for (flag, name) in
        [("db", "server/db"), ("images", "images.json"), ("kubeconfig", "k3s.yaml"), ("ready-file", "ready")]
    {
        python.arg(format!("--{flag}={}", at(name)));
    }
    let log = std::fs::File::create(folder.join("log")).unwrap();
    python.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

impl Api {
    pub(super) fn start(test: &str) -> Option<Api> {
        let kubectls = kubectls(test)?;
        let folder = tempfile::tempdir().unwrap();
        let images = r#"["docker.io/rancher/mirrored-pause:3.6","docker.io/kubeedge/there:v1","docker.io/kubeedge/newer:latest",
            "docker.io/kubeedge/edgemesh-agent:v1.17.0"]"#;
        std::fs::write(folder.path().join("images.json"), images).unwrap();
        let child = serve(folder.path());
        let api = Api { folder, child, kubectls };
        api.wait();
        Some(api)
    }

    /// Ends it as a boot does, once it has kept this text, and starts it with what it kept.
    pub(super) fn start_again(&mut self, kept: &str) {
        let store = self.folder.path().join("server/db/standin.json");
        let there = || std::fs::read_to_string(&store).unwrap_or_default().contains(kept).then_some(());
        assert!(wait_for(PATIENCE, there).is_some(), "{}", self.log());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::remove_file(self.folder.path().join("ready")).unwrap();
        self.child = serve(self.folder.path());
        self.wait();
    }

    fn wait(&self) {
        let up = wait_for(PATIENCE, || self.folder.path().join("ready").exists().then_some(()));
        assert!(up.is_some(), "{}", self.log());
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(super) fn kubectl(&self, version: &str, args: &[&str]) -> Ended {
        let mut kubectl = Command::new(self.kubectls.join(version).join("usr/bin/kubectl"));
        kubectl.arg(format!("--kubeconfig={}", self.folder.path().join("k3s.yaml").display())).args(args);
        run(kubectl.env("HOME", self.folder.path()))
    }

    /// Runs kubectl on a file with this text: `{file}` among the arguments stands for it.
    pub(super) fn with(&self, version: &str, args: &[&str], text: &str) -> Ended {
        let file = self.folder.path().join("object.yaml");
        std::fs::write(&file, text).unwrap();
        let file = format!("--filename={}", file.display());
        self.kubectl(version, &[args, &[file.as_str()]].concat())
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // ignoring: it may have ended by itself
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SPACE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: kubeedge}\n---\n";

fn deployment(image: &str) -> String {
    format!(
        "{SPACE}apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: kubeedge}}\nspec:\n  selector: \
         {{matchLabels: {{app: d}}}}\n  template:\n    metadata: {{labels: {{app: d}}}}\n    spec:\n      containers:\n      \
         - {{name: c, image: \"{image}\", resources: {{requests: {{cpu: 100m}}}}}}\n"
    )
}

const APPLY: [&str; 3] = ["apply", "--server-side", "--field-manager=edgelay"];

#[test]
fn real_kubectls_set_read_watch_and_delete() {
    let Some(api) = Api::start("real_kubectls_set_read_watch_and_delete") else { return };
    for version in VERSIONS {
        let k = |args: &[&str]| api.kubectl(version, args);
        assert_eq!(k(&["get", "--raw=/readyz"]).good(), "ok", "{version}");
        let text = deployment("kubeedge/there:v1");
        let dry = api.with(version, &["apply", "--dry-run=client"], &text).good();
        assert_eq!(dry, "namespace/kubeedge created (dry run)\ndeployment.apps/d created (dry run)\n");
        api.with(version, &[&APPLY[..], &["--dry-run=server"]].concat(), SPACE).good();
        k(&["get", "namespace", "kubeedge"]).fails(1, "namespaces \"kubeedge\" not found");
        let done = api.with(version, &APPLY, &text).good();
        assert_eq!(done, "namespace/kubeedge serverside-applied\ndeployment.apps/d serverside-applied\n");
        let before = k(&["get", "-n=kubeedge", "deployment/d", "-o=jsonpath={.metadata.generation}"]).good();
        api.with(version, &APPLY, &text).good();
        assert_eq!(k(&["get", "-n=kubeedge", "deployment/d", "-o=jsonpath={.metadata.generation}"]).good(), before);
        k(&["wait", "-n=kubeedge", "--for=condition=Available", "deployment/d", "--timeout=60s"]).good();
        k(&["rollout", "restart", "-n=kubeedge", "deployment/d"]).good();
        k(&["rollout", "status", "-n=kubeedge", "deployment/d", "--timeout=60s"]).good();
        k(&["taint", "node", "cloud-1", "a=b:NoSchedule"]).good();
        k(&["taint", "node", "cloud-1", "a-"]).good();
        k(&["delete", "namespace", "kubeedge", "--timeout=60s"]).good();
        k(&["get", "-n=kubeedge", "deployment/d"]).fails(1, "not found");
    }
    assert_eq!(api.log(), "");
}

#[test]
fn fields_of_others_are_not_taken_without_force() {
    let Some(api) = Api::start("fields_of_others_are_not_taken_without_force") else { return };
    let text = |value: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c, namespace: default}}\ndata: {{a: \"{value}\"{more}}}\n"
        )
    };
    let apply = |manager: &str, more: &[&str], text: &str| {
        let manager = format!("--field-manager={manager}");
        api.with("1.32", &[&["apply", "--server-side", &manager], more].concat(), text)
    };
    let data = || api.kubectl("1.32", &["get", "configmap", "c", "-o=jsonpath={.data}"]).good();
    apply("one", &[], &text("1", ", b: \"1\"")).good();
    apply("two", &[], &text("2", "")).fails(1, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    apply("two", &["--force-conflicts"], &text("2", "")).good();
    assert_eq!(data(), r#"{"a":"2","b":"1"}"#);
    // what its only owner no longer says goes; what others own stays
    apply("one", &[], "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: default}\n").good();
    assert_eq!(data(), r#"{"a":"2"}"#);
}

#[test]
fn a_pod_without_its_image_does_not_run() {
    let Some(api) = Api::start("a_pod_without_its_image_does_not_run") else { return };
    for (image, want) in [
        ("kubeedge/there:v1", "Running"),
        ("kubeedge/missing:v1", "ImagePullBackOff"),
        // present, but of a tag that is pulled always
        ("kubeedge/newer", "ImagePullBackOff"),
    ] {
        api.with("1.32", &APPLY, &deployment(image)).good();
        let path = "-o=jsonpath={.items[*].status.phase} {.items[*].status.containerStatuses[*].state.waiting.reason}";
        let seen = wait_for(PATIENCE, || {
            let pods = api.kubectl("1.32", &["get", "pods", "-n=kubeedge", path]).out;
            pods.contains(want).then_some(())
        });
        assert!(seen.is_some(), "{image}: {}", api.kubectl("1.32", &["get", "pods", "-A", "-o=yaml"]).out);
        // what was a default once stays, another image or not
        api.kubectl("1.32", &["delete", "-n=kubeedge", "deployment/d"]).good();
    }
}

/// What is put for what in a good Deployment, or a whole object, and the words of the refusal.
const BROKEN: [(&str, &str, &str); 12] = [
    ("selector", "selektor", ".spec.selektor: field not declared in schema"),
    ("image:", "imag:", ".spec.template.spec.containers[0].imag: field not declared in schema"),
    ("cpu: 100m", "cpu: much", "expected quantity, got string"),
    (
        "  selector: {matchLabels",
        "  replicas: \"2\"\n  selector: {matchLabels",
        ".spec.replicas: expected int32, got string",
    ),
    ("metadata: {labels: {app: d}}", "metadata: {labels: {app: e}}", "`selector` does not match template `labels`"),
    ("name: c, image: \"kubeedge/there:v1\"", "name: c", "spec.template.spec.containers[0].image: Required value"),
    ("{name: c,", "{name: C,", "a lowercase RFC 1123 label"),
    ("name: d, namespace", "name: D_, namespace", "a lowercase RFC 1123 subdomain"),
    ("namespace: kubeedge}\nspec", "namespace: other}\nspec", "namespaces \"other\" not found"),
    (
        "apps/v1\nkind: Deployment",
        "extensions/v1beta1\nkind: Deployment",
        "no matches for kind \"Deployment\" in version",
    ),
    ("resources:", "volumeMounts: [{name: x, mountPath: /x}], resources:", "volumeMounts[0].name: Not found: \"x\""),
    (
        "resources:",
        "imagePullPolicy: Sometimes, resources:",
        "Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
    ),
];

#[test]
fn broken_objects_are_refused() {
    let Some(api) = Api::start("broken_objects_are_refused") else { return };
    api.with("1.32", &APPLY, SPACE).good();
    let good = deployment("kubeedge/there:v1");
    for (from, to, why) in BROKEN {
        let broken = good.replacen(from, to, 1);
        assert_ne!(broken, good, "{from}");
        api.with("1.32", &APPLY, &broken).fails(1, why);
        // the older one looks at the shape itself
        assert_ne!(api.with("1.20", &APPLY, &broken).code, 0, "{to}");
    }
    api.kubectl("1.32", &["get", "-n=kubeedge", "deployment/d"]).fails(1, "not found");
    for (object, why) in [
        (
            "kind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: ClusterRole, name: x, apiGroup: rbac}\n",
            "roleRef.apiGroup: Unsupported value",
        ),
        (
            "kind: ClusterRole\nmetadata: {name: r}\nrules: [{resources: [pods], verbs: [get]}]\n",
            "rules[0].apiGroups: Required value",
        ),
    ] {
        let text = format!("apiVersion: rbac.authorization.k8s.io/v1\n{object}");
        api.with("1.32", &APPLY, &text).fails(1, why);
    }
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: kubeedge}\ndata: {a: no base64!}\n";
    api.with("1.32", &APPLY, secret).fails(1, ".data.a: expected []uint8, got string");
}

#[test]
fn keadm_refuses_what_helm_refuses() {
    let Some(api) = Api::start("keadm_refuses_what_helm_refuses") else { return };
    let apt = api.folder.path().join("bin");
    std::fs::create_dir(&apt).unwrap();
    std::fs::write(apt.join("apt"), "").unwrap();
    let config = format!("--kube-config={}", api.folder.path().join("k3s.yaml").display());
    let keadm = |path: &str, args: &[&str]| {
        let mut keadm = Command::new(program("standin-keadm"));
        run(keadm.args(args).env("PATH", format!("{path}:/usr/local/bin:/bin")).env("HOME", api.folder.path()))
    };
    let apt = apt.display().to_string();
    let init = ["init", "--advertise-address=10.0.0.1", "--kubeedge-version=v1.22.0", "--force", &config];
    if !["/bin/apt", "/bin/yum", "/usr/local/bin/apt"].iter().any(|path| std::path::Path::new(path).exists()) {
        keadm("/nonexistent", &init).fails(2, "Failed to detect supported package manager command(apt, yum, pacman)");
    }
    keadm(&apt, &["init", "--force", "--kube-config=/nonexistent"])
        .fails(1, "failed to build config, err: stat /nonexistent: no such file or directory");
    keadm(&apt, &["init", "--advertise-adress=10.0.0.1"]).fails(1, "unknown flag: --advertise-adress");
    keadm(&apt, &[&init[..], &["--set=cloudCore.modules.dynamiccontroller.enable=true"]].concat())
        .fails(1, "the chart has no value 'cloudCore.modules.dynamiccontroller.enable'");
    keadm(&apt, &["gettoken", &config]).fails(1, "failed to get token, err is ");
    keadm(&apt, &["upgrade", "cloud", &config]).fails(1, "configmaps \"cloudcore\" not found");
    let done = keadm(&apt, &init).good();
    assert!(done.contains("STATUS: deployed"), "{done}");
    let exists = "the cloudcore release already exists, and you can upgrade the cloudcore using the `keadm upgrade`";
    keadm(&apt, &init).fails(1, exists);
    let upgraded = keadm(&apt, &[&["upgrade", "cloud"], &init[1..]].concat()).good();
    assert!(upgraded.contains("REVISION: 2"), "{upgraded}");
    let labels = "-o=jsonpath={.items[*].metadata.labels.status}";
    let states = api.kubectl("1.32", &["get", "secrets", "-n=kubeedge", "-l=owner=helm", labels]).good();
    assert_eq!(states, "superseded deployed");
}
