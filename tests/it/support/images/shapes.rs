//! Every shape of image archive once: what must import, and what must be refused and why.

use edgelay::digest::Digest;
use serde_json::{Value, json};

use super::layer::{file, small, tree};
use super::{
    Body, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Pack, Packed, Same, Spec, attestation, bytes, docker, docker_packed,
    docker25, host_arch, oci, oci_manifest, oci_with, other_arch,
};

/// A good archive, its outer compression, and the normalised names that it holds.
pub(crate) struct Good {
    pub(crate) name: &'static str,
    pub(crate) pack: Pack,
    pub(crate) outer: Packed,
    pub(crate) images: Vec<Vec<&'static str>>,
    /// All layers, base first, uncompressed, of all images.
    pub(crate) layers: usize,
}

pub(super) const NAME: &str = "docker.io/kubeedge/app:v1";

/// The image that most shapes hold: three layers with the odd kinds of files, about `kib` KiB each.
fn app(kib: usize) -> Spec {
    let [base, top] = tree();
    Spec::new(&[NAME], vec![small(1, kib), base, top])
}

/// Every good shape, with layers of about `kib` KiB.
pub(crate) fn good(kib: usize) -> Vec<Good> {
    let one = |name, pack, outer| Good { name, pack, outer, images: vec![vec![NAME]], layers: 3 };
    let app = app(kib);
    let apps = std::slice::from_ref(&app);
    let short = Spec { names: vec!["kubeedge/app:v1".into()], ..app.clone() };
    let classic = docker(std::slice::from_ref(&short), Same::Copy);
    use Packed::{Gzip, Plain, Zstd};
    let mut all = vec![
        one("docker.tar", classic.clone(), Plain),
        one("docker-first.tar", classic.clone().first("manifest.json"), Plain),
        one("docker-layers-gzip.tar", docker_packed(apps, Same::Copy, Gzip), Plain),
        one("docker-layers-zstd.tar", docker_packed(apps, Same::Copy, Zstd), Plain),
        one("docker25.tar", docker25(apps), Plain),
        one("docker25-classic-name.tar", nameless_index(docker25(apps)), Plain),
        one("oci-none.tar", oci(&[apps], Plain), Plain),
        one("oci-gzip.tar", oci(&[apps], Gzip), Plain),
        one("oci-zstd.tar", oci(&[apps], Zstd), Plain),
        one("oci-dot.tar", dotted(oci(&[apps], Gzip)), Plain),
        one("docker.tar.gz", classic.clone(), Gzip),
        one("docker.tar.zst", classic, Zstd),
        one("oci-gzip.tar.gz", oci(&[apps], Gzip), Gzip),
        one("oci-gzip.tar.zst", oci(&[apps], Gzip), Zstd),
    ];
    all.push(one("oci-chunked.tar", oci(&[apps], Packed::Chunked), Plain));
    all.push(one("artifacts.tar", beside_artifacts(oci(&[apps], Gzip)), Plain));
    let alone = app.clone().arch(host_arch(), Some(ODD_VARIANT));
    all.push(one("variant-alone.tar", for_all(oci(&[&[alone]], Gzip)), Plain));
    all.extend(indexes(kib));
    all.extend(mixed(kib));
    all.extend(super::writers::good(kib));
    let e = |n: u8| file(&format!("e{n}"), &[n; 9], 0o644);
    let two = [
        Spec::new(&["kubeedge/one:v1", "kubeedge/one:latest"], vec![small(1, kib), e(1)]),
        Spec::new(&["quay.io/k3s/two:v2"], vec![small(1, kib), e(2)]),
    ];
    all.push(Good {
        name: "two.tar",
        pack: docker(&two, Same::Copy),
        outer: Plain,
        images: vec![vec!["docker.io/kubeedge/one:v1", "docker.io/kubeedge/one:latest"], vec!["quay.io/k3s/two:v2"]],
        layers: 4,
    });
    all.push(Good {
        name: "two-oci.tar",
        pack: oci(&[&two[..1], &two[1..]], Gzip),
        outer: Plain,
        images: vec![vec!["docker.io/kubeedge/one:v1", "docker.io/kubeedge/one:latest"], vec!["quay.io/k3s/two:v2"]],
        layers: 4,
    });
    let same = Spec::new(&[NAME], vec![small(1, kib), e(1), e(2), e(1)]);
    all.push(Good { layers: 4, ..one("symlinks.tar", docker(&[same], Same::Link), Plain) });
    all
}

