//! Archives for `docker load` as tools other than Docker write them, each with the names that it gives its entries.

use edgelay::digest::Digest;
use serde_json::{Value, json};

use super::layer::{file, small, tree};
use super::shapes::{Good, NAME, dotted};
use super::{Body, OCI_CONFIG, OCI_MANIFEST, Pack, Packed, Spec, bytes};

/// An image with what containers/image, go-containerregistry and Bazel leave out of its config: no time, no history, no
/// command. One layer comes twice.
fn app(kib: usize) -> (Spec, Vec<u8>) {
    let ([base, top], e) = (tree(), |n: u8| file(&format!("e{n}"), &[n; 9], 0o644));
    let spec = Spec::new(&[NAME], vec![small(1, kib), base, e(1), e(2), e(1), top]);
    let diff_ids: Vec<_> = spec.diff_ids().iter().map(ToString::to_string).collect();
    let rootfs = json!({"type": "layers", "diff_ids": diff_ids});
    let config = json!({"architecture": spec.arch, "os": "linux", "config": {}, "rootfs": rootfs});
    (spec, bytes(&config))
}

fn list(config: &str, layers: &[String]) -> Vec<u8> {
    bytes(&json!([{"Config": config, "RepoTags": [NAME], "Layers": layers}]))
}

/// The layers, each under the name that its digest's hex form is given; one that comes twice lies there once.
fn put_layers(pack: &mut Pack, spec: &Spec, packed: Packed, name: fn(&str) -> String) -> Vec<String> {
    let mut names = Vec::new();
    for layer in &spec.layers {
        let data = packed.apply(layer);
        let name = name(&Digest::of(&data).hex());
        if pack.find(&name).is_none() {
            pack.file(name.as_str(), data);
        }
        names.push(name);
    }
    names
}

fn put_blob_dirs(pack: &mut Pack) {
    for dir in ["blobs/", "blobs/sha256/"] {
        pack.put(dir, Body::Dir);
    }
}

pub(super) fn good(kib: usize) -> Vec<Good> {
    let one = |name, pack, outer| Good { name, pack, outer, images: vec![vec![NAME]], layers: 6 };
    vec![
        one("podman.tar", podman(kib), Packed::Plain),
        one("kaniko.tar", kaniko(kib), Packed::Plain),
        one("rules-oci.tar", rules_oci(kib), Packed::Plain),
        one("nix.tar.gz", dotted(nix(kib)), Packed::Gzip),
        one("nerdctl.tar", nerdctl(kib), Packed::Plain),
    ]
}

/// containers/image (podman, buildah, skopeo): layers by digest, and links to them by the names of Docker's first form.
fn podman(kib: usize) -> Pack {
    let (spec, config) = app(kib);
    let (mut pack, mut chain) = (Pack::default(), String::new());
    let names = put_layers(&mut pack, &spec, Packed::Plain, |hex| format!("{hex}.tar"));
    let config_name = format!("{}.json", Digest::of(&config).hex());
    pack.file(config_name.as_str(), config);
    for name in &names {
        chain = Digest::of(format!("{chain} {name}").as_bytes()).hex();
        pack.file(format!("{chain}/VERSION"), *b"1.0");
        pack.put(format!("{chain}/layer.tar"), Body::Link(format!("../{name}")));
        pack.file(format!("{chain}/json"), bytes(&json!({"id": chain})));
    }
    let (repository, tag) = NAME.rsplit_once(':').unwrap();
    let mut repositories = json!({});
    repositories[repository] = json!({tag: chain});
    pack.file("repositories", bytes(&repositories));
    pack.file("manifest.json", list(&config_name, &names));
    pack
}

/// go-containerregistry (kaniko, crane, ko, Bazel's first rules): compressed layers, the config by its digest with the
/// algorithm in front.
fn kaniko(kib: usize) -> Pack {
    let (spec, config) = app(kib);
    let mut pack = Pack::default();
    let config_name = Digest::of(&config).to_string();
    pack.file(config_name.as_str(), config);
    let names = put_layers(&mut pack, &spec, Packed::Gzip, |hex| format!("{hex}.tar.gz"));
    let mut list: Value = serde_json::from_slice(&list(&config_name, &names)).unwrap();
    list[0]["LayerSources"] = json!({});
    pack.file("manifest.json", bytes(&list));
    pack
}

/// Bazel's later rules: the blobs of a layout, of which nothing else is there.
fn rules_oci(kib: usize) -> Pack {
    let (spec, config) = app(kib);
    let mut pack = Pack::default();
    let config_name = format!("blobs/sha256/{}", Digest::of(&config).hex());
    put_blob_dirs(&mut pack);
    pack.file(config_name.as_str(), config);
    let names = put_layers(&mut pack, &spec, Packed::Gzip, |hex| format!("blobs/sha256/{hex}.tar.gz"));
    pack.file("manifest.json", list(&config_name, &names));
    pack
}

/// Nix's dockerTools: layers in directories that have no entries of their own.
fn nix(kib: usize) -> Pack {
    let (spec, config) = app(kib);
    let mut pack = Pack::default();
    let names = put_layers(&mut pack, &spec, Packed::Plain, |hex| format!("{hex}/layer.tar"));
    let config_name = format!("{}.json", Digest::of(&config).hex());
    pack.file(config_name.as_str(), config);
    pack.file("manifest.json", list(&config_name, &names));
    pack
}

/// containerd's own export ('nerdctl save', 'ctr images export'): a layout whose names are in annotations, and Docker's list
/// beside it. An annotation has the tag alone, too, which is no name.
fn nerdctl(kib: usize) -> Pack {
    let (spec, config) = app(kib);
    let mut pack = Pack::default();
    put_blob_dirs(&mut pack);
    let mut paths = Vec::new();
    let mut layers = Vec::new();
    for layer in &spec.layers {
        let packed = Packed::Gzip.apply(layer);
        let size = packed.len();
        let digest = pack.blob(packed);
        paths.push(format!("blobs/sha256/{}", digest.trim_start_matches("sha256:")));
        layers
            .push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size}));
    }
    let size = config.len();
    let config = pack.blob(config);
    let manifest = bytes(&json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": layers,
        "config": {"mediaType": OCI_CONFIG, "digest": config, "size": size}}));
    let size = manifest.len();
    let digest = pack.blob(manifest);
    let annotations = json!({"io.containerd.image.name": NAME, "org.opencontainers.image.ref.name": "v1"});
    let top = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "annotations": annotations});
    pack.file("index.json", bytes(&json!({"schemaVersion": 2, "manifests": [top]})));
    pack.file("manifest.json", list(&config.replace("sha256:", "blobs/sha256/"), &paths));
    pack.file("oci-layout", *br#"{"imageLayoutVersion":"1.0.0"}"#);
    pack
}
