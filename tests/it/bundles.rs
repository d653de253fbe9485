//! Bundles from release archives and `docker save` files: made, looked at, verified, and read by other tools.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use edgelay::bundle::{self, Bundle, Fault, Request};
use edgelay::digest::Digest;
use edgelay::error::Kind;
use edgelay::ids::Arch;
use edgelay::mode::bundle::{Format, VerifyRequest, create, show, verify};
use serde_json::Value;
use tempfile::TempDir;

use super::support::bundles::{Inputs, program, release};
use super::support::daemon::Daemon;
use super::support::images::{Packed, Same, Spec, docker, layer, oci};
use super::support::peers::{VERSIONS, skip};

fn scratch() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn make(request: &Request, file: &Path) -> Value {
    let mut out = Vec::new();
    create(request, file, Format::Json, &mut out).unwrap();
    serde_json::from_slice(&out).unwrap()
}

fn refusal(request: &Request) -> (Kind, String) {
    let e = request.gather().unwrap_err();
    (e.kind(), e.to_string())
}

/// A bundle for `arch`, with the names of its components.
fn edge_bundle(dir: &Path, arch: Arch) -> PathBuf {
    let file = dir.join("edge.bundle");
    make(&Inputs::new(dir, arch).request(), &file);
    file
}

/// Whoever puts an image of his own into the directory must hear that its name decides.
#[test]
fn archives_that_were_not_taken_are_named() {
    let dir = scratch();
    let inputs = Inputs::new(dir.path(), Arch::Arm64);
    let spec = Spec::new(&["site/app:1"], vec![layer::small(7, 4)]).arch("arm64", None);
    let (app, text) = (inputs.images.join("site-app-1.tar"), inputs.images.join("k3s-images.txt"));
    docker(&[spec], Same::Copy).save(&app, Packed::Plain);
    fs::write(text, "x").unwrap();
    let file = dir.path().join("edge.bundle");
    let mut request = inputs.request();
    // Release archives end alike; they are no images.
    request.images.push(inputs.components.clone());
    let note = |made: &Value| made["notes"].clone();
    let want = format!(
        "not taken, as the role needs no image of that name: '{}'; to add one, give it by its own name",
        app.display()
    );
    assert_eq!(note(&make(&request, &file)), serde_json::json!([want]));
    request.images.push(app);
    assert_eq!(note(&make(&request, &file)), serde_json::json!([]));
}

/// Its reader has limits on metadata; a bundle beyond them is refused before it is carried to a node.
#[test]
fn what_no_node_would_read_is_not_made() {
    let dir = scratch();
    let mut request = Inputs::new(dir.path(), Arch::Arm64).request();
    let label = "x".repeat(500_000);
    for n in 0..9 {
        let name = format!("site/app{n}:1");
        let spec = Spec::new(&[&name], vec![layer::small(7, 4)]).arch("arm64", None).cmd(&[&name, &label]);
        let file = dir.path().join(format!("app{n}.tar"));
        docker(&[spec], Same::Copy).save(&file, Packed::Plain);
        request.images.push(file);
    }
    let (file, mut out) = (dir.path().join("edge.bundle"), Vec::new());
    let e = create(&request, &file, Format::Json, &mut out).unwrap_err();
    let want = "cannot make the bundle: image 'docker.io/site/app8:1': manifests and configs of all images together \
        exceed 4194304 bytes";
    assert_eq!((e.kind(), e.to_string().as_str(), file.exists()), (Kind::Bundle, want, false));
    assert!(e.hint_text().is_some_and(|hint| hint.starts_with("leave out images")), "{e:?}");
    request.images.pop();
    make(&request, &file);
    Bundle::open(&file).unwrap();
}