/// Indexes with several platforms, of which this machine's must be taken.
fn indexes(kib: usize) -> Vec<Good> {
    let one = |name, pack| Good { name, pack, outer: Packed::Plain, images: vec![vec![NAME]], layers: 2 };
    let on = |arch: &str, variant| {
        let layers = vec![small(1, kib), file(&format!("arch-{arch}"), arch.as_bytes(), 0o644)];
        Spec::new(&[NAME], layers).arch(arch, variant)
    };
    let other = if other_arch() == "arm64" { Some("v8") } else { None };
    let three = [on(other_arch(), other), on(host_arch(), None), on("arm", Some("v7"))];
    let multi = oci(&[&three], Packed::Gzip);
    let mut partial = multi.clone();
    for spec in [&three[0], &three[2]] {
        partial = partial.without_digest(&Digest::of(&spec.config()).to_string());
        let own = Packed::Gzip.apply(&spec.layers[1]);
        partial = partial.without_digest(&Digest::of(&own).to_string());
    }
    let mut scratch = Pack::default();
    let ours = oci_manifest(&mut scratch, &three[1], Packed::Gzip);
    let extra = attestation(&mut scratch, &ours);
    let mut attested = oci_with(&[&three[1..2]], Packed::Gzip, &[extra]);
    for (name, body) in scratch.0 {
        if attested.find(&name).is_none() {
            attested.put(name, body);
        }
    }
    // No index of their own, and the other processor's layers are not there.
    let mut side_by_side = oci(&[&three[..1], &three[1..2]], Packed::Gzip);
    side_by_side = side_by_side.without_digest(&Digest::of(&three[0].config()).to_string());
    let variants = [on(host_arch(), Some(ODD_VARIANT)), on(host_arch(), Some(PLAIN_VARIANT))];
    vec![
        one("variants.tar", oci(&[&variants], Packed::Gzip)),
        one("multi.tar", multi.clone()),
        one("multi-partial.tar", partial),
        one("attested.tar", attested),
        one("nested.tar", nested(multi, 2)),
        // The same image as above: ctr would take the last one that has the name.
        one("side-by-side.tar", side_by_side),
    ]
}

/// Files that also hold what cannot be taken: an image without a name, named and nameless ones of another processor (one
/// of them without its blobs), an attestation that stands by itself.
fn mixed(kib: usize) -> Vec<Good> {
    let one = |name, pack| Good { name, pack, outer: Packed::Plain, images: vec![vec![NAME]], layers: 2 };
    let [base, _] = tree();
    let app = Spec::new(&[NAME], vec![small(2, kib), base]);
    let nameless = Spec::new(&[], vec![file("nameless", b"x", 0o644)]);
    let foreign = |name: &[&str], path| Spec::new(name, vec![file(path, b"x", 0o644)]).arch(other_arch(), None);
    let all = [
        nameless.clone(),
        foreign(&["docker.io/kubeedge/foreign:v1"], "a"),
        app,
        foreign(&[], "b"),
        foreign(&[], "lacking"),
    ];
    let mut pack = docker25(&all).without_digest(&Digest::of(&all[4].config()).to_string());
    let mut top: Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    let tops = top["manifests"].as_array_mut().unwrap();
    let attested = attestation(&mut pack, &tops[2]);
    tops.insert(0, attested);
    let pack = pack.with("index.json", bytes(&top));
    // Says nowhere for whom it is, and is not there: it may be anything.
    let lost = json!({"mediaType": OCI_MANIFEST, "digest": format!("sha256:{}", "0".repeat(64)), "size": 9});
    top["manifests"].as_array_mut().unwrap().insert(0, lost);
    let lost = pack.clone().with("index.json", bytes(&top));
    vec![one("mixed.tar", pack), one("mixed-lost.tar", lost), one("mixed-docker.tar", docker(&all[..4], Same::Copy))]
}

/// A variant of this machine's processor that not every one of its kind has.
const ODD_VARIANT: &str = if cfg!(target_arch = "x86_64") { "v3" } else { "v9" };

