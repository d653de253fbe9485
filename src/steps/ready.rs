//! The proof that the node works: EdgeCore is connected to the cloud, and the node says of itself that it is Ready.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::clock::{Clock, Probe, rfc3339, wait_for};
use crate::config::Identity;
use crate::error::{Error, Kind, Result};
use crate::host::process;
use crate::kubeedge::{Link, METASERVER, Ready, explain, link, ready_condition, service};
use crate::plan::{Cx, Status, Step};
use crate::service::Manager;

use super::edgecore_back::WayBack;
use super::edgecore_program;

/// The first status goes out some seconds after the start; a slow board starts its pods' network first.
const LIMIT: Duration = Duration::from_secs(120);

/// Whoever does not tell by then does not know.
const GRACE: Duration = Duration::from_secs(15);

/// A connection that is all there is to see must stand so long: a cloud that ends it does so at once.
const STEADY: Duration = Duration::from_secs(3);

/// The same of an EdgeCore that was put in the place of another one, where nobody tells whether the node is Ready: one that
/// cannot live with what the other one left ends of itself, v1.23 after the half minute that it gives its CSINode.
const PROVEN: Duration = Duration::from_secs(60);

/// So often an EdgeCore that was put in the place of another one ends, before that one is taken back.
const HOPELESS: u32 = 3;

/// Seconds by which a clock may be put right without being set anew.
const SLACK: u64 = 2;

/// What must lie between an EdgeCore's end and another one's start, so that no heartbeat of the first counts as one of the
/// second: [`process::started`] may be two seconds early.
pub(super) const GAP: Duration = Duration::from_secs(2);

/// Seconds. EdgeCore sends a status when it starts, and the next one some minutes later; of one that runs for longer,
/// a clock that was set may be all that is wrong.
const YOUNG: u64 = 60;

/// The step.
#[derive(Debug)]
pub struct NodeReady {
    manager: Manager,
    identity: Rc<Identity>,
    metaserver: Option<SocketAddr>,
    back: WayBack,
}

/// What was seen.
enum Seen {
    Ready,
    /// Ready, but as of a time at which this EdgeCore, so many seconds old, did not run yet: an object of before.
    Old(u64, String),
    /// Connected, but nobody tells whether the node is Ready.
    Untold(String),
    NotYet(String),
}

impl NodeReady {
    /// `metaserver`: EdgeCore's metaServer is on and can be asked.
    pub fn new(manager: Manager, identity: Rc<Identity>, metaserver: bool, back: WayBack) -> Self {
        NodeReady { manager, identity, metaserver: metaserver.then_some(METASERVER), back }
    }

    fn look(&self, cx: &Cx<'_>) -> Result<(Option<Link>, Seen)> {
        let link = link(cx.root, self.identity.websocket.port())?;
        let Some(Link { pid, .. }) = link else {
            return Ok((None, Seen::NotYet(format!("EdgeCore has no connection to {}", self.identity.websocket))));
        };
        let Some(server) = self.metaserver else {
            let why = "EdgeCore's metaServer is off, as EdgeMesh is not wanted".to_owned();
            return Ok((link, Seen::Untold(why)));
        };
        let seen = match ready_condition(server, &self.identity.node) {
            Ready::Yes(heard) => match process::started(cx.root, pid) {
                Some(started) if !is_fresh(heard, started, cx.clock) => {
                    let heard = heard.map_or_else(|| "an untold time".to_owned(), rfc3339);
                    let why = format!("the cloud calls the node Ready as of {heard}, when this EdgeCore did not run");
                    Seen::Old(cx.clock.unix().saturating_sub(started), why)
                }
                _ => Seen::Ready,
            },
            Ready::No(why) => Seen::NotYet(format!("node is not Ready: {why}")),
            Ready::Unknown(why) => Seen::Untold(why),
        };
        Ok((link, seen))
    }
}

