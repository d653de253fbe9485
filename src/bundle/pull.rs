//! Finds the images that a role needs among local files, and takes in any others that are given by name.

use std::path::{Path, PathBuf};

use super::catalogue::Need;
use super::convert::{Layers, to_oci};
use super::k3s_images;
use super::select::list;
use super::time::Timestamp;
use crate::digest::Digest;
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::gather::{Gather, Grow};
use crate::ids::{Arch, ImageRef};
use crate::images;
use crate::json::{self, Value};
use crate::oci::{Blobs, Image, MAX_DOCUMENT, Platform};
use crate::sorted::{Map, Set};

/// An image for the bundle.
#[derive(Debug)]
pub(super) struct Pulled {
    pub(super) image: Image,
    pub(super) need: Need,
    /// Bytes of its uncompressed layers, as far as no image before it has them.
    pub(super) unpacked: u64,
}

/// Images in the order of use, with their blobs.
#[derive(Default)]
pub(super) struct Images {
    pub(super) pulled: Vec<Pulled>,
    pub(super) sources: Vec<Box<dyn Blobs>>,
    /// Which source has a layer.
    pub(super) layers: Map<Digest, usize>,
    /// Each in words that complete "cannot make the bundle:".
    pub(super) problems: Vec<String>,
    /// When the newest of the images was made.
    pub(super) newest: Option<Timestamp>,
    /// What lies in image archives and is none, in words that say so.
    pub(super) others: Vec<String>,
    /// Image archives in the directories that no image of the role is looked for in.
    pub(super) left_out: Vec<PathBuf>,
}

/// File names under which an image is looked for, without their ending. `docker save` has no rule of its own, so the
/// names with and without the defaults of Docker are taken.
fn file_stems(image: &ImageRef) -> Vec<String> {
    let full = image.archive_name();
    let full = full.strip_suffix(".tar").unwrap_or(&full);
    let mut stems = vec![full.to_owned()];
    if let Some(short) = full.strip_prefix("docker.io-library-") {
        stems.push(format!("docker.io-{short}"));
        stems.push(short.to_owned());
    } else if let Some(short) = full.strip_prefix("docker.io-") {
        stems.push(short.to_owned());
    }
    stems
}

/// Endings of image archives; a directory with an OCI layout has none.
const ENDINGS: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ""];

/// The files that have one of the names, whatever their ending.
fn matching<'a>(files: &'a [(String, PathBuf)], stems: &[String]) -> Vec<&'a Path> {
    let fits =
        |name: &str| ENDINGS.iter().filter_map(|e| name.strip_suffix(e)).any(|stem| stems.iter().any(|s| s == stem));
    files.iter().filter(|(name, _)| fits(name)).map(|(_, path)| path.as_path()).gather()
}

/// One file to load.
struct Job {
    path: PathBuf,
    /// The images that it was found for; all of its images if it was given by name.
    only: Option<Vec<ImageRef>>,
}

struct Collector {
    images: Images,
    /// Wanted images whose files are there, but of no use; the problem is told.
    spoilt: Set<ImageRef>,
    layers: Layers,
    arch: Arch,
    /// Images by the digest of their manifest, with the file they came from.
    found: Map<Digest, (Image, String)>,
}

/// Looks in `inputs`: directories by the names of their files, image files and OCI layout directories as they are.
pub(super) fn pull(needs: &[(ImageRef, Need)], inputs: &[PathBuf], arch: Arch) -> Result<Images> {
    let (mut dirs, mut jobs) = (Vec::new(), Vec::new());
    for path in inputs {
        let meta = std::fs::metadata(path)
            .lift(Kind::Host, || format!("look at '{}'", path.display()))
            .hint("give --images files and directories that are there")?;
        if meta.is_dir() && !path.join("oci-layout").is_file() {
            dirs.push(path.clone());
        } else {
            jobs.push(Job { path: path.clone(), only: None });
        }
    }
    let mut collector =
        Collector { images: Images::default(), spoilt: Set::new(), layers: Layers::default(), arch, found: Map::new() };
    let files = list(&dirs)?;
    jobs.add_all(collector.search(needs, &files));
    let is_archive = |name: &str| ENDINGS.iter().any(|ending| !ending.is_empty() && name.ends_with(ending));
    let left_out =
        files.into_iter().filter(|(name, path)| is_archive(name) && jobs.iter().all(|job| job.path != *path));
    collector.images.left_out = left_out.map(|(_, path)| path).gather();
    // Not the order of the arguments: same input, same bytes.
    jobs.sort_unstable_by(|a, b| (a.path.file_name(), &a.path, &a.only).cmp(&(b.path.file_name(), &b.path, &b.only)));
    for job in &jobs {
        collector.load(job)?;
    }
    Ok(collector.finish(needs))
}

