//! Our client against the real containerd 1.6, 1.7 and 2.1: every service, and what happens when things go wrong.

mod content;
mod pods;
mod records;

use std::time::Duration;

use edgelay::containerd::{CallError, Client, Code, Introspection};
use edgelay::error::{Error, Kind};

use crate::support::daemon::{Daemon, wait_until};

/// Makes each test run once per containerd version; it gets the running daemon.
macro_rules! on_every_containerd {
    ($($test:ident),+ $(,)?) => {
        mod v1_6 { $( #[test] fn $test() { $crate::grpc_daemon::with("1.6", stringify!($test), super::$test); } )+ }
        mod v1_7 { $( #[test] fn $test() { $crate::grpc_daemon::with("1.7", stringify!($test), super::$test); } )+ }
        mod v2_1 { $( #[test] fn $test() { $crate::grpc_daemon::with("2.1", stringify!($test), super::$test); } )+ }
    };
}
use on_every_containerd;

on_every_containerd!(probes, errors_of_every_size, restarts, empty_requests);

/// Runs `test` with a daemon of its own, which must be the same process afterwards unless the test stopped it.
fn with(version: &str, name: &str, test: fn(&mut Daemon)) {
    if let Some(mut daemon) = Daemon::start(&format!("{name} on {version}"), version) {
        test(&mut daemon);
    }
}

fn client(daemon: &Daemon) -> Client {
    Client::connect(&daemon.socket()).unwrap()
}

fn code<T: std::fmt::Debug>(result: Result<T, CallError>) -> Code {
    result.unwrap_err().code().unwrap()
}

fn modern(daemon: &Daemon) -> bool {
    daemon.version().starts_with('2')
}

fn probes(daemon: &mut Daemon) {
    let mut client = client(daemon);
    assert!(client.version().unwrap().version.contains(daemon.version()));
    let cri = client.cri().version().unwrap();
    assert_eq!((cri.runtime_name.as_str(), cri.runtime_api_version.as_str()), ("containerd", "v1"));

    // CRI may be a little later than the socket.
    assert!(wait_until(|| client.cri().status().is_ok()), "no CRI");
    let status = client.cri().status().unwrap();
    let ready = |kind: &str| status.status.conditions.iter().find(|c| c.kind == kind).map(|c| c.status);
    assert_eq!((ready("RuntimeReady"), ready("NetworkReady")), (Some(true), Some(false)));
    assert!(status.info.get("config").unwrap().contains("SystemdCgroup"));
    match client.cri().runtime_config() {
        Ok(config) => {
            assert!(modern(daemon));
            assert_eq!(config.linux.unwrap().cgroup_driver.word(), "CGROUPFS");
        }
        Err(e) => assert!(!modern(daemon) && e.is(Code::Unimplemented), "{e}"),
    }
    // What preflight asks a containerd that was there before us.
    let survey = edgelay::containerd::health::survey(&daemon.socket(), std::time::Duration::from_secs(10)).unwrap();
    assert!(survey.version.contains(daemon.version()), "{survey:?}");
    assert!(
        survey.not_ready.iter().any(|(condition, why)| condition == "NetworkReady" && !why.is_empty()),
        "{survey:?}"
    );
    assert_eq!((survey.cgroup_driver, survey.pause.is_some()), (Some("cgroupfs"), !modern(daemon)), "{survey:?}");
    assert_eq!(client.cri_images().snapshotter().unwrap().as_deref(), Some("overlayfs"));

    let mut introspection: Introspection<'_> = client.introspection();
    let server = introspection.server().unwrap();
    assert_eq!(server.uuid.len(), 36);
    if modern(daemon) {
        assert!(server.pid > 0);
    }
    let filter = ["type==io.containerd.snapshotter.v1,id==overlayfs".to_owned()];
    let plugins = introspection.plugins(&filter).unwrap();
    assert_eq!((plugins.len(), &plugins[0].init_err), (1, &None));
    assert!(plugins[0].exports.get("root").unwrap().ends_with("io.containerd.snapshotter.v1.overlayfs"));
    let all = introspection.plugins(&[]).unwrap();
    assert!(all.len() > 30 && all.iter().any(|plugin| plugin.init_err.is_some()));
}

fn errors_of_every_size(daemon: &mut Daemon) {
    let mut client = client(daemon);
    // containerd's text holds the name: from one frame to five of them (CONTINUATION).
    for length in [1usize, 100, 10_000, 30_000, 60_000] {
        for letter in ["x", "ä", "\\"] {
            let name = letter.repeat(length.div_ceil(letter.len()));
            let e = client.images().get(&name).unwrap_err();
            if e.is(Code::NotFound) {
                let text = e.message().unwrap();
                let start = format!("image \"{}", letter.replace('\\', "\\\\"));
                assert!(text.starts_with(&start), "{text}");
                assert!(text.len() <= 4096 + '…'.len_utf8());
            } else {
                // Larger than the header list that we allow: the daemon says so instead.
                assert!(e.is(Code::Internal) && length * 3 > 65_536, "{length} of {letter}: {e:?}");
            }
        }
    }
    assert!(client.version().is_ok());
    let e = Error::from(client.images().get("x").unwrap_err());
    assert_eq!(e.to_string(), "Images/Get: NOT_FOUND: image \"x\": not found");
    assert_eq!(e.kind(), Kind::Runtime);
    // A namespace that nobody ever used is empty, not an error.
    let mut client = client.in_namespace("nobody".parse().unwrap());
    assert_eq!(client.images().list(&[]).unwrap(), []);
    assert!(client.namespaces().get(&"nobody".parse().unwrap()).unwrap().labels.is_empty());
}

fn restarts(daemon: &mut Daemon) {
    let mut client = client(daemon);
    client.version().unwrap();
    daemon.stop();
    let e = Error::from(client.version().unwrap_err());
    assert_eq!(e.kind(), Kind::Runtime);
    assert!(e.to_string().contains(&daemon.address()), "{e}");
    assert_eq!(
        e.hint_text(),
        Some("is containerd running? see: systemctl status containerd, in the cloud: systemctl status k3s")
    );
    daemon.start_again();
    // The first call after the restart already has a new connection.
    client.version().unwrap();
    daemon.kill();
    assert!(client.version().is_err());
    daemon.start_again();
    client.version().unwrap();
}

/// Each of these would end the daemon if what they embed was missing.
fn empty_requests(daemon: &mut Daemon) {
    let pid = daemon.pid();
    let mut client = client(daemon);
    let none: edgelay::digest::Digest = edgelay::digest::Digest::of(b"never stored");
    assert_eq!(code(client.content().set_labels(&none, &Default::default())), Code::NotFound);
    let diff = Default::default();
    assert!(client.snapshots("overlayfs").apply(diff, Vec::new()).is_err());
    assert!(client.leases().add_resource(&"none".parse().unwrap(), Default::default()).is_err());
    assert!(client.images().create(Default::default()).is_err());
    assert!(client.images().update(Default::default(), Vec::new()).is_err());
    assert!(client.images().update(Default::default(), vec!["labels.x".to_owned()]).is_err());
    for name in ["", "docker.io/library/none:1"] {
        assert_eq!(client.cri_images().status(name).unwrap(), None);
    }
    assert!(client.cri().run_pod(Default::default()).is_err());
    assert!(client.cri().create_container("", Default::default(), Default::default()).is_err());
    assert!(client.cri().exec("", &[], Duration::ZERO).is_err());
    assert!(client.cri().container_status("").is_err());
    assert!(client.cri().list_pods(Default::default()).unwrap().is_empty());
    assert!(client.cri().list_containers(Default::default()).unwrap().is_empty());
    assert!(client.version().is_ok());
    assert_eq!(daemon.pid(), pid);
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "the daemon died");
}
