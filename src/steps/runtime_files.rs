//! containerd's config, the CNI conflist, and containerd's unit with its link for the next boot.
//!
//! All of it lies there before containerd starts: containerd does not notice a conflist that is moved in later.

use crate::containerd::config;
use crate::error::Result;
use crate::ids::RelPath;
use crate::plan::{Cx, Status, Step};
use crate::service::{Manager, Service, boot_link, definition};
use crate::{cni, digest::Digest};

/// Files as data: path, permission bits, bytes.
type File = (String, u32, Vec<u8>);

/// The step.
#[derive(Debug)]
pub struct RuntimeFiles {
    files: Vec<File>,
    link: Option<(String, String)>,
}

impl RuntimeFiles {
    /// `config` and `conflist` are the files' whole text; `service` is containerd.
    pub fn new(manager: Manager, service: &Service, config: &str, conflist: &[u8]) -> Self {
        let mut files = vec![
            (config::PATH.as_str().to_owned(), 0o644, config.as_bytes().to_vec()),
            (cni::CONFLIST.as_str().to_owned(), 0o644, conflist.to_vec()),
        ];
        files.extend(definition(manager, service).map(|(path, mode, text)| (path, mode, text.into_bytes())));
        RuntimeFiles { files, link: boot_link(manager, service) }
    }

    /// Changes whenever containerd must be started again because of these files.
    pub fn version(&self) -> String {
        let mut all = Vec::new();
        for (path, _, bytes) in &self.files {
            all.extend_from_slice(path.as_bytes());
            all.extend_from_slice(Digest::of(bytes).to_string().as_bytes());
        }
        Digest::of(&all).to_string()
    }
}

impl Step for RuntimeFiles {
    fn id(&self) -> &'static str {
        "runtime-files"
    }

    fn summary(&self) -> String {
        "containerd's config, conflist and unit".to_owned()
    }

    fn check(&self, cx: &mut Cx<'_>) -> Result<Status> {
        for (path, mode, bytes) in &self.files {
            if let Ok(rel) = RelPath::parse(path)
                && !cx.root.holds(rel, *mode, bytes)?
            {
                return Ok(Status::todo(format!("'{rel}' is missing or different")));
            }
        }
        match &self.link {
            Some((path, target)) if !cx.has_link(path, target)? => Ok(Status::todo(format!("'/{path}' is missing"))),
            _ => Ok(Status::Done),
        }
    }

    fn apply(&self, cx: &mut Cx<'_>) -> Result<()> {
        for (path, mode, bytes) in &self.files {
            if let Ok(rel) = RelPath::parse(path) {
                cx.put(rel, *mode, bytes)?;
            }
        }
        if let Some((path, target)) = &self.link {
            cx.put_link(path, target)?;
        }
        Ok(())
    }

    fn undo(&self, cx: &mut Cx<'_>) -> Result<()> {
        cx.take_back(|p| self.files.iter().any(|f| f.0 == p) || self.link.as_ref().is_some_and(|l| l.0 == p))
    }
}