impl Collector {
    fn search(&mut self, needs: &[(ImageRef, Need)], files: &[(String, PathBuf)]) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut of_k3s = Vec::new();
        for (image, _) in needs {
            match matching(files, &file_stems(image)).as_slice() {
                [] if k3s_images::is_one(image) => of_k3s.push(image.clone()),
                [] => {}
                [path] => jobs.push(Job { path: path.to_path_buf(), only: Some(vec![image.clone()]) }),
                several => self.ambiguous(image, several),
            }
        }
        let all_of_k3s = matching(files, &[k3s_images::archive_name(self.arch)]);
        match (of_k3s.first(), all_of_k3s.as_slice()) {
            (None, _) | (_, []) => {}
            (_, [path]) => jobs.push(Job { path: path.to_path_buf(), only: Some(of_k3s) }),
            (Some(image), several) => self.ambiguous(image, several),
        }
        jobs
    }

    fn ambiguous(&mut self, image: &ImageRef, paths: &[&Path]) {
        let shown: Vec<String> = paths.iter().map(|path| format!("'{}'", path.display())).gather();
        self.problem(format!("image '{image}' is there more than once: {}", shown.join(", ")));
        self.spoilt.insert(image.clone());
    }

    fn problem(&mut self, what: String) {
        self.images.problems.push(what);
    }

    fn load(&mut self, job: &Job) -> Result<()> {
        let before = self.images.problems.len();
        self.load_file(job)?;
        if self.images.problems.len() > before {
            self.spoilt.add_all(job.only.iter().flatten().cloned());
        }
        Ok(())
    }

    fn load_file(&mut self, job: &Job) -> Result<()> {
        let loaded = match images::load(&job.path, &Platform::linux(self.arch.as_str())) {
            Ok(loaded) => loaded,
            // What is wrong with one file must not hide what is wrong with the others.
            Err(e) if e.kind() == Kind::Bundle => {
                self.problem(e.to_string());
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        self.images.others.add_all(loaded.others.iter().map(|other| format!("'{}': {other}", job.path.display())));
        let mut blobs = loaded.blobs;
        let all: Vec<ImageRef> = loaded.images.iter().flat_map(|image| image.names.clone()).gather();
        let wanted =
            |image: &Image| job.only.as_ref().is_none_or(|only| only.iter().any(|name| image.names.contains(name)));
        let mut some = false;
        for mut image in loaded.images.into_iter().filter(wanted) {
            some = true;
            match to_oci(&mut image, &mut *blobs, &mut self.layers) {
                Ok(()) => self.add(image, &job.path),
                Err(e) if e.kind() == Kind::Bundle => self.problem(format!("'{}': {e}", job.path.display())),
                Err(e) => return Err(e),
            }
        }
        // What an archive of many lacks is named as missing in the end, each by itself.
        if let (false, Some([only])) = (some, job.only.as_deref()) {
            let held: Vec<String> = all.iter().map(|name| format!("'{name}'")).gather();
            self.problem(format!("'{}' does not hold image '{only}' but {}", job.path.display(), held.join(", ")));
        }
        self.images.sources.push(blobs);
        Ok(())
    }

    fn add(&mut self, image: Image, path: &Path) {
        let file = path.display().to_string();
        let clash = |other: &Image| {
            let same = image.names.iter().find(|name| other.names.contains(name));
            same.filter(|_| other.manifest.digest != image.manifest.digest).cloned()
        };
        let clash = self.found.values().find_map(|(other, from)| Some((clash(other)?, from.clone())));
        if let Some((name, from)) = clash {
            self.problem(format!("image '{name}' in '{file}' is another one than in '{from}'"));
            return;
        }
        let source = self.images.sources.len();
        for layer in &image.layers {
            self.images.layers.or_insert_with(layer.blob.digest, || source);
        }
        self.images.newest = self.images.newest.max(created(&image.config_bytes));
        let digest = image.manifest.digest;
        let (known, _) = self.found.or_insert_with(digest, || (Image { names: Vec::new(), ..image.clone() }, file));
        known.names.add_all(image.names);
        known.names.sort_unstable();
        known.names.dedup();
    }

    /// Puts the images in order and names those that are missing.
    fn finish(mut self, needs: &[(ImageRef, Need)]) -> Images {
        let mut order = Vec::new();
        for (name, need) in needs {
            let digest =
                self.found.iter().find(|(_, (image, _))| image.names.contains(name)).map(|(digest, _)| *digest);
            match digest.and_then(|digest| self.found.remove(&digest)) {
                Some((image, _)) => order.push((image, *need)),
                // An image with two of the wanted names was taken for the first of them.
                None if order.iter().any(|(image, _): &(Image, _)| image.names.contains(name)) => {}
                None if *need == Need::Required && !self.spoilt.contains(name) => {
                    let mut stems = file_stems(name);
                    stems.add_all(k3s_images::is_one(name).then(|| k3s_images::archive_name(self.arch)));
                    let shown: Vec<String> = stems.iter().map(|stem| format!("'{stem}.tar'")).gather();
                    self.problem(format!("image '{name}' is missing (looked for {})", shown.join(", ")));
                }
                None => {}
            }
        }
        let mut rest: Vec<Image> = self.found.into_values().map(|(image, _)| image).gather();
        rest.sort_unstable_by(|a, b| (&a.names, a.manifest.digest).cmp(&(&b.names, b.manifest.digest)));
        order.add_all(rest.into_iter().map(|image| (image, Need::Optional)));
        let mut chains = Set::new();
        for (image, need) in order {
            let fresh = image.layers.iter().zip(image.chain_ids()).filter(|(_, chain)| chains.insert(*chain));
            let unpacked = fresh.map(|(layer, _)| self.layers.unpacked(&layer.blob.digest)).sum();
            self.images.pulled.push(Pulled { image, need, unpacked });
        }
        self.images
    }
}

/// When an image was made, by its config. A config without a time, or with one that is none, has no say.
fn created(config: &[u8]) -> Option<Timestamp> {
    let value = json::read(config, MAX_DOCUMENT).ok()?;
    value.get("created").and_then(|v: &Value| v.text().ok()?.parse().ok())
}

impl Images {
    /// The source that has a layer.
    pub(super) fn source(&mut self, layer: &Digest) -> Result<&mut dyn Blobs> {
        let source = self.layers.get(layer).and_then(|index| self.sources.get_mut(*index));
        match source {
            Some(source) => Ok(&mut **source),
            None => Err(Error::new(Kind::Bug, format_args!("no source has layer {layer}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_image_files() {
        for (image, stems) in [
            ("docker.io/kubeedge/pause:3.6", &["docker.io-kubeedge-pause-3.6", "kubeedge-pause-3.6"][..]),
            (
                "eclipse-mosquitto:1.6.15",
                &[
                    "docker.io-library-eclipse-mosquitto-1.6.15",
                    "docker.io-eclipse-mosquitto-1.6.15",
                    "eclipse-mosquitto-1.6.15",
                ],
            ),
            ("registry.example:5000/a/b:1", &["registry.example-5000-a-b-1"]),
        ] {
            assert_eq!(file_stems(&image.parse().unwrap()), stems);
        }
    }
}
