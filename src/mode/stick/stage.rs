//! The bundle on the stick, and staging it onto the target.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::boot::{self, Access, Consoles};
use crate::bundle::{self, Bundle, Fault, Flaw};
use crate::config::{self, EdgeConfig, MAX_FILE};
use crate::error::{Error, Kind, Result, Trail};
use crate::gather::Grow;
use crate::host::block::Device;
use crate::host::preflight::{self, Ignored, Verdict};
use crate::ids::{Arch, RelPath};
use crate::initramfs::parameters;
use crate::mode::edge::{self, Factory, ImagesWhen, Request, Scope};
use crate::mode::trust::{self, Proof};
use crate::mode::{BundleSource, factory};
use crate::report::{Report, Style, bytes};
use crate::root::Root;

use super::outcome::Failure;
use super::{Job, STICK, TARGET, drivers, look_at};

/// Settings of the node, on the stick; they are as in docs/config.md, and none is a must for staging.
const SETTINGS: RelPath<'static> = RelPath::literal("node.json");

/// A bundle that was found good to its last byte.
#[derive(Debug)]
pub(super) struct OnStick {
    path: PathBuf,
    size: u64,
    identity: String,
    kubeedge: String,
}

impl fmt::Display for OnStick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OnStick { path, size, identity, kubeedge } = self;
        write!(f, "'{}', {}, KubeEdge {kubeedge}, identity {identity}", path.display(), bytes(*size))
    }
}

/// Mounts the stick read-only, and reads the bundle for `arch` on it from end to end.
pub(super) fn bundle_on_stick(job: &mut Job<'_>, stick: &Device, arch: Arch) -> std::result::Result<OnStick, Failure> {
    look_at(job, stick, STICK)?;
    let root = Root::open(Path::new(STICK))?;
    let path = find(&root, arch).map_err(|e| Failure::new("no-bundle", e))?;
    let size = Bundle::try_open(&path).map(|bundle| bundle.sizes().file).unwrap_or(0);
    job.say(&format!("reading all of '{}', {}, before anything is written", path.display(), bytes(size)));
    let verdict = bundle::verify(&path, Some(arch))?;
    let flaw = verdict.worst().cloned();
    let (Some(contents), None) = (verdict.contents, &flaw) else {
        let flaw = flaw.unwrap_or_else(|| Flaw::new(Fault::Damaged, ""));
        let fault = flaw.fault();
        let error = Err::<(), Error>(flaw.into()).doing(|| format!("bundle '{}' is {}", path.display(), fault.words()));
        return Err(Failure::new(word(fault), error.err().unwrap_or_else(|| Error::new(Kind::Bug, "no flaw"))));
    };
    trust::demand(&path.display().to_string(), &contents.identity, &Proof::beside(&path))
        .map_err(|e| Failure::new(if e.kind() == Kind::Bundle { "unsigned-bundle" } else { "failed" }, e))?;
    let (identity, kubeedge) = (contents.identity.to_string(), contents.manifest.kubeedge.to_string());
    job.told.bundle = Some(identity.clone());
    Ok(OnStick { path, size: contents.sizes.file, identity, kubeedge })
}

fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::NotABundle => "no-bundle",
        Fault::TooNew => "too-new-bundle",
        Fault::WrongArchitecture => "wrong-architecture",
        Fault::Incomplete => "incomplete-bundle",
        Fault::Unsigned => "unsigned-bundle",
        Fault::Unreadable | Fault::Damaged => "damaged-bundle",
    }
}

/// One stick may serve both processors: the bundle with its processor in the name goes first.
fn find(root: &Root, arch: Arch) -> Result<PathBuf> {
    let names = [format!("edge-{arch}.bundle"), "edge.bundle".to_owned()];
    for name in &names {
        for there in [name.clone(), format!("{name}.000")] {
            let Ok(path) = RelPath::parse(&there) else { continue };
            if root.stat(path)?.is_some() {
                return Ok(Path::new(STICK).join(name));
            }
        }
    }
    let seen = root.list_top()?.join(", ");
    let what = format!("the stick holds neither '{}' nor volumes of one; it holds: {seen}", names.join("' nor '"));
    Err(Error::new(Kind::Bundle, what)
        .hint("copy the bundle into the stick's topmost directory under one of these names"))
}

