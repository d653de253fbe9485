//! Whatever stops an import, the next one makes it whole.

use std::cell::{Cell, RefCell};
use std::process::Command;
use std::time::Duration;

use edgelay::clock::{Clock, SystemClock};
use edgelay::containerd::Client;
use edgelay::containerd::import::{self, Action, Options, Presence, Progress};
use edgelay::error::Kind;
use edgelay::oci::Image;

use super::{clear, first_column, import_file, leftovers, load, on_every_containerd, presence, snapshots};
use crate::support::daemon::Daemon;
use crate::support::images::layer::{small, tree};
use crate::support::images::{Packed, Spec, oci};
use crate::support::rootfs;

on_every_containerd!(
    a_killed_import_converges,
    a_killed_daemon_is_told_and_the_next_import_converges,
    a_restarted_daemon_costs_no_import,
    files_that_a_power_cut_emptied_are_made_anew,
    what_a_power_cut_emptied_does_not_spoil_the_next_image,
);

/// Does something at the n-th report.
struct At<F: FnMut()>(usize, F);

impl<F: FnMut()> At<F> {
    fn count(&mut self) {
        if self.0 == 0 {
            (self.1)();
        }
        self.0 = self.0.wrapping_sub(1);
    }
}

impl<F: FnMut()> Progress for At<F> {
    fn sent(&mut self, _: &str, _: u64) {
        self.count();
    }
    fn present(&mut self, _: &str, _: u64) {
        self.count();
    }
    fn doing(&mut self, _: &str) {
        self.count();
    }
}

/// Three layers, one of them larger than a message.
fn save(daemon: &Daemon) -> (std::path::PathBuf, Image) {
    let [base, top] = tree();
    let app = Spec::new(&["docker.io/kubeedge/app:v1"], vec![small(1, 600), base, top]);
    let path = daemon.scratch().join("app.tar");
    oci(&[&[app]], Packed::Plain).save(&path, Packed::Plain);
    let image = load(&path).unwrap().images.remove(0);
    (path, image)
}

fn top(image: &Image) -> String {
    image.chain_ids().pop().unwrap().to_string()
}

/// Not a test of its own: the process that `a_killed_import_converges` starts and that kills itself.
#[test]
fn worker() {
    let Ok(job) = std::env::var("EDGELAY_TEST_IMPORT") else { return };
    let [socket, file, at] = job.split('|').collect::<Vec<_>>()[..] else { panic!("{job}") };
    let mut loaded = load(file.as_ref()).unwrap();
    let mut client = Client::connect(socket.as_ref()).unwrap();
    let kill = || nix::sys::signal::raise(nix::sys::signal::SIGKILL).unwrap();
    let clock = SystemClock::default();
    let mut progress = At(at.parse().unwrap(), kill);
    let done = import::import(&mut client, &loaded.images, &mut *loaded.blobs, &Options::new(&clock), &mut progress);
    done.unwrap();
}

fn a_killed_import_converges(version: &str) {
    let Some(daemon) = Daemon::start("killed import", version) else { return };
    let (path, image) = save(&daemon);
    let mut survived = false;
    for at in 0.. {
        let job = format!("{}|{}|{at}", daemon.address(), path.display());
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "import::cuts::worker", "--nocapture"])
            .env("EDGELAY_TEST_IMPORT", job)
            .output()
            .unwrap();
        survived = out.status.success();
        if survived {
            assert!(at > 6, "{at} cuts only: {}", String::from_utf8_lossy(&out.stdout));
            break;
        }
        assert_ne!(presence(&daemon, &image), Presence::Complete, "cut {at}");
        import_file(&daemon, &path, &mut ()).unwrap();
        whole(&daemon, &image, &format!("containerd {version}, cut {at}"));
        clear(&daemon);
    }
    assert!(survived);
}

