//! The images that a release of k3s brings along: their list, with which a bundle can be made for any k3s, and their archive.

use std::path::PathBuf;

use super::catalogue::Need;
use super::select::list;
use crate::error::{Error, Kind, Lift, Result};
use crate::gather::{Gather, Grow};
use crate::ids::{Arch, ImageRef};

/// As k3s releases call it.
const NAME: &str = "k3s-images.txt";
/// A real one has ten lines.
const MAX_LINES: usize = 64;
/// The repositories that k3s takes its images from.
const OF_K3S: &str = "docker.io/rancher/";

/// Whether k3s's own archive may hold the image.
pub(super) fn is_one(image: &ImageRef) -> bool {
    image.repository().starts_with(OF_K3S)
}

/// How k3s releases call the archive with all of its images, without the ending.
pub(super) fn archive_name(arch: Arch) -> String {
    format!("k3s-airgap-images-{arch}")
}

/// Replaces the catalogue's images of k3s by those of the list, if there is one in `dirs`.
pub(super) fn adopt(needs: &mut Vec<(ImageRef, Need)>, dirs: &[PathBuf]) -> Result<()> {
    // An image archive may be given among the directories.
    let dirs: Vec<PathBuf> = dirs.iter().filter(|dir| dir.is_dir()).cloned().gather();
    let Some((_, path)) = list(&dirs)?.into_iter().find(|(name, _)| name == NAME) else { return Ok(()) };
    let text = std::fs::read_to_string(&path).lift(Kind::Host, || format!("read '{}'", path.display()))?;
    replace(needs, &text).map_err(|why| {
        Error::new(Kind::Bundle, format_args!("'{}' {why}", path.display()))
            .hint("take the file as it was released together with that k3s, or remove it")
    })
}

fn replace(needs: &mut Vec<(ImageRef, Need)>, text: &str) -> std::result::Result<(), String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let images: Vec<ImageRef> = lines
        .take(MAX_LINES)
        .map(|line| line.parse().map_err(|e| format!("has the line '{}', which {e}", line.escape_debug())))
        .gather::<std::result::Result<_, _>>()?;
    for (name, _) in needs.iter_mut() {
        if let Some(image) = images.iter().find(|image| is_one(name) && image.repository() == name.repository()) {
            *name = image.clone();
        }
    }
    // What only this k3s has comes after what every one has: the pause image stays the first.
    let more = images.into_iter().filter(|image| is_one(image) && !needs.iter().any(|(name, _)| name == image));
    let more: Vec<_> = more.map(|image| (image, Need::Required)).gather();
    needs.add_all(more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_decides_on_versions_and_adds_what_is_new() {
        let image = |name: &str| -> ImageRef { name.parse().unwrap() };
        let mut needs = vec![
            (image("docker.io/rancher/mirrored-pause:3.6"), Need::Required),
            (image("docker.io/rancher/klipper-lb:v0.4.13"), Need::Required),
            (image("docker.io/kubeedge/cloudcore:v1.22.0"), Need::Required),
        ];
        let text =
            "docker.io/rancher/klipper-lb:v0.4.9\n\ndocker.io/rancher/novel:v1\ndocker.io/rancher/mirrored-pause:3.6\n";
        replace(&mut needs, text).unwrap();
        let names: Vec<&str> = needs.iter().map(|(name, _)| name.as_str()).collect();
        let want = [
            "rancher/mirrored-pause:3.6",
            "rancher/klipper-lb:v0.4.9",
            "kubeedge/cloudcore:v1.22.0",
            "rancher/novel:v1",
        ];
        assert_eq!(names, want.map(|name| format!("docker.io/{name}")));
        assert!(replace(&mut needs, "a b").unwrap_err().starts_with("has the line 'a b', which "));
    }
}