#[test]
fn an_edge_bundle_has_all_that_the_catalogue_wants_in_its_order() {
    let dir = scratch();
    let file = dir.path().join("edge.bundle");
    let inputs = Inputs::new(dir.path(), Arch::Arm64);
    let created = make(&inputs.request(), &file);
    assert_eq!(created["size"], fs::metadata(&file).unwrap().len());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "no temporary file is left");
    let bundle = Bundle::open(&file).unwrap();
    assert_eq!(created["identity"], bundle.identity().to_string());
    let components: Vec<_> = bundle
        .components()
        .iter()
        .map(|c| (c.source.as_str(), c.version.as_deref(), c.destination().as_str(), c.mode.bits()))
        .collect();
    let (containerd, cni) = ("containerd-2.1.4-linux-arm64.tar.gz", "cni-plugins-linux-arm64-v1.9.1.tgz");
    let plugin = |name: &str| (format!("{cni}/{name}"), format!("opt/cni/bin/{name}"));
    let plugins = ["bridge", "host-local", "portmap", "loopback"].map(plugin);
    let mut want = vec![
        (format!("{containerd}/bin/containerd"), Some("2.1.4"), "usr/local/bin/containerd".to_owned()),
        (
            format!("{containerd}/bin/containerd-shim-runc-v2"),
            Some("2.1.4"),
            "usr/local/bin/containerd-shim-runc-v2".to_owned(),
        ),
        ("runc.arm64".to_owned(), None, "usr/local/sbin/runc".to_owned()),
    ];
    want.extend(plugins.into_iter().map(|(source, to)| (source, Some("v1.9.1"), to)));
    let keadm = "keadm-v1.22.0-linux-arm64";
    want.push((format!("{keadm}.tar.gz/{keadm}/keadm/keadm"), None, "usr/local/bin/keadm".to_owned()));
    let want: Vec<_> = want.iter().map(|(source, v, to)| (source.as_str(), *v, to.as_str(), 0o755)).collect();
    assert_eq!(components, want);
    assert_eq!(bundle.component("runc").unwrap().digest, Digest::of(&program(Arch::Arm64, "runc")));
    let images: Vec<_> = bundle.images().iter().map(|i| i.names[0].as_str()).collect();
    assert_eq!(images, ["docker.io/kubeedge/pause:3.6", "docker.io/kubeedge/installation-package:v1.22.0"]);
    // From the images' configs: the same input has no other clock.
    assert_eq!(bundle.manifest().built.to_string(), "2024-01-01T00:00:00Z");
    // The base layer counts once.
    let base = bundle.images()[0].layers[0].blob.size;
    let own: u64 = bundle.images().iter().map(|i| i.layers[1].blob.size).sum();
    assert_eq!(bundle.sizes().unpacked, base + own);
}

#[test]
fn images_become_pure_oci_images() {
    let dir = scratch();
    let inputs = Inputs::new(dir.path(), Arch::Amd64);
    let image = |name: &str, seed| Spec::new(&[name], vec![layer::small(seed, 20)]).arch("amd64", None);
    // Other shapes: an OCI layout with zstd layers, an old archive with layers that Docker's media types do not tell.
    let zstd = dir.path().join("a.tar.gz");
    oci(&[&[image("site/zstd:1", 5), image("site/zstd:1", 6).arch("arm64", Some("v8"))]], Packed::Zstd)
        .save(&zstd, Packed::Gzip);
    let odd = dir.path().join("b.tar");
    super::support::images::docker_packed(&[image("site/odd:1", 7)], Same::Copy, Packed::Zstd)
        .save(&odd, Packed::Plain);
    let layout = dir.path().join("layout");
    oci(&[&[image("site/dir:1", 8)]], Packed::Gzip).save_dir(&layout);
    let mut request = inputs.request();
    request.images.extend([odd, zstd, layout]);
    let file = dir.path().join("b.bundle");
    make(&request, &file);
    let bundle = Bundle::open(&file).unwrap();
    let shapes: Vec<_> = bundle
        .images()
        .iter()
        .map(|i| {
            assert_eq!(i.manifest.media_type, "application/vnd.oci.image.manifest.v1+json");
            assert_eq!(i.config.media_type, "application/vnd.oci.image.config.v1+json");
            (
                i.names[0].as_str(),
                i.layers[0].blob.media_type.strip_prefix("application/vnd.oci.image.layer.v1.").unwrap(),
            )
        })
        .collect();
    assert_eq!(
        shapes,
        [
            ("docker.io/kubeedge/pause:3.6", "tar"),
            ("docker.io/kubeedge/installation-package:v1.22.0", "tar"),
            ("docker.io/site/dir:1", "tar+gzip"),
            ("docker.io/site/odd:1", "tar+zstd"),
            ("docker.io/site/zstd:1", "tar+zstd"),
        ]
    );
    assert_eq!(bundle::verify(&file, Some(Arch::Amd64)).unwrap().flaws, []);
}