/// The image is there, and nothing but the image.
fn whole(daemon: &Daemon, image: &Image, at: &str) {
    assert_eq!(presence(daemon, image), Presence::Complete, "{at}");
    let mut want: Vec<String> = image.chain_ids().iter().map(ToString::to_string).collect();
    want.sort();
    assert_eq!(snapshots(daemon), want, "{at}");
    let more = ["lease", "write"];
    let left: Vec<String> = leftovers(daemon).into_iter().filter(|l| more.iter().any(|m| l.starts_with(m))).collect();
    assert_eq!(left, [""; 0], "{at}");
    assert_eq!(first_column(&daemon.ctr_ok(&["content", "ls", "-q"]), 0).len(), 2, "{at}: manifest and config");
}

fn a_killed_daemon_is_told_and_the_next_import_converges(version: &str) {
    let Some(mut daemon) = Daemon::start("killed daemon", version) else { return };
    let (path, image) = save(&daemon);
    let mut events = At(usize::MAX, || {});
    import_file(&daemon, &path, &mut events).unwrap();
    let count = usize::MAX - events.0;
    clear(&daemon);
    // In the middle of the large layer, in the last layer, before the sync.
    for at in [2, count - 2, count - 1] {
        let mut loaded = load(&path).unwrap();
        let mut client = Client::connect(&daemon.socket()).unwrap();
        let clock = Waits::new(&|_| {});
        let mut progress = At(at, || {
            daemon.kill();
            clock.still.set(true);
        });
        let done =
            import::import(&mut client, &loaded.images, &mut *loaded.blobs, &Options::new(&clock), &mut progress);
        let e = done.unwrap_err();
        assert_eq!(e.kind(), Kind::Runtime, "containerd {version}, cut {at}: {e:?}");
        println!("containerd {version}, cut {at}: {e:?}");
        assert!(e.to_string().ends_with("; it did not come back within 30 s"), "{e}");
        assert!(e.hint_text().unwrap().starts_with("start containerd (see: "), "{e:?}");
        daemon.start_again();
        import_file(&daemon, &path, &mut ()).unwrap();
        whole(&daemon, &image, &format!("containerd {version}, cut {at}"));
        clear(&daemon);
    }
}

/// Time passes by itself, until it is told to stand still: then a pause only counts, and something else is done in it.
struct Waits<'a> {
    real: SystemClock,
    still: Cell<bool>,
    counted: Cell<Duration>,
    pause: &'a dyn Fn(&Cell<bool>),
}

impl<'a> Waits<'a> {
    fn new(pause: &'a dyn Fn(&Cell<bool>)) -> Self {
        Waits { real: SystemClock::default(), still: Cell::default(), counted: Cell::default(), pause }
    }
}

impl Clock for Waits<'_> {
    fn elapsed(&self) -> Duration {
        self.real.elapsed() + self.counted.get()
    }
    fn unix(&self) -> u64 {
        self.real.unix()
    }
    fn synchronised(&self) -> Option<bool> {
        self.real.synchronised()
    }
    fn moved(&self) -> i64 {
        self.real.moved()
    }
    fn sleep(&self, pause: Duration) {
        if !self.still.get() {
            return self.real.sleep(pause);
        }
        self.counted.set(self.counted.get() + pause);
        (self.pause)(&self.still);
    }
}

