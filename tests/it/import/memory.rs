//! What an import holds in memory: little, whatever the image, and never more than 16 MiB for anything that is taken.
//!
//! The program as it is released is measured. `EDGELAY_MEMORY=long` imports 5 GB under a limit of 24 MiB; the usual run
//! imports 1 GB.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use edgelay::digest::Hashing;
use edgelay::feed::Feed;
use serde_json::json;

use super::{clear, on_every_containerd};
use crate::support::bed::run;
use crate::support::daemon::Daemon;
use crate::support::images::layer::small;
use crate::support::images::{OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Pack, Packed, Same, Spec, bytes, docker, host_arch};
use crate::support::peak::{MIB, USUAL, launcher, peak_of, released};
use crate::support::peers::skip;
use crate::support::tar::{E, layer};

on_every_containerd!(a_gigabyte_passes_through_a_small_cgroup);

/// For the worst that is taken.
const WORST: u64 = 16 * MIB;

/// Far less than the difference of the images, and than one layer of the larger one.
const SLACK: u64 = 512 << 10;

/// Peak memory of `edgelay image import FILE`, in bytes; with `group`, in that cgroup.
fn peak(daemon: &Daemon, file: &Path, group: Option<&Group>) -> Result<u64, String> {
    let launcher = launcher(daemon.scratch());
    let report = daemon.scratch().join("report");
    let script = r#"[ -z "$1" ] || echo $$ >"$1/cgroup.procs"; report=$2; shift 2; exec "$@" 3>"$report""#;
    let ended = run(Command::new("bash")
        .args(["-ec", script, "bash"])
        .arg(group.map(|group| group.0.as_path()).unwrap_or(Path::new("")))
        .args([&report, &launcher])
        .arg(released())
        .args(["image", "import", "--quiet", "--address", &daemon.address()])
        .arg(file));
    peak_of(&fs::read(&report).unwrap()).ok_or_else(|| ended.said())
}

/// A daemon, if the released program is there to use it; `None` after a SKIP line.
fn start(test: &str, version: &str) -> Option<Daemon> {
    if !released().exists() {
        skip(test, "nothing in dist: run make dist");
        return None;
    }
    Daemon::start(test, version)
}

/// A memory cgroup of version 1 or 2, with a limit.
struct Group(PathBuf);

impl Group {
    fn new(limit: u64) -> Option<Group> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("edgelay-memory-{}-{limit}-{:?}", std::process::id(), std::thread::current().id());
        let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        let (dir, key) = if root.join("memory/memory.limit_in_bytes").exists() {
            (root.join("memory").join(name), "memory.limit_in_bytes")
        } else {
            (root.join(name), "memory.max")
        };
        fs::create_dir(&dir).ok()?;
        let group = Group(dir);
        fs::write(group.0.join(key), limit.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended; the kernel may still count their pages for a moment.
        crate::support::daemon::wait_until(|| fs::remove_dir(&self.0).is_ok());
    }
}

/// Reads as the tar of `files` files of `size` zeros.
fn zeros(files: u64, size: u64) -> impl Read {
    let end: Box<dyn Feed> = Box::new(io::repeat(0).take(1024));
    (0..files).rev().fold(end, |rest, n| {
        let header = E { size: Some(size), ..E::file(format!("{n}"), "") }.header();
        Box::new(io::Cursor::new(header).chain(io::repeat(0).take(size)).chain(rest))
    })
}

/// An image of one zstd layer that is never in memory, nor on the disk, as a whole.
fn image_of_zeros(path: &Path, files: u64, size: u64) {
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    let mut tar = Hashing::new(zeros(files, size));
    io::copy(&mut tar, &mut packed).unwrap();
    let diff_id = tar.finish().0.to_string();
    let mut pack = Pack::default();
    pack.file("oci-layout", &b"{\"imageLayoutVersion\":\"1.0.0\"}"[..]);
    let (layer, layer_size) = blob(&mut pack, packed.finish().unwrap());
    let config =
        json!({"architecture": host_arch(), "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff_id]}});
    let (config, config_size) = blob(&mut pack, bytes(&config));
    let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config, "size": config_size},
        "layers": [{"mediaType": Packed::Zstd.oci_layer(), "digest": layer, "size": layer_size}]});
    let manifest = blob(&mut pack, bytes(&manifest));
    index(&mut pack, &[manifest]);
    pack.save(path, Packed::Plain);
}

