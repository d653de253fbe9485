//! What an import finds in the daemon and builds on may go at any moment: the daemon collects what nothing refers to.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use edgelay::clock::{Clock, SystemClock};
use edgelay::containerd::api::leases::Resource;
use edgelay::containerd::import::{self, Layers, Options, Presence, Progress, Unpack};
use edgelay::containerd::{Client, LeaseId};
use edgelay::error::{Error, Kind};
use edgelay::oci::Image;

use super::{Mode, USUAL, clear, first_column, leftovers, list, load, on_every_containerd, options, presence_as};
use crate::support::daemon::{Daemon, wait_until};
use crate::support::images::layer::{small, tree};
use crate::support::images::{Packed, Spec, oci};

on_every_containerd!(
    what_is_found_stays_until_the_end,
    what_is_removed_by_hand_is_made_again,
    what_is_removed_again_and_again_is_told,
    a_lease_that_ended_at_once_is_taken_again,
    images_that_others_remove_meanwhile_are_there_at_the_end,
);

const NAME: &str = "docker.io/kubeedge/app:v1";

const MODES: [Mode; 3] = [USUAL, (Unpack::Direct, Layers::Kept), (Unpack::Daemon, Layers::Dropped)];

/// Hears everything, and does something before an import goes on.
struct Hears<'a>(RefCell<Vec<String>>, &'a dyn Fn(&str, usize));

impl Hears<'_> {
    fn hear(&self, what: String) {
        let number = self.0.borrow().len();
        self.1(&what, number);
        self.0.borrow_mut().push(what);
    }
}

impl Progress for Hears<'_> {
    fn sent(&mut self, what: &str, _: u64) {
        self.hear(format!("sent {what}"));
    }
    fn present(&mut self, what: &str, _: u64) {
        self.hear(format!("present {what}"));
    }
    fn doing(&mut self, what: &str) {
        self.hear(what.to_owned());
    }
}

/// Imports `image`'s file; what came of it, and what was said meanwhile.
fn import(daemon: &Daemon, mode: Mode, act: &dyn Fn(&str, usize)) -> (Result<(), Error>, Vec<String>) {
    let mut loaded = load(&daemon.scratch().join("app.tar")).unwrap();
    let mut client = Client::connect(&daemon.socket()).unwrap();
    let clock = SystemClock::default();
    let mut hears = Hears(RefCell::default(), act);
    let done = import::import(&mut client, &loaded.images, &mut *loaded.blobs, &options(&clock, mode), &mut hears);
    (done.map(drop), hears.0.into_inner())
}

fn save(daemon: &Daemon) -> Image {
    let [base, top] = tree();
    let path = daemon.scratch().join("app.tar");
    oci(&[&[Spec::new(&[NAME], vec![small(1, 64), base, top])]], Packed::Gzip).save(&path, Packed::Plain);
    load(&path).unwrap().images.remove(0)
}

/// All of the image is there, but for its record, and only this lease holds it.
fn nearly_garbage(daemon: &Daemon) -> LeaseId {
    daemon.ctr_ok(&["images", "import", daemon.scratch().join("app.tar").to_str().unwrap()]);
    let mut client = Client::connect(&daemon.socket()).unwrap();
    let lease: LeaseId = "somebody".parse().unwrap();
    client.leases().create(&lease, Default::default()).unwrap();
    let blobs = first_column(&daemon.ctr_ok(&["content", "ls", "-q"]), 0);
    let blobs = blobs.into_iter().map(|id| Resource { id, kind: "content".into() });
    let snapshots = super::snapshots(daemon).into_iter();
    let snapshots = snapshots.map(|id| Resource { id, kind: "snapshots/overlayfs".into() });
    for resource in blobs.chain(snapshots) {
        client.leases().add_resource(&lease, resource).unwrap();
    }
    for name in first_column(&daemon.ctr_ok(&["images", "ls", "-q"]), 0) {
        daemon.ctr_ok(&["images", "rm", "--sync", &name]);
    }
    lease
}

/// Whenever the last reference of somebody else goes and everything unreferenced with it: what the import said to be
/// there by then is there at its end, and nothing is begun anew.
fn what_is_found_stays_until_the_end(version: &str) {
    let Some(daemon) = Daemon::start("found", version) else { return };
    let image = save(&daemon);
    for mode in MODES {
        let mut at = 0;
        loop {
            let lease = nearly_garbage(&daemon);
            let drop = |_: &str, number: usize| {
                if number == at {
                    Client::connect(&daemon.socket()).unwrap().leases().delete_sync(&lease).unwrap();
                }
            };
            let (done, said) = import(&daemon, mode, &drop);
            done.unwrap_or_else(|e| panic!("containerd {version}, {mode:?}, at {at} of {said:?}: {e:?}"));
            let unpacked: Vec<_> = said.iter().filter(|what| what.starts_with("unpack ")).collect();
            let once: BTreeSet<_> = unpacked.iter().collect();
            assert_eq!(unpacked.len(), once.len(), "containerd {version}, {mode:?}, at {at}: begun anew: {said:?}");
            assert_eq!(presence_as(&daemon, &image, mode), Presence::Complete, "{mode:?}, at {at}");
            if at >= said.len() {
                Client::connect(&daemon.socket()).unwrap().leases().delete_sync(&lease).unwrap();
            }
            clear(&daemon);
            if at >= said.len() {
                break;
            }
            at += 1;
        }
    }
}