#[test]
fn same_input_same_bytes() {
    let (one, two) = (scratch(), scratch());
    let bytes = |dir: &Path, turn: bool| {
        let inputs = Inputs::new(dir, Arch::Amd64);
        let site = |name: &str| {
            let path = dir.join(format!("{name}.tar"));
            let spec = Spec::new(&[&format!("site/{name}:1")], vec![layer::small(9, 10)]).arch("amd64", None);
            docker(&[spec], Same::Copy).save(&path, Packed::Plain);
            path
        };
        let mut request = inputs.request();
        request.images.extend([site("x"), site("y")]);
        request.with = vec!["ctr".into(), "bandwidth".into()];
        if turn {
            request.images.reverse();
            request.with.reverse();
            let old = fs::File::options().append(true).open(inputs.components.join("runc.amd64")).unwrap();
            old.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let file = dir.join("out.bundle");
        make(&request, &file);
        fs::read(file).unwrap()
    };
    let (first, second) = (bytes(one.path(), false), bytes(two.path(), true));
    assert!(first == second);
    let bundle = Bundle::from_seekable(std::io::Cursor::new(first), "b").unwrap();
    assert!(bundle.component("ctr").is_some() && bundle.component("bandwidth").is_some());
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    let dir = scratch();
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let inputs = Inputs::new(dir.path(), Arch::Arm64);
    let none = Request { components: vec![empty.clone()], images: vec![empty], ..inputs.request() };
    let (kind, text) = refusal(&none);
    assert_eq!(kind, Kind::Bundle);
    for part in [
        "component 'containerd' is missing (looked for 'containerd-*-linux-arm64.tar.gz', 'containerd-static-*-linux-arm64.tar.gz', 'containerd.arm64', 'containerd')",
        "component 'containerd-shim-runc-v2' is missing",
        "component 'runc' is missing (looked for 'runc.arm64', 'runc')",
        "component 'bridge' is missing (looked for 'cni-plugins-linux-arm64-*.tgz', 'bridge')",
        "component 'host-local' is missing",
        "component 'portmap' is missing",
        "component 'loopback' is missing",
        "component 'keadm' is missing (looked for 'keadm-v1.22.0-linux-arm64.tar.gz', 'keadm.arm64', 'keadm')",
        "image 'docker.io/kubeedge/pause:3.6' is missing (looked for 'docker.io-kubeedge-pause-3.6.tar', 'kubeedge-pause-3.6.tar')",
        "image 'docker.io/kubeedge/installation-package:v1.22.0' is missing",
    ] {
        assert!(text.contains(part), "'{text}' lacks '{part}'");
    }
    assert!(!text.contains("mosquitto"), "{text}");
    // Nothing is written.
    let file = dir.path().join("no.bundle");
    create(&none, &file, Format::Text, &mut Vec::new()).unwrap_err();
    assert!(!file.exists());
}

#[test]
fn what_is_no_directory_is_said_to_be_none() {
    let dir = scratch();
    let inputs = Inputs::new(dir.path(), Arch::Arm64);
    let file = inputs.components.join("runc.arm64");
    let wrong = Request { components: vec![file.clone()], ..inputs.request() };
    let e = create(&wrong, &dir.path().join("no.bundle"), Format::Text, &mut Vec::new()).unwrap_err();
    assert_eq!(e.to_string(), format!("list '{}': Not a directory (os error 20)", file.display()));
    assert!(e.hint_text().is_some_and(|hint| hint.starts_with("give the directories")), "{:?}", e.hint_text());
}

/// One archive with all the images, as k3s is released with.
fn airgap(inputs: &Inputs, names: &[&str], file: &str, packed: Packed) {
    let spec = |name: &&str| {
        Spec::new(&[name], vec![layer::file("own", name.as_bytes(), 0o644)]).arch(inputs.arch.as_str(), None)
    };
    let specs: Vec<Spec> = names.iter().map(spec).collect();
    docker(&specs, Same::Copy).save(&inputs.images.join(file), packed);
}

#[test]
fn the_images_of_k3s_may_come_in_the_archive_of_its_release() {
    let dir = scratch();
    let inputs = Inputs::cloud(dir.path(), Arch::Amd64);
    let (single, file) = (dir.path().join("single.bundle"), dir.path().join("b.bundle"));
    make(&inputs.request(), &single);
    let names: Vec<String> =
        Bundle::open(&single).unwrap().images().iter().map(|image| image.names[0].to_string()).collect();
    let of_k3s: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("docker.io/")).collect();
    let of_k3s: Vec<&str> = of_k3s.into_iter().filter(|name| name.starts_with("rancher/")).collect();
    assert_eq!(of_k3s.len(), 8);
    for name in &of_k3s {
        fs::remove_file(inputs.images.join(format!("docker.io-{}.tar", name.replace(['/', ':'], "-")))).unwrap();
    }
    // The archive of another processor is none; this one lacks an image, and has one that nobody wants.
    airgap(&inputs, &of_k3s, "k3s-airgap-images-arm64.tar.zst", Packed::Zstd);
    let lacking = [&of_k3s[1..], &["rancher/other:1"]].concat();
    airgap(&inputs, &lacking, "k3s-airgap-images-amd64.tar.zst", Packed::Zstd);
    let (kind, text) = refusal(&inputs.request());
    let missing = format!("cannot make the bundle: image 'docker.io/{}' is missing (looked for ", of_k3s[0]);
    assert!(kind == Kind::Bundle && text.starts_with(&missing), "{text}");
    assert!(text.ends_with(", 'k3s-airgap-images-amd64.tar')") && text.matches("image '").count() == 1, "{text}");
    // A file of its own wins over the archive, and completes it.
    airgap(&inputs, &of_k3s[..1], &format!("{}.tar", of_k3s[0].replace(['/', ':'], "-")), Packed::Plain);
    make(&inputs.request(), &file);
    assert_eq!(fs::read(&file).unwrap(), fs::read(&single).unwrap(), "the same images, the same bytes");
    airgap(&inputs, &of_k3s, "k3s-airgap-images-amd64.tar", Packed::Plain);
    let (_, text) = refusal(&inputs.request());
    assert!(text.contains("is there more than once: ") && text.contains("k3s-airgap-images-amd64.tar.zst'"), "{text}");
}

