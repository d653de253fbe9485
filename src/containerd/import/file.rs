//! One file of an unpacked image, read where containerd keeps it: no pod is needed to get a program out of an image.

use std::fs::File;
use std::path::Path;

use super::Options;
use super::store::{Prepared, Store};
use crate::containerd::Client;
use crate::containerd::api::Mount;
use crate::error::{Error, Kind, Result, Trail};
use crate::gather::Gather;
use crate::ids::RelPath;
use crate::oci::Image;
use crate::root::{Root, Type};

/// Key of the snapshot that tells where the layers lie; it is removed at once.
const KEY: &str = "edgelay-look";

/// Opens the regular file `path` of `image`, as a container would see it. What is read was verified when the image
/// was imported.
pub fn open_file(client: &mut Client, image: &Image, path: RelPath<'_>, options: &Options<'_>) -> Result<File> {
    let what = || format!("look into image '{}'", image.label());
    let mut store = Store::open(client, options).doing(what)?;
    let top = image.chain_ids().pop().map(|id| id.to_string()).unwrap_or_default();
    if !store.has_snapshot(&top).doing(what)? {
        return Err(lacking(image, "it is not unpacked in containerd's store"));
    }
    let mounts = mounts(&mut store, &top).doing(what)?;
    let found = find(&mounts, path).doing(what);
    // The file is open: what it lies in may go.
    store.remove_snapshot(KEY).doing(what)?;
    found?.ok_or_else(|| lacking(image, &format!("it has no file '{path}'")))
}

fn lacking(image: &Image, why: &str) -> Error {
    let what = format!("image '{}': {why}", image.label());
    Error::new(Kind::Runtime, what).hint("run 'edgelay edge install' with the bundle, which imports it again")
}

/// Where the files of the snapshot `top` lie.
fn mounts(store: &mut Store<'_>, top: &str) -> Result<Vec<Mount>> {
    for _ in 0..2 {
        match store.prepare(KEY, top, KEY)? {
            Prepared::Mounts(mounts) => return Ok(mounts),
            // A run of ours was cut.
            Prepared::Exists => store.remove_snapshot(KEY)?,
        }
    }
    Err(Error::new(Kind::Runtime, format_args!("snapshot '{KEY}' is in use")))
}

/// The topmost layer that has something of this name decides; each is a root of its own, so that no link leads out.
fn find(mounts: &[Mount], path: RelPath<'_>) -> Result<Option<File>> {
    for layer in mounts.iter().flat_map(layers) {
        let layer = Root::open(Path::new(layer))?;
        match layer.lstat(path)? {
            None => {}
            Some(meta) if meta.kind == Type::File => return layer.open_file(path),
            // A whiteout, or a link, which a program in an image has no need to be.
            Some(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// Directories of a mount, topmost first.
fn layers(mount: &Mount) -> Vec<&str> {
    match mount.options.iter().find_map(|option| option.strip_prefix("lowerdir=")) {
        Some(lower) => lower.split(':').gather(),
        None => vec![mount.source.as_str()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_topmost_layer_decides() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        for (file, text) in [("1/bin/a", "old"), ("2/bin/a", "new"), ("1/bin/b", "b")] {
            let root = Root::open(dir.path()).unwrap();
            root.write(RelPath::parse(file).unwrap(), 0o755, text.as_bytes()).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("2/bin/c")).unwrap();
        let options = vec!["workdir=/w".to_owned(), format!("lowerdir={}:{}", at("2"), at("1"))];
        let overlay = Mount { kind: "overlay".into(), source: "overlay".into(), options, ..Default::default() };
        let bind = Mount { kind: "bind".into(), source: at("1"), ..Default::default() };
        let read = |mount: &Mount, path: &str| {
            let file = find(std::slice::from_ref(mount), RelPath::parse(path).unwrap()).unwrap();
            let mut text = String::new();
            file.map(|mut file| file.read_to_string(&mut text).map(|_| text).unwrap())
        };
        for (mount, path, text) in [
            (&overlay, "bin/a", Some("new")),
            (&overlay, "bin/b", Some("b")),
            (&overlay, "bin/c", None),
            (&overlay, "bin/d", None),
            (&bind, "bin/a", Some("old")),
        ] {
            assert_eq!(read(mount, path).as_deref(), text, "{path}");
        }
    }
}
