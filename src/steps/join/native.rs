//! Joining without keadm: EdgeCore out of the image, its configuration, the token in a file of its own, its start.

use std::time::Duration;

use super::{JoinCloud, MADE};
use crate::clock::{Probe, wait_for};
use crate::containerd::health;
use crate::error::{Error, Kind, Result};
use crate::ids::{RelPath, Token};
use crate::kubeedge::{
    BOOTSTRAP, DIRS, EDGECORE, EDGECORE_YAML, MAX_YAML, To, certificates_there, lookup, native_config, refusal,
    service, set, without_words,
};
use crate::note;
use crate::plan::Cx;
use crate::service::{boot_link, definition};
use crate::steps::edgecore_program;

/// As long as keadm waits.
const LIMIT: Duration = Duration::from_secs(300);

/// All of it, up to the certificates.
pub(super) fn join(step: &JoinCloud, token: &Token, cx: &mut Cx<'_>) -> Result<()> {
    let cgroup_driver = health::cgroup_driver(&step.config.containerd_address)?;
    put_edgecore(step, cx)?;
    for (dir, mode) in &DIRS {
        cx.root.mkdir(*dir, *mode)?;
        cx.root.chmod(*dir, *mode)?;
    }
    let text = native_config(&step.config, &step.identity, &step.version, cgroup_driver)?;
    cx.root.write(EDGECORE_YAML, 0o600, text.as_bytes())?;
    put_service(step, cx)?;
    certify(step, token, cx)
}

/// New certificates for a node that stays what it is: no file of it is touched but those that hold the old ones.
pub(super) fn certify(step: &JoinCloud, token: &Token, cx: &mut Cx<'_>) -> Result<()> {
    cx.services(step.manager).stop(&service())?;
    cx.root.write(BOOTSTRAP, 0o600, token.reveal().as_bytes())?;
    let begun = cx.clock.unix();
    let started = start(step, cx).and_then(|()| until_certified(step, begun, cx));
    if started.is_err() {
        give_up(step, cx);
    }
    // However this ends.
    forget_token(cx)?;
    started
}

/// Stops EdgeCore: without a token it could only fail, every ten seconds.
pub(super) fn give_up(step: &JoinCloud, cx: &mut Cx<'_>) {
    if let Err(e) = cx.services(step.manager).stop(&service()) {
        note::debug(format_args!("{e}, ignoring: the first error counts"));
    }
}

/// A token that lies about is a secret that leaks.
pub(super) fn forget_token(cx: &mut Cx<'_>) -> Result<()> {
    cx.root.remove(BOOTSTRAP)?;
    clear_token(cx)
}

/// EdgeCore writes its configuration back with the token in it, if it thinks that it is of another version.
fn clear_token(cx: &mut Cx<'_>) -> Result<()> {
    const TOKEN: &str = "modules.edgeHub.token";
    let yaml = cx.root.text_or_empty(EDGECORE_YAML, MAX_YAML)?;
    if lookup(&yaml, TOKEN).is_some_and(|token| !token.is_empty()) {
        let text = set(&yaml, TOKEN, &To::Scalar("\"\"".to_owned()));
        cx.root.write(EDGECORE_YAML, 0o600, text.as_bytes())?;
    }
    Ok(())
}

fn start(step: &JoinCloud, cx: &mut Cx<'_>) -> Result<()> {
    let mut services = cx.services(step.manager);
    // Words of an earlier attempt are no news of this one.
    services.forget_words(&service())?;
    services.reload()?;
    services.restart(&service())
}

/// Waits for the three files; what EdgeCore says of the token or of the cloud's certificate ends it early.
fn until_certified(step: &JoinCloud, begun: u64, cx: &mut Cx<'_>) -> Result<()> {
    let clock = cx.clock;
    let limit = step.config.join_timeout.min(LIMIT);
    let waited = wait_for(clock, "EdgeCore's certificates", limit, || {
        if certificates_there(cx.root)? {
            return Ok(Probe::Ready);
        }
        let said = cx.services(step.manager).words_since(&service(), begun);
        let said = cx.report.mask(&said);
        match refusal(&said) {
            Some(e) => Err(e),
            None => Ok(Probe::NotYet(without_words(&said))),
        }
    });
    waited.map_err(|e| match e.kind() {
        Kind::Runtime => Error::new(Kind::Cluster, e.to_string())
            .hint("see that CloudCore runs and signs; EdgeCore's words are in the log of the service 'edgecore'"),
        _ => e,
    })
}

fn put_service(step: &JoinCloud, cx: &mut Cx<'_>) -> Result<()> {
    let (path, mode, text) = definition(step.manager, &service());
    if let Ok(path) = RelPath::parse(&path) {
        cx.put(path, mode, text.as_bytes())?;
    }
    if let Some((path, target)) = boot_link(step.manager, &service()) {
        cx.put_link(&path, &target)?;
    }
    Ok(())
}

/// EdgeCore is a component of the bundle and lies there, or comes out of the installation-package image.
fn put_edgecore(step: &JoinCloud, cx: &mut Cx<'_>) -> Result<()> {
    let Some(image) = &step.package else {
        if cx.root.stat(EDGECORE)?.is_some() {
            return Ok(());
        }
        return Err(Error::new(Kind::Bundle, "the bundle has neither EdgeCore nor the installation-package image")
            .hint("make the bundle anew with 'edgelay bundle create'"));
    };
    edgecore_program::extract(image, &step.config.containerd_address, cx)
}

/// Whether what a cut join left is only the token's file: the certificates are there.
pub(super) fn has_bootstrap(cx: &Cx<'_>) -> Result<bool> {
    debug_assert_eq!(MADE.first().map(RelPath::as_str), BOOTSTRAP.split().0.as_ref().map(RelPath::as_str));
    cx.root.lstat(BOOTSTRAP).map(|meta| meta.is_some())
}