#[test]
fn what_is_wrong_with_the_inputs_is_named() {
    let dir = scratch();
    let inputs = Inputs::new(dir.path(), Arch::Arm64);
    inputs.component("runc", &program(Arch::Arm64, "other"));
    fs::remove_file(inputs.components.join("keadm-v1.22.0-linux-arm64.tar.gz")).unwrap();
    inputs.component("keadm-v1.21.0-linux-arm64.tar.gz", b"");
    inputs.component("keadm", &program(Arch::Amd64, "keadm"));
    inputs.component(
        "cni-plugins-linux-arm64-v1.9.1.tgz",
        &release(&[("./bridge", b"text"), ("./portmap", b"#!sh"), ("./loopback", b"#!sh")], 0),
    );
    let wrong = Spec::new(&["site/other:1"], vec![layer::small(1, 4)]).arch("arm64", None);
    docker(&[wrong], Same::Copy).save(&inputs.images.join("docker.io-kubeedge-pause-3.6.tar"), Packed::Plain);
    let amd64 = Spec::new(&["kubeedge/edgemesh-agent:v1.17.0"], vec![layer::small(1, 4)]).arch("amd64", None);
    docker(&[amd64], Same::Copy).save(&inputs.images.join("kubeedge-edgemesh-agent-v1.17.0.tar"), Packed::Plain);
    let (_, text) = refusal(&inputs.request());
    for part in [
        "component 'runc' is there more than once: 'runc.arm64', 'runc'",
        "component 'keadm': 'keadm' is a program for amd64, expected arm64",
        "component 'bridge': 'cni-plugins-linux-arm64-v1.9.1.tgz/bridge' is neither an ELF program nor a script",
        "component 'host-local' is missing (no 'cni-plugins-linux-arm64-v1.9.1.tgz/host-local')",
        "components 'portmap' and 'loopback' are the same file",
        "does not hold image 'docker.io/kubeedge/pause:3.6' but 'docker.io/site/other:1'",
        "is for linux/amd64, expected linux/arm64",
    ] {
        assert!(text.contains(part), "'{text}' lacks '{part}'");
    }
    assert!(!text.contains("pause:3.6' is missing"), "told once, by its file: {text}");
    let unknown = Request { kubeedge: Some("v9.9.9".parse().unwrap()), ..inputs.request() };
    assert_eq!(refusal(&unknown), (Kind::Usage, "KubeEdge 'v9.9.9' is not in the catalogue".into()));
    let unknown = Request { with: vec!["vim".into()], ..inputs.request() };
    assert_eq!(refusal(&unknown), (Kind::Usage, "--with: 'vim' is no component of this role".into()));
    for to in ["/dev/null", "/dev", "/no/such/x.bundle", "/"] {
        let e = create(&inputs.request(), Path::new(to), Format::Text, &mut Vec::new()).unwrap_err();
        assert_eq!(e.kind(), Kind::Usage, "{e}");
    }
}