fn blob(pack: &mut Pack, data: Vec<u8>) -> (String, usize) {
    let size = data.len();
    (pack.blob(data), size)
}

fn index(pack: &mut Pack, manifests: &[(String, usize)]) {
    let entry = |(n, (digest, size)): (usize, &(String, usize))| {
        json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": size,
            "annotations": {"io.containerd.image.name": format!("docker.io/edgelay/memory-{n}:1")}})
    };
    let entries: Vec<_> = manifests.iter().enumerate().map(entry).collect();
    pack.file("index.json", bytes(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})));
}

fn a_gigabyte_passes_through_a_small_cgroup(version: &str) {
    let test = "a_gigabyte_passes_through_a_small_cgroup";
    let long = std::env::var_os("EDGELAY_MEMORY").is_some_and(|how| how == "long");
    // The limit is edgelay's and says nothing of the daemon: one version of it will do.
    if !long && version != "2.1" {
        return;
    }
    let Some(daemon) = start(test, version) else { return };
    let Some(group) = Group::new(24 * MIB) else { return skip(test, "no memory cgroup can be made") };
    let path = daemon.scratch().join("zeros.tar");
    let files = if long { 5 } else { 1 };
    image_of_zeros(&path, files, 1_000_000_000);
    let peak = peak(&daemon, &path, Some(&group)).unwrap();
    println!("containerd {version}: {files} GB in a cgroup of 24 MiB, peak {} KiB", peak >> 10);
    assert!(peak <= USUAL, "{peak} bytes");
    clear(&daemon);
}

#[test]
fn peak_memory_is_flat() {
    let Some(daemon) = start("peak_memory_is_flat", "1.7") else { return };
    let mut peaks = Vec::new();
    for packed in [Packed::Plain, Packed::Zstd] {
        for mib in [20, 100] {
            let layers = (0..4).map(|seed| small(seed, mib * 1024 / 4)).collect();
            let path = daemon.scratch().join("image.tar");
            docker(&[Spec::new(&["docker.io/kubeedge/app:v1"], layers)], Same::Copy).save(&path, packed);
            peaks.push(peak(&daemon, &path, None).unwrap());
            clear(&daemon);
        }
    }
    println!("peak memory of imports of 20 and 100 MiB, plain and zstd: {peaks:?} bytes");
    assert!(peaks.iter().all(|peak| *peak <= USUAL), "{peaks:?}");
    assert!(peaks[1] < peaks[0] + SLACK && peaks[3] < peaks[2] + SLACK, "{peaks:?}");
}

/// `data` in one frame of zstd with a window of 2^`log` bytes.
fn zstd(data: &[u8], log: u32) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(log).unwrap();
    // What is to be refused shall refer that far.
    encoder.long_distance_matching(log == 25).unwrap();
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A docker archive; `layers` are packed already, and come with the digests of their tars.
fn docker_of(layers: &[(Vec<u8>, String)], more: usize) -> Pack {
    let mut pack = Pack::default();
    let ids: Vec<_> = layers.iter().map(|(_, id)| id).collect();
    // As large as a document may be, and all of them together.
    let comment = "c".repeat(if more == 0 { 500 << 10 } else { 310 << 10 });
    let config = json!({"architecture": host_arch(), "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids},
        "comment": comment});
    let mut list = Vec::new();
    for (n, (data, _)) in layers.iter().enumerate() {
        pack.file(format!("{n}.tar"), data.clone());
    }
    let names: Vec<_> = (0..layers.len()).map(|n| format!("{n}.tar")).collect();
    // Images that differ in their configs only.
    for n in 0..=more {
        let mut config = config.clone();
        config["author"] = json!(n.to_string());
        pack.file(format!("{n}.json"), bytes(&config));
        list.push(
            json!({"Config": format!("{n}.json"), "RepoTags": [format!("edgelay/worst-{n}:1")], "Layers": names}),
        );
    }
    pack.file("manifest.json", bytes(&json!(list)));
    pack
}

