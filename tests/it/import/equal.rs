//! What we import is what `ctr images import` makes of the same file.

use std::collections::BTreeSet;

use edgelay::clock::SystemClock;
use edgelay::containerd::Client;
use edgelay::containerd::import::{Action, Layers, Presence, State, Unpack};
use edgelay::digest::Digest;
use edgelay::error::Error;
use edgelay::feed::Feed;
use edgelay::mode::image::{self, Place};
use edgelay::oci::{Blobs, Descriptor, Image};

use super::{USUAL, clear, import_as, import_file, import_loaded, load, on_every_containerd, presence, snapshots};
use crate::support::daemon::Daemon;
use crate::support::images::layer::small;
use crate::support::images::{Packed, Same, Spec, docker, oci, shapes};
use crate::support::rootfs;

on_every_containerd!(
    every_good_shape_is_what_ctr_makes_of_it,
    a_second_import_sends_no_blob,
    the_commands_serve_any_namespace,
    a_pod_finds_an_image_by_digest,
);

fn every_good_shape_is_what_ctr_makes_of_it(version: &str) {
    let Some(daemon) = Daemon::start("import", version) else { return };
    let mut seen = BTreeSet::new();
    for good in shapes::good(4) {
        let at = format!("containerd {version}, {}", good.name);
        let path = daemon.scratch().join(good.name);
        good.pack.save(&path, good.outer);
        let images = load(&path).unwrap().images;

        let mut loaded = load(&path).unwrap();
        loaded.blobs = Box::new(Pipe(loaded.blobs, None));
        // Whatever the order in the file is, and with every layer read once.
        let outcomes = import_loaded(&daemon, loaded, &mut ()).unwrap_or_else(|e| panic!("{at}: {e:?}"));
        assert!(
            outcomes.iter().all(|o| matches!(o.action, Action::Imported { sent } if sent > 0)),
            "{at}: {outcomes:?}"
        );
        let again = import_file(&daemon, &path, &mut ()).unwrap();
        assert!(again.iter().all(|outcome| outcome.action == Action::Kept), "{at}: {again:?}");
        assert!(images.iter().all(|image| presence(&daemon, image) == Presence::Complete), "{at}");
        // ctr 1.x ends at the image of another processor, and 2.1 unpacks the one without a name, too.
        let beyond_ctr = good.name.starts_with("mixed");
        // The same manifests in another wrapping need no second comparison.
        if beyond_ctr || images.iter().filter(|image| seen.insert(image.manifest.digest)).count() == 0 {
            clear(&daemon);
            continue;
        }
        let ours = Made::look(&daemon, &images);
        clear(&daemon);

        // ctr 1.x takes no compressed archives.
        let plain = daemon.scratch().join("plain.tar");
        good.pack.save(&plain, Packed::Plain);
        daemon.ctr_ok(&["images", "import", plain.to_str().unwrap()]);
        if daemon.ctr_ok(&["images", "ls", "-q"]).is_empty() {
            // ctr overlooks names that only Docker's part of a mixed archive has.
            assert_eq!(good.name, "docker25-classic-name.tar", "{at}: ctr imports nothing");
            clear(&daemon);
            continue;
        }
        let theirs = Made::look(&daemon, &images);
        clear(&daemon);
        ours.compare(&theirs, &images, &at);
    }
}

fn a_second_import_sends_no_blob(version: &str) {
    let Some(daemon) = Daemon::start("second import", version) else { return };
    let path = daemon.scratch().join("app.tar");
    let app = Spec::new(&["docker.io/kubeedge/app:v1"], vec![small(1, 4096), small(2, 4096)]);
    docker(&[app], Same::Copy).save(&path, Packed::Plain);
    for (mode, first) in [(USUAL, 0..64 << 10), ((Unpack::Daemon, Layers::Kept), 8 << 20..u64::MAX)] {
        let mut sent = Vec::new();
        for _ in 0..2 {
            let before = daemon.bytes_read();
            import_as(&daemon, load(&path).unwrap(), mode, &mut ()).unwrap();
            sent.push(daemon.bytes_read() - before);
        }
        assert!(
            first.contains(&sent[0]) && sent[1] < 64 << 10,
            "containerd {version}, {mode:?}: the daemon read {sent:?} bytes"
        );
        clear(&daemon);
    }
}

