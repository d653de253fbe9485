//! Image archives of every shape, good and bad, read by ours.

use std::io::Read;
use std::path::Path;

use edgelay::archive::layer_reader;
use edgelay::digest::Digest;
use edgelay::error::{Error, Kind};
use edgelay::images::{self, Loaded};
use edgelay::oci::Platform;

use super::support::daemon::Daemon;
use super::support::images::layer::small;
use super::support::images::{Packed, Spec, host_arch, oci, other_arch, shapes};

/// The generator is deterministic, and what it calls good is a tar.
#[test]
fn generated_archives_are_tars_and_repeat() {
    for (one, two) in shapes::good(4).into_iter().zip(shapes::good(4)) {
        let bytes = one.pack.tar();
        assert!(bytes == two.pack.tar(), "{} differs between two runs", one.name);
        let names: Vec<_> = tar::Archive::new(&bytes[..])
            .entries()
            .unwrap()
            .map(|e| String::from_utf8(e.unwrap().path_bytes().into_owned()).unwrap())
            .collect();
        let want: Vec<_> = one.pack.0.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(names, want, "{}", one.name);
    }
}

/// Reads every blob of every image, and checks each layer's uncompressed digest too.
fn read_all(loaded: &mut Loaded) -> Result<usize, Error> {
    let mut layers = 0;
    let io = |e: std::io::Error| match e.downcast::<Error>() {
        Ok(ours) => ours,
        Err(other) => Error::new(Kind::Bundle, "unpack").because(other),
    };
    for image in &loaded.images {
        for (blob, bytes) in [(&image.config, &image.config_bytes), (&image.manifest, &image.manifest_bytes)] {
            let mut read = Vec::new();
            loaded.blobs.open(blob)?.read_to_end(&mut read).map_err(io)?;
            assert_eq!((&read, read.len() as u64), (bytes, blob.size), "what is held is what is in the file");
            assert!(loaded.blobs.position(&blob.digest).is_some());
        }
        for layer in &image.layers {
            std::io::copy(&mut loaded.blobs.open(&layer.blob)?, &mut std::io::sink()).map_err(io)?;
            let mut tar = Vec::new();
            layer_reader(loaded.blobs.open(&layer.blob)?)?.read_to_end(&mut tar).map_err(io)?;
            assert_eq!(Digest::of(&tar), layer.diff_id);
            layers += 1;
        }
    }
    Ok(layers)
}

fn load(path: &Path) -> Result<Loaded, Error> {
    images::load(path, &Platform::linux(host_arch()))
}

#[test]
fn every_good_shape_loads_and_all_its_blobs_verify() {
    let dir = tempfile::tempdir().unwrap();
    for good in shapes::good(8) {
        let path = dir.path().join(good.name);
        good.pack.save(&path, good.outer);
        let mut loaded = load(&path).unwrap_or_else(|e| panic!("{}: {e:?}", good.name));
        let names: Vec<Vec<String>> =
            loaded.images.iter().map(|i| i.names.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(names, good.images, "{}", good.name);
        assert_eq!(read_all(&mut loaded).unwrap_or_else(|e| panic!("{}: {e:?}", good.name)), good.layers);
        if good.outer == Packed::Plain && !good.name.contains("dot") {
            let unpacked = dir.path().join(format!("{}.d", good.name));
            good.pack.save_dir(&unpacked);
            let mut same = load(&unpacked).unwrap_or_else(|e| panic!("{} as directory: {e:?}", good.name));
            assert_eq!(same.images, loaded.images, "{}: directory and tar hold the same", good.name);
            assert_eq!(read_all(&mut same).unwrap(), good.layers);
        }
    }
}

#[test]
fn every_bad_shape_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    for bad in shapes::bad(8) {
        let path = dir.path().join(bad.name);
        std::fs::write(&path, &bad.bytes).unwrap();
        let e = match load(&path) {
            Err(e) => e,
            Ok(mut loaded) => read_all(&mut loaded).map(|_| ()).expect_err(bad.name),
        };
        println!("{e:?}");
        let text = e.to_string();
        assert!(text.contains(bad.complaint), "{}: {text:?} lacks {:?}", bad.name, bad.complaint);
        assert!(text.starts_with(&format!("image file '{}'", path.display())), "{}: {text}", bad.name);
        assert_eq!(e.kind(), Kind::Bundle, "{}: {text}", bad.name);
        assert!(e.hint_text().is_some(), "{}: no hint in: {text}", bad.name);
    }
}

