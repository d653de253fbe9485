//! The proof that the node works: EdgeCore is connected to the cloud, and the node says of itself that it is Ready.

use std::time::Duration;

use crate::clock::{Probe, wait_for};
use crate::config::Identity;
use crate::error::{Error, Kind, Result};
use crate::kubeedge::{METASERVER, Ready, connected, explain, ready_condition, service};
use crate::plan::{Cx, Status, Step};
use crate::root::Root;
use crate::service::Manager;

/// The first status goes out some seconds after the start; a slow board starts its pods' network first.
const LIMIT: Duration = Duration::from_secs(120);

/// Whoever does not tell by then does not know.
const GRACE: Duration = Duration::from_secs(15);

/// The step.
#[derive(Debug)]
pub struct NodeReady {
    manager: Manager,
    identity: Identity,
    metaserver: bool,
}

/// What was seen.
enum Seen {
    Ready,
    /// Connected, but nobody tells whether the node is Ready.
    Untold(String),
    NotYet(String),
}

impl NodeReady {
    /// `metaserver`: EdgeCore's metaServer is on and can be asked.
    pub fn new(manager: Manager, identity: Identity, metaserver: bool) -> Self {
        NodeReady { manager, identity, metaserver }
    }

    fn look(&self, root: &Root) -> Result<Seen> {
        let port = self.identity.websocket.port();
        if !connected(root, port)? {
            return Ok(Seen::NotYet(format!("EdgeCore has no connection to {}", self.identity.websocket)));
        }
        if !self.metaserver {
            return Ok(Seen::Untold("EdgeCore's metaServer is off, as EdgeMesh is not wanted".to_owned()));
        }
        Ok(match ready_condition(METASERVER, &self.identity.node) {
            Ready::Yes => Seen::Ready,
            Ready::No(why) => Seen::NotYet(format!("node is not Ready: {why}")),
            Ready::Unknown(why) => Seen::Untold(why),
        })
    }
}

impl Step for NodeReady {
    fn id(&self) -> &'static str {
        "node-ready"
    }

    fn summary(&self) -> String {
        "node connected and Ready".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        Ok(match self.look(cx.root)? {
            Seen::Ready => Status::Done,
            // The connection stands, which is all that this host can prove without the cloud's dynamicController.
            Seen::Untold(why) => Status::Unknown(format!("connected to the cloud; whether the node is Ready: {why}")),
            Seen::NotYet(why) => Status::Todo(why),
        })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let (mut told, begun, since) = (None, cx.clock.elapsed(), cx.clock.unix());
        let waited = wait_for(cx.clock, "the node to be Ready", LIMIT, || {
            Ok(match self.look(cx.root)? {
                Seen::Ready => Probe::Ready(()),
                // The node is told of some moments after it has registered.
                Seen::Untold(why) if self.metaserver && cx.clock.elapsed().saturating_sub(begun) < GRACE => {
                    Probe::NotYet(why)
                }
                Seen::Untold(why) => {
                    told = Some(why);
                    Probe::Ready(())
                }
                Seen::NotYet(why) => Probe::NotYet(why),
            })
        });
        if let Some(why) = told {
            let serves = "; CloudCore's dynamicController serves this, and EdgeMesh needs it";
            let more = if self.metaserver { serves } else { "" };
            cx.report.warn(&format!("whether the node is Ready cannot be read here ({why}){more}"));
        }
        match waited {
            Err(e) if e.kind() != Kind::Interrupted => {
                // Its last words alone may be its tunnel's, which speaks every two seconds where nobody answers it.
                let log = cx.services(self.manager).words_since(&service(), since);
                let cause = explain("", &cx.report.mask(&log));
                let hint = cause.hint_text().unwrap_or_default().to_owned();
                Err(Error::new(Kind::Cluster, e.to_string()).hint(hint))
            }
            other => other,
        }
    }

    fn undo(&self, _cx: &mut Cx<'_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Script;
    use crate::plan::tests::with_cx;

    #[test]
    fn the_hint_is_of_all_that_edgecore_said_meanwhile_not_of_its_last_lines() {
        with_cx(|cx| {
            let mut config = crate::config::EdgeConfig::default();
            config.cloud.host = Some("10.77.0.2".into());
            config.node.name = Some("edge-1".parse().unwrap());
            config.token_file = Some("/t".into());
            let step = NodeReady::new(Manager::Systemd, config.identity().unwrap(), true);
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
