//! Every format that was ever shipped is still read; see docs/ for each.

use std::fs;

use edgelay::plan::Journal;
use edgelay::root::Root;

use super::support::source::project;

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
