//! The table of commands: words, arguments, flags, help. What is not in it does not exist.

use crate::config::Table;
use crate::error::Result;
use crate::mode::{cloud, edge::Scope};

use super::check;
use super::command::{BoardWork, Command, InitramfsCommand};
use super::flags::{self, Flag};
use super::parsed::Parsed;

/// Words that follow the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    /// As help shows them: `FILE...`.
    pub shown: &'static str,
    /// At least so many.
    pub min: usize,
    /// At most so many.
    pub max: usize,
}

/// As many as a command line holds.
const MANY: usize = usize::MAX;
/// What `edge install` and `join` take; `stage` takes and ignores the join file.
const INSTALL: &[&Flag] = &[
    flags::JOIN_FILE,
    flags::BUNDLE,
    flags::SIGNATURE,
    flags::CONFIG,
    flags::SHOW_CONFIG,
    flags::DRY_RUN,
    flags::IGNORE_CHECK,
    flags::ROOT_SHOWN,
    flags::OUTPUT,
];
/// What `cloud install`, `init` and `worker install` take.
const CLOUD: &[&Flag] = &[
    flags::BUNDLE,
    flags::SIGNATURE,
    flags::CONFIG,
    flags::SHOW_CONFIG,
    flags::DRY_RUN,
    flags::IGNORE_CHECK,
    flags::ROOT,
    flags::OUTPUT,
];
/// What `edge stage` takes.
const STAGE: &[&Flag] = &[
    flags::BUNDLE,
    flags::SIGNATURE,
    flags::CONFIG,
    flags::SHOW_CONFIG,
    flags::DRY_RUN,
    flags::IGNORE_CHECK,
    flags::ROOT,
    flags::IMAGES_WHEN,
    flags::LINE_CONTAINERD,
    flags::EDGELAY,
    flags::OUTPUT,
];
const ONE_FILE: Words = Words { shown: "FILE", min: 1, max: 1 };
const NO_WORDS: Words = Words { shown: "", min: 0, max: 0 };

/// One command.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its words: `["edge", "install"]`.
    pub path: &'static [&'static str],
    /// Another way to say it.
    pub alias: &'static [&'static str],
    /// What follows.
    pub words: Words,
    /// One line for the list of commands.
    pub summary: &'static str,
    /// Paragraphs for its own help, separated by empty lines.
    pub about: &'static str,
    /// Its flags, beyond [`flags::COMMON`].
    pub flags: &'static [&'static Flag],
    /// The settings that it takes.
    pub settings: Option<Table>,
    pub(super) check: fn(&Parsed) -> Result<Command>,
}

impl Spec {
    /// The words in one string.
    pub fn name(&self) -> String {
        self.path.join(" ")
    }

    /// Its own flags and those of every command.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.flags.iter().chain(flags::COMMON).copied()
    }
}

