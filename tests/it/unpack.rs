//! Layers unpacked by us and by containerd's own `Diff.Apply`: the same files, or refused by both.

use std::path::PathBuf;

use edgelay::containerd::api::{Descriptor, Mount};
use edgelay::containerd::mounts;
use edgelay::containerd::{Client, Ingest, Opened};
use edgelay::digest::Digest;
use edgelay::error::{Error, Kind};
use edgelay::unpack;

use crate::support::daemon::Daemon;
use crate::support::tree;

mod corners;
mod corpus;
mod random;
mod real;

/// What must come of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Both take it, and the files are the same.
    Same,
    /// Both refuse it.
    Refused,
    /// containerd refuses what we can read.
    Ours,
}

/// Layers, the base first.
struct Case {
    name: String,
    layers: Vec<Vec<u8>>,
    fate: Fate,
}

/// A daemon with two chains of snapshots side by side.
struct Bench {
    daemon: Daemon,
    client: Client,
    count: usize,
}

/// What became of the layers of a case, one after the other until the first refusal.
type Trees = (Vec<Vec<String>>, Option<String>);

impl Bench {
    fn start(test: &str, version: &str) -> Option<Bench> {
        let daemon = Daemon::start(test, version)?;
        let mut client = Client::connect(&daemon.socket()).unwrap();
        let lease = "unpack".parse().unwrap();
        client.leases().create(&lease, Default::default()).unwrap();
        client.set_lease(Some(lease));
        Some(Bench { daemon, client, count: 0 })
    }

    fn put(&mut self, layer: &[u8]) -> Descriptor {
        let (digest, size) = (Digest::of(layer), layer.len() as u64);
        match self.client.content().write(Ingest { reference: format!("t-{digest}"), digest, size }).unwrap() {
            Opened::Exists => {}
            Opened::Ready(mut upload) => {
                upload.write(layer).unwrap();
                upload.commit(Default::default()).unwrap();
            }
        }
        let media_type = "application/vnd.oci.image.layer.v1.tar".into();
        let size = i64::try_from(size).unwrap();
        Descriptor { media_type, digest: digest.to_string(), size, ..Default::default() }
    }

    /// Unpacks `layers` one upon the other into snapshots `NAME-0`, `NAME-1`, ...
    fn unpack(
        &mut self,
        name: &str,
        layers: &[Vec<u8>],
        mut apply: impl FnMut(&mut Bench, &[u8], Vec<Mount>) -> Result<(), String>,
    ) -> Trees {
        let (mut trees, mut parent) = (Vec::new(), String::new());
        for (n, layer) in layers.iter().enumerate() {
            let key = format!("{name}-{n}-active");
            let mounts = self.client.snapshots("overlayfs").prepare(&key, &parent, Default::default()).unwrap();
            let dir = directory(&mounts);
            if let Err(why) = apply(self, layer, mounts) {
                self.client.snapshots("overlayfs").remove(&key).unwrap();
                return (trees, Some(why));
            }
            trees.push(tree::list(&dir));
            parent = format!("{name}-{n}");
            self.client.snapshots("overlayfs").commit(&parent, &key, Default::default()).unwrap();
        }
        (trees, None)
    }

    fn theirs(&mut self, name: &str, layers: &[Vec<u8>]) -> Trees {
        self.unpack(name, layers, |bench, layer, mounts| {
            let diff = bench.put(layer);
            let want = diff.digest.clone();
            let applied = bench.client.snapshots("overlayfs").apply(diff, mounts).map_err(|e| e.to_string())?;
            assert_eq!(applied.digest, want);
            Ok(())
        })
    }

    fn ours(&mut self, name: &str, layers: &[Vec<u8>]) -> Trees {
        self.unpack(name, layers, |bench, layer, mounts| {
            let target = mounts::target(&mounts, bench.client.process()).unwrap();
            let mut left = layer;
            unpack::apply(&target, &mut left).map_err(|e| judge(&e))?;
            assert!(left.is_empty(), "{} bytes of the layer were not read", left.len());
            Ok(())
        })
    }

    /// What is wrong, with both sides shown, unless what becomes of the case is what should. Tried again before it is
    /// said: whoever walks over the machine's files meanwhile changes access times.
    fn check(&mut self, case: &Case) -> Result<(), String> {
        self.check_once(case).or_else(|_| self.check_once(case))
    }

    fn check_once(&mut self, case: &Case) -> Result<(), String> {
        match self.end(case)? {
            fate if fate == case.fate => Ok(()),
            fate => Err(format!("{}: {fate:?}, should be {:?}", case.name, case.fate)),
        }
    }

    /// What becomes of the case, if it is the same with both.
    fn end(&mut self, case: &Case) -> Result<Fate, String> {
        self.count += 1;
        let at = format!("containerd {}, {}", self.daemon.version(), case.name);
        let (theirs, their_no) = self.theirs(&format!("theirs{}", self.count), &case.layers);
        let (ours, our_no) = self.ours(&format!("ours{}", self.count), &case.layers);
        let fate = match (&their_no, &our_no) {
            (_, Some(why)) if why.starts_with(BLAME) => return Err(format!("{at}: {why}; they say {their_no:?}")),
            (None, None) => Fate::Same,
            (Some(_), Some(_)) => Fate::Refused,
            (Some(_), None) => Fate::Ours,
            (None, Some(why)) => return Err(format!("{at}: only we refuse it: {why}")),
        };
        let say = format!("{at}: they say {their_no:?}, we say {our_no:?}");
        if fate != Fate::Ours && theirs.len() != ours.len() {
            return Err(format!("{say}, of different layers"));
        }
        if let Some((n, (theirs, ours))) =
            theirs.iter().zip(&ours).enumerate().find(|(_, (theirs, ours))| theirs != ours)
        {
            let differ = theirs.iter().zip(ours).find(|(theirs, ours)| theirs != ours);
            return Err(format!("{say}\nlayer {n}: {differ:#?}\ntheirs {theirs:#?}\nours {ours:#?}"));
        }
        Ok(fate)
    }
}

/// The text of a refusal, which must blame the layer and not the host.
fn judge(e: &Error) -> String {
    if e.kind() != Kind::Bundle || e.hint_text().is_none() {
        return format!("{BLAME}: {e:?}");
    }
    e.to_string()
}

/// Begins a refusal that does not.
const BLAME: &str = "the host is blamed";

/// Where the files of a snapshot lie.
fn directory(mounts: &[Mount]) -> PathBuf {
    let [mount] = mounts else { panic!("{mounts:?}") };
    let upper = mount.options.iter().find_map(|option| option.strip_prefix("upperdir="));
    PathBuf::from(upper.unwrap_or(&mount.source))
}
