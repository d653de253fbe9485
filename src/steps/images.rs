//! Imports the bundle's images into containerd, pause first, each confirmed through CRI.

use std::path::PathBuf;

use crate::containerd::Client;
use crate::containerd::import::{self, Options, Presence, Progress};
use crate::error::{Error, Kind, Result};
use crate::ids::{ImageRef, RelPath};
use crate::note;
use crate::oci::Image;
use crate::plan::{Cx, Status, Step};
use crate::report::Report;

use super::reach::reach;

/// The step.
#[derive(Debug)]
pub struct Images {
    images: Vec<Image>,
    address: PathBuf,
    kubeedge: Option<String>,
    work: Work,
    /// Directory of the store, if it can go as a whole.
    store: Option<String>,
}

/// What is done about the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Import,
    /// Another step should have imported them: they are shown, or imported now.
    Show,
}

/// Whether `name` is one of KubeEdge's own images of this version; EdgeMesh has versions of its own.
fn is_kubeedge(name: &ImageRef, version: &str) -> bool {
    name.repository().starts_with("docker.io/kubeedge/") && name.tag() == version
}

impl Images {
    /// Imports `images`, in this order, through the socket `address`.
    pub fn new(images: Vec<Image>, address: PathBuf) -> Self {
        Images { images, address, kubeedge: None, work: Work::Import, store: None }
    }

    /// The same under another name: what another step should have imported is shown, or imported now.
    #[must_use]
    pub fn proving(self) -> Self {
        Images { work: Work::Show, ..self }
    }

    /// The same in a store below `dir`: if that is there only because of this installation, it goes as a whole with what
    /// it belongs to, and nothing is changed in it before.
    #[must_use]
    pub fn stored_in(self, dir: RelPath<'_>) -> Self {
        Images { store: Some(dir.as_str().to_owned()), ..self }
    }

    /// The same, which tells how many images of KubeEdge `version` it imported.
    #[must_use]
    pub fn counting(self, version: String) -> Self {
        Images { kubeedge: Some(version), ..self }
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Image] {
        &self.images
    }

    /// Tells that they are imported.
    pub(super) fn tell(&self, report: &Report) {
        if let Some(version) = &self.kubeedge {
            let ours = |image: &&Image| image.names.iter().any(|name| is_kubeedge(name, version));
            report.info(&format!("Pre-imported {} KubeEdge images", self.images.iter().filter(ours).count()));
        }
    }
}

impl Step for Images {
    fn id(&self) -> &'static str {
        match self.work {
            Work::Import => "images",
            Work::Show => "images-shown",
        }
    }

    fn summary(&self) -> String {
        let what = if self.work == Work::Show { "see that containerd shows" } else { "import" };
        format!("{what} {} images", self.images.len())
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        let mut client = match Client::connect(&self.address) {
            Ok(client) => client,
            Err(e) => return Ok(Status::todo(e.to_string())),
        };
        let options = Options::new(cx.clock);
        let mut lacking = Vec::new();
        for image in &self.images {
            if let Presence::Lacking(why) = import::check(&mut client, image, &options)? {
                lacking.push(why);
            }
        }
        Ok(if lacking.is_empty() { Status::Done } else { Status::Todo(lacking.join("; ")) })
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        let mut client = reach(&self.address, (cx.root, &mut *cx.exec), cx.clock, &mut |what| cx.report.warn(what))?;
        let mut told = Told { report: cx.report, done: 0, total: import::total(&self.images) };
        let Some(blobs) = cx.blobs.as_deref_mut() else {
            return Err(no_bundle("the images"));
        };
        // Each by itself, so that a cut costs one image and not all; out of a pipe only together, because a layer that
        // has gone by does not come again.
        let at_once = if blobs.rewinds() { 1 } else { self.images.len().max(1) };
        for images in self.images.chunks(at_once) {
            import::import(&mut client, images, blobs, &Options::new(cx.clock), &mut told)?;
        }
        self.tell(cx.report);
        Ok(())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        if self.store.as_ref().is_some_and(|dir| cx.journal.has_made(dir)) {
            return Ok(());
        }
        // Someone else's keeps the images, which they may be using by now, but not for ever.
        let unpinned =
            Client::connect(&self.address).and_then(|mut client| import::unpin(&mut client, &Options::new(cx.clock)));
        if let Err(e) = unpinned {
            note::debug(format_args!("unpin the images: {e}; ignoring: a daemon that does not answer pins nothing"));
        }
        Ok(())
    }
}

/// What is missing can only come from the bundle, and none was given.
pub(super) fn no_bundle(what: &str) -> Error {
    Error::new(Kind::Bundle, format_args!("no bundle is given to take {what} from"))
        .hint("give the bundle that this host was staged from with --bundle")
}

/// Tells the report how far an import is.
pub(super) struct Told<'a> {
    pub(super) report: &'a Report,
    pub(super) done: u64,
    pub(super) total: u64,
}

impl Progress for Told<'_> {
    fn sent(&mut self, _what: &str, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        self.report.progress(self.done, self.total);
    }

    fn present(&mut self, _what: &str, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
        self.report.progress(self.done, self.total);
    }

    fn doing(&mut self, what: &str) {
        note::debug(format_args!("{what}"));
        self.report.beat();
    }

    fn warn(&mut self, what: &str) {
        self.report.warn(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::with_cx;

    #[test]
    fn nothing_is_changed_in_a_store_that_goes_as_a_whole() {
        const STORE: RelPath<'static> = RelPath::literal("var/lib/containerd");
        let dir = tempfile::tempdir().unwrap();
        let address = dir.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        with_cx(|cx| {
            let images = Images::new(Vec::new(), address).stored_in(STORE);
            cx.will_make(STORE).unwrap();
            images.undo(cx).unwrap();
            assert!(listener.accept().is_err(), "containerd was asked");
            cx.remove_made(|_| true).unwrap();
            listener.set_nonblocking(false).unwrap();
            let asked = std::thread::spawn(move || listener.accept().is_ok());
            images.undo(cx).unwrap();
            assert!(asked.join().unwrap());
        });
    }
}