/// As by a package upgrade: it goes at any moment, and comes back at once, or after a while.
fn a_restarted_daemon_costs_no_import(version: &str) {
    let Some(daemon) = Daemon::start("restarted daemon", version) else { return };
    let (path, image) = save(&daemon);
    let mut events = At(usize::MAX, || {});
    import_file(&daemon, &path, &mut events).unwrap();
    let count = usize::MAX - events.0;
    clear(&daemon);
    let daemon = RefCell::new(daemon);
    for (n, at) in [0, 2, count / 2, count - 2, count - 1].into_iter().enumerate() {
        let case = format!("containerd {version}, cut {at} of {count}");
        let (mut loaded, mut client) = (load(&path).unwrap(), Client::connect(&daemon.borrow().socket()).unwrap());
        let back = |still: &Cell<bool>| {
            daemon.borrow_mut().start_again();
            still.set(false);
        };
        let clock = Waits::new(&back);
        let mut progress = At(at, || {
            match n % 2 {
                0 => daemon.borrow_mut().kill(),
                _ => daemon.borrow_mut().stop(),
            }
            match n / 2 {
                1 => daemon.borrow_mut().start_again(),
                _ => clock.still.set(true),
            }
        });
        let done =
            import::import(&mut client, &loaded.images, &mut *loaded.blobs, &Options::new(&clock), &mut progress);
        let done = done.unwrap_or_else(|e| panic!("{case}: {e:?}"));
        assert!(matches!(done[0].action, Action::Imported { .. }), "{case}: {done:?}");
        whole(&daemon.borrow(), &image, &case);
        clear(&daemon.borrow());
    }
}

/// containerd syncs what it knows of an image but not the image's files, so after a power cut it calls an image
/// unpacked whose files are empty. Only the mark that we set after our own sync tells such an image from a good one.
fn files_that_a_power_cut_emptied_are_made_anew(version: &str) {
    let Some(daemon) = Daemon::start("hollow image", version) else { return };
    let (path, image) = save(&daemon);
    import_file(&daemon, &path, &mut ()).unwrap();
    let good = rootfs::list(&daemon, "k8s.io", &top(&image));
    // An import of ours that was cut between record and sync; an image that somebody else imported; one that somebody
    // removed by its name, but not by the alias that CRI gave it.
    let name = image.names[0].as_str();
    for done in [
        &["images", "label", name, "edgelay.io/import=pending"][..],
        &["images", "label", name, "edgelay.io/import="],
        &["images", "rm", "--sync", name],
    ] {
        hollow(&daemon);
        assert_ne!(rootfs::list(&daemon, "k8s.io", &top(&image)), good);
        daemon.ctr_ok(done);
        import_file(&daemon, &path, &mut ()).unwrap();
        whole(&daemon, &image, &format!("containerd {version}, {done:?}"));
        assert_eq!(rootfs::list(&daemon, "k8s.io", &top(&image)), good, "containerd {version}, {done:?}");
    }
}

/// Another image on the same base: it would be unpacked on top of the empty files.
fn what_a_power_cut_emptied_does_not_spoil_the_next_image(version: &str) {
    let Some(daemon) = Daemon::start("hollow base", version) else { return };
    let (cut, image) = save(&daemon);
    let path = daemon.scratch().join("next.tar");
    let next = Spec::new(&["docker.io/kubeedge/next:v1"], vec![small(1, 600), small(2, 8)]);
    oci(&[&[next]], Packed::Plain).save(&path, Packed::Plain);
    let next = load(&path).unwrap().images.remove(0);
    import_file(&daemon, &path, &mut ()).unwrap();
    let good = rootfs::list(&daemon, "k8s.io", &top(&next));
    clear(&daemon);

    import_file(&daemon, &cut, &mut ()).unwrap();
    hollow(&daemon);
    daemon.ctr_ok(&["images", "label", image.names[0].as_str(), "edgelay.io/import=pending"]);
    import_file(&daemon, &path, &mut ()).unwrap();
    whole(&daemon, &next, &format!("containerd {version}"));
    assert_eq!(rootfs::list(&daemon, "k8s.io", &top(&next)), good, "containerd {version}");
}

/// Empties every regular file in every snapshot.
fn hollow(daemon: &Daemon) {
    let script = r#"find "$1" -path '*/fs/*' -type f -size +0 -exec truncate -s 0 {} + -printf x | grep -q x"#;
    let dir = daemon.root().join("io.containerd.snapshotter.v1.overlayfs/snapshots");
    let done = Command::new("bash").args(["-c", script, "hollow"]).arg(dir).status().unwrap();
    assert!(done.success(), "no file to empty");
}
