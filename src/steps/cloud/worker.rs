//! A further node: the server's token in a file that only root can read, and the proof that the node is Ready.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::api_ready::{not_ready, of_before};
use super::k3s_start::FACT;
use crate::clock::{Probe, wait_for};
use crate::config::load_secret;
use crate::error::{Error, Kind, Result};
use crate::k3s::{ETC, KUBELET_CONFIG, Kube, WORKER_TOKEN};
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, Service};

/// The step that lays down the token.
#[derive(Debug)]
pub struct WorkerToken {
    from: PathBuf,
}

impl WorkerToken {
    /// From the user's file.
    pub fn new(from: PathBuf) -> Self {
        WorkerToken { from }
    }
}

impl Step for WorkerToken {
    fn id(&self) -> &'static str {
        "worker-token"
    }

    fn summary(&self) -> String {
        "the server's token in a file of root's".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let missing = || Ok(Status::todo(format_args!("'{WORKER_TOKEN}' is missing or different")));
        // The user may have destroyed the file that it came from: ours counts then. One that is there and no good is told.
        let is_gone = std::fs::metadata(&self.from).map_or(true, |file| file.len() == 0);
        match load_secret(&self.from) {
            Ok(secret) if cx.root.holds(WORKER_TOKEN, 0o600, secret.as_bytes())? => Ok(Status::Done),
            Err(_) if is_gone && cx.journal.owns(WORKER_TOKEN.as_str()) && cx.root.stat(WORKER_TOKEN)?.is_some() => {
                Ok(Status::Done)
            }
            _ => missing(),
        }
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let secret = load_secret(&self.from)?;
        cx.will_make(ETC)?;
        // k3s reads it when it starts. Forgotten first: were we cut now, the token would be found as missing still.
        cx.journal.forget(FACT)?;
        cx.put(WORKER_TOKEN, 0o600, secret.as_bytes()).map(|_| ())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.take_back_file(WORKER_TOKEN.as_str())
    }
}

/// The step that waits for the node.
#[derive(Debug)]
pub struct WorkerReady {
    node: String,
    limit: Duration,
    service: (Manager, Service),
}

impl WorkerReady {
    /// `node` of the agent that `service` runs.
    pub fn new(node: String, limit: Duration, service: (Manager, Service)) -> Self {
        WorkerReady { node, limit, service }
    }

    fn lack(&self, cx: &mut Cx<'_>) -> Result<Option<String>> {
        let found = Kube::new(Path::new(KUBELET_CONFIG), cx.exec).get("node", "default", &self.node);
        Ok(match found {
            Ok(None) => Some(format!("node '{}' has not registered", self.node)),
            Ok(Some(node)) => {
                let why = not_ready(&node).or_else(|| of_before(&node, cx));
                why.map(|why| format!("node '{}' is not Ready: {why}", self.node))
            }
            Err(e) if e.kind() == Kind::Interrupted => return Err(e),
            Err(e) => Some(e.to_string()),
        })
    }
}

impl Step for WorkerReady {
    fn id(&self) -> &'static str {
        "worker-ready"
    }

    fn summary(&self) -> String {
        format!("node '{}' is Ready", self.node)
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        Ok(self.lack(cx)?.map_or(Status::Done, Status::Todo))
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let waited = wait_for(cx.clock, "the node to be Ready", self.limit, || {
            Ok(self.lack(cx)?.map_or(Probe::Ready, Probe::NotYet))
        });
        waited.map_err(|e| {
            if e.kind() == Kind::Interrupted {
                return e;
            }
            let said = cx.services(self.service.0).last_words(&self.service.1);
            Error::new(Kind::Cluster, cx.report.mask(&format!("{e}; k3s's last words: {said}")))
                .hint("see what k3s says is wrong, mend it and run again")
        })
    }

    fn undo(&self, _cx: &mut Cx<'_>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::plan::tests::with_cx;

    #[test]
    fn a_token_that_was_destroyed_is_not_missed_and_one_that_is_no_good_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let put = |text: &str, mode: u32| {
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        with_cx(|cx| {
            let step = WorkerToken::new(file.clone());
            put("secret\n", 0o600);
            cx.journal.remember(FACT, "x").unwrap();
            step.apply(cx).unwrap();
            assert_eq!(cx.journal.fact(FACT), None, "k3s is not started again with it");
            let is_done = |cx: &mut Cx<'_>| step.check(cx).unwrap() == Status::Done;
            assert!(is_done(cx));
            put("", 0o600);
            assert!(is_done(cx), "emptied");
            std::fs::remove_file(&file).unwrap();
            assert!(is_done(cx), "removed");
            for (text, mode) in [("another", 0o600), ("another", 0o644), ("two words", 0o600)] {
                put(text, mode);
                assert!(!is_done(cx), "{text} {mode:o}");
            }
            let e = step.apply(cx).unwrap_err();
            assert!(e.to_string().contains("does not hold one word"), "{e}");
        });
    }
}
