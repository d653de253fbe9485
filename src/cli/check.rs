//! Typed commands from parsed ones, where there is more to it than a flag.

use std::path::{Path, PathBuf};

use crate::bundle;
use crate::config::{Table, parse_socket};
use crate::containerd::import::{Layers, Unpack};
use crate::containerd::{self, Namespace};
use crate::error::{Error, Result};
use crate::gather::Grow;
use crate::host::preflight::{CLOUD, Check, EDGE, Ignored};
use crate::ids::{Arch, BadName};
use crate::mode::bundle::VerifyRequest;
use crate::mode::edge::{Factory, ImagesWhen, Scope};
use crate::mode::{BundleSource, cloud, factory, firstboot, initramfs};
use crate::sys::signal::Stoppable;

use super::args::usage;
use super::command::{
    BoardCommand, BoardWork, BundleCommand, CloudCommand, Command, EdgeCommand, ImageCommand, ImageStore,
    InitramfsCommand, Target,
};
use super::flags::{self, Flag};
use super::parsed::Parsed;

/// The value of `flag` with its type.
fn typed<T: std::str::FromStr<Err = BadName>>(parsed: &Parsed, flag: &Flag) -> Result<Option<T>> {
    let Some(text) = parsed.text(flag)? else { return Ok(None) };
    let bad = |e: BadName| usage(format_args!("flag '--{}': '{}' {e}", flag.long, text.escape_debug()));
    text.parse().map(Some).map_err(bad)
}

fn needed(flag: &Flag) -> Error {
    let value = flag.value.unwrap_or_default();
    usage(format_args!("flag '--{}' is missing", flag.long)).hint(format_args!("add --{} {value}", flag.long))
}

pub(super) fn bundle_create(parsed: &Parsed) -> Result<Command> {
    let to = parsed.path(flags::BUNDLE_OUTPUT).ok_or_else(|| needed(flags::BUNDLE_OUTPUT))?;
    let arch = match typed::<Arch>(parsed, flags::ARCH)? {
        Some(arch) => arch,
        None => Arch::of_this_binary().ok_or_else(|| needed(flags::ARCH))?,
    };
    let mut images = parsed.all(flags::IMAGES);
    images.add_all(parsed.paths());
    let request = bundle::Request {
        role: typed(parsed, flags::ROLE)?.unwrap_or(bundle::Role::Edge),
        arch,
        kubeedge: typed(parsed, flags::KUBEEDGE_VERSION)?,
        components: parsed.all(flags::COMPONENTS),
        images,
        with: parsed.list(flags::WITH)?,
        built: typed(parsed, flags::BUILT)?,
    };
    Ok(Command::Bundle(BundleCommand::Create { request: Box::new(request), to }))
}

pub(super) fn bundle_split(parsed: &Parsed) -> Result<Command> {
    let file = file(parsed)?;
    let mib = match parsed.text(flags::VOLUME_SIZE)? {
        None => MAX_VOLUME_MIB,
        Some(text) => text.parse().ok().filter(|mib| (1..=MAX_VOLUME_MIB).contains(mib)).ok_or_else(|| {
            usage(format_args!("flag '--size': '{}' is no number from 1 to {MAX_VOLUME_MIB}", text.escape_debug()))
        })?,
    };
    let to = parsed.path(flags::VOLUMES).unwrap_or_else(|| file.clone());
    Ok(Command::Bundle(BundleCommand::Split { file, to, size: mib << 20 }))
}

/// A FAT's largest file has one byte less than 4 GiB.
const MAX_VOLUME_MIB: u64 = 4095;

pub(super) fn bundle_show(parsed: &Parsed) -> Result<Command> {
    let (file, format) = (file(parsed)?, parsed.format()?);
    Ok(Command::Bundle(match parsed.has(flags::STATEMENT) {
        true => BundleCommand::Statement { file },
        false => BundleCommand::Show { file, format },
    }))
}

pub(super) fn bundle_verify(parsed: &Parsed) -> Result<Command> {
    let request = VerifyRequest {
        file: file(parsed)?,
        arch: typed(parsed, flags::EXPECT_ARCH)?,
        signature: parsed.path(flags::SIGNATURE),
        keys: parsed.all(flags::KEY),
    };
    Ok(Command::Bundle(BundleCommand::Verify { request, format: parsed.format()? }))
}

