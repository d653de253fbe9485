//! Layers that go straight into their snapshots: what is in the daemon afterwards, and what becomes of it.

use std::collections::BTreeMap;

use edgelay::containerd::Client;
use edgelay::containerd::import::{Layers, Presence, Progress, Unpack};
use edgelay::digest::Digest;
use edgelay::error::Error;
use edgelay::feed::Feed;
use edgelay::oci::{Blobs, Descriptor, Image};

use super::{
    Mode, USUAL, clear, first_column, import_as, import_file, import_loaded, leftovers, load, on_every_containerd,
    presence, presence_as, snapshots,
};
use crate::support::daemon::Daemon;
use crate::support::images::layer::{file, small, tree};
use crate::support::images::{Packed, Same, Spec, docker, oci};
use crate::support::rootfs;

on_every_containerd!(
    the_state_is_that_of_discarded_layers,
    kept_layers_are_whole_blobs,
    what_nobody_unpacks_waits_as_blobs,
    every_mode_makes_the_same_files,
    shared_layers_are_read_once_and_stay_while_used,
    layers_in_any_order_become_the_same,
);

const KEPT: Mode = (Unpack::Direct, Layers::Kept);

/// Two layers with all that is hard, and one like the first.
fn app(daemon: &Daemon, packed: Packed) -> (std::path::PathBuf, Image) {
    let [base, top] = tree();
    let app = Spec::new(&["docker.io/kubeedge/app:v1"], vec![base, small(7, 64), top, small(7, 64)]);
    let path = daemon.scratch().join("app.tar");
    oci(&[&[app]], packed).save(&path, Packed::Plain);
    let image = load(&path).unwrap().images.remove(0);
    (path, image)
}

fn top(image: &Image) -> String {
    image.chain_ids().pop().unwrap().to_string()
}

/// Labels of each blob.
fn blobs(daemon: &Daemon) -> BTreeMap<String, edgelay::sorted::Map<String, String>> {
    let all = Client::connect(&daemon.socket()).unwrap().content().list(&[]).unwrap();
    all.into_iter().map(|info| (info.digest, info.labels)).collect()
}

fn check(daemon: &Daemon) -> String {
    daemon.ctr_ok(&["images", "check"])
}

/// Manifest and config with the labels that containerd's own `--discard-unpacked-layers` leaves, and its words for it.
fn the_state_is_that_of_discarded_layers(version: &str) {
    let Some(daemon) = Daemon::start("discarded", version) else { return };
    let (path, image) = app(&daemon, Packed::Gzip);
    import_file(&daemon, &path, &mut ()).unwrap();
    let (ours, our_words) = (blobs(&daemon), check(&daemon));
    let snapshot = ("containerd.io/gc.ref.snapshot.overlayfs".to_owned(), top(&image));
    let config = ("containerd.io/gc.ref.content.config".to_owned(), image.config.digest.to_string());
    let want = [(image.config.digest, snapshot), (image.manifest.digest, config)];
    let want: BTreeMap<_, _> =
        want.map(|(digest, label)| (digest.to_string(), edgelay::sorted::Map::from([label]))).into();
    assert_eq!(ours, want, "containerd {version}");
    clear(&daemon);
    let local: &[&str] = match version {
        "1.6" => return, // its ctr has no such flag
        "1.7" => &[],
        _ => &["--local"],
    };
    let flags = [&["images", "import"], local, &["--discard-unpacked-layers", path.to_str().unwrap()]].concat();
    daemon.ctr_ok(&flags);
    daemon.ctr_ok(&["leases", "create", "--id", "collect"]);
    daemon.ctr_ok(&["leases", "rm", "--sync", "collect"]);
    let mut theirs = blobs(&daemon);
    // ctr keeps the index that the archive has on top.
    theirs.retain(|digest, _| ours.contains_key(digest));
    assert_eq!(theirs, ours, "containerd {version}");
    let words = |text: &str| {
        let line = text.lines().find(|line| line.starts_with("docker.io/kubeedge/app:v1")).unwrap().to_owned();
        line.split_whitespace().skip(3).map(str::to_owned).collect::<Vec<_>>()
    };
    let (ours, theirs) = (words(&our_words), words(&check(&daemon)));
    assert_eq!((&ours[0], ours.last()), (&theirs[0], theirs.last()), "containerd {version}");
    clear(&daemon);
}

