//! Puts an edge node's steps together. Pure assembly: nothing is looked at or done here.

use std::path::PathBuf;
use std::rc::Rc;

use crate::board::Class;
use crate::bundle::{Bundle, Component};
use crate::config::{EdgeConfig, Identity, load_token, render_file};
use crate::containerd::config as runtime;
use crate::containerd::private::Release;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::gather::{Gather, Grow};
use crate::host::preflight::Ignored;
use crate::ids::{Arch, Token};
use crate::oci::{Descriptor, Image};
use crate::plan::Step;
use crate::report::Report;
use crate::root::Root;
use crate::service::{Manager, manager_of};
use crate::steps::{
    Components, Edgecore, EdgecoreProgram, Files, FirstBoot, HostFiles, Images, JoinCloud, KeptBundle, KeptFrom,
    KernelArguments, Line, NodeReady, OwnProgram, PodRuns, Preload, RuntimeStart, Settings, System, Way, WayBack,
};
use crate::{cni, host};

use super::board::{self, Need, Underneath};
use super::{ImagesWhen, Scope, is_managed, method};
use crate::mode::record::Recorded;

/// Components that are laid down beside a containerd of someone else.
const BESIDE_EXISTING: [&str; 2] = ["keadm", "edgecore"];

/// Everything that the steps are made from.
#[derive(Debug)]
pub(super) struct Assembly {
    /// Shared with the steps.
    pub(super) config: Rc<EdgeConfig>,
    pub(super) scope: Scope,
    pub(super) identity: Option<Rc<Identity>>,
    pub(super) token: Option<Result<Token>>,
    pub(super) ignored: Option<Ignored>,
    pub(super) bundle: Option<Facts>,
    /// Directory of the containerd that fills the store of a system that does not run.
    pub(super) line_containerd: Option<PathBuf>,
    /// The edgelay that a system gets which does not run; none: this one, where it runs there.
    pub(super) edgelay: Option<PathBuf>,
    /// When the images get into a system that does not run.
    pub(super) images: ImagesWhen,
    /// Where the bundle's bytes come from that are left in a system for its first boot.
    pub(super) keep: Option<KeptFrom>,
    manager: Manager,
    is_live: bool,
    pub(super) way: Way,
    restrict_oom_score_adj: bool,
    pub(super) board: Option<Box<Underneath>>,
    system: System,
}

/// What the checks want to know of the bundle.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) architecture: Arch,
    pub(super) file: u64,
    pub(super) built: u64,
    pub(super) components: u64,
    pub(super) store: u64,
    /// Its components by name.
    pub(super) programs: Vec<(String, Descriptor)>,
}

impl Assembly {
    pub(super) fn new(
        config: Box<EdgeConfig>,
        bundle: Option<&Bundle>,
        scope: Scope,
        root: &Root,
        need: Need,
    ) -> Result<Box<Self>> {
        let identity = match scope {
            Scope::Stage => None,
            Scope::Join | Scope::Install => Some(Rc::new(config.identity()?)),
        };
        let facts = bundle.map(|bundle| {
            let (manifest, sizes) = (bundle.manifest(), bundle.sizes());
            Facts {
                architecture: manifest.architecture,
                file: sizes.file,
                built: manifest.built.seconds(),
                components: sizes.components,
                store: sizes.blobs.saturating_add(sizes.unpacked),
                programs: bundle.components().iter().map(|c| (c.name.clone(), c.blob())).gather(),
            }
        });
        let manager = manager_of(root)?;
        let way = method::choose(config.join_method, manager, root, bundle)?;
        Ok(Box::new(Assembly {
            board: board::look(&config, root, need)?,
            system: board::system(root),
            config: Rc::from(config),
            way,
            scope,
            identity,
            token: None,
            ignored: None,
            bundle: facts,
            line_containerd: None,
            edgelay: None,
            images: ImagesWhen::Now,
            keep: None,
            manager,
            is_live: root.is_live(),
            restrict_oom_score_adj: root.is_live() && host::oom_score_adj_restricted(root)?,
        }))
    }

    /// What was set by nobody is as the board has it. Not for what is installed already: its images are where they are.
    pub(super) fn take_board_storage(&mut self) {
        let Some(board) = &self.board else { return };
        let root = board.containerd_root();
        // No step has it yet.
        let Some(config) = Rc::get_mut(&mut self.config) else { return };
        if config.containerd_root.is_none() && is_managed(config) && root != runtime::ROOT.to_string() {
            config.containerd_root = Some(root.to_owned());
        }
    }