#[test]
fn what_is_no_image_is_named_and_left() {
    let dir = tempfile::tempdir().unwrap();
    let good = shapes::good(4).into_iter().find(|good| good.name == "artifacts.tar").unwrap();
    let path = dir.path().join(good.name);
    good.pack.save(&path, good.outer);
    let named = |name: &str, what: &str| format!("'docker.io/kubeedge/{name}' is {what}, expected an image");
    let want = [
        named("app:sha256-0.sig", "an artifact"),
        named("chart:1", "an artifact"),
        named("note:1", "a 'application/vnd.oci.artifact.manifest.v1+json'"),
    ];
    assert_eq!(load(&path).unwrap().others, want);
}

/// Docker's newer archives hold whatever was saved together, and what containerd had of it.
#[test]
fn what_cannot_be_taken_is_told_and_the_rest_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, other) = (host_arch(), other_arch());
    let foreign = |name: &str| format!("image '{name}' is for linux/{other}, expected linux/{ours}");
    let unnamed = |name: &str| format!("image '{name}' has no name");
    for good in shapes::good(4).into_iter().filter(|good| good.name.starts_with("mixed")) {
        let path = dir.path().join(good.name);
        good.pack.save(&path, good.outer);
        let told = load(&path).unwrap().others;
        if good.name == "mixed-docker.tar" {
            let config = |n: usize| {
                let list: serde_json::Value = serde_json::from_slice(&good.pack.data("manifest.json")).unwrap();
                list[n]["Config"].as_str().unwrap().to_owned()
            };
            let want = [unnamed(&config(0)), foreign("docker.io/kubeedge/foreign:v1"), unnamed(&config(3))];
            assert_eq!(told, want, "{}", good.name);
            continue;
        }
        let index: serde_json::Value = serde_json::from_slice(&good.pack.data("index.json")).unwrap();
        let tops = index["manifests"].as_array().unwrap();
        let top = |n: usize| tops[tops.len() - n]["digest"].as_str().unwrap().to_owned();
        let mut want =
            vec![unnamed(&top(5)), foreign("docker.io/kubeedge/foreign:v1"), foreign(&top(2)), foreign(&top(1))];
        if good.name == "mixed-lost.tar" {
            want.push(format!("entry 'blobs/sha256/{}' is missing", "0".repeat(64)));
        }
        assert_eq!(told, want, "{}", good.name);
    }
}

/// By its own digest, or by that of the index that it is in; a tag beside it is not looked at, as in CRI.
#[test]
fn images_may_be_named_by_digest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    let specs = [Spec::new(&["x"], vec![small(1, 4)]), Spec::new(&["x"], vec![small(2, 4)]).arch("arm", Some("v7"))];
    for specs in [&specs[..1], &specs] {
        let pack = oci(&[specs], Packed::Gzip);
        let mut top: serde_json::Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
        let digest = top["manifests"][0]["digest"].as_str().unwrap().to_owned();
        for name in [format!("kubeedge/app@{digest}"), format!("docker.io/kubeedge/app:v1@{digest}")] {
            top["manifests"][0]["annotations"] = serde_json::json!({"io.containerd.image.name": name});
            pack.clone().with("index.json", serde_json::to_vec(&top).unwrap()).save(&path, Packed::Plain);
            let loaded = load(&path).unwrap();
            let names: Vec<_> = loaded.images.iter().flat_map(|i| &i.names).map(|name| name.as_str()).collect();
            assert_eq!(names, [format!("docker.io/kubeedge/app@{digest}")], "{name}");
        }
    }
}

/// `ctr -n k8s.io images export FILE $(ctr -n k8s.io images ls -q)` takes CRI's aliases along.
#[test]
fn the_aliases_of_cri_are_no_names() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    let spec = Spec::new(&["kubeedge/app:v1"], vec![small(1, 4)]);
    let alias = edgelay::digest::Digest::of(&spec.config()).to_string();
    let pack = oci(&[&[spec]], Packed::Gzip);
    let mut top: serde_json::Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    let mut same = top["manifests"][0].clone();
    same["annotations"] = serde_json::json!({
        "io.containerd.image.name": alias,
        "org.opencontainers.image.ref.name": alias,
    });
    top["manifests"].as_array_mut().unwrap().push(same);
    pack.with("index.json", serde_json::to_vec(&top).unwrap()).save(&path, Packed::Plain);
    let loaded = load(&path).unwrap();
    let names: Vec<_> = loaded.images.iter().flat_map(|image| &image.names).map(|name| name.as_str()).collect();
    assert_eq!((names, loaded.others), (vec!["docker.io/kubeedge/app:v1"], vec![]));
}

