//! The flags that are not settings of a configuration; those are in [`crate::config::Table`].

/// One flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flag {
    /// Name without the dashes.
    pub long: &'static str,
    /// One-letter form.
    pub short: Option<char>,
    /// What stands for its value in help; `None` where it takes none.
    pub value: Option<&'static str>,
    /// The only values it takes, where they are few.
    pub choices: &'static [&'static str],
    /// May be given more than once.
    pub many: bool,
    /// One line for help.
    pub help: &'static str,
}

const PLAIN: Flag = Flag { long: "", short: None, value: None, choices: &[], many: false, help: "" };

/// Help instead of work.
pub const HELP: &Flag = &Flag { long: "help", short: Some('h'), help: "this help", ..PLAIN };
/// Debug lines.
pub const VERBOSE: &Flag =
    &Flag { long: "verbose", short: Some('v'), help: "debug lines on stderr (text only)", ..PLAIN };
/// No lines but warnings and errors.
pub const QUIET: &Flag = &Flag { long: "quiet", short: Some('q'), help: "only warnings and errors", ..PLAIN };
/// No colours.
pub const NO_COLOR: &Flag = &Flag { long: "no-color", help: "no colours; so does the variable NO_COLOR", ..PLAIN };
/// How lines on stderr look.
pub const LOG_FORMAT: &Flag = &Flag {
    long: "log-format",
    value: Some("FORMAT"),
    choices: &["text", "json"],
    help: "lines on stderr: text (default) or json",
    ..PLAIN
};
/// How progress is shown.
pub const PROGRESS: &Flag = &Flag {
    long: "progress",
    value: Some("HOW"),
    choices: &["auto", "plain", "none"],
    help: "auto: a bar on a terminal; plain: lines; none",
    ..PLAIN
};

/// Flags of every command.
pub const COMMON: &[&Flag] = &[LOG_FORMAT, PROGRESS, NO_COLOR, QUIET, VERBOSE, HELP];

/// How data on stdout looks.
pub const OUTPUT: &Flag = &Flag {
    long: "output",
    short: Some('o'),
    value: Some("FORMAT"),
    choices: &["text", "json"],
    help: "data on stdout: text (default) or json",
    ..PLAIN
};

/// The configuration file.
pub const CONFIG: &Flag =
    &Flag { long: "config", value: Some("FILE"), help: "settings as a JSON file; - is the standard input", ..PLAIN };
/// Print the settings instead of work.
pub const SHOW_CONFIG: &Flag =
    &Flag { long: "show-config", help: "print every setting with its origin, do nothing", ..PLAIN };
/// The tree to work on.
pub const ROOT: &Flag =
    &Flag { long: "root", value: Some("DIR"), help: "work on the system below DIR [default: /]", ..PLAIN };
/// The same where only a running system is worked on.
pub const ROOT_SHOWN: &Flag =
    &Flag { help: "with --show-config: for the system below DIR, which 'edge stage' prepares", ..*ROOT };
/// The bundle.
pub const BUNDLE: &Flag =
    &Flag { long: "bundle", value: Some("FILE"), help: "the bundle; - is a pipe on the standard input", ..PLAIN };
/// Its signature.
pub const SIGNATURE: &Flag = &Flag {
    long: "signature",
    value: Some("FILE"),
    help: "the bundle's signature, asked for where /etc/edgelay/keys has a key [default: the bundle's name with .minisig]",
    ..PLAIN
};
/// Keys to verify with.
pub const KEY: &Flag = &Flag {
    long: "key",
    value: Some("FILE"),
    many: true,
    help: "a public key of minisign that may have signed [default: those in /etc/edgelay/keys]",
    ..PLAIN
};
/// Keys that bundles on a stick must be signed with.
pub const KEY_IN_IMAGE: &Flag =
    &Flag { help: "public key of minisign; bundles on the stick must be signed by one [default: no key]", ..*KEY };
/// What is signed.
pub const STATEMENT: &Flag =
    &Flag { long: "statement", help: "print only the line that a signature is made over", ..PLAIN };
/// When the images get into a system that does not run.
pub const IMAGES_WHEN: &Flag = &Flag {
    long: "images",
    value: Some("WHEN"),
    choices: &["now", "first-boot"],
    help: "with --root: store the images now (default), or leave the bundle there for the first boot",
    ..PLAIN
};
/// Who fills the store of a system that does not run.
pub const LINE_CONTAINERD: &Flag = &Flag {
    long: "line-containerd",
    value: Some("DIR"),
    help: "with --root: take this machine's containerd from DIR [default: the bundle's, if it runs here, or PATH's]",
    ..PLAIN
};
/// What runs at the first boot of a system that does not run yet.
pub const EDGELAY: &Flag = &Flag {
    long: "edgelay",
    value: Some("FILE"),
    help: "with --root: the edgelay that it gets [default: this one, if it is for the same processor]",
    ..PLAIN
};
/// Look, but do not touch.
pub const DRY_RUN: &Flag = &Flag { long: "dry-run", help: "print the plan and touch nothing", ..PLAIN };
/// Checks whose failure does not stop.
pub const IGNORE_CHECK: &Flag = &Flag {
    long: "ignore-check",
    value: Some("NAME[,NAME]"),
    many: true,
    help: "go on although this preflight check fails",
    ..PLAIN
};
/// Consent to losing data.
pub const YES: &Flag = &Flag { long: "yes", help: "agree to what is destroyed", ..PLAIN };

