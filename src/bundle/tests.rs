//! Reading bundles: good ones from files and pipes, and everything that is not a good one.

use std::io::{Cursor, Read};

use super::sample::{Sample, sample};
use super::*;

fn open(bytes: &[u8]) -> std::result::Result<Bundle, Flaw> {
    Bundle::from_seekable(Cursor::new(bytes.to_vec()), "b")
}

fn read(bundle: &mut Bundle, blob: &Descriptor) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut reader = Blobs::open(bundle, blob)?;
    reader.read_to_end(&mut out).lift(Kind::Host, || "read".into())?;
    Ok(out)
}

/// Reads all of a bundle as an installer would; any order of `open`, `from_pipe`.
fn read_all(bundle: &mut Bundle) -> Result<()> {
    let blobs: Vec<Descriptor> = bundle.components().iter().map(Component::blob).collect();
    let layers: Vec<Descriptor> = bundle.images().iter().flat_map(|i| &i.layers).map(|l| l.blob.clone()).collect();
    for blob in blobs {
        read(bundle, &blob)?;
    }
    let mut seen = crate::sorted::Set::new();
    for blob in layers.iter().filter(|l| seen.insert(l.digest)) {
        read(bundle, blob)?;
    }
    Ok(())
}

#[test]
fn a_bundle_is_read_as_it_was_written() {
    let Sample { manifest, images, .. } = sample();
    let bytes = sample().bytes();
    let mut bundle = open(&bytes).unwrap();
    assert_eq!((bundle.manifest(), bundle.images()), (&manifest, images.as_slice()));
    assert_eq!(bundle.identity(), Digest::of(&manifest.render().unwrap()));
    let metadata: u64 = images.iter().map(|i| i.manifest.size + i.config.size).sum();
    let sizes = Sizes { file: bytes.len() as u64, components: 1044, blobs: 604 + metadata, unpacked: 608 };
    assert_eq!(bundle.sizes(), sizes);
    // Any order, and again.
    let bridge = bundle.component("bridge").unwrap().blob();
    let layer = images[1].layers[1].blob.clone();
    for _ in 0..2 {
        assert_eq!(read(&mut bundle, &layer).unwrap(), [1; 600]);
        assert_eq!(read(&mut bundle, &bridge).unwrap(), [7; 1024]);
        assert_eq!(read(&mut bundle, &images[0].config).unwrap(), images[0].config_bytes);
    }
    assert!(bundle.position(&bridge.digest) < bundle.position(&layer.digest));
    assert_eq!(bundle.position(&Digest::of(b"else")), None);
    bundle.finish().unwrap();
}

#[test]
fn other_tar_readers_see_an_oci_layout() {
    let bytes = sample().bytes();
    let mut archive = ::tar::Archive::new(bytes.as_slice());
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_str().unwrap().to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if let Some(hex) = name.strip_prefix("blobs/sha256/") {
            assert_eq!(hex, Digest::of(&content).hex());
        }
        names.push(name);
    }
    assert_eq!(names[..2], ["oci-layout", "index.json"]);
    // Edgelay manifest, two of each: image manifests, configs, components, layers.
    assert_eq!(names.len(), 2 + 1 + 2 + 2 + 2 + 2);
}

#[test]
fn a_pipe_goes_forward_only() {
    let bytes = sample().bytes();
    let pipe = || Bundle::from_pipe(Cursor::new(bytes.clone()), "stdin").unwrap();
    let mut bundle = pipe();
    assert!(!bundle.is_seekable());
    read_all(&mut bundle).unwrap();
    bundle.finish().unwrap();
    // Blobs that are not wanted are passed over, and a reader that is dropped half-way does no harm.
    let mut bundle = pipe();
    let (runc, bridge) = (bundle.components()[0].blob(), bundle.components()[1].blob());
    let layer = bundle.images()[1].layers[1].blob.clone();
    let mut half = [0; 100];
    Blobs::open(&mut bundle, &bridge).unwrap().read_exact(&mut half).unwrap();
    assert_eq!(read(&mut bundle, &layer).unwrap(), [1; 600]);
    let gone = read(&mut bundle, &runc).unwrap_err();
    assert_eq!(
        gone.to_string(),
        "bundle 'stdin': component 'runc' has already gone by in the pipe; this needs a bundle in a file"
    );
    bundle.finish().unwrap();
    pipe().finish().unwrap();
}

#[test]
fn damage_shows_in_the_blob_that_has_it() {
    let mut bytes = sample().bytes();
    let mut bundle = open(&bytes).unwrap();
    let bridge = bundle.component("bridge").unwrap().blob();
    let at = usize::try_from(bundle.position(&bridge.digest).unwrap()).unwrap();
    bytes[at + 1000] ^= 1;
    let mut damaged = open(&bytes).unwrap();
    let e = read(&mut damaged, &bridge).unwrap_err();
    assert!(e.to_string().contains("bundle 'b': component 'bridge': blob sha256:"), "{e}");
    assert_eq!((e.kind(), e.hint_text()), (Kind::Bundle, Some(Fault::Damaged.hint())));
    let wrong = Descriptor { size: 5, ..bridge };
    assert_eq!(
        read(&mut bundle, &wrong).unwrap_err().to_string(),
        "bundle 'b': component 'bridge' has 1024 bytes, expected 5"
    );
}