/// In the client: through the daemon's transfer service, `ctr` now and then ends before its file is whole.
fn export(daemon: &Daemon, to: &std::path::Path) {
    let mut words = vec!["images", "export", to.to_str().unwrap(), "docker.io/kubeedge/app:v1"];
    if daemon.version() != "1.6" {
        words.insert(2, "--local");
    }
    daemon.ctr_ok(&words);
}

fn kept_layers_are_whole_blobs(version: &str) {
    let Some(daemon) = Daemon::start("kept", version) else { return };
    for packed in [Packed::Plain, Packed::Gzip, Packed::Zstd] {
        let (path, image) = app(&daemon, packed);
        import_as(&daemon, load(&path).unwrap(), KEPT, &mut ()).unwrap();
        assert_eq!(presence_as(&daemon, &image, KEPT), Presence::Complete);
        let line = check(&daemon);
        assert!(line.contains(" complete ") && !line.contains("incomplete"), "containerd {version}: {line}");
        let found = blobs(&daemon);
        for layer in &image.layers {
            let labels = &found[&layer.blob.digest.to_string()];
            assert_eq!(*labels.get("containerd.io/uncompressed").unwrap(), layer.diff_id.to_string());
        }
        assert_eq!(found[&image.manifest.digest.to_string()].len(), 1 + image.layers.len());
        let to = daemon.scratch().join("exported.tar");
        export(&daemon, &to);
        let again = load(&to).unwrap().images.remove(0);
        assert_eq!(again.layers, image.layers, "containerd {version}");
        clear(&daemon);

        // Kept after all: the snapshots are there, the blobs are fetched.
        import_file(&daemon, &path, &mut ()).unwrap();
        assert!(matches!(presence_as(&daemon, &image, KEPT), Presence::Lacking(_)));
        import_as(&daemon, load(&path).unwrap(), KEPT, &mut ()).unwrap();
        assert_eq!(presence_as(&daemon, &image, KEPT), Presence::Complete, "containerd {version}");
        export(&daemon, &to);
        clear(&daemon);
    }
}

fn what_nobody_unpacks_waits_as_blobs(version: &str) {
    let Some(daemon) = Daemon::start("not unpacked", version) else { return };
    let (path, image) = app(&daemon, Packed::Gzip);
    let mode = (Unpack::None, Layers::Dropped);
    import_as(&daemon, load(&path).unwrap(), mode, &mut ()).unwrap();
    assert_eq!((presence_as(&daemon, &image, mode), snapshots(&daemon).len()), (Presence::Complete, 0));
    let line = check(&daemon);
    assert!(line.contains(" complete ") && line.contains("false"), "containerd {version}: {line}");
    assert!(matches!(presence(&daemon, &image), Presence::Lacking(why) if why.contains("snapshot")));
    import_file(&daemon, &path, &mut ()).unwrap();
    assert_eq!(presence(&daemon, &image), Presence::Complete, "containerd {version}");
    clear(&daemon);
}

fn every_mode_makes_the_same_files(version: &str) {
    let Some(daemon) = Daemon::start("modes", version) else { return };
    let mut trees = Vec::new();
    for mode in [USUAL, KEPT, (Unpack::Daemon, Layers::Dropped), (Unpack::Daemon, Layers::Kept)] {
        let (path, image) = app(&daemon, Packed::Zstd);
        import_as(&daemon, load(&path).unwrap(), mode, &mut ()).unwrap();
        assert_eq!(presence_as(&daemon, &image, mode), Presence::Complete, "containerd {version}, {mode:?}");
        let kept = if mode.1 == Layers::Kept { 2 + 3 } else { 2 };
        assert_eq!(blobs(&daemon).len(), kept, "containerd {version}, {mode:?}");
        trees.push(rootfs::list(&daemon, "k8s.io", &top(&image)));
        clear(&daemon);
    }
    assert!(trees.iter().all(|tree| *tree == trees[0] && tree.len() > 10), "containerd {version}: {trees:#?}");
}

/// Bytes read of each layer, by its label.
#[derive(Default)]
struct Read_(BTreeMap<String, u64>);

impl Progress for Read_ {
    fn sent(&mut self, what: &str, bytes: u64) {
        *self.0.entry(what.to_owned()).or_default() += bytes;
    }
    fn present(&mut self, _: &str, _: u64) {}
    fn doing(&mut self, _: &str) {}
}