pub(super) fn initramfs_create(parsed: &Parsed) -> Result<Command> {
    let arch = match typed::<Arch>(parsed, flags::ARCH)? {
        Some(arch) => arch,
        None => Arch::of_this_binary().ok_or_else(|| needed(flags::ARCH))?,
    };
    let modules = parsed.path(flags::KERNEL_MODULES).ok_or_else(|| needed(flags::KERNEL_MODULES))?;
    let request = initramfs::Request {
        arch,
        binary: parsed.path(flags::BINARY),
        modules: Some(modules).filter(|dir| dir.as_os_str() != "none"),
        extra: parsed.list(flags::MODULE)?,
        shell: parsed.path(flags::SHELL),
        keys: parsed.all(flags::KEY_IN_IMAGE),
        compress: match parsed.text(flags::COMPRESS)? {
            Some("none") => initramfs::Compress::None,
            _ => initramfs::Compress::Zstd,
        },
        to: parsed.path(flags::IMAGE_OUTPUT).ok_or_else(|| needed(flags::IMAGE_OUTPUT))?,
    };
    Ok(Command::Initramfs(InitramfsCommand::Create(Box::new(request))))
}

fn target(parsed: &Parsed) -> Result<Box<Target>> {
    let bundle = parsed.path(flags::BUNDLE).map(|path| match path.as_os_str() == "-" {
        true => BundleSource::pipe(Box::new(Stoppable(std::io::stdin())), "-"),
        false => BundleSource::file(path),
    });
    let bundle = match (bundle, parsed.path(flags::SIGNATURE)) {
        (Some(bundle), Some(signature)) => Some(bundle.signed(signature)),
        (None, Some(_)) => return Err(needed(flags::BUNDLE)),
        (bundle, None) => bundle,
    };
    let names = parsed.list(flags::IGNORE_CHECK)?;
    let known: &[Check] = if parsed.spec.settings == Some(Table::CLOUD) { &CLOUD } else { &EDGE };
    let ignored = match names.is_empty() {
        true => Ignored::default(),
        false => Ignored::parse_among(&names.join(","), known)?,
    };
    Ok(Box::new(Target { root: root(parsed), bundle, ignored, factory: foreign_system(parsed)? }))
}

/// Both flags are about a system that does not run.
fn foreign_system(parsed: &Parsed) -> Result<Factory> {
    let foreign = root(parsed) != Path::new("/");
    for flag in [flags::IMAGES_WHEN, flags::LINE_CONTAINERD, flags::EDGELAY] {
        if parsed.spec.flags.contains(&flag) && parsed.has(flag) && !foreign {
            return Err(usage(format_args!("flag '--{}' is for a system that is mounted elsewhere", flag.long))
                .hint("add --root DIR, or leave it out: this machine has a containerd of its own"));
        }
    }
    let images = match parsed.spec.flags.contains(&flags::IMAGES_WHEN)
        && parsed.text(flags::IMAGES_WHEN)? == Some("first-boot")
    {
        true => ImagesWhen::FirstBoot,
        false => ImagesWhen::Now,
    };
    let (line_containerd, edgelay) = (parsed.path(flags::LINE_CONTAINERD), parsed.path(flags::EDGELAY));
    Ok(Factory { images, line_containerd, edgelay })
}

fn root(parsed: &Parsed) -> PathBuf {
    parsed.path(flags::ROOT).unwrap_or_else(|| PathBuf::from("/"))
}

pub(super) fn edge_install(parsed: &Parsed, scope: Scope) -> Result<Command> {
    let target = target(parsed)?;
    if target.bundle.is_none() && scope != Scope::Join {
        return Err(needed(flags::BUNDLE));
    }
    // keadm, containerd's socket and the service manager are this machine's, whatever is below another root.
    if scope != Scope::Stage && target.root != Path::new("/") {
        return Err(usage("only the machine that runs can join, no system below --root")
            .hint("prepare that one with 'edgelay edge stage --root DIR': its first boot joins it"));
    }
    Ok(Command::Edge(match parsed.has(flags::DRY_RUN) {
        true => EdgeCommand::Plan { target, scope, format: parsed.format()? },
        false => EdgeCommand::Install { target, scope },
    }))
}

pub(super) fn edge_uninstall(parsed: &Parsed) -> Result<Command> {
    if !parsed.has(flags::YES) {
        return Err(usage(
            "'edge uninstall' ends this node's pods and destroys their data and the node's certificates",
        )
        .hint("add --yes if that is wanted"));
    }
    Ok(Command::Edge(EdgeCommand::Uninstall { root: root(parsed) }))
}

pub(super) fn cloud_install(parsed: &Parsed, scope: cloud::Scope) -> Result<Command> {
    let target = target(parsed)?;
    if target.bundle.is_none() {
        return Err(needed(flags::BUNDLE));
    }
    Ok(Command::Cloud(match parsed.has(flags::DRY_RUN) {
        true => CloudCommand::Plan { target, scope, format: parsed.format()? },
        false => CloudCommand::Install { target, scope },
    }))
}

