//! Small bundles in memory, for the tests of this module.

use crate::gather::Gather;
use crate::sorted::Map;

use super::image::{CONFIG_TYPE, LAYER_TYPES};
use super::index::IMAGE_TYPE;
use super::{Component, ImageEntry, Manifest, Role, Timestamp, write};
use crate::digest::{Digest, Verified};
use crate::error::{Error, Kind, Result};
use crate::feed::Feed;
use crate::ids::Arch;
use crate::oci::{Blobs, Descriptor, Image, Layer, Platform};

/// Blobs in memory.
#[derive(Default)]
pub(super) struct Memory(pub(super) Map<Digest, Vec<u8>>);

impl Memory {
    pub(super) fn put(&mut self, media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = Digest::of(bytes);
        self.0.insert(digest, bytes.to_vec());
        Descriptor { media_type: media_type.into(), digest, size: bytes.len() as u64 }
    }
}

impl Blobs for Memory {
    fn open(&mut self, blob: &Descriptor) -> Result<Box<dyn Feed + '_>> {
        let bytes = self.0.get(&blob.digest).ok_or_else(|| Error::new(Kind::Bundle, "no such blob"))?;
        Ok(Box::new(Verified::new(bytes.as_slice(), blob.digest, blob.size)))
    }

    fn position(&self, blob: &Digest) -> Option<u64> {
        self.0.contains_key(blob).then_some(0)
    }

    fn rewinds(&self) -> bool {
        true
    }
}

/// An image whose layers have these bytes.
pub(super) fn image(blobs: &mut Memory, name: &str, layers: &[&[u8]]) -> Image {
    let layers: Vec<Layer> =
        layers.iter().map(|l| Layer { blob: blobs.put(LAYER_TYPES[0], l), diff_id: Digest::of(l) }).gather();
    let ids: Vec<String> = layers.iter().map(|l| format!("\"{}\"", l.diff_id)).gather();
    let config_bytes =
        format!(r#"{{"architecture":"arm64","os":"linux","rootfs":{{"diff_ids":[{}]}}}}"#, ids.join(",")).into_bytes();
    let config = blobs.put(CONFIG_TYPE, &config_bytes);
    let show =
        |d: &Descriptor| format!(r#"{{"mediaType":"{}","digest":"{}","size":{}}}"#, d.media_type, d.digest, d.size);
    let shown: Vec<String> = layers.iter().map(|l| show(&l.blob)).gather();
    let manifest_bytes = format!(
        r#"{{"schemaVersion":2,"mediaType":"{IMAGE_TYPE}","config":{},"layers":[{}]}}"#,
        show(&config),
        shown.join(",")
    )
    .into_bytes();
    let manifest = blobs.put(IMAGE_TYPE, &manifest_bytes);
    let names = vec![name.parse().unwrap()];
    Image { names, manifest, manifest_bytes, config, config_bytes, layers, platform: Platform::linux("arm64") }
}

pub(super) fn component(blobs: &mut Memory, name: &str, destination: &str, bytes: &[u8]) -> Component {
    let Descriptor { digest, size, .. } = blobs.put("", bytes);
    Component {
        name: name.into(),
        version: None,
        source: name.into(),
        mode: "0755".parse().unwrap(),
        size,
        digest,
        destination: destination.parse().unwrap(),
    }
}

/// Everything a bundle is made of.
pub(super) struct Sample {
    pub(super) manifest: Manifest,
    pub(super) images: Vec<Image>,
    pub(super) blobs: Memory,
}

impl Sample {
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        write(&self.manifest, &self.images, &mut self.blobs, &mut out).unwrap();
        out
    }
}

/// Two components; two images that share their first layer.
pub(super) fn sample() -> Sample {
    let mut blobs = Memory::default();
    let components = vec![
        component(&mut blobs, "runc", "usr/local/sbin/runc", b"#!/bin/sh\necho runc\n"),
        component(&mut blobs, "bridge", "opt/cni/bin/bridge", &[7; 1024]),
    ];
    let images = vec![
        image(&mut blobs, "kubeedge/pause:3.6", &[b"base"]),
        image(&mut blobs, "kubeedge/installation-package:v1.22.0", &[b"base", &[1; 600]]),
    ];
    let entries = images.iter().map(|image| ImageEntry {
        names: image.names.clone(),
        required: true,
        digest: image.manifest.digest,
        size: image.manifest.size,
        unpacked: image.layers.iter().map(|l| l.blob.size).sum(),
    });
    let manifest = Manifest {
        components,
        images: entries.gather(),
        ..Manifest::new(Role::Edge, Arch::Arm64, "v1.22.0".parse().unwrap(), Timestamp::default())
    };
    Sample { manifest, images, blobs }
}
