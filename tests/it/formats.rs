//! Every format that was ever shipped is still read; see docs/ for each.

use std::fs;
use std::io::Read;

use edgelay::bundle::{self, Bundle, Fault};
use edgelay::oci::Blobs;
use edgelay::plan::Journal;
use edgelay::root::Root;

use super::docs::rows;
use super::support::source::{project, read};

#[test]
fn journal_of_schema_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(Journal::PATH.as_str());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(project().join("tests/vectors/journal-v1.jsonl"), &path).unwrap();
    let root = Root::open(dir.path()).unwrap();
    // The file ends in a torn line: looking leaves it alone, opening mends it, both see the same.
    for journal in [Journal::look(&root).unwrap(), Journal::open(&root).unwrap(), Journal::look(&root).unwrap()] {
        assert!(journal.knows("lay-down") && !journal.is_unfinished("lay-down"));
        assert!(!journal.knows("start"), "undone");
        assert!(journal.is_unfinished("import"), "its last line is torn");
        let saved =
            ("etc/containerd/config.toml".to_owned(), Some("etc/containerd/config.toml.edgelay-saved".to_owned()));
        assert_eq!(journal.files(), [saved, ("usr/local/bin/containerd".to_owned(), None)]);
        assert_eq!(journal.made_dirs(), ["var/lib/containerd"]);
        assert_eq!((journal.fact("bundle"), journal.fact("old")), (Some("sha256:ba78 \"quoted\" é"), None));
    }
    assert!(fs::read_to_string(path).unwrap().ends_with("}\n"));
}

#[test]
fn bundle_of_schema_1() {
    let path = project().join("tests/vectors/bundle-v1.tar");
    let mut bundle = Bundle::open(&path).unwrap();
    let (manifest, images) = (bundle.manifest().clone(), bundle.images().to_vec());
    assert_eq!(bundle.identity().hex(), "58d41e5065ef4500e27f20301d22963febabc2d81f46cd34d8bfb698ead09847");
    assert_eq!(manifest.built.seconds(), 1_751_284_800);
    assert_eq!(bundle.component("runc").unwrap().destination().as_str(), "usr/local/sbin/runc");
    let mut runc = String::new();
    let blob = manifest.components[0].blob();
    Blobs::open(&mut bundle, &blob).unwrap().read_to_string(&mut runc).unwrap();
    assert_eq!(runc, "#!/bin/sh\necho 'runc version 1.3.0'\n");
    // We still write it like this.
    let mut written = Vec::new();
    bundle::write(&manifest, &images, &mut bundle, &mut written).unwrap();
    assert!(written == fs::read(&path).unwrap());
    let flaws = bundle::verify(&path, None).unwrap().flaws;
    assert_eq!(flaws.iter().map(|f| f.fault()).collect::<Vec<_>>(), [Fault::Incomplete], "only too little is in it");
}

#[test]
fn the_example_in_the_format_description_is_the_vector() {
    let bytes = fs::read(project().join("tests/vectors/bundle-v1.tar")).unwrap();
    let page = read("docs/bundle-format.md");
    let (_, example) = page.split_once("## 6. An example\n").unwrap();
    let documented: Vec<Vec<String>> = rows(example).into_iter().skip(2).filter(|row| !row[2].is_empty()).collect();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let entries = archive.entries().unwrap().map(Result::unwrap);
    let found: Vec<Vec<String>> = entries
        .map(|e| {
            let name = e.path().unwrap().to_str().unwrap().to_owned();
            [e.raw_header_position(), e.raw_file_position(), e.size()]
                .map(|n| n.to_string())
                .into_iter()
                .chain([name])
                .collect()
        })
        .collect();
    assert_eq!(documented, found);
    // The JSON and the bytes of the header, too.
    let json = example.split("```\n").nth(1).unwrap().replace('\n', "");
    assert_eq!(json.as_bytes(), &bytes[3072..3072 + json.len()]);
    let mut header = [0; 512];
    for line in example.split("```\n").nth(3).unwrap().lines() {
        let (at, rest) = line.split_once("  ").unwrap();
        let at: usize = at.parse().unwrap();
        let hex = rest.split("   ").next().unwrap();
        for (n, byte) in hex.split(' ').enumerate() {
            header[at - 1024 + n] = u8::from_str_radix(byte, 16).unwrap();
        }
    }
    assert_eq!(header, bytes[1024..1536]);
}