/// Whether the target, which is mounted read-only at [`TARGET`], is fit for the bundle.
pub(super) fn judge(job: &mut Job<'_>, bundle: &OnStick) -> std::result::Result<(), Failure> {
    let request = request(job, bundle)?;
    let mut findings = edge::judge(request, job.report)?;
    // It is mounted so by us; the installation looks again when it is not.
    findings.retain(|finding| finding.check != "read-only");
    for finding in findings.iter().filter(|finding| finding.verdict != Verdict::Pass) {
        let advice = finding.advice.as_deref().unwrap_or_default();
        let text = format!("{}: {}; {advice}", finding.check, finding.seen);
        match finding.verdict {
            Verdict::Fail => job.say(&format!("fail: {text}")),
            Verdict::Warn => job.report.warn(&text),
            Verdict::Skip | Verdict::Pass => {}
        }
    }
    // What no other cure helps against comes first.
    if let Some(full) = findings.iter().find(|f| f.check == "disk-space" && f.verdict == Verdict::Fail) {
        let error = Error::new(Kind::Preflight, full.seen.clone());
        return Err(Failure::new("target-full", error.hint(full.advice.clone().unwrap_or_default())));
    }
    preflight::failure(&findings).map_or(Ok(()), |e| Err(Failure::new("failed", e)))
}

/// Stages the bundle onto the target.
pub(super) fn onto(job: &mut Job<'_>, target: &Device, bundle: &OnStick) -> std::result::Result<(), Failure> {
    let request = request(job, bundle)?;
    boot::remount(Path::new(TARGET), Access::Root, "").map_err(|e| {
        Failure::new(
            "failed",
            e.hint(format_args!("look whether {target} is write-protected or needs a file system check")),
        )
    })?;
    link_libraries(job.root)?;
    drivers::load(job.root, "overlay", job.report);
    // Its log is on the target, and must be closed before that is unmounted.
    let report = Report::new(Box::new(Consoles::open(job.root)), Style::Plain);
    let done = edge::install(request, &report).and_then(|()| factory::arm(Path::new(TARGET)));
    job.told.warnings.add_all(report.warnings());
    done.map_err(Failure::of_writing)
}

fn request(job: &Job<'_>, bundle: &OnStick) -> std::result::Result<Request, Failure> {
    Ok(Request {
        root: PathBuf::from(TARGET),
        config: settings().map_err(|e| Failure::new("config", e))?,
        bundle: Some(BundleSource::file(bundle.path.clone())),
        scope: Scope::Stage,
        ignored: Ignored::default(),
        factory: Factory { images: when(job.parameters.images), line_containerd: None, edgelay: None },
    })
}

fn when(images: parameters::Images) -> ImagesWhen {
    match images {
        parameters::Images::Now => ImagesWhen::Now,
        parameters::Images::FirstBoot => ImagesWhen::FirstBoot,
    }
}

fn settings() -> Result<Box<EdgeConfig>> {
    let root = Root::open(Path::new(STICK))?;
    let file = match root.read(SETTINGS, MAX_FILE)? {
        Some(text) => config::parse_file(&text, &format!("{STICK}/node.json"))?,
        None => Vec::new(),
    };
    Ok(config::resolve(&[&file], None)?.config)
}

/// The target's containerd, which fills its store, may need the target's libraries: here they are where it looks for
/// them. What an initramfs has of its own stays.
fn link_libraries(root: &Root) -> Result<()> {
    for name in ["lib", "lib64", "usr"] {
        let (path, to) = (RelPath::literal(name), format!("{TARGET}/{name}"));
        if root.lstat(path)?.is_none() {
            root.symlink(path, &to)?;
        }
    }
    Ok(())
}

/// Unmounts both; what is not mounted is fine. With `keep`, the target stays for whoever looks at it.
pub(super) fn release(keep: bool) -> Result<()> {
    boot::sync();
    let mut result = Ok(());
    for place in [STICK, TARGET].iter().take(if keep { 1 } else { 2 }) {
        match boot::unmount(Path::new(place)) {
            // EINVAL: nothing is mounted there.
            Err(e) if matches!(e.errno(), Some(libc::EINVAL | libc::ENOENT)) => {}
            outcome => result = result.and(outcome),
        }
    }
    result
}
