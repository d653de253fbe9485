//! Nothing is done twice, and a full disk costs nothing but the attempt.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use edgelay::clock::SystemClock;
use edgelay::containerd::Client;
use edgelay::containerd::import::{self, Action, Options};
use edgelay::digest::Digest;
use edgelay::error::Error;
use edgelay::feed::Feed;
use edgelay::oci::{Blobs, Descriptor};

use super::{clear, leftovers, load, on_every_containerd, presence};
use crate::support::bed::{Ended, run};
use crate::support::daemon::{Daemon, Disk};
use crate::support::images::layer::small;
use crate::support::images::{Packed, Same, Spec, docker, oci};

on_every_containerd!(what_is_there_is_neither_read_nor_written, a_full_disk_is_told_and_given_back,);

const NAME: &str = "docker.io/kubeedge/app:v1";

/// Knows which blobs were opened.
struct Opened<'a>(&'a mut dyn Blobs, BTreeSet<Digest>);

impl Blobs for Opened<'_> {
    fn open(&mut self, blob: &Descriptor) -> Result<Box<dyn Feed + '_>, Error> {
        self.1.insert(blob.digest);
        self.0.open(blob)
    }
    fn position(&self, blob: &Digest) -> Option<u64> {
        self.0.position(blob)
    }
    fn rewinds(&self) -> bool {
        self.0.rewinds()
    }
}

/// Imports the file; what was done and which blobs were opened for it.
fn import(daemon: &Daemon, path: &Path) -> (Vec<Action>, BTreeSet<Digest>) {
    let mut loaded = load(path).unwrap();
    let mut client = Client::connect(&daemon.socket()).unwrap();
    let clock = SystemClock::default();
    let mut blobs = Opened(&mut *loaded.blobs, BTreeSet::new());
    let done = import::import(&mut client, &loaded.images, &mut blobs, &Options::new(&clock), &mut ()).unwrap();
    (done.into_iter().map(|outcome| outcome.action).collect(), blobs.1)
}

/// Every file below containerd's root with its times, and how much the daemon has written so far.
fn state(daemon: &Daemon) -> (String, u64) {
    let list = run(Command::new("find").arg(daemon.root()).args(["-printf", "%p %s %T@ %C@\\n"])).good();
    let io = std::fs::read_to_string(format!("/proc/{}/io", daemon.pid())).unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
    (list, written.parse().unwrap())
}

fn what_is_there_is_neither_read_nor_written(version: &str) {
    let Some(daemon) = Daemon::start("once", version) else { return };
    let path = daemon.scratch().join("app.tar");
    let layers = vec![small(1, 2048), small(2, 64)];
    oci(&[&[Spec::new(&[NAME], layers.clone())]], Packed::Zstd).save(&path, Packed::Plain);
    let (done, opened) = import(&daemon, &path);
    assert!(matches!(done[..], [Action::Imported { sent }] if sent > 0) && opened.len() == 2, "{done:?} {opened:?}");
    // CRI keeps its own notes of a new image a moment later.
    let mut before = state(&daemon);
    crate::support::daemon::wait_until(|| {
        let now = state(&daemon);
        std::mem::replace(&mut before, now.clone()) == now
    });
    let read = daemon.bytes_read();

    assert_eq!(import(&daemon, &path), (vec![Action::Kept], BTreeSet::new()), "containerd {version}");
    let read = daemon.bytes_read() - read;
    assert!(read < 64 << 10, "containerd {version}: {read} bytes went to the daemon");
    let after = state(&daemon);
    assert!(before == after, "containerd {version}: {} and {} bytes\n{}\n{}", before.1, after.1, before.0, after.0);

    // A new version of the image costs what is new in it.
    let next = vec![layers[0].clone(), small(3, 64)];
    oci(&[&[Spec::new(&[NAME], next)]], Packed::Zstd).save(&path, Packed::Plain);
    let new = load(&path).unwrap().images.remove(0).layers.remove(1).blob;
    let (done, opened) = import(&daemon, &path);
    assert_eq!(opened, BTreeSet::from([new.digest]), "containerd {version}");
    assert!(matches!(done[..], [Action::Imported { sent }] if sent < new.size + 4096), "{done:?}");
    clear(&daemon);
}

fn edgelay(daemon: &Daemon, path: &Path) -> Ended {
    let program = Path::new(env!("CARGO_BIN_EXE_edgelay"));
    run(daemon.inside(program).args(["image", "import", "--address", &daemon.address()]).arg(path))
}

/// KiB that are free on the daemon's disk.
fn free(daemon: &Daemon) -> u64 {
    let stat = nix::sys::statvfs::statvfs(&daemon.seen_root()).unwrap();
    (stat.blocks_available() * stat.fragment_size()) >> 10
}

/// Written by ourselves, into a disk that ends in the middle of the second layer.
fn a_full_disk_is_told_and_given_back(version: &str) {
    let Some(daemon) = Daemon::start_on("full", version, Disk::Memory(40)) else { return };
    let path = daemon.scratch().join("app.tar");
    let layers = (0..2).map(|seed| small(seed, 12 << 10)).collect();
    docker(&[Spec::new(&[NAME], layers)], Same::Copy).save(&path, Packed::Plain);
    let balloon = daemon.seen_root().join("balloon");
    std::fs::write(&balloon, vec![1; 20 << 20]).unwrap();
    let before = free(&daemon);
    for _ in 0..2 {
        let failed = edgelay(&daemon, &path);
        let said = failed.said();
        assert_eq!(failed.code, 6, "containerd {version}: {said}");
        for words in [
            "unpack layer 2 of 'docker.io/kubeedge/app:v1': unpack '",
            "ENOSPC",
            "hint: free space on the file system of '",
            "MiB",
            "then run the same command again",
        ] {
            assert!(said.contains(words), "containerd {version}, no '{words}' in: {said}");
        }
        assert_eq!(leftovers(&daemon), [""; 0], "containerd {version}");
        // The daemon's database has grown by a page or two.
        let after = free(&daemon);
        assert!(after + 512 > before, "containerd {version}: {before} KiB free before, {after} after");
    }
    std::fs::remove_file(balloon).unwrap();
    edgelay(&daemon, &path).good();
    let image = load(&path).unwrap().images.remove(0);
    assert_eq!(presence(&daemon, &image), super::Presence::Complete);
}