/// What an edge needs to join, in one file.
pub const JOIN_FILE: &Flag = &Flag {
    long: "join-file",
    value: Some("FILE"),
    help: "what 'edgelay cloud token' wrote: where the cloud is, and a token",
    ..PLAIN
};
/// Where a join file goes.
pub const JOIN_OUTPUT: &Flag = &Flag {
    long: "output",
    short: Some('o'),
    value: Some("FILE"),
    help: "where the join file goes [default: /var/lib/edgelay/join.json]",
    ..PLAIN
};
/// Consent to losing a cluster.
pub const PURGE: &Flag = &Flag { long: "purge", help: "also remove k3s's data: the cluster is gone", ..PLAIN };
/// Consent to removing what is unique.
pub const CLEAN: &Flag = &Flag { long: "clean", help: "remove what is unique and may be removed", ..PLAIN };
/// One try.
pub const ONCE: &Flag = &Flag { long: "once", help: "end after one try instead of trying again and again", ..PLAIN };

/// Where a bundle goes.
pub const BUNDLE_OUTPUT: &Flag = &Flag {
    long: "output",
    short: Some('o'),
    value: Some("FILE"),
    help: "where the bundle goes; - is the standard output",
    ..PLAIN
};
/// What kind of node.
pub const ROLE: &Flag = &Flag {
    long: "role",
    value: Some("ROLE"),
    choices: &["edge", "cloud"],
    help: "kind of node: edge (default) or cloud",
    ..PLAIN
};
/// Which processor.
pub const ARCH: &Flag = &Flag {
    long: "arch",
    value: Some("ARCH"),
    choices: &["amd64", "arm64"],
    help: "its processor: amd64 or arm64 [default: this one's]",
    ..PLAIN
};
/// Which processor it must be.
pub const EXPECT_ARCH: &Flag = &Flag { help: "processor it must be for [default: this one's]", ..*ARCH };
/// Which KubeEdge.
pub const KUBEEDGE_VERSION: &Flag = &Flag {
    long: "kubeedge-version",
    value: Some("VERSION"),
    help: "KubeEdge version [default: the catalogue's]",
    ..PLAIN
};
/// Where programs are.
pub const COMPONENTS: &Flag = &Flag {
    long: "components",
    value: Some("DIR"),
    many: true,
    help: "directory with release archives and programs",
    ..PLAIN
};
/// Where images are.
pub const IMAGES: &Flag = &Flag {
    long: "images",
    value: Some("FILE"),
    many: true,
    help: "image archive, OCI layout, or a directory of them",
    ..PLAIN
};
/// Optional components.
pub const WITH: &Flag = &Flag {
    long: "with",
    value: Some("NAME[,NAME]"),
    many: true,
    help: "optional component to take out of a release archive",
    ..PLAIN
};
/// Build time.
pub const BUILT: &Flag = &Flag {
    long: "built",
    value: Some("TIME"),
    help: "build time, as 2025-06-30T12:00:00Z [default: SOURCE_DATE_EPOCH, or the newest image]",
    ..PLAIN
};

/// Which containerd.
pub const ADDRESS: &Flag = &Flag {
    long: "address",
    value: Some("SOCKET"),
    help: "containerd's socket [default: /run/containerd/containerd.sock]",
    ..PLAIN
};
/// Who unpacks.
pub const UNPACK: &Flag = &Flag {
    long: "unpack",
    value: Some("HOW"),
    choices: &["direct", "daemon", "none"],
    help: "who unpacks: direct (default, where possible), daemon, none",
    ..PLAIN
};
/// Whether blobs of layers are wanted.
pub const KEEP_LAYERS: &Flag =
    &Flag { long: "keep-layers", help: "keep the layers' blobs too, for export and push", ..PLAIN };
/// Which of its namespaces.
pub const NAMESPACE: &Flag = &Flag {
    long: "namespace",
    value: Some("NAME"),
    help: "containerd's namespace [default: k8s.io, which CRI looks at]",
    ..PLAIN
};

/// edgelay for an image's processor.
pub const BINARY: &Flag =
    &Flag { long: "binary", value: Some("FILE"), help: "edgelay for that processor [default: this program]", ..PLAIN };
/// Which kernel an image is for.
pub const KERNEL_MODULES: &Flag = &Flag {
    long: "kernel-modules",
    value: Some("DIR"),
    help: "the kernel's /lib/modules/RELEASE; none for a kernel with all built in",
    ..PLAIN
};
/// Drivers beyond the usual.
pub const MODULE: &Flag = &Flag {
    long: "module",
    value: Some("NAME[,NAME]"),
    many: true,
    help: "a further driver, loaded with what it needs",
    ..PLAIN
};
/// A shell in an image.
pub const SHELL: &Flag =
    &Flag { long: "shell", value: Some("FILE"), help: "a static busybox to put in as /bin/sh", ..PLAIN };
/// How an image is compressed.
pub const COMPRESS: &Flag = &Flag {
    long: "compress",
    value: Some("HOW"),
    choices: &["zstd", "none"],
    help: "zstd (default; by the program, if there is one) or none",
    ..PLAIN
};
/// Where an image goes.
pub const IMAGE_OUTPUT: &Flag = &Flag { help: "where the image goes", ..*BUNDLE_OUTPUT };

/// How large volumes are.
pub const VOLUME_SIZE: &Flag =
    &Flag { long: "size", value: Some("MIB"), help: "MiB of a volume, 1 to 4095 [default: 4095]", ..PLAIN };
/// What volumes are called.
pub const VOLUMES: &Flag = &Flag {
    value: Some("FILE"),
    help: "name of the volumes, without number [default: the bundle's]",
    ..*BUNDLE_OUTPUT
};
/// Further board profiles, for commands that take no settings.
pub const BOARD_PROFILES: &Flag =
    &Flag { long: "profiles", value: Some("DIR"), help: "directory with further board profiles", ..PLAIN };
/// The machine to look at.
pub const MACHINE: &Flag = &Flag { help: "look at the /proc and /sys below DIR [default: /]", ..*ROOT };
