//! Joins the cloud: `keadm join`, with what it silently needs, or natively; leftovers cleared, certificates renewed.

mod native;

use std::path::PathBuf;
use std::rc::Rc;

use crate::clock::rfc3339;
use crate::config::{EdgeConfig, Identity, JoinMethod, load_token};
use crate::containerd::health;
use crate::error::{Error, Kind, Result};
use crate::exec::{Cmd, Output};
use crate::gather::Grow;
use crate::ids::{RelPath, Token};
use crate::kubeedge::{
    BOOTSTRAP, CERTIFICATE, EDGECORE, EDGECORE_YAML, Join, MAX_CERTIFICATE, MAX_YAML, PLUGINS, certificates_there,
    explain, is_taken, join_command, lookup, not_after, refusal, service,
};
use crate::note;
use crate::oci::Image;
use crate::plan::{Cx, Status, Step};
use crate::report::printable;
use crate::service::{Manager, Services, boot_link, definition};

use super::{edgecore_program, leftovers};

/// Directories that keadm and EdgeCore make, with everything below.
pub(super) const MADE: [RelPath<'static>; 7] = [
    RelPath::literal("etc/kubeedge"),
    RelPath::literal("var/lib/kubeedge"),
    RelPath::literal("var/log/kubeedge"),
    PLUGINS,
    RelPath::literal("var/lib/kubelet"),
    RelPath::literal("var/log/pods"),
    RelPath::literal("var/log/containers"),
];
/// Stands in for `sudo` where there is none; not below /run, which may be mounted noexec.
const SUDO: RelPath<'static> = RelPath::literal("var/lib/edgelay/shim/sudo");
const SUDO_TEXT: &str =
    "#!/bin/sh\n# Written by edgelay: keadm calls sudo, also where it is root already.\nexec \"$@\"\n";

/// Private key of the node's certificate.
const KEY: RelPath<'static> = RelPath::literal("etc/kubeedge/certs/server.key");
/// The node had its certificates once: what is lacking since is not a failed attempt.
const JOINED: &str = "joined";

/// The name under which EdgeCore got certificates in an attempt that has not ended well: it may have registered the node.
const CERTIFIED: &str = "join-certified";

/// The node's name in edgecore.yaml.
const HOSTNAME: &str = "modules.edged.hostnameOverride";

/// The step.
#[derive(Debug)]
pub struct JoinCloud {
    manager: Manager,
    config: Rc<EdgeConfig>,
    identity: Rc<Identity>,
    version: String,
    way: Way,
    /// The image with EdgeCore, where the bundle does not bring it as a component.
    package: Option<Image>,
}

/// Who joins, and why so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// keadm; else we do.
    pub with_keadm: bool,
    /// The reason, for the plan.
    pub why: String,
}

impl JoinCloud {
    /// Joins as `identity` in this `way`, EdgeCore running under `manager`; of the bundle KubeEdge's version (with its
    /// `v`) and the image that holds EdgeCore.
    pub fn new(
        manager: Manager,
        config: Rc<EdgeConfig>,
        identity: Rc<Identity>,
        way: Way,
        (version, package): (String, Option<Image>),
    ) -> Self {
        JoinCloud { manager, config, identity, version, way, package }
    }

    /// When the node's certificate ended, if it has.
    fn ended(cx: &Cx<'_>) -> Result<Option<u64>> {
        let text = cx.root.text_or_empty(CERTIFICATE, MAX_CERTIFICATE)?;
        Ok(not_after(&text).filter(|end| *end <= cx.clock.unix()))
    }

    /// Whether only certificates are lacking: the node has joined as this one, and everything else is in its place.
    fn lacks_only_certificates(&self, cx: &Cx<'_>) -> Result<bool> {
        let joined = cx.journal.fact(JOINED).is_some();
        Ok(joined && cx.root.stat(EDGECORE)?.is_some() && self.belongs(cx)? == Status::Done)
    }

    /// A new token for the node that this already is: nothing else is touched.
    fn certify(&self, token: &Token, cx: &mut Cx<'_>) -> Result<()> {
        cx.report.info("getting new certificates with the token; the node stays as it is");
        cx.services(self.manager).stop(&service())?;
        // EdgeCore would go on with one that has ended.
        for path in [CERTIFICATE, KEY] {
            cx.root.remove(path)?;
        }
        native::certify(self, token, cx)
    }