/// Every command, in the order of help.
pub static COMMANDS: &[Spec] = &[
    Spec {
        path: &["edge", "install"],
        alias: &[],
        words: NO_WORDS,
        summary: "make this machine an edge node: stage and join",
        about: "Checks that the machine is fit, lays down what the bundle brings, starts containerd, imports the \
                images, joins the cloud and verifies. Finished steps are skipped, so the same command mends, goes on \
                after an interruption, and upgrades where the bundle is newer.\n\n\
                edgelay edge install --bundle edge.bundle --config node.json",
        flags: INSTALL,
        settings: Some(Table::EDGE),
        check: |parsed| check::edge_install(parsed, Scope::Install),
    },
    Spec {
        path: &["edge", "stage"],
        alias: &[],
        words: NO_WORDS,
        summary: "do all of it that needs no identity, as in a factory",
        about: "Lays down and starts everything up to the images; needs neither cloud nor token nor node name. With --root \
                the system that is mounted there is prepared, also one for another processor: files, units and \
                configuration, and its images go into its store with a containerd of this machine, which must not be \
                newer than the target's. The same bundle makes the same tree.\n\n\
                edgelay edge stage --root /mnt/target --bundle edge.bundle",
        flags: STAGE,
        settings: Some(Table::EDGE),
        check: |parsed| check::edge_install(parsed, Scope::Stage),
    },
    Spec {
        path: &["edge", "join"],
        alias: &[],
        words: NO_WORDS,
        summary: "join a staged machine to its cloud",
        about: "Goes on from 'edge stage'; needs no bundle. Which containerd and which pod range it is was settled then.",
        flags: INSTALL,
        settings: Some(Table::EDGE),
        check: |parsed| check::edge_install(parsed, Scope::Join),
    },
    Spec {
        path: &["factory", "seal"],
        alias: &[],
        words: NO_WORDS,
        summary: "make a staged system fit for being copied",
        about: "Looks for everything that only one machine may have: certificates, names, keys, leases, logs, seeds. \
                Names all of it at once and refuses, or with --clean removes what may be removed. Then marks the system \
                for its first boot, empties its machine id, freezes which units start, syncs, and prints a record. \
                Copies must keep extended attributes: images of disks do, plain archives do not.\n\n\
                edgelay factory seal --root /mnt/target --clean -o json",
        flags: &[flags::ROOT, flags::CLEAN, flags::OUTPUT],
        settings: None,
        check: check::factory_seal,
    },
    Spec {
        path: &["firstboot"],
        alias: &[],
        words: NO_WORDS,
        summary: "make a node of a sealed system, as its own service does",
        about: "Finds the configuration (docs/first-boot.md), names the node, joins, and tries again with growing pauses \
                until it is done. Then removes the token and the service. Without a mark of 'factory seal', and without \
                --config, there is nothing to do.",
        flags: &[flags::CONFIG, flags::ONCE],
        settings: None,
        check: check::firstboot,
    },
    Spec {
        path: &["edge", "uninstall"],
        alias: &[],
        words: NO_WORDS,
        summary: "remove what edgelay installed, restore what it replaced",
        about: "Ends the pods of this node and removes what the journal says edgelay wrote: programs, units, \
                configuration, certificates, and with a managed containerd its whole store. Without --yes it refuses.",
        flags: &[flags::ROOT, flags::YES],
        settings: None,
        check: check::edge_uninstall,
    },
    Spec {
        path: &["cloud", "install"],
        alias: &[],
        words: NO_WORDS,
        summary: "make this machine the cloud side: k3s, CloudCore, EdgeMesh",
        about: "Lays down k3s from the bundle, starts it, imports the images, brings CloudCore up and writes the join \
                file that edges need. Finished steps are skipped, so the same command mends, follows a changed \
                configuration or a newer bundle, and goes on after an interruption.\n\n\
                edgelay cloud install --bundle cloud.bundle --advertise-address 192.0.2.10",
        flags: CLOUD,
        settings: Some(Table::CLOUD),
        check: |parsed| check::cloud_install(parsed, cloud::Scope::Install),
    },
    Spec {
        path: &["cloud", "init"],
        alias: &[],
        words: NO_WORDS,
        summary: "bring CloudCore into a k3s that runs already",
        about: "Does what 'cloud install' does with the setting k3s = existing: nothing of k3s itself is touched.",
        flags: CLOUD,
        settings: Some(Table::CLOUD),
        check: |parsed| check::cloud_install(parsed, cloud::Scope::Init),
    },
    Spec {
        path: &["cloud", "token"],
        alias: &[],
        words: NO_WORDS,
        summary: "write the join file that edges need",
        about: "Writes addresses, ports, the hash of the CA and a token of today into one file that only root can read. \
                Copy it to the edge, and give it to 'edge join --join-file FILE' before it expires. The token is never \
                printed.",
        flags: &[flags::ROOT, flags::JOIN_OUTPUT],
        settings: None,
        check: check::cloud_token,
    },
    Spec {
        path: &["cloud", "worker", "install"],
        alias: &[],
        words: NO_WORDS,
        summary: "make this machine a further node of the cloud's k3s",
        about: "Lays down k3s from the same bundle, imports the images and joins the server. The token is read from a \
                file; on the server it lies in /var/lib/rancher/k3s/server/node-token.\n\n\
                edgelay cloud worker install --bundle cloud.bundle --server 192.0.2.10:6443 --token-file FILE",
        flags: CLOUD,
        settings: Some(Table::CLOUD),
        check: |parsed| check::cloud_install(parsed, cloud::Scope::Worker),
    },
    Spec {
        path: &["cloud", "status"],
        alias: &[],
        words: NO_WORDS,
        summary: "say whether the cloud side is as it was installed",
        about: "Runs the check of every step and changes nothing. Exit code 11 says that something is not as it was \
                installed.",
        flags: &[flags::ROOT, flags::OUTPUT],
        settings: None,
        check: check::cloud_status,
    },
    Spec {
        path: &["cloud", "uninstall"],
        alias: &[],
        words: NO_WORDS,
        summary: "remove what edgelay installed of the cloud side",
        about: "Removes what the journal says edgelay wrote: programs, units, configuration; on an existing k3s also \
                CloudCore, its objects and its firewall chains. The data of a k3s that edgelay laid down, with every \
                object and certificate in it, stays unless --purge is given, now or later. Without --yes it refuses.",
        flags: &[flags::ROOT, flags::YES, flags::PURGE],
        settings: None,
        check: check::cloud_uninstall,
    },
    Spec {
        path: &["status"],
        alias: &["edge", "status"],
        words: NO_WORDS,
        summary: "say whether the node is as it was installed",
        about: "Runs the check of every step: files, containerd, CRI, pod network, images, edgecore and its readiness. \
                Changes nothing. Exit code 11 says that something is not as it was installed. Whether the node is Ready \
                is 'not known' where the cloud does not tell this machine (EdgeCore's metaServer is off, or CloudCore's \
                dynamicController is); that alone is no drift.",
        flags: &[flags::ROOT, flags::OUTPUT],
        settings: None,
        check: check::status,
    },
    Spec {
        path: &["preflight"],
        alias: &[],
        words: NO_WORDS,
        summary: "say whether this machine is fit, and what to do if not",
        about: "Runs every check of an installation and reports all findings at once. Changes nothing. With --bundle \
                also the disk space for it.",
        flags: &[
            flags::JOIN_FILE,
            flags::CONFIG,
            flags::SHOW_CONFIG,
            flags::BUNDLE,
            flags::SIGNATURE,
            flags::ROOT,
            flags::IGNORE_CHECK,
            flags::OUTPUT,
        ],
        settings: Some(Table::EDGE),
        check: check::preflight,
    },
    Spec {
        path: &["board", "detect"],
        alias: &[],
        words: NO_WORDS,
        summary: "say which board this is and what names it",
        about: "Finds the profile that fits this machine best, by its device tree or DMI, and says why; its memory \
                class; the serial number or address that tells it from others, and which were refused; and what is \
                odd about such boards.",
        flags: &[flags::MACHINE, flags::BOARD_PROFILES, flags::OUTPUT],
        settings: None,
        check: check::board_detect,
    },
    Spec {
        path: &["board", "list"],
        alias: &[],
        words: NO_WORDS,
        summary: "list the board profiles",
        about: "Those that are built in, and those of a directory. A base is no board: others say their differences to it.",
        flags: &[flags::BOARD_PROFILES, flags::OUTPUT],
        settings: None,
        check: |parsed| check::board(parsed, BoardWork::List),
    },
    Spec {
        path: &["board", "show"],
        alias: &[],
        words: Words { shown: "ID", min: 1, max: 1 },
        summary: "print a board profile with its base in it",
        about: "With -o json it is a profile by itself, fit to be changed and kept in a directory of profiles.",
        flags: &[flags::BOARD_PROFILES, flags::OUTPUT],
        settings: None,
        check: check::board_show,
    },
    Spec {
        path: &["board", "check"],
        alias: &[],
        words: ONE_FILE,
        summary: "say whether a file is a board profile",
        about: "Every fault with its line and column. Exit code 3 if it is none.",
        flags: &[flags::BOARD_PROFILES, flags::OUTPUT],
        settings: None,
        check: check::board_check,
    },
    Spec {
        path: &["image", "import"],
        alias: &[],
        words: Words { shown: "FILE...", min: 1, max: MANY },
        summary: "import image files into containerd",
        about: "Takes what 'docker save' writes and OCI layouts (files or directories), also compressed with gzip or \
                zstd; of an image for several processors, this one's. Imported images are unpacked, pinned and \
                confirmed through CRI. What is there already is not sent again. A file is imported wholly or not at \
                all. Layers become files at once; their blobs are not stored unless --keep-layers is given.",
        flags: &[flags::ADDRESS, flags::NAMESPACE, flags::UNPACK, flags::KEEP_LAYERS, flags::OUTPUT],
        settings: None,
        check: check::image_import,
    },
    Spec {
        path: &["image", "list"],
        alias: &[],
        words: NO_WORDS,
        summary: "list containerd's images and how much of each is there",
        about: "whole: imported by edgelay and synced to the disk. unpacked: all there, from somebody else. lacking: \
                something is missing.",
        flags: &[flags::ADDRESS, flags::NAMESPACE, flags::OUTPUT],
        settings: None,
        check: check::image_list,
    },
    Spec {
        path: &["bundle", "create"],
        alias: &[],
        words: Words { shown: "[FILE...]", min: 0, max: MANY },
        summary: "make a bundle from local files",
        about: "Makes the one file that an offline installation needs, from release archives as they were downloaded \
                and from images as 'docker save' writes them. FILE... are further images, so that --images *.tar \
                works. Everything that is missing is named at once, and then no bundle is made. The same input gives \
                the same bytes.\n\n\
                edgelay bundle create --arch arm64 --components DIR --images DIR -o edge.bundle",
        flags: &[
            flags::ROLE,
            flags::ARCH,
            flags::KUBEEDGE_VERSION,
            flags::COMPONENTS,
            flags::IMAGES,
            flags::WITH,
            flags::BUILT,
            flags::BUNDLE_OUTPUT,
        ],
        settings: None,
        check: check::bundle_create,
    },
    Spec {
        path: &["bundle", "split"],
        alias: &[],
        words: ONE_FILE,
        summary: "cut a bundle into volumes for a FAT file system",
        about: "Writes FILE.000, FILE.001 and on, or NAME.000 with -o NAME, each below 4 GiB. Wherever a bundle is read, \
                FILE stands for its volumes.",
        flags: &[flags::VOLUME_SIZE, flags::VOLUMES],
        settings: None,
        check: check::bundle_split,
    },
    Spec {
        path: &["bundle", "show"],
        alias: &[],
        words: ONE_FILE,
        summary: "print what a bundle holds",
        about: "Reads the metadata only; FILE may be - for the standard input.",
        flags: &[flags::STATEMENT, flags::OUTPUT],
        settings: None,
        check: check::bundle_show,
    },
    Spec {
        path: &["bundle", "verify"],
        alias: &[],
        words: ONE_FILE,
        summary: "read a whole bundle and say what is wrong with it",
        about: "Tells damaged, incomplete, wrong architecture and too new apart. FILE may be - for the standard input.",
        flags: &[flags::EXPECT_ARCH, flags::KEY, flags::SIGNATURE, flags::OUTPUT],
        settings: None,
        check: check::bundle_verify,
    },
    Spec {
        path: &["supervise"],
        alias: &[],
        words: NO_WORDS,
        summary: "keep containerd and EdgeCore running without a service manager",
        about: "For machines with neither systemd nor OpenRC. An installation starts it; for the next boot give the \
                board's own boot hook one of these lines:\n\n\
                /etc/inittab: ::respawn:/usr/local/bin/edgelay supervise\n\
                /etc/rc.local: /usr/local/bin/edgelay supervise </dev/null >/dev/null 2>&1 &\n\n\
                Runs what /etc/edgelay/supervise names, starts again what ends (after 1 s, then ever later, up to 60 s), \
                bounds the logs in /var/log/edgelay, and collects orphans. SIGTERM and SIGINT stop all of it; SIGHUP is \
                passed on.",
        flags: &[],
        settings: None,
        check: |_| Ok(Command::Supervise),
    },
    Spec {
        path: &["initramfs", "create"],
        alias: &[],
        words: NO_WORDS,
        summary: "make an image that installs from a stick when it is booted",
        about: "Writes an initramfs with edgelay as its first process and the modules for usual disks and sticks. What \
                the kernel is told and what must be on the stick: initramfs/README.md.\n\n\
                edgelay initramfs create --arch arm64 --binary edgelay-linux-arm64 --kernel-modules \
                /lib/modules/6.1.0-18-arm64 -o initrd.img",
        flags: &[
            flags::ARCH,
            flags::BINARY,
            flags::KERNEL_MODULES,
            flags::MODULE,
            flags::SHELL,
            flags::KEY_IN_IMAGE,
            flags::COMPRESS,
            flags::IMAGE_OUTPUT,
        ],
        settings: None,
        check: check::initramfs_create,
    },
    Spec {
        path: &["initramfs", "run"],
        alias: &[],
        words: NO_WORDS,
        summary: "install from a stick, as the kernel's command line says",
        about: "What the image of 'initramfs create' does once the drivers are loaded; for the hooks of other \
                initramfs. Mounts below /stick and /target, writes to the target that the rules name and to no other \
                disk, and ends with a line 'edgelay: outcome: ...' on every console.",
        flags: &[],
        settings: None,
        check: |_| Ok(Command::Initramfs(InitramfsCommand::Run)),
    },
    Spec {
        path: &["version"],
        alias: &[],
        words: NO_WORDS,
        summary: "print the version",
        about: "Prints the version of edgelay, the processor it is for, and the versions of the file formats it \
                reads.",
        flags: &[flags::OUTPUT],
        settings: None,
        check: |parsed| Ok(Command::Version(parsed.format()?)),
    },
    Spec {
        path: &["completion"],
        alias: &[],
        words: Words { shown: "bash|zsh|fish", min: 1, max: 1 },
        summary: "print a completion script for a shell",
        about: "Prints a script that completes commands and flags.\n\n\
                bash: edgelay completion bash > /etc/bash_completion.d/edgelay\n\
                zsh: edgelay completion zsh > /usr/local/share/zsh/site-functions/_edgelay\n\
                fish: edgelay completion fish > /etc/fish/completions/edgelay.fish",
        flags: &[],
        settings: None,
        check: |parsed| parsed.shell().map(Command::Completion),
    },
    Spec {
        path: &["help"],
        alias: &[],
        words: Words { shown: "[COMMAND | exit-codes]", min: 0, max: 3 },
        summary: "explain a command, or the exit codes",
        about: "Without a word, lists the commands.",
        flags: &[],
        settings: None,
        check: |parsed| parsed.topic().map(Command::Help),
    },
];
