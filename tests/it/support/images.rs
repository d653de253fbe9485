//! Image archives of every shape, good and bad, made in memory: same call, same bytes.
//!
//! An archive is a [`Pack`]: a list of tar entries that can be changed before it is saved. [`shapes::good`] and [`shapes::bad`] list
//! every shape once, for tests that must hold for all of them.

pub(crate) mod layer;
pub(crate) mod shapes;
mod writers;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use edgelay::digest::Digest;
use serde_json::{Value, json};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Go's name of this machine's processor.
pub(crate) fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// A processor that this machine has not.
pub(crate) fn other_arch() -> &'static str {
    if host_arch() == "amd64" { "arm64" } else { "amd64" }
}

/// What an image is made of; layers are uncompressed tars.
#[derive(Clone)]
pub(crate) struct Spec {
    pub(crate) names: Vec<String>,
    pub(crate) arch: String,
    pub(crate) variant: Option<String>,
    pub(crate) cmd: Vec<String>,
    pub(crate) layers: Vec<Arc<[u8]>>,
}

impl Spec {
    /// An image for this machine that would run `/bin/sh`.
    pub(crate) fn new(names: &[&str], layers: Vec<Vec<u8>>) -> Spec {
        Spec {
            names: names.iter().map(ToString::to_string).collect(),
            arch: host_arch().to_owned(),
            variant: None,
            cmd: vec!["/bin/sh".to_owned()],
            layers: layers.into_iter().map(Arc::from).collect(),
        }
    }

    pub(crate) fn arch(mut self, arch: &str, variant: Option<&str>) -> Spec {
        self.arch = arch.to_owned();
        self.variant = variant.map(ToOwned::to_owned);
        self
    }

    pub(crate) fn cmd(mut self, cmd: &[&str]) -> Spec {
        self.cmd = cmd.iter().map(ToString::to_string).collect();
        self
    }

    pub(crate) fn diff_ids(&self) -> Vec<Digest> {
        self.layers.iter().map(|l| Digest::of(l)).collect()
    }

    pub(crate) fn config(&self) -> Vec<u8> {
        let mut config = json!({
            "architecture": self.arch, "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": self.cmd,
            },
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids().iter().map(ToString::to_string).collect::<Vec<_>>()},
        });
        if let Some(variant) = &self.variant {
            config["variant"] = json!(variant);
        }
        bytes(&config)
    }

    pub(crate) fn platform(&self) -> Value {
        let mut platform = json!({"architecture": self.arch, "os": "linux"});
        if let Some(variant) = &self.variant {
            platform["variant"] = json!(variant);
        }
        platform
    }
}

/// Compact JSON with sorted keys.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// How bytes are compressed: a layer, or a whole archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packed {
    Plain,
    Gzip,
    Zstd,
    /// As zstd:chunked does it: small frames that ask for a large window, with notes for lazy readers behind.
    Chunked,
}

impl Packed {
    pub(crate) fn apply(self, data: &[u8]) -> Vec<u8> {
        match self {
            Packed::Plain => data.to_vec(),
            Packed::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(data).unwrap();
                gzip.finish().unwrap()
            }
            Packed::Zstd => zstd::stream::encode_all(data, 3).unwrap(),
            Packed::Chunked => {
                let frame = |piece: &[u8]| {
                    let mut zstd = zstd::Encoder::new(Vec::new(), 3).unwrap();
                    zstd.window_log(25).unwrap();
                    zstd.write_all(piece).unwrap();
                    zstd.finish().unwrap()
                };
                let mut out: Vec<u8> = data.chunks(3000).flat_map(frame).collect();
                out.extend(b"\x50\x2a\x4d\x18\x05\0\0\0notes");
                out
            }
        }
    }

    pub(crate) fn oci_layer(self) -> &'static str {
        match self {
            Packed::Plain => "application/vnd.oci.image.layer.v1.tar",
            Packed::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Packed::Zstd | Packed::Chunked => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }
}

/// One entry of the outer archive.
#[derive(Clone)]
pub(crate) enum Body {
    Dir,
    File(Arc<[u8]>),
    Link(String),
    HardLink(String),
    /// A header that claims this size, with no bytes behind it.
    Claim(u64),
}

/// The outer archive.
#[derive(Clone, Default)]
pub(crate) struct Pack(pub(crate) Vec<(String, Body)>);

impl Pack {
    pub(crate) fn put(&mut self, name: impl Into<String>, body: Body) {
        self.0.push((name.into(), body));
    }

    pub(crate) fn file(&mut self, name: impl Into<String>, data: impl Into<Arc<[u8]>>) {
        self.put(name, Body::File(data.into()));
    }