    /// What the node's configuration says about who it is and where it belongs, against what is wanted.
    fn belongs(&self, cx: &Cx<'_>) -> Result<Status> {
        let Some(yaml) = cx.root.read_text(EDGECORE_YAML, MAX_YAML)? else {
            return Ok(Status::todo("not joined: no edgecore.yaml"));
        };
        let websocket = self.identity.websocket.to_string();
        let wanted =
            [(HOSTNAME, self.identity.node.as_str()), ("modules.edgeHub.websocket.server", websocket.as_str())];
        for (path, want) in wanted {
            let found = lookup(&yaml, path).unwrap_or_default();
            if found != want {
                return Ok(Status::Todo(format!("{path} is '{found}', wanted '{want}'")));
            }
        }
        Ok(Status::Done)
    }

    /// Leftovers of an attempt of ours are cleared; a join that stands, or files of someone else, are refused.
    fn clear_the_way(&self, cx: &mut Cx<'_>) -> Result<()> {
        let [etc, ..] = MADE;
        if cx.root.list(etc)?.is_none_or(|names| names.is_empty()) {
            return Ok(());
        }
        if !cx.journal.has_made(etc.as_str()) {
            return Err(Error::new(Kind::Cluster, format_args!("'{etc}' holds files that edgelay did not make")).hint(
                format_args!("move '{etc}' away if the KubeEdge installation it belongs to is no longer wanted"),
            ));
        }
        // A configuration that a cut left empty is no join that stands.
        let yaml = cx.root.text_or_empty(EDGECORE_YAML, MAX_YAML)?;
        if certificates_there(cx.root)?
            && lookup(&yaml, HOSTNAME).is_some()
            && let Status::Todo(why) = self.belongs(cx)?
        {
            return Err(Error::new(Kind::Cluster, format_args!("this node has joined already: {why}"))
                .hint("run 'edgelay edge uninstall' first to join it anew"));
        }
        cx.report.info("clearing what an earlier attempt to join left");
        if cx.root.lstat(CERTIFICATE)?.is_some() {
            cx.journal.remember(CERTIFIED, self.identity.node.as_str())?;
        }
        leftovers::clear_join(&self.config.containerd_address, cx)
    }

    fn claim(&self, cx: &mut Cx<'_>) -> Result<()> {
        for dir in &MADE {
            cx.will_make(*dir)?;
        }
        cx.claim(EDGECORE)?;
        let (path, _, _) = definition(self.manager, &service());
        if let Ok(path) = RelPath::parse(&path) {
            cx.claim(path)?;
        }
        if let Some((path, _)) = boot_link(self.manager, &service())
            && let Ok(path) = RelPath::parse(&path)
        {
            cx.claim_link(path)?;
        }
        Ok(())
    }

    /// keadm runs to its end, or until EdgeCore has said why no waiting will help.
    fn run_keadm(&self, cmd: &Cmd, cx: &mut Cx<'_>) -> (Result<Output>, Option<Error>) {
        let (root, clock, report, begun) = (cx.root, cx.clock, cx.report, cx.clock.unix());
        let (journal, node) = (&mut *cx.journal, self.identity.node.as_str());
        let mut refused = None;
        let ran = cx.exec.run_watched(cmd, &mut |exec| {
            // A power cut may take the file, which nobody syncs, and leave the node's object in the cloud.
            if root.lstat(CERTIFICATE).is_ok_and(|meta| meta.is_some())
                && let Err(e) = journal.remember(CERTIFIED, node)
            {
                note::debug(format_args!("{e}, ignoring: the run goes on, and will say so itself"));
            }
            let said = Services::new(self.manager, root, exec, clock).words_since(&service(), begun);
            refused = refusal(&report.mask(&said));
            refused.is_some()
        });
        (ran, refused)
    }

    /// keadm takes no node that the cloud knows; one that it knows from an attempt of this very node is ours.
    fn take_over(&self, e: Error, token: &Token, cx: &mut Cx<'_>) -> Result<()> {
        let ours = cx.journal.fact(CERTIFIED) == Some(self.identity.node.as_str());
        if !(ours && is_taken(&e) && self.config.join_method == JoinMethod::Auto) {
            return Err(e);
        }
        cx.report
            .info("the cloud knows this node from an attempt that was cut: joining without keadm, to take it over");
        native::join(self, token, cx)
    }

