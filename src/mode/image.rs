//! `edgelay image import` and `image list`.

use std::path::{Path, PathBuf};

use crate::clock::Clock;
use crate::containerd::import::{self, Layers, Listed, Options, Outcome, Progress, Unpack};
use crate::containerd::{Client, Namespace, SOCKET};
use crate::error::{Error, Kind, Lift, Result, Trail};
use crate::exec::Host;
use crate::gather::Grow;
use crate::ids::{Arch, RelPath};
use crate::images;
use crate::oci::Platform;
use crate::root::{Lock, Root};
use crate::rpc::conn::HINT;
use crate::steps::reach;

/// Which containerd, and which of its namespaces.
#[derive(Debug)]
pub struct Place<'a> {
    /// Its socket, [`crate::containerd::SOCKET`] as a rule.
    pub socket: PathBuf,
    /// [`import::CRI_NAMESPACE`] as a rule.
    pub namespace: Namespace,
    /// For waiting.
    pub clock: &'a dyn Clock,
}

impl Place<'_> {
    /// A daemon that is being started at this moment is waited for.
    fn client(&self, progress: &mut dyn Progress) -> Result<Client> {
        let root = Root::open(Path::new("/"))?;
        let mut exec = Host::new(&root, self.clock);
        let client = reach(&self.socket, (&root, &mut exec), self.clock, &mut |what| progress.warn(what))?;
        Ok(client.in_namespace(self.namespace.clone()))
    }
}

/// Keeps other imports away from the daemon behind `socket`; held until dropped. For the host's own daemon it is the
/// lock that installations hold, for any other a file beside its socket.
pub fn lock(socket: &Path) -> Result<Lock> {
    const BESIDE: RelPath<'static> = RelPath::literal("edgelay.lock");
    // By way of a link it is the host's own, too.
    let real = |path: &Path| path.canonicalize().ok();
    let own = socket == Path::new(SOCKET) || real(socket).is_some_and(|path| Some(path) == real(Path::new(SOCKET)));
    match socket.parent() {
        Some(dir) if !own => {
            dir.metadata().lift(Kind::Runtime, || format!("use the socket '{}'", socket.display())).hint(HINT)?;
            Root::open(dir)?.lock(BESIDE)
        }
        _ => Root::open(Path::new("/"))?.lock(super::session::LOCK),
    }
}

/// Imports the images in `files` for this machine's processor, file by file, each wholly or not at all.
///
/// Every file is looked at before the first is imported. Two imports must not run at once: hold the [`lock`].
pub fn import(
    files: &[PathBuf],
    place: &Place<'_>,
    (unpack, layers): (Unpack, Layers),
    progress: &mut dyn Progress,
) -> Result<Vec<Outcome>> {
    let platform = platform()?;
    let mut loaded = Vec::new();
    for file in files {
        let one = images::load(file, &platform)?;
        for other in &one.others {
            progress.warn(&format!("image file '{}': {other}; skipping it", file.display()));
        }
        loaded.push((file, one));
    }
    let mut client = place.client(progress)?;
    let mut outcomes = Vec::new();
    for (file, mut loaded) in loaded {
        let options = Options { unpack, layers, ..Options::new(place.clock) };
        let done = import::import(&mut client, &loaded.images, &mut *loaded.blobs, &options, progress);
        outcomes.add_all(done.doing(|| format!("image file '{}'", file.display()))?);
    }
    Ok(outcomes)
}

/// The images of the namespace.
pub fn list(place: &Place<'_>) -> Result<Vec<Listed>> {
    import::list(&mut place.client(&mut ())?, &platform()?, &Options::new(place.clock))
}

/// This machine's.
fn platform() -> Result<Platform> {
    let arch = Arch::of_this_binary().ok_or_else(|| Error::new(Kind::Host, "no image runs on this processor"))?;
    Ok(Platform::linux(arch.as_str()))
}
