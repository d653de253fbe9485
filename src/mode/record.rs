//! What was installed, for later runs: the bundle's metadata and the configuration, without any secret.

use std::io::Cursor;

use crate::bundle::{Bundle, Role};
use crate::error::{Error, Kind, Result, Trail};
use crate::ids::RelPath;
use crate::plan::{Cx, Status, Step};
use crate::root::Root;

/// The head of the bundle: everything but components and layers.
const HEAD: RelPath<'static> = RelPath::literal("var/lib/edgelay/bundle.head");
pub(super) const CONFIG: RelPath<'static> = RelPath::literal("var/lib/edgelay/config.json");
/// A bundle's metadata is refused beyond 16 MiB.
const MAX_HEAD: usize = 20 << 20;
const MAX_CONFIG: usize = 1 << 20;

/// What was recorded.
#[derive(Debug)]
pub(super) struct Stored {
    head: Vec<u8>,
    /// The configuration's text.
    pub(super) config: Vec<u8>,
}

impl Stored {
    /// Reads it back. `None`: nothing is installed.
    pub(super) fn load_opt(root: &Root) -> Result<Option<Self>> {
        let found = (root.read(HEAD, MAX_HEAD)?, root.read(CONFIG, MAX_CONFIG)?);
        Ok(if let (Some(head), Some(config)) = found { Some(Stored { head, config }) } else { None })
    }

    /// The bundle's metadata; its components and layers cannot be opened.
    pub(super) fn bundle(&self) -> Result<Box<Bundle>> {
        Bundle::from_pipe(Cursor::new(self.head.clone()), &HEAD.to_string())
            .map(Box::new)
            .hint("remove the file and run the install again")
    }

    /// A machine is of one kind. A head that cannot be read is no hindrance: an install replaces it.
    pub(super) fn is_for(&self, role: Role) -> Result<()> {
        match self.bundle().map(|bundle| bundle.manifest().role) {
            Ok(other) if other != role => {
                let what = format!("this machine was installed with a bundle for the role '{other}', not '{role}'");
                Err(Error::new(Kind::Usage, what)
                    .hint(format_args!("use 'edgelay {other} ...', or run 'edgelay {other} uninstall' first")))
            }
            _ => Ok(()),
        }
    }
}

/// The step that writes it, before anything else is done.
#[derive(Debug)]
pub(super) struct Recorded {
    head: Vec<u8>,
    config: String,
}

impl Recorded {
    /// `config` is the configuration's text.
    pub(super) fn new(bundle: &Bundle, config: String) -> Result<Self> {
        Ok(Recorded { head: bundle.head()?, config })
    }
}

impl Step for Recorded {
    fn id(&self) -> &'static str {
        "record"
    }

    fn summary(&self) -> String {
        "record what is installed".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        for (path, bytes) in [(HEAD, self.head.as_slice()), (CONFIG, self.config.as_bytes())] {
            if !cx.root.holds(path, 0o600, bytes)? {
                return Ok(Status::todo(format_args!("'{path}' is missing or of another install")));
            }
        }
        Ok(Status::Done)
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.put(HEAD, 0o600, &self.head)?;
        cx.put(CONFIG, 0o600, self.config.as_bytes()).map(|_| ())
    }

    fn undo(&self, _cx: &mut Cx<'_>) -> Result<()> {
        // Without the record no other step could be undone by a second try: an uninstall removes it when all went well.
        Ok(())
    }
}
