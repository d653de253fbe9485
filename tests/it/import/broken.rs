//! What must not be imported is refused, and nothing of it is left in the daemon.

use edgelay::containerd::Client;
use edgelay::containerd::import::{Presence, State};
use edgelay::digest::Digest;
use edgelay::error::Kind;

use super::{clear, import_file, import_loaded, leftovers, list, load, on_every_containerd, presence};
use crate::support::daemon::{Daemon, Disk};
use crate::support::images::layer::{file, small, tree};
use crate::support::images::{Packed, Same, Spec, docker, oci, shapes};

on_every_containerd!(
    bad_archives_leave_nothing,
    a_layer_that_is_not_the_configs_is_refused,
    what_others_broke_is_listed_as_broken,
    a_full_disk_leaves_nothing_and_the_daemon_well,
);

fn bad_archives_leave_nothing(version: &str) {
    let Some(daemon) = Daemon::start("bad archives", version) else { return };
    for bad in shapes::bad(4) {
        let path = daemon.scratch().join(bad.name);
        std::fs::write(&path, &bad.bytes).unwrap();
        let e = import_file(&daemon, &path, &mut ()).unwrap_err();
        assert_eq!(e.kind(), Kind::Bundle, "{}: {e:?}", bad.name);
        let text = e.to_string();
        assert!(text.contains(bad.complaint) && text.contains(bad.name), "{}: {text}", bad.name);
    }
    assert_eq!(leftovers(&daemon), [""; 0], "containerd {version}");
}

/// The blobs are what their digests say, so only unpacking shows it. The image before it in the same file is good, but
/// an import is all or nothing.
fn a_layer_that_is_not_the_configs_is_refused(version: &str) {
    let Some(daemon) = Daemon::start("wrong diff ID", version) else { return };
    let good = Spec::new(&["docker.io/kubeedge/good:v1"], vec![small(1, 4)]);
    let bad = Spec::new(&["docker.io/kubeedge/bad:v1"], vec![small(1, 4), file("a", b"a", 0o644)]);
    let path = daemon.scratch().join("two.tar");
    oci(&[&[good], &[bad]], Packed::Gzip).save(&path, Packed::Plain);
    let mut loaded = load(&path).unwrap();
    let (wrong, right) = (Digest::of(b"wrong"), loaded.images[1].layers[1].diff_id);
    loaded.images[1].layers[1].diff_id = wrong;
    let e = import_loaded(&daemon, loaded, &mut ()).unwrap_err();
    assert_eq!(e.kind(), Kind::Bundle);
    let want = format!(
        "unpack layer 2 of 'docker.io/kubeedge/bad:v1': it unpacks to {right}, but the image config says {wrong}"
    );
    assert_eq!(e.to_string(), want);
    assert_eq!(leftovers(&daemon), [""; 0], "containerd {version}");
}

/// What a layer is, told by the list and by the check: first whole, then without a blob, then without its record.
fn what_others_broke_is_listed_as_broken(version: &str) {
    let Some(daemon) = Daemon::start("list", version) else { return };
    let [base, top] = tree();
    let app = Spec::new(&["docker.io/kubeedge/app:v1", "docker.io/kubeedge/app:v2"], vec![base, top]);
    let path = daemon.scratch().join("app.tar");
    docker(&[app], Same::Copy).save(&path, Packed::Plain);
    let image = load(&path).unwrap().images.remove(0);
    assert_eq!(presence(&daemon, &image), Presence::Lacking("no image 'docker.io/kubeedge/app:v1'".into()));

    // By ctr first: all there, but nobody vouches for it.
    daemon.ctr_ok(&["images", "import", path.to_str().unwrap()]);
    assert_eq!(list(&daemon).iter().map(|i| (i.pinned, &i.state)).collect::<Vec<_>>(), [(false, &State::Unpacked); 2]);
    assert!(matches!(presence(&daemon, &image), Presence::Lacking(why) if why.contains("not imported to the end")));

    import_file(&daemon, &path, &mut ()).unwrap();
    let listed = list(&daemon);
    let size = image.manifest.size + image.config.size + image.layers.iter().map(|l| l.blob.size).sum::<u64>();
    for (listed, name) in listed.iter().zip(&image.names) {
        assert_eq!((listed.name.as_str(), listed.target, listed.size), (name.as_str(), image.manifest.digest, size));
        assert_eq!((listed.pinned, &listed.state), (true, &State::Whole));
    }
    assert_eq!(presence(&daemon, &image), Presence::Complete);
    if version != "1.6" {
        // Debian's 1.6.20 stores the label, but its CRI knows no pins yet.
        let seen = Client::connect(&daemon.socket()).unwrap().cri_images().list().unwrap();
        assert!(seen.iter().all(|image| image.pinned), "{seen:?}");
    }

    let config = image.config.digest;
    daemon.ctr_ok(&["content", "rm", &config.to_string()]);
    let lacking = State::Lacking(format!("blob {config} is missing"));
    assert!(list(&daemon).iter().all(|image| image.state == lacking), "{:?}", list(&daemon));
    import_file(&daemon, &path, &mut ()).unwrap();
    assert_eq!(presence(&daemon, &image), Presence::Complete);
    clear(&daemon);
}

/// Full while a layer is sent, and full while the last one is unpacked.
fn a_full_disk_leaves_nothing_and_the_daemon_well(version: &str) {
    let Some(daemon) = Daemon::start_on("full disk", version, Disk::Memory(24)) else { return };
    let path = daemon.scratch().join("image.tar");
    for (mib, doing) in [(30, "put layer"), (18, "unpack layer")] {
        let layers = (0..2).map(|seed| small(seed, mib * 1024)).collect();
        docker(&[Spec::new(&["docker.io/kubeedge/app:v1"], layers)], Same::Copy).save(&path, Packed::Plain);
        let e = import_file(&daemon, &path, &mut ()).unwrap_err();
        assert_eq!(e.kind(), Kind::Host, "{e:?}");
        assert!(e.to_string().starts_with(doing) && e.to_string().contains("no space left"), "{e:?}");
        assert!(e.hint_text().unwrap().starts_with("free space on the file system of '/"), "{e:?}");
        assert_eq!(leftovers(&daemon), [""; 0], "containerd {version}");
    }
    docker(&[Spec::new(&["docker.io/kubeedge/app:v1"], vec![small(1, 512)])], Same::Copy).save(&path, Packed::Plain);
    import_file(&daemon, &path, &mut ()).unwrap();
}
