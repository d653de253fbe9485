//! Tests: power cuts at every durable write of a first boot that has joined, and what the next try makes of them.
#![allow(clippy::disallowed_methods, reason = "tests may use the machine directly")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;
use crate::clock::SystemClock;
use crate::crash;
use crate::exec::Host;
use crate::gather::Gather;
use crate::ids::Arch;
use crate::plan::{self, Cx};
use crate::report::Style;
use crate::service::Manager;
use crate::steps::FirstBoot;

const DIR: &str = "EDGELAY_TEST_CUTS_DIR";
const AT: &str = "EDGELAY_TEST_CUTS_AT";
const SECRET: &str = "the-token-itself";
const PRESET: RelPath<'static> = RelPath::literal("etc/systemd/system-preset/00-edgelay.preset");

/// A whole try but for the installation, which has nothing left to do.
#[test]
#[ignore = "started by the other test of this module"]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let root = Root::open(Path::new(&dir)).unwrap();
    if let Ok(at) = std::env::var(AT) {
        crash::arm(at.parse().unwrap());
    }
    if root.stat(MARKER).unwrap().is_none() {
        return;
    }
    let (config, source, place) = prepare(&Request { config: None, patience: Patience::Once }, &root).unwrap();
    let outcome = Outcome::done(config.identity().unwrap().node.to_string(), place, 1);
    let report = Report::new(Box::new(std::io::sink()), Style::Quiet);
    finish::finish(&root, source.as_ref(), &report, outcome).unwrap();
}

/// Exit status; none if it was cut.
fn try_once(dir: &Path, at: Option<usize>) -> Option<i32> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "mode::firstboot::cuts::child", "--ignored", "--quiet"]).env(DIR, dir);
    if let Some(at) = at {
        command.env(AT, at.to_string());
    }
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().code()
}

/// As an installation leaves a sealed copy: joined, and everything of the first boot still there.
fn joined_copy(dir: &Path) {
    std::fs::create_dir_all(dir).unwrap();
    let (root, clock) = (Root::open(dir).unwrap(), SystemClock::default());
    let mut journal = Journal::open(&root).unwrap();
    let mut exec = Host::new(&root, &clock);
    let report = Report::new(Box::new(std::io::sink()), Style::Quiet);
    let mut cx =
        Cx { root: &root, exec: &mut exec, clock: &clock, report: &report, journal: &mut journal, blobs: None };
    let step = FirstBoot::new("/bin/true".into(), Arch::of_this_binary().unwrap(), Manager::Systemd);
    plan::run(&[Box::new(step)], &mut cx).unwrap();
    cx.journal.started(KeptBundle::ID).unwrap();
    cx.put(KeptBundle::PATH, 0o600, b"a bundle").unwrap();
    cx.put(PRESET, 0o644, b"disable *\n").unwrap();
    for step in [KeptBundle::ID, "join"] {
        cx.journal.finished(step).unwrap();
    }
    for (path, text) in [
        ("var/lib/edgelay/bundle.head", ""),
        ("var/lib/edgelay/config.json", r#"{"node": {"name": "edge-7"}, "cloud": {"host": "cloud.example"}}"#),
        ("boot/edgelay/edgelay.json", r#"{"node": {"name": "edge-7"}}"#),
        ("boot/edgelay/token", SECRET),
        (MARKER.as_str(), "{}\n"),
    ] {
        root.write(RelPath::parse(path).unwrap(), 0o600, text.as_bytes()).unwrap();
    }
}

/// Path → content of every file and link.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut todo) = (BTreeMap::new(), vec![dir.to_path_buf()]);
    while let Some(at) = todo.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                files.insert(name, std::fs::read(&path).unwrap_or_default());
            }
        }
    }
    files
}

#[test]
fn cut_anywhere_the_next_try_ends_it_and_no_token_stays() {
    let scratch = tempfile::tempdir().unwrap();
    let (origin, dir) = (scratch.path().join("origin"), scratch.path().join("machine"));
    joined_copy(&origin);
    let reset = || {
        let _ = std::fs::remove_dir_all(&dir);
        assert!(Command::new("cp").arg("-a").args([&origin, &dir]).status().unwrap().success());
    };
    let names = || files(&dir).into_keys().gather::<Vec<_>>();
    let holders =
        || files(&dir).into_iter().filter(|(_, text)| text.windows(SECRET.len()).any(|w| w == SECRET.as_bytes()));
    reset();
    assert_eq!(holders().count(), 1);
    assert_eq!(try_once(&dir, None), Some(0));
    let whole = names();
    for gone in ["token", "first-boot", "firstboot.service", "preset", "edge.bundle"] {
        assert!(!whole.iter().any(|name| name.ends_with(gone)), "{gone} in {whole:?}");
    }
    let mut at = 0;
    loop {
        reset();
        let cut = try_once(&dir, Some(at));
        assert!(cut.is_none_or(|code| code == 0), "cut {at} ended with {cut:?}");
        let marked = dir.join(MARKER.as_str()).exists();
        assert!(marked || names() == whole, "after cut {at} it takes itself for done: {:?}", names());
        assert_eq!(try_once(&dir, None), Some(0), "the try after cut {at}");
        assert_eq!(names(), whole, "after cut {at} and another try");
        assert_eq!(holders().next(), None, "the token lies about after cut {at}");
        for result in ["var/lib/edgelay/firstboot.json", "boot/edgelay/edgelay-edge-7.json"] {
            let text = String::from_utf8(files(&dir)[result].clone()).unwrap();
            assert!(text.contains("\"state\":\"done\"") && text.contains("\"node\":\"edge-7\""), "{result}: {text}");
            assert!(!text.contains("\"token\":\"kept\""), "{result}: {text}");
        }
        if cut.is_some() {
            break;
        }
        at += 1;
    }
    assert!(at > 25, "only {at} crash points were reached");
}
