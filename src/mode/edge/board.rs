//! The board underneath, as far as an edge installation cares: its profile, its memory, its kernel's arguments.

use std::path::Path;

use crate::board::{Class, Facts, Format, Identity, Iptables, Profile, Reason, Set, identity};
use crate::config::EdgeConfig;
use crate::containerd::config as runtime;
use crate::error::Result;
use crate::gather::Gather;
use crate::host;
use crate::host::preflight::Board;
use crate::ids::RelPath;
use crate::root::{Root, Type};
use crate::steps::{System, WantedArguments};

/// A board that is known.
#[derive(Debug)]
pub(super) struct Underneath {
    profile: Profile,
    reason: Reason,
    model: Option<String>,
    pub(super) class: Class,
    identity: Identity,
    arguments: Option<WantedArguments>,
    will_edit: bool,
    is_live: bool,
}

/// Whether a profile that is gone is an error: when installing it is; what is installed can be looked at without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Exact,
    Any,
}

/// The board of the system below `root`: of a running one it is found, of a mounted one only the configuration knows.
pub(super) fn look(config: &EdgeConfig, root: &Root, need: Need) -> Result<Option<Box<Underneath>>> {
    let id = config.board.profile.as_deref();
    if !root.is_live() && id.is_none() {
        return Ok(None);
    }
    let architecture = host::architecture().unwrap_or_default();
    let mut facts = Facts::load(root, &architecture);
    if !root.is_live() {
        // What the target will have is not known here; its first boot measures.
        facts.memory = u64::MAX;
    }
    let exact = Set::load(config.board.profiles.as_deref()).and_then(|set| set.choose(id, &facts));
    let (profile, reason) = match exact {
        Ok(found) => found,
        // A processor that no profile is for is told by the check of the architecture.
        Err(_) if id.is_none() && config.board.profiles.is_none() => return Ok(None),
        Err(_) if need == Need::Any => return Ok(None),
        Err(e) => return Err(e),
    };
    let arguments = wanted_arguments(&profile, root)?;
    Ok(Some(Box::new(Underneath {
        class: profile.class(facts.memory),
        identity: if root.is_live() { identity::find(root, &profile) } else { Identity::default() },
        model: facts.model,
        arguments,
        will_edit: config.board.kernel_arguments,
        is_live: root.is_live(),
        profile,
        reason,
    })))
}

/// GRUB takes our file in if it is GRUB that boots, and the program is there that makes its own file.
const GRUB: RelPath<'static> = RelPath::literal("etc/default/grub");

fn wanted_arguments(profile: &Profile, root: &Root) -> Result<Option<WantedArguments>> {
    if profile.kernel.memory_cgroup.is_empty() {
        return Ok(None);
    }
    for file in &profile.kernel.arguments_in {
        let Some(path) = file.path() else { continue };
        let there = match file.format {
            Format::Grub => root.stat(GRUB)?.is_some() && crate::exec::find(root, "update-grub").is_some(),
            _ => root.stat(path)?.is_some_and(|meta| meta.kind == Type::File),
        };
        if there {
            let arguments = profile.kernel.memory_cgroup.clone();
            return Ok(Some(WantedArguments { path: path.as_str().to_owned(), format: file.format, arguments }));
        }
    }
    Ok(None)
}

/// Whether the system below `root` runs.
pub(super) fn system(root: &Root) -> System {
    if root.is_live() { System::Running } else { System::Mounted }
}

/// What the node would forget itself without, besides containerd's data.
const KEPT: [RelPath<'static>; 6] = [
    RelPath::literal("etc/kubeedge"),
    runtime::PATH,
    crate::cni::CONFLIST,
    RelPath::literal("var/lib/kubeedge"),
    RelPath::literal("var/lib/kubelet"),
    crate::plan::Journal::PATH,
];

/// Where programs are laid down.
const PROGRAMS: RelPath<'static> = RelPath::literal("usr/local/bin");

impl Underneath {
    /// The arguments that are to be edited, if that is allowed.
    pub(super) fn arguments(&self) -> Option<WantedArguments> {
        self.arguments.clone().filter(|_| self.will_edit)
    }

    /// For the checks; whether programs are to be laid down, too.
    pub(super) fn facts(&self, store: RelPath<'_>, programs: bool) -> Board {
        let Underneath { profile, reason, class, .. } = self;
        let model = self.model.as_deref().map(|model| format!(" ({model})")).unwrap_or_default();
        // In the image of a root that is read-only they are as lasting as the image.
        let programs = (self.is_live && programs).then_some(PROGRAMS);
        let kept = KEPT.into_iter().chain([store]).chain(programs).map(|path| path.to_string());
        Board {
            seen: format!("{}{model}: {reason}; memory class {class}", profile.id),
            identity: match &self.identity.found {
                Some(found) => Ok(format!("{} {}", found.source, found.value)),
                None => Err(self.identity.problem()),
            },
            rtc: profile.rtc,
            memory_cgroup: profile.kernel.memory_cgroup.join(" "),
            arguments_in: self.arguments.as_ref().map(|wanted| format!("/{}", wanted.path)),
            will_edit: self.will_edit,
            prefix: profile.storage.read_only_root.then(|| profile.storage.prefix.clone()),
            iptables: (profile.iptables != Iptables::Any).then(|| profile.iptables.word()),
            fleeting: kept.filter(|path| !profile.storage.keeps(path)).gather(),
        }
    }

    /// Where containerd's data belongs on it.
    pub(super) fn containerd_root(&self) -> &str {
        &self.profile.storage.containerd_root
    }

    /// Kernel modules that its profile names.
    pub(super) fn modules(&self) -> Vec<String> {
        self.profile.kernel.modules.clone()
    }
}

/// A directory of profiles may have been on a stick that is gone.
pub(super) fn without_lost_profiles(config: &mut EdgeConfig) {
    if config.board.profiles.as_deref().is_some_and(|dir: &Path| !dir.is_dir()) {
        config.board.profiles = None;
    }
}
