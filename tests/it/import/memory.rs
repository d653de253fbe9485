//! An import's memory does not grow with the image.

use std::process::Command;

use edgelay::clock::SystemClock;
use edgelay::containerd::Client;
use edgelay::containerd::import::{self, Options};

use super::{clear, load};
use crate::support::daemon::Daemon;
use crate::support::images::layer::small;
use crate::support::images::{Packed, Same, Spec, docker};

/// Far less than the difference of the images, and than one layer of the larger one.
const SLACK_KIB: u64 = 2048;

/// Not a test of its own: the process whose memory `peak_memory_is_flat` measures.
#[test]
fn worker() {
    let Ok(job) = std::env::var("EDGELAY_TEST_MEMORY") else { return };
    let (socket, file) = job.split_once('|').unwrap();
    let mut loaded = load(file.as_ref()).unwrap();
    let mut client = Client::connect(socket.as_ref()).unwrap();
    let clock = SystemClock::default();
    import::import(&mut client, &loaded.images, &mut *loaded.blobs, &Options::new(&clock), &mut ()).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM:")).unwrap());
}

#[test]
fn peak_memory_is_flat() {
    let Some(daemon) = Daemon::start("memory", "1.7") else { return };
    let mut peaks = Vec::new();
    for mib in [20, 200] {
        let layers = (0..4).map(|seed| small(seed, mib * 1024 / 4)).collect();
        let path = daemon.scratch().join("image.tar");
        docker(&[Spec::new(&["docker.io/kubeedge/app:v1"], layers)], Same::Copy).save(&path, Packed::Plain);
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "import::memory::worker", "--nocapture"])
            .env("EDGELAY_TEST_MEMORY", format!("{}|{}", daemon.address(), path.display()))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
        let peak = text.lines().find_map(|line| line.split("VmHWM:").nth(1)).unwrap();
        peaks.push(peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap());
        clear(&daemon);
    }
    println!("peak memory of an import of 20 MiB and of 200 MiB: {peaks:?} KiB");
    assert!(peaks[1] < peaks[0] + SLACK_KIB, "{peaks:?} KiB");
}