/// `ctr images export` and `docker save` of a part write the index of the whole.
#[test]
fn an_image_saved_for_another_processor_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image.tar");
    let specs = [host_arch(), other_arch()].map(|arch| Spec::new(&["x/y:1"], vec![small(1, 4)]).arch(arch, None));
    let pack = oci(&[&specs], Packed::Gzip);
    let top: serde_json::Value = serde_json::from_slice(&pack.data("index.json")).unwrap();
    let blob = |digest: &serde_json::Value| format!("blobs/{}", digest.as_str().unwrap().replace(':', "/"));
    let index = blob(&top["manifests"][0]["digest"]);
    let index: serde_json::Value = serde_json::from_slice(&pack.data(&index)).unwrap();
    let ours = blob(&index["manifests"][0]["digest"]);
    pack.without(&ours).save(&path, Packed::Plain);
    let e = load(&path).unwrap_err();
    let us = format!("linux/{}", host_arch());
    assert!(e.to_string().ends_with(&format!("entry '{ours}', the image for {us}, is missing")), "{e}");
    let hint =
        format!("save the image for it: 'ctr images export --platform {us} ...', 'docker save --platform {us} ...'");
    assert_eq!(e.hint_text(), Some(hint.as_str()));
}

/// The digests that we would record are those that `ctr images import` records for the same file.
#[test]
fn manifest_digests_are_those_of_ctr() {
    for version in ["1.6", "2.1"] {
        let Some(daemon) = Daemon::start("manifest_digests_are_those_of_ctr", version) else { continue };
        let mut compared = 0;
        for good in shapes::good(4) {
            // With an index on top, ctr records the index; we always record the manifest. Names that are only in
            // Docker's list, outer compression, `./`, names that are not normal and absent blobs are beyond ctr.
            let ctr_can =
                good.outer == Packed::Plain && !good.name.contains("dot") && !good.name.contains("classic-name");
            if !ctr_can
                || [
                    "artifacts.tar",
                    "variants.tar",
                    "multi.tar",
                    "multi-partial.tar",
                    "attested.tar",
                    "nested.tar",
                    "two-oci.tar",
                    "mixed-lost.tar",
                ]
                .contains(&good.name)
            {
                continue;
            }
            let path = daemon.scratch().join(good.name);
            good.pack.save(&path, good.outer);
            daemon.ctr_ok(&["images", "import", "--no-unpack", &path.display().to_string()]);
            let list = daemon.ctr_ok(&["images", "ls"]);
            for image in load(&path).unwrap().images {
                for name in &image.names {
                    let row = list.lines().find(|row| row.split_whitespace().next() == Some(name.as_str()));
                    let digest = row.and_then(|row| row.split_whitespace().nth(2));
                    assert_eq!(digest, Some(&*image.manifest.digest.to_string()), "{version} {} {name}", good.name);
                    compared += 1;
                }
            }
        }
        println!("{version}: {compared} names compared");
        assert!(compared >= 10, "{version}: only {compared} names compared");
    }
}