impl NodeReady {
    /// Why the node is not Ready, with how many connections were lost and how often EdgeCore ended since `since`.
    fn failed(&self, e: &Error, (lost, ends): (u32, u32), since: u64, cx: &mut Cx<'_>) -> Error {
        // Its last words alone may be its tunnel's, which speaks every two seconds where nobody answers it.
        let log = cx.services(self.manager).words_since(&service(), since);
        let cause = explain("", &cx.report.mask(&log));
        let hint = match (lost, ends) {
            (1.., 0) => "look at CloudCore's log: it ends the connection; another machine may have this node's name",
            _ => cause.hint_text().unwrap_or_default(),
        };
        let what = if ends > 0 { format!("{e}; EdgeCore ended meanwhile; {cause}") } else { e.to_string() };
        Error::new(Kind::Cluster, what).hint(hint.to_owned())
    }
}

/// Whether a heartbeat is of an agent that was `started` then: by this machine's clock, which it carries, as the clock is
/// now or as it was before somebody set it meanwhile.
pub(super) fn is_fresh(heard: Option<u64>, started: u64, clock: &dyn Clock) -> bool {
    let within = |moved| {
        let [from, now] = [started, clock.unix() + SLACK].map(|time| time.saturating_sub_signed(moved));
        heard.is_some_and(|heard| from <= heard && heard <= now)
    };
    within(0) || within(clock.moved())
}

