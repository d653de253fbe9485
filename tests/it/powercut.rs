//! The power goes during and after an import: whatever was reported as imported is whole, and everything else is
//! imported again by the next run.
//!
//! An import into a real containerd on an ext4 disk is recorded, write by write with the disk's flushes
//! (`tests/powercut/disk`). Then the disk is put together as it may have been found after a cut: with all writes up to
//! some point, or without some of those that no flush had confirmed yet. The file system is repaired, containerd
//! started, and its images looked at file by file.
//!
//! `EDGELAY_POWERCUT=long` cuts more often, and also where the daemon unpacks.

use std::path::{Path, PathBuf};
use std::process::Command;

use edgelay::clock::SystemClock;
use edgelay::containerd::Client;
use edgelay::containerd::import::{self, Options, Presence};
use edgelay::oci::Image;

use crate::import::on_every_containerd;
use crate::support::bed::{Ended, run};
use crate::support::daemon::{Daemon, Disk};
use crate::support::images::{Packed, Same, Spec, docker, layer};
use crate::support::peers::{self, skip};
use crate::support::rootfs;

mod log;

use log::Log;

/// Room for the images twice, packed and unpacked, and for the file system's journal.
const DISK: &str = "384M";
/// Written and synced to the disk after the importer reported success.
const MARKER: &str = "reported";

on_every_containerd!(what_was_reported_is_whole_after_a_power_cut, what_ctr_reported_is_not_whole_after_a_power_cut,);

/// Who imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Importer {
    /// Writing the snapshots itself, or having the daemon unpack.
    Edgelay(&'static str),
    Ctr,
}

/// What is imported, and how its files look.
struct Subject {
    archive: PathBuf,
    images: Vec<Image>,
    trees: Vec<Vec<String>>,
}

/// An import's way to the disk.
struct Recording {
    before: PathBuf,
    log: Log,
    /// Entries of the log when the import began, and when its success was on the disk.
    begun: usize,
    reported: usize,
}

fn sh(line: &str, args: &[&Path]) -> String {
    run(Command::new("bash").args(["-ec", line, "bash"]).args(args)).good()
}

/// Two images with a layer in common; many small files, few large ones.
fn subject(dir: &Path, version: &str) -> Option<Subject> {
    let archive = dir.join("images.tar");
    let [odd, less] = layer::tree();
    let base = layer::small(1, 6 << 10);
    let one = Spec::new(&["docker.io/edgelay/one:1"], vec![base.clone(), odd, less]);
    let two = Spec::new(&["docker.io/edgelay/two:1"], vec![base, layer::small(2, 6 << 10), layer::many(3, 400)]);
    docker(&[one, two], Same::Copy).save(&archive, Packed::Plain);
    let images = super::import::load(&archive).unwrap().images;
    let daemon = Daemon::start("powercut", version)?;
    daemon.ctr_ok(&["images", "import", archive.to_str().unwrap()]);
    let trees = images.iter().map(|image| tree(&daemon, image)).collect();
    Some(Subject { archive, images, trees })
}

fn tree(daemon: &Daemon, image: &Image) -> Vec<String> {
    rootfs::list(daemon, "k8s.io", &image.chain_ids().pop().unwrap().to_string())
}

impl Importer {
    fn import(self, daemon: &Daemon, archive: &Path) -> Ended {
        let edgelay = Path::new(env!("CARGO_BIN_EXE_edgelay"));
        let ctr = daemon.peers().join(daemon.version()).join("usr/bin/ctr");
        let address = daemon.address();
        match self {
            Importer::Edgelay(unpack) => {
                let words = ["image", "import", "--unpack", unpack, "--address", &address];
                run(daemon.inside(edgelay).args(words).arg(archive))
            }
            Importer::Ctr => {
                run(daemon.inside(ctr).args(["-a", &address, "-n", "k8s.io", "images", "import"]).arg(archive))
            }
        }
    }
}