/// The tar entries of a bundle, each with header and padding, and the end.
fn entries(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut list = Vec::new();
    while let Ok(tar::Found::Entry(header)) = tar::read(&mut &*rest) {
        let (entry, after) = rest.split_at(usize::try_from(header.span()).unwrap());
        list.push(entry.to_vec());
        rest = after;
    }
    list.push(rest.to_vec());
    list
}

#[test]
fn refused_with_the_right_word() {
    let good = sample().bytes();
    let parts = entries(&good);
    let swapped = |a: usize, b: usize| {
        let mut parts = parts.clone();
        parts.swap(a, b);
        parts.concat()
    };
    let without = |n: &[usize]| {
        let kept = parts.iter().enumerate().filter(|(i, _)| !n.contains(i)).map(|(_, p)| p.clone());
        kept.collect::<Vec<_>>().concat()
    };
    let renamed = |from: &str, to: &str| {
        let at = good.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut bytes = good.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let twice = [parts[..9].concat(), parts[8..].concat()].concat();
    let table: Vec<(Vec<u8>, Fault, &str)> = vec![
        (vec![], Fault::Damaged, "it is empty"),
        (good[..100].to_vec(), Fault::Damaged, "ends too early"),
        (vec![0; 4096], Fault::NotABundle, "begins with zeros"),
        (vec![b'x'; 4096], Fault::NotABundle, "not a bundle"),
        (without(&[0]), Fault::NotABundle, "its first entry is 'index.json'"),
        (without(&[1]), Fault::Damaged, "'index.json' is not where it belongs"),
        (swapped(1, 2), Fault::Damaged, "'index.json' is not where it belongs"),
        (without(&[2]), Fault::Damaged, "stands where"),
        (without(&[4]), Fault::Damaged, "image 'docker.io/kubeedge/pause:3.6': "),
        (
            without(&[7, 10]),
            Fault::Incomplete,
            "missing: component 'runc', layer 2 of 'docker.io/kubeedge/installation",
        ),
        (swapped(7, 8), Fault::Damaged, "(component 'runc') is there twice or out of order"),
        (twice, Fault::Damaged, "(component 'bridge') is there twice or out of order"),
        ([&good[..], b"x"].concat(), Fault::Damaged, "there are bytes after the end"),
        ([&good[..], &[0; 512]].concat(), Fault::Damaged, "there are bytes after the end"),
        (
            [parts[..9].concat(), parts[1].clone(), parts[9..].concat()].concat(),
            Fault::Damaged,
            "'index.json' is there",
        ),
        (renamed("imageLayoutVersion\":\"1.0.0", "imageLayoutVersion\":\"1.0.1"), Fault::Damaged, "'oci-layout'"),
        (renamed("pause:3.6\"", "pause:3.7\""), Fault::Damaged, "index.json does not say what"),
        (renamed("vnd.edgelay.bundle.v1", "vnd.edgelay.bundle.v2"), Fault::TooNew, "this edgelay reads"),
        (renamed("vnd.edgelay.bundle.v1", "vnd.nothing.bundle.v1"), Fault::NotABundle, "without an edgelay manifest"),
    ];
    for (bytes, fault, part) in table {
        let flaw = open(&bytes).unwrap_err();
        assert_eq!(flaw.fault(), fault, "{flaw}");
        assert!(flaw.what().contains(part), "'{flaw}' lacks '{part}'");
        // A pipe tells the same, at the latest at its end.
        let piped = Bundle::from_pipe(Cursor::new(bytes), "b").and_then(Bundle::finish).unwrap_err();
        assert!(piped.to_string().contains(part), "'{piped}' lacks '{part}'");
    }
}

#[test]
fn cut_anywhere_it_is_refused() {
    let good = sample().bytes();
    for at in (0..good.len()).step_by(512).chain([1, 511, 513, good.len() - 1]) {
        let flaw = open(&good[..at]).unwrap_err();
        assert!(matches!(flaw.fault(), Fault::Damaged), "cut at {at}: {flaw}");
    }
}

/// xorshift64: a fixed sequence, so that a failure comes again.
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 16).unwrap()
}

#[test]
fn no_mutation_passes() {
    let good = sample().bytes();
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for round in 0..4000 {
        let mut bytes = good.clone();
        for _ in 0..=random(&mut state) % 3 {
            let at = random(&mut state) % bytes.len();
            match random(&mut state) % 4 {
                0 => bytes[at] ^= 1 << (random(&mut state) % 8),
                1 => bytes[at] = u8::try_from(random(&mut state) % 256).unwrap(),
                2 => drop(bytes.drain(at..bytes.len().min(at + random(&mut state) % 1024))),
                _ => {
                    let from = random(&mut state) % bytes.len();
                    let piece = bytes[from..bytes.len().min(from + random(&mut state) % 1024)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
            if bytes.is_empty() {
                break;
            }
        }
        if bytes == good {
            continue;
        }
        let whole = Bundle::from_pipe(Cursor::new(bytes.clone()), "b")
            .and_then(|mut b| read_all(&mut b).and_then(|()| b.finish()));
        assert!(whole.is_err(), "round {round}: a changed bundle passed");
        if let Ok(mut bundle) = open(&bytes) {
            // Only contents and padding may have changed.
            let _either = read_all(&mut bundle);
        }
    }
}
