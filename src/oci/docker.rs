//! The manifest that an old `docker save` archive lacks, made as containerd makes it on import: the same bytes, so the
//! same digest as after `ctr images import`.

use serde::Serialize;

use super::Descriptor;
use crate::error::Result;
use crate::gather::Gather;
use crate::json;

/// Media type of the manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Media type of the config.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    schema_version: u8,
    media_type: &'static str,
    config: WrittenBlob<'a>,
    layers: Vec<WrittenBlob<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenBlob<'a> {
    media_type: &'a str,
    digest: String,
    size: u64,
}

/// Docker image manifest v2, schema 2, compact and with its keys in containerd's order.
pub fn docker_manifest(config: &Descriptor, layers: &[Descriptor]) -> Result<Vec<u8>> {
    fn blob(d: &Descriptor) -> WrittenBlob<'_> {
        WrittenBlob { media_type: &d.media_type, digest: d.digest.to_string(), size: d.size }
    }
    json::to_vec(&Written {
        schema_version: 2,
        media_type: DOCKER_MANIFEST,
        config: blob(config),
        layers: layers.iter().map(blob).gather(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn the_bytes_are_containerds() {
        let blob = |media_type: &str, data: &[u8]| Descriptor {
            media_type: media_type.into(),
            digest: Digest::of(data),
            size: data.len() as u64,
        };
        let config = blob(DOCKER_CONFIG, b"abc");
        let layers = [
            blob("application/vnd.docker.image.rootfs.diff.tar", b""),
            blob("application/vnd.docker.image.rootfs.diff.tar.gzip", b"abc"),
        ];
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let none = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let want = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"application/vnd.docker.distribution.manifest.v2+json\",\"config\":{{\
             \"mediaType\":\"application/vnd.docker.container.image.v1+json\",\"digest\":\"{abc}\",\"size\":3}},\
             \"layers\":[{{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar\",\"digest\":\"{none}\",\"size\":0}},\
             {{\"mediaType\":\"application/vnd.docker.image.rootfs.diff.tar.gzip\",\"digest\":\"{abc}\",\"size\":3}}]}}"
        );
        assert_eq!(String::from_utf8(docker_manifest(&config, &layers).unwrap()).unwrap(), want);
    }
}