/// Runs an import on a fresh disk that is recorded.
fn record(dir: &Path, version: &str, subject: &Subject, importer: Importer) -> Recording {
    let (before, image, log) = (dir.join("before.img"), dir.join("disk.img"), dir.join("log"));
    sh(&format!("rm -f $1; truncate -s {DISK} $1; mkfs.ext4 -q $1"), &[&before]);
    // containerd makes its own files first, which is not what is looked at here.
    drop(Daemon::start_on("powercut", version, Disk::Image(before.clone())));
    sh("cp --sparse=always $1 $2", &[&before, &image]);
    let mut daemon = Daemon::start_on("powercut", version, Disk::Recorded(image, log.clone())).unwrap();
    let count = |daemon: &Daemon| {
        sh("sync -f $1", &[&daemon.seen_root()]);
        Log::count(&log)
    };
    let begun = count(&daemon);
    let ended = importer.import(&daemon, &subject.archive);
    assert_eq!(ended.code, 0, "{importer:?}: {}", ended.said());
    sh(&format!("echo >$1/{MARKER}; sync $1/{MARKER}; sync $1"), &[&daemon.seen_root()]);
    let reported = Log::count(&log);
    // Life goes on, so that there are moments after it.
    sh("for i in {1..24}; do echo $i >$1/later; sync $1/later; done", &[&daemon.seen_root()]);
    let later = Log::count(&log);
    daemon.kill();
    let mut log = Log::open(&log);
    log.entries.truncate(later);
    Recording { before, log, begun, reported }
}

/// What was found after a cut, before anything was done about it.
#[derive(Debug, Default)]
struct Found {
    reported: bool,
    /// Images whose own mark says that they are whole, and those among them whose files are not.
    trusted: usize,
    wrong: Vec<String>,
}

/// What is wrong with the files of `image`, in a few words.
fn wrong(daemon: &Daemon, subject: &Subject, n: usize) -> Option<String> {
    let image = &subject.images[n];
    let top = image.chain_ids().pop().unwrap().to_string();
    if !daemon.ctr_ok(&["snapshots", "ls"]).contains(&top) {
        return Some(format!("{} is not there", image.label()));
    }
    let (found, want) = (tree(daemon, image), &subject.trees[n]);
    let bad = want.iter().filter(|line| !found.contains(line)).count();
    (&found != want).then(|| format!("{}: {bad} of {} files differ", image.label(), want.len()))
}

fn presence(daemon: &Daemon, image: &Image) -> Presence {
    let clock = SystemClock::default();
    let mut client = Client::connect(&daemon.socket()).unwrap();
    import::check(&mut client, image, &Options::new(&clock)).unwrap()
}

fn look(daemon: &Daemon, subject: &Subject) -> Found {
    let reported = daemon.seen_root().join(MARKER).exists();
    let mut found = Found { reported, ..Found::default() };
    for (n, image) in subject.images.iter().enumerate() {
        let trusted = presence(daemon, image) == Presence::Complete;
        found.trusted += usize::from(trusted);
        if trusted || reported {
            found.wrong.extend(wrong(daemon, subject, n));
        }
    }
    found
}

/// Imports again with edgelay; everything is then there, whole, and nothing else.
fn converges(daemon: &Daemon, subject: &Subject, at: &str) {
    let again = Importer::Edgelay("direct").import(daemon, &subject.archive);
    assert_eq!(again.code, 0, "{at}: {}", again.said());
    for (n, image) in subject.images.iter().enumerate() {
        assert_eq!(presence(daemon, image), Presence::Complete, "{at}");
        assert_eq!(wrong(daemon, subject, n), None, "{at}");
    }
    assert_eq!(daemon.ctr_ok(&["leases", "ls", "-q"]), "", "{at}");
    assert_eq!(daemon.ctr_ok(&["content", "active"]).lines().count(), 1, "{at}");
    let committed = daemon.ctr_ok(&["snapshots", "ls"]);
    let chains: std::collections::BTreeSet<_> = subject.images.iter().flat_map(Image::chain_ids).collect();
    assert_eq!(committed.lines().count(), 1 + chains.len(), "{at}: {committed}");
}

