//! Image archives of every shape, good and bad, read by ours.

use std::io::Read;
use std::path::Path;

use edgelay::archive::layer_reader;
use edgelay::digest::Digest;
use edgelay::error::{Error, Kind};
use edgelay::images::{self, Loaded};
use edgelay::oci::Platform;

use super::support::images::{Packed, host_arch, shapes};

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