    fn join(&self, token: &Token, cx: &mut Cx<'_>) -> Result<()> {
        let cgroup_driver = health::cgroup_driver(&self.config.containerd_address)?;
        let join = Join { config: &self.config, identity: &self.identity, version: &self.version, cgroup_driver };
        let mut cmd = join_command(&join, token);
        cmd.path_first.add_all(bridge_sudo(cx)?);
        let (ran, refused) = self.run_keadm(&cmd, cx);
        if let Some(e) = refused {
            // keadm would wait for minutes, and leave the token where it put it.
            native::give_up(self, cx);
            native::forget_token(cx)?;
            return Err(e);
        }
        let output = match ran {
            Ok(output) if output.code == 0 => return Ok(()),
            Ok(output) => output,
            Err(e) if e.kind() == Kind::Interrupted => {
                // As keadm would have done, were it not killed.
                cx.root.remove(BOOTSTRAP)?;
                return Err(e);
            }
            Err(e) => Output { code: -1, stderr: e.to_string(), ..Output::default() },
        };
        let log = cx.services(self.manager).last_words(&service());
        let said = format!("{}\n{}", output.stdout, output.stderr);
        note::debug(format_args!("keadm said: {}", printable(&said)));
        Err(explain(&cx.report.mask(&said), &cx.report.mask(&log)))
    }
}

/// Waits until what keadm and EdgeCore wrote is on the disk: a node that works is to work after a power cut, too.
pub(super) fn sync(cx: &Cx<'_>) -> Result<()> {
    let written = [EDGECORE, EDGECORE_YAML, CERTIFICATE];
    written.iter().filter_map(|path| path.split().0).try_for_each(|dir| cx.root.sync_fs(dir))
}

/// A directory with a `sudo` for keadm, where the host has none.
pub(super) fn bridge_sudo(cx: &mut Cx<'_>) -> Result<Option<PathBuf>> {
    if cx.exec.find("sudo").is_some() {
        return Ok(None);
    }
    cx.put(SUDO, 0o755, SUDO_TEXT.as_bytes())?;
    Ok(SUDO.split().0.map(|dir| cx.root.absolute(dir)))
}

impl Step for JoinCloud {
    fn id(&self) -> &'static str {
        "join"
    }

    fn summary(&self) -> String {
        let (how, why) = (if self.way.with_keadm { "with keadm" } else { "without keadm" }, &self.way.why);
        format!("join {} as {} {how} ({why})", self.identity.websocket, self.identity.node)
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        if !certificates_there(cx.root)? {
            return Ok(Status::todo("not joined: no certificates"));
        }
        if cx.root.stat(EDGECORE)?.is_none() {
            return Ok(Status::todo(format_args!("'{EDGECORE}' is missing")));
        }
        if native::has_bootstrap(cx)? {
            return Ok(Status::todo("the token of a join that was cut lies about"));
        }
        if let Some(end) = Self::ended(cx)? {
            return Ok(Status::todo(format_args!("the node's certificate ended at {}", rfc3339(end))));
        }
        self.belongs(cx)
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let token = load_token(&self.identity.token_file)?;
        cx.report.hide(&token);
        let certified = certificates_there(cx.root)? && Self::ended(cx)?.is_none();
        if self.lacks_only_certificates(cx)? && !certified {
            return self.certify(&token, cx);
        }
        if certified && cx.root.stat(EDGECORE)?.is_some() && self.belongs(cx)? == Status::Done {
            // All of it was done, but for the last touch.
            cx.root.remove(BOOTSTRAP)?;
            sync(cx)?;
            cx.journal.remember(JOINED, "yes")?;
            return cx.journal.forget(CERTIFIED);
        }
        self.clear_the_way(cx)?;
        self.claim(cx)?;
        match self.way.with_keadm {
            true => self.join(&token, cx).or_else(|e| self.take_over(e, &token, cx))?,
            false => native::join(self, &token, cx)?,
        }
        // Neither keadm's copy of EdgeCore nor the certificates are synced by whoever wrote them.
        sync(cx)?;
        if let Some(image) = &self.package {
            edgecore_program::remember(image, cx)?;
        }
        cx.journal.remember(JOINED, "yes")?;
        cx.journal.forget(CERTIFIED)
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        undo(self.manager, &self.config.containerd_address, cx)
    }
}

/// Takes a join back; nothing of the configuration but the socket is needed.
pub(super) fn undo(manager: Manager, address: &std::path::Path, cx: &mut Cx<'_>) -> Result<()> {
    // EdgeCore first, or it would start the pods again; the pods before their volumes are unmounted.
    cx.services(manager).stop(&service())?;
    leftovers::end_kubelets_pods(address, cx);
    leftovers::clear_join(address, cx)?;
    leftovers::forget_kubelet(cx)?;
    cx.services(manager).forget(&service())?;
    cx.journal.forget(JOINED)?;
    cx.journal.forget(CERTIFIED)?;
    let unit = definition(manager, &service()).0;
    let link = boot_link(manager, &service()).map(|l| l.0);
    cx.take_back(|path| {
        [EDGECORE.as_str(), SUDO.as_str()].contains(&path) || unit == path || link.as_deref() == Some(path)
    })?;
    cx.services(manager).reload()
}