/// Another word for this machine's processor.
const PLAIN_VARIANT: &str = if cfg!(target_arch = "x86_64") { "v1" } else { "v8" };

/// With what other tools keep in the same layout under names of their own: a chart, a signature, a note.
fn beside_artifacts(mut pack: Pack) -> Pack {
    let blob = |pack: &mut Pack, media_type: &str, data: &[u8]| {
        let size = data.len();
        json!({"mediaType": media_type, "digest": pack.blob(data), "size": size})
    };
    let chart = blob(&mut pack, "application/vnd.cncf.helm.config.v1+json", br#"{"name":"chart"}"#);
    let files = blob(&mut pack, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", b"files");
    let signed = blob(&mut pack, "application/vnd.dev.cosign.simplesigning.v1+json", b"{}");
    let of_image = bytes(&json!({"architecture": "", "os": "", "rootfs": {"diff_ids": [signed["digest"]]}}));
    let of_image = blob(&mut pack, OCI_CONFIG, &of_image);
    let mut top: Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    for (name, config, layer) in [("chart:1", chart, files), ("app:sha256-0.sig", of_image, signed)] {
        let manifest = bytes(&json!({"schemaVersion": 2, "config": config, "layers": [layer]}));
        let mut manifest = blob(&mut pack, OCI_MANIFEST, &manifest);
        manifest["annotations"] = json!({"io.containerd.image.name": format!("docker.io/kubeedge/{name}")});
        top["manifests"].as_array_mut().unwrap().insert(0, manifest);
    }
    let mut note = blob(&mut pack, "application/vnd.oci.artifact.manifest.v1+json", b"{}");
    note["annotations"] = json!({"io.containerd.image.name": "docker.io/kubeedge/note:1"});
    top["manifests"].as_array_mut().unwrap().push(note);
    pack.with("index.json", bytes(&top))
}

fn only_artifacts(pack: Pack) -> Pack {
    let pack = beside_artifacts(pack);
    let mut top: Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    top["manifests"].as_array_mut().unwrap().retain(|top| top["annotations"]["io.containerd.image.name"] != NAME);
    pack.with("index.json", bytes(&top))
}

/// Puts `levels` more indexes between `index.json` and what it points to.
fn nested(mut pack: Pack, levels: usize) -> Pack {
    for _ in 0..levels {
        let mut top: Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
        let mut inner = top["manifests"][0].clone();
        inner.as_object_mut().unwrap().remove("annotations");
        let index = bytes(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner]}));
        top["manifests"][0]["size"] = json!(index.len());
        top["manifests"][0]["mediaType"] = json!(OCI_INDEX);
        top["manifests"][0]["digest"] = json!(pack.blob(index));
        pack = pack.with("index.json", bytes(&top));
    }
    pack
}

/// Takes the names out of `index.json`; they are still in `manifest.json`.
fn nameless_index(pack: Pack) -> Pack {
    let mut top: Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    for descriptor in top["manifests"].as_array_mut().unwrap() {
        descriptor.as_object_mut().unwrap().remove("annotations");
    }
    pack.with("index.json", bytes(&top))
}

/// Without a word in `index.json` of whom it is for.
fn for_all(pack: Pack) -> Pack {
    let mut top: Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    top["manifests"][0].as_object_mut().unwrap().remove("platform");
    pack.with("index.json", bytes(&top))
}

/// With another media type in `index.json`.
fn retyped(pack: Pack, media_type: &str) -> Pack {
    let mut top: Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    top["manifests"][0]["mediaType"] = json!(media_type);
    pack.with("index.json", bytes(&top))
}

/// As `tar -C DIR .` writes it.
pub(super) fn dotted(pack: Pack) -> Pack {
    let mut out = Pack::default();
    out.put("./", Body::Dir);
    out.0.extend(pack.0.into_iter().map(|(name, body)| (format!("./{name}"), body)));
    out
}

/// A bad archive as bytes, and a piece of the error that it must give, when it is loaded or when its blobs are read.
pub(crate) struct Bad {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) complaint: &'static str,
}