pub(super) fn cloud_token(parsed: &Parsed) -> Result<Command> {
    let to = parsed.path(flags::JOIN_OUTPUT);
    if to.as_ref().is_some_and(|to| to.as_os_str() == "-") {
        return Err(usage("the join file holds a token, which is never printed").hint("give the name of a file"));
    }
    Ok(Command::Cloud(CloudCommand::Token { root: root(parsed), to }))
}

pub(super) fn cloud_status(parsed: &Parsed) -> Result<Command> {
    Ok(Command::Cloud(CloudCommand::Status { root: root(parsed), format: parsed.format()? }))
}

pub(super) fn cloud_uninstall(parsed: &Parsed) -> Result<Command> {
    if !parsed.has(flags::YES) {
        return Err(usage("'cloud uninstall' ends the cloud side: edges lose it").hint("add --yes if that is wanted"));
    }
    let data = if parsed.has(flags::PURGE) { cloud::Data::Purge } else { cloud::Data::Keep };
    Ok(Command::Cloud(CloudCommand::Uninstall { root: root(parsed), data }))
}

pub(super) fn factory_seal(parsed: &Parsed) -> Result<Command> {
    let root = parsed.path(flags::ROOT).ok_or_else(|| needed(flags::ROOT))?;
    let unique = if parsed.has(flags::CLEAN) { factory::Unique::Remove } else { factory::Unique::Refuse };
    Ok(Command::Seal { request: factory::Request { root, unique }, format: parsed.format()? })
}

pub(super) fn firstboot(parsed: &Parsed) -> Result<Command> {
    let patience = if parsed.has(flags::ONCE) { firstboot::Patience::Once } else { firstboot::Patience::UntilDone };
    Ok(Command::FirstBoot(firstboot::Request { config: parsed.path(flags::CONFIG), patience }))
}

pub(super) fn status(parsed: &Parsed) -> Result<Command> {
    Ok(Command::Edge(EdgeCommand::Status { root: root(parsed), format: parsed.format()? }))
}

pub(super) fn preflight(parsed: &Parsed) -> Result<Command> {
    Ok(Command::Edge(EdgeCommand::Preflight { target: target(parsed)?, format: parsed.format()? }))
}

pub(super) fn board(parsed: &Parsed, what: BoardWork) -> Result<Command> {
    let profiles = parsed.path(flags::BOARD_PROFILES);
    Ok(Command::Board(BoardCommand { what, profiles, format: parsed.format()? }))
}

pub(super) fn board_detect(parsed: &Parsed) -> Result<Command> {
    board(parsed, BoardWork::Detect(root(parsed)))
}

pub(super) fn board_show(parsed: &Parsed) -> Result<Command> {
    let id = parsed.args.words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    board(parsed, BoardWork::Show(id))
}

pub(super) fn board_check(parsed: &Parsed) -> Result<Command> {
    board(parsed, BoardWork::Check(file(parsed)?))
}

pub(super) fn image_import(parsed: &Parsed) -> Result<Command> {
    let how = parsed.text(flags::UNPACK)?;
    let unpack = Unpack::WORDS.into_iter().find(|(word, _)| Some(*word) == how).map(|(_, unpack)| unpack);
    let layers = if parsed.has(flags::KEEP_LAYERS) { Layers::Kept } else { Layers::Dropped };
    let (files, store, format) = (parsed.paths(), store(parsed)?, parsed.format()?);
    Ok(Command::Image(ImageCommand::Import { files, store, unpack: unpack.unwrap_or_default(), layers, format }))
}

pub(super) fn image_list(parsed: &Parsed) -> Result<Command> {
    Ok(Command::Image(ImageCommand::List { store: store(parsed)?, format: parsed.format()? }))
}

fn store(parsed: &Parsed) -> Result<ImageStore> {
    let text = parsed.text(flags::ADDRESS)?.unwrap_or(containerd::SOCKET);
    let socket = parse_socket(text).map_err(|refusal| {
        usage(format_args!("flag '--{}': '{}' {}", flags::ADDRESS.long, text.escape_debug(), refusal.what()))
    })?;
    let namespace = typed(parsed, flags::NAMESPACE)?.unwrap_or_else(Namespace::k8s);
    Ok(ImageStore { socket, namespace })
}

/// The one word of commands that take one file.
fn file(parsed: &Parsed) -> Result<PathBuf> {
    parsed.paths().into_iter().next().ok_or_else(|| usage("FILE is missing"))
}