    /// A blob under its digest, once; returns `sha256:...`.
    pub(crate) fn blob(&mut self, data: impl Into<Arc<[u8]>>) -> String {
        let data = data.into();
        let digest = Digest::of(&data);
        let name = format!("blobs/sha256/{}", digest.hex());
        if self.find(&name).is_none() {
            self.file(name, data);
        }
        digest.to_string()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Body> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, body)| body)
    }

    pub(crate) fn data(&self, name: &str) -> Arc<[u8]> {
        match self.find(name) {
            Some(Body::File(data)) => data.clone(),
            _ => panic!("no file '{name}'"),
        }
    }

    /// Without the entry `name`.
    pub(crate) fn without(mut self, name: &str) -> Pack {
        let before = self.0.len();
        self.0.retain(|(n, _)| n != name);
        assert!(self.0.len() < before, "no entry '{name}'");
        self
    }

    pub(crate) fn without_digest(self, digest: &str) -> Pack {
        let name = format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
        self.without(&name)
    }

    /// With other bytes in the entry `name`.
    pub(crate) fn with(mut self, name: &str, data: impl Into<Arc<[u8]>>) -> Pack {
        let entry = self.0.iter_mut().find(|(n, _)| n == name).unwrap_or_else(|| panic!("no entry '{name}'"));
        entry.1 = Body::File(data.into());
        self
    }

    /// With the byte in the middle of the largest file flipped.
    pub(crate) fn flipped(mut self) -> Pack {
        let size = |body: &Body| if let Body::File(data) = body { data.len() } else { 0 };
        let (_, body) = self.0.iter_mut().max_by_key(|(_, body)| size(body)).unwrap();
        let Body::File(data) = body else { panic!("no file") };
        let mut changed = data.to_vec();
        let middle = changed.len() / 2;
        changed[middle] ^= 0xff;
        *body = Body::File(changed.into());
        self
    }

    /// With the entry `name` in front of all others.
    pub(crate) fn first(mut self, name: &str) -> Pack {
        let at = self.0.iter().position(|(n, _)| n == name).unwrap_or_else(|| panic!("no entry '{name}'"));
        let entry = self.0.remove(at);
        self.0.insert(0, entry);
        self
    }

    /// The archive as bytes: GNU format (long names), no times, no owners.
    pub(crate) fn tar(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, body) in &self.0 {
            let (kind, size) = match body {
                Body::Dir => (tar::EntryType::Directory, 0),
                Body::File(data) => (tar::EntryType::Regular, data.len() as u64),
                Body::Link(_) => (tar::EntryType::Symlink, 0),
                Body::HardLink(_) => (tar::EntryType::Link, 0),
                Body::Claim(size) => (tar::EntryType::Regular, *size),
            };
            let mut header = layer::header(kind, size, 0o644);
            if let Body::Link(target) | Body::HardLink(target) = body {
                header.set_link_name_literal(target).unwrap();
            }
            let data: &[u8] = if let Body::File(data) = body { data } else { &[] };
            layer::append(&mut out, header, name, data);
        }
        out.resize(out.len() + 1024, 0);
        out
    }

    pub(crate) fn save(&self, path: &Path, outer: Packed) {
        std::fs::write(path, outer.apply(&self.tar())).unwrap();
    }

    /// As a directory of files.
    pub(crate) fn save_dir(&self, dir: &Path) {
        std::fs::create_dir_all(dir).unwrap();
        for (name, body) in &self.0 {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            match body {
                Body::Dir => std::fs::create_dir_all(path).unwrap(),
                Body::File(data) => std::fs::write(path, data).unwrap(),
                Body::Link(target) => std::os::unix::fs::symlink(target, path).unwrap(),
                Body::HardLink(target) => std::fs::hard_link(dir.join(target), path).unwrap(),
                Body::Claim(_) => panic!("not for directories"),
            }
        }
    }
}

/// Whether a second layer with the same bytes is written as a symbolic link to the first, as old `docker save` does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Same {
    Copy,
    Link,
}

/// `docker save` before version 25; `manifest.json` comes last but for `repositories`.
pub(crate) fn docker(images: &[Spec], same: Same) -> Pack {
    docker_packed(images, same, Packed::Plain)
}

