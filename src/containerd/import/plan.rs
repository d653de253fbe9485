//! What an import will store, decided before the first call: blobs, their labels, their order, and all names.

use crate::gather::Gather;
use crate::sorted::{Map, Set};

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::oci::{Blobs, Image, Layer};

use super::Layers;

/// Label on our lease and, while an import is under way, on the image records that it makes.
pub(super) const MARK: &str = "edgelay.io/import";
/// Value of [`MARK`] from the creation of a record until the store was synced. Once it was, the value is the digest of
/// the record's target.
pub(super) const PENDING: &str = "pending";
/// Id of the one lease that an import holds. Always the same, so that the next run finds what a killed one left.
pub(super) const LEASE: &str = "edgelay-import";
/// containerd's label that gives a lease its end (RFC 3339).
pub(super) const EXPIRE: &str = "containerd.io/gc.expire";
/// CRI's label that protects an image from the kubelet's image collection; its value is `pinned`.
pub(super) const PINNED: &str = "io.cri-containerd.pinned";

/// How long a lease lives should nobody come back to drop it. An import takes minutes.
const LEASE_LIFE: u64 = 24 * 3600;
/// 2025-01-01: a clock that shows less is not set yet and may jump by years in the middle of an import.
const CLOCK_IS_SET: u64 = 1_735_689_600;
/// 2100-01-01: end of a lease that was made under such a clock.
const FAR_FUTURE: u64 = 4_102_444_800;

/// Labels by key.
pub(super) type Labels = Map<String, String>;

/// End of a lease made at `unix`, seconds since 1970.
pub(super) fn lease_end(unix: u64) -> u64 {
    if unix < CLOCK_IS_SET { FAR_FUTURE } else { unix + LEASE_LIFE }
}

/// Ingest reference of a blob. It holds the digest, so that what an interrupted upload left is only ever continued
/// with bytes of the same blob.
pub(super) fn ingest(blob: &Digest) -> String {
    format!("edgelay-{blob}")
}

/// Key of the active snapshot in which the layer for `chain_id` is unpacked.
pub(super) fn unpack_key(chain_id: &Digest) -> String {
    format!("edgelay-unpack {chain_id}")
}

/// Labels of a snapshot that is to become `name`, as containerd's own unpacker gives them.
pub(super) fn snapshot_labels(name: &str) -> Labels {
    Labels::from([("containerd.io/snapshot.ref".to_owned(), name.to_owned())])
}

/// Labels of the manifest blob: the garbage collector follows them to config and layers. Layers that are not kept have
/// none, as containerd does it where it discards unpacked layers.
pub(super) fn manifest_labels(image: &Image, kept: Layers) -> Labels {
    let config = ("containerd.io/gc.ref.content.config".to_owned(), image.config.digest.to_string());
    let layer = |(n, digest): (usize, Digest)| (format!("containerd.io/gc.ref.content.l.{n}"), digest.to_string());
    let layers = image.layers.iter().map(|layer| layer.blob.digest).enumerate().map(layer);
    std::iter::once(config).chain(layers.filter(|_| kept == Layers::Kept)).gather()
}

/// Key of the config blob's label that names the top snapshot.
pub(super) fn snapshot_label(snapshotter: &str) -> String {
    format!("containerd.io/gc.ref.snapshot.{snapshotter}")
}

/// Labels of the config blob: the garbage collector follows them to the chain of snapshots.
pub(super) fn config_labels(image: &Image, snapshotter: &str) -> Labels {
    let top = image.chain_ids().pop();
    top.map(|top| (snapshot_label(snapshotter), top.to_string())).into_iter().gather()
}

/// Labels of a layer blob: containerd finds a layer by its uncompressed digest.
pub(super) fn layer_labels(diff_id: &Digest) -> Labels {
    Map::from([("containerd.io/uncompressed".to_owned(), diff_id.to_string())])
}

/// A layer in its place in an image.
pub(super) struct Job<'i> {
    /// The blob, and what is in it.
    pub(super) layer: &'i Layer,
    /// Its snapshot.
    pub(super) chain: Digest,
    /// The snapshot below that.
    pub(super) parent: Option<Digest>,
    /// `layer 2 of 'docker.io/kubeedge/pause:3.6'`.
    pub(super) what: String,
}

/// Every layer in every place that it has, once; base first.
pub(super) fn jobs<'i>(images: &[&'i Image]) -> Vec<Job<'i>> {
    let mut seen = Set::new();
    let mut jobs = Vec::new();
    for image in images {
        let mut parent = None;
        for (n, (layer, chain)) in image.layers.iter().zip(image.chain_ids()).enumerate() {
            if seen.insert((chain, layer.blob.digest)) {
                jobs.push(Job { layer, chain, parent, what: format!("layer {} of '{}'", n + 1, image.label()) });
            }
            parent = Some(chain);
        }
    }
    jobs
}