/// Every bad shape, with layers of about `kib` KiB.
pub(crate) fn bad(kib: usize) -> Vec<Bad> {
    let app = app(kib);
    let apps = std::slice::from_ref(&app);
    let classic = docker(apps, Same::Copy);
    let layout = oci(&[apps], Packed::Gzip);
    let bad = |name, pack: Pack, complaint| Bad { name, bytes: pack.tar(), complaint };
    let named = |name: &str| vec![Spec { names: vec![name.to_owned()], ..app.clone() }];
    let other_digest = format!("a/b:1@sha256:{}", "1".repeat(64));
    let foreign = Spec::new(&[NAME], vec![small(1, kib)]).arch(other_arch(), None);
    let cut = |bytes: Vec<u8>, tenths: usize| bytes[..bytes.len() * tenths / 10].to_vec();
    let last_layer = |pack: &Pack| {
        let (name, _) = pack.0.iter().rfind(|(n, _)| n.ends_with("layer.tar")).unwrap();
        name.clone()
    };
    let mut all = vec![
        Bad { name: "truncated.tar", bytes: cut(classic.tar(), 6), complaint: "truncated" },
        Bad { name: "truncated.tar.gz", bytes: cut(Packed::Gzip.apply(&classic.tar()), 6), complaint: "truncated" },
        Bad { name: "truncated.tar.zst", bytes: cut(Packed::Zstd.apply(&classic.tar()), 6), complaint: "truncated" },
        Bad { name: "empty.tar", bytes: Vec::new(), complaint: "is empty" },
        Bad { name: "no-archive.tar", bytes: vec![b'x'; 4096], complaint: "not a tar archive" },
        Bad { name: "xz.tar", bytes: b"\xfd7zXZ\0\0\0\0\0\0\0".to_vec(), complaint: "compressed with xz" },
        bad("flipped-layer.tar", classic.clone().flipped(), "is damaged"),
        bad("flipped-blob.tar", layout.clone().flipped(), "is damaged"),
        bad("no-layer.tar", classic.clone().without(&last_layer(&classic)), "is missing"),
        bad("foreign.tar", oci(&[std::slice::from_ref(&foreign)], Packed::Gzip), "is for linux/"),
        bad("foreign-docker.tar", docker(std::slice::from_ref(&foreign), Same::Copy), "is for linux/"),
        bad("no-tag.tar", docker(&[Spec { names: vec![], ..app.clone() }], Same::Copy), "has no name"),
        bad("no-tag25.tar", docker25(&[Spec { names: vec![], ..app.clone() }]), "has no name"),
        bad("foreign25.tar", docker25(std::slice::from_ref(&foreign)), "is for linux/"),
        bad(
            "lost25.tar",
            nameless_index(docker25(apps)).without_digest(&Digest::of(&app.config()).to_string()),
            "is missing",
        ),
        bad("no-tag-oci.tar", oci(&[&[Spec { names: vec![], ..app.clone() }]], Packed::Gzip), "holds no tagged image"),
        bad("bad-name.tar", docker(&named("kubeedge/App:v1"), Same::Copy), "'kubeedge/App:v1'"),
        bad("bad-name-oci.tar", oci(&[&named("../x:v1")], Packed::Gzip), "'../x:v1'"),
        bad(
            "schema1.tar",
            retyped(layout.clone(), "application/vnd.docker.distribution.manifest.v1+prettyjws"),
            "v1+prettyjws",
        ),
        bad("digest-name.tar", oci(&[&named("a/b@sha256:00")], Packed::Gzip), "has a digest that is not"),
        bad("other-digest.tar", oci(&[&named(&other_digest)], Packed::Gzip), "has another digest than its image"),
        bad("other-digest-docker.tar", docker(&named(&other_digest), Same::Copy), "has another digest than its image"),
        bad(
            "no-image.tar",
            only_artifacts(layout.clone()),
            "'docker.io/kubeedge/note:1' is a 'application/vnd.oci.art",
        ),
    ];
    all.extend(hostile(classic, layout, &last_layer));
    all
}