/// The bodies of `image import` and `image list`. Snapshots are not shared between namespaces.
fn the_commands_serve_any_namespace(version: &str) {
    let Some(daemon) = Daemon::start("namespaces", version) else { return };
    let path = daemon.scratch().join("app.tar");
    let app = Spec::new(&["kubeedge/app:v1"], vec![small(1, 64)]);
    docker(&[app], Same::Copy).save(&path, Packed::Plain);
    let clock = SystemClock::default();
    for (namespace, mut want) in [("k8s.io", 64 << 10), ("other", 64 << 10), ("k8s.io", 0)] {
        let place = Place { socket: daemon.socket(), namespace: namespace.parse().unwrap(), clock: &clock };
        for outcome in image::import(std::slice::from_ref(&path), &place, USUAL, &mut ()).unwrap() {
            let sent = if let Action::Imported { sent } = outcome.action { sent } else { 0 };
            assert!(sent >= want && (want > 0 || sent == 0), "containerd {version}, {namespace}: {outcome:?}");
            want = 0;
        }
        let listed = image::list(&place).unwrap();
        let seen: Vec<_> = listed.iter().map(|i| (i.name.as_str(), i.pinned, &i.state)).collect();
        assert_eq!(seen, [("docker.io/kubeedge/app:v1", true, &State::Whole)], "containerd {version}, {namespace}");
    }
}

/// As a pod pins it, with a tag beside it or without.
fn a_pod_finds_an_image_by_digest(version: &str) {
    let Some(daemon) = Daemon::start("by digest", version) else { return };
    let path = daemon.scratch().join("app.tar");
    let pack = oci(&[&[Spec::new(&["x"], vec![small(1, 64)])]], Packed::Gzip);
    let mut top: serde_json::Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    let digest = top["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let name = format!("docker.io/kubeedge/app:v1@{digest}");
    top["manifests"][0]["annotations"] = serde_json::json!({"io.containerd.image.name": name});
    pack.with("index.json", serde_json::to_vec(&top).unwrap()).save(&path, Packed::Plain);
    import_file(&daemon, &path, &mut ()).unwrap();
    let image = load(&path).unwrap().images.remove(0);
    assert_eq!(presence(&daemon, &image), Presence::Complete, "containerd {version}");
    let mut client = Client::connect(&daemon.socket()).unwrap();
    for asked in [format!("kubeedge/app:v1@{digest}"), format!("docker.io/kubeedge/app@{digest}")] {
        let seen = client.cri_images().status(&asked).unwrap().map(|image| image.id);
        assert_eq!(seen, Some(image.config.digest.to_string()), "containerd {version}: {asked}");
    }
    clear(&daemon);
}

/// Blobs behind a pipe: once read, they are gone.
struct Pipe(Box<dyn Blobs>, Option<u64>);

impl Blobs for Pipe {
    fn open(&mut self, blob: &Descriptor) -> Result<Box<dyn Feed + '_>, Error> {
        let at = self.0.position(&blob.digest);
        assert!(at > self.1, "{} lies at {at:?}, and {:?} was read before", blob.digest, self.1);
        self.1 = at;
        self.0.open(blob)
    }

    fn position(&self, blob: &Digest) -> Option<u64> {
        self.0.position(blob)
    }

    fn rewinds(&self) -> bool {
        false
    }
}

/// What is in the daemon after an import.
struct Made {
    snapshots: Vec<String>,
    /// Lines of `ctr images check`: name, media type and digest, with state.
    check: String,
    /// Root file system of each image.
    trees: Vec<Vec<String>>,
}

impl Made {
    fn look(daemon: &Daemon, images: &[Image]) -> Made {
        let top = |image: &Image| image.chain_ids().pop().unwrap().to_string();
        Made {
            snapshots: snapshots(daemon),
            check: daemon.ctr_ok(&["images", "check"]),
            trees: images.iter().map(|image| rootfs::list(daemon, "k8s.io", &top(image))).collect(),
        }
    }

    /// ctr keeps the names in an OCI layout as they are, and CRI cannot see those.
    fn line(&self, name: &str) -> Vec<&str> {
        let short = name.trim_start_matches("docker.io/");
        let line = self.check.lines().find(|line| [name, short].contains(&line.split(' ').next().unwrap_or_default()));
        line.unwrap_or_else(|| panic!("no '{name}' in\n{}", self.check)).split_whitespace().collect()
    }

    fn compare(&self, theirs: &Made, images: &[Image], at: &str) {
        assert_eq!(self.snapshots, theirs.snapshots, "{at}: chain IDs");
        for (image, (ours, theirs)) in images.iter().zip(self.trees.iter().zip(&theirs.trees)) {
            assert_eq!(ours, theirs, "{at}: files of {}", image.label());
            assert!(ours.len() > 3, "{at}: {} is empty", image.label());
        }
        for name in images.iter().flat_map(|image| &image.names) {
            let (ours, theirs) = (self.line(name.as_str()), theirs.line(name.as_str()));
            // The layers are files now, and their blobs are not kept; so containerd says it where it discards them.
            assert_eq!((ours[3], ours.last()), ("incomplete", Some(&"true")), "{at}: {name} is unpacked");
            // Of an index, ctr keeps the index; we keep what of it is for this machine.
            if theirs[1].contains("manifest.v") {
                assert_eq!(ours[1..3], theirs[1..3], "{at}: target of {name}");
            }
        }
    }
}