    /// Reads the token, for the checks; from now on no report shows it.
    pub(super) fn load_token(&mut self, report: &Report) {
        self.token = self.config.token_file.as_deref().filter(|_| self.scope != Scope::Stage).map(load_token);
        if let Some(Ok(token)) = &self.token {
            report.hide(token);
        }
    }

    /// The word for the run.
    pub(super) fn verb(&self) -> &'static str {
        match self.scope {
            Scope::Stage => "stage",
            Scope::Join => "join",
            Scope::Install => "install",
        }
    }

    /// What is there when all went well.
    pub(super) fn outcome(&self) -> String {
        match &self.identity {
            Some(identity) => format!("node '{}' is joined to {} and works", identity.node, identity.websocket),
            None if !self.is_live => {
                "the system is staged: after 'edgelay factory seal' it becomes a node at its first boot".to_owned()
            }
            None => "this host is staged: 'edgelay edge join' makes it a node".to_owned(),
        }
    }

    /// How much memory there is; what is not known has enough.
    fn class(&self) -> Class {
        self.board.as_ref().map_or(Class::Large, |board| board.class)
    }

    /// The steps of the scope, in order.
    pub(super) fn steps(&self, bundle: Option<&Bundle>) -> Result<Vec<Box<dyn Step>>> {
        let bundle = bundle.ok_or_else(|| {
            Error::new(Kind::Usage, "no bundle is given and nothing was staged here")
                .hint("give one with --bundle FILE; a join can also go on from 'edgelay edge stage'")
        })?;
        let mut steps: Vec<Box<dyn Step>> = vec![Box::new(Recorded::new(bundle, render_file(&*self.config))?)];
        if self.scope != Scope::Join {
            self.stage(bundle, &mut steps)?;
        }
        // Last of what needs no identity: a reboot that it asks for finds everything else in place.
        let arguments = self.board.as_ref().and_then(|board| board.arguments());
        steps.push(Box::new(KernelArguments::new(arguments, self.system, self.config.board.reboot)));
        if let Some(identity) = &self.identity {
            let version = bundle.manifest().kubeedge.to_string();
            let (way, config) = (self.way.clone(), self.config.clone());
            let address = self.config.containerd_address.clone();
            steps.push(Box::new(PodRuns::new(address.clone(), sandbox_image(bundle)?, self.pods(bundle))));
            let package = package(bundle);
            let program = bundle.component("edgecore").map(|c| c.digest);
            let program = program.or(package.as_ref().map(|image| image.config.digest));
            let bring = (version, package.clone());
            steps.push(Box::new(JoinCloud::new(self.manager, config, identity.clone(), way, bring)));
            let package = package.map(|image| EdgecoreProgram::new(image, address.clone(), self.config.containerd));
            steps.add_all(package.clone().map(|step| Box::new(step) as Box<dyn Step>));
            steps.push(Box::new(Settings::new(self.manager, &self.config, self.class())));
            let program = program.map(|digest| digest.to_string()).unwrap_or_default();
            let back = WayBack::new(self.manager, self.config.join_timeout, package);
            steps.push(Box::new(Edgecore::new(self.manager, address, program, back.clone())));
            steps.push(Box::new(NodeReady::new(self.manager, identity.clone(), self.config.edgemesh, back)));
        }
        Ok(steps)
    }

    fn stage(&self, bundle: &Bundle, steps: &mut Vec<Box<dyn Step>>) -> Result<()> {
        let managed = is_managed(&self.config);
        if self.images == ImagesWhen::FirstBoot {
            let (identity, file) = (bundle.identity(), bundle.sizes().file);
            let arch = bundle.manifest().architecture;
            steps.push(Box::new(KeptBundle::new(self.keep.clone(), identity, arch, file)));
        }
        let wanted = |c: &&Component| managed || BESIDE_EXISTING.contains(&c.name.as_str());
        steps.push(Box::new(Components::new(bundle.components().iter().filter(wanted).cloned().gather())));
        // A system that does not run gets the one for its own processor, with its first-boot service.
        if self.manager == Manager::Supervise && self.is_live {
            steps.push(Box::new(OwnProgram));
        }
        let modules = self.board.as_ref().map(|board| board.modules()).unwrap_or_default();
        steps.push(Box::new(HostFiles::new(modules)));
        if managed {
            self.runtime(bundle, steps)?;
        }
        if self.is_live {
            let address = self.config.containerd_address.clone();
            let images = Images::new(bundle.images().to_vec(), address);
            steps.push(Box::new(if managed { images.stored_in(self.config.containerd_root()) } else { images }));
        } else {
            if self.images == ImagesWhen::Now {
                steps.push(Box::new(Preload::new(
                    bundle.images().to_vec(),
                    self.line(bundle)?,
                    self.config.containerd_root(),
                )));
            }
            if let Some(program) = self.program(bundle) {
                steps.push(Box::new(FirstBoot::new(program, bundle.manifest().architecture, self.manager)));
            }
        }
        Ok(())
    }

    /// The edgelay for the target: this very one for the same processor.
    fn program(&self, bundle: &Bundle) -> Option<PathBuf> {
        let same = Arch::of_this_binary() == Some(bundle.manifest().architecture);
        self.edgelay.clone().or_else(|| same.then(|| PathBuf::from("/proc/self/exe")))
    }

    /// Which containerd may fill the store of a system that does not run.
    fn line(&self, bundle: &Bundle) -> Result<Line> {
        if !is_managed(&self.config) {
            let what = "the images go into a containerd of the target's own, which does not run";
            return Err(Error::new(Kind::Config, what).hint("leave them to the first boot: --images first-boot"));
        }
        let own = bundle.component("containerd");
        let runs_here = Arch::of_this_binary() == Some(bundle.manifest().architecture);
        Ok(Line {
            given: self.line_containerd.clone(),
            own: own.filter(|_| runs_here).map(|c| c.destination().as_str().to_owned()),
            newest: own.and_then(|c| Release::parse(c.version.as_deref()?)),
        })
    }

    fn runtime(&self, bundle: &Bundle, steps: &mut Vec<Box<dyn Step>>) -> Result<()> {
        let place = |name: &str| {
            let found = bundle.component(name).map(|c| c.destination().to_string());
            found.ok_or_else(|| {
                Error::new(Kind::Bundle, format_args!("bundle '{}' has no component '{name}'", bundle.name()))
            })
        };
        let service = runtime::service(&place("containerd")?);
        let config = runtime::render(&runtime::Settings {
            sandbox_image: &sandbox_image(bundle)?,
            address: &self.config.containerd_address,
            root: self.config.containerd_root(),
            runc: &place("runc")?,
            restrict_oom_score_adj: self.restrict_oom_score_adj,
            memory: self.class(),
        })?;
        let files = vec![
            (runtime::PATH, 0o644, config.into_bytes()),
            (cni::CONFLIST, 0o644, cni::conflist(self.config.pod_cidr).into_bytes()),
        ];
        let files =
            Files::new("runtime-files", "containerd's config, conflist and unit", files, (self.manager, &service));
        let version = self.runtime_version(bundle, &files);
        let address = self.config.containerd_address.clone();
        let start = RuntimeStart::new(self.manager, service, address, version, self.config.containerd_root());
        steps.push(Box::new(files));
        if self.is_live {
            steps.push(Box::new(start));
        }
        Ok(())
    }

    /// Changes with all that runs pods.
    fn pods(&self, bundle: &Bundle) -> String {
        let programs = ["containerd", "containerd-shim-runc-v2", "runc", "bridge", "host-local", "portmap"];
        let digests = programs.iter().filter_map(|name| bundle.component(name)).map(|c| c.digest.to_string());
        let own = [self.config.containerd.as_str().to_owned(), self.config.pod_cidr.to_string()];
        Digest::of(digests.chain(own).gather::<Vec<_>>().join(" ").as_bytes()).to_string()
    }

    /// Changes whenever containerd must be started again.
    fn runtime_version(&self, bundle: &Bundle, files: &Files) -> String {
        let programs = ["containerd", "containerd-shim-runc-v2", "runc"];
        let digests = programs.iter().filter_map(|name| bundle.component(name)).map(|c| c.digest.to_string());
        let all: Vec<String> = digests.chain([files.version()]).gather();
        Digest::of(all.join(" ").as_bytes()).to_string()
    }
}

/// The image that holds EdgeCore, unless the bundle brings it as a component.
fn package(bundle: &Bundle) -> Option<Image> {
    if bundle.component("edgecore").is_some() {
        return None;
    }
    let is = |image: &&Image| image.names.iter().any(|name| name.repository().ends_with("/installation-package"));
    bundle.images().iter().find(is).cloned()
}

/// Full name of the pause image that the bundle brings.
fn sandbox_image(bundle: &Bundle) -> Result<String> {
    let names = bundle.images().iter().flat_map(|image| &image.names);
    let pause = names.into_iter().find(|name| name.repository().rsplit('/').next() == Some("pause"));
    pause.map(ToString::to_string).ok_or_else(|| {
        Error::new(Kind::Bundle, format_args!("bundle '{}' has no pause image", bundle.name()))
            .hint("make the bundle anew with 'edgelay bundle create', which checks that nothing is missing")
    })
}