/// Whatever bytes of an archive change, loading ends well or with an error of ours, in little memory.
#[test]
fn damaged_archives_load_or_fail() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("damaged");
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    let shapes: Vec<(Vec<u8>, Packed)> = shapes::good(1)
        .into_iter()
        .filter(|good| {
            ["docker.tar", "oci-gzip.tar", "oci-zstd.tar", "multi.tar", "docker.tar.gz", "docker.tar.zst"]
                .contains(&good.name)
        })
        .map(|good| (good.pack.tar(), good.outer))
        .collect();
    assert_eq!(shapes.len(), 6);
    let (mut fine, mut refused) = (0, 0);
    for round in 0..3000 {
        let (bytes, outer) = &shapes[round % shapes.len()];
        // Half of the time what is damaged is inside the compression, so that the damage gets past it.
        let inside = *outer == Packed::Plain || round % 2 == 0;
        let mut bytes = if inside { bytes.clone() } else { outer.apply(bytes) };
        for _ in 0..=next(3) {
            let at = next(bytes.len());
            match next(6) {
                0 => bytes[at] ^= 1 << next(8),
                1 => bytes[at] = u8::try_from(next(256)).unwrap(),
                2 => bytes.truncate(at.max(1)),
                3 => drop(bytes.drain(at..(at + next(2000)).min(bytes.len()))),
                4 => {
                    let copy = bytes[at..(at + next(2000)).min(bytes.len())].to_vec();
                    let to = next(bytes.len());
                    bytes.splice(to..to, copy);
                }
                _ => {
                    // A digit in a header or a document: sizes, offsets, sums.
                    if let Some(digit) = bytes[at..].iter_mut().find(|b| b.is_ascii_digit()) {
                        *digit = b'0' + u8::try_from(next(10)).unwrap();
                    }
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        std::fs::write(&path, if inside { outer.apply(&bytes) } else { bytes }).unwrap();
        match load(&path).and_then(|mut loaded| read_all(&mut loaded)) {
            Ok(_) => fine += 1,
            Err(e) => {
                assert_eq!(e.kind(), Kind::Bundle, "{e:?}");
                refused += 1;
            }
        }
    }
    println!("{fine} fine, {refused} refused");
    assert!(fine > 100 && refused > 100, "{fine} fine, {refused} refused: the damage is too weak or too strong");
}

/// Names the file that [`memory_probe`] is to read, in a process of its own.
const PROBE: &str = "EDGELAY_TEST_PROBE_ARCHIVE";

/// Loads an archive, reads and unpacks all layers, and prints the peak of its own memory in KiB.
#[test]
fn memory_probe() {
    let Some(path) = std::env::var_os(PROBE) else { return };
    let mut loaded = load(Path::new(&path)).unwrap();
    for layer in loaded.images.iter().flat_map(|image| &image.layers) {
        let mut tar = layer_reader(loaded.blobs.open(&layer.blob).unwrap()).unwrap();
        std::io::copy(&mut tar, &mut std::io::sink()).unwrap();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("\npeak {}", peak.trim().trim_end_matches(" kB"));
}

#[test]
fn memory_does_not_grow_with_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let probe = |path: &Path| -> u64 {
        let out = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "archives::memory_probe", "--nocapture"])
            .env(PROBE, path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let peak = text.lines().find_map(|line| line.strip_prefix("peak "));
        peak.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
    };
    for (outer, packed) in [(Packed::Plain, Packed::Gzip), (Packed::Plain, Packed::Zstd), (Packed::Zstd, Packed::Plain)]
    {
        let peak = |mib: usize| {
            let spec = Spec::new(&["a/b:1"], vec![small(1, mib * 1024)]);
            let path = dir.path().join("image.tar");
            oci(&[&[spec]], packed).save(&path, outer);
            probe(&path)
        };
        let (little, large) = (peak(6), peak(48));
        println!("outer {outer:?}, layers {packed:?}: {little} KiB for 6 MiB, {large} KiB for 48 MiB");
        assert!(large < little + 2048, "{little} KiB for 6 MiB, {large} KiB for 48 MiB");
    }
}

#[test]
fn links_in_a_directory_stay_inside_and_only_files_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec::new(&["a/b:1"], vec![small(1, 4)]);
    let layer = format!("blobs/sha256/{}", spec.diff_ids()[0].hex());
    let pack = oci(&[&[spec]], Packed::Plain);
    let outside = dir.path().join("outside");
    std::fs::write(&outside, pack.data(&layer)).unwrap();
    for target in ["../../../outside".to_owned(), outside.display().to_string()] {
        let layout = dir.path().join("layout");
        pack.save_dir(&layout);
        std::fs::remove_file(layout.join(&layer)).unwrap();
        std::os::unix::fs::symlink(&target, layout.join(&layer)).unwrap();
        let e = load(&layout).unwrap_err().to_string();
        assert!(e.ends_with(&format!("entry '{layer}' is missing")), "{target}: {e}");
        std::fs::remove_dir_all(layout).unwrap();
    }
    let fifo = dir.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    let e = load(&fifo).unwrap_err();
    assert!(e.to_string().ends_with("is no regular file, expected an archive or a directory"), "{e}");
    assert!(e.hint_text().unwrap().starts_with("write it to a file first: "), "{e:?}");
    assert_eq!(load(&dir.path().join("nothing")).unwrap_err().kind(), Kind::Host);
}