/// Like [`docker`], with compressed layers (as other tools write them).
pub(crate) fn docker_packed(images: &[Spec], same: Same, packed: Packed) -> Pack {
    let mut pack = Pack::default();
    let mut manifest = Vec::new();
    let mut written = std::collections::BTreeMap::new();
    for image in images {
        let mut chain = String::new();
        let mut names = Vec::new();
        for layer in &image.layers {
            chain = Digest::of(format!("{chain}{}", Digest::of(layer).hex()).as_bytes()).hex();
            let name = format!("{chain}/layer.tar");
            names.push(name.clone());
            if pack.find(&name).is_some() {
                continue;
            }
            pack.put(format!("{chain}/"), Body::Dir);
            pack.file(format!("{chain}/VERSION"), *b"1.0");
            pack.file(format!("{chain}/json"), bytes(&json!({"id": chain, "os": "linux"})));
            match written.get(&Digest::of(layer)) {
                Some(first) if same == Same::Link => pack.put(name, Body::Link(format!("../{first}"))),
                _ => {
                    written.insert(Digest::of(layer), name.clone());
                    pack.file(name, packed.apply(layer));
                }
            }
        }
        let config = image.config();
        let config_name = format!("{}.json", Digest::of(&config).hex());
        if pack.find(&config_name).is_none() {
            pack.file(config_name.as_str(), config);
        }
        let tags = if image.names.is_empty() { Value::Null } else { json!(image.names) };
        manifest.push(json!({"Config": config_name, "RepoTags": tags, "Layers": names}));
    }
    pack.file("manifest.json", bytes(&json!(manifest)));
    pack.file("repositories", *b"{}");
    pack
}

/// An OCI layout. Each item of `images` is one name with its platforms: one manifest, or an index of several.
pub(crate) fn oci(images: &[&[Spec]], packed: Packed) -> Pack {
    oci_with(images, packed, &[])
}

/// [`oci`]; `extra` are more descriptors for the index of the first image.
pub(crate) fn oci_with(images: &[&[Spec]], packed: Packed, extra: &[Value]) -> Pack {
    let mut pack = Pack::default();
    pack.put("blobs/", Body::Dir);
    pack.put("blobs/sha256/", Body::Dir);
    let mut tops = Vec::new();
    for (i, platforms) in images.iter().enumerate() {
        let mut descriptors: Vec<Value> = platforms.iter().map(|spec| oci_manifest(&mut pack, spec, packed)).collect();
        if i == 0 {
            descriptors.extend(extra.iter().cloned());
        }
        let top = match &descriptors[..] {
            [one] => one.clone(),
            many => {
                let index = bytes(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": many}));
                let size = index.len();
                json!({"mediaType": OCI_INDEX, "digest": pack.blob(index), "size": size})
            }
        };
        let names = platforms.first().map(|spec| spec.names.clone()).unwrap_or_default();
        for name in &names {
            let mut top = top.clone();
            let tag = name.rsplit(':').next().unwrap();
            top["annotations"] = json!({"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag});
            tops.push(top);
        }
        if names.is_empty() {
            tops.push(top);
        }
    }
    pack.file("index.json", bytes(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": tops})));
    pack.file("oci-layout", *br#"{"imageLayoutVersion":"1.0.0"}"#);
    pack
}

/// Puts one image into a layout and returns its descriptor.
pub(crate) fn oci_manifest(pack: &mut Pack, spec: &Spec, packed: Packed) -> Value {
    let config = spec.config();
    let config_size = config.len();
    let config = json!({"mediaType": OCI_CONFIG, "digest": pack.blob(config), "size": config_size});
    let layers: Vec<Value> = spec
        .layers
        .iter()
        .map(|layer| {
            let blob = packed.apply(layer);
            let size = blob.len();
            json!({"mediaType": packed.oci_layer(), "digest": pack.blob(blob), "size": size})
        })
        .collect();
    let manifest = bytes(&json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}));
    let size = manifest.len();
    json!({"mediaType": OCI_MANIFEST, "digest": pack.blob(manifest), "size": size, "platform": spec.platform()})
}

/// `docker save` from version 25 on: an OCI layout with a `manifest.json` beside it.
pub(crate) fn docker25(images: &[Spec]) -> Pack {
    let singles: Vec<&[Spec]> = images.iter().map(std::slice::from_ref).collect();
    let mut pack = oci(&singles, Packed::Plain);
    let blob = |data: &[u8]| format!("blobs/sha256/{}", Digest::of(data).hex());
    let manifest: Vec<Value> = images
        .iter()
        .map(|spec| {
            let layers: Vec<String> = spec.layers.iter().map(|l| blob(l)).collect();
            json!({"Config": blob(&spec.config()), "RepoTags": spec.names, "Layers": layers})
        })
        .collect();
    pack.file("manifest.json", bytes(&json!(manifest)));
    pack
}

/// The attestation that buildx adds to an index: its descriptor; manifest, config and statement go into `pack`.
pub(crate) fn attestation(pack: &mut Pack, about: &Value) -> Value {
    let statement = br#"{"_type":"https://in-toto.io/Statement/v0.1"}"#.to_vec();
    let config = bytes(&json!({
        "architecture": "unknown", "os": "unknown", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&statement).to_string()]},
    }));
    let (config_size, size) = (config.len(), statement.len());
    let manifest = bytes(&json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": pack.blob(config), "size": config_size},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": pack.blob(statement), "size": size}],
    }));
    let size = manifest.len();
    json!({
        "mediaType": OCI_MANIFEST, "digest": pack.blob(manifest), "size": size,
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about["digest"]},
    })
}
