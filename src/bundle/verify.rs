//! Reads every byte of a bundle and says all that is wrong with it.

use std::io::Read;
use std::path::Path;

use super::catalogue::{Catalogue, Need};
use super::cursor::Cursor;
use super::elf::Program;
use super::fault::{Fault, Flaw};
use super::manifest::{Component, ImageEntry, Manifest};
use super::tar::Name;
use super::{Bundle, Sizes};
use crate::digest::{Digest, measure_with_head};
use crate::error::Result;
use crate::gather::{Gather, Grow};
use crate::ids::{Arch, ImageRef};

/// What [`verify`] found.
#[derive(Debug)]
pub struct Verdict {
    /// Everything that is wrong, in the order in which it was found; empty for a good bundle.
    pub flaws: Vec<Flaw>,
    /// What the bundle says of itself, if that much of it is sound.
    pub contents: Option<Contents>,
}

/// What a bundle says of itself.
#[derive(Debug)]
pub struct Contents {
    /// Digest of the edgelay manifest.
    pub identity: Digest,
    /// The edgelay manifest.
    pub manifest: Manifest,
    /// How much there is.
    pub sizes: Sizes,
}

impl Verdict {
    /// The first of the gravest flaws: the one that has to be put right first. `None`: all is well.
    pub fn worst(&self) -> Option<&Flaw> {
        self.flaws.iter().min_by_key(|flaw| flaw.fault())
    }

    /// Its class.
    pub fn fault(&self) -> Option<Fault> {
        self.worst().map(Flaw::fault)
    }
}

/// Reads all of the file `path`. With `arch`, the bundle must be for that processor.
///
/// An error is a fault of edgelay's own; whatever is wrong with the bundle is in the verdict.
pub fn verify(path: &Path, arch: Option<Arch>) -> Result<Verdict> {
    judge(Bundle::unscanned(path), arch)
}

/// The same for a bundle that comes through a pipe.
pub fn verify_pipe(pipe: impl Read + Send + 'static, arch: Option<Arch>) -> Result<Verdict> {
    judge(Bundle::try_from_pipe(pipe, "-"), arch)
}

fn judge(bundle: std::result::Result<Bundle, Flaw>, arch: Option<Arch>) -> Result<Verdict> {
    let bundle = match bundle {
        Ok(bundle) => bundle,
        Err(flaw) => return Ok(Verdict { flaws: vec![flaw], contents: None }),
    };
    let sizes = bundle.sizes();
    let Bundle { identity, manifest, mut cursor, .. } = bundle;
    let mut flaws = Vec::new();
    let found = manifest.architecture;
    if let Some(arch) = arch.filter(|arch| *arch != found) {
        flaws.push(Flaw::new(Fault::WrongArchitecture, format_args!("the bundle is for {found}, expected {arch}")));
    }
    flaws.add_all(lacks(&manifest)?);
    while let Some(part) = step(&mut cursor, &mut flaws) {
        read_part(&mut cursor, part, &manifest, &mut flaws);
    }
    Ok(Verdict { flaws, contents: Some(Contents { identity, manifest, sizes }) })
}

/// The next part; `None` at the end, or where no sense can be made of what follows.
fn step(cursor: &mut Cursor, flaws: &mut Vec<Flaw>) -> Option<usize> {
    match cursor.step() {
        Ok(Some(part)) => Some(part),
        Ok(None) => {
            flaws.add_all(cursor.complete().err());
            None
        }
        Err(flaw) => {
            flaws.push(flaw);
            None
        }
    }
}

/// Reads one blob and checks its digest; of a program, the processor as well.
fn read_part(cursor: &mut Cursor, index: usize, manifest: &Manifest, flaws: &mut Vec<Flaw>) {
    let Some(part) = cursor.parts().get(index).cloned() else { return };
    let (digest, size, head) = match measure_with_head(cursor, Program::HEAD) {
        Ok(read) => read,
        Err(e) => {
            flaws.push(Flaw::new(Fault::Unreadable, format_args!("{} cannot be read: {e}", part.label)));
            return;
        }
    };
    if size < part.header.size {
        return; // The file ends here; the next step says so.
    }
    if part.header.name != Name::Blob(digest) {
        let what = format!("{} ('{}') is damaged: its bytes have the digest {digest}", part.label, part.header.name);
        flaws.push(Flaw::damaged(what));
        return;
    }
    let program = |c: &&Component| c.digest == digest && c.mode.is_executable();
    if let Some(component) = manifest.components.iter().find(program)
        && let Some(why) = Program::of(&head).mismatch(manifest.architecture)
    {
        flaws.push(Flaw::new(Fault::WrongArchitecture, format_args!("component '{}' {why}", component.name)));
    }
}

fn is_named(image: &ImageEntry, wanted: &ImageRef) -> bool {
    let of_k3s = wanted.repository().starts_with("docker.io/rancher/");
    image.names.iter().any(|name| name == wanted || (of_k3s && name.repository() == wanted.repository()))
}

/// What the catalogue requires and the bundle does not have. A version that is not in our catalogue is taken as its
/// maker's catalogue had it; k3s's own images have the versions that belong to its.
pub(super) fn lacks(manifest: &Manifest) -> Result<Option<Flaw>> {
    let Some(needs) = Catalogue::built_in()?.needs(manifest.role, &manifest.kubeedge)? else { return Ok(None) };
    let required = |need: &Need| *need == Need::Required;
    let has_component = |name: &str| manifest.components.iter().any(|c| c.name == name);
    let components = needs.components.iter().filter(|(rule, need)| required(need) && !has_component(&rule.name));
    let images = needs
        .images
        .iter()
        .filter(|(name, need)| required(need) && !manifest.images.iter().any(|image| is_named(image, name)));
    let missing: Vec<String> = components
        .map(|(rule, _)| format!("component '{}'", rule.name))
        .chain(images.map(|(name, _)| format!("image '{name}'")))
        .gather();
    if missing.is_empty() {
        return Ok(None);
    }
    let what = format!("lacks what {} needs at KubeEdge {}: {}", manifest.role, manifest.kubeedge, missing.join(", "));
    Ok(Some(Flaw::new(Fault::Incomplete, what)))
}