/// Archives that were made to do harm.
fn hostile(classic: Pack, layout: Pack, last_layer: &dyn Fn(&Pack) -> String) -> Vec<Bad> {
    let bad = |name, pack: Pack, complaint| Bad { name, bytes: pack.tar(), complaint };
    let plus = |pack: &Pack, name: &str, body: Body| {
        let mut pack = pack.clone();
        pack.put(name, body);
        pack
    };
    let data = |bytes: &[u8]| Body::File(bytes.into());
    let layer = last_layer(&classic);
    let linked = |target: &str| plus(&classic.clone().without(&layer), &layer, Body::Link(target.to_owned()));
    let manifest = |value: Value| classic.clone().with("manifest.json", bytes(&value));
    let top = |value: Value| layout.clone().with("index.json", bytes(&value));
    let descriptor = |digest: &str, size: u64| {
        json!({"manifests": [{"mediaType": OCI_MANIFEST, "digest": digest, "size": size,
            "annotations": {"io.containerd.image.name": NAME}}]})
    };
    let missing = format!("sha256:{}", "0".repeat(64));
    let entry = |config: &str, layers: Value| json!([{"Config": config, "RepoTags": ["a/b:1"], "Layers": layers}]);
    vec![
        bad("absolute.tar", plus(&classic, "/etc/passwd", data(b"x")), "'/etc/passwd'"),
        bad("parent.tar", plus(&classic, "a/../../etc/passwd", data(b"x")), "'a/../../etc/passwd'"),
        bad("twice.tar", plus(&classic, "manifest.json", data(b"[]")), "is there twice"),
        bad("twice-dot.tar", plus(&layout, "./index.json", data(b"{}")), "is there twice"),
        bad("huge.tar", plus(&classic, "huge", Body::Claim(1 << 60)), "limit"),
        bad("large.tar", plus(&classic, "large", Body::Claim(1 << 30)), "truncated"),
        bad("link-loop.tar", linked("layer.tar"), "loop"),
        bad("link-out.tar", linked("../../../etc/passwd"), "leads out of the archive"),
        bad("link-absolute.tar", linked("/etc/passwd"), "leads out of the archive"),
        bad("link-nowhere.tar", linked("../nowhere"), "is missing"),
        bad("deep.tar", classic.clone().with("manifest.json", vec![b'['; 100_000]), "nested deeper"),
        bad("not-json.tar", classic.clone().with("manifest.json", *b"hello"), "expected a JSON value"),
        bad("large-json.tar", classic.clone().with("manifest.json", vec![b' '; 5 << 20]), "limit"),
        bad("other-type.tar", manifest(json!({"Config": 1})), "must be a list"),
        bad("no-images.tar", manifest(json!([])), "holds no tagged image"),
        bad("path-in-manifest.tar", manifest(entry("../config", json!([]))), "has a '..' part"),
        bad("more-layers.tar", manifest(entry(&config_name(&classic), json!([layer]))), "layers"),
        bad("no-manifest.tar", classic.clone().without("manifest.json"), "no image archive"),
        bad("bad-digest.tar", top(descriptor("sha256:../../etc/passwd", 9)), "digest"),
        bad("no-blob.tar", top(descriptor(&missing, 9)), "is missing"),
        bad(
            "negative.tar",
            top(
                json!({"manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": missing, "size": -1}]}),
            ),
            "size",
        ),
        bad("other-layout.tar", layout.clone().with("oci-layout", *br#"{"imageLayoutVersion":"2.0.0"}"#), "2.0.0"),
        bad("no-manifests.tar", top(json!({"schemaVersion": 2})), "'manifests' is missing"),
        Bad {
            name: "bad-size.tar",
            bytes: sized(layout.tar(), b"0000000004x"),
            complaint: "header at byte 0 is damaged: its size is no number",
        },
        bad("no-index.tar", layout.clone().without("index.json"), "is missing"),
        bad("deep-index.tar", nested(layout.clone(), 12), "nested"),
        bad("wrong-config.tar", classic.clone().with(&config_name(&classic), *b"{}"), "is damaged"),
    ]
}

/// With this in the size field of the first header, and its sum right again.
fn sized(mut tar: Vec<u8>, size: &[u8; 11]) -> Vec<u8> {
    tar[124..135].copy_from_slice(size);
    tar[148..156].fill(b' ');
    let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar
}

fn config_name(classic: &Pack) -> String {
    let (name, _) = classic.0.iter().find(|(n, _)| n.len() == 69 && n.ends_with(".json")).unwrap();
    name.clone()
}
