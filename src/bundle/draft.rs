//! From local files to a bundle that is ready to be written.

use std::io::Write;
use std::path::PathBuf;

use super::catalogue::{Catalogue, Need};
use super::head;
use super::k3s_images;
use super::manifest::{ImageEntry, Manifest};
use super::names::{Role, Version};
use super::origin::Origin;
use super::pull::{Images, Pulled, pull};
use super::select::{Wish, select};
use super::time::Timestamp;
use super::write;
use crate::digest::{Digest, Verified};
use crate::error::{Error, Kind, Result};
use crate::feed::Feed;
use crate::gather::{Gather, Grow};
use crate::ids::Arch;
use crate::oci::{Blobs, Descriptor, Image};

/// What a bundle shall be made of.
#[derive(Debug, Clone)]
pub struct Request {
    /// What kind of node it shall make.
    pub role: Role,
    /// For which processor.
    pub arch: Arch,
    /// KubeEdge version; `None`: the catalogue's default.
    pub kubeedge: Option<Version>,
    /// Directories with release archives and programs.
    pub components: Vec<PathBuf>,
    /// Directories with image archives, image archives, OCI layouts.
    pub images: Vec<PathBuf>,
    /// Optional components to take out of release archives.
    pub with: Vec<String>,
    /// Build time; `None`: that of the newest image, so that the same input gives the same bytes.
    pub built: Option<Timestamp>,
}

/// A bundle that only needs to be written.
pub struct Draft {
    manifest: Manifest,
    images: Vec<Image>,
    sources: Sources,
    notes: Vec<String>,
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft").field("manifest", &self.manifest).finish_non_exhaustive()
    }
}

impl Request {
    /// Finds and checks everything that goes into the bundle. What is missing is named all at once.
    pub fn gather(&self) -> Result<Draft> {
        let catalogue = Catalogue::built_in()?;
        let kubeedge = self.kubeedge.as_ref().unwrap_or(catalogue.default_version());
        let Some(mut needs) = catalogue.needs(self.role, kubeedge)? else {
            let known: Vec<&str> = catalogue.versions().map(Version::as_str).gather();
            return Err(Error::new(Kind::Usage, format_args!("KubeEdge '{kubeedge}' is not in the catalogue"))
                .hint(format_args!("take one of: {}", known.join(", "))));
        };
        if self.role == Role::Cloud {
            let mut dirs = self.components.clone();
            dirs.extend_from_slice(&self.images);
            k3s_images::adopt(&mut needs.images, &dirs)?;
        }
        let wish = Wish { arch: self.arch, kubeedge, with: &self.with };
        let selection = select(&needs.components, &self.components, wish)?;
        let mut images = pull(&needs.images, &self.images, self.arch)?;
        let mut problems = selection.problems;
        problems.add_all(images.problems.iter().cloned());
        if !problems.is_empty() {
            return Err(Error::new(Kind::Bundle, format_args!("cannot make the bundle: {}", problems.join("; ")))
                .hint("mend what is named here, in the places given with --components and --images"));
        }
        let built = self.built.or(images.newest).unwrap_or_default();
        let mut manifest = Manifest::new(self.role, self.arch, kubeedge.clone(), built);
        manifest.images = images.pulled.iter().map(entry).gather();
        let mut origins = Vec::new();
        for found in selection.found {
            origins.push((found.component.digest, found.origin));
            manifest.components.push(found.component);
        }
        manifest.check().map_err(|why| Error::new(Kind::Bundle, format_args!("cannot make the bundle: {why}")))?;
        let mut notes = selection.notes;
        notes.add_all(self.left_out(&images.left_out));
        notes.add_all(images.others.iter().map(|other| format!("not taken: {other}")));
        let all: Vec<Image> = std::mem::take(&mut images.pulled).into_iter().map(|pulled| pulled.image).gather();
        head::check(&manifest, &all)?;
        Ok(Draft { manifest, images: all, sources: Sources { origins, images }, notes })
    }

    /// What to tell about image archives that were not taken. Release archives may lie beside them.
    fn left_out(&self, files: &[PathBuf]) -> Option<String> {
        let of_components = |file: &PathBuf| file.parent().is_some_and(|dir| self.components.iter().any(|c| c == dir));
        let names = files.iter().filter(|file| !of_components(file)).map(|file| format!("'{}'", file.display()));
        let names: Vec<String> = names.gather();
        (!names.is_empty()).then(|| {
            format!(
                "not taken, as the role needs no image of that name: {}; to add one, give it by its own name",
                names.join(", ")
            )
        })
    }
}

fn entry(pulled: &Pulled) -> ImageEntry {
    ImageEntry {
        names: pulled.image.names.clone(),
        required: pulled.need == Need::Required,
        digest: pulled.image.manifest.digest,
        size: pulled.image.manifest.size,
        unpacked: pulled.unpacked,
    }
}

impl Draft {
    /// What the bundle will be for and what it will hold.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What is worth telling about it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Writes the bundle; returns its identity.
    pub fn write(&mut self, out: &mut dyn Write) -> Result<Digest> {
        write(&self.manifest, &self.images, &mut self.sources, out)
    }
}

/// All blobs of a draft, where they lie.
struct Sources {
    origins: Vec<(Digest, Origin)>,
    images: Images,
}

impl Blobs for Sources {
    fn open(&mut self, blob: &Descriptor) -> Result<Box<dyn Feed + '_>> {
        match self.origins.iter().find(|(digest, _)| *digest == blob.digest) {
            Some((_, origin)) => Ok(Box::new(Verified::new(origin.open()?, blob.digest, blob.size))),
            None => self.images.source(&blob.digest)?.open(blob),
        }
    }

    fn position(&self, _blob: &Digest) -> Option<u64> {
        // The order of a bundle does not ask where its sources lie.
        None
    }

    fn rewinds(&self) -> bool {
        true
    }
}
