//! What we import is what `ctr images import` makes of the same file.

use std::collections::BTreeSet;
use std::path::Path;

use edgelay::containerd::import::{Action, Presence};
use edgelay::oci::Image;

use super::{clear, import_file, load, on_every_containerd, presence, snapshots};
use crate::support::daemon::Daemon;
use crate::support::images::{Packed, shapes};
use crate::support::rootfs;

on_every_containerd!(every_good_shape_is_what_ctr_makes_of_it);

fn every_good_shape_is_what_ctr_makes_of_it(version: &str) {
    let Some(daemon) = Daemon::start("import", version) else { return };
    let mut seen = BTreeSet::new();
    for good in shapes::good(4) {
        let at = format!("containerd {version}, {}", good.name);
        let path = daemon.scratch().join(good.name);
        good.pack.save(&path, good.outer);
        let images = load(&path).unwrap().images;

        let outcomes = import_file(&daemon, &path, &mut ()).unwrap_or_else(|e| panic!("{at}: {e:?}"));
        assert!(
            outcomes.iter().all(|o| matches!(o.action, Action::Imported { sent } if sent > 0)),
            "{at}: {outcomes:?}"
        );
        nothing_is_sent_twice(&daemon, &path, &images, &at);
        // The same manifests in another wrapping need no second comparison.
        if images.iter().filter(|image| seen.insert(image.manifest.digest)).count() == 0 {
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

fn nothing_is_sent_twice(daemon: &Daemon, path: &Path, images: &[Image], at: &str) {
    let read = daemon.bytes_read();
    let again = import_file(daemon, path, &mut ()).unwrap();
    assert!(again.iter().all(|outcome| outcome.action == Action::Kept), "{at}: {again:?}");
    for image in images {
        assert_eq!(presence(daemon, image), Presence::Complete, "{at}");
    }
    // Requests by name and digest, and what the daemon reads of its own config blobs; the layers are larger.
    let read = daemon.bytes_read() - read;
    let layers: u64 = images.iter().flat_map(|image| &image.layers).map(|layer| layer.blob.size).sum();
    assert!(read < 40_000 || read < layers / 2, "{at}: the daemon read {read} bytes");
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
            assert_eq!((ours[3], ours.last()), ("complete", Some(&"true")), "{at}: {name} is unpacked");
            // Of an index, ctr keeps the index; we keep what of it is for this machine.
            if theirs[1].contains("manifest.v") {
                assert_eq!(ours[1..3], theirs[1..3], "{at}: target of {name}");
            }
        }
    }
}