/// No lease helps against `ctr snapshots rm`.
fn what_is_removed_by_hand_is_made_again(version: &str) {
    let Some(daemon) = Daemon::start("removed", version) else { return };
    let image = save(&daemon);
    let base = image.chain_ids()[0].to_string();
    let removed = RefCell::new(false);
    let remove = |what: &str, _: usize| {
        if what == format!("unpack layer 2 of '{NAME}'") && !removed.replace(true) {
            daemon.ctr_ok(&["snapshots", "rm", &base]);
        }
    };
    let (done, said) = import(&daemon, USUAL, &remove);
    done.unwrap();
    assert!(removed.take());
    assert_eq!(said.iter().filter(|what| **what == format!("unpack layer 1 of '{NAME}'")).count(), 2, "{said:?}");
    assert_eq!(presence_as(&daemon, &image, USUAL), Presence::Complete);

    // The lease itself, in the middle.
    clear(&daemon);
    let unlease = |what: &str, _: usize| {
        if what == format!("unpack layer 2 of '{NAME}'") && !removed.replace(true) {
            daemon.ctr_ok(&["leases", "rm", "--sync", "edgelay-import"]);
        }
    };
    import(&daemon, USUAL, &unlease).0.unwrap();
    assert!(removed.take());
    assert_eq!(list(&daemon).len(), 1);
    assert_eq!(presence_as(&daemon, &image, USUAL), Presence::Complete);
    clear(&daemon);
}

fn what_is_removed_again_and_again_is_told(version: &str) {
    let Some(daemon) = Daemon::start("removed again", version) else { return };
    let base = save(&daemon).chain_ids()[0].to_string();
    let remove = |what: &str, _: usize| {
        if what == format!("unpack layer 2 of '{NAME}'") {
            daemon.ctr_ok(&["snapshots", "rm", &base]);
        }
    };
    let e = import(&daemon, USUAL, &remove).0.unwrap_err();
    assert_eq!(e.kind(), Kind::Runtime);
    let want =
        format!("unpack layer 2 of '{NAME}': Snapshots/Prepare: NOT_FOUND: parent snapshot {base} does not exist");
    assert!(e.to_string().starts_with(&want), "{e:?}");
    assert_eq!(leftovers(&daemon), [""; 0], "containerd {version}");
}

/// Shows a year ago when it is asked for the first time, as a board without a battery does until something sets its clock.
struct Jumps(SystemClock, RefCell<bool>);

impl Clock for Jumps {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
    fn unix(&self) -> u64 {
        let past = if self.1.replace(true) { 0 } else { 365 * 24 * 3600 };
        self.0.unix() - past
    }
    fn synchronised(&self) -> Option<bool> {
        self.0.synchronised()
    }
    fn moved(&self) -> i64 {
        self.0.moved()
    }
    fn sleep(&self, pause: Duration) {
        self.0.sleep(pause);
    }
}

/// The daemon collects what it held, at any moment.
fn a_lease_that_ended_at_once_is_taken_again(version: &str) {
    let Some(daemon) = Daemon::start("ended lease", version) else { return };
    let image = save(&daemon);
    for mode in MODES {
        for at in 0.. {
            let mut loaded = load(&daemon.scratch().join("app.tar")).unwrap();
            let mut client = Client::connect(&daemon.socket()).unwrap();
            let clock = Jumps(SystemClock::default(), RefCell::default());
            let collect = |_: &str, number: usize| {
                if number == at {
                    daemon.ctr_ok(&["leases", "create", "--id", "collect"]);
                    daemon.ctr_ok(&["leases", "rm", "--sync", "collect"]);
                }
            };
            let mut hears = Hears(RefCell::default(), &collect);
            let options = Options { unpack: mode.0, layers: mode.1, ..Options::new(&clock) };
            let done = import::import(&mut client, &loaded.images, &mut *loaded.blobs, &options, &mut hears);
            let said = hears.0.into_inner();
            done.unwrap_or_else(|e| panic!("containerd {version}, {mode:?}, at {at} of {said:?}: {e:?}"));
            assert_eq!(presence_as(&daemon, &image, mode), Presence::Complete, "{mode:?}, at {at}");
            clear(&daemon);
            if at > said.len() {
                break;
            }
        }
    }
}

/// As the kubelet's image collection or an administrator does; all that the import said is true when it says so.
fn images_that_others_remove_meanwhile_are_there_at_the_end(version: &str) {
    let Some(daemon) = Daemon::start("removed image", version) else { return };
    let image = save(&daemon);
    let socket = daemon.socket();
    // Only while it is not said to be there.
    let remove = |mut times: usize| {
        let mut client = Client::connect(&socket).unwrap();
        wait_until(|| {
            let mark = client.images().get(NAME).ok().and_then(|image| image.labels.get("edgelay.io/import").cloned());
            if mark.as_deref() == Some("pending") && client.images().delete_sync(NAME).is_ok() {
                times -= 1;
            }
            times == 0 || mark.is_some_and(|mark| mark != "pending")
        });
    };
    for times in [1, 2] {
        std::thread::scope(|scope| {
            scope.spawn(|| remove(times));
            import(&daemon, USUAL, &|_, _| {}).0.unwrap_or_else(|e| panic!("containerd {version}: {e:?}"));
        });
        assert_eq!(presence_as(&daemon, &image, USUAL), Presence::Complete, "containerd {version}");
        clear(&daemon);
    }
    // By its ID, as the kubelet does, after CRI had shown it.
    let removed = RefCell::new(false);
    let collect = |what: &str, _: usize| {
        if what == "sync the image store" && !removed.replace(true) {
            Client::connect(&socket).unwrap().cri_images().remove(&image.config.digest.to_string()).unwrap();
        }
    };
    import(&daemon, USUAL, &collect).0.unwrap_or_else(|e| panic!("containerd {version}: {e:?}"));
    assert_eq!(presence_as(&daemon, &image, USUAL), Presence::Complete, "containerd {version}");
    clear(&daemon);
}