#[test]
fn a_layer_that_does_not_unpack_to_its_diff_id_is_refused() {
    let dir = scratch();
    let inputs = Inputs::new(dir.path(), Arch::Arm64);
    let spec = Spec::new(&["site/x:1"], vec![layer::small(1, 4)]).arch("arm64", None);
    let other = Packed::Gzip.apply(&layer::small(2, 4));
    let mut pack = super::support::images::docker_packed(&[spec], Same::Copy, Packed::Gzip);
    let name = pack.0.iter().find(|(n, _)| n.ends_with("layer.tar")).unwrap().0.clone();
    pack = pack.with(&name, other);
    let path = dir.path().join("x.tar");
    pack.save(&path, Packed::Plain);
    let mut request = inputs.request();
    request.images.push(path);
    let (kind, text) = refusal(&request);
    assert_eq!(kind, Kind::Bundle);
    assert!(text.contains("layer 1 of image 'docker.io/site/x:1': unpacks to sha256:"), "{text}");
}

fn verdict(file: &Path, arch: Option<Arch>) -> (Value, Option<String>) {
    let mut out = Vec::new();
    let request = VerifyRequest { file: file.to_owned(), arch, signature: None, keys: Vec::new() };
    let error = verify(&request, Format::Json, &mut out).err();
    if let Some(e) = &error {
        assert!(matches!(e.kind(), Kind::Bundle), "{e}");
        assert!(e.hint_text().is_some(), "{e}");
    }
    (serde_json::from_slice(&out).unwrap(), error.map(|e| e.to_string()))
}