/// Each worst in one way, at its limit or close below it.
fn worst() -> Vec<(&'static str, Pack, Packed)> {
    let id = |tar: &[u8]| edgelay::digest::Digest::of(tar).to_string();
    let big = small(1, 20 << 10);
    let packed = |tar: &[u8], log| (zstd(tar, log), id(tar));
    // Times and names in 1.25 MiB, less a little; the names share nothing.
    let dirs: Vec<E> =
        (0..4166).map(|n: u32| E::dir(format!("{:04x}{}", n.reverse_bits() >> 16, "d".repeat(240)))).collect();
    let more = [E::file("data", &big), E::file("x", "").pax("comment", "c".repeat(1_000_000))];
    let all = layer(&[&dirs[..], &more].concat());
    let dirs = layer(&dirs);
    let attributes: Vec<E> =
        vec![(0..100).fold(E::file("f", ""), |e, n| e.xattr(&format!("user.a{n}"), "x".repeat(8)))];
    let long = E::file("x", "").pax("comment", "c".repeat(1_000_000));
    let odd = layer(&[&attributes[..], &[long]].concat());
    let crowd = |mut pack: Pack| {
        (0..8100).for_each(|n| pack.file(format!("{n:063}"), &b""[..]));
        pack
    };
    // zstd:chunked: a frame for each piece.
    let chunked: Vec<u8> = big.chunks(6 << 20).flat_map(|piece| zstd(piece, 27)).collect();
    let names = crowd(docker_of(&[(odd.clone(), id(&odd))], 0));
    vec![
        ("everything at once", crowd(docker_of(&[packed(&all, 21)], 1)), Packed::Zstd),
        ("a window of 8 MiB and many large configs", docker_of(&[packed(&big, 23)], 1), Packed::Plain),
        ("windows of 128 MiB that nothing refers to", docker_of(&[(chunked, id(&big))], 1), Packed::Plain),
        ("windows within windows", docker_of(&[packed(&big, 21)], 1), Packed::Zstd),
        ("many directories", docker_of(&[packed(&dirs, 23)], 0), Packed::Plain),
        ("many names, in a compressed archive", names, Packed::Zstd),
        ("odd headers", docker_of(&[(odd.clone(), id(&odd))], 0), Packed::Gzip),
    ]
}

#[test]
fn the_worst_that_is_taken_fits_into_16_mib() {
    let Some(daemon) = start("the_worst_that_is_taken_fits_into_16_mib", "2.1") else { return };
    let path = daemon.scratch().join("worst.tar");
    let mut too_much = Vec::new();
    for (what, pack, outer) in worst() {
        match outer {
            Packed::Zstd => fs::write(&path, zstd(&pack.tar(), 23)).unwrap(),
            outer => pack.save(&path, outer),
        }
        let peak = peak(&daemon, &path, None).unwrap_or_else(|why| panic!("{what}: {why}"));
        println!("{what}: {} KiB", peak >> 10);
        too_much.extend((peak > WORST).then(|| format!("{what}: {peak} bytes")));
        clear(&daemon);
    }
    assert!(too_much.is_empty(), "{too_much:?}");
}

#[test]
fn more_than_the_limits_is_refused() {
    let Some(daemon) = start("more_than_the_limits_is_refused", "2.1") else { return };
    let path = daemon.scratch().join("more.tar");
    let tar = small(1, 64);
    let id = edgelay::digest::Digest::of(&tar).to_string();
    let plain = || (tar.clone(), id.clone());
    let mut files = docker_of(&[plain()], 0);
    (0..1 << 13).for_each(|n| files.file(format!("{n:05}"), &b""[..]));
    let mut names = docker_of(&[plain()], 0);
    (0..6000).for_each(|n| names.file(format!("{n:090}"), &b""[..]));
    let large = docker_of(&[plain()], 0).with("0.json", vec![b' '; (512 << 10) + 1]);
    let noise = small(1, 9 << 10);
    let far = layer(&[E::file("a", &noise), E::file("b", &noise)]);
    let log = |log| docker_of(&[(zstd(&far, log), edgelay::digest::Digest::of(&far).to_string())], 0);
    for (pack, outer, words) in [
        (files, Packed::Plain, "has more files than the limit of 8192"),
        (names, Packed::Plain, "names of entries exceed the limit of 524288 bytes"),
        (large, Packed::Plain, "has 524289 bytes, the limit for a document is 524288"),
        (docker_of(&[plain()], 2), Packed::Plain, "documents exceed the limit of 655360 bytes"),
        (log(25), Packed::Plain, "need a window of 33554432 bytes, the limit is 8388608"),
        (log(25), Packed::Zstd, "need a window of 33554432 bytes, the limit is 2097152"),
    ] {
        pack.save(&path, outer);
        let why = peak(&daemon, &path, None).unwrap_err();
        assert!(why.contains(words) && why.contains("hint: "), "{words}: {why}");
        assert_eq!(super::leftovers(&daemon), [""; 0]);
    }
}
