//! Media types: what the bytes of a blob mean (OCI image-spec v1.1 media-types.md; Docker image manifest v2, schema 2).

/// What a descriptor points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// A list of manifests, one for each platform.
    Index,
    /// An image manifest.
    Manifest,
    /// An image config.
    Config,
    /// Anything else.
    Other,
}

impl Meaning {
    /// Tells by the media type.
    pub fn of(media_type: &str) -> Meaning {
        match media_type {
            "application/vnd.oci.image.index.v1+json" | "application/vnd.docker.distribution.manifest.list.v2+json" => {
                Meaning::Index
            }
            "application/vnd.oci.image.manifest.v1+json" | "application/vnd.docker.distribution.manifest.v2+json" => {
                Meaning::Manifest
            }
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {
                Meaning::Config
            }
            _ => Meaning::Other,
        }
    }
}

/// How containerd unpacks a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerForm {
    /// Taken as a plain tar, whatever its bytes are.
    Raw,
    /// The compression is told by the first bytes.
    Detected,
}

impl LayerForm {
    /// By media type. `None`: no layer of a root file system that containerd 1.6 and later can unpack.
    pub fn of(media_type: &str) -> Option<LayerForm> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar" | "application/vnd.oci.image.layer.nondistributable.v1.tar" => {
                Some(LayerForm::Raw)
            }
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Some(LayerForm::Detected),
            _ => None,
        }
    }
}

/// Whether it is a layer of a root file system, be it one that cannot be unpacked.
pub(super) fn is_layer(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_containerd_unpacks_is_a_layer() {
        let oci = "application/vnd.oci.image.layer.v1.tar";
        let docker = "application/vnd.docker.image.rootfs.diff.tar";
        for (media_type, form) in [
            (oci.to_owned(), Some(LayerForm::Raw)),
            (format!("{oci}+gzip"), Some(LayerForm::Detected)),
            (format!("{oci}+zstd"), Some(LayerForm::Detected)),
            (docker.to_owned(), Some(LayerForm::Detected)),
            (format!("{docker}.gzip"), Some(LayerForm::Detected)),
            (format!("{oci}+gzip+encrypted"), None),
            ("application/vnd.in-toto+json".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(LayerForm::of(&media_type), form, "{media_type}");
            assert_eq!(is_layer(&media_type), form.is_some() || media_type.ends_with("encrypted"), "{media_type}");
        }
        assert_eq!(Meaning::of("application/vnd.docker.distribution.manifest.v1+prettyjws"), Meaning::Other);
    }
}
