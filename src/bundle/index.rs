//! `index.json` of a bundle: follows from the edgelay manifest, byte for byte (OCI image-spec v1.1, image-index.md).
//!
//! What other tools read in it: containerd takes `io.containerd.image.name` as the image's name, skopeo finds images
//! by `org.opencontainers.image.ref.name`. The descriptor of the edgelay manifest comes last and has neither name nor
//! platform, so that they pass over it.

use std::fmt::Write as _;

use super::fault::{Fault, Flaw, Sound};
use super::manifest::{MAX_METADATA, MEDIA_TYPE, MEDIA_TYPE_FAMILY, Manifest};
use crate::digest::Digest;
use crate::json::{self, Text, Value};
use crate::oci::Descriptor;

/// Content of the file `oci-layout` (image-layout.md).
pub(super) const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Media type of an image manifest.
pub(super) const IMAGE_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// The one `index.json` for a bundle whose edgelay manifest is `manifest`, stored as `blob`.
pub(super) fn render(manifest: &Manifest, blob: &Descriptor) -> Vec<u8> {
    let mut out =
        String::from(r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":["#);
    let mut line = |text: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        let _ignoring_no_error = out.write_fmt(text);
    };
    for image in &manifest.images {
        for name in &image.names {
            line(format_args!(
                r#"{{"mediaType":"{IMAGE_TYPE}","digest":"{}","size":{},"annotations":{{"#,
                image.digest, image.size
            ));
            line(format_args!(
                r#""io.containerd.image.name":{0},"org.opencontainers.image.ref.name":{0}}},"#,
                Text(name.as_str())
            ));
            line(format_args!(r#""platform":{{"architecture":"{}","os":"linux"}}}},"#, manifest.architecture));
        }
    }
    line(format_args!(r#"{{"mediaType":"{MEDIA_TYPE}","digest":"{}","size":{}}}]}}"#, blob.digest, blob.size));
    out.into_bytes()
}

/// The descriptor of the edgelay manifest. All else in `index.json` is checked later, by [`render`]ing it again.
pub(super) fn find_manifest(bytes: &[u8]) -> Sound<Descriptor> {
    let bad = |e: json::JsonError| Flaw::damaged(format_args!("index.json: {e}"));
    let value = json::read(bytes, MAX_METADATA).map_err(bad)?;
    let list = value.need("manifests").and_then(Value::items).map_err(bad)?;
    let ours = |item: &&Value| media_type(item).starts_with(MEDIA_TYPE_FAMILY);
    let Some(item) = list.iter().find(ours) else {
        return Err(Flaw::new(Fault::NotABundle, "an OCI image layout without an edgelay manifest"));
    };
    if media_type(item) != MEDIA_TYPE {
        let found = media_type(item).escape_debug().to_string();
        return Err(Flaw::new(
            Fault::TooNew,
            format_args!("the edgelay manifest is a '{found}', this edgelay reads '{MEDIA_TYPE}'"),
        ));
    }
    let digest: Digest = item
        .need("digest")
        .and_then(|d| d.text()?.parse().map_err(|e| json::JsonError::at(d.place, format_args!("{e}"))))
        .map_err(bad)?;
    let size = item.need("size").and_then(Value::whole).map_err(bad)?;
    Ok(Descriptor { media_type: MEDIA_TYPE.into(), digest, size })
}

fn media_type(item: &Value) -> &str {
    item.get("mediaType").and_then(|v| v.text().ok()).unwrap_or_default()
}