/// Cuts the power `cuts` times between two entries of the log, every other time with writes lost, and looks.
fn cut(
    version: &str,
    subject: &Subject,
    recording: &mut Recording,
    range: std::ops::Range<usize>,
    cuts: usize,
) -> Vec<(String, Found)> {
    let image = recording.before.with_file_name("cut.img");
    let mut all = Vec::new();
    for n in 0..cuts {
        let at = range.start + (range.end - range.start) * n / cuts.max(2).saturating_sub(1).max(1);
        let lossy = (n % 2 == 1).then_some(n as u64);
        sh("cp --sparse=always $1 $2", &[&recording.before, &image]);
        recording.log.replay(at.min(range.end), lossy, &image);
        let name = format!("containerd {version}, cut at {at}{}", if lossy.is_some() { ", writes lost" } else { "" });
        // 1: errors were corrected.
        sh("e2fsck -p $1 >/dev/null || [ $? = 1 ]", &[&image]);
        let daemon = Daemon::start_on("powercut", version, Disk::Image(image.clone())).unwrap();
        let found = look(&daemon, subject);
        converges(&daemon, subject, &format!("{name}: {found:?}"));
        all.push((name, found));
    }
    all
}

/// How many cuts; `None` after a SKIP line.
fn plan(test: &str) -> Option<usize> {
    peers::peers_as_root(test)?;
    let why = run(Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/powercut/disk")).arg("able")).good();
    if !why.is_empty() {
        skip(test, why.trim());
        return None;
    }
    Some(if is_long() { 60 } else { 12 })
}

fn is_long() -> bool {
    std::env::var_os("EDGELAY_POWERCUT").is_some_and(|how| how == "long")
}

fn what_was_reported_is_whole_after_a_power_cut(version: &str) {
    let Some(cuts) = plan("what_was_reported_is_whole_after_a_power_cut") else { return };
    // What the daemon unpacks is synced and marked by the same code.
    for unpack in if is_long() { &["direct", "daemon"][..] } else { &["direct"] } {
        reported_is_whole(version, unpack, cuts);
    }
}

fn reported_is_whole(version: &str, unpack: &'static str, cuts: usize) {
    let dir = tempfile::tempdir().unwrap();
    let subject = subject(dir.path(), version).unwrap();
    let mut recording = record(dir.path(), version, &subject, Importer::Edgelay(unpack));
    let end = recording.log.entries.len();
    let (begun, reported) = (recording.begun, recording.reported);
    println!("{unpack}: {begun} writes before the import, {reported} when it was reported, {end} in all");
    let mut all = cut(version, &subject, &mut recording, begun..reported, cuts * 2 / 3);
    all.extend(cut(version, &subject, &mut recording, reported..end, cuts / 3));
    let count = |what: &dyn Fn(&Found) -> bool| all.iter().filter(|(_, found)| what(found)).count();
    println!(
        "containerd {version}: {} cuts, {} after the report, {} with a trusted image",
        all.len(),
        count(&|found| found.reported),
        count(&|found| found.trusted > 0)
    );
    for (name, found) in &all {
        assert!(found.wrong.is_empty(), "{name}: {:?}", found.wrong);
        assert!(!found.reported || found.trusted == subject.images.len(), "{name}: {found:?}");
    }
    assert!(count(&|found| found.reported) >= cuts / 4 && count(&|found| found.trusted == 0) >= cuts / 4);
}

/// The negative control: the same rig sees what `ctr` loses, and edgelay mends it.
fn what_ctr_reported_is_not_whole_after_a_power_cut(version: &str) {
    let Some(cuts) = plan("what_ctr_reported_is_not_whole_after_a_power_cut") else { return };
    let dir = tempfile::tempdir().unwrap();
    let subject = subject(dir.path(), version).unwrap();
    let mut recording = record(dir.path(), version, &subject, Importer::Ctr);
    let range = recording.reported..recording.log.entries.len();
    let all = cut(version, &subject, &mut recording, range, cuts / 6);
    let wrong = all.iter().filter(|(_, found)| found.reported && !found.wrong.is_empty()).count();
    println!("containerd {version}: ctr's images were wrong after {wrong} of {} cuts", all.len());
    assert!(wrong > 0, "{all:?}");
    assert!(all.iter().all(|(_, found)| found.trusted == 0), "{all:?}");
}