#[test]
fn verify_tells_the_faults_apart() {
    let dir = scratch();
    let file = edge_bundle(dir.path(), Arch::Arm64);
    let good = fs::read(&file).unwrap();
    let (json, error) = verdict(&file, Some(Arch::Arm64));
    assert_eq!((json["verdict"].as_str(), error), (Some("ok"), None));
    assert_eq!(verdict(&file, Some(Arch::Amd64)).0["verdict"], "wrong-architecture");

    let bad = dir.path().join("bad.bundle");
    let check = |bytes: &[u8], word: &str, part: &str| {
        fs::write(&bad, bytes).unwrap();
        let (json, error) = verdict(&bad, Some(Arch::Arm64));
        assert_eq!(json["verdict"], word, "{json}");
        assert!(json.to_string().contains(part), "'{json}' lacks '{part}'");
        error.unwrap();
    };
    let replace = |from: &str, to: &str| {
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    // Two blobs are damaged: both are named.
    let bundle = Bundle::open(&file).unwrap();
    let mut flipped = good.clone();
    for blob in [bundle.component("portmap").unwrap().digest, bundle.images()[1].layers[1].blob.digest] {
        let at = usize::try_from(edgelay::oci::Blobs::position(&bundle, &blob).unwrap()).unwrap();
        flipped[at + 25] ^= 4;
    }
    check(&flipped, "damaged", "component 'portmap' ('blobs/sha256/");
    check(&flipped, "damaged", "layer 2 of 'docker.io/kubeedge/installation-package:v1.22.0' ('blobs/sha256/");
    check(&good[..good.len() / 2], "damaged", "it ends too early");
    check(&[&good[..], b"\0"].concat(), "damaged", "bytes after the end");
    check(&replace("vnd.edgelay.bundle.v1", "vnd.edgelay.bundle.v2"), "too-new", "this edgelay reads");
    check(b"", "damaged", "it is empty");
    check(&[0x1f; 3000], "not-a-bundle", "not a bundle");
    let docker = fs::read(dir.path().join("images/docker.io-kubeedge-pause-3.6.tar")).unwrap();
    check(&docker, "not-a-bundle", "its first entry is");

    // Blobs taken out of the file, and a bundle that was made without what its role needs.
    let keadm = bundle.component("keadm").unwrap();
    let at = usize::try_from(edgelay::oci::Blobs::position(&bundle, &keadm.digest).unwrap()).unwrap();
    let end = at + usize::try_from(keadm.size).unwrap().next_multiple_of(512);
    check(&[&good[..at - 512], &good[end..]].concat(), "incomplete", "missing: component 'keadm'");
    let mut manifest = bundle.manifest().clone();
    manifest.components.retain(|c| c.name != "runc" && c.name != "bridge");
    manifest.images.remove(0);
    let (mut source, mut out) = (Bundle::open(&file).unwrap(), Vec::new());
    bundle::write(&manifest, &bundle.images()[1..], &mut source, &mut out).unwrap();
    check(
        &out,
        "incomplete",
        "lacks what edge needs at KubeEdge v1.22.0: component 'runc', component 'bridge', image 'docker.io/kubeedge/pause:3.6'",
    );
    // A program for another processor than the manifest says.
    let mut manifest = bundle.manifest().clone();
    manifest.architecture = Arch::Amd64;
    let mut out = Vec::new();
    bundle::write(&manifest, bundle.images(), &mut Bundle::open(&file).unwrap(), &mut out).unwrap();
    check(&out, "wrong-architecture", "is for linux/arm64");
    assert_eq!(Fault::TooNew.word(), "too-new");
}

#[test]
fn show_tells_what_is_inside() {
    let dir = scratch();
    let file = edge_bundle(dir.path(), Arch::Arm64);
    let mut text = Vec::new();
    show(&file, Format::Text, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for part in
        ["role          edge\n", "architecture  arm64\n", "KubeEdge      v1.22.0\n", "  containerd               2.1.4"]
    {
        assert!(text.contains(part), "'{text}' lacks '{part}'");
    }
    let mut json = Vec::new();
    show(&file, Format::Json, &mut json).unwrap();
    let json: Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["manifest"]["components"][2]["destination"], "usr/local/sbin/runc");
    assert_eq!(json["sizes"]["file"], fs::metadata(&file).unwrap().len());
}

/// Runs a program of the host; `None` if it is not there.
fn run(program: &str, args: &[&str]) -> Option<(bool, String)> {
    let output = Command::new(program).args(args).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn skopeo_reads_the_images() {
    let dir = scratch();
    let file = edge_bundle(dir.path(), Arch::Arm64);
    let bundle = Bundle::open(&file).unwrap();
    let place = |image: usize| format!("oci-archive:{}:{}", file.display(), bundle.images()[image].names[0]);
    let Some((done, text)) = run("skopeo", &["inspect", "--override-arch=arm64", &place(0)]) else {
        return skip("skopeo_reads_the_images", "skopeo is not installed");
    };
    assert!(done, "{text}");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["Digest"], bundle.images()[0].manifest.digest.to_string());
    let layers: Vec<_> = bundle.images()[0].layers.iter().map(|l| l.blob.digest.to_string()).collect();
    assert_eq!((&json["Architecture"], &json["Layers"]), (&"arm64".into(), &layers.into()));
    // A copy of the other one, into a directory.
    let copy = dir.path().join("copy");
    let to = format!("dir:{}", copy.display());
    let (done, text) = run("skopeo", &["copy", "--insecure-policy", "--override-arch=arm64", &place(1), &to]).unwrap();
    assert!(done, "{text}");
    assert_eq!(fs::read(copy.join("manifest.json")).unwrap(), bundle.images()[1].manifest_bytes);
}

#[test]
fn ctr_imports_the_images() {
    for version in VERSIONS {
        let Some(daemon) = Daemon::start("ctr_imports_the_images", version) else { continue };
        let dir = scratch();
        let arch = Arch::of_this_binary().unwrap();
        let file = edge_bundle(dir.path(), arch);
        let bundle = Bundle::open(&file).unwrap();
        daemon.ctr_ok(&["images", "import", file.to_str().unwrap()]);
        let list = daemon.ctr_ok(&["images", "ls"]);
        // CRI adds a record under each image's id, some time later.
        let list: String = list.lines().filter(|l| !l.starts_with("sha256:")).map(|l| format!("{l}\n")).collect();
        for image in bundle.images() {
            let line = list.lines().find(|l| l.starts_with(&format!("{} ", image.names[0])));
            let line = line.unwrap_or_else(|| panic!("{version}: {list}"));
            assert!(line.contains(&image.manifest.digest.to_string()) && line.contains("linux/"), "{version}: {line}");
        }
        assert_eq!(list.lines().count(), 1 + bundle.images().len(), "{version}: {list}");
        let check = daemon.ctr_ok(&["images", "check"]);
        assert_eq!(
            check.lines().filter(|l| l.starts_with("docker.io/") && l.contains(" complete ")).count(),
            bundle.images().len(),
            "{version}: {check}"
        );
    }
}
