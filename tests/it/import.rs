//! Images into the real containerd 1.6, 1.7 and 2.1: what is stored, what is refused, what is left behind.

use std::path::Path;

use edgelay::clock::SystemClock;
use edgelay::containerd::Client;
use edgelay::containerd::import::{self, Layers, Listed, Options, Outcome, Presence, Progress, Unpack};
use edgelay::error::Error;
use edgelay::images::{self, Loaded};
use edgelay::oci::{Image, Platform};

use crate::support::daemon::Daemon;
use crate::support::images::host_arch;

mod broken;
mod cuts;
mod direct;
mod equal;
mod memory;
mod once;
mod pods;
mod vanish;

/// Makes each test run once per containerd version; it gets the version and prints it with whatever fails.
macro_rules! on_every_containerd {
    ($($test:ident),+ $(,)?) => {
        mod v1_6 { $( #[test] fn $test() { super::$test("1.6"); } )+ }
        mod v1_7 { $( #[test] fn $test() { super::$test("1.7"); } )+ }
        mod v2_1 { $( #[test] fn $test() { super::$test("2.1"); } )+ }
    };
}
pub(crate) use on_every_containerd;

pub(crate) fn load(path: &Path) -> Result<Loaded, Error> {
    images::load(path, &Platform::linux(host_arch()))
}

/// What `edgelay image import FILE` does.
fn import_file(daemon: &Daemon, path: &Path, progress: &mut dyn Progress) -> Result<Vec<Outcome>, Error> {
    import_loaded(daemon, load(path)?, progress)
}

fn import_loaded(daemon: &Daemon, loaded: Loaded, progress: &mut dyn Progress) -> Result<Vec<Outcome>, Error> {
    import_as(daemon, loaded, USUAL, progress)
}

/// Who unpacks, and what becomes of the layers.
type Mode = (Unpack, Layers);

const USUAL: Mode = (Unpack::Direct, Layers::Dropped);

fn options(clock: &SystemClock, (unpack, layers): Mode) -> Options<'_> {
    Options { unpack, layers, ..Options::new(clock) }
}

fn import_as(
    daemon: &Daemon,
    mut loaded: Loaded,
    mode: Mode,
    progress: &mut dyn Progress,
) -> Result<Vec<Outcome>, Error> {
    let mut client = Client::connect(&daemon.socket())?;
    let clock = SystemClock::default();
    import::import(&mut client, &loaded.images, &mut *loaded.blobs, &options(&clock, mode), progress)
}

fn presence(daemon: &Daemon, image: &Image) -> Presence {
    presence_as(daemon, image, USUAL)
}

fn presence_as(daemon: &Daemon, image: &Image, mode: Mode) -> Presence {
    let mut client = Client::connect(&daemon.socket()).unwrap();
    let clock = SystemClock::default();
    import::check(&mut client, image, &options(&clock, mode)).unwrap()
}

fn list(daemon: &Daemon) -> Vec<Listed> {
    let mut client = Client::connect(&daemon.socket()).unwrap();
    let clock = SystemClock::default();
    import::list(&mut client, &Platform::linux(host_arch()), &Options::new(&clock)).unwrap()
}

/// Names of the snapshots in `namespace`.
fn snapshots(daemon: &Daemon) -> Vec<String> {
    let mut names = first_column(&daemon.ctr_ok(&["snapshots", "ls"]), 1);
    names.sort();
    names
}

fn first_column(table: &str, skip: usize) -> Vec<String> {
    table.lines().skip(skip).filter_map(|line| line.split_whitespace().next()).map(ToOwned::to_owned).collect()
}

/// Everything that an import may leave: records, blobs, unfinished writes, snapshots, leases.
fn leftovers(daemon: &Daemon) -> Vec<String> {
    let mut all = Vec::new();
    for (what, args) in
        [("image", &["images", "ls", "-q"][..]), ("blob", &["content", "ls", "-q"]), ("lease", &["leases", "ls", "-q"])]
    {
        all.extend(first_column(&daemon.ctr_ok(args), 0).into_iter().map(|name| format!("{what} {name}")));
    }
    all.extend(first_column(&daemon.ctr_ok(&["content", "active"]), 1).into_iter().map(|name| format!("write {name}")));
    all.extend(snapshots(daemon).into_iter().map(|name| format!("snapshot {name}")));
    all
}

/// Removes all images and checks that nothing holds on to anything of theirs.
fn clear(daemon: &Daemon) {
    let names = first_column(&daemon.ctr_ok(&["images", "ls", "-q"]), 0);
    if !names.is_empty() {
        let names = names.iter().map(String::as_str);
        daemon.ctr_ok(&["images", "rm", "--sync"].into_iter().chain(names).collect::<Vec<_>>());
    }
    daemon.ctr_ok(&["leases", "create", "--id", "collect"]);
    daemon.ctr_ok(&["leases", "rm", "--sync", "collect"]);
    assert_eq!(leftovers(daemon), [""; 0], "containerd {}", daemon.version());
}