impl Step for NodeReady {
    fn id(&self) -> &'static str {
        "node-ready"
    }

    fn summary(&self) -> String {
        "node connected and Ready".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if edgecore_program::is_kept(cx)? {
            return Ok(Status::todo("the EdgeCore in place has not proven itself since an upgrade"));
        }
        Ok(match self.look(cx)?.1 {
            Seen::Ready => Status::Done,
            // The connection stands, which is all that this host can prove without the cloud's dynamicController.
            Seen::Untold(why) => Status::Unknown(format!("connected to the cloud; whether the node is Ready: {why}")),
            Seen::Old(age, why) if age >= YOUNG => Status::Unknown(why),
            Seen::Old(_, why) | Seen::NotYet(why) => Status::Todo(why),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let (mut told, begun, since) = (None, cx.clock.elapsed(), cx.clock.unix());
        // The connection, since when it was seen, and how many were lost before.
        let (mut held, mut from, mut lost) = (None, begun, 0_u32);
        let (mut pid, mut ends) = (None, 0_u32);
        let upgraded = edgecore_program::is_kept(cx)?;
        let (steady, limit) = if upgraded { (PROVEN, LIMIT + PROVEN) } else { (STEADY, LIMIT) };
        let waited = wait_for(cx.clock, "the node to be Ready", limit, || {
            let (link, seen) = self.look(cx)?;
            let now = cx.clock.elapsed();
            if link != held {
                lost += u32::from(held.is_some());
                (held, from) = (link, now);
                // One of another process is no connection that the cloud ended: the EdgeCore of before did.
                if let Some(Link { pid: now, .. }) = link {
                    ends += u32::from(pid.is_some_and(|before| before != now));
                    pid = Some(now);
                }
            }
            if ends >= HOPELESS && upgraded {
                return Err(Error::new(Kind::Cluster, "the node did not become Ready"));
            }
            // The node is told of some moments after it has registered.
            let early = self.metaserver.is_some() && now.saturating_sub(begun) < GRACE;
            Ok(match seen {
                Seen::Ready => Probe::Ready,
                Seen::Untold(why) if early || now.saturating_sub(from) < steady => Probe::NotYet(why),
                Seen::Untold(why) => {
                    told = Some(why);
                    Probe::Ready
                }
                Seen::NotYet(why) if lost > 0 => Probe::NotYet(format!("{why}, {lost} were cut meanwhile")),
                Seen::Old(_, why) | Seen::NotYet(why) => Probe::NotYet(why),
            })
        });
        if let Some(why) = told {
            let serves = "; CloudCore's dynamicController serves this, and EdgeMesh needs it";
            let more = if self.metaserver.is_some() { serves } else { "" };
            cx.report.warn(&format!("whether the node is Ready cannot be read here ({why}){more}"));
        }
        match waited {
            Err(e) if e.kind() != Kind::Interrupted => {
                let e = self.failed(&e, (lost, ends), since, cx);
                // One that runs on waits for its cloud, as the one before would.
                Err(if ends > 0 { self.back.go(e, cx) } else { e })
            }
            Err(e) => Err(e),
            Ok(()) => self.back.close(cx),
        }
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        edgecore_program::forget_previous(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::CountingClock;
    use crate::exec::Script;
    use crate::host::tree::Tree;
    use crate::ids::RelPath;
    use crate::kubeedge::EDGECORE;
    use crate::plan::tests::with_cx;
    use crate::root::Root;
    use std::io::{Read, Write};

    const NOW: u64 = 1_796_029_200;

    fn step(metaserver: Option<SocketAddr>) -> NodeReady {
        let mut config = crate::config::EdgeConfig::default();
        config.cloud.host = Some("10.77.0.2".into());
        config.node.name = Some("edge-1".parse().unwrap());
        config.token_file = Some("/t".into());
        NodeReady {
            metaserver,
            ..NodeReady::new(
                Manager::Systemd,
                config.identity().unwrap().into(),
                true,
                WayBack::new(Manager::Systemd, LIMIT, None),
            )
        }
    }

    fn at(epoch: u64, moved: i64) -> CountingClock {
        let mut clock = CountingClock::default();
        (clock.epoch, clock.moved) = (epoch, moved);
        clock
    }

    fn tcp(inode: u64) -> String {
        format!("1: 0A4D000A:C350 024D000A:2710 01 0:0 00:0 0 0 0 {inode} 1\n")
    }

    /// EdgeCore, started so long ago, with a connection of this number.
    fn edgecore(age: u64, inode: u64) -> Tree {
        let stat = format!("7 (edgecore) S{} {} 1\n", " 0".repeat(18), (9000 - age) * 100 + 99);
        // The connections that it may have, one after the other.
        let fds = (0..5)
            .fold(Tree::new(), |tree, n| tree.link(&format!("proc/7/fd/{n}"), &format!("socket:[{}]", 4711 + n * 30)));
        fds.process(7, "/usr/local/bin/edgecore", &["edgecore"])
            .file("proc/7/stat", &stat)
            .process(8, "/usr/local/bin/edgecore", &["edgecore"])
            .link("proc/8/fd/0", "socket:[5000]")
            .file("proc/stat", &format!("btime {}\n", NOW - 9000))
            .file("proc/net/tcp", &tcp(inode))
    }

    /// A metaServer with a node that is Ready as of these times, one answer after the other.
    fn metaserver(heard: Vec<u64>) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let all = heard.iter().chain(std::iter::repeat(heard.last().unwrap()));
            for (stream, heard) in listener.incoming().zip(all) {
                let (mut stream, heard) = (stream.unwrap(), rfc3339(*heard));
                let _ = stream.read(&mut [0; 1024]);
                let condition =
                    format!(r#"{{"type":"Ready","status":"True","lastHeartbeatTime":"{heard}","reason":"EdgeReady"}}"#);
                let _ = write!(stream, "HTTP/1.1 200 OK\r\n\r\n{{\"status\":{{\"conditions\":[{condition}]}}}}");
            }
        });
        address
    }

    fn with_tree<T>(tree: &Tree, clock: &dyn Clock, exec: &mut Script, test: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let root = tree.root();
        with_cx(|cx| test(&mut Cx { root: &root, exec, clock, report: cx.report, journal: cx.journal, blobs: None }))
    }

    #[test]
    fn an_object_of_before_proves_nothing() {
        let now = NOW;
        let clock = at(now, 0);
        let old = |age, heard| {
            let step = step(Some(metaserver(vec![heard])));
            with_tree(&edgecore(age, 4711), &clock, &mut Script::default(), |cx| step.check(cx).unwrap())
        };
        let why =
            |heard| format!("the cloud calls the node Ready as of {}, when this EdgeCore did not run", rfc3339(heard));
        assert_eq!(old(10, now - 9), Status::Done);
        assert_eq!(old(10, now - 11), Status::Todo(why(now - 11)));
        assert_eq!(old(10, now - 30), Status::Todo(why(now - 30)));
        // of a life with a clock that was ahead
        assert_eq!(old(10, now + 30), Status::Todo(why(now + 30)));
        // a clock that was set since is no drift
        assert_eq!(old(3600, now - 90_000), Status::Unknown(why(now - 90_000)));
    }

    #[test]
    fn it_is_waited_for_the_status_of_the_edgecore_that_runs() {
        let now = NOW;
        let clock = at(now, 0);
        let step = step(Some(metaserver(vec![now - 40, now - 40, now - 40, now])));
        with_tree(&edgecore(5, 4711), &clock, &mut Script::default(), |cx| step.apply(cx).unwrap());
        assert!(clock.elapsed() > Duration::ZERO && clock.elapsed() < STEADY, "{:?}", clock.elapsed());
    }

    #[test]
    fn a_metaserver_that_says_nothing_yet_is_given_time() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let clock = at(NOW, 0);
        let step = step(Some(free));
        with_tree(&edgecore(5, 4711), &clock, &mut Script::default(), |cx| step.apply(cx).unwrap());
        assert!(clock.elapsed() >= GRACE && clock.elapsed() < GRACE + STEADY, "{:?}", clock.elapsed());
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_is_reckoned_with() {
        let was = 1_600_000_000;
        for moved in [196_029_200, -7200] {
            let epoch = u64::saturating_add_signed(was, moved);
            let clock = at(epoch, moved);
            for (heard, fresh) in [(was - 3, true), (epoch, true), (was - 30, false), (was + 30, false), (0, false)] {
                assert_eq!(is_fresh(Some(heard), epoch - 5, &clock), fresh, "{moved} {heard}");
            }
            assert!(!is_fresh(None, epoch - 5, &clock));
        }
    }

    /// A clock in whose pauses the cloud ends EdgeCore's connection, or EdgeCore makes another one.
    #[derive(Debug)]
    struct Cutting<'t>(CountingClock, &'t Root, fn(u64) -> u64);

    impl Clock for Cutting<'_> {
        fn elapsed(&self) -> Duration {
            self.0.elapsed()
        }
        fn unix(&self) -> u64 {
            self.0.unix()
        }
        fn synchronised(&self) -> Option<bool> {
            None
        }
        fn moved(&self) -> i64 {
            0
        }
        fn sleep(&self, pause: Duration) {
            self.0.sleep(pause);
            let inode = (self.2)(self.0.elapsed().as_secs());
            let line = if inode > 0 { tcp(inode) } else { String::new() };
            std::fs::write(self.1.absolute(RelPath::literal("proc/net/tcp")), line).unwrap();
        }
    }

    #[test]
    fn a_connection_that_is_all_there_is_to_see_must_last() {
        let apply = |ends: fn(u64) -> u64| {
            let tree = edgecore(5, 4711);
            let root = tree.root();
            let clock = Cutting(CountingClock::default(), &root, ends);
            let mut script = Script::default();
            if ends(1) == 0 {
                script = script.expect("journalctl --no-pager -o cat -n 200 --since=@0 -u edgecore.service", 0, "");
            }
            let done = with_tree(&tree, &clock, &mut script, |cx| step(None).apply(cx));
            (done, clock.elapsed())
        };
        let (stays, spent) = apply(|_| 4711);
        stays.unwrap();
        assert!(spent >= STEADY && spent < STEADY * 2, "{spent:?}");
        // a new one every 30 s, each gone at once
        let (cut, _) = apply(|second| if second % 30 == 20 { 4691 + second } else { 0 });
        let e = cut.unwrap_err();
        let want = "waited 120 s for the node to be Ready; last seen: EdgeCore has no connection to 10.77.0.2:10000, \
                    5 were cut meanwhile";
        assert_eq!(e.to_string(), want);
        assert!(e.hint_text().unwrap().contains("CloudCore's log"), "{e:?}");
    }

    /// Nobody tells whether the node is Ready, and the EdgeCore that worked is kept.
    #[test]
    fn one_in_the_place_of_another_must_last_longer() {
        let apply = |ends: fn(u64) -> u64, end: &str| {
            let tree = edgecore(5, 4711);
            let root = tree.root();
            let clock = Cutting(CountingClock::default(), &root, ends);
            let mut script = Script::default();
            for call in end.lines() {
                script = script.expect(call, 0, "");
            }
            with_tree(&tree, &clock, &mut script, |cx| {
                cx.root.write(EDGECORE, 0o755, b"older").unwrap();
                cx.journal.remember(super::super::edgecore::FACT, "works").unwrap();
                edgecore_program::keep(cx).unwrap();
                let done = step(None).apply(cx);
                (done.map_err(|e| e.to_string()), clock.elapsed(), edgecore_program::is_kept(cx).unwrap())
            })
        };
        let (stays, spent, kept) = apply(|_| 4711, "");
        stays.unwrap();
        assert!(spent >= PROVEN && spent < PROVEN + STEADY && !kept, "{spent:?} {kept}");
        // It ends after half a minute, and another one is there at once.
        let words = "journalctl --no-pager -o cat -n 200 --since=@0 -u edgecore.service\nsystemctl restart";
        let (ends, spent, kept) = apply(|second| if second / 30 % 2 == 0 { 4711 } else { 5000 }, words);
        let e = ends.unwrap_err();
        assert!(e.starts_with("the node did not become Ready; EdgeCore ended meanwhile"), "{e}");
        assert!(e.contains("; nor does the EdgeCore that ran before: "), "{e}");
        assert!(spent < LIMIT && kept, "{spent:?} {kept}");
        // One that runs on without its cloud stays: the one before would wait for it, too.
        let (alone, _, kept) = apply(|_| 0, words.lines().next().unwrap());
        let e = alone.unwrap_err();
        assert!(e.starts_with("waited 180 s") && !e.contains("that ran before") && kept, "{e} {kept}");
    }

    /// As v1.23 does with what v1.22 stored: healthy for half a minute, again and again.
    #[test]
    fn an_edgecore_that_ends_is_not_a_cloud_that_ends_connections() {
        let tree = edgecore(5, 4711);
        let root = tree.root();
        let clock =
            Cutting(CountingClock::default(), &root, |second| if second.is_multiple_of(2) { 4711 } else { 5000 });
        let died = "F1130 20:32:50.100167     455 csi_plugin.go:322] Failed to initialize CSINode after retrying";
        let said = format!("{died}\nE1130 20:33:00.405147     526 kubelet.go:2268] Skipping pod synchronization\n");
        let words = "journalctl --no-pager -o cat -n 200 --since=@0 -u edgecore.service";
        let mut script = Script::default().expect(words, 0, &said);
        let e = with_tree(&tree, &clock, &mut script, |cx| step(None).apply(cx)).unwrap_err();
        assert!(e.to_string().ends_with(&format!("; EdgeCore ended meanwhile; EdgeCore says: {died}")), "{e}");
    }

    #[test]
    fn the_hint_is_of_all_that_edgecore_said_meanwhile_not_of_its_last_lines() {
        with_cx(|cx| {
            let step = step(Some(METASERVER));
            let words = format!("journalctl --no-pager -o cat -n 200 --since=@{} -u edgecore.service", cx.clock.unix());
            let tunnel = "E1130 07:27:37.287036     443 edgestream.go:114] TLSClientConnect error dial tcp \
                          10.77.0.2:10004: connect: connection refused\n";
            let said = format!("E1130 ws.go:84] dial websocket error(websocket: bad handshake)\n{}", tunnel.repeat(40));
            let mut script = Script::default().expect(&words, 0, &said);
            let Cx { root, clock, report, .. } = *cx;
            let mut cx = Cx { exec: &mut script, root, clock, report, journal: cx.journal, blobs: None };
            let e = step.apply(&mut cx).unwrap_err();
            let want =
                "waited 120 s for the node to be Ready; last seen: EdgeCore has no connection to 10.77.0.2:10000";
            assert_eq!(e.to_string(), want);
            let hint = "set cloud.websocket_port to CloudHub's WebSocket port, 10000 by default";
            assert_eq!(e.hint_text(), Some(hint));
            assert!(script.done());
        });
    }
}