fn shared_layers_are_read_once_and_stay_while_used(version: &str) {
    let Some(daemon) = Daemon::start("shared", version) else { return };
    let base = small(1, 64);
    let image = |name: &str, seed| Spec::new(&[name], vec![base.clone(), small(seed, 8)]);
    let (one, two, three) = (image("a.io/one:1", 2), image("a.io/two:1", 3), image("a.io/three:1", 4));
    let save = |name: &str, specs: &[Spec]| {
        let path = daemon.scratch().join(name);
        docker(specs, Same::Copy).save(&path, Packed::Plain);
        path
    };
    let (first, second) = (save("first.tar", &[one, two]), save("second.tar", &[three]));
    let mut read = Read_::default();
    import_file(&daemon, &first, &mut read).unwrap();
    let layers = |read: &Read_| read.0.keys().filter(|what| what.starts_with("layer")).cloned().collect::<Vec<_>>();
    assert_eq!(layers(&read), ["layer 1 of 'a.io/one:1'", "layer 2 of 'a.io/one:1'", "layer 2 of 'a.io/two:1'"]);
    let mut read = Read_::default();
    import_file(&daemon, &second, &mut read).unwrap();
    assert_eq!(layers(&read), ["layer 2 of 'a.io/three:1'"], "containerd {version}");
    assert_eq!(snapshots(&daemon).len(), 4);

    let remove = |name: &str| {
        let alias = load(if name == "a.io/three:1" { &second } else { &first }).unwrap().images;
        let config = alias.iter().find(|image| image.names[0].as_str() == name).unwrap().config.digest.to_string();
        daemon.ctr_ok(&["images", "rm", "--sync", name, &config]);
    };
    for (name, left) in [("a.io/one:1", 3), ("a.io/three:1", 2), ("a.io/two:1", 0)] {
        remove(name);
        assert_eq!(snapshots(&daemon).len(), left, "containerd {version}, after {name}");
    }
    assert_eq!(leftovers(&daemon), [""; 0], "containerd {version}");
}

/// A place that is read forward and has its blobs in another order than the images want them.
struct Backwards(Box<dyn Blobs>, Option<u64>);

impl Blobs for Backwards {
    fn open(&mut self, blob: &Descriptor) -> Result<Box<dyn Feed + '_>, Error> {
        let at = self.position(&blob.digest);
        assert!(at > self.1, "{} lies at {at:?}, and {:?} was read before", blob.digest, self.1);
        self.1 = at;
        self.0.open(blob)
    }

    fn position(&self, blob: &Digest) -> Option<u64> {
        self.0.position(blob).map(|at| u64::MAX / 2 - at)
    }

    fn rewinds(&self) -> bool {
        false
    }
}

fn layers_in_any_order_become_the_same(version: &str) {
    let Some(daemon) = Daemon::start("backwards", version) else { return };
    let path = daemon.scratch().join("app.tar");
    let layers = (1..5).map(|seed| small(seed, 16)).chain([file("a", b"a", 0o644)]).collect();
    docker(&[Spec::new(&["a.io/app:1"], layers)], Same::Copy).save(&path, Packed::Plain);
    let image = load(&path).unwrap().images.remove(0);
    let mut trees = Vec::new();
    for mode in [USUAL, KEPT] {
        let mut loaded = load(&path).unwrap();
        loaded.blobs = Box::new(Backwards(loaded.blobs, None));
        import_as(&daemon, loaded, mode, &mut ()).unwrap();
        assert_eq!(presence_as(&daemon, &image, mode), Presence::Complete, "containerd {version}, {mode:?}");
        trees.push(rootfs::list(&daemon, "k8s.io", &top(&image)));
        let want = if mode == USUAL { 2 } else { 2 + image.layers.len() };
        assert_eq!(first_column(&daemon.ctr_ok(&["content", "ls", "-q"]), 0).len(), want, "containerd {version}");
        clear(&daemon);
    }
    import_loaded(&daemon, load(&path).unwrap(), &mut ()).unwrap();
    trees.push(rootfs::list(&daemon, "k8s.io", &top(&image)));
    assert!(trees.iter().all(|tree| *tree == trees[0] && tree.len() > 10), "containerd {version}");
    clear(&daemon);
}
