//! What is to be done, with every argument checked.

use std::path::PathBuf;

use crate::bundle;
use crate::containerd::Namespace;
use crate::containerd::import::{Layers, Unpack};
use crate::host::preflight::Ignored;
use crate::mode::bundle::VerifyRequest;
use crate::mode::edge::{Factory, Scope};
use crate::mode::{BundleSource, cloud, factory, firstboot, initramfs};

use super::commands::Spec;

pub use crate::mode::bundle::Format;

/// A command, ready to run.
#[derive(Debug)]
pub enum Command {
    /// `help`, `--help`
    Help(Topic),
    /// `version`
    Version(Format),
    /// `completion`
    Completion(Shell),
    /// `bundle ...`
    Bundle(BundleCommand),
    /// `edge ...`, `status`, `preflight`
    Edge(EdgeCommand),
    /// `cloud ...`
    Cloud(CloudCommand),
    /// `image ...`
    Image(ImageCommand),
    /// `supervise`
    Supervise,
    /// `factory seal`
    Seal {
        /// What is asked for.
        request: factory::Request,
        /// Of the record.
        format: Format,
    },
    /// `firstboot`
    FirstBoot(firstboot::Request),
    /// `initramfs ...`
    Initramfs(InitramfsCommand),
    /// `board ...`
    Board(BoardCommand),
}

impl Command {
    /// Whether it may leave something half done if it is cut short. All others can simply be killed.
    pub fn changes_something(&self) -> bool {
        match self {
            // A supervisor has its own way with signals.
            Command::Help(_)
            | Command::Version(_)
            | Command::Completion(_)
            | Command::Board(_)
            | Command::Supervise => false,
            Command::Bundle(command) => matches!(command, BundleCommand::Create { .. } | BundleCommand::Split { .. }),
            Command::Edge(command) => matches!(command, EdgeCommand::Install { .. } | EdgeCommand::Uninstall { .. }),
            Command::Cloud(command) => !matches!(command, CloudCommand::Plan { .. } | CloudCommand::Status { .. }),
            Command::Image(command) => matches!(command, ImageCommand::Import { .. }),
            Command::Seal { .. } | Command::FirstBoot(_) => true,
            Command::Initramfs(_) => true,
        }
    }
}

/// `board ...`
#[derive(Debug)]
pub struct BoardCommand {
    /// What to do.
    pub what: BoardWork,
    /// Directory with further profiles.
    pub profiles: Option<PathBuf>,
    /// Of the output.
    pub format: Format,
}

/// What a [`BoardCommand`] does.
#[derive(Debug)]
pub enum BoardWork {
    /// `board detect`, of the machine below a directory.
    Detect(PathBuf),
    /// `board list`
    List,
    /// `board show`
    Show(String),
    /// `board check`
    Check(PathBuf),
}

/// `image ...`
#[derive(Debug)]
pub enum ImageCommand {
    /// `image import`
    Import {
        /// What to import.
        files: Vec<PathBuf>,
        /// Where to.
        store: ImageStore,
        /// Who unpacks.
        unpack: Unpack,
        /// What becomes of the layers' blobs.
        layers: Layers,
        /// Of the output.
        format: Format,
    },
    /// `image list`
    List {
        /// Of what.
        store: ImageStore,
        /// Of the output.
        format: Format,
    },
}

/// `initramfs ...`
#[derive(Debug)]
pub enum InitramfsCommand {
    /// `initramfs create`
    Create(Box<initramfs::Request>),
    /// `initramfs run`
    Run,
}

/// A containerd and one of its namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageStore {
    /// Absolute path of its socket.
    pub socket: PathBuf,
    /// The namespace.
    pub namespace: Namespace,
}

/// `edge ...`, `status`, `preflight`
#[derive(Debug)]
pub enum EdgeCommand {
    /// `edge install`, `edge stage`, `edge join`
    Install {
        /// On what.
        target: Box<Target>,
        /// How far.
        scope: Scope,
    },
    /// The same with `--dry-run`.
    Plan {
        /// On what.
        target: Box<Target>,
        /// How far.
        scope: Scope,
        /// Of the output.
        format: Format,
    },
    /// `preflight`
    Preflight {
        /// Of what.
        target: Box<Target>,
        /// Of the output.
        format: Format,
    },
    /// `status`
    Status {
        /// The system.
        root: PathBuf,
        /// Of the output.
        format: Format,
    },
    /// `edge uninstall`
    Uninstall {
        /// The system.
        root: PathBuf,
    },
}

/// `cloud ...`
#[derive(Debug)]
pub enum CloudCommand {
    /// `cloud install`, `cloud init`, `cloud worker install`
    Install {
        /// On what.
        target: Box<Target>,
        /// What it becomes.
        scope: cloud::Scope,
    },
    /// The same with `--dry-run`.
    Plan {
        /// On what.
        target: Box<Target>,
        /// What it becomes.
        scope: cloud::Scope,
        /// Of the output.
        format: Format,
    },
    /// `cloud token`
    Token {
        /// The system.
        root: PathBuf,
        /// Where the join file goes.
        to: Option<PathBuf>,
    },
    /// `cloud status`
    Status {
        /// The system.
        root: PathBuf,
        /// Of the output.
        format: Format,
    },
    /// `cloud uninstall`
    Uninstall {
        /// The system.
        root: PathBuf,
        /// What becomes of k3s's data.
        data: cloud::Data,
    },
}

/// What an installation works on and with.
#[derive(Debug)]
pub struct Target {
    /// The system: `/`, or where another one is mounted.
    pub root: PathBuf,
    /// The bundle, if there is one.
    pub bundle: Option<BundleSource>,
    /// Checks whose failure is only a warning.
    pub ignored: Ignored,
    /// For a system that does not run.
    pub factory: Factory,
}

/// `bundle ...`
#[derive(Debug)]
pub enum BundleCommand {
    /// `bundle create`
    Create {
        /// What to make it of.
        request: Box<bundle::Request>,
        /// Where it goes; `-` is the standard output.
        to: PathBuf,
    },
    /// `bundle split`
    Split {
        /// The bundle.
        file: PathBuf,
        /// Name of the volumes, without their numbers.
        to: PathBuf,
        /// Bytes of a volume.
        size: u64,
    },
    /// `bundle show`
    Show {
        /// `-` is the standard input.
        file: PathBuf,
        /// Of the output.
        format: Format,
    },
    /// `bundle verify`
    Verify {
        /// What to verify, and against what.
        request: VerifyRequest,
        /// Of the output.
        format: Format,
    },
    /// `bundle show --statement`
    Statement {
        /// `-` is the standard input.
        file: PathBuf,
    },
}

/// What help is about.
#[derive(Debug, Clone)]
pub enum Topic {
    /// The list of commands.
    All,
    /// The commands that begin with this word.
    Group(String),
    /// One command.
    One(&'static Spec),
    /// The table of exit codes.
    ExitCodes,
}

/// A shell that can complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shell {
    /// GNU bash 4 or later.
    Bash,
    /// zsh.
    Zsh,
    /// fish.
    Fish,
}