/// Puts `jobs` in the order in which `blobs` gives them cheapest. Those that it does not have come last: the daemon may
/// have them.
pub(super) fn sort(jobs: &mut [Job<'_>], blobs: &dyn Blobs) {
    jobs.sort_by_key(|job| blobs.position(&job.layer.blob.digest).unwrap_or(u64::MAX));
}

/// Refuses images that cannot be imported, before anything is touched.
pub(super) fn check(images: &[Image]) -> Result<()> {
    let mut owner = Map::new();
    for image in images {
        if image.names.is_empty() {
            let text = format!("image {} has no name", image.manifest.digest);
            return Err(Error::new(Kind::Bundle, text).hint("save the image by name and tag, not by its id"));
        }
        for name in &image.names {
            if owner.insert(name, image.manifest.digest).is_some_and(|other| other != image.manifest.digest) {
                return Err(Error::new(Kind::Bundle, format_args!("two different images are named '{name}'")));
            }
        }
        // A plain layer is its own uncompressed form; the compressed ones show when they are unpacked.
        for layer in image.layers.iter().filter(|layer| layer.blob.media_type.ends_with("layer.v1.tar")) {
            if layer.blob.digest != layer.diff_id {
                let (blob, want) = (layer.blob.digest, layer.diff_id);
                let text = format!("image '{}': layer {blob} is not the layer {want} of its config", image.label());
                return Err(Error::new(Kind::Bundle, text).hint("save the image again"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Feed;
    use crate::oci::{Descriptor, Platform};

    fn image(name: &str, layers: &[u8]) -> Image {
        let describe = |bytes: &[u8]| Descriptor {
            media_type: "application/vnd.oci.image.layer.v1.tar".into(),
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        };
        let layer = |n: &u8| Layer { blob: describe(&[*n]), diff_id: Digest::of(&[*n]) };
        let (manifest, config) = (format!("manifest of {name}"), format!("config of {name}"));
        Image {
            names: vec![name.parse().unwrap()],
            manifest: describe(manifest.as_bytes()),
            manifest_bytes: manifest.into_bytes(),
            config: describe(config.as_bytes()),
            config_bytes: config.into_bytes(),
            layers: layers.iter().map(layer).collect(),
            platform: Platform::linux("amd64"),
        }
    }

    struct Places(Vec<u8>);

    impl Blobs for Places {
        fn open(&mut self, _: &Descriptor) -> Result<Box<dyn Feed + '_>> {
            Err(Error::new(Kind::Bug, "not read here"))
        }
        fn position(&self, blob: &Digest) -> Option<u64> {
            self.0.iter().position(|n| Digest::of(&[*n]) == *blob).map(|n| n as u64)
        }
        fn rewinds(&self) -> bool {
            true
        }
    }

    #[test]
    fn layers_come_once_in_the_order_of_the_file() {
        let (a, b) = (image("a", &[1, 2, 9]), image("b", &[1, 3]));
        let mut jobs = jobs(&[&a, &b]);
        sort(&mut jobs, &Places(vec![3, 2, 1]));
        let order: Vec<_> = jobs.into_iter().map(|job| job.what).collect();
        assert_eq!(
            order,
            [
                "layer 2 of 'docker.io/library/b:latest'",
                "layer 2 of 'docker.io/library/a:latest'",
                "layer 1 of 'docker.io/library/a:latest'",
                "layer 3 of 'docker.io/library/a:latest'",
            ]
        );
    }

    #[test]
    fn labels_lead_the_collector_from_manifest_to_snapshots() {
        let image = image("a", &[1, 2]);
        let [one, two] = [1, 2].map(|n| Digest::of(&[n]).to_string());
        let want = [
            ("containerd.io/gc.ref.content.config", Digest::of(b"config of a").to_string()),
            ("containerd.io/gc.ref.content.l.0", one.clone()),
            ("containerd.io/gc.ref.content.l.1", two.clone()),
        ];
        let want = want.map(|(k, v)| (k.to_owned(), v));
        assert_eq!(manifest_labels(&image, Layers::Kept), want.clone().into());
        assert_eq!(manifest_labels(&image, Layers::Dropped), [want[0].clone()].into());
        let top = Digest::of(format!("{one} {two}").as_bytes()).to_string();
        let want = [("containerd.io/gc.ref.snapshot.native".to_owned(), top)];
        assert_eq!(config_labels(&image, "native"), want.into());
        let empty = Image { layers: vec![], ..image };
        assert_eq!(config_labels(&empty, "native"), Labels::new());
    }

    #[test]
    fn a_lease_outlives_a_clock_that_is_being_set() {
        for (now, end) in [(0, FAR_FUTURE), (CLOCK_IS_SET, CLOCK_IS_SET + 86_400)] {
            assert_eq!(lease_end(now), end);
        }
    }

    #[test]
    fn impossible_images_are_refused_with_their_name() {
        let nameless = Image { names: vec![], ..image("a", &[]) };
        let mut swapped = image("a", &[1]);
        swapped.layers[0].diff_id = Digest::of(&[2]);
        let [one, two] = [1, 2].map(|n| Digest::of(&[n]));
        let other = Image { names: image("a", &[]).names, ..image("b", &[]) };
        let table = [
            (vec![nameless], format!("image {} has no name", Digest::of(b"manifest of a"))),
            (
                vec![swapped],
                format!("image 'docker.io/library/a:latest': layer {one} is not the layer {two} of its config"),
            ),
            (vec![image("a", &[]), other], "two different images are named 'docker.io/library/a:latest'".into()),
        ];
        for (images, why) in table {
            assert_eq!(check(&images).unwrap_err().to_string(), why);
        }
        check(&[image("a", &[1]), image("a", &[1]), image("b", &[1])]).unwrap();
    }
}
